"""How records, indexes and reports show themselves in Jupyter: HTML that needs no script and no style sheet."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgsearch_kit.errors import KitError, MissingExtra

if TYPE_CHECKING:
    import pandas as pd

CELL = "text-align:left;padding:2px 12px 2px 0;vertical-align:top"
NUMBER = "text-align:right;padding:2px 12px 2px 0;font-variant-numeric:tabular-nums"


def table(head: Sequence[str], rows: Iterable[Sequence[Any]], caption: str = "") -> str:
    """A table; cells that are numbers stand to the right, every cell is escaped."""
    top = "".join(f'<th style="{CELL}">{escape(name)}</th>' for name in head)
    body = "".join("<tr>" + "".join(_cell(value) for value in row) + "</tr>" for row in rows)
    title = f'<caption style="{CELL};caption-side:top">{escape(caption)}</caption>' if caption else ""
    return f"<table>{title}{f'<thead><tr>{top}</tr></thead>' if head else ''}<tbody>{body}</tbody></table>"


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f'<td style="{NUMBER}">{value:.4f}</td>'
    style = NUMBER if isinstance(value, int) else CELL
    return f'<td style="{style}">{escape(str(value))}</td>'


def report(counts: Iterable[tuple[str, Any]], title: str, failed: Sequence[tuple[str, str]]) -> str:
    """What was done, and below it what failed and why, if anything did."""
    done = table((), counts, title)
    return done + (table(("file", "why it was left out"), failed, f"{len(failed)} failed") if failed else "")


def strip(pictures: Iterable[tuple[str, Sequence[str]]], height: int = 110) -> str:
    """A row of pictures that wraps, each a data URI ("" when there is none) with lines of text below it."""
    cells = []
    for uri, lines in pictures:
        style = f"height:{height}px;max-width:100%;object-fit:contain"
        name = escape(lines[0], quote=True) if lines else ""
        drawn = f'<img src="{uri}" alt="{name}" style="{style}">' if uri else f'<div style="{style}">no picture</div>'
        text = "<br>".join(escape(line) for line in lines)
        cells.append(f'<div style="width:150px;overflow-wrap:anywhere">{drawn}<div>{text}</div></div>')
    return f'<div style="display:flex;flex-wrap:wrap;gap:8px;font-size:small">{"".join(cells)}</div>'


def data_uri(picture: Callable[[str], Path], id: str) -> str:  # noqa: A002 (the field's name)
    """The WEBP file that ``picture`` gives for an id as a data URI, "" when it cannot be made."""
    try:
        content = picture(id).read_bytes()
    except (KitError, OSError):
        return ""
    return "data:image/webp;base64," + base64.b64encode(content).decode()


def flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with the mappings in it spread over columns: ``{"a": {"b": 1}}`` becomes ``{"a b": 1}``."""
    spread: dict[str, Any] = {}
    for name, value in row.items():
        inner = flat(value) if isinstance(value, Mapping) else {"": value}
        spread |= {f"{name} {key}".rstrip(): cell for key, cell in inner.items()}
    return spread


def dataframe(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Rows as a pandas table.

    :raises MissingExtra: when pandas is not installed.
    """
    try:
        import pandas as pd
    except ModuleNotFoundError as error:
        raise MissingExtra("pandas", "notebooks") from error
    return pd.DataFrame(list(rows))
