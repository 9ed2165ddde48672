"""The one way to make or replace an index atomically: it is filled elsewhere, and then moved to its address."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from imgsearch_kit.errors import IndexMismatch, IndexNotFound, KitError
from imgsearch_kit.index import sqlite
from imgsearch_kit.index.address import FILES, Address, create_index, open_index
from imgsearch_kit.index.base import VectorIndex
from imgsearch_kit.index.database import make_file
from imgsearch_kit.index.local import LocalIndex
from imgsearch_kit.outputs import DATABASE
from imgsearch_kit.records import IndexPassport


def building(
    address: str | Address, passport: IndexPassport, *, unchanged: int | None = None
) -> AbstractContextManager[VectorIndex]:
    """A new, empty index, to be filled in the block; at the end of the block it is at ``address``, closed.

    Without ``unchanged`` nothing may be at the address, neither before nor at the end. With it, the index there is
    replaced in one step, if it still has that generation. Until then it keeps answering; a file cannot be written by
    others meanwhile, and a change on a server makes the replacement fail. The caller knows how many records the new
    index must have, and checks that at the end of the block (``check_complete``).

    An error in the block or at its end leaves nothing behind. There is one exception: when the connection to a server
    fails in the last step (``ServerUnavailable``, Ctrl-C), it is unknown whether the server has done that step. Then
    nothing is deleted now; the next building at this address, or the next write to the index there, deletes what is
    left over. An index in memory ends with the block.

    :raises IndexMismatch: when something is at the address already; or, at the end, when the index there has another
        generation than ``unchanged``, or one of a sample of the new records is not found by its own vector.
    :raises IndexNotFound: when there is nothing to replace.
    :raises BadQuery: when the kind of index does not know the method.
    :raises IndexUnwritable: when it cannot be made there, or the index there is read-only or locked by another writer.
    :raises PluginMissing: when the method is one of Elastiknn's and the server has no such plugin.
    """
    where = Address.parse(address)
    where.check_method(passport.method)
    if where.server:
        return _on_server(where, passport, unchanged)
    if where.file is None:
        return create_index(where, passport)
    return _beside(where, passport) if unchanged is None else _replacing(where, passport, unchanged)


@contextmanager
def _on_server(where: Address, passport: IndexPassport, unchanged: int | None) -> Iterator[VectorIndex]:
    """A new index under another name; publishing it points the address to it."""
    from imgsearch_kit.index.elastic.writing import rebuild_elastic

    if unchanged is None:
        check_free(where)
    with rebuild_elastic(where, passport) as new:
        with _removed_on(BaseException, new):
            yield new
            count = len(new)
            if unchanged is None:
                check_free(where)
        with _removed_on((IndexMismatch, IndexNotFound), new):  # after these the address does not point to it
            new.publish(count, unchanged=unchanged)


@contextmanager
def _removed_on(kind: type[BaseException] | tuple[type[BaseException], ...], new: VectorIndex) -> Iterator[None]:
    try:
        yield
    except kind:
        with suppress(KitError):  # what cannot be deleted now, the next building at this address deletes
            new.remove()
        raise


@contextmanager
def _beside(where: Address, passport: IndexPassport) -> Iterator[VectorIndex]:
    """A new file, which gets its real name when it is complete; other writers are refused meanwhile."""
    assert where.file is not None
    file = Path(os.path.realpath(where.file))  # a link stays a link
    part, address = _part(file), f"{where.kind}:{where.file}"
    check_free(where)
    make_file(part)  # before the lock, whose error would not say why the folder cannot be written
    lock = sqlite.claim(where.file, address)
    try:
        sqlite.remove(part)  # left by a killed process
        with FILES[where.kind][1].create(part, passport) as new:
            new.address = address
            yield new
        check_free(where)
        part.replace(file)
    finally:
        sqlite.remove(part)
        sqlite.release(lock)


@contextmanager
def _replacing(where: Address, passport: IndexPassport, unchanged: int) -> Iterator[VectorIndex]:
    """A new file, whose content replaces that of the existing file in one commit."""
    with open_index(where) as old:
        assert isinstance(old, LocalIndex)
        assert where.file is not None
        old.claim()
        part = _part(where.file)
        sqlite.remove(part)
        try:
            with LocalIndex.create(part, passport) as new:
                new.address = old.address
                yield new
                old.replace_content_with(new, unchanged=unchanged)
                old.flush()
        finally:
            sqlite.remove(part)


def _part(file: Path) -> Path:
    """Where the new file is filled; what lies there must be left by a killed process."""
    part = file.with_name(f"{file.name}.part")
    sqlite.check_own(part, DATABASE, b"PK\3\4")
    return part


def check_free(address: str | Address) -> None:
    """Checks that there is no index at an address.

    :raises IndexMismatch: when there is one.
    """
    with suppress(IndexNotFound), open_index(address) as there:
        raise IndexMismatch(
            f"There is an index at {there.address} already. Give another address, or remove that index first."
        )
