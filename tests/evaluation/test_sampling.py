"""A sample of the queries: drawn by class, weighted by class, and honest about what it does not know."""

from __future__ import annotations

import numpy as np
import pytest

from imgsearch_kit import Gallery
from imgsearch_kit.errors import BadQuery
from imgsearch_kit.evaluation.intervals import intervals, sampled_intervals
from imgsearch_kit.evaluation.over_index import evaluate
from imgsearch_kit.evaluation.sampling import allotted
from imgsearch_kit.index import create_index, new_passport
from imgsearch_kit.records import ExtractorSpec, ImageRecord


@pytest.fixture(scope="module")
def index():
    """Classes of 60, 30, 8 and 2 pictures, a lone one, and one without a label."""
    rng = np.random.default_rng(1)
    labels = [*"a" * 60, *"b" * 30, *"c" * 8, *"d" * 2, "e", None]
    centres = {label: rng.normal(size=6) for label in "abcde"} | {None: np.zeros(6)}
    vectors = np.stack([centres[label] + rng.normal(size=6) for label in labels])
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    index = create_index("memory:", new_passport(ExtractorSpec("random", 6)))
    index.add([ImageRecord(f"{i:03}", label) for i, label in enumerate(labels)], vectors)
    return index


def test_classes_get_one_query_and_a_share_of_the_others_by_largest_remainder():
    # 16 beyond one each, over 59, 29, 7 and 1 of 96: 9.83, 4.83, 1.17, .17, so 9 + 4 + 1 and the two largest remainders
    assert allotted(np.array([60, 30, 8, 2]), 20).tolist() == [11, 6, 2, 1]
    assert allotted(np.array([60, 30, 8, 2]), 4).tolist() == [1, 1, 1, 1]
    assert allotted(np.array([60, 30, 8, 2]), 100).tolist() == [60, 30, 8, 2]
    assert allotted(np.array([1, 1, 5]), 6).tolist() == [1, 1, 4]


def test_a_sample_asks_the_whole_gallery_and_weights_classes_by_their_sizes(index):
    whole, some = evaluate(index, ks=(4,)), evaluate(index, ks=(4,), sample=20)
    document = some.to_json()
    assert (document["queries"], document["sampled_from"], document["skipped_lone"]) == (20, 100, 1)
    assert document["gallery"] == 101
    sizes = {name: (each["queries"], each["sampled_from"]) for name, each in document["per_class"].items()}
    assert sizes == {"a": (11, 60), "b": (6, 30), "c": (2, 8), "d": (1, 2)}
    means = {name: each["P@4"]["value"] for name, each in document["per_class"].items()}
    expected = sum(means[name] * size for name, (_, size) in sizes.items()) / 100
    assert document["micro"]["P@4"]["value"] == pytest.approx(expected)
    assert document["per_class"]["d"]["P@4"]["low"] is None
    assert document["chance"]["micro"]["P@4"] == pytest.approx(whole.to_json()["chance"]["micro"]["P@4"])
    assert (
        some.title() == "20 of 100 queries of 4 classes against 101 pictures; left out: 1 alone in their class, 1 "
        "without a label"
    )
    asked = dict(zip(whole.queries, whole.scores.values["mAP"].tolist(), strict=True))
    assert [asked[name] for name in some.queries] == some.scores.values["mAP"].tolist()


