"""The tabs of the page and their addresses, in a real Chromium."""

from __future__ import annotations

import pytest

from tests.app.test_address import address, search_by_id, wait_for_address
from tests.app.test_page import hits, wait_for_first


def open_tab(page, name):
    page.get_by_role("navigation", name="Tabs").get_by_role("link", name=name).click()
    wait_for_tab(page, name)


def wait_for_tab(page, name):
    page.locator("nav a[aria-current=page]", has_text=name).wait_for()


def test_the_tabs_stand_in_the_address_and_keep_the_search(visit, served):
    page = visit(served)
    search_by_id(page, "red/00.png")
    wait_for_address(page, id=["red/00.png"])
    before = hits(page)
    open_tab(page, "Evaluate")
    assert address(page) == {"tab": ["evaluate"], "id": ["red/00.png"]}
    assert not page.locator("#search").is_visible()
    assert page.locator("#evaluate").is_visible()
    page.evaluate("document.querySelector('#hits li').dataset.drawn = 'once'")
    page.go_back()
    wait_for_tab(page, "Search")
    assert page.locator("#search").is_visible()
    assert hits(page) == before
    assert page.locator("#hits li[data-drawn=once]").count() == 1  # it was not searched again
    page.go_forward()
    wait_for_tab(page, "Evaluate")
    other = visit(page.url)  # a link opens the tab, and has the search
    wait_for_tab(other, "Evaluate")
    other.locator("#evaluate [data-ready]").wait_for()
    open_tab(other, "Search")
    wait_for_first(other, "red/01.png")
    assert hits(other) == before


@pytest.mark.parametrize("name", ["elsewhere", "toString", "${window.x=1}"])
def test_an_unknown_tab_in_the_address_is_the_search(visit, served, name):
    page = visit(f"{served}/?tab={name}")
    wait_for_tab(page, "Search")
    assert page.locator("#search").is_visible()
    assert page.evaluate("window.x") is None


def test_the_help_says_what_the_tabs_do(visit, served):
    page = visit(served)
    assert not page.locator(".help p").first.is_visible()
    page.locator("#head").get_by_text("Help").click()
    assert len(page.locator(".help p").all_inner_texts()) >= 4
