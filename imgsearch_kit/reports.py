"""How results are shown: tables and notes as text, HTML for Jupyter, pandas tables and JSON values.

The HTML has no scripts, needs no style sheet, and inherits the colours of the notebook.
"""

from __future__ import annotations

import base64
import csv
import dataclasses
import io
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgsearch_kit.errors import KitError, MissingExtra
from imgsearch_kit.markup import bar_markup, row_markup, strip_markup

if TYPE_CHECKING:
    import pandas as pd

    from imgsearch_kit.records import Failure, Refused

UNTRUSTED = "It is shown once you trust the notebook (in JupyterLab: View, Activate Command Palette, Trust Notebook)."
FAILURES_SHOWN = 100  # as text and HTML; the JSON document and the pandas table have all


# What a terminal obeys or hides, or changes the order of letters, or no encoding has.
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    """A text in one line for people: control characters, and bytes that are not UTF-8, are written as escapes."""
    return CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def html_text(text: str) -> str:
    """The same as HTML, also between quotes."""
    return escape(visible(text))


def exact_attribute(text: str) -> str:
    """A text as the value of an HTML attribute that a script reads back exactly."""
    return escape(text).replace("\r", "&#13;")  # a browser reads a bare CR as a line feed


def json_text(document: Any, *, ascii_only: bool = False) -> str:
    """A JSON text that names every character exactly, with escapes for those that are not shown as they are."""
    text = json.dumps(document, indent=2, ensure_ascii=ascii_only, allow_nan=False)
    return CONTROLS.sub(lambda found: found[0] if found[0] == "\n" else f"\\u{ord(found[0]):04x}", text)


def csv_lines(rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """Rows as lines of CSV, each with a line feed at its end; cells with a line end of any kind are quoted."""
    for row in rows:
        line = io.StringIO(newline="")
        csv.writer(line).writerow(row)  # ends in CR LF, and so quotes both
        yield line.getvalue().removesuffix("\r\n") + "\n"


class Number(str):
    """The text of a number, which is right-aligned in its column."""

    __slots__ = ()


def number(value: float | None, low: float | None = None, high: float | None = None, form: str = ".4f") -> Number:
    """A number as ``0.9076``, with bounds as ``0.9076 [0.9021, 0.9128]``; None and NaN become empty."""
    if value is None or math.isnan(value):
        return Number()
    bounded = low is not None and high is not None and not math.isnan(low)
    return Number(f"{value:{form}}" + (f" [{low:{form}}, {high:{form}}]" if bounded else ""))


class Share(Number):
    """The text of a share in 0 .. 1, under which HTML draws a bar, its bounds as a line, and chance as a mark."""

    __slots__ = ("at",)
    at: tuple[float | None, ...]


def share(
    value: float,
    low: float | None = None,
    high: float | None = None,
    chance: float | None = None,
    form: str = ".4f",
) -> Share:
    """The cell of a share with the bounds of its interval and what chance gives, all in 0 .. 1 where they are known."""
    made = Share(number(value, low, high, form))
    made.at = tuple(None if each is None or math.isnan(each) else each for each in (value, low, high, chance))
    return made


@dataclass(frozen=True)
class Table:
    """Rows of cells, optionally with column names and a title.

    Numbers are right-aligned; floats have four decimals, integers thousands separators, None is an empty cell. With
    ``picture``, which gives the WEBP file of an id, HTML shows each row as the picture of its last cell, an id, with
    the other cells below it. A ``folded`` table opens by a click on its title, and is left out of text.
    """

    rows: Sequence[Sequence[Any]]
    columns: Sequence[str] = ()
    title: str = ""
    picture: Callable[[str], Path] | None = None
    folded: bool = False

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """The table as aligned lines of text, indented below the title if there is one; [] of a folded one."""
        if self.folded:
            return []
        cells = [list(map(_text, row)) for row in self.rows]
        sides = _sides(cells)
        lines = [list(map(visible, self.columns)), *cells] if cells and self.columns else cells
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        indent = "  " if self.title else ""
        return ([visible(self.title)] if self.title else []) + [
            (indent + "  ".join(map(_aligned, line, widths, sides))).rstrip() for line in lines
        ]

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self))

    def _repr_html_(self) -> str:
        cells = [list(map(_text, row)) for row in self.rows]
        title = f"<p>{html_text(self.title)}</p>" if self.title else ""
        if not cells:
            return title
        if self.picture:
            return title + _strip(cells, self.picture)
        sides = _sides(cells)
        head = f"<thead>{_row('th', self.columns, sides)}</thead>" if self.columns else ""
        drawn = f"<table>{head}<tbody>{''.join(_row('td', row, sides) for row in cells)}</tbody></table>"
        if self.folded:
            return f"<details><summary>{html_text(self.title)}</summary>{drawn}</details>"
        return title + drawn


