"""The measures against hand-worked rankings, trec_eval (through ir-measures), and every shuffle of a small gallery."""

import itertools
import math
from fractions import Fraction

import ir_measures
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import csr_array

from imgsearch_kit.evaluation.metrics import (
    Ties,
    chance,
    measures,
    near_duplicates,
    same_picture,
    score_queries,
)
from imgsearch_kit.vectors import blocks, cosines

KS = (1, 4, 10)
CAT, DOG, OWL = 0, 1, 2


def score_table(table, query_labels, gallery_labels, junk=None, ks=KS, **kwargs):
    """Measures a written table of scores, one row per query."""
    table = np.asarray(table, np.float32)
    junk = csr_array(np.zeros(table.shape, bool) if junk is None else np.asarray(junk, bool))
    labels = np.asarray(query_labels), np.asarray(gallery_labels)
    return score_queries(lambda rows: table[rows].copy(), *labels, junk, ks, **kwargs)


def values_of(ranks, R, ks=KS):
    """The measures of one query whose relevant pictures stand at ``ranks``."""
    found = measures(np.zeros(len(ranks), np.int64), np.array(ranks, np.int64), np.array([R]), ks)
    return {name: float(value[0]) for name, value in found.items()}


# Rankings to follow by hand


def test_three_relevant_at_places_one_three_and_six():
    found = values_of([1, 3, 6], R=3, ks=(1, 4))
    assert found["P@1"] == 1
    assert found["P@4"] == 2 / 4
    assert found["recall@4"] == pytest.approx(2 / 3)
    assert found["R-precision"] == pytest.approx(2 / 3)  # two of the first three
    assert found["mAP"] == pytest.approx((1 / 1 + 2 / 3 + 3 / 6) / 3)
    assert found["MAP@R"] == pytest.approx((1 / 1 + 2 / 3) / 3)  # the third hit comes after place R
    assert found["nDCG@4"] == pytest.approx((1 + 1 / 2) / (1 + 1 / math.log2(3) + 1 / 2))
    assert found["first-hit rank"] == 1


def test_one_found_of_ten_relevant_is_not_a_perfect_answer():
    found = values_of([1, *range(101, 110)], R=10)
    assert found["mAP"] < 0.2
    assert found["nDCG@10"] == pytest.approx(1 / sum(1 / math.log2(i + 1) for i in range(1, 11)))
    assert found["recall@10"] == 0.1


def test_k_larger_than_the_class_divides_precision_by_k_and_gain_by_the_class():
    found = values_of([1, 2], R=2, ks=(10,))
    assert found["P@10"] == 0.2
    assert found["nDCG@10"] == 1
    assert found["recall@10"] == 1


def test_a_query_without_relevant_pictures_has_no_value():
    assert all(math.isnan(value) for value in values_of([], R=0).values())


def test_relevant_pictures_that_were_never_ranked_count_in_the_denominator():
    found = values_of([2], R=4, ks=(4,))
    assert found["P@4"] == 1 / 4
    assert found["recall@4"] == 1 / 4
    assert found["mAP"] == (1 / 2) / 4
    assert values_of([], R=4)["first-hit rank"] == math.inf


# From scores to places


def test_leave_one_out_of_two_cats_and_two_dogs():
    # ids a < b < c < d; a, b are cats, c, d are dogs. For each query the order of the other three:
    scores = [
        [1.0, 0.9, 0.5, 0.1],  # a: b c d -> its cat is first
        [0.9, 1.0, 0.8, 0.2],  # b: a c d -> first
        [0.5, 0.8, 1.0, 0.3],  # c: b a d -> its dog is third
        [0.1, 0.2, 0.3, 1.0],  # d: c b a -> first
    ]
    labels = [CAT, CAT, DOG, DOG]
    found = score_table(scores, labels, labels, junk=np.eye(4), ks=(1, 3))
    assert found.values["P@1"].tolist() == [1, 1, 0, 1]
    assert found.values["P@3"] == pytest.approx([1 / 3] * 4)
    assert found.values["mAP"] == pytest.approx([1, 1, 1 / 3, 1])
    assert found.values["first-hit rank"].tolist() == [1, 1, 3, 1]
    assert found.relevant.tolist() == [1] * 4
    assert found.available.tolist() == [3] * 4
    assert found.top.tolist() == [[1, 2, 3], [0, 2, 3], [1, 0, 3], [2, 1, 0]]
    assert found.top_scores[2].tolist() == pytest.approx([0.8, 0.5, 0.3])
    assert found.ties == Ties()


