"""The compare tab: what it says of several answers, and how a person uses it in a real Chromium."""

from __future__ import annotations

import pytest

from imgsearch_kit.app.tabs.compare import CompareTab, moved_hits
from tests.app.test_address import search_by_id, wait_for_address
from tests.app.test_page import BETWEEN_2_AND_3, choose, wait_for_first
from tests.app.test_tabs import open_tab, wait_for_tab

KRECIP = "krecip:20:6:0.3"


def test_hits_that_moved_are_counted_in_places():
    assert moved_hits(["a", "b", "c", "d"], ["b", "a", "e", "d"]) == ({"b": 1, "a": -1, "e": None, "d": 0}, ["c"])
    assert moved_hits([], ["a"]) == ({"a": None}, [])


def test_each_column_answers_as_the_gallery_does(gallery, tmp_path):
    asked = {"search": {"id": "red/00.png", "k": 10}, "columns": ["as indexed", KRECIP], "serial": 3}
    found = CompareTab(gallery, tmp_path).compare(asked)
    assert found["serial"] == 3
    for column, spec in zip(found["columns"], ("", KRECIP), strict=True):
        hits = gallery.search(id="red/00.png", k=10, rank=spec).hits
        assert [hit["id"] for hit in column["hits"]] == [hit.id for hit in hits]
        assert column["precision"] == sum(hit.label == "red" for hit in hits) / 10
        assert column["ms"] > 0
    first, second = ([hit["id"] for hit in column["hits"]] for column in found["columns"])
    assert {card["id"] for card in found["columns"][1]["lost"]} == set(first) - set(second)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (None, "names no columns"),
        ({"columns": "ab"}, "names no columns"),
        ({"columns": [1, 2]}, "names no columns"),
        ({"columns": ["as indexed"]}, "Choose 2 to 4 columns; there are 1"),
        ({"columns": ["as indexed"] * 5}, "Choose 2 to 4 columns; there are 5"),
        ({"columns": ["as indexed", KRECIP]}, "The request is no search"),
        ({"columns": ["as indexed", KRECIP], "search": {"picture": "/etc/passwd"}}, "was not uploaded"),
        ({"columns": ["as indexed", KRECIP], "search": {"id": "red/00.png", "k": 5000}}, "from 1 to 50"),
    ],
)
def test_forged_requests_are_refused_in_words(gallery, tmp_path, given, sentence):
    assert sentence in CompareTab(gallery, tmp_path).compare(given)["error"]


def test_a_ranking_that_the_index_does_not_allow_leaves_the_other_columns(gallery, tmp_path):
    asked = {"search": {"id": "red/00.png"}, "columns": ["pca:99:1", "as indexed", "what:1"]}
    refused, plain, misspelt = CompareTab(gallery, tmp_path).compare(asked)["columns"]
    assert "PCA to 99 dimensions" in refused["error"]
    assert [hit["id"] for hit in plain["hits"]] == [hit.id for hit in gallery.search(id="red/00.png").hits]
    assert "what" in misspelt["error"]


def column_hits(page, name):
    cards = page.get_by_role("region", name=name, exact=True).locator("ol [data-id]")
    return cards.evaluate_all("(all) => all.map((each) => each.dataset.id)")


def test_the_picture_of_the_search_stands_under_several_rankings(visit, served, gallery, upload):
    page = visit(served)
    open_tab(page, "Compare")
    page.locator("#compare").get_by_text("Search for a picture first.").wait_for()
    open_tab(page, "Search")
    search_by_id(page, "red/00.png")
    wait_for_first(page, "red/01.png")
    open_tab(page, "Compare")
    page.get_by_role("region", name="Plain", exact=True).wait_for()
    page.get_by_role("checkbox", name="Mutual neighbours").check()
    page.get_by_role("region", name="Mutual neighbours").wait_for()
    page.get_by_role("checkbox", name="Balanced").uncheck()
    page.get_by_role("region", name="Balanced").wait_for(state="detached")
    plain = [hit.id for hit in gallery.search(id="red/00.png", rank="").hits]
    mutual = [hit.id for hit in gallery.search(id="red/00.png", rank=KRECIP).hits]
    assert column_hits(page, "Plain") == plain
    assert column_hits(page, "Mutual neighbours") == mutual
    assert "% of its hits are red" in page.get_by_role("region", name="Plain", exact=True).inner_text()
    marks = page.get_by_role("region", name="Mutual neighbours").locator("ol .moved").all_inner_texts()
    assert len(marks) == sum(plain[i : i + 1] != [id_] for i, id_ in enumerate(mutual))
    page.get_by_role("region", name="Plain", exact=True).locator('[data-id="red/03.png"]').click()
    wait_for_tab(page, "Search")
    wait_for_address(page, id=["red/03.png"])
    choose(page, upload("mine.png", BETWEEN_2_AND_3))  # an upload is compared as well
    wait_for_first(page, "red/02.png")
    open_tab(page, "Compare")
    page.locator("#rail .rail-query", has_text="mine.png").wait_for()
    page.wait_for_function("() => document.querySelector('#compare ol [data-id]')?.dataset.id === 'red/02.png'")
