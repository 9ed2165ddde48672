"""The SQLite database of a local index: made, opened, and read and written in transactions."""

from __future__ import annotations

import dataclasses
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from filelock import FileLock

from imgsearch_kit.errors import BadQuery, IndexMismatch, IndexUnwritable, closing_on_error
from imgsearch_kit.index import schema, sqlite
from imgsearch_kit.index.base import VectorIndex
from imgsearch_kit.index.stored import rebuilt_otherwise
from imgsearch_kit.records import IndexPassport


class LocalDatabase(VectorIndex):
    """One SQLite file in WAL mode, or one database in memory, with the passport of the index in it.

    Threads may share one object. Any number of processes may read; a second writer is refused. A commit is on disk
    when a method that writes returns, and a process killed at any moment leaves whole commits only.
    """

    def __init__(
        self, database: sqlite3.Connection, passport: IndexPassport, path: Path | None = None, *, frozen: bool = False
    ):
        self.address = f"local:{path}" if path else "memory:"
        self._passport = passport
        self._path = path
        self._frozen = frozen
        self._database: sqlite3.Connection | None = database
        self._lock = threading.RLock()  # one statement or transaction at a time on the one connection
        self._writer: FileLock | None = None
        self._seen: tuple[int, schema.Maker] | None = None  # the generation last seen, and who made its vectors

    @classmethod
    def in_memory(cls, passport: IndexPassport) -> Self:
        """A new, empty index that lives as long as this object."""
        database = sqlite.connect(None)
        schema.create_tables(database, passport)
        return cls(database, passport)

    @classmethod
    def create(cls, path: Path, passport: IndexPassport) -> Self:
        """A new, empty index in the file ``path``; its folder is made if need be.

        :raises IndexMismatch: when something is there already.
        :raises IndexUnwritable: when the file cannot be made.
        """
        sqlite.check_place(path)
        make_file(path)
        with sqlite.translated_errors(f"local:{path}"):
            index = cls(sqlite.connect(path, "mode=rwc"), passport, path)
            with closing_on_error(index):
                if sqlite.is_empty(index._db):  # asked before a pragma changes somebody else's file
                    index._db.execute("PRAGMA page_size = 16384")
                    index._db.execute("PRAGMA journal_mode = WAL")
                with index._writing(grow=False) as db:
                    if not sqlite.is_empty(db):
                        schema.check_kind(db, index.address)
                        raise IndexMismatch(
                            f"There is an index at {index.address} already, with {len(index)} records. "
                            "Open it, delete the file, or give another address."
                        )
                    schema.create_tables(db, passport)
        return index

    @classmethod
    def open(cls, path: Path) -> Self:
        """The index in the file ``path``; makes no file, and reads where it may not write.

        :raises IndexNotFound: when there is no such file, or it is empty or may not be read.
        :raises IndexMismatch: when it is another program's SQLite file.
        :raises IndexDamaged: when it is no SQLite file, or a damaged one.
        :raises VersionMismatch: when a newer kit wrote it.
        """
        sqlite.check_place(path)
        address = f"local:{path}"
        with sqlite.translated_errors(address):
            database, frozen = sqlite.connect_existing(path)
            with closing_on_error(database):
                if sqlite.is_empty(database):
                    raise sqlite.not_found(address)
                schema.check_kind(database, address)
                passport, maker = schema.passport(database, address), schema.maker(database)
        index = cls(database, passport, path, frozen=frozen)
        index._seen = -1, maker
        return index

    @property
    def passport(self) -> IndexPassport:
        """The passport as of the opening, and after each change made by this object."""
        stored = self._passport
        return stored if stored.spec else dataclasses.replace(stored, spec=self.declared)

    def read_passport(self) -> IndexPassport:
        """The passport as of now, read from the file."""
        with self._reading() as db:
            self._passport = schema.passport(db, self.address)
        return self.passport

    def claim(self) -> None:
        """Takes the file's writer lock, until ``flush``, ``close`` or the end of the process.

        :raises IndexUnwritable: when another has the lock, or the file is read-only.
        """
        if self._path is not None and self._writer is None:
            self._writer = sqlite.claim(self._path, self.address)

    def _release(self) -> None:
        if self._writer is not None:
            sqlite.release(self._writer)
            self._writer = None

    def flush(self) -> None:
        """Releases the writer lock until the next change; what ``add`` committed is searchable already."""
        with self._lock:
            self._release()

    def close(self) -> None:
        """Closes the file and releases the writer lock."""
        with self._lock, sqlite.translated_errors(self.address):
            self._disconnect()
            self._release()

    def _disconnect(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    @property
    def _db(self) -> sqlite3.Connection:
        if self._database is None:
            raise BadQuery(f"The index at {self.address} is closed. Open it again.")
        return self._database

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """One consistent state, while another process writes."""
        with self._lock, sqlite.translated_errors(self.address):
            db = self._db
            if db.in_transaction:  # within another of these
                yield db
                return
            if self._path and self.address.startswith("local:") and not self._path.exists():
                # it was deleted, and only this connection still sees it
                raise sqlite.not_found(self.address)
            if self._frozen:  # such a connection never reads a page twice
                self._database = sqlite.connect(self._path, sqlite.FROZEN)
                db.close()
                db = self._database
            db.execute("BEGIN")
            try:
                self._check_maker(db)
                yield db
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")

    def _check_maker(self, db: sqlite3.Connection) -> None:
        """Checks, when the index has changed, that the same extractor still made its vectors."""
        generation = schema.generation(db)
        if self._seen is None or self._seen[0] != generation:
            maker = schema.maker(db)
            if self._seen is not None and self._seen[1] != maker:
                raise rebuilt_otherwise(self.address)
            self._seen = generation, maker

    @contextmanager
    def _writing(self, *, grow: bool = True) -> Iterator[sqlite3.Connection]:
        """One transaction, which also increments the generation; it is committed as a whole or rolled back."""
        with self._lock, sqlite.translated_errors(self.address):
            db = self._db
            self.claim()
            db.execute("BEGIN IMMEDIATE")
            try:
                if self._seen is not None:
                    self._check_maker(db)
                if grow:
                    schema.upgrade(db)
                yield db
                if grow:
                    db.execute("UPDATE passport SET generation = generation + 1")
                passport = schema.passport(db, self.address)
                db.execute("COMMIT")
                self._passport = passport
            except BaseException:
                if db.in_transaction:  # on some errors, such as a full disk, SQLite has rolled back by itself
                    db.execute("ROLLBACK")
                raise


def make_file(path: Path) -> None:
    """Makes an empty file and its folder, where they do not exist.

    :raises IndexUnwritable: when that is not possible.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("ab").close()
    except OSError as error:
        raise IndexUnwritable(
            f"The file {path} cannot be made: {error.strerror} ({error.filename}). "
            "Make its folder writable, or give another address."
        ) from error
