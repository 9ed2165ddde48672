"""What only a server has: approximate methods, columns, aliases, rebuilds, and indexes that others made."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import sys
import uuid
from copy import deepcopy as copy_of

import numpy as np
import pytest

from imgsearch_kit import cli
from imgsearch_kit.approximation.over_index import measure_recall
from imgsearch_kit.errors import (
    BadQuery,
    IndexDamaged,
    IndexMismatch,
    IndexNotFound,
    IndexUnwritable,
    ServerUnavailable,
    VersionMismatch,
)
from imgsearch_kit.index import create_index, new_passport, open_index
from imgsearch_kit.index.elastic import bodies, client, replacing, searching
from imgsearch_kit.index.elastic import writing as elastic
from imgsearch_kit.index.elastic.client import Server
from imgsearch_kit.indexing import copy as copying
from imgsearch_kit.indexing.copy import copy
from imgsearch_kit.records import Approx, ExtractorSpec, ImageRecord, Refused
from tests.faulty_proxy import Cut, Proxy
from tests.index.conftest import remove_from_server

NATIVE = ["hnsw", "int8_hnsw", "bbq_hnsw"]
LSH = ["l2-lsh:L=40,k=1,w=2", "cosine-lsh:L=60,k=1", "permutation-lsh:k=32"]
N, DIM = 1500, 64


def clustered(n, dim=DIM, seed=0):
    """Unit vectors around some centres, as pictures of some classes lie; equal on every machine."""
    rng = np.random.default_rng(seed)
    centres = rng.integers(-1000, 1000, (30, dim))
    rows = (centres[rng.integers(0, 30, n)] + rng.integers(-700, 700, (n, dim))).astype(np.float64)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def labelled(n):
    return [ImageRecord(f"{i:05}.jpg", ["cat", "dog", "owl", None][i % 4]) for i in range(n)]


@pytest.fixture
def make():
    """Makes indexes and removes them in the end."""
    opened = []

    def make(url, method, dim=DIM, **passport):
        address = f"{url}/test-{uuid.uuid4().hex[:12]}"
        opened.append(
            create_index(address, new_passport(passport.pop("spec", None), dim=dim, method=method, **passport))
        )
        return opened[-1]

    yield make
    for index in opened:
        index.close()
        remove_from_server(index.address)


@pytest.fixture(params=["elasticsearch_9", "elasticsearch_8"])
def server(request):
    return request.getfixturevalue(request.param)


def through(proxy, index):
    """The same index, seen through a proxy."""
    return open_index(f"{proxy.url}/{index.address.rpartition('/')[2]}")


def filled(index, n=N):
    assert index.add(labelled(n), clustered(n, index.passport.dim)) == []
    index.flush()
    return index


def recall(found, exact):
    return np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found.ids.tolist(), exact.ids.tolist(), strict=True)])


def check_scores(index, queries, found):
    """Every score is the exact cosine, and the order is that of (-score, id)."""
    rows = {r.id: v for r, v in zip(index.records(), index.vectors(), strict=True)}
    for query, ids, scores in zip(queries, found.ids.tolist(), found.scores, strict=True):
        cosines = [float(np.dot(rows[id_].astype(np.float64), query)) for id_ in ids if id_]
        np.testing.assert_allclose(scores[: len(cosines)], cosines, atol=1e-5)
        pairs = [(-s, i) for s, i in zip(scores.tolist(), ids, strict=True) if i]
        assert pairs == sorted(pairs)


# -- approximate methods ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", NATIVE)
def test_a_native_method_finds_most_and_scores_exactly(server, make, method):
    index = filled(make(server, method))
    queries = clustered(20)
    exact = index.search(queries, 10)
    assert (exact.method, exact.note) == ("exact", "")
    found = index.search(queries, 10, approx=Approx())
    assert (found.method, found.note) == (f"{method}:m=16,ef_construction=100,candidates=100", "")
    check_scores(index, queries, found)
    assert recall(index.search(queries, 10, approx=Approx(400)), exact) > 0.9
    filtered = index.search(queries, 10, approx=Approx(200), labels=["dog"], exclude=[["00001.jpg"]] * 20)
    assert filtered.method.startswith(method)
    assert (filtered.ids != "").all()
    assert "00001.jpg" not in filtered.ids
    labels = {r.id: r.label for r in index.records()}
    assert {labels[id_] for id_ in filtered.ids.ravel().tolist()} == {"dog"}
    check_scores(index, queries, filtered)


@pytest.mark.plugin
@pytest.mark.parametrize("method", LSH)
def test_an_lsh_method_finds_many_and_scores_exactly(elastiknn, make, method):
    index = filled(make(elastiknn, method))
    queries = clustered(20)
    exact = index.search(queries, 10)
    found = index.search(queries, 10, approx=Approx(300))
    assert (found.method, found.note) == (f"{method},candidates=300", "")
    check_scores(index, queries, found)
    assert recall(found, exact) > 0.5
    few = index.search(queries, 10, approx=Approx(20))
    assert recall(few, exact) < recall(found, exact)  # candidates matter, so the approximate method did answer


@pytest.mark.plugin
@pytest.mark.parametrize("method", LSH)
def test_with_a_filter_an_lsh_index_answers_exactly_and_says_so(elastiknn, make, method):
    index = filled(make(elastiknn, method))
    queries = clustered(5)
    found = index.search(queries, 10, approx=Approx(), labels=["owl"])
    exact = index.search(queries, 10, labels=["owl"])
    assert found.method == "exact"
    assert (
        found.note
        == f"With a label filter the method {method.partition(':')[0]} would lose neighbours; the answers are exact."
    )
    assert found.ids.tolist() == exact.ids.tolist()
    many = [[f"{i:05}.jpg" for i in range(searching.FEW + 1)]] * 5
    assert "101 excluded pictures" in index.search(queries, 10, approx=Approx(), exclude=many).note


@pytest.mark.plugin
@pytest.mark.parametrize("method", LSH)
def test_excluding_a_few_costs_an_lsh_index_nothing(elastiknn, make, method):
    """The answer equals that of an index that never held the excluded pictures."""
    vectors, records = clustered(N), labelled(N)
    full, without = make(elastiknn, method), make(elastiknn, method)
    out = {f"{i:05}.jpg" for i in range(0, 60, 3)}
    full.add(records, vectors)
    kept = [i for i, record in enumerate(records) if record.id not in out]
    without.add([records[i] for i in kept], vectors[kept])
    full.flush()
    without.flush()
    queries = vectors[:20]
    found = full.search(queries, 10, approx=Approx(5_000), exclude=[sorted(out)] * 20)
    expected = without.search(queries, 10, approx=Approx(5_000))
    assert found.note == ""
    assert found.ids.tolist() == expected.ids.tolist()
    assert (full.search(queries, 10, approx=Approx(), exclude=[sorted(out)] * 20).ids != "").all()


def test_a_method_that_loses_nothing_says_so_when_asked_for_less(server, make):
    index = filled(make(server, "flat"), 50)
    found = index.search(clustered(1), 3, approx=Approx(7))
    assert (found.method, found.note) == ("exact", "This index has no approximate method; the answers are exact.")


def test_an_index_without_the_exact_field_says_that_it_cannot(server, make):
    index = filled(make(server, "int8_hnsw:no-exact"), 200)
    assert "exact" not in index._request("GET", "_mapping")[index._name]["mappings"]["properties"]
    with pytest.raises(
        BadQuery, match=r"was made with no-exact, so it cannot search exactly\. Search with --approx, or"
    ):
        index.search(clustered(1), 3)
    found = index.search(clustered(3), 3, approx=Approx())
    check_scores(index, clustered(3), found)


def test_candidates_and_probes_beyond_the_server_are_refused_before_it_is_asked(server, make):
    with Proxy(server) as proxy, through(proxy, make(server, "hnsw")) as index:
        before = len(proxy.seen)
        with pytest.raises(BadQuery, match="candidates may be at most 10000"):
            index.search(clustered(1), 3, approx=Approx(10_001))
        with pytest.raises(BadQuery, match="probes is a parameter of l2-lsh"):
            index.search(clustered(1), 3, approx=Approx(probes=2))
        assert len(proxy.seen) == before
        with pytest.raises(BadQuery, match="k of at most 8"):
            create_index(f"{proxy.url}/x", new_passport(None, dim=8, method="permutation-lsh:k=9"))
        assert len(proxy.seen) == before


# -- documents and requests ---------------------------------------------------------------------------------------


def test_vectors_go_packed_where_the_server_takes_them_so_and_come_back_equal(server, make):
    with Proxy(server) as proxy, through(proxy, make(server, "hnsw", dim=16)) as index:
        vectors = clustered(20, 16)
        index.add(labelled(20), vectors)
        (sent,) = [r.body for r in proxy.seen if "_bulk" in r.path]
        value = json.loads(sent.splitlines()[1])["vector"]
        if index._server.version >= (9, 3):
            assert base64.b64decode(value) == vectors[0].astype(">f4").tobytes()
        else:
            assert value == pytest.approx(vectors[0].tolist(), abs=1e-7)
        assert np.array_equal(index.vectors(), vectors)


def test_answers_to_searches_carry_records_and_nothing_else(server, make):
    index = filled(make(server, "hnsw", dim=16), 20)
    for options in (bodies.SearchOptions(3), bodies.SearchOptions(3, 10)):
        body = bodies.search_body(index._method, clustered(1, 16)[0], options)
        for hit in index._hits(body):
            assert set(hit) == {"_index", "_score", "fields"}
            assert set(hit["fields"]) <= {"id", "label", "sha256", "width", "height", "mtime", "size"}


def test_an_index_of_an_earlier_kit_has_no_field_for_paths_and_is_read(server, make):
    older = f"test-{uuid.uuid4().hex[:12]}"
    index = make(server, "flat", dim=16)
    created = index._connected.request("GET", f"/{index._name}")[index._name]
    del created["mappings"]["properties"]["path"]
    index._connected.request("PUT", f"/{older}", {"mappings": created["mappings"]})
    try:
        with open_index(f"{server}/{older}") as earlier:
            documents = [
                bodies.document(r, v, earlier._method, pack=False)
                for r, v in zip(labelled(20), clustered(20, 16), strict=True)
            ]
            for document in documents:
                earlier._request("POST", f"_doc/{bodies.document_id(document['id'])}", document)
            assert earlier.records() == labelled(20)
            assert earlier.search(clustered(1, 16), 1).records == {"00000.jpg": labelled(1)[0]}
            assert earlier.label_counts() == {"cat": 5, "dog": 5, "owl": 5}
    finally:
        index._connected.request("DELETE", f"/{older}")


def test_more_labels_than_one_answer_holds_are_counted(server, make, monkeypatch):
    index = make(server, "flat", dim=3)
    index.add([ImageRecord(f"{i:03}", f"label {i % 70:02}") for i in range(140)], clustered(140, 3))
    monkeypatch.setattr(bodies, "MOST", 35)
    assert list(index.label_counts().items()) == [(f"label {i:02}", 2) for i in range(70)]


def test_the_passport_lies_in_the_mapping(server, make):
    spec = ExtractorSpec("quarters", 16, weights_digest="ab")
    index = make(server, "flat", dim=16, spec=spec, roots={"": "/pictures"})
    stored = index._request("GET", "_mapping")[index._name]["mappings"]["_meta"]["imgsearch"]
    assert stored["spec"]["weights_digest"] == "ab"
    assert stored["roots"] == {"": "/pictures"}
    stored["format"] = 99
    index._request("PUT", "_mapping", {"_meta": {"imgsearch": stored}})
    with pytest.raises(VersionMismatch, match="has format 99; this kit reads formats 1 to 2"):
        open_index(index.address)


def test_more_than_ten_thousand_records(elasticsearch, make):
    """The server's own limit of one answer; pages, counts and searches go beyond it."""
    n = 12_345
    index = make(elasticsearch, "flat", dim=3)
    vectors = clustered(n, 3)
    records = [ImageRecord(f"{i:06}", str(i % 3)) for i in range(n)]
    assert index.add(records, vectors) == []
    assert len(index) == index.passport.count == n
    assert index.records() == records
    assert np.array_equal(index.vectors(), vectors)
    found = index.search(vectors[:1], n + 5, exclude=[["000007"]])
    assert len(set(found.ids[0].tolist())) == n  # and "" for the rest
    assert found.ids[0, n - 2] != "" == found.ids[0, n - 1]
    assert "000007" not in found.ids
    np.testing.assert_allclose(found.scores[0, : n - 1], np.sort(np.delete(vectors @ vectors[0], 7))[::-1], atol=1e-6)
    some = index.search(vectors[:2], 5_000, labels=["1"])
    assert (some.ids != "").sum() == 2 * len([r for r in records if r.label == "1"])
    few = index.search(vectors[:1], 2_000, exclude=[[r.id for r in records[:11_000]]])
    assert sorted(filter(None, few.ids[0].tolist())) == [r.id for r in records[11_000:]]
    assert index.delete([r.id for r in records[::2]]) == n - n // 2
    assert len(index) == n // 2


