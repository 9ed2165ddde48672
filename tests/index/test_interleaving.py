"""An index that is replaced between any two requests of who uses it: nobody is told of it, and nothing is lost."""

from __future__ import annotations

import contextlib
import queue
import threading
import uuid

import pytest

from imgsearch_kit.errors import IndexNotFound, IndexUnwritable, KitError
from imgsearch_kit.index import create_index, new_passport, open_index
from imgsearch_kit.index.elastic import client
from imgsearch_kit.index.elastic.client import Server
from imgsearch_kit.indexing.copy import copy
from imgsearch_kit.records import Failure
from tests.faulty_proxy import Proxy, Reply
from tests.index.conftest import remove_from_server
from tests.index.writing import DIM, pictures

N = 8
HELD, BLOCKED, DONE, GIVEN_UP, NOTHING = "is held", "is blocked", "is done", "is given up", "goes on"


class Copying:
    """An index copied to its own address, in a thread that waits before each step of the replacement."""

    def __init__(self, server: str, name: str):
        self._steps, self._answers = queue.Queue(), queue.Queue()
        self._step, self._thread, self.server, self.name = "", None, server, name

    def until(self, step: str) -> None:
        """Goes on until the replacement has done a step; after the last one another copy begins."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run)
            self._thread.start()
        elif self._step in (HELD, BLOCKED):
            self._answers.put(Reply(400, b'{"error": "no"}') if step == GIVEN_UP else None)
        while (now := self._steps.get(timeout=20)) not in (step, DONE):
            self._answers.put(None)
        self._step = now
        if now == DONE:
            self._thread.join()
            self._thread = None

    def end(self) -> None:
        if self._thread is not None:
            self.until(DONE)

    def _run(self) -> None:
        with Proxy(self.server) as proxy:
            proxy.answer = lambda request: self._wait(request, proxy.seen)
            address = f"{proxy.url}/{self.name}"
            with contextlib.suppress(KitError):
                copy(address, address, method="flat", progress=False)
            self._steps.put(DONE)

    def _wait(self, request, seen):
        if "/_block" in request.path:
            self._steps.put(HELD)
        elif "/_aliases" in request.path and any("/_block" in each.path for each in seen):
            self._steps.put(BLOCKED)
        else:
            return None
        return self._answers.get(timeout=20)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr(client, "WAITS", (0.01, 0.02, 0.03))


@pytest.fixture
def proxy(elasticsearch_8):
    with Proxy(elasticsearch_8) as between:
        yield between


@pytest.fixture
def copying(proxy):
    """A copy of an index of some pictures that lies behind the proxy."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    with create_index(f"{proxy.url}/{name}", new_passport(None, dim=DIM, method="flat")) as index:
        assert index.add(*pictures(0, N)) == []
        index.set_failures([Failure("a.jpg", "cut short")])
    server = f"{proxy._upstream.scheme}://{proxy._upstream.netloc}"
    made = Copying(server, name)
    yield made
    proxy.answer = lambda request: None
    made.end()
    remove_from_server(f"{server}/{name}")


# A change, the number of requests before the one that a server may refuse, and whether the change is there.
WRITES = {
    "add": (lambda index: index.add(*pictures(N, N + 1)), 0, lambda index: len(index) == N + 1),
    "move": (
        lambda index: index.add(*pictures(N, N + 1), replaces=["00000.jpg"]),
        2,
        lambda index: [r.id for r in index.records(["00000.jpg", f"{N:05}.jpg"])] == [f"{N:05}.jpg"],
    ),
    "delete": (lambda index: index.delete(["00000.jpg"]) - 1, 1, lambda index: len(index) == N - 1),
    "failures": (
        lambda index: index.set_failures([Failure("b.jpg", "empty")]),
        1,
        lambda index: index.failures() == [Failure("b.jpg", "empty")],
    ),
    "learned": (lambda index: index.set_learned(b"pca"), 0, lambda index: index.learned() == b"pca"),
    "passport": (
        lambda index: index.amend(roots={"": "/moved"}),
        2,
        lambda index: index.read_passport().roots == {"": "/moved"},
    ),
}
SCHEDULES = {
    "replaced, followed and replaced again": [DONE, NOTHING, DONE],
    "blocked, then replaced": [BLOCKED, DONE],
    "blocked, then given up": [BLOCKED, GIVEN_UP],
}
MORE = {"held, then replaced": [HELD, DONE], "blocked, seen as such, then replaced": [BLOCKED, NOTHING, DONE]}


def scheduled(proxy, copying, steps, first=0):
    """Does one step of a replacement before each request from the one numbered ``first`` on."""
    left, number = iter(steps), 0

    def answer(request):
        nonlocal number
        if "/_nodes" in request.path:  # asked for once, and not of the index
            return
        number += 1
        if number > first and (step := next(left, NOTHING)) != NOTHING:
            copying.until(step)

    proxy.answer = answer


@pytest.mark.parametrize(
    ("write", "schedule"),
    [*((write, schedule) for write in WRITES for schedule in SCHEDULES), *(("add", schedule) for schedule in MORE)],
)
def test_a_change_finds_its_way_through_a_replacement(proxy, copying, write, schedule):
    change, before, arrived = WRITES[write]
    with open_index(f"{proxy.url}/{copying.name}") as index:
        scheduled(proxy, copying, {**SCHEDULES, **MORE}[schedule], before)
        assert not change(index)
    proxy.answer = lambda request: None
    copying.end()
    with open_index(f"{proxy.url}/{copying.name}") as index:
        assert arrived(index)


