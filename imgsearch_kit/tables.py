"""Text files and tables that people bring: as editors, spreadsheets and other systems write them."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from imgsearch_kit.errors import BadQuery

SEPARATORS = "\t;,"  # the usual one last: its head is in a message

TableRow = tuple[int, list[str]]  # the number of the line that it ends on, and its cells


def read_text(path: Path, what: str) -> str:
    """The text of a file in UTF-8, with a byte order mark or without, or in UTF-16 with one.

    :raises BadQuery: when it cannot be read, or has another encoding; ``what`` names the file in the message.
    """
    try:
        data = path.read_bytes()
        return data.decode("utf-16" if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadQuery(
            f"The {what} {path} is no text in UTF-8. Save it as UTF-8; Excel calls that CSV UTF-8."
        ) from error
    except OSError as error:
        raise BadQuery(f"The {what} {path} cannot be read: {error.strerror}. Give a text file in UTF-8.") from error


def readings(text: str) -> Iterator[tuple[str, list[TableRow]]]:
    """The rows of a table with each separator that may be meant, without empty rows: only that of an Excel ``sep=``.

    Cells may stand between double quotes. Spaces before a cell are left out where the first line has one behind a
    separator.

    :raises csv.Error: when a cell is longer than 131,072 characters, as behind a double quote that is never closed.
    """
    marked = re.match(r"(\"?)sep=([^\w\s\"]|\t)\1\r?\n", text, re.IGNORECASE)  # as Excel writes and reads it
    table = text[marked.end() :] if marked else text
    for separator in marked[2] if marked else SEPARATORS:
        file = io.StringIO(table, newline="")
        spaced = f"{separator} " in file.readline()
        file.seek(0)
        reader = csv.reader(file, delimiter=separator, skipinitialspace=spaced)
        yield separator, [(reader.line_num + bool(marked), row) for row in reader if row]


def head_of(cells: list[str]) -> list[str]:
    """The names of the columns of a table: without spaces around them, in lower case; ``id`` is taken for ``path``.

    That is the column ``id`` of ``imgsearch export``, or of a table without a ``path``.
    """
    head = [name.strip().lower() for name in cells]
    if "id" in head and ("path" not in head or "sha256" in head):
        head = ["path" if name == "id" else "" if name == "path" else name for name in head]
    return head


def check_head(path: Path, line: int, head: list[str], *names: str) -> None:
    """Checks that a head has each of some columns once.

    :raises BadQuery: when it has one several times.
    """
    for name in names:
        if head.count(name) > 1:
            raise BadQuery(f"{path}, line {line}: the head has the column {name!r} twice. Keep one.")


def posix(path: str) -> str:
    """A path with ``/`` between folders, also when Windows wrote it."""
    return str(PurePosixPath(path.replace("\\", "/")))
