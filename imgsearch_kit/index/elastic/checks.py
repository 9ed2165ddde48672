"""Whether what an address stands for is one whole index, as it was made; other programs may have changed it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from imgsearch_kit.errors import IndexDamaged, IndexMismatch
from imgsearch_kit.index.elastic import bodies
from imgsearch_kit.index.elastic.bodies import Json
from imgsearch_kit.index.elastic.client import Server
from imgsearch_kit.index.elastic.methods import Method
from imgsearch_kit.index.elastic.replacing import is_of, made_for

MOST_NAMES = 5  # indexes in a message
LIMITS = ("filter", "index_routing", "search_routing")  # of an alias: it then stands for a part of an index
UNSAID = {"index": True, "doc_values": True}  # what a server leaves out of a mapping
KEYWORD = {"type": "keyword", **UNSAID, "normalizer": None, "ignore_above": None}


def the_one(server: Server, found: Mapping[str, Json]) -> tuple[str, Json]:
    """The name and the description of the whole index that an address stands for.

    :raises IndexMismatch: when it is a data stream, or an alias for several indexes or for a part of one.
    """
    if stream := next((index["data_stream"] for index in found.values() if "data_stream" in index), None):
        raise IndexMismatch(
            f"{server.address} is the data stream {stream}, and an index of the kit cannot be in one, because "
            "documents of a data stream cannot be replaced. Give another address."
        )
    if len(found) != 1:
        names = sorted(found)
        more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
        raise IndexMismatch(
            f"{server.address} points to {len(found)} indexes: {', '.join(names[:MOST_NAMES])}{more}. "
            "Give the address of one."
        )
    ((name, index),) = found.items()
    aliases = index.get("aliases", {})
    if limits := [limit for limit in LIMITS if limit in aliases.get(server.name, {})]:
        own = made_for(name)
        whole = own if is_of(name, own) and own in aliases and not set(LIMITS) & set(aliases[own]) else name
        raise IndexMismatch(
            f"{server.address} is an alias with {' and '.join(limits)}, so it stands for a part of the index {name}, "
            f"and the kit opens whole indexes only. Give the address of the whole index, and choose the part with "
            f"--label: {server.address.removesuffix(server.name)}{whole}"
        )
    return name, index


def check_unchanged_mapping(server: Server, mappings: Json, method: Method, dim: int) -> None:
    """Checks that the fields on which answers depend are mapped as the kit mapped them.

    :raises IndexDamaged: when one is missing, or is mapped otherwise.
    """
    fields, runtime = mappings.get("properties", {}), mappings.get("runtime", {})
    wanted = dict.fromkeys(("id", "label", "sha256"), KEYWORD) | bodies.vector_fields(method, dim)
    changes = [f"{name} is a runtime field" for name in wanted if name in runtime]
    changes += [change for name, field in wanted.items() for change in _differences(name, fields.get(name), field)]
    if changes:
        raise IndexDamaged(
            f"Another program has changed the index at {server.address}, so its answers would be wrong: "
            f"{'; '.join(changes)}. Index the pictures again, at another address: imgsearch index FOLDER"
        )


def check_source(server: Server, mappings: Json) -> None:
    """Checks that the server keeps documents whole.

    :raises IndexDamaged: when it keeps only some of their fields, or none, in ``_source``.
    """
    source = mappings.get("_source", {})
    if source.get("enabled") is False or source.get("includes") or source.get("excludes"):
        raise IndexDamaged(
            f"The index at {server.address} does not keep its documents whole (_source: {source}), so vectors and "
            "paths cannot be read from them. Index the pictures again, at another address: imgsearch index FOLDER"
        )


def _differences(path: str, found: Any, wanted: Any) -> Iterator[str]:
    if found is None and wanted is not None:
        yield f"{path} is missing"
    elif isinstance(wanted, Mapping):
        for key, value in wanted.items():
            yield from _differences(f"{path}.{key}", found.get(key, UNSAID.get(key)), value)
    elif found != wanted:
        yield f"{path} is {found!r}" + ("" if wanted is None else f" instead of {wanted!r}")
