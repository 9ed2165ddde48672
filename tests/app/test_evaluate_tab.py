"""The evaluate tab: what it says of an evaluation, and how a person uses it in a real Chromium."""

from __future__ import annotations

import json
import threading

import pytest

from imgsearch_kit.app.tabs.evaluate import EvaluateTab
from imgsearch_kit.app.tabs.events import working
from imgsearch_kit.app.tabs.judged import evaluation_document, examples_of, overview, worst_of
from imgsearch_kit.errors import BadQuery
from tests.app.conftest import make_gallery
from tests.app.test_address import wait_for_address
from tests.app.test_hostile_names import HOSTILE
from tests.app.test_page import wait_for_first
from tests.app.test_tabs import open_tab, wait_for_tab
from tests.small_extractor import paint


@pytest.fixture
def mixed(tmp_path):
    """Four reds, three greens of which one is painted red, in two classes; the lonely one has no other of its class."""
    for i in range(4):
        paint(tmp_path / f"reds/{i}.png", (200, 10 * i, 0))
    paint(tmp_path / "greens/odd.png", (200, 15, 0))
    paint(tmp_path / "greens/1.png", (0, 200, 10))
    paint(tmp_path / "greens/2.png", (0, 200, 20))
    paint(tmp_path / "lonely/only.png", (0, 0, 200))
    return make_gallery(tmp_path)


def test_a_document_has_the_means_the_classes_and_what_went_wrong(mixed):
    found = mixed.evaluate(progress=False)
    document = evaluation_document(found)
    assert document == json.loads(json.dumps(document))
    assert document["figures"]["P@4"]["value"] == pytest.approx(found.values[:, found.measures.index("P@4")].mean())
    assert {name: each["queries"] for name, each in document["classes"].items()} == {"greens": 3, "reds": 4}
    labels = document["labels"]
    counts = {(labels[row], labels[found]): count for row, found, count in document["cells"]}
    assert counts["greens", "reds"] == 4 + 4  # all four of the odd one, two of each other green, before the lonely blue
    assert sum(counts.values()) == 4 * 7


def test_the_queries_behind_a_class_and_behind_a_cell(mixed):
    document = evaluation_document(mixed.evaluate(progress=False))
    worst = worst_of(document, "greens")
    assert worst[0]["id"] == "greens/odd.png"
    assert [hit["label"] for hit in worst[0]["hits"][:4]] == ["reds"] * 4
    assert worst_of(document, "no such class") == []
    cell = examples_of(document, "greens", "reds")
    assert cell[0] == {"id": "greens/odd.png", "value": None, "hits": [worst[0]["hits"][0]]}
    assert {query["id"] for query in cell} == {"greens/odd.png", "greens/1.png", "greens/2.png"}
    own = examples_of(document, "reds", "reds")
    assert len(own) == 4
    assert {hit["label"] for query in own for hit in query["hits"]} == {"reds"}
    assert examples_of(document, "reds", "no such class") == []


def test_an_overview_leaves_the_queries_to_be_asked_for(mixed):
    shown = overview(evaluation_document(mixed.evaluate(progress=False)))
    assert "odd.png" not in json.dumps(shown)
    assert [(each["exact"], each["queries"]) for each in shown["classes"]] == [("greens", 3), ("reds", 4)]


def test_an_evaluation_is_kept_until_the_index_changes(mixed):
    tab = EvaluateTab(mixed)
    assert tab.start({})["result"] is None
    *progress, last = tab.evaluate({"rank": "as indexed"})
    assert [each["done"] for each in progress][-1] == 1
    assert EvaluateTab(mixed).start({})["result"] == last["result"]
    assert not EvaluateTab(mixed, read_only=True).start({})["again"]
    mixed.label({"reds/0.png": "greens"})
    assert EvaluateTab(mixed, read_only=True).start({})["again"]
    assert "has changed" in tab.opened({"class": "reds", "rank": "as indexed"})["error"]


def test_visitors_of_a_read_only_page_evaluate_only_the_rankings_of_the_list(mixed):
    tab, own = EvaluateTab(mixed, read_only=True), EvaluateTab(mixed)
    result = [*tab.evaluate({"rank": "as indexed"})][-1]["result"]
    for spec in ("qe:2:1", "qe:2:2", "qe:2:3", "qe:2:4", "qe:2:5"):
        assert "rankings of its list only" in [*tab.evaluate({"rank": spec})][-1]["error"]
        assert "rankings of its list only" in [*tab.suppose({"rank": spec})][-1]["error"]
    assert tab.start({"rank": "as indexed"})["result"] == result
    for each in tab.start({})["rankings"]:
        assert [*tab.evaluate({"rank": each["spec"]})][-1]["result"]
    assert [*own.evaluate({"rank": "qe:2:1"})][-1]["result"]


@pytest.mark.parametrize("given", [None, [], {"rank": 7}, {"rank": {"x": 1}}, "text"])
def test_forged_events_are_answered_in_words(mixed, given):
    tab = EvaluateTab(mixed)
    assert tab.start(given)["kind"] == "start"
    assert tab.opened(given)["error"]