class Report:
    """Base class of results: shows the ``title``, ``tables``, ``notes`` and ``frame`` rows that a subclass defines."""

    __slots__ = ()

    def title(self) -> str:
        """The subject of the result, in one line."""
        return ""

    def tables(self) -> Sequence[Table]:
        """Its figures."""
        return ()

    def notes(self) -> Sequence[str]:
        """What a reader of the figures must know, one sentence each."""
        return ()

    def cautions(self) -> Sequence[str]:
        """What makes the figures doubtful, one sentence each, shown above them."""
        return ()

    def frame(self) -> Iterable[Mapping[str, Any]]:
        """The rows of ``to_dataframe``; by default one row of the fields."""
        return [self.to_json()]

    def columns(self) -> Sequence[str]:
        """The columns of ``to_dataframe`` where ``frame`` has no rows."""
        return ()

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """The result as lines of text: cautions, title, tables and notes, with an empty line between them."""
        said = ([visible(line) for line in part if line] for part in (self.cautions(), [self.title()], self.notes()))
        cautions, title, notes = said
        blocks = [cautions, title, *(table.lines() for table in self.tables()), notes]
        return [line for block in blocks if block for line in ("", *block)][1:]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls._repr_pretty_ = Report._repr_pretty_  # type: ignore[method-assign] # IPython prefers a class's own repr

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """In IPython, where a dictionary or a dataclass would show all its values."""
        printer.text(str(self))

    def _repr_html_(self) -> str:
        title = f"<p>{html_text(self.title())}</p>" if self.title() else ""
        cautions, notes = ([f"<p>{html_text(said)}</p>" for said in each] for each in (self.cautions(), self.notes()))
        return "".join([*cautions, title, *(table._repr_html_() for table in self.tables()), *notes])

    def to_dataframe(self) -> pd.DataFrame:
        """The rows of ``frame`` as a pandas table; nested values become columns such as ``recall low``.

        :raises MissingExtra: when pandas is not installed.
        """
        try:
            import pandas as pd
        except ModuleNotFoundError as error:
            raise MissingExtra("pandas", "notebooks") from error
        rows = [flat(row) for row in self.frame()]
        return pd.DataFrame(rows, columns=None if rows else list(self.columns()))

    def to_json(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return fields_of(self)


@dataclass(frozen=True)
class Framed:
    """A page of its own in a notebook cell, in a frame that lies in the notebook itself: no file, no server.

    Its scripts run apart from the notebook's (an ``<iframe sandbox srcdoc>``). ``height`` is in pixels. JupyterLab
    removes the frame, not the sentence in it, while it does not trust the notebook.
    """

    page: str
    title: str
    height: int
    scripts: bool = False

    def __str__(self) -> str:
        return visible(self.title)

    def __repr__(self) -> str:
        return f"<Framed {visible(self.title)}>"

    def _repr_html_(self) -> str:
        allowed = "allow-scripts allow-downloads" if self.scripts else ""
        return (
            f'<iframe sandbox="{allowed}" srcdoc="{escape(self.page)}" title="{html_text(self.title)}" '
            f'style="width:100%;height:{self.height}px;border:0">{html_text(self.title)}. {UNTRUSTED}</iframe>'
        )


class RunReport(Report):
    """The report of a run that may have failures: ``failed``, each with its path and the reason."""

    failed: Sequence[Failure | Refused]

    def tables(self) -> Sequence[Table]:
        """The failures, if there are any."""
        return failures(self.failed)

    def frame(self) -> Iterable[Mapping[str, Any]]:
        """The rows of ``to_dataframe``, one per failure: its path, the reason, and its other fields."""
        known = (dataclasses.asdict(failure) for failure in self.failed)
        return ({"path": row.pop("id", None) or row["path"]} | row for row in known)


def failures(failed: Sequence[Failure | Refused]) -> list[Table]:
    """A table of the failures, with paths and reasons; an empty list when there are none."""
    rows = [(failure.path, failure.reason) for failure in failed[:FAILURES_SHOWN]]
    rows += [(rest, "") for rest in more(len(failed), FAILURES_SHOWN)]
    return [Table(rows, title=f"{len(failed):,} failed")] if failed else []


def more(count: int, shown: int) -> list[str]:
    """The line below the first ``shown`` of ``count`` things, if there are more."""
    return [f"... and {count - shown:,} more (--json lists all)"] if count > shown else []


def plain(value: Any) -> Any:
    """A value as plain JSON: a record as its fields, an array as lists, a path as text, NaN as None."""
    if hasattr(value, "to_json"):
        return value.to_json()
    if dataclasses.is_dataclass(value):
        return fields_of(value)
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, Path):
        return str(value)
    return value.tolist() if hasattr(value, "tolist") else value


