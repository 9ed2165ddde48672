"""The map of 10,000 pictures: how long it takes to make, how large it is, how soon a browser can be used with it.

Pictures come from a folder, again from the beginning when it holds fewer; vectors are random around a centre per class,
since neither the page's size nor its speed depends on them. Twice as many again, with thumbnails in a folder beside the
page, for comparison.

    python benchmarks/map.py FOLDER [--count 10000] [-o FILE]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, sync_playwright

from imgsearch_kit import ExtractorSpec, Gallery, ImageRecord, create_index
from imgsearch_kit.classes import folder_label
from imgsearch_kit.images import find_images
from imgsearch_kit.index import new_passport
from imgsearch_kit.vectors import unit

RESULTS = Path(__file__).parent / "results" / "map.json"
DIM = 128


def indexed(folder: Path, count: int) -> Gallery:
    """``count`` pictures, indexed in memory; further rounds through the folder have a prefix of their own."""
    images = find_images(folder).images
    hashes = [hashlib.sha256(image.path.read_bytes()).hexdigest() for image in images[:count]]
    records = []
    for i in range(count):
        turn, place = divmod(i, len(images))
        prefix = f"round{turn}/" if turn else ""
        records.append(ImageRecord(prefix + images[place].id, folder_label(images[place].id), hashes[place]))
    labels = sorted({record.label or "" for record in records})
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(len(labels), DIM))
    vectors = centres[[labels.index(record.label or "") for record in records]] + 1.5 * rng.normal(size=(count, DIM))
    index = create_index("memory:", new_passport(ExtractorSpec("random", DIM)))
    index.amend(roots={"": str(folder)} | {f"round{turn}": str(folder) for turn in range(1, 1 + count // len(images))})
    index.add(records, unit(vectors))
    return Gallery(index)


def opened(browser: Browser, path: Path) -> dict[str, float]:
    """Seconds from opening the page until its panel works, until it is drawn, and until a first thumbnail is shown."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    started = time.perf_counter()
    page.goto(path.as_uri())
    page.locator("html[data-ready=true]").wait_for()
    ready = time.perf_counter()
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    drawn = time.perf_counter()
    spot = page.evaluate(
        """() => {
            const source = Bokeh.documents[0].get_model_by_name("pictures")
            const plot = Object.values(Bokeh.index.roots ?? Bokeh.index)[0]
            const box = plot.canvas_view.el.getBoundingClientRect(), {x_scale, y_scale} = plot.frame
            return [box.x + x_scale.compute(source.data.x[0]), box.y + y_scale.compute(source.data.y[0])]
        }"""
    )
    hovered = time.perf_counter()
    page.mouse.move(*spot)
    page.locator("img:visible").first.wait_for()
    shown = time.perf_counter()
    page.close()
    return {
        "ready_seconds": round(ready - started, 2),
        "drawn_seconds": round(drawn - started, 2),
        "first_hover_seconds": round(shown - hovered, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    rows = []
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as scratch:
        system = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=system, args=["--no-sandbox", "--disable-gpu"])
        for count in (options.count, 2 * options.count + 1):
            gallery = indexed(options.folder, count)
            started = time.perf_counter()
            placed = gallery.projection()
            laid_out = time.perf_counter()
            report = gallery.map(Path(scratch, f"{count}.html"), progress=False)
            written = time.perf_counter()
            beside = sum(file.stat().st_size for file in report.folder.rglob("*.webp")) if report.folder else 0
            tries = [opened(browser, report.path) for _ in range(3)]
            rows.append(
                {
                    "pictures": count,
                    "without_thumbnail": len(report.failed),
                    "classes": len(gallery.labels()),
                    "projection_seconds": round(laid_out - started, 1),
                    "page_seconds": round(written - laid_out, 1),
                    "page_mb": round(report.size / 1e6, 2),
                    "thumbnails_beside_mb": round(beside / 1e6, 2),
                    **{key: sorted(t[key] for t in tries)[1] for key in tries[0]},
                    "trustworthiness": round(placed.to_json()["trustworthiness"], 4),
                }
            )
            print(json.dumps(rows[-1], indent=2))
        browser.close()
    document = {"folder": options.folder.name, "dim": DIM, "python": platform.python_version(), "maps": rows}
    options.output.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
