"""The same calls on a local index and on a server: the same ids, scores within 1e-5, the same errors."""

from __future__ import annotations

import itertools
import uuid

import numpy as np
import pytest

from imgsearch_kit.errors import KitError
from imgsearch_kit.index import create_index, new_passport, open_index
from imgsearch_kit.records import Approx, ExtractorSpec, Failure, ImageRecord
from tests.index.conftest import remove_from_server

DIM = 24
SERVERS = [
    pytest.param(("elasticsearch_9", "int8_hnsw"), id="elasticsearch-9"),
    pytest.param(("elasticsearch_8", "flat"), id="elasticsearch-8"),
    pytest.param(("elastiknn", "permutation-lsh"), id="elastiknn", marks=pytest.mark.plugin),
]
NEAR = 2e-6  # cosines closer than this may change places: each side has its own way of adding up


@pytest.fixture(params=SERVERS)
def pair(request):
    """An empty local index and an empty one on a server, with the same passport."""
    server, method = request.param
    address = f"{request.getfixturevalue(server)}/test-{uuid.uuid4().hex[:12]}"
    spec = ExtractorSpec("quarters", DIM)
    with (
        create_index("memory:", new_passport(spec)) as local,
        create_index(address, new_passport(spec, method=method)) as remote,
    ):
        yield local, remote
    remove_from_server(address)


def units(rng, n):
    rows = rng.standard_normal((n, DIM))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def check_same(local, found, expected):
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)
    rows = {record.id: vector for record, vector in zip(local.records(), local.vectors(), strict=True)}
    for ids, wanted, scores in zip(found.ids.tolist(), expected.ids.tolist(), expected.scores.tolist(), strict=True):
        assert len(set(filter(None, ids))) == len(list(filter(None, ids)))
        for start, end in groups(scores):
            if end < len(ids) or end - start == 1:  # a longer run at the end may be cut off among equals
                assert set(ids[start:end]) == set(wanted[start:end])
        for (one, other), (s, t) in zip(itertools.pairwise(ids), itertools.pairwise(scores), strict=True):
            if other and np.array_equal(rows[one], rows[other]) and abs(s - t) < NEAR:
                assert one < other  # equal pictures are in id order on both


def groups(scores):
    """Start and end of the runs of scores that lie closer together than NEAR."""
    breaks = [i for i, (a, b) in enumerate(itertools.pairwise(scores), 1) if not abs(a - b) < NEAR]
    return list(itertools.pairwise([0, *breaks, len(scores)]))


@pytest.mark.parametrize("seed", range(3))
def test_random_changes_and_searches(pair, seed):
    local, remote = pair
    rng = np.random.default_rng(seed)
    names = [f"{label}/{i:03}.jpg" for label in ("cat", "dog", "owl") for i in range(150)]
    pool = units(rng, 40)
    for _ in range(6):
        ids = rng.choice(names, int(rng.integers(1, 200)), replace=False).tolist()
        vectors = units(rng, len(ids))
        again = rng.random(len(ids)) < 0.15
        vectors[again] = pool[rng.integers(0, len(pool), int(again.sum()))]  # equal pictures under several ids
        records = [
            ImageRecord(id_, id_.partition("/")[0] if i % 7 else None, f"{i:064x}", i, i + 1, i / 8, i * 1000)
            for i, id_ in enumerate(ids)
        ]
        replaces = rng.choice(names, 5).tolist()
        gone = rng.choice(names, int(rng.integers(0, 60))).tolist()
        failures = [Failure(id_, "cut off", 5, 1.5) for id_ in ids[:3]]
        results = []
        for index in pair:
            refused = index.add(records, vectors, replaces=replaces)
            removed = index.delete(gone)
            index.set_failures(failures)
            index.flush()
            results.append((refused, removed, len(index), index.records(), index.records(gone), index.failures()))
        assert results[0] == results[1]
        assert np.array_equal(local.vectors(), remote.vectors())
        assert np.array_equal(local.vectors(ids[:50]), remote.vectors(ids[:50]))
        queries = np.concatenate([units(rng, 6), pool[:2]])
        for labels in (None, ["cat"], ["owl", "cat"], ["none"]):
            for k in (1, 10, 1000):
                exclude = [rng.choice(names, int(rng.integers(0, 30))).tolist() for _ in queries]
                for without in (None, exclude):
                    found, expected = (i.search(queries, k, labels=labels, exclude=without) for i in (remote, local))
                    check_same(local, found, expected)


