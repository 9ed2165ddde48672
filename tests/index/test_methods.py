"""The SPEC of a method: what it names, and what is refused before anything is said to a server."""

from __future__ import annotations

import pytest

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.index.elastic.methods import Method, parse_method


@pytest.mark.parametrize(
    ("spec", "dim", "name", "parameters"),
    [
        ("exact", 512, "exact", {}),
        ("l2-lsh", 512, "l2-lsh", {"L": 60, "k": 3, "w": 2}),
        ("l2-lsh:w=4,L=9", 512, "l2-lsh", {"L": 9, "k": 3, "w": 4}),
        ("cosine-lsh", 512, "cosine-lsh", {"L": 99, "k": 1}),
        ("permutation-lsh", 512, "permutation-lsh", {"k": 64}),
        ("permutation-lsh", 4096, "permutation-lsh", {"k": 512}),
        ("permutation-lsh", 100, "permutation-lsh", {"k": 16}),
        ("permutation-lsh", 8, "permutation-lsh", {"k": 8}),
        ("permutation-lsh:k=512", 512, "permutation-lsh", {"k": 512}),
        ("flat", 4096, "flat", {}),
        ("hnsw", 512, "hnsw", {"m": 16, "ef_construction": 100}),
        ("int8_hnsw:m=32", 512, "int8_hnsw", {"m": 32, "ef_construction": 100}),
        ("bbq_hnsw:ef_construction=200", 64, "bbq_hnsw", {"m": 16, "ef_construction": 200}),
    ],
)
def test_a_spec_names_a_method_with_its_parameters(spec, dim, name, parameters):
    method = parse_method(spec, dim)
    assert (method.name, dict(method.parameters)) == (name, parameters)
    assert (method.shards, method.replicas, method.twin) == (1, None, True)
    assert parse_method(method.spec, dim) == method


def test_shards_replicas_and_no_exact_go_with_a_method():
    assert parse_method("exact:shards=3,replicas=0", 8) == Method("exact", {}, 3, 0)
    assert parse_method("hnsw:no-exact", 8).twin is False


@pytest.mark.parametrize(
    ("spec", "dim", "words"),
    [
        ("", 8, "method '' is unknown. Choose one of exact, l2-lsh"),
        ("HNSW", 8, "method 'HNSW' is unknown"),
        ("l2-lsh:L=0", 8, "L must be a whole number from 1 to 2147483647; it is '0'"),
        ("l2-lsh:L=-5", 8, "L must be .* it is '-5'"),
        ("l2-lsh:k=1.5", 8, r"k must be .* it is '1\.5'"),
        ("l2-lsh:w", 8, "w must be .* it is ''"),
        ("l2-lsh:w=²", 8, "w must be .* it is '²'"),
        ("l2-lsh:m=3", 8, "'l2-lsh' has no parameter 'm' .* It takes L, k, w, shards, replicas"),
        ("exact:no-exact", 8, "'exact' has no parameter 'no-exact'"),
        ("flat:no-exact", 8, "'flat' has no parameter 'no-exact'"),
        ("flat:shards=0", 8, "shards must be .* from 1 to 1024; it is '0'"),
        ("flat:replicas=x", 8, "replicas must be .* from 0 to 2147483647; it is 'x'"),
        ("flat:shards=1025", 8, "shards must be .* from 1 to 1024; it is '1025'"),
        ("hnsw:m=513", 8, "m must be .* from 1 to 512; it is '513'"),
        ("hnsw:ef_construction=3201", 8, "ef_construction must be .* from 1 to 3200; it is '3201'"),
        ("l2-lsh:L=2147483648", 8, "L must be .* to 2147483647; it is '2147483648'"),
        pytest.param(f"l2-lsh:L={'9' * 5000}", 8, "L must be .* it is '9{40}'", id="5000 digits"),
        ("permutation-lsh:k=9", 8, "k of at most 8, the vectors' dimension; k=9"),
        ("hnsw", 4097, "at most 4096 dimensions; these have 4097"),
        ("bbq_hnsw", 63, "at least 64 dimensions; these have 63"),
    ],
)
def test_a_bad_spec_is_refused(spec, dim, words):
    with pytest.raises(BadQuery, match=words):
        parse_method(spec, dim)
