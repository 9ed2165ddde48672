"""A box, marks, several pictures and filters on the page, in a real Chromium; what they compute is tested elsewhere."""

from __future__ import annotations

import pytest
from PIL import Image

from tests.app.test_address import search_by_id, wait_for_address
from tests.app.test_page import choose, hits, wait_for_first, wait_for_status


@pytest.fixture
def halves(tmp_path):
    """A picture that is red on the left and blue on the right."""
    picture = Image.new("RGB", (80, 60), (200, 0, 0))
    picture.paste((0, 0, 200), (40, 0, 80, 60))
    picture.save(tmp_path / "halves.png")
    return tmp_path / "halves.png"


def crop(page):
    page.get_by_role("button", name="Crop", exact=True).click()
    return page.locator("#query .kit-frame img").bounding_box()


def drag(page, place, start, end):
    page.mouse.move(place["x"] + start[0] * place["width"], place["y"] + start[1] * place["height"])
    page.mouse.down()
    page.mouse.move(place["x"] + end[0] * place["width"], place["y"] + end[1] * place["height"], steps=4)
    return page.mouse.up


def numbers(page):
    return [float(page.get_by_label(name, exact=True).input_value()) for name in ("Left", "Top", "Right", "Bottom")]


def test_a_box_drawn_with_the_mouse_searches_for_that_part_when_it_is_let_go(visit, served, halves):
    page = visit(served)
    choose(page, halves)
    wait_for_status(page, "^10 neighbours")
    before = hits(page)
    release = drag(page, crop(page), (0.55, 0.1), (0.95, 0.9))
    assert hits(page) == before
    assert page.locator("#status .busy").count() == 0
    release()
    wait_for_first(page, "blue/01.png")  # number 00 is the very colour
    assert numbers(page) == pytest.approx([0.55, 0.1, 0.95, 0.9], abs=0.02)
    drag(page, crop_frame(page), (0.75, 0.5), (0.25, 0.5))()  # moves it to the other half
    wait_for_first(page, "red/01.png")
    assert numbers(page) == pytest.approx([0.05, 0.1, 0.45, 0.9], abs=0.02)


def crop_frame(page):
    return page.locator("#query .kit-frame img").bounding_box()


def test_a_box_drawn_with_a_finger(visit, served, halves):
    page = visit(served, has_touch=True, is_mobile=True, viewport={"width": 390, "height": 844})
    choose(page, halves)
    wait_for_status(page, "^10 neighbours")
    place = crop(page)
    touch = page.context.new_cdp_session(page)
    for kind, x in (("touchStart", 0.55), ("touchMove", 0.8), ("touchMove", 0.95), ("touchEnd", None)):
        y = 0.9 if x == 0.95 else 0.1
        at = [] if x is None else [{"x": place["x"] + x * place["width"], "y": place["y"] + y * place["height"]}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})
    wait_for_first(page, "blue/01.png")


def test_a_box_by_four_numbers_stands_in_the_address_and_opens_again(visit, served, pictures, gallery):
    page = visit(served)
    search_by_id(page, "red/10.png")
    wait_for_first(page, "red/11.png")
    page.get_by_role("button", name="Crop", exact=True).press("Enter")
    page.get_by_label("Left", exact=True).fill("0.9")
    page.get_by_label("Right", exact=True).fill("0.5")
    page.get_by_label("Right", exact=True).press("Enter")
    page.get_by_role("alert").filter(has_text="left below right").wait_for()
    page.get_by_label("Left", exact=True).fill("0.25")
    page.get_by_label("Left", exact=True).press("Enter")
    wait_for_address(page, id=["red/10.png"], box=["0.25,0,0.5,1"])
    assert hits(page) == [hit.id for hit in gallery.search(id="red/10.png", box=(0.25, 0, 0.5, 1)).hits]
    other = visit(page.url)
    wait_for_status(other, "^10 neighbours")
    assert numbers(other) == [0.25, 0, 0.5, 1]
    assert other.locator("#query .kit-box").is_visible()