@pytest.mark.parametrize("before", range(8))
def test_of_two_changes_of_the_passport_at_the_same_time_none_is_lost(proxy, copying, before):
    """The second one comes before any request of the first."""
    number = 0
    with (
        open_index(f"{copying.server}/{copying.name}") as second,
        open_index(f"{proxy.url}/{copying.name}") as first,
    ):

        def answer(request):
            nonlocal number
            number += 1
            if number == before + 1:
                second.amend(roots={"two": "/two"}, rank="pca:4")

        proxy.answer = answer
        first.amend(roots={"one": "/one"})
        proxy.answer = lambda request: None
        for index in (first, second):
            passport = index.read_passport()
            assert (passport.roots, passport.rank) == ({"one": "/one", "two": "/two"}, "pca:4")


def test_a_change_of_the_passport_that_was_cut_off_is_completed_by_the_next(proxy, copying):
    with open_index(f"{proxy.url}/{copying.name}") as index:
        proxy.answer = lambda request: Reply(400, b'{"error": "no"}') if "/_mapping" in request.path else None
        with pytest.raises(KitError, match="400"):
            index.amend(roots={"one": "/one"})
        assert index.read_passport().roots == {}
        proxy.answer = lambda request: None
        index.amend(roots={"two": "/two"})
        assert index.read_passport().roots == {"one": "/one", "two": "/two"}


READS = {
    "search": lambda index: index.search(pictures(0, 1)[1], 1).ids.tolist() == [["00000.jpg"]],
    "records": lambda index: len(index.records()) == N,
    "records of ids": lambda index: len(index.records(["00000.jpg", "none.jpg"])) == 1,
    "vectors": lambda index: index.vectors().shape == (N, DIM),
    "labels": lambda index: len(index.label_counts()) == 7,
    "count": lambda index: len(index) == N,
    "failures": lambda index: index.failures() == [Failure("a.jpg", "cut short")],
    "learned": lambda index: index.learned() == b"",
    "passport": lambda index: index.read_passport().count == N,
    "flush": lambda index: index.flush() is None,
    "segments": lambda index: index.segments() >= 1,
}


@pytest.mark.parametrize("read", READS)
def test_what_is_read_is_whole_also_when_it_is_replaced_twice_meanwhile(proxy, copying, read):
    with open_index(f"{proxy.url}/{copying.name}") as index:
        scheduled(proxy, copying, [DONE, NOTHING, DONE])
        assert READS[read](index)


def test_who_takes_a_replacement_for_dead_never_deletes_what_has_just_come_into_use(proxy, copying):
    """The last step of the replacement falls between the list of what is unfinished, and its deletion."""
    with open_index(f"{proxy.url}/{copying.name}") as index:

        def answer(request):
            if "_bulk" in request.path and copying._thread is None and not copying._step:
                copying.until(BLOCKED)
            elif request.method == "DELETE" or request.path.startswith("/_aliases"):
                copying.end()

        proxy.answer = answer
        assert index.add(*pictures(N, N + 1)) == []
    proxy.answer = lambda request: None
    with open_index(f"{proxy.url}/{copying.name}") as index:
        assert len(index) == N + 1


def by_another_name(proxy, name):
    server = Server(f"{proxy.url}/{name}")
    (made,) = server.request("GET", f"/{name}", filter_path="*.aliases")
    steps = [{"add": {"index": made, "alias": f"{name}.hand"}}]
    server.request("POST", "/_aliases", {"actions": steps})
    server.close()
    return f"{proxy.url}/{name}.hand"


@pytest.mark.parametrize("last", [DONE, GIVEN_UP, NOTHING])
def test_who_writes_by_another_alias_waits_too(proxy, copying, last):
    with open_index(by_another_name(proxy, copying.name)) as index:
        scheduled(proxy, copying, [BLOCKED, NOTHING, NOTHING, last])
        assert index.add(*pictures(N, N + 1)) == []
    proxy.answer = lambda request: None
    copying.end()
    with open_index(f"{proxy.url}/{copying.name}") as index:
        assert len(index) == N + 1


def test_a_replacement_without_end_is_one_kind_and_one_sentence(proxy, copying):
    """One is taken for dead, and then another begins."""
    tries = 0
    with open_index(f"{proxy.url}/{copying.name}") as index:

        def answer(request):
            nonlocal tries
            tries += "_bulk" in request.path
            if "_bulk" in request.path and tries in (1, len(client.WAITS) + 2):
                copying.end()
                copying.until(BLOCKED)

        proxy.answer = answer
        words = r"is being replaced by another one, so it cannot be written to now\. Try again when that is done\.$"
        with pytest.raises(IndexUnwritable, match=words):
            index.add(*pictures(N, N + 1))
        assert tries == len(client.WAITS) + 2


def test_an_index_that_is_deleted_meanwhile_is_not_found(proxy, copying):
    with open_index(f"{proxy.url}/{copying.name}") as index:
        proxy.answer = lambda request: remove_from_server(f"{copying.server}/{copying.name}")
        for change, _, _ in WRITES.values():
            with pytest.raises(IndexNotFound, match="There is no index at"):
                change(index)
