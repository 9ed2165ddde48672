"""The map of painted pictures in a real Chromium, opened from a file: point, find, lasso, download, neighbours."""

import csv
import json
import re

import numpy as np
import pytest

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.files import kept_names
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.index import create_index, new_passport
from imgsearch_kit.indexing.folder import index_folder
from imgsearch_kit.indexing.labels import relabel
from imgsearch_kit.map import over_index as mapping
from imgsearch_kit.map.over_index import kept_projection, projection, write_map
from imgsearch_kit.map.page import map_page
from tests.app.test_access import serious
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
    context = browser.new_context(viewport={"width": 1200, "height": 800}, reduced_motion="reduce")
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
    """Where on the screen the point of a picture is, in pixels, while the whole map is shown."""
    return page.evaluate(
        """(name) => {
            const {ids, x, y} = JSON.parse(document.getElementById("data").textContent), row = ids.indexOf(name);
            const box = document.querySelector("canvas").getBoundingClientRect();
            const side = Math.min(box.width, box.height) - 48;
            return [box.x + box.width / 2 + (x[row] - 0.5) * side, box.y + box.height / 2 - (y[row] - 0.5) * side];
        }""",
        name,
    )


def find(page, text):
    page.get_by_label("Find a class or an id on the map").fill(text)
    page.keyboard.press("Enter")


def select_view(page):
    """Selects what is in view, and not faded."""
    page.get_by_role("button", name="Select view").click()
    page.get_by_text("selected", exact=False).first.wait_for()


def download(page, region="Selection"):
    with page.expect_download() as waiting:
        page.get_by_role("region", name=region).get_by_role("button", name="Download CSV").click()
    with open(waiting.value.path(), encoding="utf-8", newline="") as file:  # noqa: PTH123 (a temporary name)
        return list(csv.reader(file))


def choose(page, name):
    """Clicks on a picture and waits for what the map says of it."""
    page.mouse.click(*place(page, name))
    chosen = page.get_by_role("region", name="Chosen picture")
    chosen.get_by_text("the map keeps").wait_for()
    chosen.get_by_text("nearest by cosine", exact=False).last.click()
    return chosen


def test_pointing_shows_one_thumbnail_with_its_name(opened):
    opened.mouse.move(*place(opened, "green/3.png"))
    tip = opened.locator(".kit-map-tip")
    tip.get_by_text("green/3.png").wait_for()
    image = tip.locator("img[src^='data:image/webp']")
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0


def test_the_legend_lights_a_class_and_the_others_cannot_be_clicked(opened):
    opened.get_by_text("4 classes").click()
    legend = opened.locator(".kit-map-classes")
    legend.get_by_role("button", name="green").click()
    opened.get_by_text("green: 8 pictures.").wait_for()
    opened.get_by_role("button", name="Whole map").click()
    opened.get_by_text("8 pictures in view").wait_for()
    opened.mouse.click(*place(opened, "red/2.png"))
    opened.wait_for_timeout(500)  # long enough for a click to choose what it hits
    assert not opened.get_by_role("region", name="Chosen picture").is_visible()
    legend.get_by_role("button", name="green").click()
    opened.get_by_text("18 pictures in view").wait_for()


def test_searching_finds_by_class_and_by_file_name(opened):
    find(opened, "GREEN")
    opened.get_by_text("8 pictures of “GREEN”; the others are faded.").wait_for()
    opened.get_by_text("8 pictures in view").wait_for()
    find(opened, "/5.png")
    opened.get_by_text("2 pictures of “/5.png”").wait_for()
    opened.get_by_text("2 pictures in view").wait_for()
    select_view(opened)
    assert [row[0] for row in download(opened)[1:]] == ["green/5.png", "red/5.png"]