def nan():
    bad = np.eye(2, DIM, dtype=np.float32)
    bad[1, 0] = np.nan
    return bad


ONE = np.eye(1, DIM, dtype=np.float32)
BAD = {
    "add: an id twice": lambda index: index.add([ImageRecord("a"), ImageRecord("a")], np.eye(2, DIM, dtype=np.float32)),
    "add: an empty id": lambda index: index.add([ImageRecord("")], ONE),
    "add: too few vectors": lambda index: index.add([ImageRecord("a"), ImageRecord("b")], ONE),
    "add: another dimension": lambda index: index.add([ImageRecord("a")], np.eye(1, DIM + 1, dtype=np.float32)),
    "add: float64": lambda index: index.add([ImageRecord("a")], ONE.astype(np.float64)),
    "add: not a number": lambda index: index.add([ImageRecord("a"), ImageRecord("b")], nan()),
    "add: zero": lambda index: index.add([ImageRecord("a")], ONE * 0),
    "search: another dimension": lambda index: index.search(np.eye(1, DIM - 1, dtype=np.float32), 1),
    "search: not a number": lambda index: index.search(nan(), 1),
    "search: k of 0": lambda index: index.search(ONE, 0),
    "search: labels a string": lambda index: index.search(ONE, 1, labels="cat"),
    "search: exclude too long": lambda index: index.search(ONE, 1, exclude=[[], []]),
    "search: no candidates": lambda index: index.search(ONE, 1, approx=Approx(candidates=0)),
    "records: a string": lambda index: index.records("abc"),
    "delete: a string": lambda index: index.delete("abc"),
    "closed": lambda index: (index.close(), index.search(ONE, 1)),
}


@pytest.mark.parametrize("call", BAD.values(), ids=BAD.keys())
def test_errors_are_the_same_in_kind_and_words(pair, call):
    raised = []
    for index in pair:
        with pytest.raises(KitError) as caught:
            call(index)
        raised.append((type(caught.value), str(caught.value).replace(index.address, "ADDRESS")))
    assert raised[0] == raised[1]


def test_names_that_are_no_text_are_refused_alike(pair):
    records = [ImageRecord("good"), ImageRecord("bad\udcff.jpg")]
    local, remote = (index.add(records, np.eye(2, DIM, dtype=np.float32)) for index in pair)
    assert local == remote
    assert [each.id for each in local] == ["bad\udcff.jpg"]
    for index in pair:
        index.flush()
        assert index.records(["bad\udcff.jpg", "good"]) == [ImageRecord("good")]
        assert index.delete(["bad\udcff.jpg"]) == 0
        found = index.search(ONE, 2, exclude=[["bad\udcff.jpg"]])
        assert found.ids.tolist() == [["good", ""]]
        assert index.search(ONE, 1, labels=["bad\udcff"]).ids.tolist() == [[""]]


def test_nothing_and_something_at_an_address(pair, tmp_path):
    _, remote = pair
    path = f"local:{tmp_path / 'pictures.db'}"
    create_index(path, new_passport(None, dim=DIM)).close()
    methods = {path: "exact", remote.address: "flat"}
    for call in (
        lambda address: open_index(f"{address}2"),
        lambda address: create_index(address, new_passport(None, dim=DIM, method=methods[address])),
    ):
        raised = []
        for address in methods:
            with pytest.raises(KitError) as caught:
                call(address)
            words = str(caught.value).replace(address, "ADDRESS").replace("delete the file", "delete it")
            raised.append((type(caught.value), words))
        assert raised[0] == raised[1]
