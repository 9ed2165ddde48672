"""What is said to the server, word for word."""

from __future__ import annotations

import base64
import dataclasses
import struct

import numpy as np
import orjson
import pytest

from imgsearch_kit.errors import BadQuery, IndexDamaged, VersionMismatch
from imgsearch_kit.index.elastic import bodies
from imgsearch_kit.index.elastic.bodies import SearchOptions
from imgsearch_kit.index.elastic.client import Server
from imgsearch_kit.index.elastic.documents import recognised
from imgsearch_kit.index.elastic.methods import Method, parse_method
from imgsearch_kit.records import Approx, BakedRank, ExtractorSpec, ImageRecord, IndexPassport

V = np.array([0.6, -0.8], np.float32)
PASSPORT = IndexPassport(
    "u-1",
    ExtractorSpec("two", 2),
    2,
    generation=7,
    count=99,
    created="2026-01-02T03:04:05+00:00",
    roots={"": "/p"},
    libraries={"numpy": "2"},
    probes=np.array([[1, 0], [0, 1]], np.float32),
    method="flat",
)


def said(body):
    """The body as the server receives it."""
    return orjson.loads(orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY))


def test_what_a_ranking_has_learned_goes_in_parts(monkeypatch):
    monkeypatch.setattr(bodies, "PART", 3)
    assert bodies.learned_documents(b"abcde") == [{"learned": "YWJj", "parts": 2}, {"learned": "ZGU=", "parts": 2}]
    assert bodies.learned_id(1) == "learned-1"


def test_a_baked_ranking_stands_in_the_passport_and_probes_keep_their_length():
    passport = dataclasses.replace(PASSPORT, dim=1, baked=BakedRank("pca:1", "u-0", 5, 40, 2), generation=0, count=0)
    meta = said(bodies.passport_meta(passport))["imgsearch"]
    assert meta["baked"] == {"spec": "pca:1", "uuid": "u-0", "generation": 5, "count": 40, "dim": 2}
    read = bodies.passport_of(meta)
    assert read == passport
    assert read.probes.tolist() == PASSPORT.probes.tolist()


# -- an index ----------------------------------------------------------------------------------------------------


def test_the_body_that_creates_an_index():
    body = bodies.index_body(parse_method("flat", 2), PASSPORT, ["pictures"], "pictures-1-write")
    assert said(body) == {
        "settings": {
            "index": {"number_of_shards": 1, "refresh_interval": "-1", "auto_expand_replicas": "0-1"},
        },
        "aliases": {"pictures": {"is_write_index": True}, "pictures-1-write": {"is_hidden": True}},
        "mappings": {
            "dynamic": False,
            "_meta": {
                "imgsearch": {
                    "uuid": "u-1",
                    "spec": {
                        "name": "two",
                        "dim": 2,
                        "layer": "",
                        "pooling": "",
                        "side": 224,
                        "resampling": "bilinear",
                        "preprocessing": "",
                        "weights_digest": "",
                        "engine": "",
                    },
                    "dim": 2,
                    "generation": 7,
                    "created": "2026-01-02T03:04:05+00:00",
                    "roots": {"": "/p"},
                    "libraries": {"numpy": "2"},
                    "method": "flat",
                    "format": 2,
                    "probes": base64.b64encode(struct.pack(">4f", 1, 0, 0, 1)).decode(),
                }
            },
            "properties": {
                "id": {"type": "keyword"},
                "label": {"type": "keyword"},
                "sha256": {"type": "keyword"},
                "width": {"type": "integer", "index": False, "doc_values": True},
                "height": {"type": "integer", "index": False, "doc_values": True},
                "mtime": {"type": "double", "index": False, "doc_values": True},
                "size": {"type": "long", "index": False, "doc_values": True},
                "path": {"type": "keyword", "index": False, "doc_values": True},
                "inode": {"type": "long", "index": False, "doc_values": True},
                "ctime": {"type": "double", "index": False, "doc_values": True},
                "vector": {
                    "type": "dense_vector",
                    "dims": 2,
                    "index": True,
                    "similarity": "cosine",
                    "index_options": {"type": "flat"},
                },
                "failures": {"type": "object", "enabled": False},
            },
        },
    }


def test_shards_and_replicas_as_given():
    body = bodies.index_body(parse_method("exact:shards=3,replicas=1", 2), PASSPORT, [], "w")
    assert body["settings"] == {"index": {"number_of_shards": 3, "refresh_interval": "-1", "number_of_replicas": 1}}
    assert body["aliases"] == {"w": {"is_hidden": True}}


def dense(**options):
    return {"type": "dense_vector", "dims": 64, "index": True, "similarity": "cosine", "index_options": options}