def test_marks_are_shown_removable_and_in_the_address(visit, served, gallery):
    page = visit(served)
    search_by_id(page, "red/00.png")
    wait_for_first(page, "red/01.png")
    page.locator("#hits li").nth(4).get_by_role("button", name="More like this").click()  # red/05.png
    wait_for_address(page, id=["red/00.png"], plus=["red/05.png"])
    assert hits(page) == [hit.id for hit in gallery.search(id="red/00.png", plus=["red/05.png"]).hits]
    page.locator("#hits [data-id]").first.focus()
    less = hits(page)[0]
    page.keyboard.press("-")
    wait_for_address(page, id=["red/00.png"], plus=["red/05.png"], minus=[less])
    expected = [hit.id for hit in gallery.search(id="red/00.png", plus=["red/05.png"], minus=[less]).hits]
    assert hits(page) == expected
    assert page.evaluate("document.activeElement.dataset.id") == expected[0]  # the keyboard goes on from there

    other = visit(page.url)
    wait_for_first(other, expected[0])
    assert hits(other) == expected
    assert other.locator(".marked.plus [data-id]").get_attribute("data-id") == "red/05.png"
    other.get_by_role("button", name="Remove red/05.png").click()
    wait_for_address(other, id=["red/00.png"], minus=[less])


def test_the_panel_marks_adds_to_the_query_and_filters_to_a_class(visit, served, gallery):
    page = visit(served)
    search_by_id(page, "red/00.png")
    page.locator('#hits [data-id="red/02.png"]').click()
    page.get_by_role("dialog").get_by_role("button", name="Less like this").click()
    wait_for_address(page, id=["red/00.png"], minus=["red/02.png"])
    page.locator('.marked [data-id="red/02.png"]').click()
    page.get_by_role("dialog").get_by_role("button", name="Less like this").click()  # again: no more
    wait_for_address(page, id=["red/00.png"])
    page.get_by_label("Id of an indexed picture, or address of one").fill("blue/00.png")
    page.get_by_role("button", name="Search", exact=True).click()
    page.locator('#hits [data-id="blue/02.png"]').click()
    page.get_by_role("dialog").get_by_role("button", name="Add to the query").click()
    wait_for_address(page, id=["blue/00.png", "blue/02.png"])
    assert hits(page) == [hit.id for hit in gallery.search(id=["blue/00.png", "blue/02.png"]).hits]
    page.locator("#hits [data-id]").first.click()
    page.get_by_role("dialog").get_by_role("button", name="All of this class").click()
    wait_for_address(page, id=["blue/00.png", "blue/02.png"], classes=["blue"], k=["50"])
    assert len(hits(page)) == 18


def test_a_least_score_and_no_near_duplicates(visit, served, gallery):
    page = visit(served)
    search_by_id(page, "red/00.png")
    wait_for_first(page, "red/01.png")
    page.get_by_label("Hide near-duplicates").check()
    wait_for_address(page, id=["red/00.png"], distinct=["0.97"])
    assert hits(page) == [hit.id for hit in gallery.search(id="red/00.png", distinct=0.97).hits]
    page.get_by_label("Score at least").fill("0.95")
    page.get_by_label("Score at least").press("Enter")
    wait_for_address(page, id=["red/00.png"], distinct=["0.97"], least=["0.95"])
    assert hits(page) == [hit.id for hit in gallery.search(id="red/00.png", distinct=0.97, min_score=0.95).hits]
    page.get_by_label("Score at least").fill("7")
    page.get_by_label("Score at least").press("Enter")
    page.get_by_role("alert").filter(has_text="Give a cosine from -1 to 1").wait_for()


def test_arrow_keys_step_through_the_hits_in_the_panel_and_the_path_can_be_copied(visit, served):
    page = visit(served, permissions=["clipboard-read", "clipboard-write"])
    search_by_id(page, "red/00.png")
    page.locator("#hits [data-id]").first.click()
    page.get_by_role("dialog", name="Details of red/01.png").wait_for()
    page.keyboard.press("ArrowRight")
    page.get_by_role("dialog", name="Details of red/02.png").wait_for()
    page.keyboard.press("ArrowRight")
    page.get_by_role("dialog", name="Details of red/03.png").wait_for()
    page.keyboard.press("ArrowLeft")
    dialog = page.get_by_role("dialog", name="Details of red/02.png")
    dialog.wait_for()
    dialog.get_by_role("button", name="Copy path").click()
    dialog.get_by_text("Copied.").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == "red/02.png"
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    assert page.evaluate("document.activeElement.dataset.id") == "red/02.png"
