"""The simulated hashing methods: hand-made tokens, Java's random numbers, and candidates that a person can count."""

from __future__ import annotations

import numpy as np
import pytest

from imgsearch_kit.approximation.lsh import Simulation, _drawn, recall_at, tokens_of


def unit(rows: list[list[float]]) -> np.ndarray:
    vectors = np.array(rows, np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def random_unit(n: int, dim: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_random_numbers_are_those_of_java():
    """What `new Random(0)` prints in any JVM: four Gaussians, then the floats that follow an odd number of them."""
    normals, _ = _drawn(4, 1)
    expected = [0.8025330637390305, -0.9015460884175122, 2.080920790428163, 0.7637707684364894]
    assert normals.tolist() == np.array(expected, np.float32).tolist()
    _, after_two = _drawn(2, 3)
    _, after_one = _drawn(1, 3)  # Java keeps the second of a pair; the stream goes on at the same place
    assert after_one.tolist() == after_two.tolist()


def test_normals_are_normal_and_uniforms_uniform():
    normals, uniforms = _drawn(200_000, 50_000)
    assert len(normals) == 200_000
    assert abs(normals.mean()) < 0.01
    assert abs(normals.std() - 1) < 0.01
    assert 0 <= uniforms.min() < uniforms.max() < 1
    assert abs(uniforms.mean() - 0.5) < 0.01


def test_permutation_tokens_are_the_largest_components_with_their_sign():
    vectors = unit([[0.1, -0.9, 0.3, 0.0], [0.8, 0.2, -0.3, 0.1]])
    tokens = np.sort(tokens_of(vectors, "permutation-lsh", {"k": 2}), axis=1)
    assert tokens.tolist() == [[3, 4], [0, 5]]  # 1 negative and 2 positive; 0 positive and 2 negative


def test_cosine_tokens_are_the_signs_of_projections():
    vectors = random_unit(20, 8)
    planes = _drawn(3 * 8, 3)[0].reshape(3, 8)
    signs = vectors @ planes.T > 0
    tokens = tokens_of(vectors, "cosine-lsh", {"L": 3, "k": 1})
    for table in range(3):
        assert len(np.unique(tokens[signs[:, table], table])) == 1
        assert set(tokens[signs[:, table], table]).isdisjoint(tokens[~signs[:, table], table])


def test_tables_never_share_a_token():
    tokens = tokens_of(random_unit(50, 16), "l2-lsh", {"L": 20, "k": 2, "w": 1})
    tables = [set(column) for column in tokens.T.tolist()]
    assert sum(map(len, tables)) == len(set.union(*tables))


def test_l2_tokens_are_buckets_of_width_w():
    vectors = random_unit(40, 6)
    normals, uniforms = _drawn(2 * 6, 2)
    for w in (1, 2):
        buckets = np.floor((vectors @ normals.reshape(2, 6).T + uniforms * w) / w)
        tokens = tokens_of(vectors, "l2-lsh", {"L": 2, "k": 1, "w": w})
        for table in range(2):
            same_bucket = buckets[:, table, None] == buckets[None, :, table]
            assert (same_bucket == (tokens[:, table, None] == tokens[None, :, table])).all()


def test_probes_add_the_nearest_other_buckets():
    vectors = random_unit(30, 6)
    normals, uniforms = _drawn(6, 1)
    place = (vectors @ normals)[:, None] + uniforms  # one table, k = 1, w = 1
    tokens = tokens_of(vectors, "l2-lsh", {"L": 1, "k": 1, "w": 1}, probes=1)
    step = np.where(place - np.floor(place) < 0.5, -1, 1)
    assert tokens[:, 0].tolist() == np.floor(place).astype(int)[:, 0].tolist()
    assert (tokens[:, 1] - tokens[:, 0]).tolist() == step[:, 0].tolist()


def test_there_are_no_more_probes_than_other_buckets():
    vectors = random_unit(3, 6)
    assert tokens_of(vectors, "l2-lsh", {"L": 4, "k": 1, "w": 1}, probes=9).shape == (3, 4 * 3)
    assert tokens_of(vectors, "l2-lsh", {"L": 4, "k": 2, "w": 1}, probes=9).shape == (3, 4 * 9)
    assert tokens_of(vectors, "l2-lsh", {"L": 4, "k": 2, "w": 1}, probes=3).shape == (3, 4 * 4)


@pytest.fixture
def four():
    """Four rows and their two largest components: {0, 1}, {0, 1}, {1, 2} and {2, 3}."""
    rows = unit([[9, 8, 1, 0], [8, 9, 1, 0], [0, 8, 9, 1], [0, 1, 8, 9]])
    return Simulation.of(rows, "permutation-lsh", {"k": 2})


def test_counts_are_shared_tokens(four):
    assert four.counts(unit([[9, 8, 0, 0], [-9, 8, 0, 0]])).tolist() == [[2, 2, 1, 0], [1, 1, 1, 0]]


def test_places_order_by_count_then_row_and_nothing_shared_is_never_found(four):
    places, visited = four.places(unit([[9, 8, 0, 0]]), np.array([[1, 2, 3]]))
    assert places.tolist() == [[2, 3, np.inf]]
    assert visited == 5
    assert [recall_at(places, n) for n in (1, 2, 3, 4)] == pytest.approx([0, 1 / 3, 2 / 3, 2 / 3])


def test_rows_of_a_sample_count_for_those_they_stand_for(four):
    places, visited = four.places(unit([[9, 8, 0, 0]]), np.array([[1, 2]]), weights=np.array([10.0, 1, 1, 1]))
    assert places.tolist() == [[11, 12]]
    assert visited == 2 * 10 + 2 + 1


def test_a_sample_predicts_what_the_whole_gallery_would():
    gallery, queries = random_unit(4000, 32), random_unit(40, 32, seed=1)
    true = np.argsort(-(queries @ gallery.T), axis=1)[:, :10]
    whole = Simulation.of(gallery, "cosine-lsh", {"L": 60, "k": 2}).places(queries, true)[0]
    others = np.setdiff1d(np.arange(4000), true)
    drawn = np.random.default_rng(2).choice(others, 800, replace=False)
    rows = np.union1d(true, drawn)  # in the gallery's order, which decides ties
    weights = np.where(np.isin(rows, drawn), len(others) / len(drawn), 1.0)
    sample = Simulation.of(gallery[rows], "cosine-lsh", {"L": 60, "k": 2})
    places = sample.places(queries, np.searchsorted(rows, true), weights=weights)[0]
    for candidates in (50, 200):
        assert 0.1 < recall_at(whole, candidates) < 0.95
        assert recall_at(places, candidates) == pytest.approx(recall_at(whole, candidates), abs=0.03)


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("l2-lsh", {"L": 40, "k": 2, "w": 1}),
        ("cosine-lsh", {"L": 40, "k": 2}),
        ("permutation-lsh", {"k": 16}),
    ],
)
def test_every_method_finds_near_vectors_before_far_ones(method, params):
    gallery = random_unit(500, 32)
    noise = random_unit(500, 32, seed=3)
    queries = gallery[:20] + 0.3 * noise[:20]
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    places, _ = Simulation.of(gallery, method, params).places(queries, np.arange(20)[:, None])
    assert np.median(places) == 1


def test_probes_find_more():
    gallery, queries = random_unit(1000, 32), random_unit(30, 32, seed=1)
    true = np.argsort(-(queries @ gallery.T), axis=1)[:, :10]
    simulation = Simulation.of(gallery, "l2-lsh", {"L": 20, "k": 3, "w": 1})
    few, more = (recall_at(simulation.places(queries, true, probes=p)[0], 100) for p in (0, 5))
    assert more > few + 0.05
