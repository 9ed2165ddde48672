"""The map and its explorer on a bare page in a real Chromium, as a static site uses them, over points one can count.

A hundred points of two classes lie on a lattice of ten by ten, and one lies far to the right of it.
"""

from __future__ import annotations

import csv

import pytest

from imgsearch_kit import ui
from tests.app.test_access import small_targets

HOSTILE = "<img src=x onerror=window.hacked=1>" + "long" * 30
CODE = """import {createExplorer, keptWords} from "./explorer.js";
import {arrowsTo, classMiddles, nearestSpot, placedNames, roomy} from "./plane.js";
import {shortened, soughtRows, viewOf, within} from "./plane.js";
window.plane = {arrowsTo, classMiddles, nearestSpot, placedNames, roomy, shortened, soughtRows, viewOf, within};
window.keptWords = keptWords;
window.told = [];
const HOSTILE = document.title;
const dot = document.createElement("canvas");
dot.width = dot.height = 8;
const ids = [], x = [], y = [], classes = [];
for (let row = 0; row < 100; row++) {
  ids.push(`${row < 50 ? "low" : HOSTILE}/${String(row).padStart(2, "0")}`);
  x.push((row % 10) / 9);
  y.push(Math.floor(row / 10) / 9);
  classes.push(row < 50 ? 1 : 0);
}
ids.push("=far");
x.push(5);
y.push(0.5);
classes.push(-1);
window.explorer = createExplorer(document.querySelector("#map"), {
  thumbnails: async (asked) => {
    told.push(["thumbnails", asked]);
    return Object.fromEntries(asked.map((id) => [id, dot.toDataURL()]));
  },
  near: async () => ({near: ids.slice(0, 3), cosines: [0.9, 0.8, 0.7], kept: [true, false, true]}),
  onSearch: (id) => told.push(["search", id]), onClasses: (names) => told.push(["classes", names]),
  onSelect: (chosen) => told.push(["select", chosen])});
explorer.show({ids, x, y, classes, names: [HOSTILE, "low"]});
"""


def opened(browser, **options):
    context = browser.new_context(
        **({"viewport": {"width": 1200, "height": 800}, "reduced_motion": "reduce"} | options)
    )
    page = context.new_page()
    page.set_default_timeout(20_000)
    head = f"<meta name=viewport content=width=device-width><style>{ui.style()} body {{ margin: 0 }}</style>"
    page.set_content(f"{head}<div class=kit id=map></div>")
    page.evaluate("(title) => { document.title = title; window.troubles = []; }", HOSTILE)
    page.on("pageerror", lambda error: page.evaluate("(text) => troubles.push(text)", str(error)))
    page.add_script_tag(type="module", content=ui.script(CODE))
    page.get_by_text("100 pictures in view").wait_for()
    return page


@pytest.fixture
def page(browser):
    page = opened(browser)
    yield page
    assert page.evaluate("[troubles, window.hacked ?? null]") == [[], None]
    page.context.close()


@pytest.fixture(scope="module")
def plane(browser):
    """Calls a function of plane.js."""
    page = opened(browser)
    yield lambda name, *given: page.evaluate("([name, given]) => plane[name](...given)", [name, given])
    page.context.close()


def place(page, id_):
    """Where on the screen the point of a picture is."""
    box = page.locator("canvas").bounding_box()
    x, y = page.evaluate("(id) => explorer.place(id)", id_)
    return box["x"] + x, box["y"] + y


def draw_around(page, corners):
    page.mouse.move(*corners[0])
    page.mouse.down()
    for corner in [*corners[1:], corners[0]]:
        page.mouse.move(*corner, steps=3)
    page.mouse.up()


def saved(page, save):
    """The table that a button saves."""
    with page.expect_download() as waiting:
        save.click()
    with open(waiting.value.path(), encoding="utf-8", newline="") as file:  # noqa: PTH123 (a temporary name)
        return list(csv.reader(file))