def elastiknn(**model):
    return {"type": "elastiknn_dense_float_vector", "elastiknn": {"dims": 64, **model}}


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        ("exact", {"vector": elastiknn(model="exact")}),
        ("l2-lsh", {"vector": elastiknn(model="lsh", similarity="l2", L=60, k=3, w=2)}),
        ("cosine-lsh:L=9", {"vector": elastiknn(model="lsh", similarity="cosine", L=9, k=1)}),
        ("permutation-lsh:k=5", {"vector": elastiknn(model="permutation_lsh", repeating=False, k=5)}),
        ("flat", {"vector": dense(type="flat")}),
        ("hnsw", {"vector": dense(type="hnsw", m=16, ef_construction=100), "exact": dense(type="flat")}),
        ("int8_hnsw", {"vector": dense(type="int8_hnsw", m=16, ef_construction=100), "exact": dense(type="flat")}),
        ("bbq_hnsw:no-exact", {"vector": dense(type="bbq_hnsw", m=16, ef_construction=100)}),
    ],
)
def test_the_mapping_of_the_vectors(spec, fields):
    assert bodies.vector_fields(parse_method(spec, 64), 64) == fields


def test_a_passport_comes_back_from_the_mapping():
    plain = said(bodies.passport_meta(PASSPORT))["imgsearch"]
    back = bodies.passport_of(plain)
    assert back == IndexPassport(**{**PASSPORT.__dict__, "count": 0})
    assert np.array_equal(back.probes, PASSPORT.probes)
    del plain["probes"]
    assert bodies.passport_of(plain).probes.size == 0


ALTERED = {
    "format": ["1", None, 0],
    "dim": ["2", 0, None],
    "roots": [[], {"": 3}],
    "spec": ["x", []],
    "method": [3, []],
}
ALTERED |= {"label_levels": [[], "x"], "probes": [3, "x"], "uuid": [None], "baked": ["x"], "rank": [3]}
STORED = [{}, [], "x", 3, *((name, value) for name, values in ALTERED.items() for value in values)]


@pytest.mark.parametrize("stored", STORED, ids=str)
def test_a_passport_that_cannot_be_read_is_damage(stored):
    if isinstance(stored, tuple):
        stored = bodies.passport_meta(PASSPORT)["imgsearch"] | dict([stored])
    index = {"mappings": {"_meta": {"imgsearch": stored}}}
    words = r"The passport of the index at http://h:9200/pictures cannot be read: .*\. Restore the index from a backup"
    with pytest.raises(IndexDamaged, match=words):
        recognised(Server("http://h/pictures"), "pictures", index)


def test_a_passport_of_a_newer_kit_is_not_read():
    stored = {"imgsearch": {"format": 3, "dim": "in another form"}}
    with pytest.raises(VersionMismatch, match="has format 3; this kit reads formats 1 to 2"):
        recognised(Server("http://h/pictures"), "pictures", {"mappings": {"_meta": stored}})


# -- documents ---------------------------------------------------------------------------------------------------

RECORD = ImageRecord("a/b.jpg", "a", "12" * 32, 640, 480, 1.25, 10**12)
PLAIN = {
    "id": "a/b.jpg",
    "label": "a",
    "sha256": "12" * 32,
    "width": 640,
    "height": 480,
    "mtime": 1.25,
    "size": 10**12,
}


def test_a_document_id_depends_on_the_id_alone():
    assert bodies.document_id("a/b.jpg") == "d60cd1dd0407a8c3e0ad03553f1d13ea"
    assert bodies.document_id("a/b.jpeg") != bodies.document_id("a/b.jpg")
    assert len(bodies.document_id("x" * 5000)) == 32


def test_documents_carry_numbers_or_base64():
    exact, flat, hnsw = (parse_method(spec, 2) for spec in ("exact", "flat", "hnsw"))
    packed = base64.b64encode(struct.pack(">2f", *V)).decode()
    numbers = [0.6, -0.8]
    assert said(bodies.document(RECORD, V, flat, pack=True)) == PLAIN | {"vector": packed}
    assert said(bodies.document(RECORD, V, flat, pack=False)) == PLAIN | {"vector": numbers}
    assert said(bodies.document(RECORD, V, hnsw, pack=True)) == PLAIN | {"vector": packed, "exact": packed}
    assert said(bodies.document(RECORD, V, exact, pack=True)) == PLAIN | {"vector": numbers}
    bare = said(bodies.document(ImageRecord("x"), V, exact, pack=False))
    assert bare == {"id": "x", "sha256": "", "width": 0, "height": 0, "mtime": 0.0, "size": 0, "vector": numbers}


# -- queries -----------------------------------------------------------------------------------------------------

