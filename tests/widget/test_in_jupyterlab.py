"""The widget in JupyterLab, in a real Chromium; and what is left of it in a notebook that is only read."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from nbconvert import HTMLExporter
from PIL import Image

from imgsearch_kit.gallery import Gallery
from imgsearch_kit.reports import Framed, Table, share
from tests.small_extractor import QuarterColours, paint
from tests.test_notebooks import execute_module

ROOT = Path(__file__).resolve().parents[2]
CELLS = [
    f"""import sys
sys.path.insert(0, {str(ROOT)!r})
from imgsearch_kit import Gallery
from tests.small_extractor import QuarterColours
gallery = Gallery.from_folder("pictures", "memory:", extractor=QuarterColours())
w = gallery.widget()
w""",
    """import json, pathlib
def write(_):
    state = {"query": w.query, "marks": w.marks, "basket": w.basket, "hits": list(w.hits.id), "selection": w.selection}
    pathlib.Path("state.tmp").write_text(json.dumps(state))
    pathlib.Path("state.tmp").rename("state.json")
w.observe(write, ["query", "marks", "basket", "hits", "selection"])
write(None)""",
]
NOTHING = '{"query": null, "marks": {"plus": []}, "basket": [], "hits": []}'
READY = 60  # seconds


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    for i in range(4):
        paint(folder / f"pictures/red/{i}.png", (200, 10 * i, 0))
        paint(folder / f"pictures/blue/{i}.png", (10 * i, 0, 200))
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS], metadata=kernel)
    nbformat.write(notebook, folder / "widget.ipynb")
    return folder


@pytest.fixture(scope="module")
def lab(folder, tmp_path_factory):
    """The address of a JupyterLab of this test alone; it and its kernels end with the test."""
    own = tmp_path_factory.mktemp("jupyter")
    places = {f"JUPYTER_{name}_DIR": str(own / name.lower()) for name in ("RUNTIME", "CONFIG")}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0"]
    command += ["--IdentityProvider.token=", f"--ServerApp.root_dir={folder}", "--LabApp.news_url="]
    process = subprocess.Popen(
        command, cwd=folder, env=os.environ | places, stderr=subprocess.DEVNULL, start_new_session=True
    )
    end = time.monotonic() + READY
    while not (found := [*(own / "runtime").glob("jpserver-*.json")]):
        assert process.poll() is None, "JupyterLab did not start"
        assert time.monotonic() < end, "JupyterLab did not start in time"
        time.sleep(0.2)
    yield json.loads(found[0].read_text())["url"]
    os.killpg(process.pid, signal.SIGTERM)
    process.wait(30)


def state(folder, until):
    """What the kernel wrote, once it is as wanted."""
    end = time.monotonic() + READY
    path = folder / "state.json"
    while not until(found := json.loads(path.read_text() if path.exists() else NOTHING)):
        assert time.monotonic() < end, found
        time.sleep(0.1)
    return found


def test_drop_mark_and_keep_reach_python_and_its_values_reach_the_cell(lab, folder, browser, tmp_path):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    outside = []
    page.on("request", lambda r: outside.append(r.url) if not r.url.startswith((lab, "data:", "blob:")) else None)
    page.goto(f"{lab}lab/tree/widget.ipynb?reset")
    page.locator(".jp-Notebook .cm-content").first.wait_for(timeout=60_000)
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=60_000)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    widget = page.locator(".kit.widget")
    widget.locator(".kit-card").nth(7).wait_for(timeout=60_000)

    widget.locator("input[type=file]").set_input_files(paint(tmp_path / "mine.png", (200, 4, 0)))
    found = state(folder, lambda now: now["query"] == {"file": "mine.png"} and now["hits"])
    assert found["hits"][:2] == ["red/0.png", "red/1.png"]
    drawn = "[...document.querySelectorAll('.kit.widget .kit-card')].map((each) => each.dataset.id).join('\\n')"
    page.wait_for_function(f"(ids) => {drawn} === ids", arg="\n".join(found["hits"]))

    widget.get_by_role("button", name="More like this").first.click()
    found = state(folder, lambda now: now["marks"]["plus"])
    assert found["marks"] == {"plus": ["red/0.png"], "minus": []}
    widget.locator(".marks button").wait_for()
    widget.locator(".kit-card[data-id='red/0.png']").wait_for(state="detached")  # which is marked, and no hit any more
    widget.locator("[data-keep]").first.click()
    assert state(folder, lambda now: now["basket"])["basket"] == ["red/1.png"]

    widget.locator(".kit-card[data-id='blue/3.png']").click()
    found = state(folder, lambda now: now["query"] == {"id": "blue/3.png"} and now["hits"][0] == "blue/2.png")
    assert found["marks"] == {"plus": [], "minus": []}
    widget.locator(".mark.right").first.wait_for()

    picture = (folder / "pictures/blue/0.png").read_bytes()
    page.evaluate(  # as a file is dropped from a folder
        """(bytes) => {
          const data = new DataTransfer();
          data.items.add(new File([new Uint8Array(bytes)], "dropped.png", {type: "image/png"}));
          document.querySelector(".kit.widget .drop, .kit.widget")
            .dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true}));
        }""",
        list(picture),
    )
    state(folder, lambda now: now["query"] == {"file": "dropped.png"} and now["hits"][0] == "blue/1.png")
    widget.locator(".own button").wait_for()
    assert widget.locator(".own").inner_text() == "Indexed as"

    widget.get_by_role("button", name="Map", exact=True).click()
    widget.locator(".kit-explorer canvas").wait_for()
    widget.get_by_role("button", name="Select view").click()
    found = state(folder, lambda now: now["selection"])
    assert len(found["selection"]) == 8
    widget.locator(".kit-map-selection .kit-map-cards button").first.click()
    widget.locator(".kit-map-kept", has_text="the map keeps").wait_for()
    page.close()
    assert not outside, "nothing comes from elsewhere"


@pytest.fixture
def opened(lab, folder, browser):
    """Opens a notebook from somebody else, with these outputs, in JupyterLab, which does not trust it."""
    pages = []

    def open_notebook(*outputs):
        made = [nbformat.v4.new_output("display_data", data) for data in outputs]
        cells = [nbformat.v4.new_code_cell("", outputs=made)]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "theirs.ipynb")
        pages.append(browser.new_page(viewport={"width": 1280, "height": 900}))
        pages[0].goto(f"{lab}lab/tree/theirs.ipynb?reset")
        pages[0].locator(".jp-OutputArea-output").nth(len(outputs) - 1).wait_for(timeout=60_000, state="attached")
        return pages[0].locator(".jp-OutputArea")

    yield open_notebook
    pages[0].close()


def test_a_notebook_from_somebody_else_shows_bars_and_the_neighbours(opened, folder):
    gallery = Gallery.from_folder(folder / "pictures", "memory:", extractor=QuarterColours())
    table = Table([("a", share(0.75, 0.5, 0.875, 0.25))], ("class", "P@4"))
    framed = Framed("<p>A map", "A map of 8 pictures", 100)
    cell = gallery.widget(id="red/0.png", k=3)._repr_mimebundle_()[0]
    area = opened({"text/html": table._repr_html_()}, cell, {"text/html": framed._repr_html_()})

    bar = area.locator("td", has_text="0.7500").locator("div").first
    image = Image.open(io.BytesIO(bar.screenshot())).convert("L")
    paper = image.getpixel((image.width * 95 // 100, 2))
    ink = {percent: paper - image.getpixel((image.width * percent // 100, 2)) for percent in (10, 70, 80)}
    assert ink[10] == ink[70] > 30, "the value, up to 75 %"
    assert ink[80] == 0
    line = [paper - image.getpixel((image.width * percent // 100, 5)) for percent in (45, 55, 85, 92)]
    assert line[1] > 2 * line[0], "the interval begins at 50 %"
    assert line[2] > 100 > line[3], "and ends at 87.5 %"
    assert max(paper - image.getpixel((image.width // 4 + x, 2)) for x in range(-1, 3)) > 100, "chance, at 25 %"

    area.get_by_text(re.compile(r"^3 · 0\.\d{3}\s*red$")).wait_for()
    drawn = area.locator("img").evaluate_all("(all) => all.map((each) => each.naturalWidth > 0)")
    assert drawn == [True] * 4
    area.get_by_text("A map of 8 pictures").wait_for()


def test_a_notebook_that_is_only_read_shows_the_neighbours(folder, browser):
    notebook = nbformat.read(folder / "widget.ipynb", as_version=4)
    notebook.cells = [notebook.cells[0]]
    notebook.cells[0].source = notebook.cells[0].source.replace(
        "gallery.widget()", 'gallery.widget(id="red/0.png", k=3)'
    )
    notebook.cells[0].metadata["tags"] = ["parameters"]

    execute_module().execute(notebook, folder, {}, timeout=120)
    page = browser.new_page()
    page.set_content(HTMLExporter().from_notebook_node(notebook)[0], wait_until="domcontentloaded")
    page.get_by_text("3 neighbours of red/0.png").wait_for()
    assert re.findall(r"(\d) · \d\.\d{3}\nred", page.locator(".jp-OutputArea").inner_text()) == ["1", "2", "3"]
    drawn = "document.images.length === 4 && [...document.images].every((each) => each.complete && each.naturalWidth)"
    page.wait_for_function(drawn)
    page.close()