def selected(page):
    return page.evaluate("told.filter(([kind]) => kind === 'select').at(-1)?.[1]")


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("nearestSpot", ([[7, 0, 0], [8, 10, 0]], 6, 0, 14), 8),
        ("nearestSpot", ([[7, 0, 0], [8, 10, 0]], 30, 0, 14), None),
        ("within", ([[0, 0], [10, 0], [0, 10]], 2, 2), True),
        ("within", ([[0, 0], [10, 0], [0, 10]], 8, 8), False),
        ("roomy", ([[1, 0, 0], [2, 9, 0], [3, 10, 0], [4, 20, 0]], 10, 9), [[1, 0, 0], [3, 10, 0], [4, 20, 0]]),
        ("roomy", ([[1, 0, 0], [2, 50, 0], [3, 99, 0]], 10, 2), [[1, 0, 0], [2, 50, 0]]),
        ("shortened", ("a" * 30, 5), "aaaa…"),
        ("shortened", ("😀" * 5, 5), "😀" * 5),
        (
            "arrowsTo",
            ([[1, 50, 50], [2, 300, 50], [3, 400, 52], [4, 50, -9]], [100, 100]),
            [
                {"x": 88, "y": 50, "angle": 0, "rows": [2, 3]},
                {"x": 50, "y": 12, "angle": pytest.approx(-1.5708, abs=1e-3), "rows": [4]},
            ],
        ),
        (
            "classMiddles",
            (  # two crowds, of three and of two, and a picture without a class between them
                {"x": [0.01, 0.02, 0.03, 0.91, 0.92, 0.5], "y": [0.5] * 6, "classes": [1, 1, 1, 1, 1, -1]},
                2,
            ),
            [{"name": 1, "size": 5, "x": pytest.approx(0.02), "y": pytest.approx(0.5)}],
        ),
        ("viewOf", ([[0.25, 0.5]], [500, 400], 10), {"x": 0.25, "y": 0.5, "scale": 10}),
        ("soughtRows", ("LOW ", {"ids": ["low/1", "b", "slow"], "classes": [0, 1, -1], "names": ["low", "by"]}), [0]),
        ("soughtRows", ("b", {"ids": ["low/1", "b", "ab"], "classes": [0, 1, -1], "names": ["low", "by"]}), [1]),
        ("soughtRows", ("o", {"ids": ["1", "2", "so"], "classes": [0, 1, -1], "names": ["low", "by"]}), [0, 2]),
        ("soughtRows", ("  ", {"ids": ["1"], "classes": [-1], "names": []}), []),
    ],
)
def test_places_on_the_plane(plane, name, given, expected):
    assert plane(name, *given) == expected


def test_no_name_covers_another_and_none_leaves_the_map(plane):
    places = [(50, 50), (80, 55), (50, 70), (2, 10), (-5, 90)]
    names = [{"name": i, "text": str(i), "x": x, "y": y, "width": 60} for i, (x, y) in enumerate(places)]
    placed = plane("placedNames", names, 16, [200, 100], 9)
    assert [(each["name"], each["x"]) for each in placed] == [(0, 50), (2, 50), (3, 32)]


def test_what_is_shown_whole_fits(plane):
    view = plane("viewOf", [[0, 0], [1, 0.5]], [300, 900], 40)
    x, y = (view["x"], view["y"])
    side = (300 - 48) * view["scale"]
    assert (x, y) == (0.5, 0.25)
    assert 150 < side < 300 - 48


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        ([], "There is no other picture."),
        ([True], "Its only neighbour is the nearest on the map too."),
        (
            [True, False, False],
            "1: so many are among its 3 nearest on the map. Unbroken lines lead to these, broken ones",
        ),
        ([False, False], "0: so many are among its 2 nearest on the map. Broken lines lead to the others."),
        ([True, True], "2: so many are among its 2 nearest on the map. Unbroken lines lead to these."),
    ],
)
def test_how_many_neighbours_the_map_keeps_is_said_in_words(page, kept, words):
    given = {"near": [str(i) for i in range(len(kept))], "kept": kept}
    assert words in page.evaluate("(pin) => keptWords(pin)", given)


def test_a_click_chooses_the_nearest_point_within_reach(page):
    x, y = place(page, "low/23")
    page.mouse.click(x + 9, y - 5)
    chosen = page.get_by_role("region", name="Chosen picture")
    chosen.get_by_role("heading", name="low/23").wait_for()
    chosen.get_by_text("the map keeps 2").wait_for()
    chosen.get_by_text("Its 3 nearest by cosine").click()
    assert chosen.locator("li").evaluate_all("(all) => all.map((each) => each.className)") == ["kept", "lost", "kept"]
    chosen.get_by_role("button", name="Search with this").click()
    assert page.evaluate("told.at(-1)") == ["search", "low/23"]
    page.mouse.click(*[edge + 4 for edge in place(page, "low/09")])  # the reach ends between the points
    page.get_by_role("heading", name="low/09").wait_for()
    box = page.locator("canvas").bounding_box()
    page.mouse.click(box["x"] + 20, box["y"] + 20)
    chosen.wait_for(state="hidden")


