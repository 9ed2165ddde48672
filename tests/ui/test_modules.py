"""The modules on a bare page, as a static site or a notebook uses them: no server, no Gradio, one script."""

from __future__ import annotations

import ir_measures
import pytest

from imgsearch_kit import ui
from imgsearch_kit.evaluation.trec import trec_id

CODE = """import {createClassTable} from "./classes.js";
import {createCrop} from "./crop.js";
import {createPicker, watchGiven} from "./given.js";
import {createGrid} from "./grid.js";
import {fromAddress, toAddress} from "./address.js";
import {countWins, isJudgement, qrelsText, shuffled} from "./judging.js";
window.told = [];
window.grid = createGrid(document.querySelector("#grid"), {
  hits: [1, 2, 3].map((rank) => ({id: `<b>${rank}</b>`, rank, score: 1 - rank / 10, name: `<b>${rank}</b>`, label: null,
    file: `${rank}.jpg`, thumbnail: ""})),
  onPick: (id) => told.push(["pick", id]), onVote: (id, sign) => told.push(["vote", id, sign])});
window.crop = createCrop(document.querySelector("#crop"), {onChange: (box) => told.push(["box", box])});
const given = document.querySelector("#given");
window.unwatch = watchGiven(given, (file) => told.push(["file", file.name]), (text) => told.push(["text", text]));
given.append(createPicker((file) => told.push(["picked", file.name])));
window.address = {fromAddress, toAddress};
window.judging = {countWins, isJudgement, qrelsText, shuffled};
window.showClasses = (rows) => {
  const figures = (value) => ({mAP: {value, low: null, high: null}}), onOpen = ({name}) => told.push(["open", name]);
  const classes = rows.map(([name, queries, value]) => ({name, queries, figures: figures(value)}));
  document.querySelector("#classes").append(createClassTable(classes, {onOpen}));
};
"""


@pytest.fixture
def page(browser):
    page = browser.new_page()
    troubles = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.set_content(
        f"<style>{ui.style()}</style><div class=kit id=grid></div><div class=kit id=crop></div>"
        "<div class=kit id=classes></div>"
        "<div id=given tabindex=0>here <i>and</i> <input id=field></div><p id=elsewhere tabindex=0>there</p>"
    )
    page.add_script_tag(type="module", content=ui.script(CODE))
    page.wait_for_function("window.address")
    yield page
    page.close()
    assert troubles == []


def test_the_grid_tells_what_is_picked_and_voted(page):
    page.locator(".kit-card").nth(1).click()
    page.locator("li").nth(2).get_by_role("button", name="Less like this").click()
    page.locator(".kit-card").nth(0).press("+")
    assert page.evaluate("told") == [["pick", "<b>2</b>"], ["vote", "<b>3</b>", -1], ["vote", "<b>1</b>", 1]]
    page.evaluate("grid.mark(['<b>1</b>'], ['<b>3</b>'])")
    pressed = page.locator(".kit-vote").evaluate_all("(all) => all.map((each) => each.ariaPressed)")
    assert pressed == ["true", "false", "false", "false", "false", "true"]
    assert page.locator("#grid b").count() == 0


def test_a_table_of_classes_is_ordered_by_its_heads(page):
    rows = [["b 10", 9, 0.5], ["b 9", 10, None], ["<b>c</b>", 100, 0.25], ["a", 9, 0.5]]
    page.evaluate("(rows) => showClasses(rows)", rows)
    table, head = page.get_by_role("table", name="Classes"), page.locator("#classes th")

    def names():
        return table.locator("td:first-child").all_inner_texts()

    def sorts():
        return head.evaluate_all("(all) => all.map((each) => each.ariaSort)")

    assert names() == ["<b>c</b>", "b 10", "a", "b 9"], "worst first, equal ones as they were, without a value last"
    assert sorts() == [None, None, "ascending"]
    head.nth(2).get_by_role("button").click()
    assert names() == ["b 10", "a", "<b>c</b>", "b 9"]
    assert sorts() == [None, None, "descending"]
    table.get_by_role("button", name="Class", exact=True).press("Enter")
    assert names() == ["<b>c</b>", "a", "b 9", "b 10"]
    assert page.evaluate("document.activeElement.textContent") == "Class", "focus stays"
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert names() == ["<b>c</b>", "b 9", "a", "b 10"], "most queries first, by number"
    assert sorts() == [None, "descending", None]

    table.get_by_role("button", name="b 9").click()
    assert page.evaluate("told") == [["open", "b 9"]]
    assert table.locator("tr[aria-current=true]").inner_text().startswith("b 9")
    assert page.locator("#classes b").count() == 0


GIVE = """([kind, place, files, text]) => {
  const data = new DataTransfer(), element = document.querySelector(place);
  for (const name of files) data.items.add(new File(["..."], name, {type: "image/png"}));
  if (text) data.setData("text/plain", text);
  const how = {bubbles: true, cancelable: true};
  if (kind === "paste") element.focus();
  const event = kind === "paste" ? new ClipboardEvent(kind, {clipboardData: data, ...how})
    : new DragEvent(kind, {dataTransfer: data, ...how});
  return !element.dispatchEvent(event);
}"""