LEAN = {
    "_source": False,
    "track_total_hits": False,
    "stored_fields": "_none_",
    "docvalue_fields": ["id", "label", "sha256", "width", "height", "mtime", "size", "path", "inode", "ctime"],
}
SEARCHES = {
    "exact": (
        "exact",
        SearchOptions(11),
        {"size": 11, "query": {"elastiknn_nearest_neighbors": {"model": "exact", "similarity": "cosine"}}},
    ),
    "l2-lsh": (
        "l2-lsh",
        SearchOptions(10, 500, 3),
        {
            "size": 10,
            "query": {
                "elastiknn_nearest_neighbors": {"model": "lsh", "similarity": "l2", "candidates": 500, "probes": 3}
            },
        },
    ),
    "cosine-lsh": (
        "cosine-lsh",
        SearchOptions(10, 500),
        {
            "size": 10,
            "query": {"elastiknn_nearest_neighbors": {"model": "lsh", "similarity": "cosine", "candidates": 500}},
        },
    ),
    "permutation-lsh": (
        "permutation-lsh",
        SearchOptions(10, 500),
        {
            "size": 10,
            "query": {
                "elastiknn_nearest_neighbors": {"model": "permutation_lsh", "similarity": "cosine", "candidates": 500}
            },
        },
    ),
    "exact on an LSH mapping, filtered": (
        "l2-lsh",
        SearchOptions(11, labels=("cat", "dog"), without=("k1", "k2")),
        {
            "size": 11,
            "query": {
                "bool": {
                    "must": [{"elastiknn_nearest_neighbors": {"model": "exact", "similarity": "cosine"}}],
                    "filter": [{"terms": {"label": ["cat", "dog"]}}],
                    "must_not": [{"ids": {"values": ["k1", "k2"]}}],
                }
            },
        },
    ),
    "flat": ("flat", SearchOptions(11), {"size": 11, "knn": {"field": "vector", "k": 11, "num_candidates": 11}}),
    "exact on hnsw": (
        "hnsw",
        SearchOptions(11),
        {"size": 11, "knn": {"field": "exact", "k": 11, "num_candidates": 11}},
    ),
    "hnsw": ("hnsw", SearchOptions(10, 100), {"size": 10, "knn": {"field": "vector", "k": 100, "num_candidates": 100}}),
    "int8_hnsw, filtered": (
        "int8_hnsw",
        SearchOptions(10, 100, labels=("cat",)),
        {
            "size": 10,
            "knn": {
                "field": "vector",
                "k": 100,
                "num_candidates": 100,
                "rescore_vector": {"oversample": 1.0},
                "filter": {"bool": {"filter": [{"terms": {"label": ["cat"]}}]}},
            },
        },
    ),
}


@pytest.mark.parametrize(("spec", "options", "body"), SEARCHES.values(), ids=SEARCHES.keys())
def test_the_body_of_a_search(spec, options, body):
    vector = np.resize(V, 64)
    got = said(bodies.search_body(parse_method(spec, 64), vector, options))
    numbers = [0.6, -0.8] * 32
    if "knn" in got:
        assert got["knn"].pop("query_vector") == numbers
    else:
        query = got["query"]
        nearest = query["bool"]["must"][0] if "bool" in query else query
        assert nearest["elastiknn_nearest_neighbors"].pop("vec") == numbers
        assert nearest["elastiknn_nearest_neighbors"].pop("field") == "vector"
    assert got == LEAN | body


def test_a_search_in_the_original_system_s_index_reads_the_server_s_id():
    body = said(bodies.search_body(Method("exact"), V, SearchOptions(3, ids=("7",)), "feature_vector"))
    assert body == {
        "size": 3,
        "_source": False,
        "track_total_hits": False,
        "query": {
            "bool": {
                "must": [
                    {
                        "elastiknn_nearest_neighbors": {
                            "field": "feature_vector",
                            "vec": [0.6, -0.8],
                            "model": "exact",
                            "similarity": "cosine",
                        }
                    }
                ],
                "filter": [{"ids": {"values": ["7"]}}],
            }
        },
    }


def test_more_ids_than_one_query_takes_are_several_queries():
    many = tuple(map(str, range(25_000)))
    clauses = SearchOptions(3, ids=many, without=many[:10_001]).filters
    (kept,) = clauses["filter"]
    assert [len(query["ids"]["values"]) for query in kept["bool"]["should"]] == [10_000, 10_000, 5_000]
    assert [query["ids"]["values"] for query in clauses["must_not"]] == [list(many[:10_000]), ["10000"]]


def test_several_searches_are_lines():
    lines = bodies.searches([{"size": 1, "v": V}, {"size": 2}])
    head = b'{"allow_partial_search_results":false}\n'
    assert lines == head + b'{"size":1,"v":[0.6,-0.8]}\n' + head + b'{"size":2}\n'


