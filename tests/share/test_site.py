"""The packed site in a real browser, from a plain static server, with the real runtime and network."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest
from PIL import Image
from pillow_heif import register_heif_opener

from imgsearch_kit.datasets import sample_pictures
from imgsearch_kit.images import load_pixels
from imgsearch_kit.reports import visible
from imgsearch_kit.share.data import spread
from tests.share.conftest import HOSTILE, ODD, Isolated, hits

FIRST_SCREEN = 300_000
DROP = """async ([name, bytes]) => {
  const dataTransfer = new DataTransfer(), told = {dataTransfer, bubbles: true, cancelable: true};
  dataTransfer.items.add(new File([Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0))], name, {type: 'image/png'}));
  for (const kind of ['dragenter', 'drop']) document.body.dispatchEvent(new DragEvent(kind, told));
}"""

PASTE = """async (bytes) => {
  const clipboardData = new DataTransfer();
  const content = Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0));
  clipboardData.items.add(new File([content], 'image.png', {type: 'image/png'}));
  document.body.dispatchEvent(new ClipboardEvent('paste', {clipboardData, bubbles: true, cancelable: true}));
}"""


@pytest.fixture(scope="session")
def part_of_coffee(photographs, tmp_path_factory):
    path = tmp_path_factory.mktemp("query") / "mine.png"
    Image.open(photographs / "coffee/coffee-original.png").convert("RGB").crop((60, 40, 500, 380)).save(path)
    return path


def drop(page, path):
    page.evaluate(DROP, [path.name, base64.b64encode(path.read_bytes()).decode()])


def query(page):
    return page.locator("[data-query]").get_attribute("data-query")


def test_a_visitor_drops_a_picture_and_walks_through_the_site(site, served, visit, part_of_coffee, gallery):
    arrived = []
    page = visit(served(site[0]))
    page.on("requestfinished", lambda request: arrived.append(request.url))
    drop(page, part_of_coffee)
    found = hits(page)
    assert len(found) == 20
    assert all(id_.startswith("coffee/") for id_ in found[:8])
    assert query(page) == "mine.png"
    assert page.locator(".answers .said").inner_text().endswith("ms by 1 thread")
    page.locator(".unverified:empty").wait_for(state="attached")
    assert sum(url.partition("?")[0].endswith("network.onnx") for url in arrived) == 1

    page.get_by_role("button", name="Crop", exact=True).click()
    for name, value in {"Right": "0.4", "Bottom": "0.4"}.items():
        page.get_by_role("spinbutton", name=name).fill(value)
    page.get_by_role("spinbutton", name="Bottom").press("Enter")
    page.locator("#search:not(.busy) .kit-box:not([hidden])").wait_for()
    assert hits(page) != found
    page.get_by_role("button", name="Clear").click()

    page.locator(".tiles button", has_text="coffee").first.click()
    first = query(page)
    assert first not in hits(page)
    page.locator("#hits li", has_text="cat").first.get_by_role("button", name="More like this").click()
    page.locator(".marks .plus").wait_for()
    (marked,) = page.locator(".marks .plus button").evaluate_all("(all) => all.map((each) => each.title)")
    packed, _ = gallery.quantised()
    expected = packed.search(id=first, plus=[marked], k=20, rank="").hits
    packed.close()
    assert hits(page) == [visible(hit.id) for hit in expected]
    page.get_by_label("cat", exact=False).first.check()
    page.locator("#search:not(.busy)").wait_for()
    assert {id_.split("/")[0] for id_ in hits(page)} == {"cat"}

    page.get_by_role("link", name="Evaluate").click()
    page.locator("#evaluate[data-ready]").wait_for()
    assert page.locator("#evaluate .figures h2").all_inner_texts() == ["P@4", "mAP", "P@10"]
    assert page.locator("#evaluate tbody tr").count() == 3
    page.locator("#evaluate th").get_by_role("button", name="Class").click()
    assert page.locator("#evaluate td:first-child").all_inner_texts()[1:] == ["cat", "coffee"]
    page.locator("#evaluate").get_by_role("button", name="coffee").first.click()
    worst = page.locator("#evaluate .rows .query").first
    wanted = worst.get_attribute("data-id")
    worst.click()
    page.locator(f'[data-query="{wanted}"]').wait_for()
    assert hits(page)

    page.get_by_role("link", name="Map").click()
    page.locator("#map[data-ready] canvas").wait_for()
    page.locator("#map .kit-map-kept", has_text="the map keeps").wait_for()
    page.locator("#map .kit-map-list .kit-map-cards button").first.click()
    page.locator("#map").get_by_role("button", name="Search with this").click()
    page.locator("#search:not([hidden]) [data-query]").wait_for()
    page.get_by_role("link", name="About").click()
    assert "vgg16-rmac@int8" in page.locator("#about dl").inner_text()


def test_the_first_screen_is_small_and_needs_no_network(site, served, visit):
    sizes = {}
    address = served(site[0])
    page = visit(address)
    page.on("response", lambda answer: None)
    page.locator(".tiles img").last.wait_for()
    page.wait_for_load_state("networkidle")
    for url in page.evaluate("performance.getEntriesByType('resource').map((each) => each.name)"):
        path = url.removeprefix(address).partition("?")[0]
        if not url.startswith("data:"):
            sizes[path] = (site[0] / path).stat().st_size
    assert {"site.json", "code/ui/grid.js", "thumbnails/0/0.webp"} <= sizes.keys()
    assert sum(sizes.values()) + (site[0] / "index.html").stat().st_size < FIRST_SCREEN


PLACED = """async ([at, row]) => {
  const {placed} = await import('/code/share/site/plane.js');
  const points = {ids: ['a', 'b', 'c', 'd'], x: [0.1, 0.2, 0.3, 0.9], y: [0.5, 0.5, 0.5, 0.5]};
  return placed(points, at, [[0, 0.9], [1, 0.8]], row).kept;
}"""


@pytest.mark.parametrize(("at", "row", "kept"), [(0, None, [True, True]), (2, 2, [True, True]), (3, 3, [False, True])])
def test_the_map_counts_the_nearest_picture_of_a_visitors_picture(site, served, visit, at, row, kept):
    page = visit(served(site[0]))
    assert page.evaluate(PLACED, [at, row]) == kept


def test_a_picture_may_be_pasted(site, served, visit, part_of_coffee):
    page = visit(served(site[0]))
    page.evaluate(PASTE, base64.b64encode(part_of_coffee.read_bytes()).decode())
    assert hits(page)[0].startswith("coffee/")
    assert query(page) == "image.png"


@pytest.mark.parametrize("name", ["coffee/coffee-original.png", "cat/with-place.jpg"])
def test_a_picture_of_the_site_is_known_again(site, served, visit, photographs, name):
    page = visit(served(site[0]))
    drop(
        page, photographs / name
    )  # the second is large, so that the kit decodes a part of its pixels, and a browser all
    page.locator(".own", has_text="This very picture is here:").get_by_title(name).wait_for()
    assert name not in hits(page)


def test_the_keyboard_goes_on_at_the_hits(site, served, visit):
    page = visit(served(site[0]))
    focused = "document.activeElement.dataset.id"
    page.locator(".tiles button", has_text="coffee").first.press("Enter")
    first, *_ = hits(page)
    assert page.evaluate(focused) == first
    page.keyboard.press("ArrowRight")
    page.keyboard.press("+")
    page.locator(".marks .plus").wait_for()
    assert page.evaluate(focused) == hits(page)[1]
    page.keyboard.press("Enter")
    page.wait_for_function("!document.querySelector('.marks .plus')")
    assert page.evaluate(focused) == hits(page)[0]
    page.get_by_role("link", name="Evaluate").click()
    page.locator("#evaluate .rows .query").first.press("Enter")
    page.locator("#search:not([hidden]):not(.busy)").wait_for()
    page.wait_for_function(f"{focused} === document.querySelector('#hits [data-id]').dataset.id")


def test_several_threads_compute_where_the_host_isolates_the_page(site, served, visit, part_of_coffee):
    page = visit(served(site[0], Isolated))
    drop(page, part_of_coffee)
    assert all(id_.startswith("coffee/") for id_ in hits(page)[:8])
    threads = min(page.evaluate("navigator.hardwareConcurrency"), 4)
    assert page.locator(".answers .said").inner_text().endswith(f"by {threads} thread{'s' if threads > 1 else ''}")
    page.locator(".unverified:empty").wait_for(state="attached")


def test_a_link_opens_a_search_and_back_returns(site, served, visit):
    address = served(site[0])
    page = visit(f"{address}?tab=search&id=coffee/coffee-original.png&classes=coffee")
    assert query(page) == "coffee/coffee-original.png"
    one, *_ = hits(page)
    assert {id_.split("/")[0] for id_ in hits(page)} == {"coffee"}
    page.locator("#hits [data-id]").first.click()
    page.locator(f'[data-query="{one}"]').wait_for()
    page.go_back()
    page.locator('[data-query="coffee/coffee-original.png"]').wait_for()
    page.goto(f"{address}?tab=search&id=nowhere.png")
    page.get_by_text("This site has no picture nowhere.png.").wait_for()


def test_names_and_classes_are_text(site, served, visit):
    page = visit(served(site[0]))
    page.get_by_role("button", name=HOSTILE).first.click()
    assert any("window.hurt=1} {{x}} \\u202egnp" in id_ for id_ in [query(page), *hits(page)])
    page.get_by_role("link", name="Evaluate").click()
    page.locator("#evaluate").get_by_role("button", name=HOSTILE).first.click()
    page.get_by_role("link", name="Map").click()
    page.locator("#map[data-ready]").wait_for()
    assert page.evaluate("window.hurt") is None
    assert page.locator("img[src=x]").count() == 0
    assert ODD not in (site[0] / "data/pictures.json").read_text()


def test_the_page_has_no_script_of_its_own(site):
    text = (site[0] / "index.html").read_text()
    assert text.count("<script") == text.count('<script type="module" src=') == 1
    assert "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'" in text
    assert "unsafe-inline" not in text
    assert " on" not in text.replace(" only", "").replace(" one", "")


@pytest.mark.parametrize("colour_scheme", ["light", "dark"])
def test_people_with_any_sight_can_use_it(site, served, visit, colour_scheme):
    from axe_playwright_python.sync_playwright import Axe

    page = visit(served(site[0]), color_scheme=colour_scheme, bypass_csp=True)
    page.locator(".tiles button").first.click()
    hits(page)
    assert Axe().run(page).response["violations"] == []
    page.get_by_role("link", name="Evaluate").click()
    page.locator("#evaluate[data-ready]").wait_for()
    assert Axe().run(page).response["violations"] == []


# -- what goes wrong ----------------------------------------------------------------------------------------------


def test_a_browser_that_computes_something_else_says_so(site, served, visit, part_of_coffee):
    probes = json.loads((site[0] / "data/probes.json").read_text())["vectors"]
    other = json.dumps({"vectors": probes[::-1]})
    page = visit(served(site[0]), spoil={"probes.json": other})
    drop(page, part_of_coffee)
    page.get_by_text("This browser computes something else than the maker of the site (cosine 0.").wait_for()
    assert page.locator("#hits [data-id]").count() == 0
    assert page.get_by_role("button", name="Choose a picture").is_disabled()
    page.locator(".tiles button").first.click()
    assert hits(page)


def test_a_browser_without_the_runtime_searches_by_click(site, served, visit, part_of_coffee):
    page = visit(served(site[0]), spoil={".wasm": None})
    drop(page, part_of_coffee)
    page.get_by_text("The network cannot be computed in this browser").wait_for()
    page.locator(".tiles button").first.click()
    assert hits(page)


def test_a_file_that_is_no_picture_or_heic_is_said(site, served, visit, photographs, tmp_path):
    page = visit(served(site[0]))
    path = tmp_path / "notes.png"
    path.write_text("no picture")
    drop(page, path)
    page.get_by_text("This browser cannot open the file as a picture.").wait_for()
    assert query(page) == "notes.png"
    assert not page.locator(".ask .kit-frame").is_visible()  # a browser draws a broken picture there
    assert not page.get_by_role("button", name="Crop", exact=True).is_visible()
    register_heif_opener()
    with Image.open(photographs / "cat/cat-original.png") as cat:
        cat.save(tmp_path / "mine.jpg", "HEIF")  # the name does not matter
    drop(page, tmp_path / "mine.jpg")
    page.get_by_text("This browser cannot open HEIC pictures; Safari can. Export the picture as JPEG").wait_for()


# -- browser and kit agree ----------------------------------------------------------------------------------------

EMBED = """async ([names, start]) => {
  const {createHelper} = await import('/code/share/site/helper.js');
  const site = await (await fetch('/site.json')).json(), ask = createHelper();
  const at = (path) => new URL(path, location).href;
  const files = Object.entries(site.files).map(([name, {path, size}]) => [name, {url: at(path), size}]);
  const weights = site.weights, vectors = at('/data/vectors.f16');
  await ask('start', {...site.extractor, files: Object.fromEntries(files), vectors, weights, own: {row: 2, given: 2}});
  const found = [];
  for (const name of names) {
    const file = await (await fetch(start + name)).blob();
    const {vector} = await ask('embed', {file, box: null});
    const {hits} = await ask('search', {query: vector, plus: [], minus: [], classOf: [], classes: [], k: 10});
    found.push({vector: [...vector], hits});
  }
  return found;
}"""


def test_browser_and_kit_give_the_same_vectors_and_neighbours_on_fifty_pictures(
    site, served, visit, gallery, tmp_path, photographs
):
    folder = tmp_path / "both"
    folder.mkdir()
    (folder / "site.json").symlink_to(site[0] / "site.json")
    for name in ("code", "data", "model", "runtime", "thumbnails", "index.html"):
        (folder / name).symlink_to(site[0] / name)
    names = write_queries(photographs, sample_pictures(tmp_path / "samples"), folder / "queries")
    page = visit(served(folder, Isolated))
    found = page.evaluate(EMBED, [names, "/queries/"])
    packed, _ = gallery.quantised()
    ids = json.loads((folder / "data/pictures.json").read_text())["ids"]
    vectors = packed.extractor.extract(np.stack([load_pixels(folder / "queries" / name, 224) for name in names]))
    there = packed.index.search(vectors, 10).ids.tolist()
    packed.close()
    cosines = dict(zip(names, map(float, np.vecdot(vectors, [here["vector"] for here in found])), strict=True))
    overlaps = [
        len({ids[row] for row, _ in here["hits"]} & {visible(id_) for id_ in wanted}) / 10
        for here, wanted in zip(found, there, strict=True)
    ]
    assert len(names) == 50
    assert min(cosines.values()) >= 0.999, cosines
    assert np.mean(overlaps) >= 0.98


def write_queries(photographs, samples, folder):
    """Names of fifty pictures: seven kinds of file, and every view of the sample pictures' subjects several times."""
    folder.mkdir()
    coffee = Image.open(photographs / "coffee/coffee-original.png").convert("RGB")
    exif = Image.Exif()
    for turn in (3, 6):
        exif[0x0112] = turn
        coffee.save(folder / f"turned-{turn}.jpg", exif=exif, quality=90)
    large = coffee.resize((4000, 2667))
    large.save(folder / "large.jpg", quality=90)
    clear = coffee.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(coffee.size))
    kinds = {"clear.png": clear, "grey.png": coffee.convert("L"), "palette.gif": coffee.convert("P"), "a.webp": coffee}
    for name, picture in kinds.items():
        picture.save(folder / name)
    views = sorted(samples.glob("*/*.*"))
    for path in [views[place] for place in spread(len(views), 43)]:
        (folder / path.name).write_bytes(path.read_bytes())
    return sorted(path.name for path in folder.iterdir())