def test_a_picture_is_given_where_it_may_be_and_nowhere_else(page):
    def give(kind, place, *files, text=""):
        """Whether somebody took what was given."""
        return page.evaluate(GIVE, [kind, place, files, text])

    over = "document.querySelector('#given').classList.contains('kit-dropping')"
    assert [give("dragenter", "#given", "a.png"), give("dragenter", "#given i", "a.png")] == [True, True]
    give("dragleave", "#given", "a.png")
    assert page.evaluate(over)
    give("dragleave", "#given i", "a.png")
    assert not page.evaluate(over)
    assert give("drop", "#given i", "a.png", "b.png")
    assert not give("drop", "#elsewhere", "c.png")
    assert not give("drop", "#given", text="words")
    assert give("paste", "#given", "d.png", text="words beside it")
    assert not give("paste", "#elsewhere", "e.png")
    give("paste", "#given", text=" words ")
    give("paste", "#field", text="typed")
    file = {"name": "f.heic", "mimeType": "image/heic", "buffer": b"..."}
    for _ in range(2):  # the same file may be picked again
        page.locator("#given input[type=file]").set_input_files(file)
    page.evaluate("unwatch()")
    assert not give("drop", "#given", "g.png")
    assert not give("paste", "#given", "h.png")
    picked = ["picked", "f.heic"]
    assert page.evaluate("told") == [["file", "a.png"], ["file", "d.png"], ["text", "words"], picked, picked]


@pytest.mark.parametrize(
    "query",
    [
        "tab=search&id=a%2Fb.jpg",
        "tab=search&id=a&id=b&k=20&classes=x&classes=y%2Cz&rank=qe%3A10%3A1&plus=c&minus=d&least=0.5&distinct=0.97",
        "tab=search&id=%24%7Bx%7D&box=0.1%2C0.2%2C0.8%2C0.9",
        "",
    ],
)
def test_an_address_says_the_same_after_it_was_read(page, query):
    usual = {"k": 10, "rank": "as indexed"}
    again = "([query, usual]) => address.toAddress(address.fromAddress(query, usual), usual, '')"
    assert page.evaluate(again, [query, usual]) == query


def judgement(query, winner, shown=(), relevant=(), columns="ab"):
    named = [{"spec": each, "name": each.upper()} for each in columns]
    return {"query": query, "winner": winner, "shown": list(shown), "relevant": list(relevant), "columns": named}


def test_wins_are_counted_of_the_comparisons_a_column_was_in(page):
    kept = [judgement("1", "a"), judgement("2", ""), judgement("3", "b", columns="bc"), judgement("4", None)]
    assert page.evaluate("(kept) => judging.countWins(kept)", kept) == [
        {"spec": "a", "name": "A", "won": 1, "tied": 1, "of": 2},
        {"spec": "b", "name": "B", "won": 1, "tied": 1, "of": 3},
        {"spec": "c", "name": "C", "won": 0, "tied": 0, "of": 1},
    ]


def test_qrels_are_read_by_other_tools_and_name_ids_as_runs_do(page, tmp_path):
    odd = "a b/100%\t\u00a0\u3000\x7f\ufeffé.jpg"
    kept = [
        judgement("q 1", "a", ["x", odd], [odd]),
        judgement("unmarked", "b", ["x"]),
        judgement("q 1", "b", ["x", "y"], ["x"]),  # older: of x the newer counts
    ]
    text = page.evaluate("(kept) => judging.qrelsText(kept)", kept)
    (tmp_path / "judged.qrels").write_text(text, "utf-8")
    read = {(each.query_id, each.doc_id): each.relevance for each in ir_measures.read_trec_qrels(text)}
    assert read == {("q%201", "x"): 0, ("q%201", "y"): 0, ("q%201", trec_id(odd)): 1}
    run = [ir_measures.ScoredDoc("q%201", trec_id(odd), 2.0), ir_measures.ScoredDoc("q%201", "x", 1.0)]
    from_file = ir_measures.read_trec_qrels(str(tmp_path / "judged.qrels"))
    assert ir_measures.calc_aggregate([ir_measures.P @ 2], from_file, run) == {ir_measures.P @ 2: 0.5}


@pytest.mark.parametrize("odd", [None, 3, "x", {}, {"query": "q"}, judgement("q", "a") | {"shown": [1]}])
def test_what_is_no_judgement_is_passed_over(page, odd):
    assert page.evaluate("(odd) => judging.isJudgement(odd)", odd) is False
    assert page.evaluate("(kept) => judging.isJudgement(kept)", judgement("q", None)) is True


def test_shuffling_keeps_every_item_and_comes_to_every_order(page):
    orders = page.evaluate("() => Array.from({length: 300}, () => judging.shuffled(['a', 'b', 'c']).join(''))")
    assert set(orders) == {"abc", "acb", "bac", "bca", "cab", "cba"}
