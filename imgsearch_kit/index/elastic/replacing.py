"""Replaces an index at its address on a server, so that nothing that is written meanwhile is lost.

Every index that the kit makes has a write alias, and all writes go through it. While an index is replaced, its write
alias is closed: other writers wait until the replacement is done, or until the replacing process seems to have died.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from imgsearch_kit.errors import IndexMismatch, IndexNotFound, IndexUnwritable, KitError, ServerUnavailable
from imgsearch_kit.index.elastic import bodies, client
from imgsearch_kit.index.elastic.bodies import Json
from imgsearch_kit.index.elastic.client import Server
from imgsearch_kit.index.elastic.reading import following
from imgsearch_kit.index.stored import check_unchanged

if TYPE_CHECKING:
    from imgsearch_kit.index.elastic.writing import ElasticIndex

P = ParamSpec("P")
R = TypeVar("R")


def write_alias(name: str) -> str:
    """The alias for writes; it is deleted with its index, so that a bulk request cannot create the index again."""
    return f"{name}-write"


def is_of(name: str, address_name: str) -> bool:
    """Whether an index has a name that the kit gives to the indexes of this address only."""
    return re.fullmatch(re.escape(address_name) + "-[0-9a-f]{8}", name) is not None


def made_for(name: str) -> str:
    """The name of the address that an index of the kit was made for."""
    return name[: -len("-00000000")]


def indexes_made_for(server: Server, address_name: str) -> dict[str, Json]:
    """The indexes that the kit made for an address, each with its aliases."""
    found = server.request("GET", f"/{address_name}-*", filter_path="*.aliases")
    aliases = {name: index["aliases"] for name, index in found.items() if is_of(name, address_name)}
    return {name: known for name, known in aliases.items() if write_alias(name) in known}


def indexes_at(server: Server, name: str) -> dict[str, Json]:
    """The indexes that a name stands for, each with its aliases."""
    try:
        found = server.request("GET", f"/{name}", filter_path="*.aliases")
    except IndexNotFound:
        return {}
    return {name: index["aliases"] for name, index in found.items()}


def is_being_replaced(server: Server, name: str) -> bool:
    """Whether an index is being replaced, so that nobody may write to it."""
    return _is_closed(name, indexes_at(server, name).get(name, {}))


def deleted_by_another(address: str) -> IndexMismatch:
    """The error for a new index that another process has deleted before it was published."""
    return IndexMismatch(
        f"The new index for {address} no longer exists; another rebuild of this address has deleted it. "
        "Build it again, one rebuild at a time."
    )


def replace(server: Server, new: str, unchanged: int | None, generation: Callable[[], int]) -> None:
    """Points the address to the index ``new`` and deletes the old one, in one step.

    With ``unchanged``, writes to the old one are blocked first, and then ``generation`` gives its generation.

    :raises IndexMismatch: when that is not ``unchanged``, ``new`` was deleted, or the address points to an index that
        was not made for it; the old one keeps serving.
    """
    old = {name: aliases for name, aliases in indexes_at(server, server.name).items() if name != new}
    for name in old:
        if not is_of(name, server.name):
            raise IndexMismatch(
                f"{server.address} now points to the index {name}, which was not made for this address, so it cannot "
                "be replaced. Give the new index another address."
            )
    try:
        if unchanged is not None:
            for name in old:
                _block_writes(server, name)
            check_unchanged(server.address, unchanged, generation())
        switch(server, old, new)
    except (ServerUnavailable, KeyboardInterrupt):
        raise  # the server may still switch, so writes to the old one stay blocked until that is impossible
    except BaseException:
        if unchanged is not None:
            with contextlib.suppress(KitError):  # who has deleted the new index has allowed writes already
                _allow_writes(server, old, [_write_alias_step(name, is_open=True) for name in (new, *old)])
        raise


def switch(server: Server, old: Mapping[str, Json], new: str) -> None:
    """Points the address to the index ``new``, and deletes the old ones, in one step.

    Other aliases of an old one (``old`` holds them by its name) then point to the new one, otherwise unchanged.

    :raises IndexMismatch: when ``new`` was deleted.
    """
    aliases: dict[str, Json] = {server.name: {}}
    for name, known in old.items():
        aliases |= {alias: kept for alias, kept in known.items() if alias != write_alias(name)}
    aliases[server.name] = aliases[server.name] | {"is_write_index": True}
    steps: list[Json] = [{"remove_index": {"index": name}} for name in old]
    steps += [{"add": {"index": new, "alias": alias, **kept}} for alias, kept in aliases.items()]
    try:
        server.request("POST", "/_aliases", bodies.alias_body(steps))
    except IndexNotFound as error:  # also when the answer to a first attempt was lost
        if server.name not in indexes_at(server, new).get(new, {}):
            raise deleted_by_another(server.address) from error


def discard_unfinished(server: Server, address_name: str) -> None:
    """Deletes the indexes of unfinished rebuilds of an address, and allows writes to the current one again.

    Both happen in one step, which fails where the current index no longer exists: then one of those that seemed
    unfinished has replaced it. A rebuild that still runs finds its index deleted, so it cannot replace one that is
    written to.
    """
    for _ in client.WAITS:
        made = indexes_made_for(server, address_name)
        in_use = [name for name, aliases in made.items() if address_name in aliases]
        closed = [name for name in in_use if _is_closed(name, made[name])]
        unfinished: list[Json] = [{"remove_index": {"index": name}} for name in set(made).difference(in_use)]
        if not unfinished and not closed:
            return
        with contextlib.suppress(IndexNotFound):  # another process has replaced or discarded one: look again
            _allow_writes(server, closed, [*unfinished, *(_write_alias_step(name, is_open=True) for name in in_use)])
            return


def changing(change: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """Repeats a writing method until the index is not being replaced, if needed in the index that replaced it.

    A replacement blocks writes for a moment only. When it takes much longer, its process is assumed to have died.

    :raises IndexUnwritable: when the index is still being replaced after that, or cannot be written for another reason.
    """

    @wraps(change)
    def retry(self: ElasticIndex, /, *args: P.args, **kwargs: P.kwargs) -> R:
        self.check_writable()
        held = True
        for pause in (*client.WAITS, None):
            try:
                return _in_the_current_index(change, self, *args, **kwargs)
            except IndexUnwritable:
                before, held = held, is_being_replaced(self._connected, self._name)
                if not (before or held):  # twice: no replacement can have ended between the refusal and the look
                    raise
            if held and pause is not None:
                time.sleep(pause)
        if held:
            discard_unfinished(self._connected, made_for(self._name))
        try:
            return _in_the_current_index(change, self, *args, **kwargs)
        except IndexUnwritable as error:
            if is_being_replaced(self._connected, self._name):
                raise self._connected.errors.being_replaced() from error
            raise

    return retry


def _in_the_current_index(
    change: Callable[Concatenate[Any, P], R], index: ElasticIndex, /, *args: P.args, **kwargs: P.kwargs
) -> R:
    try:
        return following(change)(index, *args, **kwargs)
    except IndexNotFound:
        index.check_writable()  # the index may be there, and its write alias may not
        raise


def _block_writes(server: Server, name: str) -> None:
    """Blocks writes to an index, and returns when those in progress have ended.

    The closed write alias distinguishes the kit's own block from one that an administrator set.
    """
    server.request("POST", "/_aliases", bodies.alias_body([_write_alias_step(name, is_open=False)]))
    answer = server.request("PUT", f"/{name}/_block/write")
    if not answer["shards_acknowledged"]:
        raise ServerUnavailable(
            f"Writes could not be blocked on every shard of the index at {server.address}. Try again later."
        )


def _allow_writes(server: Server, names: Iterable[str], steps: Sequence[Json]) -> None:
    """Lifts the block of indexes, and opens their write aliases in one step with others: all of them, or none.

    Nobody writes before that step, because the write aliases are closed.

    :raises IndexNotFound: when one of the indexes in the steps no longer exists.
    """
    for name in names:
        server.request("PUT", f"/{name}/_settings", {"index.blocks.write": None})
    server.request("POST", "/_aliases", bodies.alias_body(steps))


def _write_alias_step(name: str, *, is_open: bool) -> Json:
    """The step that opens or closes the write alias of an index."""
    return {"add": {"index": name, "alias": write_alias(name), "is_hidden": True, "is_write_index": is_open}}


def _is_closed(name: str, aliases: Json) -> bool:
    return aliases.get(write_alias(name), {}).get("is_write_index") is False
