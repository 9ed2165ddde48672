"""The one way to make an index whole at its address, or to put it in the place of another: filled beside it first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from imgsearch_kit.errors import IndexMismatch, IndexNotFound, KitError
from imgsearch_kit.index import sqlite
from imgsearch_kit.index.address import FILES, Address, create_index, open_index
from imgsearch_kit.index.base import VectorIndex
from imgsearch_kit.index.local import LocalIndex, make_file
from imgsearch_kit.records import IndexPassport


def building(
    address: str | Address, passport: IndexPassport, *, unchanged: int | None = None
) -> AbstractContextManager[VectorIndex]:
    """A new, empty index, to be filled in the block: when that ends the index is at ``address``, closed.

    Without ``unchanged`` nothing may be at the address, neither before nor at the end. With it, the index there is
    replaced in one step, if it still has that generation. Until then it answers as it is; to a file nobody else can
    write meanwhile, a change on a server makes the replacement fail. Whoever fills the new index knows how many records
    it must have, and makes sure of that at the end of the block (``check_complete``).

    What the block raises, and every refusal at its end, leaves no trace. Only of a server that is cut off in the last
    step (``ServerUnavailable``, Ctrl-C) it is unknown whether it has taken that step: then nothing is deleted, and what
    is left over goes with the next building at this address, or with the next write to the index there. An index in
    memory ends with the block.

    :raises IndexMismatch: when something is at the address already; or, at the end, when the index there has another
        generation than ``unchanged``, or one of a sample of the new records is not found by its own vector.
    :raises IndexNotFound: when there is nothing to replace.
    :raises BadQuery: when the kind of index does not know the method.
    :raises IndexUnwritable: when it cannot be made there, or the index there is read-only or held by another writer.
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
    """A new index under a name of its own, which the address stands for once it is published."""
    from imgsearch_kit.index.elastic.writing import rebuild_elastic

    if unchanged is None:
        check_free(where)
    with rebuild_elastic(where, passport) as new:
        with _removed_on(BaseException, new):
            yield new
            count = len(new)
            if unchanged is None:
                check_free(where)
        with _removed_on((IndexMismatch, IndexNotFound), new):  # these say that the address does not stand for it
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
    """A new file, which takes its real name once it is whole; whoever would make one there meanwhile is refused."""
    assert where.file is not None
    part, address = _part(where.file), f"{where.kind}:{where.file}"
    check_free(where)
    make_file(part)  # before the lock, which cannot say why a folder takes none
    lock = sqlite.claim(where.file, address)
    try:
        sqlite.remove(part)  # what a killed process has left
        with FILES[where.kind][1].create(part, passport) as new:
            new.address = address
            yield new
        check_free(where)
        part.replace(where.file)
    finally:
        sqlite.remove(part)
        sqlite.release(lock)


@contextmanager
def _replacing(where: Address, passport: IndexPassport, unchanged: int) -> Iterator[VectorIndex]:
    """A new file, whose content the one that is there takes over in one commit."""
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
                old.become(new, unchanged=unchanged)
                old.flush()
        finally:
            sqlite.remove(part)


def _part(file: Path) -> Path:
    return file.with_name(f"{file.name}.part")


def check_free(address: str | Address) -> None:
    """Makes sure that nothing is at an address.

    :raises IndexMismatch: when something is.
    """
    with suppress(IndexNotFound), open_index(address) as there:
        raise IndexMismatch(
            f"There is an index at {there.address} already. Give another address, or remove that index first."
        )