def test_shards_and_replicas_as_in_the_method(server, make):
    index = filled(make(server, "flat:shards=3,replicas=0", dim=8), 300)
    settings = index._request("GET", "_settings")[index._name]["settings"]["index"]
    assert (settings["number_of_shards"], settings["number_of_replicas"]) == ("3", "0")
    vectors = clustered(300, 8)
    generation = index.passport.generation
    assert index.records() == labelled(300)
    expected = np.argsort(-(vectors[:5] @ vectors.T), axis=1)[:, :10]
    assert index.search(vectors[:5], 10).ids.tolist() == [[f"{i:05}.jpg" for i in row] for row in expected]
    index.delete(["00000.jpg"])
    assert index.passport.generation > generation


def test_a_name_of_several_indexes_is_refused(server, make):
    one, two = make(server, "flat"), make(server, "flat")
    both = f"test-{uuid.uuid4().hex[:12]}"
    steps = [{"add": {"index": each._name, "alias": both}} for each in (one, two)]
    one._connected.request("POST", "/_aliases", {"actions": steps})
    with pytest.raises(IndexMismatch, match=f"points to 2 indexes: .*{one._name}"):
        open_index(f"{server}/{both}")


def test_another_program_s_index_is_left_alone(server):
    name = f"test-{uuid.uuid4().hex[:12]}"
    client = Server(f"{server}/{name}")
    client.request("PUT", f"/{name}", {"mappings": {"properties": {"title": {"type": "text"}}}})
    try:
        for call in (open_index, lambda address: create_index(address, new_passport(None, dim=3, method="flat"))):
            with pytest.raises(IndexMismatch, match="belongs to another program; its fields are title"):
                call(f"{server}/{name}")
    finally:
        client.request("DELETE", f"/{name}")


