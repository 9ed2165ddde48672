"""The map tab: what the server answers, and how a person uses it in a real Chromium."""

from __future__ import annotations

import re
import threading
from dataclasses import replace

import pytest

from imgsearch_kit.app.tabs.map import MapTab
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.index import create_index, new_passport
from tests.app.conftest import make_gallery
from tests.app.test_access import PHONE, serious, small_targets, tab_to
from tests.app.test_address import search_by_id, wait_for_address
from tests.app.test_page import wait_for_first
from tests.app.test_tabs import open_tab, wait_for_tab
from tests.small_extractor import QuarterColours, paint


@pytest.fixture
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("IMGSEARCH_CACHE", str(tmp_path / "cache"))


def test_a_map_is_learned_when_it_is_asked_for_and_then_kept(gallery, own_cache, tmp_path):
    tab = MapTab(gallery, str(tmp_path))
    before = tab.start({})
    assert before["learn"]
    assert before["said"].startswith("The map is learned from all 62 pictures once, which takes less than half a min")
    *shares, learned = tab.learn({})
    done = [each["done"] for each in shares]
    assert done == sorted(done)
    assert done[-1] > 0.5
    assert learned["ids"] == [record.id for record in gallery.records()]
    assert MapTab(gallery, str(tmp_path)).start({}) == learned


def test_learning_ends_when_nobody_waits_for_it(gallery, own_cache, tmp_path):
    tab = MapTab(gallery, str(tmp_path))
    steps = tab.learn({})
    assert next(steps) == {"kind": "learning", "done": 0.0}
    steps.close()
    assert tab.start({})["learn"]  # nothing was kept


def test_an_empty_index_has_no_map_and_nothing_to_learn(tmp_path):
    extractor = QuarterColours()
    empty = Gallery(create_index("memory:", new_passport(extractor.spec)), extractor)
    said = MapTab(empty, str(tmp_path)).start({})
    assert not said["learn"]
    assert said["said"].startswith("Nothing is indexed yet.")


def test_a_query_has_its_place_and_its_ten_nearest_by_cosine(small, tmp_path):
    tab = MapTab(small, str(tmp_path))
    points = tab.start({})
    found = tab.near({"id": "red/0.png", "serial": 3})
    row = points["ids"].index("red/0.png")
    assert (found["serial"], found["x"], found["y"]) == (3, points["x"][row], points["y"][row])
    assert found["near"] == [hit.id for hit in small.search(id="red/0.png", k=10).hits]
    assert found["near"][:5] == [f"red/{i}.png" for i in range(1, 6)]
    assert len(found["kept"]) == len(found["cosines"]) == 10
    upload = paint(tmp_path / "twin.png", (200, 0, 0))
    twin = tab.near({"picture": str(upload), "serial": 4})
    assert (twin["x"], twin["y"]) == pytest.approx((found["x"], found["y"]), abs=0.02)
    assert twin["near"] == found["near"]  # red/0.png is the query itself
    assert twin["kept"] == found["kept"]


def test_a_steered_query_has_the_place_and_the_neighbours_of_what_is_searched_for(small, tmp_path):
    tab = MapTab(small, str(tmp_path))
    points = tab.start({})
    asked = {
        "id": "red/0.png",
        "plus": ["blue/5.png"],
        "also": ["blue/4.png"],
        "k": 2,
        "classes": ["red"],
        "least": 0.9,
    }
    found = tab.near(asked)
    hits = small.search(id=["red/0.png", "blue/4.png"], plus=["blue/5.png"], k=10).hits  # of all classes
    assert found["near"] == [hit.id for hit in hits]
    own = points["ids"].index("red/0.png")
    assert (found["x"], found["y"]) != (points["x"][own], points["y"][own])


def test_a_file_that_is_indexed_is_at_its_own_place(small, tmp_path):
    tab = MapTab(small, str(tmp_path))
    upload = tmp_path / "copy.png"
    upload.write_bytes((tmp_path / "red/3.png").read_bytes())
    found, own = tab.near({"picture": str(upload)}), tab.near({"id": "red/3.png"})
    assert (found["x"], found["y"]) == (own["x"], own["y"])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, "is no search"),
        ({"id": "none.png"}, "has no picture"),
        ({"picture": "/etc/passwd"}, "was not uploaded"),
        ({}, "Give a picture"),
    ],
)
def test_a_forged_question_is_answered_in_words(small, tmp_path, given, words):
    assert words in MapTab(small, str(tmp_path)).near(given)["error"]


@pytest.mark.parametrize("ids", [None, "red/0.png", [3, {}]])
def test_forged_ids_have_no_thumbnails(small, tmp_path, ids):
    assert MapTab(small, str(tmp_path)).thumbnails({"ids": ids, "serial": 1})["thumbnails"] == {}


@pytest.fixture
def small(tmp_path):
    for i in range(6):
        paint(tmp_path / f"red/{i}.png", (200, 10 * i, 0))
        paint(tmp_path / f"blue/{i}.png", (10 * i, 0, 200))
    return make_gallery(tmp_path)


def place_of(page, gallery, tmp_path, id_):
    """Where on the canvas the point of a picture is, in pixels, when the whole map is shown."""
    page.get_by_role("button", name="Whole map").click()
    page.evaluate("() => new Promise(requestAnimationFrame).then(() => new Promise(requestAnimationFrame))")  # drawn
    points = MapTab(gallery, str(tmp_path)).start({})
    row = points["ids"].index(id_)
    box = page.locator("#map canvas").bounding_box()
    side = min(box["width"], box["height"]) - 48
    return {
        "x": box["width"] / 2 + (points["x"][row] - 0.5) * side,
        "y": box["height"] / 2 + (0.5 - points["y"][row]) * side,
    }


