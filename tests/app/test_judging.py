"""What-if, findings and the confusion matrix of the evaluate tab: what they say, and how a person uses them."""

from __future__ import annotations

import csv
import itertools

import pytest
from PIL import Image

from imgsearch_kit.app.tabs.evaluate import EvaluateTab
from imgsearch_kit.app.tabs.findings import Findings
from tests.app.conftest import make_gallery
from tests.app.test_access import PHONE, serious_in_both, small_targets
from tests.app.test_address import wait_for_address
from tests.app.test_page import wait_for_first
from tests.app.test_tabs import open_tab, wait_for_tab
from tests.small_extractor import paint

RANK = {"rank": "as indexed"}
ODD, RED = "greens/=odd, ${1 + 1}.png", "reds <b>${window.x=1}<%b>"


def paint_quarters(path, colours):
    """Writes a picture whose quarters have four colours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.new("RGB", (32, 32))
    for i, colour in enumerate(colours):
        picture.paste(colour, (16 * (i % 2), 16 * (i // 2), 16 * (i % 2) + 16, 16 * (i // 2) + 16))
    picture.save(path)


@pytest.fixture
def doubtful(tmp_path):
    """Twelve reds and eight greens, none nearly equal, with a plain red among the greens; and two equal blues.

    The reds are plain but for one quarter each, so they are the nearest of the plain one, whose label is suspected.
    """
    extras = [(0, g, b) for g, b in ((110, 0), (0, 110), (110, 110))]
    for i, (extra, quarter) in enumerate(itertools.product(extras, range(4))):
        reds = [(200, 0, 0)] * 4
        reds[quarter] = (200, *extra[1:])
        paint_quarters(tmp_path / f"{RED}/{i:02}.png", reds)
        greens = [(0, 200, 0)] * 4
        greens[quarter] = (extra[1], 200, extra[2])
        if i < 8:
            paint_quarters(tmp_path / f"greens/{i}.png", greens)
    paint(tmp_path / ODD, (200, 0, 0))
    paint(tmp_path / "blues/0.png", (0, 0, 200))
    paint(tmp_path / "blues/1.png", (0, 0, 200))
    return make_gallery(tmp_path)


def last(answers):
    return list(answers)[-1]


def test_what_if_has_the_figures_of_the_gallery_at_once_and_then_their_bounds(doubtful):
    tab = EvaluateTab(doubtful)
    *_, first, bounded = tab.suppose(RANK | {"merge": [["greens", RED]], "serial": 3})
    expected = doubtful.what_if(progress=False).evaluate(merge=[["greens", RED]])
    for name in ("P@4", "mAP", "P@10"):
        bounds = expected.to_json()["micro"][name]
        assert {key: first["figures"][name][key] for key in bounds} == bounds | {"low": None, "high": None}
        assert {key: bounded["figures"][name][key] for key in bounds} == pytest.approx(bounds)
    assert (first["bounded"], bounded["bounded"], bounded["serial"]) == (False, True, 3)


def test_what_if_leaves_out_classes_copies_and_hubs(doubtful):
    tab, judged = EvaluateTab(doubtful), doubtful.what_if(progress=False)
    assert last(tab.suppose(RANK | {"leave": ["blues"]}))["title"] == judged.evaluate(exclude_labels=["blues"]).title()
    same = last(tab.suppose(RANK | {"duplicates": "same"}))["figures"]["mAP"]["value"]
    expected = judged.evaluate(group_duplicates=True)
    assert same == pytest.approx(expected.scores.values["mAP"].mean())
    assert "Look for findings first" in last(tab.suppose(RANK | {"hubs": True}))["error"]
    last(tab.examine({}))
    hubs = [id_ for id_, _ in doubtful.health(progress=False).hubs]
    assert last(tab.suppose(RANK | {"hubs": True}))["title"] == judged.evaluate(without=hubs).title()


def test_the_rankings_are_kept_until_the_index_changes(doubtful, monkeypatch):
    tab, made = EvaluateTab(doubtful), []
    what_if = doubtful.what_if
    monkeypatch.setattr(doubtful, "what_if", lambda **options: made.append(options["rank"]) or what_if(**options))
    last(tab.evaluate(RANK))
    last(tab.suppose(RANK | {"leave": ["blues"]}))
    assert made == [""]
    doubtful.label({"blues/0.png": "greens"})
    last(tab.suppose(RANK | {"leave": ["greens"]}))
    assert made == ["", ""]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"merge": "ab"}, "must be lists of names"),
        ({"merge": ["ab"]}, "must be lists of names"),
        ({"merge": [[1, 2]]}, "must be a list of strings"),
        ({"merge": [["greens"]]}, "name two classes"),
        ({"leave": [7]}, "must be a list of strings"),
        ({"leave": ["no such"]}, "No picture has the label 'no such'"),
        ({"leave": ["greens", "blues", RED]}, "No picture is left"),
    ],
)
def test_forged_changes_are_refused_in_words(doubtful, given, words):
    assert words in last(EvaluateTab(doubtful).suppose(RANK | given))["error"]


@pytest.mark.parametrize(
    "given", [None, [], {"finding": 7}, {"finding": "elsewhere"}, {"finding": "hubs", "start": "x"}]
)
def test_forged_questions_for_findings_are_answered_in_words(doubtful, given):
    assert Findings(doubtful).shown(given)["error"]


def test_findings_are_kept_until_the_index_changes_and_shown_as_pictures(doubtful):
    tab = EvaluateTab(doubtful)
    assert tab.start({})["findings"] is None
    *progress, made = tab.examine({})
    assert progress[-1]["done"] == 1
    assert EvaluateTab(doubtful).start({})["findings"] == made["findings"]
    found = doubtful.health(progress=False)
    assert made["findings"]["counts"]["duplicates"] == len(found.duplicates) == 1
    assert made["findings"]["counts"]["suspects"] == len(found.suspects) == 1
    [copies] = tab.findings.shown({"finding": "duplicates"})["items"]
    assert [card["id"] for card in copies["cards"]] == ["blues/0.png", "blues/1.png"]
    assert copies["words"] == "2 pictures"
    [suspect] = tab.findings.shown({"finding": "suspects"})["items"]
    assert suspect["accept"] == {"id": ODD, "label": RED, "name": RED}
    assert (suspect["cards"][0]["label"], suspect["words"]) == ("greens", f"100% of its 10 neighbours are {RED}")
    orphans = tab.findings.shown({"finding": "orphans", "start": 1})
    assert [item["cards"][0]["id"] for item in orphans["items"]] == found.orphans[1:13]
    doubtful.label({"blues/0.png": "greens"})
    assert tab.start({})["findings"] is None
    assert "since the index changed" in tab.findings.shown({"finding": "hubs"})["error"]


def wait_for_figures(page, evaluation):
    """Waits until what-if shows the means of an evaluation."""
    for place, name in enumerate(("P@4", "mAP", "P@10")):
        value = page.locator(".supposed strong").nth(place)
        value.filter(has_text=f"{evaluation.scores.values[name].mean():.4f}").wait_for()


def test_a_walk_through_what_if_findings_labels_and_the_matrix(visit, serving, doubtful, tmp_path):
    page = visit(serving(doubtful) + "/?tab=evaluate")
    judged = doubtful.what_if(progress=False)
    page.get_by_role("button", name="Evaluate", exact=True).click()
    what_if = page.get_by_role("region", name="What if")
    what_if.get_by_label("Copies").select_option("same")
    wait_for_figures(page, judged.evaluate(group_duplicates=True))
    what_if.get_by_label("A class", exact=True).fill("greens")
    what_if.get_by_label("Another class").fill("no such")
    what_if.get_by_role("button", name="Merge").click()
    what_if.get_by_text("There is no class no such.").wait_for()
    what_if.get_by_label("Another class").fill(RED)
    what_if.get_by_label("Another class").press("Enter")
    merged = judged.evaluate(merge=[["greens", RED]], group_duplicates=True)
    wait_for_figures(page, merged)
    low, high = merged.intervals.micro[merged.measures.index("P@4"), 1:]
    what_if.get_by_text(f"95 %: {low:.4f} to {high:.4f}").wait_for()
    what_if.get_by_text(f"instead of {judged.plain.scores.values['P@4'].mean():.4f}").wait_for()
    what_if.get_by_role("button", name="Take back: greens").click()
    what_if.get_by_label("A class to leave out").fill("blues")
    what_if.get_by_role("button", name="Leave out").click()
    wait_for_figures(page, judged.evaluate(exclude_labels=["blues"], group_duplicates=True))
    what_if.get_by_role("button", name="As it is").click()
    page.locator(".supposed .figure").first.wait_for(state="detached")

    page.get_by_role("button", name="Look for findings").click()
    findings = page.get_by_role("group", name="Findings")
    findings.get_by_role("button", name="1 group of equal files").click()
    page.locator('.kit-findings [data-id="blues/1.png"]').wait_for()
    findings.get_by_role("button", name="1 suspected label").click()
    page.get_by_role("button", name=f"Accept: {RED}").click()
    page.get_by_role("button", name=f"Undo: {RED}").click()
    page.get_by_role("button", name="Accept all that are shown").click()
    page.get_by_text("1 label accepted").wait_for()
    page.reload()  # this browser keeps it
    page.get_by_text("1 label accepted").wait_for()
    with page.expect_download() as saved:
        page.get_by_role("button", name="Download labels.csv").click()
    table = tmp_path / "labels.csv"
    saved.value.save_as(table)
    with table.open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [["path", "label"], [ODD, RED]]
    assert page.evaluate("window.x") is None

    matrix = page.get_by_role("grid", name="Confusion matrix")
    matrix.get_by_role("gridcell", name="blues shows blues").focus()
    page.keyboard.press("Home")
    page.keyboard.press("End")
    cell = page.evaluate("document.activeElement.ariaLabel")
    page.keyboard.press("Enter")
    page.get_by_role("region", name="Queries of a cell").locator("h3").wait_for()
    assert cell.split(" shows ")[0] in page.locator("#cell h3").inner_text()
    matrix.get_by_role("gridcell", name=f"greens shows {RED}").click()
    page.locator(f'#cell .query[data-id="{ODD}"]').wait_for()
    page.get_by_role("button", name="What if they were one class?").click()
    wait_for_figures(page, judged.evaluate(merge=[["greens", RED]]))
    page.locator(f'#cell .query[data-id="{ODD}"]').click()
    wait_for_tab(page, "Search")
    wait_for_address(page, id=[ODD])
    wait_for_first(page, f"{RED}/00.png")

    report = doubtful.label(table)  # and the kit takes it
    assert (report.relabelled, report.failed) == (1, [])
    open_tab(page, "Evaluate")
    page.get_by_role("button", name="Evaluate", exact=True).wait_for()  # the index has changed


@pytest.mark.parametrize("device", [{}, PHONE], ids=["desk", "phone"])
def test_axe_finds_nothing_serious_with_all_of_the_tab_open(visit, serving, doubtful, device):
    tab = EvaluateTab(doubtful)
    last(tab.evaluate(RANK))
    last(tab.examine({}))
    page = visit(serving(doubtful) + "/?tab=evaluate", **device)
    page.locator(".bars button").first.click()
    page.locator("#opened .rows li").first.wait_for()
    page.get_by_label("Copies").select_option("same")
    page.locator(".supposed .figure").first.wait_for()
    page.locator("[data-finding=suspects]").click()
    page.locator("[data-accept]").click()
    page.locator(".kit-matrix td.own").first.click()
    page.locator("#cell h3").wait_for()
    assert serious_in_both(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert not device or small_targets(page, "#evaluate") == []