# -- rebuilding ---------------------------------------------------------------------------------------------------


def names(server, index):
    """The server's indexes for an address, and whether it stands for them."""
    asked = index._connected
    return {name: asked.name in aliases for name, aliases in replacing.indexes_made_for(asked, asked.name).items()}


def test_of_two_processes_that_make_one_address_at_once_one_is_refused(server, make, monkeypatch):
    index = filled(make(server, "flat", dim=16), 3)
    passport = new_passport(None, dim=16, method="flat")

    def looked_before(server):
        raise IndexNotFound("nothing there yet")

    with elastic.rebuild_elastic(index.address, passport) as new, monkeypatch.context() as patch:
        patch.setattr(elastic, "_opened", looked_before)
        with pytest.raises(IndexMismatch, match=r"Another process made an index at .* at the same time"):
            create_index(index.address, passport)
        assert list(names(server, index).values()).count(True) == 1
        patch.setattr(replacing, "indexes_at", lambda server, name: {})
        with pytest.raises(IndexMismatch, match=r"Another process made an index at .* at the same time"):
            new.publish(0)
    with open_index(index.address) as reader:
        assert len(reader) == 3


def test_a_rebuild_serves_once_it_is_published(server, make):
    old = filled(make(server, "flat", dim=16), 50)
    reader = open_index(old.address)
    new = elastic.rebuild_elastic(old.address, new_passport(None, dim=16, method="int8_hnsw"))
    new.add(labelled(60), clustered(60, 16))
    with open_index(old.address) as seen:  # meanwhile the old one serves
        assert len(seen) == 50
    new.publish(60)
    assert names(server, new) == {new._name: True}
    with open_index(old.address) as seen:
        assert len(seen) == 60
        assert seen.passport.method == "int8_hnsw"
    assert len(reader) == 60  # a reader that was open before continues in the new one
    assert reader.search(clustered(1, 16), 1, approx=Approx()).method.startswith("int8_hnsw")
    assert new.add(labelled(61)[60:], clustered(61, 16)[60:]) == []
    reader.close()
    new.close()


