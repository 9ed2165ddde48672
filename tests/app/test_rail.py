"""The frame around the tabs in a real Chromium: a picture and its filters beside them, light or dark by choice."""

from __future__ import annotations

from tests.app.test_access import PHONE, serious_in_both
from tests.app.test_address import search_by_id, wait_for_address
from tests.app.test_page import hits, wait_for_first
from tests.app.test_tabs import open_tab, wait_for_tab

COLOURS = """() => [document.body.classList.contains("dark"), document.documentElement.style.colorScheme,
  getComputedStyle(document.querySelector("#head h1")).color]"""


def test_the_picture_and_its_filters_stay_beside_compare_and_map(visit, served, gallery):
    page = visit(served)
    rail = page.locator("#rail")
    for tab in ("Compare", "Map"):
        open_tab(page, tab)
        assert not rail.is_visible()  # there is no picture yet
    open_tab(page, "Search")
    search_by_id(page, "red/00.png")
    wait_for_first(page, "red/01.png")
    assert not rail.is_visible()  # this tab has its own
    open_tab(page, "Map")
    rail.get_by_title("Back to the search").get_by_text("red/00.png").wait_for()
    rail.get_by_label("Only this class, too").select_option("blue")
    rail.locator(".chip", has_text="blue").wait_for()
    wait_for_address(page, tab=["map"], id=["red/00.png"], classes=["blue"])
    open_tab(page, "Compare")
    rail.locator(".chip", has_text="blue").wait_for()
    page.wait_for_function("() => document.querySelector('#compare ol [data-id]')?.dataset.id.startsWith('blue/')")
    rail.get_by_label("Ranking of the search").select_option(label="Mutual neighbours")
    wait_for_address(page, tab=["compare"], id=["red/00.png"], classes=["blue"], rank=["krecip:20:6:0.3"])
    rail.get_by_role("button", name="Remove blue").click()
    rail.locator(".chip").wait_for(state="detached")
    for tab in ("Evaluate", "Index"):
        open_tab(page, tab)
        assert not rail.is_visible()
    open_tab(page, "Compare")
    rail.get_by_title("Back to the search").click()
    wait_for_tab(page, "Search")
    assert hits(page) == [hit.id for hit in gallery.search(id="red/00.png", rank="krecip:20:6:0.3").hits]
    page.get_by_role("button", name="Remove", exact=True).click()
    open_tab(page, "Compare")
    assert not rail.is_visible()


def test_what_the_server_refuses_is_said_in_the_rail(visit, served):
    page = visit(f"{served}/?tab=compare&id=red/00.png")
    rail = page.locator("#rail")
    rail.get_by_label("Ranking of the search").wait_for()
    page.evaluate("document.dispatchEvent(new CustomEvent('imgsearch-refine', {detail: {rank: 'pca:99999:1'}}))")
    rail.get_by_role("alert").filter(has_text="PCA to 99999 dimensions").wait_for()
    assert rail.get_by_label("Ranking of the search").input_value() == "as indexed"


def test_on_a_phone_the_rail_is_folded(visit, served):
    page = visit(f"{served}/?tab=compare&id=red/00.png", **PHONE)
    fold = page.locator("#rail .fold")
    fold.get_by_text("red/00.png").wait_for()
    assert not page.get_by_label("Ranking of the search").is_visible()
    fold.click()
    assert fold.get_attribute("aria-expanded") == "true"
    assert page.get_by_label("Ranking of the search").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_axe_finds_nothing_serious_in_the_rail(visit, served):
    page = visit(f"{served}/?tab=map&id=red/00.png&classes=red")
    page.locator("#rail .chip").wait_for()
    page.locator("#map [data-ready]").wait_for()
    assert serious_in_both(page) == []


def test_light_or_dark_is_chosen_kept_and_there_at_once(visit, served):
    page = visit(served, alone=True)
    auto = page.evaluate(COLOURS)
    assert auto[:2] == [False, "light"]
    button = page.locator("#head .theme")
    assert button.inner_text() == "◐ Auto"
    page.emulate_media(color_scheme="dark")
    page.wait_for_function("document.body.classList.contains('dark')")
    dark = page.evaluate(COLOURS)
    assert dark[:2] == [True, "dark"]
    button.click()
    assert button.inner_text() == "☀ Light"
    assert page.evaluate(COLOURS) == auto
    page.emulate_media(color_scheme="light")
    button.click()
    assert button.inner_text() == "☾ Dark"
    assert page.evaluate(COLOURS) == dark
    page.add_init_script(
        """window.shown = []; const look = () => { if (document.body) shown.push(getComputedStyle(document.body)
        .backgroundColor); requestAnimationFrame(look); }; requestAnimationFrame(look);"""
    )
    page.reload()
    page.locator("#search [data-ready]").wait_for(state="attached")
    assert page.evaluate(COLOURS) == dark
    frames = page.evaluate("[...new Set(shown)]")
    assert frames  # each that was painted is dark
    assert all(max(map(int, colour[colour.index("(") + 1 : -1].split(", ")[:3])) < 60 for colour in frames), frames
    page.locator("#head .theme").click()
    assert page.evaluate("localStorage.getItem('imgsearch-theme')") is None
    assert page.evaluate(COLOURS) == auto
