"""The file of a local index: its SQLite connection, its writer lock, and SQLite's errors as the kit's."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from imgsearch_kit.errors import BadQuery, IndexDamaged, IndexNotFound, IndexUnwritable, closing_on_error, without_stop

FILE_SUFFIXES = ("", "-wal", "-shm", "-journal", ".lock")  # what is added to the name of the file itself
FROZEN = "mode=ro&immutable=1"  # reads a file in a folder that takes no WAL beside it


def connect(path: Path | None, options: str = "", *, spill: bool = False) -> sqlite3.Connection:
    """A connection that has read the file's first page, so that a file which cannot be read fails here.

    Without a path the database is in memory; with ``spill`` what is beyond SQLite's cache is in a temporary file.
    """
    name = f"{path.resolve().as_uri()}?{options}" if path else "" if spill else ":memory:"
    db = sqlite3.connect(name, uri=True, timeout=30, isolation_level=None, check_same_thread=False)
    with closing_on_error(db):
        db.execute("PRAGMA synchronous = FULL")  # a commit is on disk when it returns
        db.execute("PRAGMA foreign_keys = ON")
        is_empty(db)
    return db


def connect_existing(path: Path) -> tuple[sqlite3.Connection, bool]:
    """A connection to a file that is there, and whether it had to be opened as one that never changes.

    :raises IndexNotFound: when there is no file.
    """
    try:
        return connect(path, "mode=rw"), False
    except sqlite3.OperationalError as error:
        if not path.exists():
            raise not_found(f"local:{path}") from error
        wal = path.with_name(path.name + "-wal")
        if wal.exists() and wal.stat().st_size:  # holds commits that a frozen connection would not see
            raise
        return connect(path, FROZEN), True


def check_place(path: Path) -> None:
    """Checks that a path is that of a file, or free: never a folder, nor a device or a pipe, which no file may replace.

    :raises BadQuery: when it is one of these.
    """
    if path.is_dir():
        raise BadQuery(f"{path} is a folder. Name a file in it, such as local:{path / 'imgsearch.db'}")
    if path.exists() and not path.is_file():
        raise BadQuery(f"{path} is a device or a pipe, and an index is a file. Give another address.")


def check_own(path: Path, *beginnings: bytes) -> None:
    """Checks that a file which the kit is going to delete is its own: empty, or with one of these beginnings.

    :raises IndexUnwritable: when it is another's.
    """
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError:  # not there, or the writing will say what is wrong
        return
    if head and not head.startswith(beginnings):
        raise IndexUnwritable(
            f"{path} is in the way: imgsearch did not write it, and needs this name while it writes the index. "
            "Move that file, or give another address."
        )


def claim(path: Path, address: str) -> FileLock:
    """The writer lock of a file, until it is released or the process ends.

    :raises IndexUnwritable: when another process has it, or it cannot be made.
    """
    check_own(Path(f"{path}.lock"))
    lock = FileLock(f"{path}.lock", timeout=1, thread_local=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise IndexUnwritable(
            f"Another process is writing to the index at {address}. "
            "Wait until it is done, or stop it; reading is possible meanwhile. "
            "Several processes can write at once only to an index on a server."
        ) from error
    except OSError as error:
        raise IndexUnwritable(
            f"The index at {address} is read-only here: {error.strerror} ({error.filename}). "
            "Make its folder and file writable, or copy the index to another place."
        ) from error
    return lock


def release(lock: FileLock) -> None:
    """Releases the writer lock."""
    Path(lock.lock_file).unlink(missing_ok=True)  # while it is held: a waiting process then opens a new file
    lock.release()


def remove(path: Path) -> None:
    """Deletes a file, if it exists, with the files next to it: SQLite's logs and the writer lock."""
    for ending in FILE_SUFFIXES:
        path.with_name(path.name + ending).unlink(missing_ok=True)


def is_empty(db: sqlite3.Connection) -> bool:
    """Whether nothing was ever committed, as when the process was killed just after it made the file."""
    return db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0


def not_found(address: str) -> IndexNotFound:
    """The error for an address without an index."""
    return IndexNotFound(f"There is no index at {address}. Make one: imgsearch index FOLDER --index {address}")


@contextmanager
def translated_errors(address: str) -> Iterator[None]:
    """Translates SQLite's errors to the kit's.

    :raises IndexUnwritable: when the file is read-only, the disk full, or another process blocks.
    :raises IndexNotFound: when the file cannot be opened.
    :raises IndexDamaged: when it is not an SQLite file, or its pages are inconsistent.
    """
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the low byte is the kind, the rest its detail
        raise _explain(address, code, error) from error


def _explain(address: str, code: int, error: sqlite3.Error) -> Exception:
    reason = without_stop(error)
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return IndexUnwritable(
            f"The index at {address} could not be written: {reason}. The last change was undone; "
            "everything before it is kept. Free some disk space and try again."
        )
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return IndexUnwritable(
            f"The index at {address} is read-only here: {reason}. "
            "Make its folder and file writable, or copy the index to another place."
        )
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return IndexUnwritable(
            f"The index at {address} is blocked by another process: {reason}. Stop that process and try again."
        )
    if code == sqlite3.SQLITE_CANTOPEN:
        return IndexNotFound(
            f"The index at {address} cannot be opened: {reason}. Check that you may read the file, and write to its "
            "folder if there is a file ending in -wal next to it."
        )
    return IndexDamaged(
        f"The file at {address} is not an index, or is damaged: {reason}. "
        "Restore it from a backup, or delete it and index the pictures again."
    )
