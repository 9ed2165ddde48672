"""Bulk writing to a server: documents in chunks, several requests in flight, refusals with their reasons."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import orjson

from imgsearch_kit.index.elastic import client
from imgsearch_kit.index.elastic.client import Server
from imgsearch_kit.index.elastic.errors import NO_WRITE_INDEX, TRANSIENT, reason_of

MOST_DOCUMENTS = 500
MOST_BYTES = 4 * 2**20
IN_FLIGHT = 4
CONFLICT = 409  # the status of a document that another writer has changed since it was read
# These would refuse every other document too.
ENDS_ALL = ("cluster_block_exception", "index_not_found_exception", "index_closed_exception")


@dataclass(frozen=True, slots=True)
class Action:
    """One document to write or delete; ``id`` is the record's, ``lines`` the NDJSON of the request."""

    id: str
    lines: bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of an action: its HTTP status, and the reason if it was refused ("" if not)."""

    id: str
    status: int
    reason: str = ""


def index_action(
    id: str,  # noqa: A002 (the field's name)
    key: str,
    document: Any,
    *,
    over: Mapping[str, Any] | None = None,
) -> Action:
    """Writes a document under the ``_id`` ``key``, over what was there.

    With ``over``, the document as the server returned it, only over this version of it; else the status is CONFLICT.

    :raises TypeError: when a string in it is not valid Unicode text.
    """
    if over is None:
        head = orjson.dumps({"index": {"_id": key}})
    elif over["found"]:
        seen = {"if_seq_no": over["_seq_no"], "if_primary_term": over["_primary_term"]}
        head = orjson.dumps({"index": {"_id": key, **seen}})
    else:
        head = orjson.dumps({"create": {"_id": key}})
    return Action(id, head + b"\n" + orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n")


def delete_action(id: str, key: str) -> Action:  # noqa: A002 (the field's name)
    """Deletes the document ``key``."""
    return Action(id, orjson.dumps({"delete": {"_id": key}}) + b"\n")


def chunks(actions: Iterable[Action], documents: int, size: int) -> Iterator[list[Action]]:
    """The actions in order, in lists of at most so many, and of so many bytes unless a single one is larger."""
    chunk: list[Action] = []
    held = 0
    for action in actions:
        if chunk and (len(chunk) == documents or held + len(action.lines) > size):
            yield chunk
            chunk, held = [], 0
        chunk.append(action)
        held += len(action.lines)
    if chunk:
        yield chunk


def write(server: Server, alias: str, actions: Iterable[Action]) -> list[Outcome]:
    """Sends the actions to a write alias, and returns when the last one is durable; one outcome each, in no order.

    The actions are made while earlier ones are in flight. None is searchable before a refresh.

    :raises IndexUnwritable: when the index is blocked.
    :raises IndexNotFound: when the index was deleted; the server never creates another one by itself.
    :raises ServerUnavailable: when requests still fail after the last attempt; what was sent before stays written.
    """
    outcomes: list[Outcome] = []
    pending: set[Future[list[Outcome]]] = set()
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        try:
            for chunk in chunks(actions, MOST_DOCUMENTS, MOST_BYTES):
                if len(pending) == IN_FLIGHT:
                    done, pending = wait(pending, return_when=FIRST_COMPLETED)
                    outcomes += (outcome for future in done for outcome in future.result())
                pending.add(pool.submit(_send, server, alias, chunk))
            outcomes += (outcome for future in pending for outcome in future.result())
        finally:
            for future in pending:
                future.cancel()
    return outcomes


def _send(server: Server, alias: str, chunk: list[Action]) -> list[Outcome]:
    """Sends one chunk, and sends again what the server was too busy for."""
    outcomes: list[Outcome] = []
    pauses = iter(client.WAITS)
    while True:
        answer = server.request(
            "POST",
            f"/{alias}/_bulk",
            b"".join(action.lines for action in chunk),
            require_alias="true",
            filter_path="items.*.status,items.*.error.type,items.*.error.reason,items.*.error.caused_by",
        )
        pause, busy = next(pauses, None), []
        for action, item in zip(chunk, answer["items"], strict=True):
            ((_, result),) = item.items()
            status, error = result["status"], result.get("error", {})
            if (error.get("type") in ENDS_ALL and status != 503) or NO_WRITE_INDEX in error.get("reason", ""):
                raise server.errors.refusal(status, result)
            if error and status in TRANSIENT and pause is not None:
                busy.append(action)
            else:
                outcomes.append(Outcome(action.id, status, reason_of(result) if error else ""))
        if not busy or pause is None:
            return outcomes
        chunk = busy
        time.sleep(pause)