def test_ties_break_by_id_and_those_that_matter_are_counted():
    scores = [[0.5, 0.5, 0.5, 0.2, 0.2], [0.9, 0.8, 0.7, 0.6, 0.5]]
    found = score_table(scores, [CAT, CAT], [DOG, CAT, CAT, DOG, DOG], ks=(1, 2))
    assert found.top.tolist() == [[0, 1], [0, 1]]
    assert found.values["P@2"].tolist() == [0.5, 0.5]
    assert found.ties == Ties(pairs=3, deciding=1, queries=1)  # dog = cat decides; cat = cat and dog = dog do not


def test_junk_is_taken_out_of_the_ranking_not_counted_as_an_error():
    # Gallery: a copy of the query, another cat, a dog. With the copy as junk one cat is left to find.
    scores = [[0.99, 0.8, 0.5]]
    plain = score_table(scores, [CAT], [CAT, CAT, DOG], ks=(1,))
    grouped = score_table(scores, [CAT], [CAT, CAT, DOG], junk=[[1, 0, 0]], ks=(1,))
    assert (plain.relevant[0], plain.available[0], plain.top[0, 0]) == (2, 3, 0)
    assert (grouped.relevant[0], grouped.available[0], grouped.top[0, 0]) == (1, 2, 1)
    assert grouped.values["mAP"][0] == 1


def test_a_query_whose_only_class_mate_is_its_copy_has_nothing_to_find():
    found = score_table([[0.99, 0.5]], [CAT], [CAT, DOG], junk=[[1, 0]], ks=(1,))
    assert found.relevant[0] == 0
    assert math.isnan(found.values["P@1"][0])


def test_k_larger_than_the_gallery_pads_the_first_places():
    found = score_table([[0.9, 0.5]], [CAT], [CAT, DOG], ks=(5,))
    assert found.top.tolist() == [[0, 1]]
    assert found.values["P@5"][0] == 1 / 5
    shortened = score_table([[0.9, 0.5]], [DOG], [CAT, DOG], junk=[[1, 0]], ks=(2,))
    assert shortened.top.tolist() == [[1, -1]]
    assert np.isnan(shortened.top_scores[0, 1])


def test_pictures_with_the_query_s_number_are_its_own():
    own = same_picture(np.array([0, 2, -1]), np.array([0, 1, 2, 2]))
    assert own.toarray().tolist() == [[1, 0, 0, 0], [0, 0, 1, 1], [0, 0, 0, 0]]


def test_near_duplicates_are_those_at_or_above_the_bound():
    unit = np.array([[1, 0], [0.8, 0.6], [0, 1]], np.float32)
    assert near_duplicates(unit, unit, 0.7).toarray().tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 1]]


# Against trec_eval

OURS = {"P": "P", "recall": "R", "nDCG": "nDCG"}
WHOLE = {"R-precision": "Rprec", "mAP": "AP"}


def assert_equals_trec_eval(scores, query_labels, gallery_labels, junk, ks=KS):
    """Compares every query and measure; doc ids descend with the row, since trec_eval orders ties by id descending."""
    found = score_table(scores, query_labels, gallery_labels, junk, ks)
    m, n = scores.shape
    names = [f"{n - col:06d}" for col in range(n)]
    cells = [(q, d) for q in range(m) for d in range(n) if not junk[q, d]]
    run = [ir_measures.ScoredDoc(str(q), names[d], float(scores[q, d])) for q, d in cells]
    qrels = [ir_measures.Qrel(str(q), names[d], int(query_labels[q] == gallery_labels[d])) for q, d in cells]
    wanted = {ir_measures.parse_measure(f"{theirs}@{k}"): f"{ours}@{k}" for ours, theirs in OURS.items() for k in ks}
    wanted |= {ir_measures.parse_measure(theirs): ours for ours, theirs in WHOLE.items()}
    wanted[ir_measures.RR] = "first-hit rank"
    compared = 0
    for metric in ir_measures.iter_calc(list(wanted), qrels, run):
        name, q = wanted[metric.measure], int(metric.query_id)
        if found.relevant[q] == 0:
            continue
        ours = found.values[name][q]
        assert (1 / ours if name == "first-hit rank" else ours) == pytest.approx(metric.value, abs=1e-9), (name, q)
        compared += 1
    assert compared == len(wanted) * np.count_nonzero(found.relevant)


def test_random_rankings_equal_trec_eval():
    rng = np.random.default_rng(1)
    scores = rng.uniform(-1, 1, (40, 60)).astype(np.float32)
    labels = rng.integers(5, size=40), rng.integers(5, size=60)
    assert_equals_trec_eval(scores, *labels, rng.random((40, 60)) < 0.1)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), m=st.integers(1, 5), n=st.integers(1, 15))
