"""Shares of a cosine by position, on maps that a person can pool by hand, and by occlusion."""

from __future__ import annotations

import numpy as np
import pytest

from imgsearch_kit.extractors.tensorflow import POOLINGS
from imgsearch_kit.regions.shares import OCCLUDED, occlusion, shares


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def test_spoc_by_hand():
    """Two cells with one channel each against a cell of the first channel: only the first cell matches."""
    one = np.array([[[3, 0], [0, 4]]], np.float32)  # pooled (3, 4) / 2: cosine to (1, 0) is 3 / 5
    other = np.array([[[2, 0], [0, 0]]], np.float32)
    mine, theirs = shares(one, other, "spoc")
    np.testing.assert_allclose(mine, [[0.6, 0]])
    np.testing.assert_allclose(theirs, [[0.6, 0]])
    mine, _ = shares(one, np.array([[[1, 1], [2, 2]]], np.float32), "spoc")
    np.testing.assert_allclose(mine, np.array([[3, 4]]) / 5 / np.sqrt(2))


def test_mac_by_hand():
    """Channel one has its maximum in a corner, channel two in two cells, which share it."""
    one = np.zeros((2, 2, 2), np.float32)
    one[0, 0] = 3, 1
    one[0, 1], one[1, 1] = (1, 4), (0, 4)  # pooled (3, 4)
    other = np.ones((2, 2, 2), np.float32)  # pooled (1, 1)
    mine, theirs = shares(one, other, "mac")
    norm = 5 * np.sqrt(2)
    np.testing.assert_allclose(mine, np.array([[3, 2], [0, 2]]) / norm)
    np.testing.assert_allclose(theirs, np.full((2, 2), 7 / 4 / norm))


def test_rmac_by_hand():
    """One channel: each of the 14 regions has a maximum of norm 1, which lies at the region's largest cell."""
    one = np.arange(16, dtype=np.float32).reshape(4, 4, 1)
    mine, theirs = shares(one, one[::-1], "rmac")
    # one region of 4 cells a side, four and nine of 2, with corners at 0 and 2, and at 0, 1 and 2: the largest cell
    # is the last of each
    expected = np.zeros((4, 4))
    expected[3, 3] = 1 + 1 + 1
    expected[1, 1], expected[1, 3], expected[3, 1] = 2, 2, 2
    expected[1, 2], expected[2, 1], expected[2, 2], expected[2, 3], expected[3, 2] = 1, 1, 1, 1, 1
    np.testing.assert_allclose(mine, expected / 14)
    np.testing.assert_allclose(theirs, expected[::-1] / 14)
    mine, _ = shares(np.ones((4, 4, 1)), one, "rmac")  # equal cells share: a corner is in one region of each size
    assert mine[0, 0] == pytest.approx((1 / 16 + 1 / 4 + 1 / 4) / 14)


@pytest.mark.parametrize("pooling", ["spoc", "rmac", "gem", "mac"])
def test_shares_sum_to_the_cosine_of_the_pooled_vectors(pooling):
    one, other = np.maximum(np.random.default_rng(1).normal(size=(2, 14, 14, 32)), 0).astype(np.float32)
    pooled = [unit(POOLINGS[pooling](each[None]).numpy()) for each in (one, other)]
    cosine = (pooled[0] @ pooled[1].T).item()
    for found in shares(one, other, pooling):
        assert found.shape == (14, 14)
        assert found.sum() == pytest.approx(cosine, abs=1e-5)
        assert found.min() >= 0  # activations after a ReLU
    assert 0.1 < cosine < 0.999


def test_covering_what_both_share_lowers_the_cosine_most():
    one = np.full((1, 28, 28, 3), 100, np.uint8)
    one[:, 14:, :14] = 200, 0, 0  # the lower left quarter is red in both
    other = one.copy()
    other[:, :14] = 30

    def extract(pixels):  # how red each quarter is, beside a constant
        red = (pixels[..., 0].astype(float) - pixels[..., 1]).reshape(-1, 2, 14, 2, 14).mean(axis=(2, 4))
        return unit(np.column_stack([red.reshape(-1, 4), np.full(len(red), 200)])).astype(np.float32)

    steps, done = occlusion(extract, one, other), []
    while True:
        try:
            done.append(next(steps))
        except StopIteration as end:
            mine, theirs, cosine = end.value
            break
    assert done == sorted(done)
    assert done[-1] == 1
    assert mine.shape == theirs.shape == (OCCLUDED, OCCLUDED)
    assert cosine == pytest.approx((extract(one) @ extract(other).T).item())
    for falls in (mine, theirs):
        row, column = np.unravel_index(falls.argmax(), falls.shape)
        assert row in (4, 5)  # the places whose cover lies in that quarter alone
        assert column in (1, 2)
        assert falls.max() > 0.005
