"""How many requests a server is sent: facts are asked once, and what a hit needs comes with it."""

from __future__ import annotations

import contextlib
import uuid

import numpy as np
import pytest

from imgsearch_kit.index import create_index, new_passport, open_index
from imgsearch_kit.records import Approx, ImageRecord
from tests.faulty_proxy import Proxy
from tests.index.conftest import remove_from_server

N, DIM = 300, 16


@pytest.fixture(params=["elasticsearch_9", "elasticsearch_8"])
def proxy(request):
    with Proxy(request.getfixturevalue(request.param)) as running:
        yield running


@pytest.fixture
def address(proxy):
    """An index of some hundred pictures."""
    address = f"{proxy.url}/test-{uuid.uuid4().hex[:12]}"
    with create_index(address, new_passport(None, dim=DIM, method="hnsw")) as index:
        index.add([ImageRecord(f"{i:04}.jpg", f"class {i % 7}", f"{i:064x}") for i in range(N)], units(N))
        index.flush()
    yield address
    remove_from_server(address)


def units(n):
    rows = np.random.default_rng(0).standard_normal((n, DIM))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@contextlib.contextmanager
def sent(proxy):
    """The ends of the paths that are asked for meanwhile."""
    before, paths = len(proxy.seen), []
    yield paths
    paths += [request.path.partition("?")[0].rpartition("/")[2] for request in proxy.seen[before:]]


def test_an_index_is_opened_with_three_requests_and_its_passport_costs_nothing_more(proxy, address):
    name = address.rpartition("/")[2]
    with sent(proxy) as opening:
        index = open_index(address)
    assert opening == [name, "docs", "_search"]
    with sent(proxy) as more, index:
        for _ in range(50):
            assert index.passport.count == N
    assert more == []


def test_a_search_by_id_takes_five_requests_with_the_opening(proxy, address):
    with sent(proxy) as all_in_all, open_index(address) as index:
        (record,), vector = index.entries(["0003.jpg"])
        found = index.search(vector, 58, approx=Approx(), exclude=[[]])
        assert found.method.startswith("hnsw")
        drawn = [found.records[id_] for id_ in found.ids[0].tolist()]
        assert index.passport.dim == DIM
    assert len(all_in_all) == 5
    assert record in drawn
    assert len({each.sha256 for each in drawn}) == 58


def test_labels_cost_one_request_however_many_records_there_are(proxy, address):
    with open_index(address) as index:
        index.records(["0000.jpg"])
        index.read_passport()
        with sent(proxy) as asked:
            assert list(index.label_counts()) == [f"class {i}" for i in range(7)]
        assert asked == ["_search"]
        with sent(proxy) as asked:
            assert index.tally() == (N, index.label_counts())
        assert asked == ["_search", "_search"]
        with sent(proxy) as asked:
            index.search(units(1), 10, labels=["class 3"])
        assert asked == ["_search"]


def test_the_passport_is_read_once_after_own_writes(proxy, address):
    with open_index(address) as index:
        for i in range(3):
            index.add([ImageRecord(f"{i}.jpg")], units(1))
        with sent(proxy) as asked:
            assert index.passport.count == index.passport.count == N + 3
        assert asked == [index._name, "docs", "_refresh", "_search"]


def test_a_new_index_is_known_without_asking(proxy):
    address = f"{proxy.url}/test-{uuid.uuid4().hex[:12]}"
    with create_index(address, new_passport(None, dim=DIM, method="flat")) as index, sent(proxy) as asked:
        assert (index.passport.count, index.passport.generation) == (0, 0)
    assert asked == []
    remove_from_server(address)


def test_records_of_ids_are_one_request_and_unknown_ones_a_look_at_what_others_wrote(proxy, address):
    with open_index(address) as index:
        with sent(proxy) as asked:
            assert len(index.records(["0003.jpg", "0004.jpg"])) == 2
        assert asked == ["_search"]
        with sent(proxy) as asked:
            assert index.records(["none.jpg"]) == []
            assert index.records(["none.jpg"]) == []
        assert asked == ["_search", "_refresh", "_search", "_search"]


def test_what_a_killed_writer_left_unseen_is_listed(proxy, address):
    with open_index(address) as reader:
        killed = open_index(address)
        killed.add([ImageRecord("late.jpg", "late")], units(1))
        killed._server.close()  # neither flushed nor closed
        assert [record.id for record in reader.records(["late.jpg"])] == ["late.jpg"]
    with open_index(address) as reader:
        assert reader.label_counts()["late"] == 1
