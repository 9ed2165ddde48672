"""A new index in a file beside the one that serves, whose place it takes once it is whole."""

from __future__ import annotations

from typing import Self

from imgsearch_kit.index import sqlite
from imgsearch_kit.index.base import check_complete
from imgsearch_kit.index.local import LocalIndex
from imgsearch_kit.records import IndexPassport


class LocalRebuild(LocalIndex):
    """A new index in a file beside the one that serves at an address, whose place it takes when it is published.

    Nobody else writes to that one meanwhile. Closing removes the file.
    """

    _old: LocalIndex | None = None

    @classmethod
    def of(cls, old: LocalIndex, passport: IndexPassport) -> Self:
        """The new, empty index; ``old`` is closed with it.

        :raises IndexUnwritable: when the old one is read-only, or held by another writer.
        """
        old._claim()
        path = old._path
        assert path is not None
        part = path.with_name(f"{path.name}.rebuild")
        sqlite.remove(part)  # what a killed rebuild has left
        index = cls.create(part, passport)
        index._old, index.address = old, old.address
        return index

    def publish(self, count: int, *, unchanged: int | None = None) -> None:
        """Puts all records into the place of those of the old index, in one commit."""
        check_complete(self, count)
        assert self._old is not None
        self._old.become(self, unchanged=unchanged)
        self._old.flush()

    def close(self) -> None:
        """Removes the file, and lets go of the index that serves."""
        super().close()
        if self._path is not None:
            sqlite.remove(self._path)
        if self._old is not None:
            self._old.close()
