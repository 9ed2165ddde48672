"""An index as one .npz archive of plain arrays, for the import of vectors made elsewhere and for export."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from imgsearch_kit.errors import IndexDamaged, IndexMismatch, IndexUnwritable, closing_on_error, without_stop
from imgsearch_kit.files import write_whole
from imgsearch_kit.index import schema, sqlite
from imgsearch_kit.index.arrays import READ_AT_ONCE, StoredArrays, save_arrays
from imgsearch_kit.index.base import batched
from imgsearch_kit.index.local import LocalIndex
from imgsearch_kit.records import Failure, ImageRecord, IndexPassport, Vectors

IN_MEMORY = 1 << 26  # bytes of an open archive; more are in a temporary file


def write_archive(
    path: Path,
    records: Sequence[ImageRecord],
    vectors: Iterable[Vectors],
    passport: IndexPassport,
    failures: Sequence[Failure],
    learned: bytes = b"",
) -> None:
    """Writes an index as an archive, atomically.

    :raises IndexUnwritable: when the file cannot be written; an earlier file at ``path`` is then unchanged.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with write_whole(path) as whole:
            save_arrays(whole, records, vectors, passport, failures, learned)
    except OSError as error:
        raise IndexUnwritable(
            f"The archive {path} could not be written: {error.strerror or error}. An earlier file there is unchanged. "
            "Free some disk space, make the folder writable, or give another address."
        ) from error


class ArchiveIndex(LocalIndex):
    """An index read from an .npz archive, and written back by ``flush`` and ``close`` when changed.

    Meanwhile it is in a database in memory, of which more than 64 MB are in a temporary file (in ``SQLITE_TMPDIR``, or
    where the system has such files). So ``add`` is durable after ``flush``, unlike on the other backends. An archive
    made elsewhere needs only the arrays ``ids`` and ``vectors``: any float dtype is cast to float32, rows that are not
    of unit norm are divided by their norm, and the passport has no extractor (``spec`` None) and a uuid made from the
    content. Changes that another process makes to the file later are not seen.
    """

    _has_graph = False
    _file: Path
    _written: int  # the generation that the file holds
    _state: tuple[int, int, int] | None  # of the file, when it was last read or written

    @classmethod
    def create(cls, path: Path, passport: IndexPassport) -> Self:
        """A new, empty index, and its archive.

        :raises IndexMismatch: when there is a file already.
        :raises IndexUnwritable: when it cannot be written.
        """
        sqlite.check_place(path)
        if path.exists():
            raise IndexMismatch(f"There is a file at npz:{path} already. Open it, delete it, or give another address.")
        index = cls._holding(path, passport, [])
        with closing_on_error(index):
            index.claim()
            index._write()
        return index

    @classmethod
    def open(cls, path: Path) -> Self:
        """The index in the archive ``path``.

        :raises IndexNotFound: when there is no such file.
        :raises IndexDamaged: when it cannot be read as an archive of plain arrays.
        :raises IndexMismatch: when the arrays ``ids`` and ``vectors`` are not in it.
        :raises IndexUnwritable: when there is no room for what is beyond 64 MB of it.
        :raises BadQuery: when arrays disagree in length, an id is empty or given twice, or a row is zero or not finite.
        :raises VersionMismatch: when a newer kit wrote it.
        """
        sqlite.check_place(path)
        state = _state(path)
        if state is None:
            raise sqlite.not_found(f"npz:{path}")
        with StoredArrays.opened(path) as stored, _taken_over(path):
            index = cls._holding(path, stored.passport(), stored.failures(), stored.learned)
            with closing_on_error(index):
                index._fill(stored)
        index._state = state
        return index

    @classmethod
    def _holding(cls, path: Path, passport: IndexPassport, failures: Sequence[Failure], learned: bytes = b"") -> Self:
        """The index of a passport, with no records yet."""
        database = sqlite.connect(None, spill=True)
        database.execute("PRAGMA page_size = 16384")
        database.execute(f"PRAGMA cache_size = -{IN_MEMORY // 1024}")
        schema.create_tables(database, passport)
        schema.insert_failures(database, failures)
        schema.set_learned(database, learned)
        index = cls(database, schema.passport(database, f"npz:{path}"), path)
        index.address = f"npz:{path}"
        index._file = path
        index._written = passport.generation
        index._state = None
        return index

    def _fill(self, stored: StoredArrays) -> None:
        """Takes over the records and vectors of an archive."""
        with self._lock:
            self._db.execute("BEGIN")
            for records, vectors in stored.blocks():
                schema.insert(self._db, list(zip(records, vectors, strict=True)))
            self._db.execute("COMMIT")
            self._passport = schema.passport(self._db, self.address)

    def flush(self) -> None:
        """Writes the archive, if the index has changed since it was last written, and releases the writer lock."""
        with self._lock:
            if self._passport.generation != self._written:
                self._write()
            super().flush()

    def close(self) -> None:
        """Writes the archive if it has changed, and releases the writer lock."""
        try:
            if self._database is not None:
                self.flush()
        finally:
            super().close()

    def _write(self) -> None:
        passport = self._passport
        records = self.records()
        blocks = (self.vectors(ids) for ids in batched((record.id for record in records), READ_AT_ONCE))
        write_archive(self._file, records, blocks, passport, self.failures(), self.learned())
        self._written, self._state = passport.generation, _state(self._file)

    def claim(self) -> None:
        """As ``LocalIndex.claim``.

        :raises IndexUnwritable: also when the file has changed since it was read.
        """
        super().claim()
        if _state(self._file) != self._state:
            self._release()
            raise IndexUnwritable(
                f"The archive {self._file} was changed by another process after it was opened. Open it again."
            )


@contextmanager
def _taken_over(path: Path) -> Iterator[None]:
    """Translates the errors of a database that cannot hold the content of an archive."""
    try:
        yield
    except (sqlite3.Error, UnicodeError, OverflowError) as error:
        reason = without_stop(error)
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
            raise IndexUnwritable(
                f"The archive {path} is too large for the folder of temporary files: {reason}. Free some disk space, "
                "or set SQLITE_TMPDIR to a folder that has room for the whole archive."
            ) from error
        text = f" in {error.object!r:.80}" if isinstance(error, UnicodeEncodeError) else ""
        raise IndexDamaged(
            f"The archive {path} has a value that an index cannot hold: {reason}{text}. Write it again without it."
        ) from error


def _state(path: Path) -> tuple[int, int, int] | None:
    """What identifies a version of a file; None when there is no file."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