def fields_of(record: Any) -> dict[str, Any]:
    """The fields of a dataclass instance as plain JSON values."""
    return {field.name: plain(getattr(record, field.name)) for field in dataclasses.fields(record)}


def flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with nested mappings flattened: ``{"a": {"b": 1}}`` becomes ``{"a b": 1}``."""
    spread: dict[str, Any] = {}
    for name, value in row.items():
        inner = flat(value) if isinstance(value, Mapping) else {"": value}
        spread |= {f"{name} {key}".rstrip(): cell for key, cell in inner.items()}
    return spread


def data_uri(picture: Callable[[str], Path], id: str) -> str:  # noqa: A002 (the field's name)
    """The WEBP file that ``picture`` gives for an id as a data URI, "" when it cannot be made."""
    try:
        content = picture(id).read_bytes()
    except (KitError, OSError):
        return ""
    return webp_uri(content)


def webp_uri(content: bytes) -> str:
    """A WEBP file as a data URI."""
    return "data:image/webp;base64," + base64.b64encode(content).decode()


def _text(value: Any) -> str:
    if value is None or isinstance(value, float):
        return number(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return Number(f"{value:,}")
    return value if isinstance(value, Number) else visible(str(value))


def _sides(cells: Sequence[Sequence[str]]) -> list[str]:
    """The alignment of each column: right when all cells that are not empty are numbers."""
    filled = ([cell for cell in column if cell] for column in zip(*cells, strict=True))
    return ["right" if column and all(isinstance(c, Number) for c in column) else "left" for column in filled]


def _aligned(cell: str, width: int, side: str) -> str:
    return cell.rjust(width) if side == "right" else cell.ljust(width)


def _row(tag: str, cells: Sequence[str], sides: Sequence[str]) -> str:
    drawn = ((cell, bar_markup(*cell.at) if isinstance(cell, Share) else "") for cell in cells)
    return row_markup(tag, drawn, sides)


def _strip(cells: Sequence[Sequence[str]], picture: Callable[[str], Path]) -> str:
    """The pictures of the rows, each above its cells, with the id on a separate line."""
    lines = ((id_, [line for line in (" · ".join(filter(None, words)), id_) if line]) for *words, id_ in cells)
    return strip_markup((data_uri(picture, id_), id_, said) for id_, said in lines)
