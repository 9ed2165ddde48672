"""The details of a picture, whatever its record says."""

from __future__ import annotations

import math

import pytest

from imgsearch_kit.app import cards
from imgsearch_kit.records import ImageRecord


@pytest.mark.parametrize(
    ("mtime", "changed"),
    [
        (1.0e9, "2001-09-09"),
        (32.5e9, "2999-11-19"),  # in the future
        (1.7e18, "at an unknown time"),  # nanoseconds
        (1.7e12, "at an unknown time"),  # milliseconds
        (-1e18, "at an unknown time"),
        (math.nan, "at an unknown time"),
        (math.inf, "at an unknown time"),
        (0.0, "at an unknown time"),
    ],
)
def test_a_time_in_another_unit_is_unknown_and_the_details_open(mtime, changed):
    shown = cards.details(ImageRecord("a.jpg", "dogs", mtime=mtime, size=2500), None, "")
    assert f"2.5 kB, changed {changed}<" in shown
