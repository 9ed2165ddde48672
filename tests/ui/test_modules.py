"""The modules on a bare page, as a static site or a notebook uses them: no server, no Gradio, one script."""

from __future__ import annotations

import pytest

from imgsearch_kit import ui

CODE = """import {createCrop} from "./crop.js";
import {createGrid} from "./grid.js";
import {fromAddress, toAddress} from "./address.js";
window.told = [];
window.grid = createGrid(document.querySelector("#grid"), {
  hits: [1, 2, 3].map((rank) => ({id: `<b>${rank}</b>`, rank, score: 1 - rank / 10, name: `<b>${rank}</b>`, label: null,
    file: `${rank}.jpg`, thumbnail: ""})),
  onPick: (id) => told.push(["pick", id]), onVote: (id, sign) => told.push(["vote", id, sign])});
window.crop = createCrop(document.querySelector("#crop"), {onChange: (box) => told.push(["box", box])});
window.address = {fromAddress, toAddress};
"""


@pytest.fixture
def page(browser):
    page = browser.new_page()
    troubles = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.set_content(f"<style>{ui.style()}</style><div class=kit id=grid></div><div class=kit id=crop></div>")
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
