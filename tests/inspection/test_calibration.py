"""Calibration on hits whose true probability is known, and on cases to work by hand."""

import json
import re

import numpy as np
import pytest

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.inspection.calibration import Calibration, calibrate, reliability


def truth(cosines):
    return 1 / (1 + np.exp(-14 * (cosines - 0.55)))


def hits(m, k=10, seed=0):
    """Hits in rank order whose probability of being right is ``truth`` of their cosine; a query's hits go together."""
    rng = np.random.default_rng(seed)
    centre = rng.normal(0.55, 0.08, size=(m, 1))
    cosines = -np.sort(-np.clip(centre + rng.normal(0, 0.1, size=(m, k)), -1, 1), axis=1)
    return cosines, rng.random((m, k)) < truth(cosines)


def test_the_learned_probability_is_the_true_one_within_a_few_points():
    found = calibrate(*hits(4000))
    assert np.abs(found.probability - truth(found.grid)).mean() < 0.02
    assert np.all(np.diff(found.probability) >= 0)
    assert np.all((found.low <= found.probability) & (found.probability <= found.high))


def test_learned_on_one_half_it_holds_on_the_other():
    cosines, same = hits(4000)
    found = calibrate(cosines[::2], same[::2])
    held_out = reliability(found, cosines[1::2], same[1::2])
    assert held_out.error < 0.02
    assert held_out.counts.sum() == cosines[1::2].size
    inside = (held_out.low - 0.02 <= held_out.predicted) & (held_out.predicted <= held_out.high + 0.02)
    assert inside.all()


def test_a_calibration_of_another_collection_does_not_hold():
    found = calibrate(*hits(1000))
    cosines, same = hits(1000, seed=1)
    assert reliability(found, cosines - 0.2, same).error > 0.2


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    covered = []
    for seed in range(20):
        found = calibrate(*hits(600, seed=seed), resamples=200)
        inner = slice(10, -10)  # at the ends isotonic regression is biased, which its docstring does not hide
        covered.append(np.mean((found.low <= truth(found.grid))[inner] & (truth(found.grid) <= found.high)[inner]))
    assert 0.9 <= np.mean(covered) <= 1


def test_four_hits_by_hand():
    """Right at .9 and .7, wrong at .8 and .2. The pair added at each end makes those 1/2; .7 and .8 pool to 1/2."""
    found = calibrate(np.array([[0.9, 0.7], [0.8, 0.2]]), np.array([[True, True], [False, False]]), resamples=10)
    np.testing.assert_allclose(found([0.2, 0.7, 0.8, 0.9])[:, 0], [1 / 2, 1 / 2, 1 / 2, 1 / 2])


def test_never_quite_sure_however_clear_the_data():
    cosines = np.linspace(0.9, 0.1, 100).reshape(50, 2)
    found = calibrate(cosines, cosines > 0.5)
    assert 0 < found(0.1)[0] < 0.05
    assert 0.95 < found(0.9)[0] < 1


def test_beyond_the_cosines_seen_the_ends_are_kept():
    found = calibrate(*hits(200))
    np.testing.assert_array_equal(found(-1), found(found.grid[0]))
    np.testing.assert_array_equal(found([[1.0]])[0, 0], found(found.grid[-1]))


def test_equal_cosines_get_one_probability():
    found = calibrate(np.full((10, 2), 0.5), np.array([[True, False]] * 10))
    assert found.grid.tolist() == [0.5]
    assert found.probability[0] == pytest.approx(11 / 22)


def test_a_heavy_query_counts_more():
    cosines = np.full((2, 1), 0.5)
    same = np.array([[True], [False]])
    light = calibrate(cosines, same, weights=np.array([1.0, 1.0]))
    heavy = calibrate(cosines, same, weights=np.array([9.0, 1.0]))
    assert heavy.probability[0] > light.probability[0]


def test_short_rankings_count_what_they_have():
    cosines = np.array([[0.9, np.nan], [0.9, 0.5]])
    same = np.array([[True, True], [True, False]])  # what stands beside NaN must not matter
    flipped = np.array([[True, False], [True, False]])
    np.testing.assert_array_equal(calibrate(cosines, same).probability, calibrate(cosines, flipped).probability)


def test_the_cosine_that_a_probability_needs():
    found = calibrate(*hits(2000))
    cosine = found.cosine_for(0.8)
    assert found(cosine)[0] >= 0.8
    assert found(cosine - 0.05)[0] < 0.8
    assert found.cosine_for(1.0) is None


def test_it_survives_a_file(tmp_path):
    found = calibrate(*hits(300))
    (tmp_path / "calibration.json").write_text(json.dumps(found.to_json() | {"later": 1}))
    again = Calibration.from_json(json.loads((tmp_path / "calibration.json").read_text()))
    np.testing.assert_array_equal(again(np.linspace(-1, 1, 50)), found(np.linspace(-1, 1, 50)))
    assert (again.k, again.queries) == (10, 300)


def test_the_same_seed_gives_the_same_bounds():
    one, two, other = (calibrate(*hits(100), seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.low, two.low)
    assert not np.array_equal(one.low, other.low)


def test_its_lines_name_the_cosines():
    found = calibrate(*hits(2000))
    text = "\n".join(found.lines())
    assert re.search(rf"80% +{found.cosine_for(0.8):.3f}", text)


def test_wrong_shapes_and_no_hits_are_refused():
    with pytest.raises(BadQuery, match=r"\(3, 2\) and classes of shape \(2, 2\)"):
        calibrate(np.zeros((3, 2)), np.zeros((2, 2), bool))
    with pytest.raises(BadQuery, match="no hits"):
        calibrate(np.full((2, 2), np.nan), np.zeros((2, 2), bool))
    with pytest.raises(BadQuery, match=r"2 queries and weights of shape \(3,\)"):
        calibrate(np.zeros((2, 2)), np.zeros((2, 2), bool), weights=np.ones(3))