def test_an_interrupted_rebuild_leaves_the_old_index_serving_and_no_remains(server, make):
    old = filled(make(server, "flat", dim=16), 50)
    first = elastic.rebuild_elastic(old.address, new_passport(None, dim=16, method="flat"))
    first.add(labelled(10), clustered(10, 16))
    first.close()  # killed here
    assert len(old) == 50
    second = elastic.rebuild_elastic(old.address, new_passport(None, dim=16, method="flat"))
    assert names(server, second) == {old._name: True, second._name: False}
    second.add(labelled(49), clustered(49, 16))
    with pytest.raises(IndexMismatch, match="has 49 records instead of 50, so the old one stays in use"):
        second.publish(50)
    assert len(old) == 50
    second.close()


def test_a_rebuild_leaves_the_indexes_of_other_addresses_alone(server, make):
    old = filled(make(server, "flat", dim=16), 5)
    passport = new_passport(None, dim=16, method="flat")
    for other in (f"{old.address}-2", f"{old.address}-00000000"):
        create_index(other, passport).close()
        elastic.rebuild_elastic(other, passport).close()
    with elastic.rebuild_elastic(old.address, passport) as new:
        new.publish(0)
        for other in (f"{old.address}-2", f"{old.address}-00000000"):
            with open_index(other) as untouched:
                assert sorted(names(server, untouched).values()) == [False, True]


def test_a_rebuild_that_does_not_find_its_own_pictures_is_not_published(server, make, monkeypatch):
    old = filled(make(server, "flat", dim=16), 5)
    new = elastic.rebuild_elastic(old.address, new_passport(None, dim=16, method="flat"))
    new.add(labelled(5), clustered(5, 16))
    monkeypatch.setattr(bodies, "cosine", lambda method, options, score: score - 0.5)
    with pytest.raises(IndexMismatch, match=r"finds the vector of '0000\d\.jpg' with cosine 0\.5"):
        new.publish(5)
    assert len(old) == 5
    new.close()


