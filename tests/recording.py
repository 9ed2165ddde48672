"""What the kit and a server say to each other: recorded once, and replayed in every run without that server.

A recording is a file of JSON lines, one exchange each, in order. What differs from run to run (names, the server's own
ids, times) has steady names in it, so a change of these files is a change of what is said.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import json
import math
import os
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.faulty_proxy import Proxy, Reply, Request

FOLDER = Path(__file__).parent / "exchanges"
RECORDING = bool(os.environ.get("RECORD_EXCHANGES"))
INDEX = "recorded"  # what every index is named in a recording
LONG = 24  # longer lists of what the kit sent are told by their ends and a sum
NEAR = 1e-5
SERVER_S_OWN = {"shard_path", "commit", "retention_leases", "index_uuid", "search_idle", "search_idle_time", "took"}
CREATED = "1767312000000"


@contextlib.contextmanager
def steady() -> Iterator[None]:
    """Names are counted, the time stands still, and requests go one by one: two runs say the same in one order."""

    class Then(datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2026, 1, 2, tzinfo=tz)

    numbers = iter(range(1, 1000))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uuid, "uuid4", lambda: uuid.UUID(int=next(numbers) << 96))
        patch.setattr("imgsearch_kit.index.datetime", Then)
        patch.setattr("imgsearch_kit.index.LIBRARIES", ())
        patch.setattr("platform.python_version", lambda: "3")
        patch.setattr("imgsearch_kit.index.elastic.bulk.IN_FLIGHT", 1)
        yield


@contextlib.contextmanager
def recorded(file: Path | None, address: str) -> Iterator[str]:
    """An address through which all that is said to the index at ``address`` is written to ``file``, if there is one."""
    server, _, name = address.rpartition("/")
    lines: list[str] = []
    names = {name: INDEX}
    with Proxy(server) as proxy, steady():

        def record(request: Request) -> Reply:
            real = Request(request.method, renamed(request.path, inverse(names)), renamed(request.body, inverse(names)))
            reply = proxy.forward(real)
            answer = plain(reply.body)
            learn(answer, names)
            answer = without(json.loads(renamed(json.dumps(answer), names)))
            lines.append(written(said(request) | {"status": reply.status, "answer": answer}))
            return Reply(reply.status, renamed(reply.body, names), reply.kind)

        proxy.answer = record
        yield f"{proxy.url}/{INDEX}"
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(lines))


@contextlib.contextmanager
def replayed(file: Path) -> Iterator[str]:
    """An address that answers the requests in ``file`` in their order, and no others.

    A request that is not the next one recorded fails the test, with the difference between the two.
    """
    left = iter([json.loads(line) for line in file.read_text().splitlines()])
    missed: list[str] = []

    def replay(request: Request) -> Reply:
        wanted = next(left, {})
        expected = {key: wanted.get(key) for key in ("method", "path", "body")}
        if difference := differing(said(request), expected):
            missed.append(f"The kit does not say what {file.name} has. If it is meant to: make exchanges\n{difference}")
            return Reply(400, json.dumps({"error": {"type": "test", "reason": missed[0]}}).encode())
        return Reply(wanted["status"], json.dumps(wanted["answer"]).encode())

    with Proxy() as proxy, steady():
        proxy.answer = replay
        yield f"{proxy.url}/{INDEX}"
    assert not missed, missed[0]
    assert not list(left), f"The kit did not ask for all that {file.name} has."


# -- steady names ----------------------------------------------------------------------------------------------------


def renamed(text: Any, names: dict[str, str]) -> Any:
    """Text or bytes with some words replaced."""
    for old, new in names.items():
        text = text.replace(old.encode(), new.encode()) if isinstance(text, bytes) else text.replace(old, new)
    return text


def inverse(names: dict[str, str]) -> dict[str, str]:
    return {new: old for old, new in names.items()}


def learn(answer: Any, names: dict[str, str]) -> None:
    """Gives the server's ids of nodes and of points in time a name each."""
    if isinstance(answer, dict):
        found = [("node", node) for node in answer.get("nodes", {})]
        found += [("point", answer["pit_id"])] if "pit_id" in answer else []
        found += [("point", answer["id"])] if {"id", "_shards"} == answer.keys() else []
        for kind, name in found:
            names.setdefault(name, f"{kind}-{sum(each.startswith(kind) for each in names.values()):03}")


def without(answer: Any) -> Any:
    """An answer without the folders, ids and times of the server that gave it, and in one order."""
    if isinstance(answer, dict):
        known = {key: without(answer[key]) for key in sorted(answer.keys() - SERVER_S_OWN)}
        return known | ({"creation_date": CREATED, "uuid": "index"} if "creation_date" in answer else {})
    return [without(value) for value in answer] if isinstance(answer, list) else answer


# -- requests as they are compared -----------------------------------------------------------------------------------


def plain(body: bytes) -> Any:
    """A body as JSON values: lines as a list, nothing as None."""
    lines = [json.loads(line) for line in body.splitlines() if line]
    return lines if len(lines) > 1 else lines[0] if lines else None


def said(request: Request) -> dict[str, Any]:
    return {"method": request.method, "path": request.path, "body": short(plain(request.body))}


def short(value: Any) -> Any:
    """A body of which long lists are told by their length, their ends, a digest of the words and a sum of the numbers.

    The numbers are weighted by their places, and their sum is compared as numbers are, with a tolerance.
    """
    if isinstance(value, dict):
        return {key: short(each) for key, each in value.items()}
    if not isinstance(value, list):
        return value
    if len(value) <= LONG:
        return [short(each) for each in value]
    numbers: list[float] = []
    words = hashlib.sha256(json.dumps(skeleton(value, numbers)).encode()).hexdigest()[:16]
    weighted = sum(number * math.cos(i) for i, number in enumerate(numbers))
    ends = [short(each) for each in (*value[:2], *value[-2:])]
    return {"long": len(value), "ends": ends, "words": words, "numbers": round(weighted, 6)}


def skeleton(value: Any, numbers: list[float]) -> Any:
    """A value without its fractions, which are put into ``numbers``."""
    if isinstance(value, dict):
        return {key: skeleton(each, numbers) for key, each in value.items()}
    if isinstance(value, list):
        return [skeleton(each, numbers) for each in value]
    if isinstance(value, float):
        numbers.append(value)
        return 0.0
    return value


def written(value: Any) -> str:
    return json.dumps(value, separators=(",", ":")) + "\n"


def differing(one: Any, expected: Any) -> str:
    """What differs, as lines with - (recorded) and + (said now); "" when nothing does."""
    one = aligned(one, expected)
    if one == expected:
        return ""
    old, new = (json.dumps(each, indent=1).splitlines() for each in (expected, one))
    return "\n".join(difflib.unified_diff(old, new, "recorded", "said now", lineterm="", n=2))


def aligned(one: Any, expected: Any) -> Any:
    """The value with the expected numbers where it is near to them: machines differ in the last bits."""
    if isinstance(one, dict) and isinstance(expected, dict):
        return {key: aligned(value, expected.get(key)) for key, value in one.items()}
    if isinstance(one, list) and isinstance(expected, list) and len(one) == len(expected):
        return [aligned(*pair) for pair in zip(one, expected, strict=True)]
    if (
        isinstance(one, float)
        and isinstance(expected, float)
        and math.isclose(one, expected, rel_tol=NEAR, abs_tol=NEAR)
    ):
        return expected
    return one
