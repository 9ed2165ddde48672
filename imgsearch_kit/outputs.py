"""Files that a person asks for: written whole or not at all, and never over what the kit did not write."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.files import write_whole

GENERATOR = "imgsearch-kit"  # pages and figures name it as the program that made them
ENDS = 8192  # bytes at either end of a file in which its generator is looked for
DATABASE = b"SQLite format 3\0"

# How the pages and figures of the kit begin, and how they name their generator.
GENERATED = (
    (b"<!doctype html>", b'<meta name="generator" content="imgsearch-kit'),
    (b"\x89PNG\r\n\x1a\n", b"Software\0imgsearch-kit"),
    (b"<?xml ", b"<dc:title>imgsearch-kit"),
    (b"%PDF-", b"/Creator (imgsearch-kit"),
    (b"\x08\x08\x12\x0dimgsearch-kit", b""),  # an ONNX network
)
RUN = rb"\S+ Q0 \S+ 1 [0-9]+ imgsearch\n"
QRELS = rb"\S+ 0 \S+ 1\n"
TABLE = rb"id,label,sha256,width,height[,\r\n]"
# Keys that only one document of the kit has together: of evaluate, health, recall, tune, and ranges of activations.
DOCUMENTS = (
    {"micro", "macro", "per_class", "passport"},
    {"near_duplicates", "skewness", "hubs", "orphans"},
    {"rows", "k", "segments", "passport"},
    {"wanted", "simulated", "proposals", "best"},
    {"weights", "largest"},
)
INDEX = {"ids", "vectors"}  # the arrays that make an archive an index
EXPORT = INDEX | {"passport"}  # those of an export; an archive that was indexed into has "failures" too
NUMBERED = re.compile(r"(?:/dev/std(out|err)|/(?:dev|proc/self)/fd/([0-9]+))")


@contextmanager
def write_output(path: Path, *, force: bool = False, export: bool = False) -> Iterator[Path]:
    """A temporary path to write to; on leaving the block, the file written there is at ``path``, whole.

    A link stays a link, to the new content. A device or a pipe gets the content once it is complete.

    :raises BadQuery: as ``check_output`` does, before the block and again after it; and when the file cannot be
        written.
    """
    check_output(path, force=force, export=export)
    try:
        if _is_stream(path):
            with tempfile.TemporaryDirectory() as aside:
                whole = Path(aside, path.name)
                yield whole
                with whole.open("rb") as content, _opened(path) as stream:
                    shutil.copyfileobj(content, stream)
        else:
            with write_whole(path) as whole:
                yield whole
                check_output(path, force=force, export=export)
    except BrokenPipeError:  # nobody reads what a pipe was to get
        raise
    except OSError as error:
        raise BadQuery(f"{path} cannot be written: {error.strerror or error}. Name another file.") from error


def check_output(path: Path, *, force: bool = False, export: bool = False) -> None:
    """Checks that nothing but an earlier output of the kit, or with ``force`` some other file, would be overwritten.

    Vectors in an archive are an index, whoever made them; only a new ``export`` of vectors replaces an earlier one.

    :raises BadQuery: when ``path`` is an index or another database, or without ``force`` any other file that the kit
        did not write; when it is a folder or a disk.
    """
    try:
        mode = path.stat().st_mode
    except OSError:  # nothing is there, or the writing will say what is wrong
        return
    if stat.S_ISDIR(mode) or stat.S_ISBLK(mode):
        raise BadQuery(f"{path} is a {'folder' if stat.S_ISDIR(mode) else 'disk'}, not a file. Name a file.")
    if _is_stream(path) or not path.stat().st_size:
        return
    if _holds_index(path) and not (export and _is_export(path)):
        raise BadQuery(
            f"{path} is an index or another database, which is never overwritten. Name another file, or delete it "
            "first."
        )
    if not force and not _made_by_kit(path):
        raise BadQuery(
            f"{path} exists, and imgsearch did not write it. Name another file, or overwrite this one with --force "
            "(in Python force=True)."
        )


def check_distinct(paths: Sequence[Path]) -> None:
    """Checks that no two outputs go to one file, where the last would replace the others; to one stream they may.

    :raises BadQuery: when two do.
    """
    files = [os.path.realpath(path) for path in paths if not _is_stream(path)]
    if twice := [file for file in files if files.count(file) > 1]:
        raise BadQuery(f"Two outputs would be written to one file, {twice[0]}. Name two files.")


def _is_stream(path: Path) -> bool:
    """Whether a path is a device, a pipe, or the number of an open file, and not a file of its own."""
    if NUMBERED.fullmatch(str(path)):
        return True
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _opened(path: Path) -> IO[bytes]:
    """A stream, opened to be written; an open file by its number, so that it goes on where it is."""
    if found := NUMBERED.fullmatch(str(path)):
        return os.fdopen(os.dup(int(found[2] or {"out": 1, "err": 2}[found[1]])), "wb")
    return path.open("wb")


def _holds_index(path: Path) -> bool:
    """Whether a file is an SQLite database, or an archive that can be opened as an index."""
    return _ends(path)[0].startswith(DATABASE) or _arrays(path) >= INDEX


def _is_export(path: Path) -> bool:
    """Whether a file is an archive that ``export`` wrote, and nothing was indexed into it since."""
    arrays = _arrays(path)
    return arrays >= EXPORT and "failures" not in arrays


def _made_by_kit(path: Path) -> bool:
    """Whether a file holds what the kit writes for a person: a document, a table, an export, a page, a figure."""
    head, tail = _ends(path)
    if any(head.startswith(start) and (mark in head or mark in tail) for start, mark in GENERATED):
        return True
    if re.match(TABLE, head) or re.match(RUN, head):
        return True
    if path.suffix == ".qrels" and re.match(QRELS, head):  # other programs' look alike; the run beside it does not
        return bool(re.match(RUN, _ends(path.with_suffix(".run"))[0]))
    return _is_export(path) or any(keys <= _keys(path) for keys in DOCUMENTS)


def _ends(path: Path) -> tuple[bytes, bytes]:
    """The first and the last bytes of a file, empty when it cannot be read."""
    try:
        with path.open("rb") as file:
            head = file.read(ENDS)
            file.seek(max(0, path.stat().st_size - ENDS))
            return head, file.read()
    except OSError:
        return b"", b""


def _keys(path: Path) -> set[str]:
    """The keys of a JSON object, none for anything else."""
    if not _ends(path)[0].startswith(b"{"):
        return set()
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return set()
    return set(document) if isinstance(document, dict) else set()


def _arrays(path: Path) -> set[str]:
    """The names of the arrays in an archive, none for anything else."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {name.removesuffix(".npy") for name in archive.namelist()}
    except (OSError, ValueError, zipfile.BadZipFile):
        return set()