def test_a_picture_is_pointed_at_chosen_and_searched_for(visit, serving, small, tmp_path):
    page = visit(serving(small), reduced_motion="reduce")
    search_by_id(page, "red/0.png")
    wait_for_first(page, "red/1.png")
    open_tab(page, "Map")
    page.get_by_text("Query: red/0.png").wait_for()
    assert re.search(
        r"Of its 10 nearest pictures by cosine, the map keeps \d+", page.locator(".kit-map-kept").first.inner_text()
    )
    canvas = page.locator("#map canvas")
    where = place_of(page, small, tmp_path, "blue/5.png")
    canvas.hover(position=where)
    tip = page.locator(".kit-map-tip")
    tip.get_by_text("blue/5.png").wait_for()
    assert tip.locator("img").evaluate("(image) => image.decode().then(() => image.naturalWidth)") > 0
    canvas.click(position=where)
    chosen = page.get_by_role("region", name="Chosen picture")
    chosen.get_by_text("the map keeps").wait_for()
    chosen.get_by_role("button", name="Search with this").click()
    wait_for_tab(page, "Search")
    wait_for_address(page, id=["blue/5.png"])
    wait_for_first(page, "blue/4.png")
    page.go_back()
    wait_for_tab(page, "Map")


def test_the_map_can_be_used_from_the_keyboard(visit, serving, small):
    page = visit(serving(small) + "/?tab=map", reduced_motion="reduce")
    page.get_by_text("12 pictures in view").wait_for()
    page.locator("#map canvas").focus()
    for _ in range(6):
        page.keyboard.press("+")
        page.keyboard.press("ArrowLeft")
    page.get_by_text("12 pictures in view").wait_for(state="detached")
    page.keyboard.press("0")
    page.get_by_text("12 pictures in view").wait_for()
    tab_to(page, "blue/3.png")
    page.keyboard.press("Enter")
    page.get_by_role("region", name="Chosen picture").get_by_role("heading", name="blue/3.png").wait_for()
    page.keyboard.press("Enter")  # on "Search with this"
    wait_for_tab(page, "Search")
    wait_for_address(page, id=["blue/3.png"])


LABELS = [
    "<img src=x onerror=window.hacked=1>",
    "${Object.assign(window,{hacked:2}).hacked}",
    "C:\\users\\{{value}}",
    "long" * 40,
]


@pytest.fixture
def large(tmp_path):
    """More pictures than are laid out at once, in four classes with hostile names."""
    for i in range(9):
        for hue in range(len(LABELS)):
            colour = [20 * i, 20 * i, 20 * i]
            colour[hue % 3] = 220
            paint(tmp_path / f"pictures/{hue}/{i}.png", tuple(colour))
    gallery = make_gallery(tmp_path / "pictures")
    records = gallery.records()
    vectors = gallery.vectors()
    renamed = [replace(record, label=LABELS[int(record.id[0])]) for record in records]
    gallery.index.add(renamed, vectors)
    gallery.index.flush()
    return gallery


@pytest.mark.parametrize(("scheme", "device"), [("light", {}), ("dark", PHONE)], ids=["desk", "phone"])
def test_the_map_is_explored_and_left_for_a_search(visit, serving, large, own_cache, scheme, device):
    large.projection(progress=False)
    page = visit(serving(large) + "/?tab=map", color_scheme=scheme, reduced_motion="reduce", **device)
    page.get_by_text(re.compile(r"\d+ pictures in view")).wait_for()
    if device:
        page.get_by_role("button", name="Tools").click()
    page.locator("#map").get_by_text("4 classes").click()
    legend = page.locator(".kit-map-classes button > span")
    assert legend.all_inner_texts() == sorted(LABELS)
    page.get_by_label("Find a class or an id on the map").fill("1/4.png")
    page.keyboard.press("Enter")
    page.get_by_role("region", name="Chosen picture").get_by_text("the map keeps").wait_for()
    page.get_by_text("nearest by cosine", exact=False).last.click()
    page.get_by_role("button", name="Whole map").click()
    legend.nth(0).click()
    page.get_by_role("button", name="Select view").click()
    page.get_by_role("heading", name="9 pictures selected").wait_for()
    assert serious(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert not device or small_targets(page, "#map") == []
    page.get_by_role("button", name="Search in their class").click()
    wait_for_tab(page, "Search")
    assert page.locator("#classes input:checked").evaluate_all("(all) => all.map((box) => box.value)") == [
        sorted(LABELS)[0]
    ]
    assert page.evaluate("window.hacked ?? null") is None
    assert page.locator("#map img[src=x]").count() == 0


def test_the_map_is_learned_with_progress_can_be_cancelled_and_begun_again(
    visit, serving, gallery, own_cache, monkeypatch
):
    go_on = threading.Event()
    projection = gallery.projection

    def slow(*, progress):
        progress(0.25)
        if not go_on.is_set():
            go_on.wait(20)
            progress(0.5)  # ends here, because nobody waits
        return projection(progress=progress)

    monkeypatch.setattr(gallery, "projection", slow)
    page = visit(serving(gallery) + "/?tab=map")
    page.get_by_role("button", name="Learn the map").click()
    page.wait_for_function("document.querySelector('#map progress').value === 0.25")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Learn the map").click()
    go_on.set()
    page.locator("#map canvas").wait_for()
    page.locator("#map").get_by_text("62 pictures laid out by UMAP").wait_for()
    assert not page.get_by_role("progressbar").is_visible()
    assert not page.get_by_role("button", name="Cancel").is_visible()
