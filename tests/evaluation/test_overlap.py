"""Rank-biased overlap against values that were computed by hand."""

from __future__ import annotations

import pytest

from imgsearch_kit.evaluation.overlap import rank_biased_overlap


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("abc", "abc", 1),
        ("", "", 1),
        ("", "a", 0),
        ("abc", "xyz", 0),
        # agreement 1, 1/2, 1 at depths 1, 2, 3: 1/9 (.9 + .81/2 + .729) + .729
        ("abc", "acb", 0.955),
        # 0, 1: 1/9 (0 + .81) + .81
        ("ab", "ba", 0.9),
        ("a", "ab", 1),  # the beginning of the other
        # s = 1, l = 2, X = 0, 1: 1/9 (.81 / 2) + (1 - 0) / 2 * .81
        ("b", "ab", 0.45),
    ],
)
def test_the_overlap_of_two_rankings(first, second, expected):
    assert rank_biased_overlap(first, second) == pytest.approx(expected)
    assert rank_biased_overlap(second, first) == pytest.approx(expected)


def test_equal_rankings_have_one_exactly_so_that_it_can_be_a_bound():
    assert {rank_biased_overlap(range(k), range(k)) for k in range(1, 60)} == {1}


def test_a_less_persistent_reader_sees_less_of_the_end():
    assert rank_biased_overlap("ab", "ax", 0.5) == pytest.approx((0.5 + 0.25 / 2) + 0.25 / 2)
    assert rank_biased_overlap("ab", "ax", 0.5) > rank_biased_overlap("ab", "ax", 0.9)
