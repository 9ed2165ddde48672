"""Intervals and comparisons against scipy, exact enumeration, and samples whose spread is known."""

import itertools

import numpy as np
import pytest
from scipy import stats

from imgsearch_kit.evaluation.intervals import compare, intervals


def test_means_are_over_queries_classes_and_within_a_class():
    values = np.array([[1.0], [0.0], [1.0], [1.0], [0.0]])
    found = intervals(values, np.array([0, 0, 1, 1, 1]))
    assert found.micro[0, 0] == 3 / 5
    assert found.macro[0, 0] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert found.per_class[:, 0, 0] == pytest.approx([1 / 2, 2 / 3])


def test_the_bounds_of_a_class_are_scipy_s_percentile_bounds():
    rng = np.random.default_rng(3)
    values = rng.beta(2, 1, size=(80, 2))
    found = intervals(values, np.zeros(80, np.int64))
    for column in range(2):
        theirs = stats.bootstrap(
            (values[:, column],), np.mean, method="percentile", n_resamples=9_999, rng=rng
        ).confidence_interval
        spread = theirs.high - theirs.low
        assert found.per_class[0, column, 1] == pytest.approx(theirs.low, abs=0.05 * spread)
        assert found.per_class[0, column, 2] == pytest.approx(theirs.high, abs=0.05 * spread)
    np.testing.assert_allclose(found.micro, found.per_class[0])  # one class: the same draws
    assert np.isnan(found.macro[:, 1:]).all()  # a single class says nothing about other classes


def test_macro_bounds_are_scipy_s_over_class_means():
    rng = np.random.default_rng(4)
    classes = np.repeat(np.arange(40), 5)
    values = rng.random((200, 1))
    means = values.reshape(40, 5).mean(axis=1)
    theirs = stats.bootstrap((means,), np.mean, method="percentile", rng=rng).confidence_interval
    found = intervals(values, classes).macro[0]
    assert found[1:] == pytest.approx([theirs.low, theirs.high], abs=0.05 * (theirs.high - theirs.low))


def test_micro_draws_queries_within_their_class():
    # Two classes that differ, each all alike: another draw within the classes changes nothing, between them it would
    found = intervals(np.repeat([[0.2], [0.9]], 50, axis=0), np.repeat([0, 1], 50))
    assert found.micro[0] == pytest.approx([0.55, 0.55, 0.55])


def test_micro_spread_is_that_of_a_stratified_mean():
    rng = np.random.default_rng(5)
    sizes = np.array([10, 40, 150])
    classes = np.repeat(np.arange(3), sizes)
    values = rng.random((200, 1)) + classes[:, None]
    variances = np.array([values[classes == c].var() for c in range(3)])
    deviation = np.sqrt((variances * sizes).sum()) / 200
    low, high = intervals(values, classes).micro[0, 1:]
    assert high - low == pytest.approx(2 * 1.96 * deviation, rel=0.05)


def test_single_queries_have_no_bounds_but_move_the_micro_mean_together():
    values = np.array([[0.0], [1.0], [0.0], [1.0]])
    found = intervals(values, np.arange(4))
    assert np.isnan(found.per_class[:, 0, 1:]).all()
    assert found.micro[0].tolist() == [0.5, 0.0, 1.0]
    assert np.isnan(intervals(values[:1], np.array([0])).micro[0, 1:]).all()


def test_95_percent_bounds_hold_the_true_mean_about_95_times_in_100():
    rng = np.random.default_rng(6)
    inside = 0
    for seed in range(400):
        low, high = intervals(rng.random((60, 1)), np.zeros(60, np.int64), resamples=500, seed=seed).micro[0, 1:]
        inside += low <= 0.5 <= high
    assert 0.91 <= inside / 400 <= 0.98


def test_the_same_seed_gives_the_same_bounds():
    values, classes = np.random.default_rng(7).random((30, 1)), np.repeat([0, 1, 2], 10)
    first, again = (intervals(values, classes, seed=1) for _ in range(2))
    np.testing.assert_array_equal(first.per_class, again.per_class)
    assert (intervals(values, classes, seed=2).micro != first.micro).any()


def test_the_randomisation_test_equals_enumeration_of_all_swaps():
    a = np.array([0.9, 0.8, 0.75, 0.6, 0.95, 0.5, 0.85, 0.7])
    b = np.array([0.7, 0.85, 0.6, 0.4, 0.9, 0.45, 0.6, 0.72])
    classes = np.array([0, 0, 0, 0, 0, 0, 1, 1])
    found = compare(a[:, None], b[:, None], classes)
    weights = {"micro_p": np.full(8, 1 / 8), "macro_p": np.where(classes == 0, 1 / 12, 1 / 4)}
    for name, weight in weights.items():
        observed = abs(weight @ (a - b))
        swaps = np.array(list(itertools.product([-1, 1], repeat=8)))
        exact = np.mean(np.abs(swaps @ (weight * (a - b))) >= observed - 1e-12)
        assert getattr(found, name)[0] == pytest.approx(exact, abs=0.015), name
    assert found.micro[0, 0] == pytest.approx((a - b).mean())


def test_a_clear_difference_is_found_and_none_is_not():
    rng = np.random.default_rng(8)
    a, classes = rng.random((100, 1)), np.repeat(np.arange(5), 20)
    same = compare(a, a, classes)
    assert same.micro[0].tolist() == [0, 0, 0]
    assert same.micro_p[0] == 1
    better = compare(a + 0.1 + rng.normal(0, 0.05, (100, 1)), a, classes)
    assert better.micro[0, 1] > 0
    assert better.micro_p[0] == pytest.approx(1 / 10_000)  # none of 9,999 swaps reached it