def test_an_arrow_at_the_border_leads_to_the_outlier(page):
    box = page.locator("canvas").bounding_box()
    assert place(page, "=far")[0] > box["x"] + box["width"]
    page.mouse.click(box["x"] + box["width"] - 12, box["y"] + box["height"] / 2)
    page.get_by_text("1 picture in view").wait_for()
    assert place(page, "=far") == pytest.approx((box["x"] + box["width"] / 2, box["y"] + box["height"] / 2))


def test_an_arrow_leads_to_a_neighbour_out_of_sight(page):
    page.evaluate("explorer.choose('low/00')")
    page.get_by_text("the map keeps").wait_for()
    for _ in range(9):
        page.get_by_role("button", name="Nearer").click()
    box = page.locator("canvas").bounding_box()
    left, bottom = place(page, "low/00")
    assert left < box["x"]
    assert bottom > box["y"] + box["height"]
    page.mouse.click(box["x"] + 12, box["y"] + box["height"] - 12)
    page.get_by_text("3 pictures in view").wait_for()  # low/00 to low/02 are the neighbours
    assert box["x"] < place(page, "low/00")[0] < box["x"] + box["width"]


def test_a_lasso_selects_filters_and_saves(page):
    page.get_by_role("button", name="Lasso").click()
    (left, bottom), (right, top) = place(page, "low/00"), place(page, "low/22")
    draw_around(page, [(left - 9, top - 9), (right + 9, top - 9), (right + 9, bottom + 9), (left - 9, bottom + 9)])
    names = [f"low/{row}{column}" for row in range(3) for column in range(3)]
    selection = page.get_by_role("region", name="Selection")
    selection.get_by_role("heading", name="9 pictures selected").wait_for()
    assert selected(page) == names
    assert page.get_by_role("button", name="Lasso").get_attribute("aria-pressed") == "false"
    table = saved(page, selection.get_by_role("button", name="Download CSV"))
    assert table[0] == ["id", "label", "x", "y"]
    assert [row[:2] for row in table[1:]] == [[name, "low"] for name in names]
    assert selection.get_by_text("this class has 50 pictures, 41 of them not selected").is_visible()
    selection.get_by_role("button", name="Search in their class").click()
    assert page.evaluate("told.at(-1)") == ["classes", ["low"]]
    selection.get_by_role("button", name="Show only these").click()
    page.get_by_text("Only 9 pictures of 101 are shown.").wait_for()
    page.get_by_role("button", name="Select view").click()
    assert selected(page) == names  # the others are not there
    selection.get_by_role("button", name="Clear").click()
    page.get_by_text("9 pictures in view").wait_for()
    page.get_by_role("button", name="Show all pictures").click()
    page.get_by_role("button", name="Whole map").click()
    page.get_by_text("100 pictures in view").wait_for()


def test_classes_and_ids_are_found_and_the_others_fade(page):
    field = page.get_by_label("Find a class or an id on the map")
    field.fill("LOW")
    field.press("Enter")
    page.get_by_text("50 pictures of “LOW”; the others are faded.").wait_for()
    page.get_by_role("button", name="Whole map").click()
    page.get_by_text("50 pictures in view").wait_for()
    x, y = place(page, "low/49")
    page.mouse.click(x, y - 6)
    page.get_by_role("heading", name="low/49").wait_for()
    field.fill("low/07")
    field.press("Enter")
    page.get_by_role("heading", name="low/07").wait_for()
    field.fill("zebra")
    field.press("Enter")
    page.get_by_text("No class and no id on this map contains “zebra”.").wait_for()
    page.get_by_text("2 classes").click()
    classes = page.locator(".kit-map-classes button")
    assert classes.all_inner_texts() == [f"{HOSTILE}\n50", "low\n50"]
    classes.nth(0).click()
    page.get_by_text("onerror=window.hacked=1>longlong").first.wait_for()
    assert page.locator(".kit-map-list li").first.get_attribute("title") is None
    assert page.locator("#map img[src=x]").count() == 0