def test_who_has_an_index_open_does_not_slip_into_another_extractor_s(server, make):
    old = filled(make(server, "flat", dim=16, spec=ExtractorSpec("a", 16)), 5)
    new = elastic.rebuild_elastic(old.address, new_passport(ExtractorSpec("b", 16), method="flat"))
    new.publish(0)
    with pytest.raises(IndexMismatch, match="has been rebuilt with another extractor or ranking since it was opened"):
        old.search(clustered(1, 16), 1)
    new.close()


# -- the original system ------------------------------------------------------------------------------------------

ORIGINAL = {
    "settings": {"number_of_shards": 1, "number_of_replicas": 0},
    "mappings": {
        "dynamic": False,
        "properties": {
            "feature_vector": {
                "type": "elastiknn_dense_float_vector",
                "elastiknn": {"dims": DIM, "model": "exact", "L": 60, "k": 3, "w": 2},
            },
            "image_path": {"type": "text", "index": False},
        },
    },
}
PATHS = [
    "data/cat/1.jpg",
    "C:\\data\\cat\\2.jpg",
    "dog/3.jpg",
    "C:\\4.jpg",
    "/abs/dog/5.jpg",
    "twice/6.jpg",
    "twice/6.jpg",
]
RECORDS = [
    ImageRecord("/abs/dog/5.jpg", "dog"),
    ImageRecord("5", "twice", path="twice/6.jpg"),
    ImageRecord("6", "twice", path="twice/6.jpg"),
    ImageRecord("C:/4.jpg"),
    ImageRecord("C:/data/cat/2.jpg", "cat"),
    ImageRecord("data/cat/1.jpg", "cat"),
    ImageRecord("dog/3.jpg", "dog"),
]
ORDER = [4, 5, 6, 3, 1, 0, 2]  # of the documents, as their records are in order of id


@contextlib.contextmanager
def as_the_original_notebook(url, model, rows=None):
    """An index of documents with a vector and a path, ids made by the server."""
    server = Server(f"{url}/test-{uuid.uuid4().hex[:12]}")
    created = copy_of(ORIGINAL)
    created["mappings"]["properties"]["feature_vector"]["elastiknn"] = {"dims": DIM, **model}
    server.request("PUT", f"/{server.name}", created)
    rows = clustered(len(PATHS)) * np.float32(7) if rows is None else rows  # it did not divide by the norm
    for i, (path, row) in enumerate(zip(PATHS, rows, strict=True)):
        vector = row if i % 2 else {"values": row}
        server.request("POST", f"/{server.name}/_doc/{i}", {"image_path": path, "feature_vector": vector})
    server.request("POST", f"/{server.name}/_doc/9", {"image_path": "no/vector.jpg"})
    server.request("POST", f"/{server.name}/_refresh")
    yield server.address
    server.request("DELETE", f"/{server.name}")
    server.close()


@pytest.fixture
def original(elastiknn):
    with as_the_original_notebook(elastiknn, {"model": "exact", "L": 60, "k": 3, "w": 2}) as address:
        yield address


@pytest.mark.plugin
def test_an_original_index_is_read(original):
    with open_index(original) as index:
        passport = index.passport
        assert (passport.spec, passport.dim, passport.count, passport.method) == (None, DIM, 7, "exact")
        assert len(passport.uuid) > 10
        assert index.records() == RECORDS
        assert index.records(["dog/3.jpg", "5", "none", "2"]) == [RECORDS[1], RECORDS[6]]
        assert index.label_counts() == {"cat": 2, "dog": 2, "twice": 2}
        vectors = clustered(7)[ORDER]
        np.testing.assert_allclose(index.vectors(), vectors, atol=1e-6)
        np.testing.assert_allclose(index.vectors(["dog/3.jpg", "none"]), vectors[6:], atol=1e-6)
        order = np.argsort(-(vectors[:2] @ vectors.T), axis=1)
        found = index.search(vectors[:2], 7)
        assert found.ids.tolist() == [[RECORDS[row].id for row in each] for each in order.tolist()]
        assert found.records == {record.id: record for record in RECORDS}
        found = index.search(vectors, 2, labels=["dog"], exclude=[["dog/3.jpg"], *[[]] * 6])
        assert found.ids[0].tolist() == ["/abs/dog/5.jpg", ""]
        assert {id_ for row in found.ids[1:].tolist() for id_ in row} == {"dog/3.jpg", "/abs/dog/5.jpg"}
        assert index.failures() == []
        assert index.learned() == b""
        assert index.search(vectors, 2, approx=Approx()).note.startswith("This index has no approximate method")


