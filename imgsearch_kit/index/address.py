"""The address of an index, parsed once, and the index that is opened or created at it."""

from __future__ import annotations

import dataclasses
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from imgsearch_kit.errors import BadQuery, IndexMismatch, IndexNotFound, closing_on_error, without_secrets, without_stop
from imgsearch_kit.index.archive import ArchiveIndex
from imgsearch_kit.index.base import VectorIndex
from imgsearch_kit.index.graph import graph_parameters
from imgsearch_kit.index.local import LocalIndex
from imgsearch_kit.records import IndexPassport

if TYPE_CHECKING:
    from imgsearch_kit.index.elastic.address import ServerAddress

FORMS = "local:PATH (or a path ending in .db), npz:PATH (or a path ending in .npz), memory:, http(s)://HOST:9200/NAME"
FILES: dict[str, tuple[str, type[LocalIndex]]] = {"local": (".db", LocalIndex), "npz": (".npz", ArchiveIndex)}


@dataclass(frozen=True)
class Address:
    """A place for an index, of the ``kind`` "local" or "npz" (one ``file``), "memory", or "server".

    ``text`` is the address for messages: as it was typed; on a server with its port and without the login. Two
    addresses of the same place are equal, however they were typed.
    """

    kind: str
    place: str
    text: str = field(compare=False)
    file: Path | None = field(default=None, compare=False)
    server: ServerAddress | None = field(default=None, compare=False)

    @classmethod
    def parse(cls, address: str | Address) -> Address:
        """The address in a text; an address that is parsed already is returned as it is.

        :raises BadQuery: when the text has none of the known forms.
        """
        if isinstance(address, Address):
            return address
        if address.startswith(("http://", "https://")):
            from imgsearch_kit.index.elastic.address import ServerAddress

            return cls._on(ServerAddress.parse(address))
        if address == "memory:":
            return cls("memory", "", address)
        for kind, (ending, _) in FILES.items():
            scheme, path = address.startswith(f"{kind}:"), address.removeprefix(f"{kind}:")
            if path and (scheme or (path.endswith(ending) and "://" not in path)):
                try:
                    file = Path(path).expanduser()
                    return cls(kind, str(file.resolve()), address, file)
                except (RuntimeError, ValueError, OSError) as error:  # no such home; a NUL; a loop of links
                    raise BadQuery(f"The index address {address!r} names no file: {without_stop(error)}.") from error
        raise BadQuery(f"The index address {without_secrets(address)!r} has no known form. Write {FORMS}.")

    @classmethod
    def _on(cls, server: ServerAddress) -> Address:
        return cls("server", str(server), str(server), server=server)

    @property
    def on_server(self) -> bool:
        """Whether the index is on a server."""
        return self.server is not None

    def beside(self, prefix: str) -> Address:
        """A new address on the same server: PREFIX-NAME with a random ending.

        :raises BadQuery: when this one is not on a server.
        """
        if self.server is None:
            raise BadQuery(f"{self} is not the address of an index on a server. Write http(s)://HOST:9200/NAME")
        name = f"{prefix}-{self.server.name}-{uuid.uuid4().hex[:8]}"
        return self._on(dataclasses.replace(self.server, name=name))

    def check_method(self, method: str) -> None:
        """Checks the method of an index that is not on a server; a server checks its own methods.

        :raises BadQuery: when it is not ``exact``, nor ``hnsw`` with its parameters where the index is no archive.
        """
        if self.kind == "npz" and method != "exact":
            raise BadQuery(f"An index at {self} has the method exact only, not {method!r}. Leave --method out.")
        if not self.on_server:
            graph_parameters(method, f"at {self}")

    def __str__(self) -> str:
        return self.text


def open_index(address: str | Address) -> VectorIndex:
    """The index at an address; it is never created.

    :raises IndexNotFound: when nothing is there.
    :raises BadQuery: when the address has none of the known forms.
    :raises IndexMismatch: when another program made it, or it has ``dba`` baked in.
    """
    index = _opened(Address.parse(address))
    with closing_on_error(index):
        _check_baked(index)
    return index


def _opened(where: Address) -> VectorIndex:
    if where.server:
        from imgsearch_kit.index.elastic.writing import open_elastic

        return open_elastic(where)
    if where.file is None:
        raise IndexNotFound(
            "There is no index at memory: to open; it exists only as the object that create_index('memory:') returned. "
            "To make one in a file: imgsearch index FOLDER --index local:PATH"
        )
    return FILES[where.kind][1].open(where.file)


def _check_baked(index: VectorIndex) -> None:
    """Refuses an index that has ``dba`` baked in, as earlier versions of the kit could make it."""
    baked = index.passport.baked
    steps = [step.strip() for step in baked.spec.split(",")] if baked else []
    sums = [step for step in steps if step.startswith("dba")]
    if not baked or not sums:
        return
    message = (
        f"The index at {index.address} has {baked.spec} baked in, which this kit no longer uses: with dba each stored "
        "vector is a sum with its neighbours', so that no picture can be added and figures are optimistic. Give dba to "
        f"search and evaluate instead. On the index that it was copied from: --rank {baked.spec}"
    )
    if rest := [step for step in steps if step not in sums]:
        message += (
            f". Or copy that one again, imgsearch copy SOURCE TO --rank {','.join(rest)}, and search the copy with "
            f"--rank {','.join(sums)}"
        )
    raise IndexMismatch(message)


def check_creatable(address: str | Address, method: str, dim: int) -> None:
    """Checks that an index of ``dim``-d vectors can be made at an address, before its vectors are computed.

    :raises IndexMismatch: when a server has something there already.
    :raises BadQuery: when the address has none of the known forms, or the kind of index does not know the method.
    :raises PluginMissing: when the server cannot search by the method.
    """
    where = Address.parse(address)
    if where.server:
        from imgsearch_kit.index.elastic import writing

        writing.check_elastic_creatable(where, method, dim)
    else:
        where.check_method(method)


def create_index(address: str | Address, passport: IndexPassport) -> VectorIndex:
    """A new, empty index at an address.

    :raises IndexMismatch: when something is there already.
    :raises BadQuery: when the address has none of the known forms, or the kind of index does not know the method.
    :raises IndexUnwritable: when it cannot be made there.
    """
    where = Address.parse(address)
    if where.server:
        from imgsearch_kit.index.elastic.writing import create_elastic

        return create_elastic(where, passport)
    where.check_method(passport.method)
    if where.file is None:
        return LocalIndex.in_memory(passport)
    return FILES[where.kind][1].create(where.file, passport)