def test_the_seed_decides_the_sample(index):
    first, again, other = (evaluate(index, ks=(4,), sample=20, seed=seed).queries for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("sample", [100, 10**9])
def test_a_sample_of_all_is_the_evaluation(index, sample):
    assert evaluate(index, sample=sample).to_json(per_query=True) == evaluate(index).to_json(per_query=True)


def test_a_sample_that_leaves_classes_out_is_refused(index):
    with pytest.raises(BadQuery, match=r"A sample of 3 queries leaves out some of 4 classes .* Give --sample 4 "):
        evaluate(index, sample=3)


def test_two_samples_are_compared_with_their_classes_weighted(index):
    plain, ranked = (evaluate(index, ks=(4,), sample=20, rank=rank) for rank in (None, "qe:3:1"))
    difference = ranked.intervals.micro[0, 0] - plain.intervals.micro[0, 0]
    for earlier in (plain, plain.to_json(per_query=True), evaluate(index, ks=(4,)).to_json(per_query=True)):
        assert ranked.against(earlier)["micro"]["P@4"]["difference"] == pytest.approx(difference, abs=1e-6)
    of_whole = evaluate(index, ks=(4,), rank="qe:3:1").against(plain)
    assert of_whole["micro"]["P@4"]["difference"] == pytest.approx(difference, abs=1e-6)


@pytest.mark.parametrize("count", [40, 120, 300])
def test_the_bounds_hold_the_means_of_all_queries_about_95_times_in_100(count):
    rng = np.random.default_rng(2)
    sizes = np.maximum(2, np.sort(rng.pareto(1.5, 25) * 20).astype(np.int64))
    classes = np.repeat(np.arange(25), sizes)
    population = rng.beta(2, 1 + classes % 3)[:, None]
    truth = population.mean(), np.mean([population[classes == c].mean() for c in range(25)])
    each = allotted(sizes, count)
    inside = np.zeros(2)
    for trial in range(200):
        rows = np.concatenate([rng.choice(np.flatnonzero(classes == c), each[c], replace=False) for c in range(25)])
        found = sampled_intervals(population[rows], classes[rows], sizes, resamples=400, seed=trial)
        for place, table in enumerate((found.micro[0], found.macro[0])):
            inside[place] += table[1] <= truth[place] <= table[2]
    assert (inside / 200 >= 0.9).all()
    assert inside[0] / 200 <= 0.99


@pytest.mark.parametrize("asked", [10, 20])
def test_bounds_of_a_class_hold_its_mean_mostly_and_are_left_out_where_they_would_not(asked):
    rng = np.random.default_rng(4)
    sizes = np.full(40, 60)
    classes = np.repeat(np.arange(40), sizes)
    population = (rng.random(2400) < np.linspace(0.7, 0.99, 40)[classes]).astype(np.float64)[:, None]  # as P@1 is
    truth = np.array([population[classes == c].mean() for c in range(40)])
    inside = []
    for trial in range(20):
        rows = np.concatenate([rng.choice(np.flatnonzero(classes == c), asked, replace=False) for c in range(40)])
        _, low, high = sampled_intervals(population[rows], classes[rows], sizes, resamples=400, seed=trial).per_class.T
        inside += [low <= mean <= high for low, mean, high in zip(low[0], truth, high[0], strict=True) if low == low]
    assert len(inside) > 100
    assert np.mean(inside) >= 0.9
    few = sampled_intervals(population[rows][:: asked // 5], classes[rows][:: asked // 5], sizes, resamples=400)
    assert np.isnan(few.per_class[..., 1:]).all()
    assert not np.isnan(few.macro).any()


def test_a_class_that_was_asked_whole_is_known_exactly():
    found = sampled_intervals(np.array([[0.2], [0.4], [0.5]]), np.array([0, 0, 1]), np.array([2, 9]))
    assert found.per_class[0, 0].tolist() == pytest.approx([0.3, 0.3, 0.3])
    assert np.isnan(found.per_class[1, 0, 1:]).all()
    assert found.micro[0, 0] == pytest.approx((2 * 0.3 + 9 * 0.5) / 11)


def test_a_small_share_of_many_queries_has_the_bounds_of_a_mean():
    values, classes = np.random.default_rng(3).random((400, 1)), np.zeros(400, np.int64)
    plain, of_many = intervals(values, classes).micro[0], sampled_intervals(values, classes, np.array([10**9])).micro[0]
    assert of_many == pytest.approx(plain, abs=0.002)


def test_what_would_take_hours_is_refused_with_what_to_do(index, monkeypatch):
    monkeypatch.setattr("imgsearch_kit.evaluation.over_index.MOST_PAIRS", 10_000)
    with pytest.raises(BadQuery, match=r"To ask 101 pictures about 101 would take many hours. .* --sample 101 asks"):
        evaluate(index)
    assert evaluate(index, sample=101).to_json()["queries"] == 100
    monkeypatch.setattr("imgsearch_kit.evaluation.protocol.MOST_PAIRS", 10_000)
    with pytest.raises(BadQuery, match=r"near-duplicates of 101 pictures among 101 takes hours. Leave out --near"):
        evaluate(index, sample=20, group_duplicates=0.98)
    assert evaluate(index, sample=20, group_duplicates=True).to_json()["queries"] == 20
    monkeypatch.setattr("imgsearch_kit.inspection.over_index.MOST_EXAMINED", 100)
    with pytest.raises(BadQuery, match=r"each of 102 pictures .* at most 100 are examined. Examine a part"):
        Gallery(index).health()
    monkeypatch.setattr("imgsearch_kit.map.over_index.MOST_MAPPED", 100)
    for draw in (Gallery(index).map, Gallery(index).projection):
        with pytest.raises(BadQuery, match=r"A map has at most 100 pictures; this index has 102"):
            draw()
