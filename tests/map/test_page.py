"""The map of painted pictures in a real Chromium, opened from a file: hover, hide, search, lasso, download, lines."""

import csv
import json
import re

import numpy as np
import pytest

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.index import create_index, new_passport
from imgsearch_kit.indexing.folder import index_folder
from imgsearch_kit.map import over_index as mapping
from imgsearch_kit.map.over_index import projection, write_map
from imgsearch_kit.map.page import map_page
from tests.small_extractor import QuarterColours, paint

HOSTILE = "<img src=x onerror=alert(1)>"
CLOSING = 'x</script><script>alert(2)</script>"0", 0.png'  # two folders and a file


def indexed(folder):
    index = create_index("memory:", new_passport(QuarterColours().spec))
    index_folder(folder, index, QuarterColours(), progress=False)
    return index


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Eight reds, eight greens, two pictures whose names are markup; one of the reds goes missing later."""
    folder = tmp_path_factory.mktemp("painted")
    for i in range(8):
        # Colours of no other test: thumbnails are kept by content, and the one that goes missing must not be kept.
        paint(folder / f"red/{i}.png", (203, 10 * i, 0))
        paint(folder / f"green/{i}.png", (0, 203, 10 * i))
    paint(folder / HOSTILE / "0.png", (30, 40, 200))
    paint(folder / CLOSING, (200, 40, 200))
    return folder


@pytest.fixture(scope="module")
def written(folder, tmp_path_factory):
    """The report of the map, with red/7.png gone."""
    index = indexed(folder)
    (folder / "red/7.png").unlink()
    return write_map(index, tmp_path_factory.mktemp("maps") / "my map.html", progress=False)


@pytest.fixture
def opened(written, browser):
    """Opens the map from its file; afterwards nothing may have gone wrong, popped up or been asked from elsewhere."""
    troubles = []
    context = browser.new_context(viewport={"width": 1200, "height": 800}, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(20_000)
    page.on("pageerror", lambda error: troubles.append(f"page: {error}"))
    page.on("console", lambda m: troubles.append(f"console: {m.text}") if m.type in ("error", "warning") else None)
    page.on("dialog", lambda dialog: (troubles.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda r: troubles.append(r.url) if not r.url.startswith(("data:", "blob:")) else None)
    page.goto(written.path.as_uri())
    page.locator("html[data-ready=true]").wait_for()
    yield page
    context.close()
    assert troubles == [written.path.as_uri()]


def place(page, name):
    """Where on the screen the dot of a picture is, in pixels."""
    return page.evaluate(
        """(name) => {
            const source = Bokeh.documents[0].get_model_by_name("pictures")
            const plot = Object.values(Bokeh.index.roots ?? Bokeh.index)[0]
            const row = source.data.id.indexOf(name)
            const box = plot.canvas_view.el.getBoundingClientRect()
            const {x_scale, y_scale} = plot.frame
            return [box.x + x_scale.compute(source.data.x[row]), box.y + y_scale.compute(source.data.y[row])]
        }""",
        name,
    )


def shown(page):
    """The ids that are not hidden."""
    return page.evaluate(
        """() => {
            const visible = Bokeh.documents[0].get_model_by_name("visible").booleans
            return Bokeh.documents[0].get_model_by_name("pictures").data.id.filter((_, row) => visible[row])
        }"""
    )


def texts(page):
    """The picture table, a list of strings per row."""
    return [row.locator("td").all_inner_texts() for row in page.locator("#rows tr").all()]


def download(page):
    with page.expect_download() as waiting:
        page.click("#download")
    with open(waiting.value.path(), encoding="utf-8", newline="") as file:  # noqa: PTH123 (a temporary name)
        return list(csv.reader(file))


def test_hovering_shows_one_thumbnail_with_its_name(opened):
    opened.mouse.move(*place(opened, "green/3.png"))
    opened.get_by_text("green/3.png").wait_for()
    image = opened.locator("img[src^='data:image/webp']:visible")
    assert image.count() == 1
    assert image.evaluate("image => image.complete && image.naturalWidth") > 0


def test_the_legend_hides_a_class_and_shows_it_again(opened):
    assert len(shown(opened)) == 18
    opened.get_by_role("checkbox", name="red").uncheck()
    assert [name for name in shown(opened) if name.startswith("red/")] == []
    assert len(shown(opened)) == 10
    opened.get_by_role("checkbox", name="red").check()
    assert len(shown(opened)) == 18
    opened.click("#none")
    assert shown(opened) == []
    opened.click("#all")
    assert len(shown(opened)) == 18


def test_the_legend_has_the_colours_and_shapes_of_the_map(opened):
    drawn = opened.evaluate(
        "() => { const { label, colour, marker } = Bokeh.documents[0].get_model_by_name('pictures').data;"
        " return Object.fromEntries(Array.from(label, (name, i) => [name, [colour[i], marker[i]]])); }"
    )
    legend = opened.evaluate(
        "() => Object.fromEntries([...document.querySelectorAll('#legend li')].map((item) => {"
        " const dot = item.querySelector('.dot'), { borderRadius, clipPath } = getComputedStyle(dot);"
        " return [item.querySelector('.name').textContent, [dot.className, borderRadius + clipPath]]; }))"
    )
    assert {name: f"dot {marker}" for name, (_, marker) in drawn.items()} == {n: c for n, (c, _) in legend.items()}
    assert len({shape for _, shape in legend.values()}) == len({marker for _, marker in drawn.values()})


def test_a_hidden_picture_cannot_be_clicked(opened):
    where = place(opened, "red/2.png")
    opened.get_by_role("checkbox", name="red").uncheck()
    opened.mouse.click(*where)
    opened.wait_for_timeout(500)  # long enough for a click to select what it hits
    assert texts(opened) == []


def test_searching_finds_by_class_and_by_file_name(opened):
    opened.fill("#search", "GREEN")
    assert opened.inner_text("#found") == "8 found; Enter lists them"
    opened.fill("#search", "/5.png")
    opened.press("#search", "Enter")
    assert [row[2] for row in texts(opened)] == ["green/5.png", "red/5.png"]
    opened.get_by_role("checkbox", name="red").uncheck()
    opened.press("#search", "Enter")
    assert opened.inner_text("#selected") == "True neighbours of green/5.png"  # one is left: hidden ones are not found
    opened.fill("#search", "")
    assert opened.inner_text("#found") == ""


def test_a_lasso_lists_pictures_and_downloads_them(opened):
    """Around all greens, which lie apart from the rest on the first principal components."""
    names = [f"green/{i}.png" for i in range(8)]
    spots = np.array([place(opened, name) for name in names])
    (left, top), (right, bottom) = spots.min(axis=0) - 12, spots.max(axis=0) + 12
    opened.locator("[title*=Lasso]").first.click()
    opened.mouse.move(left, top)
    opened.mouse.down()
    for corner in [(right, top), (right, bottom), (left, bottom), (left, top)]:
        opened.mouse.move(*corner, steps=4)
    opened.mouse.up()
    opened.get_by_text("8 pictures selected").wait_for()
    assert [row[2] for row in texts(opened)] == names
    table = download(opened)
    assert table[0] == ["id", "label", "x", "y"]
    assert [row[:2] for row in table[1:]] == [[name, "green"] for name in names]


def test_a_click_draws_lines_to_the_true_neighbours(opened):
    opened.mouse.click(*place(opened, "red/3.png"))
    opened.get_by_text("True neighbours of red/3.png").wait_for()
    table = download(opened)
    assert table[0] == ["rank", "id", "label", "cosine"]
    assert table[1][:3] == ["0", "red/3.png", "red"]
    assert {row[1] for row in table[2:4]} == {"red/2.png", "red/4.png"}  # the least angle away, both
    assert len(table) == 2 + mapping.LISTED
    ends = opened.evaluate(
        """() => {
            const document = Bokeh.documents[0], {x0, y0, x1, y1} = document.get_model_by_name("lines").data
            const {x, y, id} = document.get_model_by_name("pictures").data
            const name = (a, b) => id[x.findIndex((_, row) => x[row] === a && y[row] === b)]
            return x0.map((_, i) => [name(x0[i], y0[i]), name(x1[i], y1[i])])
        }"""
    )
    assert ends == [["red/3.png", row[1]] for row in table[2:]]


def test_class_names_that_are_markup_are_shown_as_text(opened):
    assert opened.locator("#legend .name").all_inner_texts() == [HOSTILE, "green", "red", CLOSING.split("/")[1]]


@pytest.mark.parametrize("name", [f"{HOSTILE}/0.png", CLOSING], ids=["image", "script"])
def test_names_that_are_markup_are_shown_as_text(opened, name):
    label = name.split("/")[-2]
    opened.mouse.move(*place(opened, name))
    opened.locator("div").filter(has_text=re.compile(f"^{re.escape(name)}$")).wait_for()  # the tooltip
    opened.mouse.click(*place(opened, name))
    opened.locator("#rows tr").first.wait_for()
    assert texts(opened)[0][1:3] == [label, name]
    assert download(opened)[1][1:3] == [name, label]


def test_a_picture_that_is_gone_is_on_the_map_without_its_thumbnail(opened, written):
    assert [failure.path for failure in written.failed] == ["red/7.png"]
    assert "cannot be read" in written.to_json()["failed"][0]["reason"]
    assert "red/7.png" in shown(opened)


def test_how_far_to_trust_the_map_stands_on_it(opened, written):
    assert opened.inner_text("header p") == "; ".join(written.projection.notes())
    assert "trustworthiness at 8" in opened.inner_text("header p")


def test_above_a_limit_thumbnails_are_files_beside_the_page(folder, tmp_path, browser, monkeypatch):
    monkeypatch.setattr(mapping, "INLINE", 5)
    report = write_map(indexed(folder), tmp_path / "50% more #1.html", progress=False)
    assert report.folder == tmp_path / "50% more #1_thumbnails"
    assert len(list(report.folder.rglob("*.webp"))) == 17
    assert b"data:image/webp" not in report.path.read_bytes()
    page = browser.new_page()
    page.goto(report.path.as_uri())
    page.fill("#search", "green/")
    page.press("#search", "Enter")
    # Not wait_for_function: it asks again inside the page, where the policy of the page forbids what it needs.
    page.locator("#rows img").evaluate_all("(images) => Promise.all(images.map((image) => image.decode()))")
    assert page.locator("#rows img").count() == 8
    page.close()


def test_many_selected_are_cut_in_the_table_and_whole_in_the_csv(tmp_path, browser):
    n = 250
    positions = np.random.default_rng(0).normal(size=(n, 2)).astype(np.float32)
    none = np.full((n, 1), -1), np.full((n, 1), np.nan, np.float32)
    html = map_page(positions, [f"{i:03}.png" for i in range(n)], [None] * n, [None] * n, *none)
    (tmp_path / "m.html").write_text(html, encoding="utf-8")
    page = browser.new_page()
    page.goto((tmp_path / "m.html").as_uri())
    page.fill("#search", "png")
    page.press("#search", "Enter")
    assert page.locator("#rows tr").count() == 200
    assert page.inner_text("#more") == "and 50 more, all in the CSV"
    assert len(download(page)) == 251
    assert page.locator("#legend .name").all_inner_texts() == ["no label"]
    page.close()


def test_the_page_asks_nothing_of_the_network(written):
    text = written.path.read_text(encoding="utf-8")
    assert "default-src 'none'" in text
    assert "<script src" not in text
    assert "<link" not in text


def test_one_picture_has_a_map(tmp_path):
    paint(tmp_path / "p/red/1.png", "red")
    report = write_map(indexed(tmp_path / "p"), tmp_path / "m.html", progress=False)
    assert report.to_json()["pictures"] == 1
    assert report.to_json()["trustworthiness"] is None
    assert json.loads(json.dumps(report.to_json()))["bytes"] == (tmp_path / "m.html").stat().st_size


def test_an_empty_index_has_no_map(tmp_path):
    with pytest.raises(BadQuery, match="nothing to map"):
        write_map(create_index("memory:", new_passport(QuarterColours().spec)), tmp_path / "m.html")


def test_a_map_that_cannot_be_written_leaves_the_old_one(folder, tmp_path):
    with pytest.raises(BadQuery, match="cannot be written"):
        write_map(indexed(folder), tmp_path / "no such folder" / "m.html", progress=False)


def test_the_projection_is_kept_until_the_index_changes(folder, own_cache, monkeypatch):
    index, made = indexed(folder), []
    original = mapping.project
    monkeypatch.setattr(mapping, "project", lambda *args, **options: made.append(1) or original(*args, **options))
    first, again = projection(index), projection(index)
    np.testing.assert_array_equal(first.positions, again.positions)
    assert len(made) == 1
    projection(index, seed=7)
    assert len(made) == 2
    kept = next(own_cache.glob(f"artefacts/{index.passport.uuid}/projection-*.npz"))
    kept.write_bytes(kept.read_bytes()[:100])  # damaged: made again
    projection(index)
    projection(index, seed=7)
    assert len(made) == 3
    index.delete(["red/0.png"])
    assert len(projection(index).positions) == len(first.positions) - 1
    files = list(own_cache.glob("artefacts/*/*"))
    assert [file.name.split("-")[1] for file in files] == [str(index.passport.generation)]  # stale ones are gone


def test_names_that_hide_or_turn_letters_are_shown_as_escapes_and_saved_exactly(browser, tmp_path):
    name = "turn\u202egpj\r\x1b/0.png"
    for place in (name, "plain/0.png"):
        paint(tmp_path / "pictures" / place, (20, 40, 200))
    write_map(indexed(tmp_path / "pictures"), tmp_path / "map.html", title=name, progress=False)
    page = browser.new_context(accept_downloads=True).new_page()
    page.goto((tmp_path / "map.html").as_uri())
    page.locator("html[data-ready=true]").wait_for()
    page.locator("#search").fill("turn")
    page.locator("#search").press("Enter")
    assert r"turn\u202egpj\u000d\u001b/0.png" in page.locator("#rows").inner_text()
    assert not {"\u202e", "\x1b"} & set(page.locator("body").inner_text())
    with page.expect_download() as download:
        page.locator("#download").click()
    with open(download.value.path(), newline="", encoding="utf-8") as file:  # noqa: PTH123
        assert name in [row["id"] for row in csv.DictReader(file)]
    page.context.close()
