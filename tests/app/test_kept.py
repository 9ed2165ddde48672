"""What the browser keeps of searches, and the files it makes, in a real Chromium."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from tests.app.test_address import search_by_id, wait_for_address
from tests.app.test_hostile_names import HOSTILE, hostile  # noqa: F401 (a fixture)
from tests.app.test_page import BETWEEN_2_AND_3, choose, hits, wait_for_first


def saved(page, button):
    with page.expect_download() as download:
        button.click()
    return download.value.path().read_text("utf-8")


def test_the_basket_lasts_over_searches_and_is_searched_with(visit, served, gallery):
    page = visit(served)
    for query, hit in (("red/00.png", "red/03.png"), ("blue/00.png", "blue/04.png")):
        search_by_id(page, query)
        page.locator(f'#hits [data-id="{hit}"]').click()
        page.get_by_role("button", name="Keep in the basket").click()
        page.get_by_text("Kept in the basket.").wait_for()
        page.keyboard.press("Escape")
    page.reload()
    wait_for_first(page, "blue/01.png")
    page.get_by_text("Basket (2)").click()
    basket = page.locator("#basket")
    rows = list(csv.reader(io.StringIO(saved(page, basket.get_by_role("button", name="CSV")))))
    assert rows == [["id", "label"], ["blue/04.png", "blue"], ["red/03.png", "red"]]
    basket.get_by_role("button", name="Search with all").click()
    wait_for_address(page, id=["blue/04.png", "red/03.png"])
    assert hits(page) == [hit.id for hit in gallery.search(id=["blue/04.png", "red/03.png"]).hits]
    basket.get_by_role("button", name="Remove red/03.png").click()
    page.get_by_text("Basket (1)").wait_for()
    basket.get_by_role("button", name="Empty").click()
    assert not basket.is_visible()


def test_two_windows_share_one_basket_and_neither_loses_what_the_other_kept(visit, served):
    first = visit(f"{served}/?id=red/00.png")
    second = first.context.new_page()
    second.goto(f"{served}/?id=blue/00.png")
    for page, hit in ((second, "blue/04.png"), (first, "red/03.png")):
        page.locator(f'#hits [data-id="{hit}"]').click()
        page.get_by_role("button", name="Keep in the basket").click()
    for page in (first, second):
        page.get_by_text("Basket (2)").wait_for()
        page.get_by_text("History (2)").wait_for()
    second.close()


def test_the_history_leads_back_to_any_search(visit, served, gallery):
    page = visit(served)
    search_by_id(page, "red/00.png")
    wait_for_address(page, id=["red/00.png"])
    page.get_by_role("button", name="20", exact=True).click()
    wait_for_address(page, id=["red/00.png"], k=["20"])
    search_by_id(page, "blue/00.png")
    wait_for_address(page, id=["blue/00.png"], k=["20"])
    page.get_by_text("History (3)").click()
    names = page.locator("#history .chip button:first-child").all_inner_texts()
    assert names == ["blue/00.png · 20 hits", "red/00.png · 20 hits", "red/00.png"]
    page.locator("#history").get_by_role("button", name="red/00.png", exact=True).click()
    wait_for_address(page, id=["red/00.png"])
    assert len(hits(page)) == 10
    page.get_by_role("button", name="Forget all").click()
    assert not page.locator("#history").is_visible()


def test_uploads_are_in_the_history_while_the_server_has_them(visit, served, upload):
    page = visit(served)
    choose(page, upload("mine <b>${1}.png", BETWEEN_2_AND_3))
    wait_for_first(page, "red/02.png")
    search_by_id(page, "blue/00.png")
    wait_for_first(page, "blue/01.png")
    page.get_by_text("History (2)").click()
    chips = page.locator("#history .chip button:first-child")
    name = chips.all_inner_texts()[1]
    assert name.startswith("mine")  # Gradio leaves some letters of names out
    thumbnail = chips.nth(1).locator("img").get_attribute("src")
    assert thumbnail.startswith("data:image/webp")
    assert len(thumbnail) <= 12_000
    other = page.context.new_page()  # another window of this browser
    other.goto(served)
    other.get_by_text("History (1)").wait_for()
    other.close()
    chips.nth(1).click()
    wait_for_first(page, "red/02.png")
    assert page.locator("#query").get_attribute("data-query") == name
    page.reload()
    wait_for_first(page, "red/02.png")
    kept = page.evaluate("Object.entries(sessionStorage).find(([key]) => key.startsWith('imgsearch-uploads'))[1]")
    Path(json.loads(kept)[0]["search"]["picture"]).unlink()  # as the server does after an hour
    search_by_id(page, "blue/00.png")
    wait_for_first(page, "blue/01.png")
    page.get_by_text("History (2)").click()
    chips.filter(has_text="mine").click()
    page.get_by_role("alert").filter(has_text="no longer on the server").wait_for()
    page.get_by_text("History (1)").wait_for()
    assert hits(page)[0] == "blue/01.png"


def test_hits_are_exported_and_a_spreadsheet_computes_none_of_their_names(visit, serving, hostile):  # noqa: F811
    page = visit(serving(hostile))
    search_by_id(page, HOSTILE[1])
    page.locator("#hits [data-id]").first.wait_for()
    shown = hits(page)
    rows = list(csv.DictReader(io.StringIO(saved(page, page.locator("#exports").get_by_role("button", name="CSV")))))
    assert [row["id"] for row in rows] == [f"'{id_}" if id_[0] in "=+-@" else id_ for id_ in shown]
    assert any(row["id"].startswith("'=") for row in rows)
    document = json.loads(saved(page, page.locator("#exports").get_by_role("button", name="JSON")))
    assert [hit["id"] for hit in document["hits"]] == shown
    assert document["query"]["id"] == HOSTILE[1]