def test_a_lasso_lists_pictures_and_downloads_them(opened):
    """Around all greens, which lie apart from the rest on the first principal components."""
    names = [f"green/{i}.png" for i in range(8)]
    spots = np.array([place(opened, name) for name in names])
    (left, top), (right, bottom) = spots.min(axis=0) - 12, spots.max(axis=0) + 12
    opened.get_by_role("button", name="Lasso").click()
    opened.mouse.move(left, top)
    opened.mouse.down()
    for corner in [(right, top), (right, bottom), (left, bottom), (left, top)]:
        opened.mouse.move(*corner, steps=4)
    opened.mouse.up()
    opened.get_by_role("heading", name="8 pictures selected").wait_for()
    cards = opened.get_by_role("region", name="Selection").locator("[data-id]")
    assert cards.evaluate_all("(all) => all.map((each) => each.dataset.id)") == names
    table = download(opened)
    assert table[0] == ["id", "label", "x", "y"]
    assert [row[:2] for row in table[1:]] == [[name, "green"] for name in names]


def test_a_click_shows_the_true_neighbours_and_how_many_the_map_keeps(opened, written):
    choose(opened, "red/3.png")
    table = download(opened, "Chosen picture")
    assert table[0] == ["rank", "id", "label", "cosine", "on_map"]
    assert table[1][:3] == ["0", "red/3.png", "red"]
    assert {row[1] for row in table[2:4]} == {"red/2.png", "red/4.png"}  # the least angle away, both
    assert len(table) == 2 + mapping.LISTED
    kept = sum(row[4] == "yes" for row in table[2:])
    assert opened.get_by_text(f"Of its 10 nearest pictures by cosine, the map keeps {kept}:").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(written, browser, scheme):
    context = browser.new_context(color_scheme=scheme, reduced_motion="reduce", bypass_csp=True)
    page = context.new_page()
    page.goto(written.path.as_uri())
    choose(page, "red/3.png")
    select_view(page)
    page.get_by_text("4 classes").click()
    assert serious(page) == []
    context.close()


def test_class_names_that_are_markup_are_shown_as_text(opened):
    opened.get_by_text("4 classes").click()
    names = opened.locator(".kit-map-classes button > span").all_inner_texts()
    assert names == [HOSTILE, "green", "red", CLOSING.split("/")[1]]


@pytest.mark.parametrize("name", [f"{HOSTILE}/0.png", CLOSING], ids=["image", "script"])
def test_names_that_are_markup_are_shown_as_text(opened, name):
    label = name.split("/")[-2]
    opened.mouse.move(*place(opened, name))
    opened.locator(".kit-map-tip span").filter(has_text=re.compile(f"^{re.escape(name)}$")).wait_for()
    chosen = choose(opened, name)
    assert chosen.get_by_role("heading").inner_text() == name
    assert download(opened, "Chosen picture")[1][1:3] == [name, label]


def test_a_picture_that_is_gone_is_on_the_map_without_its_thumbnail(opened, written):
    assert [failure.path for failure in written.failed] == ["red/7.png"]
    assert "cannot be read" in written.to_json()["failed"][0]["reason"]
    chosen = choose(opened, "red/7.png")
    assert chosen.locator(".kit-map-picture img").count() == 0


def test_how_far_to_trust_the_map_stands_on_it(opened, written):
    assert opened.inner_text("header p") == "; ".join(written.projection.notes())
    assert "trustworthiness at 8" in opened.inner_text("header p")


def test_above_a_limit_thumbnails_are_files_beside_the_page(folder, tmp_path, browser, monkeypatch):
    monkeypatch.setattr(mapping, "INLINE", 5)
    report = write_map(indexed(folder), tmp_path / "50% more #1.html", progress=False)
    assert report.folder == tmp_path / "50% more #1_thumbnails"
    assert len(list(report.folder.rglob("*.webp"))) == 17
    assert b"data:image/webp" not in report.path.read_bytes()
    page = browser.new_page(reduced_motion="reduce")
    page.goto(report.path.as_uri())
    find(page, "green/")
    page.get_by_text("8 pictures in view").wait_for()
    # Not wait_for_function: it asks again inside the page, where the policy of the page forbids what it needs.
    images = page.locator(".kit-map-list img")
    images.evaluate_all("(images) => Promise.all(images.map((image) => image.decode()))")
    assert images.count() == 8
    page.close()


