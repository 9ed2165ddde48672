"""Errors that nobody foresaw in a tab: each is said where its answer would be, and the tab can be used again."""

from __future__ import annotations

import pytest

from tests.app.conftest import make_gallery
from tests.app.test_page import wait_for_first
from tests.small_extractor import paint


@pytest.fixture
def breaking(tmp_path, monkeypatch):
    """A small gallery of two classes, and a function that breaks one of its methods until it is called again."""
    for i in range(4):
        paint(tmp_path / f"red/{i}.png", (200, 10 * i, 0))
        paint(tmp_path / f"blue/{i}.png", (10 * i, 0, 200))
    gallery = make_gallery(tmp_path)
    working = {name: getattr(gallery, name) for name in ("what_if", "ranked", "projection", "record")}

    def set_broken(name, broken=True):
        def out_of_order(*_, **__):
            raise RuntimeError("out of order")

        monkeypatch.setattr(gallery, name, out_of_order if broken else working[name])

    return gallery, set_broken


def said(page, tab, words):
    page.locator(f"#{tab}").get_by_text(f"{words} failed with an unexpected error; see the server's log.").wait_for()


def test_every_tab_says_so_and_can_be_used_again(visit, serving, breaking):
    gallery, set_broken = breaking
    address = serving(gallery)
    page = visit(f"{address}/?tab=evaluate&id=red/0.png")
    go = page.get_by_role("button", name="Evaluate", exact=True)
    set_broken("what_if")
    for _ in range(2):  # the second time as well
        go.click()
        said(page, "evaluate", "The evaluation")
    assert not page.locator("#evaluate progress").is_visible()
    set_broken("what_if", False)
    go.click()
    page.locator(".figure").first.wait_for()

    page.get_by_role("link", name="Compare").click()
    page.get_by_role("region", name="Plain", exact=True).wait_for()
    set_broken("ranked")
    page.get_by_role("checkbox", name="Mutual neighbours").click()
    said(page, "compare", "The comparison")
    assert page.locator("#compare .busy").count() == 0
    set_broken("ranked", False)
    page.get_by_role("checkbox", name="Mutual neighbours").click()
    page.locator("#compare .status", has_text="failed").wait_for(state="detached")
    page.get_by_role("region", name="Mutual neighbours").wait_for()

    set_broken("projection")
    page.get_by_role("link", name="Map").click()
    said(page, "map", "Opening the map")
    set_broken("projection", False)
    page.get_by_role("link", name="Search").click()
    page.get_by_role("link", name="Map").click()
    page.locator("#map canvas").wait_for()

    page.get_by_role("link", name="Search").click()
    wait_for_first(page, "red/1.png")
    set_broken("record")
    page.locator("#hits [data-id]").first.click()
    said(page, "search", "Looking for the details")
