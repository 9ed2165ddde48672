"""HTML for notebooks, with nothing but what JupyterLab leaves of a notebook that is not trusted.

It removes frames, scripts, style sheets and some styles, such as ``currentcolor`` and ``object-fit``. So the areas of a
bar are borders: these have the colour of the text, on every theme.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

CELL = "padding:2px 12px 2px 0;vertical-align:top;font-variant-numeric:tabular-nums;text-align:"
STRIP = "display:flex;flex-wrap:wrap;gap:8px;font-size:small"
TILE = "width:150px;overflow-wrap:break-word"
FRAME = "display:flex;align-items:flex-end;height:110px"  # of a picture, which stands on its words


def row_markup(tag: str, cells: Iterable[tuple[str, str]], sides: Iterable[str]) -> str:
    """A row of a table: its cells, each a text and the HTML below it, at their sides ("left" or "right")."""
    drawn = (
        f'<{tag} style="{CELL}{side}">{escape(text)}{below}</{tag}>'
        for (text, below), side in zip(cells, sides, strict=True)
    )
    return f"<tr>{''.join(drawn)}</tr>"


def bar_markup(value: float | None, low: float | None, high: float | None, chance: float | None) -> str:
    """The bar of a share in 0 .. 1: the value as an area, the interval as a line, chance as a thin mark."""
    parts = [_area(0, value, "top:0;border-top:8px solid;opacity:.3")] if value is not None else []
    if low is not None and high is not None:
        parts.append(_area(low, high - low, "top:3px;border-top:2px solid;opacity:.9"))
    if chance is not None:
        parts.append(_area(chance, 0, "top:0;height:8px;border-left:2px solid;opacity:.9"))
    return f'<div style="position:relative;height:8px;min-width:120px;border:1px solid">{"".join(parts)}</div>'


def _area(start: float, width: float, rest: str) -> str:
    return f'<div style="position:absolute;left:{100 * start:.1f}%;width:{100 * width:.1f}%;{rest}"></div>'


def strip_markup(pictures: Iterable[tuple[str, str, Sequence[str]]]) -> str:
    """Pictures in a row that wraps: each a data URI ("" for none), its name, and the lines of text below it."""
    return f'<div style="{STRIP}">{"".join(_tile(*picture) for picture in pictures)}</div>'


def _tile(uri: str, name: str, lines: Sequence[str]) -> str:
    image = f'<img src="{uri}" alt="{escape(name)}" style="max-height:100%;max-width:100%">' if uri else "no picture"
    text = "<br>".join(map(escape, lines))
    return f'<div style="{TILE}"><div style="{FRAME}">{image}</div><div>{text}</div></div>'