def press(page, keys):
    """Presses keys on the map so fast that the view does not come to rest between them, however slow the machine."""
    pressed = "(map, keys) => keys.forEach((key) => map.dispatchEvent(new KeyboardEvent('keydown', {key})))"
    page.locator("canvas").evaluate(pressed, list(keys))


def test_thumbnails_are_asked_for_once_and_in_batches_when_the_view_is_at_rest(page):
    press(page, "+++")
    page.get_by_text("100 pictures in view").wait_for(state="detached")
    before = page.evaluate("told.length")
    press(page, ["ArrowRight"] * 8)
    page.wait_for_function("(before) => told.length > before", arg=before)
    press(page, "0")
    page.get_by_text("100 pictures in view").wait_for()
    asked = page.evaluate("told.filter(([kind]) => kind === 'thumbnails').flatMap(([, ids]) => ids)")
    assert len(asked) == len(set(asked))
    assert 0 < page.evaluate("told.filter(([kind]) => kind === 'thumbnails').length") <= 6


def test_a_map_without_classes_has_thumbnails_from_the_start(page):
    on_map = "told.some(([kind, ids]) => kind === 'thumbnails' && ids.length > 12)"  # more than the list beside it has
    assert not page.evaluate(on_map)  # of 100 pictures with classes
    page.evaluate("""() => {
      const rows = [...Array(100).keys()];
      explorer.show({ids: rows.map((row) => `IMG_${row}.JPG`), x: rows.map((row) => (row % 10) / 9),
        y: rows.map((row) => Math.floor(row / 10) / 9), classes: rows.map(() => -1), names: []});
    }""")
    page.wait_for_function(on_map)


def test_two_fingers_zoom_and_one_moves_the_map(browser):
    page = opened(browser, viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True)
    devtools = page.context.new_cdp_session(page)

    def touch(kind, *places):
        points = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(places)]
        devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def width():
        return place(page, "low/09")[0] - place(page, "low/00")[0]

    before, (x, y) = width(), place(page, "low/44")
    touch("touchStart", (x - 30, y), (x + 30, y))
    for far in (40, 50, 60):
        touch("touchMove", (x - far, y), (x + far, y))
    touch("touchEnd")
    assert width() == pytest.approx(2 * before, rel=0.02)
    assert place(page, "low/44") == pytest.approx((x, y), abs=3)  # what is between the fingers stays there
    touch("touchStart", (x, y))
    for moved in (20, 40, 60):
        touch("touchMove", (x + moved, y))
    touch("touchEnd")
    assert place(page, "low/44") == pytest.approx((x + 60, y), abs=3)
    touch("touchStart", (x + 72, y))
    touch("touchEnd")
    page.get_by_role("heading", name="low/44").wait_for()
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_the_tools_are_behind_one_button(browser, scheme):
    page = opened(browser, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, color_scheme=scheme)
    opener, field = page.get_by_role("button", name="Tools"), page.get_by_label("Find a class or an id on the map")
    above = page.locator("canvas").bounding_box()["y"]
    assert not field.is_visible()
    assert page.locator(".kit-map-tools button:visible").all_inner_texts() == ["Tools"]
    assert above < 70
    opener.tap()
    assert opener.get_attribute("aria-expanded") == "true"
    assert small_targets(page, "#map") == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_text("2 classes").tap()
    assert small_targets(page, ".kit-map-classes") == []
    field.fill("low/07")
    field.press("Enter")
    page.get_by_role("heading", name="low/07").wait_for()
    page.get_by_role("button", name="Select view").tap()
    page.get_by_role("button", name="Show only these").tap()
    opener.tap()
    assert not field.is_visible()
    page.get_by_role("button", name="Show all pictures").tap()  # the way back is never hidden
    assert page.locator("canvas").bounding_box()["y"] == above
    page.context.close()


def test_a_finger_need_not_meet_an_arrow_exactly(browser):
    page = opened(browser, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    box = page.locator("canvas").bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] - 12 - 20, box["y"] + box["height"] / 2)
    page.get_by_text("1 picture in view").wait_for()
    page.context.close()