@pytest.mark.plugin
def test_what_is_written_to_an_original_index_is_seen_once_its_passport_is_read(original, elastiknn):
    with Proxy(elastiknn) as proxy, open_index(f"{proxy.url}/{original.rpartition('/')[2]}") as index:
        index.search(clustered(1), 1, labels=["dog"])
        before = len(proxy.seen)
        assert index.label_counts() == {"cat": 2, "dog": 2, "twice": 2}
        index.search(clustered(1), 1, labels=["dog"])
        assert [request.path.partition("?")[0].rpartition("/")[2] for request in proxy.seen[before:]] == ["_search"]
        document = {"image_path": "owl/7.jpg", "feature_vector": clustered(1)[0] * 3}
        index._request("POST", "_doc/7", document)
        assert index.read_passport().count == 8
        assert ImageRecord("owl/7.jpg", "owl") in index.records()
        assert "owl/7.jpg" in index.search(clustered(1), 2).ids


MODELS = {
    "cosine-lsh:L=60,k=1": {"model": "lsh", "similarity": "cosine", "L": 60, "k": 1},
    "l2-lsh:L=60,k=1,w=9": {"model": "lsh", "similarity": "l2", "L": 60, "k": 1, "w": 9},
    "permutation-lsh:k=64": {"model": "permutation_lsh", "k": 64, "repeating": True},
}


@pytest.mark.plugin
@pytest.mark.parametrize("method", MODELS)
def test_an_original_index_that_hashes_answers_with_its_own_model(elastiknn, method, tmp_path):
    with as_the_original_notebook(elastiknn, MODELS[method]) as address:
        with open_index(address) as index:
            assert index.passport.method == method
            queries = clustered(7)
            found = index.search(queries, 3, approx=Approx(7))
            assert (found.method, found.note) == (f"{method},candidates=7", "")
            check_scores(index, queries, found)
            report = measure_recall(index, k=1, grid=[Approx(7)], progress=False)
            assert [row.method for row in report.rows] == ["exact", f"{method},candidates=7"]
        target = f"{elastiknn}/test-{uuid.uuid4().hex[:12]}"
        copy(address, target, progress=False)
        copy(address, f"npz:{tmp_path / 'a.npz'}", progress=False)
        for place, kept in ((target, method), (f"npz:{tmp_path / 'a.npz'}", "exact")):
            with open_index(place) as made:
                assert made.passport.method == kept
                assert made.records() == RECORDS
        remove_from_server(target)


@pytest.mark.plugin
def test_an_original_index_is_never_written(original):
    with open_index(original) as index:
        for call in (
            lambda: index.add([ImageRecord("x")], clustered(1)),
            lambda: index.delete(["dog/3.jpg"]),
            lambda: index.set_failures([]),
            lambda: index.set_learned(b""),
            lambda: index.amend(uuid="x"),
            index.check_writable,
        ):
            with pytest.raises(
                IndexUnwritable, match=rf"opened for reading only\. Make a full index of it: imgsearch copy {original} "
            ):
                call()
        with pytest.raises(IndexUnwritable, match="the kit deletes only indexes that it made"):
            index.remove()
        assert len(index) == 7


@pytest.mark.plugin
def test_copy_makes_a_full_index_of_an_original_one(original, elastiknn, tmp_path):
    target = f"{elastiknn}/test-{uuid.uuid4().hex[:12]}"
    assert copy(original, target, method="l2-lsh", progress=False).copied == 7
    with open_index(original) as old, open_index(target) as new:
        assert new.records() == old.records()
        np.testing.assert_allclose(new.vectors(), old.vectors(), atol=1e-6)
    remove_from_server(target)


@pytest.mark.plugin
def test_an_original_index_cannot_be_replaced_at_its_address(original):
    with pytest.raises(IndexMismatch, match=r"is an index itself, not an alias, .* imgsearch copy \S+ NEW_ADDRESS"):
        copy(original, original, method="exact", progress=False)
    with open_index(original) as index:
        assert len(index) == 7
        assert replacing.indexes_made_for(index._connected, index._connected.name) == {}  # nothing was made beside it


@pytest.mark.plugin
def test_an_exactly_opposite_picture_is_found_too(elastiknn, make):
    """Elastiknn fails on a cosine of -1 that is rounded to a little less; the kit does not."""
    index = make(elastiknn, "exact", dim=3)
    vector = np.array([[0.2, 0.3, 0.93273791]], np.float32)
    vector /= np.linalg.norm(vector)
    index.add([ImageRecord("same"), ImageRecord("opposite")], np.concatenate([vector, -vector]))
    index.flush()
    found = index.search(np.concatenate([vector, -vector]), 2)
    assert found.ids.tolist() == [["same", "opposite"], ["opposite", "same"]]
    np.testing.assert_allclose(found.scores, [[1, -1], [1, -1]], atol=1e-6)
    assert (found.method, found.note) == ("exact", "")


