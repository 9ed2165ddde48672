"""The address of the page: a link opens a search, and back, forward and reload work, in a real Chromium."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from tests.app.test_page import BETWEEN_2_AND_3, choose, hits, remove, wait_for_first, wait_for_status

KRECIP = "krecip:20:6:0.3"


def address(page):
    return parse_qs(urlsplit(page.url).query)


def search_by_id(page, id_):
    page.get_by_label("Id of an indexed picture, or address of one").fill(id_)
    page.get_by_role("button", name="Search", exact=True).click()


def wait_for_address(page, **expected):
    wanted = {"tab": ["search"], **expected}
    page.wait_for_url(lambda url: parse_qs(urlsplit(url).query) == wanted)


def test_a_link_opens_the_same_search(visit, served, gallery):
    page = visit(served)
    search_by_id(page, "red/00.png")
    wait_for_address(page, id=["red/00.png"])
    page.get_by_role("button", name="20", exact=True).click()
    wait_for_address(page, id=["red/00.png"], k=["20"])
    page.get_by_role("checkbox", name="blue").check()
    wait_for_address(page, id=["red/00.png"], k=["20"], classes=["blue"])
    page.get_by_role("checkbox", name="green").check()
    wait_for_address(page, id=["red/00.png"], k=["20"], classes=["blue", "green"])
    page.get_by_label("Ranking", exact=True).select_option(KRECIP)
    wait_for_address(page, id=["red/00.png"], k=["20"], classes=["blue", "green"], rank=[KRECIP])
    shown = hits(page)
    assert shown == [h.id for h in gallery.search(id="red/00.png", k=20, labels=["blue", "green"], rank=KRECIP).hits]

    other = visit(page.url)
    wait_for_status(other, f"exact, then {KRECIP}")
    assert hits(other) == shown
    assert other.get_by_label("Number of neighbours").input_value() == "20"
    assert other.get_by_label("Ranking", exact=True).input_value() == KRECIP
    chosen = other.locator("#classes :checked").evaluate_all("(boxes) => boxes.map((box) => box.value)")
    assert chosen == ["blue", "green"]
    assert other.locator("[data-query]").get_attribute("data-query") == "red/00.png"


def test_back_forward_and_reload_show_the_search_of_the_address(visit, served, upload):
    page = visit(served)
    search_by_id(page, "red/00.png")
    wait_for_first(page, "red/01.png")
    choose(page, upload("mine.png", BETWEEN_2_AND_3))
    wait_for_first(page, "red/02.png")
    assert address(page) == {}  # an upload is nobody else's
    search_by_id(page, "blue/00.png")
    wait_for_first(page, "blue/01.png")
    page.go_back()
    wait_for_first(page, "red/02.png")  # the upload is still on the server
    page.reload()
    wait_for_first(page, "red/02.png")
    assert page.locator("[data-query]").get_attribute("data-query") == "mine.png"
    page.go_back()
    wait_for_first(page, "red/01.png")
    assert address(page)["id"] == ["red/00.png"]
    page.go_back()
    page.locator("#welcome .tile").first.wait_for()
    assert hits(page) == []
    page.go_forward()
    wait_for_first(page, "red/01.png")
    remove(page)
    page.locator("#welcome .tile").first.wait_for()
    assert address(page) == {}
    page.go_back()
    wait_for_first(page, "red/01.png")


def test_what_others_put_into_the_address_stays(visit, served):
    page = visit(f"{served}/?__theme=dark")
    search_by_id(page, "red/00.png")
    wait_for_first(page, "red/01.png")
    assert address(page)["__theme"] == ["dark"]