def test_many_selected_are_cut_in_the_list_and_whole_in_the_csv(tmp_path, browser):
    n = 250
    positions = np.random.default_rng(0).normal(size=(n, 2)).astype(np.float32)
    none = np.full((n, 1), -1), np.full((n, 1), np.nan, np.float32)
    html = map_page(positions, [f"{i:03}.png" for i in range(n)], [None] * n, [None] * n, *none)
    (tmp_path / "m.html").write_text(html, encoding="utf-8")
    page = browser.new_page(reduced_motion="reduce")
    page.goto((tmp_path / "m.html").as_uri())
    page.get_by_text("250 pictures in view").wait_for()
    select_view(page)
    selection = page.get_by_role("region", name="Selection")
    selection.get_by_text("and 226 more, all in the CSV").wait_for()
    assert selection.locator("li").count() == 24
    assert len(download(page)) == 251
    assert not page.locator(".kit-map-classes").is_visible()
    page.close()


def test_the_page_asks_nothing_of_the_network(written):
    text = written.path.read_text(encoding="utf-8")
    assert "default-src 'none'" in text
    assert "script-src 'sha256-" in text  # no script but the map's own runs
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
    (known,) = own_cache.glob("artefacts/*/vectors-*")
    assert known.name.split("-")[1] == str(index.passport.generation)  # stale ones are gone


def test_other_labels_leave_the_map_as_it_is(folder, monkeypatch):
    index = indexed(folder)
    first = projection(index)
    assert relabel(index, {"red/0.png": "crimson"}).relabelled == 1
    monkeypatch.setattr(mapping, "project", lambda *args, **options: pytest.fail("learned again"))
    assert "map.txt" not in kept_names(index.read_passport())  # nobody has looked at the vectors of this generation
    np.testing.assert_array_equal(kept_projection(index).positions, first.positions)
    assert "map.txt" in kept_names(index.read_passport())
    np.testing.assert_array_equal(projection(index).positions, first.positions)
    index.delete(["red/0.png"])
    assert kept_projection(index) is None
    assert "map.txt" not in kept_names(index.read_passport())


def test_names_that_hide_or_turn_letters_are_shown_as_escapes_and_saved_exactly(browser, tmp_path):
    name = "turn\u202egpj\r\x1b/0.png"
    for place in (name, "plain/0.png"):
        paint(tmp_path / "pictures" / place, (20, 40, 200))
    write_map(indexed(tmp_path / "pictures"), tmp_path / "map.html", title=name, progress=False)
    page = browser.new_context(accept_downloads=True).new_page()
    page.goto((tmp_path / "map.html").as_uri())
    page.get_by_text("2 pictures in view").wait_for()
    select_view(page)
    selection = page.get_by_role("region", name="Selection")
    assert r"turn\u202egpj\u000d\u001b/0.png" in selection.inner_text()
    assert not {"\u202e", "\x1b"} & set(page.locator("body").inner_text())
    assert name in [row[0] for row in download(page)]
    page.context.close()


def test_the_map_is_drawn_in_a_cell_and_leaves_its_pictures_out_where_they_are_too_many(folder, browser, monkeypatch):
    gallery = Gallery(indexed(folder), QuarterColours())
    cell = gallery.map(title="In a cell", progress=False)
    page = browser.new_page()
    page.set_content(cell._repr_html_())
    frame = page.frame_locator("iframe")
    frame.get_by_role("heading", name="In a cell").wait_for()
    frame.locator("canvas").wait_for()
    assert "data:image/webp" in cell.page
    monkeypatch.setattr(mapping, "LARGEST_CELL", 50_000)
    assert "data:image/webp" not in gallery.map(progress=False).page
    page.close()