def test_tied_and_degenerate_rankings_equal_trec_eval(data, m, n):
    scores = data.draw(arrays(np.int8, (m, n), elements=st.integers(-2, 2))).astype(np.float32) / 2
    query_labels = data.draw(arrays(np.int64, m, elements=st.integers(0, 2)))
    gallery_labels = data.draw(arrays(np.int64, n, elements=st.integers(0, 2)))
    junk = data.draw(arrays(np.bool_, (m, n)))
    assert_equals_trec_eval(scores, query_labels, gallery_labels, junk)


def test_rankings_of_real_vectors_equal_trec_eval(caltech):
    """Colour thumbnails of real photographs as vectors: strongly clustered scores, as real pictures give."""
    from PIL import Image

    files = [f for label in ("Faces", "airplanes", "panda") for f in sorted((caltech / label).glob("*.jpg"))[:25]]
    tiny = [np.asarray(Image.open(f).convert("RGB").resize((8, 8)), np.float32).ravel() for f in files]
    vectors = np.stack(tiny) / np.linalg.norm(tiny, axis=1, keepdims=True)
    labels = np.unique([f.parent.name for f in files], return_inverse=True)[1]
    scores = cosines(vectors, vectors)(slice(None))
    assert_equals_trec_eval(scores, labels, labels, np.eye(len(files), dtype=bool))


# MAP@R has no trec_eval counterpart: the formula of the paper, read aloud


def slow_map_at_r(relevance):
    R = sum(relevance)
    return sum(Fraction(sum(relevance[: i + 1]), i + 1) for i in range(R) if relevance[i]) / R


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=30).filter(any))
@example([False, True])
def test_map_at_r_follows_the_formula(relevance):
    ranks = [place for place, hit in enumerate(relevance, start=1) if hit]
    assert values_of(ranks, R=len(ranks))["MAP@R"] == pytest.approx(float(slow_map_at_r(relevance)), abs=1e-12)


# Chance: the mean over every possible shuffle


@pytest.mark.parametrize(("R", "N"), [(1, 1), (1, 4), (2, 5), (3, 6), (6, 6)])
def test_chance_is_the_mean_over_all_shuffles(R, N):
    ks = (1, 4, 10)
    shuffles = [values_of(places, R, ks) for places in itertools.combinations(range(1, N + 1), R)]
    expected = chance(np.array([R]), np.array([N]), ks)
    assert list(expected) == list(shuffles[0])
    for name, value in expected.items():
        assert value[0] == pytest.approx(np.mean([values[name] for values in shuffles]), abs=1e-12), name


def test_chance_of_precision_is_the_share_of_the_class():
    # 31 pictures of one class among 8,677, the query itself left out
    assert chance(np.array([30]), np.array([8676]), (4,))["P@4"][0] == pytest.approx(30 / 8676)
    assert math.isnan(chance(np.array([0]), np.array([9]), (4,))["recall@4"][0])


# Blocks


def test_blocks_cover_every_query_once():
    for m, n, cells in [(10, 7, 21), (1, 5, 1), (5, 1000, 10)]:
        rows = np.concatenate([np.arange(m)[block] for block in blocks(m, n, cells)])
        assert rows.tolist() == list(range(m))


@pytest.mark.parametrize("cells", [1, 3 * 500, 7 * 500 + 3, 1 << 30])
def test_values_and_order_do_not_depend_on_the_block_size(cells):
    rng = np.random.default_rng(7)
    labels = rng.integers(6, size=500)
    vectors = rng.normal(size=(500, 33)).astype(np.float32) + labels[:, None] % 3
    vectors[100:150] = vectors[300:350]  # exact duplicates: ties whatever the block
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    junk = same_picture(np.arange(500), np.arange(500))
    whole = score_queries(cosines(vectors, vectors), labels, labels, junk, KS)
    blockwise = score_queries(cosines(vectors, vectors), labels, labels, junk, KS, cells=cells)
    np.testing.assert_array_equal(whole.top, blockwise.top)
    assert whole.ties == blockwise.ties
    assert whole.ties.pairs >= 50 * 450  # for almost every query each of the 50 pairs is a tie
    for name in whole.values:
        np.testing.assert_array_equal(whole.values[name], blockwise.values[name])


def test_finished_queries_are_reported_block_by_block():
    finished = []
    score_table(np.zeros((5, 4)), [0] * 5, [0] * 4, cells=8, done=finished.append)
    assert finished == [2, 2, 1]
