"""The page for those who use a keyboard, a screen reader, a phone or large letters, in a real Chromium."""

from __future__ import annotations

import re

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.app.test_address import search_by_id
from tests.app.test_page import BETWEEN_2_AND_3, choose, hits, set_scheme, wait_for_first, wait_for_status

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
SMALL_TARGETS = """(place) => [...document.querySelectorAll(`${place} :is(button, select, summary, input)`)]
  .filter((e) => e.checkVisibility() && e.type !== 'file')
  .map((e) => e.type === 'checkbox' ? e.closest('label') : e)
  .filter((e) => e.getBoundingClientRect().height < 44 || e.getBoundingClientRect().width < 44)
  .map((e) => e.outerHTML.slice(0, 80))"""


def small_targets(page, place="#search"):
    """What a finger would miss below an element."""
    return page.evaluate(SMALL_TARGETS, place)


def serious(page):
    """What axe-core finds on the page that keeps people out."""
    found = Axe().run(page).response["violations"]
    return [
        f"{finding['id']}: {node['html'][:200]} {node['failureSummary'][:300]}"
        for finding in found
        if finding["impact"] in ("serious", "critical")
        for node in finding["nodes"]
    ]


def serious_in_both(page):
    """The same in dark and then in light, in which the page is afterwards."""
    found = []
    for scheme in ("dark", "light"):
        set_scheme(page, scheme)
        found += [f"{scheme}: {each}" for each in serious(page)]
    return found


@pytest.mark.parametrize("device", [{}, PHONE], ids=["desk", "phone"])
def test_axe_finds_nothing_serious_in_any_state_of_the_tab(visit, served, device):
    page = visit(served, **device)
    assert serious_in_both(page) == []  # idle
    search_by_id(page, "red/00.png")
    wait_for_first(page, "red/01.png")
    page.locator("#hits li").nth(4).get_by_role("button", name="More like this").click()
    page.locator(".marked.plus").wait_for()
    page.get_by_role("button", name="Crop", exact=True).click()
    if device:
        page.get_by_role("button", name="Settings").click()
    page.get_by_label("Number of neighbours").fill("75")
    page.get_by_label("Number of neighbours").press("Enter")
    page.get_by_label("Ranking", exact=True).select_option("other")
    page.locator("#how summary").click()
    page.locator("#rank summary").click()
    assert serious_in_both(page) == []
    page.locator("#hits [data-id]").first.click()
    page.get_by_role("dialog").wait_for()
    assert serious_in_both(page) == []


COUNT_FADED = """window.faded = 0;
new MutationObserver(() => { window.faded += document.querySelectorAll('#head .pending').length; })
  .observe(document, {subtree: true, childList: true, attributes: true, attributeFilter: ['class']});"""


def test_the_head_stays_readable_while_the_server_is_asked_how_the_index_stands(visit, served):
    page = visit(served, alone=True)
    page.add_init_script(COUNT_FADED)
    page.reload()
    page.locator("#head .status", has_text="vectors").wait_for()
    assert page.evaluate("window.faded") == 0


def tab_to(page, name, most=60):
    """Presses Tab until the focus is on what a screen reader calls by this name."""
    for _ in range(most):
        page.keyboard.press("Tab")
        focused = page.evaluate("[document.activeElement.ariaLabel, document.activeElement.innerText].join(' ')")
        if re.search(name, focused):
            return
    raise AssertionError(f"Tab never reaches {name!r}")


def test_the_first_stop_leads_past_the_bar_to_what_was_found(visit, served):
    page = visit(f"{served}/?id=red/05.png")
    wait_for_status(page, "^10 neighbours")
    page.evaluate("document.activeElement.blur()")
    page.mouse.click(1, 1)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.innerText") == "Skip to results"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.matches('#search .kit-card')")
    assert "#" not in page.url


def test_a_whole_search_by_keyboard_alone(visit, served, gallery):
    page = visit(served)
    tab_to(page, "Id of an indexed picture, or address of one")
    page.keyboard.type("red/05.png")
    page.keyboard.press("Enter")
    wait_for_status(page, "^10 neighbours")
    tab_to(page, "^ 20$")
    page.keyboard.press("Space")
    wait_for_status(page, "^20 neighbours")
    shown = hits(page)
    tab_to(page, "^ 1\n")  # the first card
    page.keyboard.press("End")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    columns = page.evaluate(
        "getComputedStyle(document.querySelector('.kit-grid')).gridTemplateColumns.split(' ').length"
    )
    assert page.evaluate("document.activeElement.dataset.id") == shown[columns]
    page.keyboard.press("Enter")
    page.get_by_role("dialog", name=f"Details of {shown[columns]}").wait_for()
    page.keyboard.press("ArrowLeft")
    page.get_by_role("dialog", name=f"Details of {shown[columns - 1]}").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    assert page.evaluate("document.activeElement.dataset.id") == shown[columns - 1]
    page.keyboard.press("+")
    page.locator(".marked.plus").wait_for()
    marked = page.locator(".marked.plus [data-id]").get_attribute("data-id")
    assert marked == shown[columns - 1]
    assert hits(page) == [hit.id for hit in gallery.search(id="red/05.png", plus=[marked], k=20).hits]
    page.keyboard.press("Enter")
    tab_to(page, "Search with this")
    page.keyboard.press("Enter")
    page.locator("[data-query]:not([data-query='red/05.png'])").wait_for()


def test_on_a_phone_results_come_first_and_targets_are_large(visit, served, upload):
    page = visit(served, **PHONE)
    choose(page, upload("mine.png", BETWEEN_2_AND_3))
    wait_for_first(page, "red/02.png")
    assert page.locator("#hits [data-id]").first.bounding_box()["y"] < 844 / 2
    assert not page.locator("#settings").is_visible()
    assert small_targets(page) == []
    settings = page.get_by_role("button", name="Settings")
    settings.click()
    assert settings.get_attribute("aria-expanded") == "true"
    page.get_by_role("button", name="Crop", exact=True).click()
    assert small_targets(page) == []
    page.get_by_role("checkbox", name="blue").check()
    wait_for_first(page, "blue/19.png")
    settings.click()
    page.locator("#settings").wait_for(state="hidden")
    page.locator("#hits [data-id]").first.click()
    dialog = page.get_by_role("dialog")
    dialog.wait_for()
    box = dialog.bounding_box()
    assert (box["x"], box["y"], box["width"], box["height"]) == (0, 0, 390, 844)
    assert small_targets(page) == []


@pytest.mark.parametrize(("width", "zoom"), [(320, 1), (1280, 2), (1280, 4)])
def test_narrow_windows_and_large_letters_need_no_sideways_scrolling(visit, served, width, zoom):
    page = visit(served, viewport={"width": width // zoom, "height": 640}, device_scale_factor=zoom)  # as zooming does
    fits = "document.documentElement.scrollWidth <= innerWidth"
    assert page.evaluate(fits)
    search_by_id(page, "red/00.png")
    wait_for_first(page, "red/01.png")
    assert page.evaluate(fits)
    page.get_by_role("button", name="Settings").click()
    page.get_by_role("button", name="Crop", exact=True).click()
    assert page.evaluate(fits)
    page.locator("#hits [data-id]").first.click()
    page.get_by_role("dialog").get_by_role("button", name="Copy path").scroll_into_view_if_needed()
    assert page.evaluate(fits)


def test_a_browser_without_a_camera_is_told_so(visit, served):
    page = visit(served)
    page.get_by_role("button", name="Camera").click()
    page.get_by_role("alert").filter(has_text="camera").wait_for()
    assert page.locator("#welcome .tile").first.is_visible()
