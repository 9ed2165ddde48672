"""The compare tab: what it says of several answers, and how a person uses it in a real Chromium."""

from __future__ import annotations

import uuid

import ir_measures
import pytest

from imgsearch_kit.app.columns import comparable
from imgsearch_kit.app.tabs.compare import CompareTab, judged_name, moved_hits
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.index import create_index, new_passport
from imgsearch_kit.records import Approx
from tests.app.conftest import make_gallery
from tests.app.test_access import serious_in_both
from tests.app.test_address import search_by_id, wait_for_address
from tests.app.test_page import BETWEEN_2_AND_3, choose, wait_for_first
from tests.app.test_tabs import open_tab, wait_for_tab
from tests.index.conftest import remove_from_server
from tests.small_extractor import QuarterColours, UpperColours

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


@pytest.fixture(scope="module")
def smaller(pictures):
    """The same pictures but for two, in an index of another extractor."""
    gallery = make_gallery(pictures, UpperColours())
    gallery.index.delete(["red/01.png", "red/09.png"])
    return gallery


def test_another_index_is_a_column_with_an_extractor_of_its_own(gallery, smaller, upload, tmp_path):
    tab = CompareTab(gallery, tmp_path.resolve(), [smaller])
    start = tab.start({})
    assert start["columns"][-1]["name"] == "upper"
    assert start["columns"][-1]["about"] == "Another index: 60 pictures, upper, 6-d vectors."
    assert {"as indexed", "index 0"} <= set(start["chosen"])
    mine = upload("mine.png", BETWEEN_2_AND_3)
    asked = {"search": {"picture": str(mine.resolve()), "k": 5}, "columns": ["as indexed", "index 0"]}
    first, other = tab.compare(asked)["columns"]
    assert [hit["id"] for hit in first["hits"]] == [f"red/0{i}.png" for i in (2, 3, 1, 4, 0)]
    assert [hit["id"] for hit in other["hits"]] == [hit.id for hit in smaller.search(mine, k=5).hits]
    assert (other["shared"], other["of"]) == (4, 5)
    assert [(card["id"], card["absent"]) for card in other["lost"]] == [("red/01.png", True)]
    assert all(hit["thumbnail"].startswith("data:image/webp") for hit in other["hits"])


def test_a_query_that_another_index_lacks_is_said_in_its_column(gallery, smaller, tmp_path):
    asked = {"search": {"id": "red/01.png"}, "columns": ["index 0", "as indexed"]}
    lacking, plain = CompareTab(gallery, tmp_path, [smaller]).compare(asked)["columns"]
    assert "no picture with the id 'red/01.png'" in lacking["error"]
    assert [hit["id"] for hit in plain["hits"]] == [hit.id for hit in gallery.search(id="red/01.png").hits]


def test_indexes_are_named_by_what_sets_them_apart(gallery, smaller, tmp_path):
    with create_index(f"local:{tmp_path}/copy.db", new_passport(gallery.passport.spec)) as same:
        names = [each.name for each in comparable(gallery, [smaller, Gallery(same), smaller])]
    assert names[-3:] == ["upper", "Another index", "upper (2)"]


def test_the_approximate_method_of_a_server_has_columns_by_candidates(gallery, elasticsearch_9, tmp_path):
    address = f"{elasticsearch_9}/test-{uuid.uuid4().hex[:12]}"
    with create_index(address, new_passport(gallery.passport.spec, method="int8_hnsw")) as index:
        index.add(gallery.records(), gallery.vectors())
        index.flush()
    with Gallery.open(address, QuarterColours()) as there:
        names = [each.name for each in comparable(there)]
        assert names[:2] == ["Plain", "int8_hnsw, 20 candidates"]
        asked = {"search": {"id": "red/00.png"}, "columns": ["as indexed", "approximate:20"]}
        exact, fast = CompareTab(there, tmp_path).compare(asked)["columns"]
        found = there.search(id="red/00.png", approx=Approx(20))
    remove_from_server(address)
    assert exact["how"] == "exact"
    assert fast["how"] == found.method
    assert fast["how"].endswith("candidates=20")
    assert [hit["id"] for hit in fast["hits"]] == [hit.id for hit in found.hits]
    assert fast["shared"] == len({hit["id"] for hit in exact["hits"]} & {hit["id"] for hit in fast["hits"]})
    assert fast["of"] == 10


