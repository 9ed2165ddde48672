"""A split file: which pictures are queries and which are the gallery."""

from __future__ import annotations

import contextlib
import csv
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.names import Names
from imgsearch_kit.tables import TableRow, check_head, head_of, posix, read_text, readings
from imgsearch_kit.vectors import Ints

QUERY, GALLERY = "0", "1"
NAMED_ROLES = {"query": QUERY, "gallery": GALLERY}
ROLES = ("role", "split")  # names of the column that has them
NAMED = 3  # examples in a message


def read_split(path: Path, ids: Sequence[str]) -> tuple[Ints, Ints]:
    """The rows of ``ids`` that are queries and those that are the gallery, both ascending.

    Each line of the file is a picture's path and 0 (or query) or 1 (or gallery), with white space between; or it is a
    table of both, as labels files are, with a head (path, and role or split) or without. A path matches the id that is
    its longest suffix of whole folder names: ``data/cats/1.jpg`` matches the id ``cats/1.jpg``. Ids without a line are
    neither.

    :raises BadQuery: when the file cannot be read, a line has another form or matches no id, two lines match one id, or
        one of the two roles has no picture.
    """
    stored = Names(ids)
    rows = {name: row for row, name in enumerate(ids)}
    lines: dict[str, list[str]] = defaultdict(list)  # of each id
    roles, wrong, unmatched = {}, [], []
    for number, cells in _lines(path):
        name, role = (cells[0], _role(cells[1])) if len(cells) == 2 else ("", "")
        if not name.strip() or role not in (QUERY, GALLERY):
            wrong.append(f"line {number}: {', '.join(cells)!r}")
        elif (found := stored.fitting(name) or _longest_suffix(posix(name), stored)) is None:
            unmatched.append(f"line {number}: {name!r}")
        else:
            lines[found].append(f"line {number}: {name!r}")
            roles[found] = role
    twice = [f"{name!r} ({'; '.join(where)})" for name, where in lines.items() if len(where) > 1]
    _refuse(
        path,
        wrong,
        "are not a path and 0 or 1",
        "Write `PATH 0` for a query and `PATH 1` for the gallery, or a table with the columns path and role.",
    )
    _refuse(path, unmatched, "match no picture of the index", "Index these pictures too, or remove the lines.")
    _refuse(
        path, twice, "ids have several lines", "Keep one line per picture, with enough folder names to identify it."
    )
    query, gallery = (
        np.array([rows[name] for name in sorted(roles, key=rows.__getitem__) if roles[name] == role], np.int64)
        for role in (QUERY, GALLERY)
    )
    if not len(query) or not len(gallery):
        raise BadQuery(f"{path} names {len(query)} queries and {len(gallery)} gallery pictures. It needs both.")
    return query, gallery


def _lines(path: Path) -> list[TableRow]:
    """The lines of a split file, each as its path and role or as what else it has; read as most of them fit."""
    text = read_text(path, "split file")
    found = []
    with contextlib.suppress(csv.Error):  # it is no table
        found += [_without_head(path, rows) for _, rows in readings(text)]
    words = [(number, line.strip().rsplit(maxsplit=1)) for number, line in enumerate(text.splitlines(), start=1)]
    return max([*found, _without_head(path, [row for row in words if row[1]])], key=_fitting)


def _without_head(path: Path, rows: list[TableRow]) -> list[TableRow]:
    """The rows as path and role, by the names of the columns where the first row has them."""
    head = head_of(rows[0][1]) if rows else []
    role = next((name for name in ROLES if name in head), None)
    if "path" not in head or role is None:
        return rows
    check_head(path, rows[0][0], head, "path", role)
    path_at, role_at = head.index("path"), head.index(role)
    return [(n, [row[path_at], row[role_at]] if len(row) == len(head) else [", ".join(row)]) for n, row in rows[1:]]


def _role(cell: str) -> str:
    """0 or 1 where a cell is one of these or the word for it, else the cell."""
    return NAMED_ROLES.get(cell.strip().lower(), cell.strip())


def _fitting(rows: list[TableRow]) -> int:
    return sum(len(cells) == 2 and _role(cells[1]) in (QUERY, GALLERY) for _, cells in rows)


def _longest_suffix(path: str, stored: Names) -> str | None:
    parts = path.split("/")
    fits = (stored.fitting("/".join(parts[start:])) for start in range(len(parts)))
    return next((name for name in fits if name is not None), None)


def _refuse(path: Path, found: list[str], what: str, advice: str) -> None:
    if found:
        more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
        raise BadQuery(f"In {path}, {len(found)} {what}: {', '.join(found[:NAMED])}{more}. {advice}")
