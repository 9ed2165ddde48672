"""What the page says of a picture, whatever its record says."""

from __future__ import annotations

import math
from html.parser import HTMLParser

import pytest

from imgsearch_kit.app import cards
from imgsearch_kit.records import Hit, ImageRecord, Results


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


def test_a_hostile_name_is_shown_as_escapes_and_asked_for_exactly():
    name = 'turn\u202e"<b>\r\n\x1b[31m\x9b.png'
    results = Results({"id": name}, (Hit(1, name, None, 0.5), Hit(2, "b", name, 0.4)), (name,), note=name)
    texts, ids = [], []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attributes):
            ids.extend(value for key, value in attributes if key in ("data-id", "data-again"))
            texts.extend(value for key, value in attributes if key in ("title", "alt", "aria-label"))

        def handle_data(self, data):
            texts.append(data)

    page = cards.hits(results, {name: "", "b": ""}) + cards.own([name], {}) + cards.status(name, "error")
    Reader().feed(page + cards.details(ImageRecord(name, name), None, ""))
    assert set(ids) == {name, "b"}
    assert "\r" not in page  # which a browser reads as a line feed
    assert not {"\u202e", "\x1b", "\x9b", "\r", "\n"} & set("".join(texts))
    assert r'turn\u202e"<b>\r\n\x1b[31m\x9b.png' in texts
