"""A split file: which pictures are queries and which are the gallery."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.vectors import Ints

QUERY, GALLERY = "0", "1"
NAMED = 3  # examples in a message


def read_split(path: Path, ids: Sequence[str]) -> tuple[Ints, Ints]:
    """The rows of ``ids`` that are queries and those that are the gallery, both ascending.

    Each line of the file is a picture's path, white space, and 0 (query) or 1 (gallery). A path matches the id that is
    its longest suffix of whole folder names: ``data/cats/1.jpg`` matches the id ``cats/1.jpg``. Ids without a line are
    neither.

    :raises BadQuery: when the file cannot be read, a line has another form or matches no id, two lines match one id, or
        one of the two roles has no picture.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadQuery(f"The split file {path} cannot be read: {error}. Give a text file.") from error
    rows = {name: row for row, name in enumerate(ids)}
    lines: dict[str, list[str]] = defaultdict(list)  # of each id
    roles, wrong, unmatched = {}, [], []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        *path_only, role = line.strip().rsplit(maxsplit=1)
        name = "".join(path_only)
        if not name or role not in (QUERY, GALLERY):
            wrong.append(f"line {number}: {line.strip()!r}")
        elif (found := _longest_suffix(name, rows)) is None:
            unmatched.append(f"line {number}: {name!r}")
        else:
            lines[found].append(f"line {number}: {name!r}")
            roles[found] = role
    twice = [f"{name!r} ({'; '.join(where)})" for name, where in lines.items() if len(where) > 1]
    _refuse(path, wrong, "are not a path and 0 or 1", "Write `PATH 0` for a query, `PATH 1` for the gallery.")
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


def _longest_suffix(path: str, ids: dict[str, int]) -> str | None:
    parts = path.split("/")
    return next((name for start in range(len(parts)) if (name := "/".join(parts[start:])) in ids), None)


def _refuse(path: Path, found: list[str], what: str, advice: str) -> None:
    if found:
        more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
        raise BadQuery(f"In {path}, {len(found)} {what}: {', '.join(found[:NAMED])}{more}. {advice}")