def test_an_index_that_is_only_exact_has_no_approximate_column(gallery, elasticsearch_9):
    address = f"{elasticsearch_9}/test-{uuid.uuid4().hex[:12]}"
    with create_index(address, new_passport(gallery.passport.spec, method="flat")) as index:
        assert not [each for each in comparable(Gallery(index, QuarterColours())) if each.approx]
    remove_from_server(address)


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ({"id": "a/1.jpg", "sha256": "f" * 64}, "a/1.jpg"),
        ({"file": "mine.jpg", "sha256": "0123456789abcdef"}, "mine.jpg~0123456789ab"),
        ({"id": "a/1.jpg", "box": [0, 0.25, 1, 0.5], "minus": ["b"]}, "a/1.jpg -b @0,0.25,1,0.5"),
        ({"queries": [{"id": "a"}, {"id": "b"}], "plus": ["c"]}, "a b +c"),
    ],
)
def test_judgements_name_queries_so_that_two_are_never_one(query, name):
    assert judged_name(query) == name


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
    page.get_by_role("region", name="Plain", exact=True).locator('[data-id="red/03.png"]').press("Enter")
    wait_for_tab(page, "Search")
    wait_for_address(page, id=["red/03.png"])
    page.wait_for_function("document.activeElement === document.querySelector('#search .kit-card')")
    choose(page, upload("mine.png", BETWEEN_2_AND_3))  # an upload is compared as well
    wait_for_first(page, "red/02.png")
    open_tab(page, "Compare")
    page.locator("#rail .rail-query", has_text="mine.png").wait_for()
    page.wait_for_function("() => document.querySelector('#compare ol [data-id]')?.dataset.id === 'red/02.png'")


def test_columns_are_judged_without_their_names(visit, serving, gallery, smaller):
    page = visit(serving(gallery, compare=[smaller]))
    open_tab(page, "Compare")
    tab = page.locator("#compare")
    tab.get_by_role("button", name="Random picture").click()  # the search tab may not have begun
    tab.get_by_role("region", name="Plain", exact=True).wait_for()
    open_tab(page, "Search")
    search_by_id(page, "red/00.png")
    wait_for_first(page, "red/01.png")
    open_tab(page, "Compare")
    tab.get_by_role("checkbox", name="Balanced").uncheck()
    tab.get_by_role("checkbox", name="Neighbours help").uncheck()
    two = "document.querySelectorAll('#compare .columns:not(.busy) > section').length === 2"
    page.wait_for_function(two)  # until then the columns are of the picture by chance
    upper = tab.get_by_role("region", name="upper")
    upper.locator('[aria-label="red/01.png, not in this index"]').wait_for()
    assert "recall 0.80 (8 of 10)" in upper.inner_text()
    shared = set(column_hits(page, "Plain")) & set(column_hits(page, "upper"))
    page.wait_for_function(f"() => document.querySelectorAll('#compare line').length === {len(shared)}")
    assert serious_in_both(page) == []

    tab.get_by_role("checkbox", name="Judge blind").check()
    tab.get_by_role("region", name="Column A").wait_for()
    shown = tab.locator(".columns").inner_text()
    assert not [word for word in ("Plain", "upper", " ms", "recall", "new", "Lost") if word in shown]
    columns = {letter: column_hits(page, f"Column {letter}") for letter in "AB"}
    best = next(letter for letter, ids in columns.items() if "red/01.png" in ids)  # Plain's
    tab.get_by_role("region", name=f"Column {best}").get_by_role("button", name="Relevant: red/02.png").click()
    pressed = tab.locator('[data-relevant="red/02.png"]').evaluate_all("(all) => all.map((each) => each.ariaPressed)")
    assert pressed == ["true", "true"]  # it is one picture in both
    tab.get_by_role("button", name=f"This is better: Column {best}").click()
    tab.get_by_text("Kept by this browser").wait_for()
    tab.get_by_text("Result of 1 comparison, with names").click()
    assert tab.locator(".judged tbody tr").all_inner_texts() == ["Plain\t1\t0\t1", "upper\t0\t0\t1"]
    assert serious_in_both(page) == []

    with page.expect_download() as download:
        tab.get_by_role("button", name="TREC qrels").click()
    judged = {each.doc_id: each.relevance for each in ir_measures.read_trec_qrels(str(download.value.path()))}
    assert judged == dict.fromkeys({*columns["A"], *columns["B"]}, 0) | {"red/02.png": 1}
    page.reload()
    page.locator("#compare [data-ready]").wait_for()
    tab.get_by_text("Result of 1 comparison, with names").wait_for()  # this browser kept it


def test_random_pictures_are_compared_and_ties_kept(visit, served):
    page = visit(f"{served}/?tab=compare")
    tab = page.locator("#compare")
    tab.get_by_role("button", name="Random picture").click()
    tab.get_by_role("region", name="Plain", exact=True).wait_for()
    wait_for_tab(page, "Compare")
    tab.get_by_role("checkbox", name="Judge blind").check()
    tab.get_by_text("Fewer than two of these columns have an answer.").wait_for()  # colours have too few directions
    tab.get_by_role("checkbox", name="Mutual neighbours").check()
    tab.get_by_role("button", name="Tie").click()
    tab.get_by_text("Result of 1 comparison, with names").click()
    assert {row.split("\t", 1)[1] for row in tab.locator(".judged tbody tr").all_inner_texts()} == {"0\t1\t1"}
    tab.get_by_role("button", name="Forget all").click()
    tab.locator(".judged").wait_for(state="hidden")
    assert tab.get_by_role("button", name="Tie").get_attribute("aria-pressed") == "false"
