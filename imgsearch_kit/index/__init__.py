"""Indexes by address: opened, created, and the passport a new one gets."""

from __future__ import annotations

import platform
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import numpy as np

from imgsearch_kit.errors import BadQuery, IndexNotFound
from imgsearch_kit.index.base import VectorIndex
from imgsearch_kit.records import ExtractorSpec, IndexPassport, Vectors

FORMS = "local:PATH (or a path ending in .db), npz:PATH (or a path ending in .npz), memory:, http(s)://HOST:9200/NAME"
LIBRARIES = ("imgsearch-kit", "numpy", "pillow", "tensorflow", "tensorflow-cpu", "keras")


def open_index(address: str) -> VectorIndex:
    """The index at an address; nothing is ever created.

    :raises IndexNotFound: when nothing is there.
    :raises BadQuery: when the address has none of the known forms.
    """
    kind, path = _parse(address)
    if kind == "http":
        from imgsearch_kit.index.elastic.writing import open_elastic

        return open_elastic(address)
    if kind == "npz":
        from imgsearch_kit.index.archive import ArchiveIndex

        return ArchiveIndex.open(path)
    if kind == "memory":
        raise IndexNotFound(
            "There is no index at memory: to open; one in memory lives only where create_index('memory:') made it. "
            "For one that stays: imgsearch index FOLDER --index local:PATH"
        )
    from imgsearch_kit.index.local import LocalIndex

    return LocalIndex.open(path)


def create_index(address: str, passport: IndexPassport) -> VectorIndex:
    """A new, empty index at an address.

    :raises IndexMismatch: when something is there already.
    :raises BadQuery: when the address has none of the known forms, or the kind of index does not know the method.
    :raises IndexUnwritable: when it cannot be made there.
    """
    kind, path = _parse(address)
    if kind == "http":
        from imgsearch_kit.index.elastic.writing import create_elastic

        return create_elastic(address, passport)
    check_method(address, passport.method)
    if kind == "npz":
        from imgsearch_kit.index.archive import ArchiveIndex

        return ArchiveIndex.create(path, passport)
    from imgsearch_kit.index.local import LocalIndex

    return LocalIndex.in_memory(passport) if kind == "memory" else LocalIndex.create(path, passport)


def check_creatable(address: str, method: str, dim: int) -> None:
    """Makes sure that an index of ``dim``-d vectors could be made at an address, before its vectors are computed.

    :raises IndexMismatch: when a server has something there already.
    :raises BadQuery: when the address has none of the known forms, or the kind of index does not know the method.
    :raises PluginMissing: when the server cannot search by the method.
    """
    if _parse(address)[0] != "http":
        check_method(address, method)
        return
    from imgsearch_kit.index.elastic import writing

    writing.check_creatable(address, method, dim)


def rebuild_index(address: str, passport: IndexPassport) -> VectorIndex:
    """A new, empty index to be filled and then ``publish``-ed; what is at the address serves until then.

    :raises BadQuery: when the kind of index does not know the method.
    :raises IndexUnwritable: when what is there cannot be written to.
    """
    if _parse(address)[0] == "http":
        from imgsearch_kit.index.elastic.writing import rebuild_elastic

        return rebuild_elastic(address, passport)
    check_method(address, passport.method)
    try:
        old = open_index(address)
    except IndexNotFound:
        return create_index(address, passport)
    from imgsearch_kit.index.local import LocalIndex
    from imgsearch_kit.index.local_rebuild import LocalRebuild

    assert isinstance(old, LocalIndex)
    try:
        return LocalRebuild.of(old, passport)
    except BaseException:
        old.close()
        raise


def new_passport(
    spec: ExtractorSpec | None,
    *,
    dim: int | None = None,
    probes: Vectors | None = None,
    roots: Mapping[str, str] | None = None,
    method: str = "exact",
) -> IndexPassport:
    """The passport of an index about to be created: a fresh uuid, the time (UTC), and the versions installed here.

    ``dim`` is needed when ``spec`` is None. ``probes`` is ``(2, dim)`` float32.

    :raises BadQuery: when ``dim`` is missing, not positive, or not that of ``spec``.
    """
    dim = dim if spec is None or dim is not None else spec.dim
    if dim is None or dim < 1 or (spec is not None and dim != spec.dim):
        wanted = "a whole number of at least 1" if spec is None else f"{spec.dim}, as {spec.name} makes them"
        raise BadQuery(f"The dimension of the vectors must be {wanted}; it is {dim!r}.")
    return IndexPassport(
        uuid=str(uuid.uuid4()),
        spec=spec,
        dim=dim,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        roots=dict(roots or {}),
        libraries={"python": platform.python_version()} | _versions(),
        probes=np.zeros((0, 0), np.float32) if probes is None else probes,
        method=method,
    )


def check_method(address: str, method: str) -> None:
    """Makes sure that an index which is not on a server is to search exactly; a server's own methods are its matter.

    :raises BadQuery: when it is not, or the address has none of the known forms.
    """
    if _parse(address)[0] != "http" and method != "exact":
        raise BadQuery(f"An index at {address} has the method exact only, not {method!r}. Leave --method out.")


def shown(address: str) -> str:
    """An address as it may be printed: on a server with its port and without the login, else as it was given.

    :raises BadQuery: when the address has none of the known forms.
    """
    if _parse(address)[0] != "http":
        return address
    from imgsearch_kit.index.address import Address

    return str(Address.parse(address))


def index_file(address: str) -> tuple[str, Path] | None:
    """The kind ("local" or "npz") and the file of an index that is one file, None for an address of another kind.

    :raises BadQuery: when the address has none of the known forms.
    """
    kind, path = _parse(address)
    return (kind, path) if kind in ("local", "npz") else None


def _parse(address: str) -> tuple[str, Path]:
    """The kind of index an address names ("local", "npz", "memory" or "http"), and its path."""
    if address.startswith(("http://", "https://")):
        return "http", Path()
    if address == "memory:":
        return "memory", Path()
    for kind, ending in (("local", ".db"), ("npz", ".npz")):
        scheme, path = address.startswith(f"{kind}:"), address.removeprefix(f"{kind}:")
        if path and (scheme or (path.endswith(ending) and "://" not in path)):
            return kind, Path(path).expanduser()
    raise BadQuery(f"The index address {address!r} is of no known form. Write {FORMS}.")


def _versions() -> dict[str, str]:
    """The installed versions of the libraries that decide vectors, without importing them."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # tensorflow goes by one of two names
    return found