# -- copying ------------------------------------------------------------------------------------------------------


def test_copies_go_from_anywhere_to_anywhere(server, make, tmp_path):
    index = filled(make(server, "hnsw", dim=16, spec=ExtractorSpec("quarters", 16), probes=clustered(2, 16)), 120)
    there = f"{server}/test-{uuid.uuid4().hex[:12]}"
    steps = [index.address, f"local:{tmp_path / 'a.db'}", there, f"npz:{tmp_path / 'a.npz'}"]
    methods = {there: "flat"}
    for source, target in itertools.pairwise(steps):
        report = copy(source, target, method=methods.get(target, "exact"), progress=False)
        assert (report.copied, report.failed) == (120, [])
    with open_index(steps[-1]) as last:
        assert last.records() == index.records()
        assert np.array_equal(last.vectors(), index.vectors())
        assert last.passport.spec == ExtractorSpec("quarters", 16)
        assert np.array_equal(last.passport.probes, clustered(2, 16))
    remove_from_server(there)
    with pytest.raises(IndexNotFound, match="There is no index"):
        open_index(there)


def test_copying_an_index_to_its_own_address_gives_it_another_method(server, make):
    index = filled(make(server, "flat", dim=16), 120)
    with open_index(index.address) as reader:
        assert copy(index.address, index.address, method="hnsw:no-exact", progress=False).copied == 120
        assert reader.search(clustered(1, 16), 1, approx=Approx()).method.startswith("hnsw")
        assert reader.records() == labelled(120)
    assert list(names(server, index).values()) == [True]  # the old one is gone


def test_a_copy_that_breaks_off_leaves_the_index_serving(server, make, monkeypatch):
    index = filled(make(server, "flat", dim=16), 120)
    monkeypatch.setattr(elastic.ElasticIndex, "set_failures", lambda *args: 1 / 0)
    for target in (index.address, f"{index.address}-2"):
        with pytest.raises(ZeroDivisionError, match="division by zero"):
            copy(index.address, target, progress=False, method="hnsw")
    with open_index(index.address) as reader:
        assert (len(reader), reader.passport.method) == (120, "flat")
    with pytest.raises(IndexNotFound, match="There is no index"):
        open_index(f"{index.address}-2")


def test_a_copy_to_its_own_address_that_loses_records_leaves_the_old_index(server, make, monkeypatch):
    index = filled(make(server, "flat", dim=16), 60)
    add = elastic.ElasticIndex.add

    def choosy(index, records, vectors, **options):
        return [*add(index, records[1:], vectors[1:], **options), Refused(records[0].id, "too large")]

    monkeypatch.setattr(elastic.ElasticIndex, "add", choosy)
    with pytest.raises(IndexDamaged, match=r"1 of 60 records were refused; the first is '00000.jpg': too large\."):
        copy(index.address, index.address, method="hnsw", progress=False)
    assert list(names(server, index).values()) == [True]  # the new one is gone
    with open_index(index.address) as reader:
        assert (len(reader), reader.passport.method) == (60, "flat")


def test_a_copy_of_which_nothing_arrives_can_be_tried_again(server, make, monkeypatch):
    index = filled(make(server, "flat", dim=16), 60)
    with monkeypatch.context() as patch:
        patch.setattr(elastic.ElasticIndex, "add", lambda _, records, *args: [Refused(r.id, "no") for r in records])
        with pytest.raises(IndexDamaged, match=r"60 of 60 records were refused; .*'00000.jpg': no\."):
            copy(index.address, f"{index.address}-2", progress=False)
    assert copy(index.address, f"{index.address}-2", progress=False).copied == 60
    remove_from_server(f"{index.address}-2")


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_an_interrupted_copy_leaves_no_index_on_the_server(server, make, monkeypatch, error):
    index = filled(make(server, "flat", dim=16), 60)

    def interrupted(origin):
        yield labelled(3), clustered(3, 16)
        raise error("stop")

    monkeypatch.setattr(copying, "batches", interrupted)
    with pytest.raises(error, match="stop"):
        copy(index.address, index.address, method="hnsw", progress=False)
    assert list(names(server, index).values()) == [True]


def test_what_is_written_while_an_index_is_copied_to_its_own_address_is_not_lost(server, make, monkeypatch):
    index = filled(make(server, "flat", dim=16), 60)
    batches = copying.batches

    def meanwhile(origin):
        yield from batches(origin)
        index.add([ImageRecord("late.jpg")], clustered(1, 16))

    monkeypatch.setattr(copying, "batches", meanwhile)
    with pytest.raises(IndexMismatch, match=r"changed while it was copied; copy again"):
        copy(index.address, index.address, method="hnsw", progress=False)
    assert list(names(server, index).values()) == [True]
    with open_index(index.address) as reader:
        assert (len(reader), reader.passport.method) == (61, "flat")


