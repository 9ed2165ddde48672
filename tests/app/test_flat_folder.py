"""A folder from a camera, without classes: names that differ at their ends, and what the page says of it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.app.conftest import make_gallery
from tests.app.test_page import as_base64, drop, wait_for_first
from tests.app.test_tabs import open_tab
from tests.small_extractor import paint

PHONE = {"viewport": {"width": 390, "height": 844}}
BROKEN = """(names) => names.filter((name) => [...name.childNodes].some((part) => {
  const range = document.createRange();
  range.selectNodeContents(part);
  return new Set([...range.getClientRects()].map((rectangle) => rectangle.top)).size > 1;
})).map((name) => name.textContent)"""

DROP_ALL = """(files) => {
  const transfer = new DataTransfer();
  for (const [name, content] of files) {
    transfer.items.add(new File([Uint8Array.from(atob(content), (c) => c.charCodeAt(0))], name, {type: 'image/png'}));
  }
  return transfer;
}"""


@pytest.fixture(scope="module")
def camera(tmp_path_factory):
    folder = tmp_path_factory.mktemp("camera")
    for i in range(12):
        paint(folder / f"IMG_20{i + 34}.JPG", (200, 12 * i, 0))
    return make_gallery(folder)


@pytest.fixture
def url(serving, camera):
    return serving(camera)


def test_a_cameras_names_are_whole_before_their_endings(visit, url):
    page = visit(f"{url}/?id=IMG_2034.JPG")
    wait_for_first(page, "IMG_2035.JPG")
    names = page.locator("#hits .label")
    assert names.first.inner_text().replace("\n", "") == "IMG_2035.JPG"
    assert names.evaluate_all(BROKEN) == []
    one_line = names.first.evaluate("(name) => name.clientHeight") * 1.5
    assert names.nth(1).evaluate("(name) => name.clientHeight") < one_line
    page.get_by_role("button", name="− Less like this").nth(2).click()
    page.locator("#hits .moved").first.wait_for()
    for width in (1280, 640, 390, 320):
        page.set_viewport_size({"width": width, "height": 800})
        assert names.evaluate_all(BROKEN) == []


def test_names_are_whole_beside_the_moves_in_columns_of_a_phone(visit, url):
    page = visit(f"{url}/?id=IMG_2034.JPG&tab=compare", **PHONE)
    page.locator("#compare ol .label").first.wait_for()
    assert page.locator("#compare ol .label").evaluate_all(BROKEN) == []
    assert page.locator("#compare ol .kit-line .moved").count() == 0


def test_several_pictures_are_not_called_one(visit, url):
    page = visit(f"{url}/?id=IMG_2034.JPG&id=IMG_2040.JPG")
    expect(page.locator("#own p")).to_have_text("These pictures are in the index:")


def test_the_foot_has_no_lone_dot_and_what_opens_has_its_triangle(visit, url):
    page = visit(f"{url}/?id=IMG_2034.JPG")
    wait_for_first(page, "IMG_2035.JPG")
    assert page.locator("footer").inner_text().strip() == "Use via API"
    page.set_viewport_size(PHONE["viewport"])
    assert page.locator("footer").inner_text().strip() in ("", "Use via API")
    page.get_by_role("button", name="Settings").click()
    for name in (r"History \(1\)", "How"):
        summary = page.locator("summary").filter(has_text=re.compile(f"^{name}$"))
        assert summary.evaluate("(shown) => getComputedStyle(shown).display") == "list-item"
        assert summary.bounding_box()["height"] >= 44


def test_what_gives_classes_is_said_where_they_are_wanted(visit, url):
    page = visit(url)
    open_tab(page, "Evaluate")
    expect(page.locator("#evaluate .empty")).to_contain_text("imgsearch export -o labels.csv writes one")
    assert page.locator("#evaluate .empty p").bounding_box()["width"] < 700
    open_tab(page, "Index")
    expect(page.locator("#index .acts")).to_contain_text("imgsearch export -o labels.csv writes one to fill in")


def test_of_several_dropped_files_it_is_said_which_is_taken(visit, url, upload):
    page = visit(url)
    files = [[path.name, as_base64(path)] for path in (upload("a.png", (200, 24, 0)), upload("b.png", (0, 24, 0)))]
    transfer = page.evaluate_handle(DROP_ALL, files)
    for event in ("dragenter", "dragover", "drop"):
        page.locator("#head h1").dispatch_event(event, {"dataTransfer": transfer})
    expect(page.locator("#status .change")).to_have_text("with the first of 2 files")
    assert page.locator("#query").get_attribute("data-query") == "a.png"
    drop(page, upload("c.png", (200, 24, 0)))
    page.locator('#query[data-query="c.png"]').wait_for()
    assert page.locator("#status .change", has_text="files").count() == 0


def test_commands_in_a_sentence_are_drawn_as_commands(visit, url):
    page = visit(f"{url}/?tab=evaluate")
    page.locator("#evaluate .empty code", has_text="imgsearch export -o labels.csv").wait_for()
    assert "`" not in page.locator("#evaluate .empty").inner_text()