def test_work_in_the_background_tells_its_progress_and_ends_when_nobody_waits():
    reached = []

    def work(tell):
        for i in range(1, 1_000_000):
            reached.append(i)
            tell(i / 1_000_000)
        return "all"

    steps = working(work)
    assert next(steps) == 1 / 1_000_000
    steps.close()
    with pytest.raises(StopIteration):
        next(steps)
    assert len(reached) < 1_000_000 - 1

    def fails(tell):
        tell(0.5)
        raise BadQuery("No such ranking.")

    with pytest.raises(BadQuery, match="No such ranking"):
        list(working(fails))


def test_a_ranking_that_cannot_be_is_a_sentence(mixed):
    *_, last = EvaluateTab(mixed).evaluate({"rank": "pca:99999:1"})
    assert "PCA to 99999 dimensions" in last["error"]


def test_evaluating_opening_a_class_and_searching_for_its_worst_query(visit, serving, mixed):
    page = visit(serving(mixed))
    open_tab(page, "Evaluate")
    page.get_by_role("button", name="Evaluate", exact=True).click()
    page.locator(".figure").first.wait_for()
    assert page.locator(".figure h2").all_inner_texts() == ["P@4", "mAP", "P@10"]
    means = evaluation_document(mixed.evaluate(progress=False))["figures"]
    for name, box in zip(means, page.locator(".figure").all_inner_texts(), strict=True):
        assert f"{means[name]['value']:.3f}" in box
        assert f"by chance {means[name]['chance']:.3f}" in box
    assert page.locator(".bars .name").all_inner_texts() == ["greens", "reds"]
    page.get_by_role("button", name="Best first").click()
    assert page.locator(".bars .name").all_inner_texts() == ["reds", "greens"]
    page.get_by_role("button", name="Table").press("Enter")
    assert page.locator("#bars tbody td:first-child").all_inner_texts() == ["greens", "reds"]
    page.locator("#bars th").get_by_role("button", name="mAP").click(click_count=2)
    assert page.locator("#bars tbody td:first-child").all_inner_texts() == ["reds", "greens"]
    page.locator("#bars").get_by_role("button", name="greens").click()
    worst = page.locator(".rows li").first
    worst.locator("button.query").wait_for()
    assert worst.locator(".wrong").count() > 0
    page.get_by_role("button", name="greens shows reds").click()
    page.get_by_role("heading", name="greens that shows reds").wait_for()
    page.reload()
    page.locator(".figure").first.wait_for()  # kept
    page.locator(".bars button", has_text="greens").click()
    page.locator('.rows button.query[data-id="greens/odd.png"]').click()
    wait_for_tab(page, "Search")
    wait_for_address(page, id=["greens/odd.png"])
    wait_for_first(page, "reds/2.png")  # by the tangent a little nearer than number 1
    page.go_back()
    wait_for_tab(page, "Evaluate")


def test_an_evaluation_can_be_cancelled_and_begun_again(visit, serving, mixed, monkeypatch):
    go_on = threading.Event()
    what_if = mixed.what_if

    def slow(*, progress, **options):
        progress(0.25)
        go_on.wait(20)
        return what_if(progress=progress, **options)

    monkeypatch.setattr(mixed, "what_if", slow)
    page = visit(serving(mixed) + "/?tab=evaluate")
    page.get_by_role("button", name="Evaluate", exact=True).click()
    page.locator("#evaluate").get_by_text("25 % done").wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.locator("#evaluate").get_by_text("Cancelled.").wait_for()
    go_on.set()
    assert page.locator(".figure").count() == 0
    assert EvaluateTab(mixed).start({})["result"] is None
    page.get_by_role("button", name="Evaluate", exact=True).click()
    page.locator(".figure").first.wait_for()


def test_without_classes_a_sentence_says_how_to_give_them(visit, serving, tmp_path):
    paint(tmp_path / "one.png", (200, 0, 0))
    paint(tmp_path / "two.png", (0, 200, 0))
    page = visit(serving(make_gallery(tmp_path)) + "/?tab=evaluate")
    page.locator("#evaluate").get_by_text("These pictures have no classes").wait_for()
    assert page.locator("#evaluate button:visible").count() == 0


def test_hostile_labels_are_text_in_the_evaluation(visit, serving, tmp_path):
    for i in range(2 * len(HOSTILE)):
        paint(tmp_path / f"{i:02}.png", (200, 10 * i, 0))
    gallery = make_gallery(tmp_path)
    gallery.label({f"{i:02}.png": HOSTILE[i % len(HOSTILE)] for i in range(2 * len(HOSTILE))})
    page = visit(serving(gallery) + "/?tab=evaluate")
    page.get_by_role("button", name="Evaluate", exact=True).click()
    page.locator(".bars .name").first.wait_for()
    assert set(page.locator(".bars .name").all_inner_texts()) == set(HOSTILE)
    page.locator(".bars button").first.click()
    page.locator(".rows button.query").first.wait_for()
    assert page.evaluate("window.x") is None
    assert page.locator("#evaluate script, #evaluate img[src=x]").count() == 0
