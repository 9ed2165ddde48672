"""The first places of scores against a stable sort of all of them, and cosines that depend on no block."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from imgsearch_kit import vectors
from imgsearch_kit.vectors import blocks, cosines, first, unit


def sorted_whole(scores, k):
    """The first ``k`` columns of a stable sort of all; what is no number last, with minus infinity."""
    columns = np.argsort(-np.where(np.isnan(scores), -np.inf, scores), axis=1, kind="stable")[:, :k]
    return columns, np.take_along_axis(scores, columns, axis=1)


FEW = st.sampled_from([-np.inf, -0.5, -0.0, 0.0, 0.25, 0.5, 1.0, np.nan])  # so few that most rows are full of ties
SHAPES = arrays.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=40)


@settings(max_examples=300, deadline=None)
@given(
    scores=SHAPES.flatmap(
        lambda shape: st.one_of(
            arrays.arrays(np.float32, shape, elements=FEW),
            arrays.arrays(np.float32, shape, elements=st.floats(-1, 1, width=32)),
        )
    ),
    k=st.integers(0, 45),
)
def test_the_first_are_those_of_a_stable_sort_of_all(scores, k):
    before = scores.copy()
    for found, expected in zip(first(scores, k), sorted_whole(scores, k), strict=True):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(scores, before)


@pytest.mark.parametrize("k", [1, 10, 299, 300, 1000])
def test_ties_at_the_last_place_go_to_the_lower_columns(k):
    """300 rows of 300 scores, of which there are five different ones."""
    scores = np.random.default_rng(0).integers(0, 5, (300, 300)).astype(np.float32)
    np.testing.assert_array_equal(first(scores, k)[0], sorted_whole(scores, k)[0])


def test_cosines_do_not_depend_on_the_block_and_equal_vectors_have_equal_ones(monkeypatch):
    rng = np.random.default_rng(0)
    gallery = unit(rng.normal(size=(50, 512)))
    gallery[31] = gallery[7]
    whole = cosines(gallery, gallery)(slice(None))
    np.testing.assert_allclose(whole, gallery @ gallery.T, atol=1e-6)
    assert (whole[:, 31] == whole[:, 7]).all()
    monkeypatch.setattr(vectors, "CHUNK", 7)
    np.testing.assert_array_equal(cosines(gallery, gallery)(slice(3, 20)), whole[3:20])


def test_blocks_cover_all_queries_and_hold_one_at_least(monkeypatch):
    assert list(blocks(5, 10, cells=20)) == [slice(0, 2), slice(2, 4), slice(4, 5)]
    assert list(blocks(2, 1000, cells=20)) == [slice(0, 1), slice(1, 2)]
    assert list(blocks(0, 10)) == []
    monkeypatch.setattr(vectors, "CELLS", 20)
    assert list(blocks(3, 10)) == [slice(0, 2), slice(2, 3)]


def test_unit_rows_are_float32_and_a_zero_row_stays_zero():
    made = unit(np.array([[3.0, 4.0], [0.0, 0.0]]))
    assert (made.dtype, made.flags.c_contiguous) == (np.float32, True)
    np.testing.assert_allclose(made, [[0.6, 0.8], [0, 0]])