def test_candidates_are_at_least_k_and_at_most_the_server_s_limit():
    lsh, hnsw, l2 = (parse_method(spec, 8) for spec in ("permutation-lsh", "hnsw", "l2-lsh"))
    assert bodies.candidates(lsh, Approx(), 10) == (500, 0)
    assert bodies.candidates(hnsw, Approx(), 10) == (100, 0)
    assert bodies.candidates(hnsw, Approx(20), 50) == (50, 0)
    assert bodies.candidates(l2, Approx(10_000, 4), 10) == (10_000, 4)
    with pytest.raises(BadQuery, match="candidates may be at most 10000, the server's limit; they are 10001"):
        bodies.candidates(hnsw, Approx(10_001), 10)
    with pytest.raises(BadQuery, match="probes is a parameter of l2-lsh; the method of this index is hnsw"):
        bodies.candidates(hnsw, Approx(probes=1), 10)


@pytest.mark.parametrize(
    ("spec", "options", "score", "cosine"),
    [
        ("flat", SearchOptions(1), 0.75, 0.5),
        ("exact", SearchOptions(1), 1.5, 0.5),
        ("cosine-lsh", SearchOptions(1, 10), 1.5, 0.5),
        ("l2-lsh", SearchOptions(1), 1.5, 0.5),  # asked exactly
        ("l2-lsh", SearchOptions(1, 10), 0.5, 0.5),  # distance 1: an angle of 60 degrees
        ("l2-lsh", SearchOptions(1, 10), 1 / 3, -1.0),  # distance 2: opposite
    ],
)
def test_scores_stand_for_cosines(spec, options, score, cosine):
    assert bodies.cosine(parse_method(spec, 64), options, score) == pytest.approx(cosine, abs=1e-12)


def test_who_answered_is_said_as_a_spec():
    assert bodies.answered_by(parse_method("hnsw", 8), SearchOptions(3)) == "exact"
    assert (
        bodies.answered_by(Method("permutation-lsh", {"k": 8}), SearchOptions(3, 500))
        == "permutation-lsh:k=8,candidates=500"
    )
    l2 = bodies.answered_by(Method("l2-lsh", {"L": 60, "k": 3, "w": 2}), SearchOptions(3, 500, 4))
    assert l2 == "l2-lsh:L=60,k=3,w=2,candidates=500,probes=4"


def test_pages_read_columns_where_the_server_has_them():
    exact, flat = parse_method("exact", 8), parse_method("flat", 8)
    base = {"size": 9, "track_total_hits": False, "query": {"exists": {"field": "id"}}}
    columns = {"_source": False, "stored_fields": "_none_"}
    fields = ["id", "label", "sha256", "width", "height", "mtime", "size", "path", "inode", "ctime"]
    for method in (exact, flat):
        page = bodies.page_body(9, bodies.RECORDS, method, vectors=False)
        assert page == base | columns | {"docvalue_fields": fields}
    page = bodies.page_body(9, bodies.RECORDS, flat, vectors=True)
    assert page == base | columns | {"docvalue_fields": [*fields, "vector"]}
    page = bodies.page_body(9, bodies.RECORDS, exact, vectors=True)
    assert page == base | {"_source": ["vector"], "docvalue_fields": fields}


def test_labels_are_counted_a_page_at_a_time():
    first = bodies.labels_body(bodies.RECORDS, None)
    assert first == {
        "size": 0,
        "track_total_hits": False,
        "query": {"exists": {"field": "id"}},
        "aggs": {"labels": {"composite": {"size": 10_000, "sources": [{"label": {"terms": {"field": "label"}}}]}}},
    }
    then = bodies.labels_body(bodies.RECORDS, {"label": "cat"})
    assert then["aggs"]["labels"]["composite"]["after"] == {"label": "cat"}


def test_a_path_is_written_only_where_it_is_not_the_id():
    method = parse_method("exact", 2)
    assert "path" not in bodies.document(RECORD, V, method, pack=False)
    beside = dataclasses.replace(RECORD, path="a/b.jpg")
    assert bodies.document(beside, V, method, pack=False)["path"] == "a/b.jpg"


def test_a_count_is_a_search_for_nothing():
    assert bodies.count_body(bodies.RECORDS) == {
        "size": 0,
        "track_total_hits": True,
        "query": {"exists": {"field": "id"}},
    }


def test_a_page_follows_another_in_a_point_in_time():
    first = {"pit": {"id": "p", "keep_alive": "5m"}, "sort": ["_shard_doc"]}
    assert bodies.paging("p", None) == first
    assert bodies.paging("p", [7]) == first | {"search_after": [7]}


def test_aliases_change_in_one_step():
    steps = [{"remove_index": {"index": "old"}}, {"add": {"index": "new", "alias": "pictures"}}]
    assert bodies.alias_body(steps) == {"actions": steps}
