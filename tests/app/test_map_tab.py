"""The map tab: the points it sends, and how a person uses it in a real Chromium."""

from __future__ import annotations

import numpy as np
import pytest

from imgsearch_kit.app.tabs.map import MapTab, map_points
from imgsearch_kit.records import ImageRecord
from tests.app.conftest import make_gallery
from tests.app.test_address import search_by_id, wait_for_address
from tests.app.test_page import wait_for_first
from tests.app.test_tabs import open_tab, wait_for_tab
from tests.small_extractor import paint


def test_points_keep_their_shape_within_the_unit_square():
    positions = np.array([[0, 0], [4, 0], [4, 2]], np.float32)
    records = [ImageRecord(id="a", label="cat"), ImageRecord(id="b"), ImageRecord(id="c", label="ant")]
    found = map_points(positions, records)
    assert (found["ids"], found["names"], found["classes"]) == (["a", "b", "c"], ["ant", "cat"], [1, -1, 0])
    assert found["x"] == pytest.approx([0, 1, 1], abs=5e-3)
    assert found["y"] == pytest.approx([0.25, 0.25, 0.75], abs=5e-3)


def test_one_picture_far_away_does_not_make_the_rest_small():
    positions = np.random.default_rng(0).random((3000, 2)).astype(np.float32)
    positions[7] = 10_000, 0
    found = map_points(positions, [ImageRecord(id=str(i)) for i in range(3000)])
    assert np.ptp(np.delete(found["x"], 7)) > 0.95
    assert found["x"][7] == 1


def test_a_map_is_learned_when_it_is_asked_for_and_then_kept(gallery, monkeypatch, tmp_path):
    monkeypatch.setenv("IMGSEARCH_CACHE", str(tmp_path))
    tab = MapTab(gallery)
    before = tab.start({})
    assert before["learn"]
    assert before["said"].startswith("The map is learned from all 62 pictures once, which takes less than half a min")
    learned = tab.learn({})
    assert learned["ids"] == [record.id for record in gallery.records()]
    assert MapTab(gallery).start({}) == learned


@pytest.fixture
def small(tmp_path):
    for i in range(6):
        paint(tmp_path / f"red/{i}.png", (200, 10 * i, 0))
        paint(tmp_path / f"blue/{i}.png", (10 * i, 0, 200))
    return make_gallery(tmp_path)


def test_pointing_shows_a_picture_and_a_click_searches_for_it(visit, serving, small):
    page = visit(serving(small))
    search_by_id(page, "red/0.png")
    wait_for_first(page, "red/1.png")
    open_tab(page, "Map")
    page.get_by_text("The pin is red/0.png; lines lead to its first 10 neighbours.").wait_for()
    canvas = page.locator("#map canvas")
    points = MapTab(small).start({})
    row = points["ids"].index("blue/5.png")
    box = canvas.bounding_box()
    side = min(box["width"], box["height"]) - 40
    x, y = box["width"] / 2 + (points["x"][row] - 0.5) * side, box["height"] / 2 + (0.5 - points["y"][row]) * side
    canvas.hover(position={"x": x, "y": y})
    tip = page.locator(".map-tip")
    tip.get_by_text("blue/5.png").wait_for()
    assert tip.locator("img").evaluate("(image) => image.decode().then(() => image.naturalWidth)") > 0
    canvas.click(position={"x": x, "y": y})
    wait_for_tab(page, "Search")
    wait_for_address(page, id=["blue/5.png"])
    wait_for_first(page, "blue/4.png")
    page.go_back()
    wait_for_tab(page, "Map")


def test_the_map_can_be_used_from_the_keyboard(visit, serving, small):
    page = visit(serving(small) + "/?tab=map&id=red/0.png")
    page.get_by_text("The pin is red/0.png").wait_for()
    page.locator("#map canvas").focus()
    page.keyboard.press("ArrowRight")
    page.locator(".map-tip").get_by_text("red/0.png").wait_for()
    page.keyboard.press("Enter")
    wait_for_tab(page, "Search")
    wait_for_first(page, "red/1.png")
