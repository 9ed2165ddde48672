"""Pictures as points for a screen, and which true neighbours a map keeps, on places that can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from imgsearch_kit.map.points import MapScale, kept_on_map, map_points


def test_points_keep_their_shape_within_the_unit_square():
    positions = np.array([[0, 0], [4, 0], [4, 2]], np.float32)
    found = map_points(MapScale.of(positions).scaled(positions), ["a", "b", "c"], ["cat", None, "ant"])
    assert (found["ids"], found["names"], found["classes"]) == (["a", "b", "c"], ["ant", "cat"], [1, -1, 0])
    assert found["x"] == pytest.approx([0, 1, 1], abs=5e-3)
    assert found["y"] == pytest.approx([0.25, 0.25, 0.75], abs=5e-3)


def test_one_picture_far_away_does_not_make_the_rest_small():
    positions = np.random.default_rng(0).random((3000, 2)).astype(np.float32)
    positions[7] = 10_000, 0
    x, _ = MapScale.of(positions).scaled(positions).T
    assert np.ptp(np.delete(x, 7)) > 0.95
    assert x[7] > 100  # an outlier, which the map shows by an arrow


def test_one_picture_is_in_the_middle():
    position = np.array([[3, 4]], np.float32)
    assert MapScale.of(position).scaled(position).tolist() == [[0.5, 0.5]]


LINE = np.array([[0, 0], [1, 0], [2, 0], [3, 0], [9, 0]], np.float32)


@pytest.mark.parametrize(
    ("place", "near", "own", "kept"),
    [
        ([0, 0], [1, 4], [0], [True, False]),  # 1 and 2 are the nearest on the map
        ([0, 0], [1, 4], [0, 1], [False, False]),  # 2 and 3, where 1 is the query itself too
        ([0, 0], [4, 0], [], [False, True]),  # an upload at the place of 0
        ([9, 0], [3, -1], [4], [True, False]),  # of one true neighbour, the nearest one counts
        ([9, 0], [2, -1], [4], [False, False]),
        ([5, 0], [-1, -1], [], [False, False]),
    ],
)
def test_a_true_neighbour_is_kept_if_it_is_among_as_many_nearest_on_the_map(place, near, own, kept):
    found = kept_on_map(LINE, np.array([place], np.float32), np.array([near]), [own])
    assert found.tolist() == [kept]
