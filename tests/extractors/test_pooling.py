"""The poolings against slow, plain versions, and on maps whose result can be read off."""

from __future__ import annotations

import numpy as np
import pytest

from imgsearch_kit.extractors.tensorflow import gem, mac, rmac, spoc
from imgsearch_kit.extractors.vgg16 import rmac_regions


def unit(vector):
    return vector / np.linalg.norm(vector)


def slow_rmac(maps):
    """The paper's sum over regions, one picture, one region and one channel at a time."""
    vectors = []
    for one in maps:
        side, _, channels = one.shape
        total = np.zeros(channels)
        for level in (1, 2, 3):
            size = int(2 * side / (level + 1))
            starts = [int(np.floor(i * (side - size) / (level - 1))) if level > 1 else 0 for i in range(level)]
            for top in starts:
                for left in starts:
                    maxima = [
                        max(one[y, x, c] for y in range(top, top + size) for x in range(left, left + size))
                        for c in range(channels)
                    ]
                    total += unit(np.array(maxima))
        vectors.append(total)
    return np.array(vectors)


@pytest.fixture(params=[14, 20])
def maps(request):
    drawn = np.random.default_rng(request.param).normal(size=(2, request.param, request.param, 5))
    return np.maximum(drawn, 0).astype(np.float32)  # what a ReLU lets through


def test_rmac_has_regions_of_14_9_and_7_cells_on_a_map_of_14():
    assert rmac_regions(14) == [
        (0, 0, 14),
        *((top, left, 9) for top in (0, 5) for left in (0, 5)),
        *((top, left, 7) for top in (0, 3, 7) for left in (0, 3, 7)),
    ]


def test_rmac_regions_grow_with_the_map_and_reach_its_edges():
    regions = rmac_regions(20)
    assert [size for _, _, size in regions] == [20] + [13] * 4 + [10] * 9
    for size in (13, 10):
        assert max(top + size for top, _, s in regions if s == size) == 20


def test_rmac_equals_the_slow_sum_over_regions(maps):
    np.testing.assert_allclose(rmac(maps).numpy(), slow_rmac(maps), rtol=1e-5)


def test_rmac_counts_how_many_regions_see_a_cell():
    maps = np.zeros((1, 14, 14, 2), np.float32)
    maps[0, 0, 0, 0] = 3  # the corner: in the whole map, one region of 9 and one of 7
    maps[0, 13, 13, 1] = 5  # the opposite corner likewise
    both = 1 / np.hypot(3, 5)  # the whole map is the only region that sees both
    np.testing.assert_allclose(rmac(maps).numpy(), [[2 + 3 * both, 2 + 5 * both]], rtol=1e-6)


def test_rmac_of_an_empty_map_is_zero():
    assert rmac(np.zeros((1, 14, 14, 3), np.float32)).numpy().tolist() == [[0, 0, 0]]


def test_mean_maximum_and_generalised_mean_of_four_cells():
    maps = np.array([[[[1, 0], [2, 0]], [[3, 0], [4, 8]]]], np.float32)
    np.testing.assert_allclose(spoc(maps).numpy(), [[2.5, 2]])
    np.testing.assert_allclose(mac(maps).numpy(), [[4, 8]])
    np.testing.assert_allclose(gem(maps).numpy(), [[25 ** (1 / 3), 128 ** (1 / 3)]], rtol=1e-6)


def test_poolings_equal_numpy(maps):
    np.testing.assert_allclose(spoc(maps).numpy(), maps.mean((1, 2)), rtol=1e-5)
    np.testing.assert_array_equal(mac(maps).numpy(), maps.max((1, 2)))
    np.testing.assert_allclose(gem(maps).numpy(), (maps.astype(float) ** 3).mean((1, 2)) ** (1 / 3), rtol=1e-5)
