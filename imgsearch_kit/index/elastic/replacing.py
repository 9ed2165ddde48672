"""One index in the place of another at its address on a server: nothing that is written meanwhile may be lost.

A write alias goes with every index that the kit makes, and all writes go through it. Closed, it holds the index:
whoever writes waits until the replacement is done, or long enough to take the one who replaces for dead.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from imgsearch_kit.errors import IndexMismatch, IndexNotFound, IndexUnwritable, KitError, ServerUnavailable
from imgsearch_kit.index.base import check_unchanged
from imgsearch_kit.index.elastic import bodies, client
from imgsearch_kit.index.elastic.bodies import Json
from imgsearch_kit.index.elastic.client import Server
from imgsearch_kit.index.elastic.reading import following

if TYPE_CHECKING:
    from imgsearch_kit.index.elastic.writing import ElasticIndex

P = ParamSpec("P")
R = TypeVar("R")


def write_alias(name: str) -> str:
    """The alias that writes go through; it vanishes with its index, so that no bulk makes that anew by itself."""
    return f"{name}-write"


def is_of(name: str, address_name: str) -> bool:
    """Whether an index has a name that the kit gives those of an address, and of no other."""
    return re.fullmatch(re.escape(address_name) + "-[0-9a-f]{8}", name) is not None


def family(server: Server) -> dict[str, Json]:
    """The indexes that were made for an address, and those of no other, each with its aliases."""
    found = server.request("GET", f"/{server.name}-*", filter_path="*.aliases")
    aliases = {name: index["aliases"] for name, index in found.items() if is_of(name, server.name)}
    return {name: known for name, known in aliases.items() if write_alias(name) in known}


def serving(server: Server) -> dict[str, Json]:
    """The indexes that an address stands for, each with its aliases."""
    try:
        found = server.request("GET", f"/{server.name}", filter_path="*.aliases")
    except IndexNotFound:
        return {}
    return {name: index["aliases"] for name, index in found.items()}


def is_held(server: Server, name: str) -> bool:
    """Whether an index is just being replaced, so that nobody may write to it."""
    return _is_closed(name, family(server).get(name, {}))


def gone(address: str) -> IndexMismatch:
    """The error for a new index that somebody else has deleted before it could take its place."""
    return IndexMismatch(
        f"The new index for {address} is gone; another rebuild of this address has deleted it. "
        "Build it again, one at a time."
    )


def replace(server: Server, new: str, unchanged: int | None, generation: Callable[[], int]) -> None:
    """Makes the address stand for the index ``new``, in one step, and deletes the one it stood for.

    With ``unchanged`` that one is held first, and ``generation`` asked for what it has come to.

    :raises IndexMismatch: when that is another than ``unchanged``, ``new`` is gone, or the address stands for an index
        that was not made for it; the old one serves on.
    """
    old = {name: aliases for name, aliases in serving(server).items() if name != new}
    for name in old:
        if not is_of(name, server.name):
            raise IndexMismatch(
                f"{server.address} stands for the index {name} now, which was not made for it, so no other can take "
                "its place. Give the new index another address."
            )
    try:
        if unchanged is not None:
            for name in old:
                _hold(server, name)
            check_unchanged(server.address, unchanged, generation())
        switch(server, old, new)
    except (ServerUnavailable, KeyboardInterrupt):
        raise  # the server may still be about to switch, so the old one stays held until that is ruled out
    except BaseException:
        for name in old if unchanged is not None else ():
            with contextlib.suppress(KitError):
                _let_go(server, name)
        raise


def switch(server: Server, old: Mapping[str, Json], new: str) -> None:
    """Makes the address stand for the index ``new``, and deletes the old ones, in one step.

    Other aliases of an old one (``old`` holds them by its name) stand for the new one then, as they were.

    :raises IndexMismatch: when ``new`` is gone.
    """
    aliases: dict[str, Json] = {server.name: {}}
    for name, known in old.items():
        aliases |= {alias: kept for alias, kept in known.items() if alias != write_alias(name)}
    aliases[server.name] = aliases[server.name] | {"is_write_index": True}
    steps: list[Json] = [{"remove_index": {"index": name}} for name in old]
    steps += [{"add": {"index": new, "alias": alias, **kept}} for alias, kept in aliases.items()]
    try:
        server.request("POST", "/_aliases", bodies.alias_body(steps))
    except IndexNotFound as error:  # so it is when the answer to a first attempt was lost
        if server.name not in family(server).get(new, {}):
            raise gone(server.address) from error


def give_up(server: Server) -> None:
    """Deletes what unfinished rebuilds of an address have made, and lets go of the index that they were to replace.

    In this order: a rebuild that is still alive finds its own index gone, and cannot take the place of one written to.
    """
    made = family(server)
    in_use = [name for name, aliases in made.items() if server.name in aliases]
    for name in set(made).difference(in_use):
        with contextlib.suppress(IndexNotFound):
            server.request("DELETE", f"/{name}")
    for name in in_use:
        if _is_closed(name, made[name]):
            _let_go(server, name)


def changing(change: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """Lets a writing method go on in the index that is just taking, or has taken, this one's place.

    Whoever holds this one for that needs a moment. After more than a dozen moments it is taken for dead.
    """

    @wraps(change)
    def go_on(self: ElasticIndex, /, *args: P.args, **kwargs: P.kwargs) -> R:
        self.check_writable()
        for pause in (*client.WAITS, None):
            try:
                return following(change)(self, *args, **kwargs)
            except IndexUnwritable:
                if not is_held(self._connected, self._name):
                    raise
            if pause is not None:
                time.sleep(pause)
        give_up(self._connected)
        return following(change)(self, *args, **kwargs)

    return go_on


def _hold(server: Server, name: str) -> None:
    """Lets no write into an index any more, and returns when those on their way have ended.

    The write alias, closed, tells the kit's own hold from a block that an administrator set.
    """
    server.request("POST", "/_aliases", bodies.alias_body([_opening(name, opened=False)]))
    answer = server.request("PUT", f"/{name}/_block/write")
    if not answer["shards_acknowledged"]:
        raise ServerUnavailable(f"Not every shard of the index at {server.address} could be held. Try again later.")


def _let_go(server: Server, name: str) -> None:
    server.request("PUT", f"/{name}/_settings", {"index.blocks.write": None})
    server.request("POST", "/_aliases", bodies.alias_body([_opening(name, opened=True)]))


def _opening(name: str, *, opened: bool) -> Json:
    """The step that opens or closes the write alias of an index."""
    return {"add": {"index": name, "alias": write_alias(name), "is_hidden": True, "is_write_index": opened}}


def _is_closed(name: str, aliases: Json) -> bool:
    return aliases.get(write_alias(name), {}).get("is_write_index") is False
