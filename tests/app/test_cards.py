"""What the page says of a picture, whatever its record says."""

from __future__ import annotations

import math

import pytest

from imgsearch_kit.app import cards
from imgsearch_kit.app.words import HitWords
from imgsearch_kit.records import ImageRecord
from imgsearch_kit.results import Hit


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
    shown = cards.details(ImageRecord("a.jpg", "dogs", mtime=mtime, size=2500), "")
    assert ("File", f"2.5 kB, changed {changed}") in shown["facts"]


def test_a_hostile_name_is_shown_as_escapes_and_asked_for_exactly():
    name = 'turn\u202e"<b>\r\n\x1b[31m\x9b.png'
    read = r'turn\u202e"<b>\r\n\x1b[31m\x9b.png'
    hits = cards.hit_cards(
        [Hit(1, name, None, 0.5), Hit(2, "b", name, 0.4)], {name: "", "b": ""}, [HitWords(), HitWords()]
    )
    assert [hit["id"] for hit in hits] == [name, "b"]
    assert [(hit["name"], hit["label"], hit["file"]) for hit in hits] == [(read, None, read), ("b", read, "b")]
    details = cards.details(ImageRecord(name, name), "")
    assert (details["id"], details["path"], details["exact"]) == (name, name, name)
    assert {("Class", read), ("Path", read)} <= set(details["facts"])