def test_what_is_written_while_a_copy_is_checked_is_a_change_and_no_damage(server, make, monkeypatch):
    index = filled(make(server, "flat", dim=16), 60)
    verify = copying._verify

    def meanwhile(*arguments):
        index.add([ImageRecord("00000.late.jpg")], clustered(1, 16))
        index.flush()
        verify(*arguments)

    monkeypatch.setattr(copying, "_verify", meanwhile)
    with pytest.raises(IndexMismatch, match=r"changed while it was copied; copy again"):
        copy(index.address, index.address, method="hnsw", progress=False)
    assert list(names(server, index).values()) == [True]


def test_a_copy_on_a_server_keeps_the_method_and_one_in_a_file_is_exact(server, make, tmp_path):
    index = filled(make(server, "hnsw:m=8,no-exact", dim=16), 60)
    for target, method in [(f"{index.address}-2", "hnsw:m=8,no-exact"), (f"local:{tmp_path / 'a.db'}", "exact")]:
        copy(index.address, target, progress=False)
        with open_index(target) as made:
            assert made.passport.method == method
    remove_from_server(f"{index.address}-2")


def test_a_copy_to_its_own_address_wants_a_method(server, make):
    index = filled(make(server, "flat", dim=16), 3)
    with pytest.raises(BadQuery, match=r"cannot be copied to itself unchanged\. Give another method: --method SPEC"):
        copy(index.address, index.address, progress=False)


def test_a_password_in_an_address_is_never_printed(server, make, capsys, monkeypatch):
    index = filled(make(server, "flat", dim=16), 3)
    secret = index.address.replace("http://", "http://joe:sekret@")
    commands = [
        (["copy", secret, f"{secret}-2"], "0"),
        (["copy", secret, f"{secret}-2"], "3"),
        (["info", "--index", secret], "0"),
        (["info", "--index", secret, "--json"], "0"),
        (["doctor", "--index", secret], "[01]"),
        (["doctor", "--index", f"{secret}-3"], "[01]"),
    ]
    for words, code in commands:
        monkeypatch.setattr(sys, "argv", ["imgsearch", *words])
        with pytest.raises(SystemExit, match=code):
            cli.main()
    said = "".join(capsys.readouterr())
    assert f"3 records to {index.address}-2" in said
    assert f"There is an index at {index.address}-2 already" in said
    assert said.count(index.address) >= len(commands)
    assert "sekret" not in said
    remove_from_server(f"{index.address}-2")


def test_a_rebuild_whose_index_was_deleted_is_never_taken_for_the_one_that_serves(server, make):
    index = filled(make(server, "flat", dim=16), 60)
    with elastic.rebuild_elastic(index.address, new_passport(None, dim=16, method="hnsw")) as new:
        with elastic.rebuild_elastic(index.address, new_passport(None, dim=16, method="hnsw")):
            pass
        with pytest.raises(IndexMismatch, match=r"The new index for .* no longer exists; another rebuild"):
            len(new)
        with pytest.raises(IndexMismatch, match=r"The new index for .* no longer exists; another rebuild"):
            new.publish(0)
    assert len(index) == 60


def test_a_rebuild_is_published_also_when_the_servers_answer_is_lost(server, make, monkeypatch):
    monkeypatch.setattr(client, "WAITS", (0.01, 0.02))
    index = filled(make(server, "flat", dim=16), 60)
    lost = []

    def lose_first(request):
        if request.path.startswith("/_aliases") and not lost:
            lost.append(proxy.forward(request))
            raise Cut

    with Proxy(server) as proxy:
        proxy.answer = lose_first
        seen = f"{proxy.url}/{index.address.rpartition('/')[2]}"
        assert copy(seen, seen, method="hnsw", progress=False).copied == 60
    assert [reply.status for reply in lost] == [200]
    assert list(names(server, index).values()) == [True]
    with open_index(index.address) as reader:
        assert (len(reader), reader.passport.method) == (60, "hnsw")


def test_a_closed_index_is_named_as_such(server, make):
    index = filled(make(server, "flat"), 4)
    query = index.vectors()[:1]
    index._connected.request("POST", f"/{index._name}/_close")
    for ask in (lambda: open_index(index.address).records(), lambda: index.search(query, 1)):
        with pytest.raises(ServerUnavailable, match=r"is closed on the server\. Open it with POST /\S+/_open there"):
            ask()
    index._connected.request("POST", f"/{index._name}/_open")
    with open_index(index.address) as again:
        assert len(again) == 4
