"""How long a person waits from letting a picture go over the page until its neighbours are drawn.

Fifty drops in a real Chromium on the page over the sample pictures, each of another picture. The clock is the browser's
and runs from the drop event until every thumbnail of the new answer is decoded and the next frame is painted. Beside
it stand the parts that are known: the upload (the browser's figure), extraction and search (the server's own), and what
is left for Gradio, thumbnails and drawing. Thumbnails are made during the run, as on a first visit.

    python benchmarks/page.py [--drops 50] [--weights PATH] [-o FILE]
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import platform
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import sync_playwright

from imgsearch_kit import Extractor, Gallery, load_extractor, sample_pictures

RESULTS = Path(__file__).parent / "results" / "page.json"
EXTRACTOR = "vgg16-rmac"
TARGET_MS = 500
PARTS = ("drop to drawn", "upload", "extraction", "search", "the rest")

DROP = """async ([name, type, content]) => {
  const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, {type}));
  const hits = document.querySelector('#hits'), status = document.querySelector('#status');
  const target = document.querySelector('#query button[aria-dropeffect]');
  performance.clearResourceTimings();
  const answered = new Promise((resolve) => {
    const seen = new MutationObserver(() => {
      if (!status.querySelector('.done') || !hits.querySelector('.card')) return;
      seen.disconnect();
      resolve();
    });
    hits.querySelector('ol')?.remove();
    seen.observe(hits, {childList: true, subtree: true});
  });
  const start = performance.now();
  target.dispatchEvent(new DragEvent('drop', {dataTransfer: transfer, bubbles: true, cancelable: true}));
  await answered;
  await Promise.all([...hits.querySelectorAll('img')].map((picture) => picture.decode()));
  await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
  const whole = performance.now() - start;
  const upload = performance.getEntriesByType('resource').find((entry) => entry.name.includes('/upload'));
  return {whole, upload: upload.duration, status: status.innerText};
}"""


def measure(url: str, pictures: list[Path]) -> list[dict[str, float]]:
    """The milliseconds of each drop by part; the first drop, which nobody times, warms up browser and server."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(url)
        page.locator("#examples .small").first.wait_for()
        drops = [one_drop(page.evaluate(DROP, as_file(picture))) for picture in [pictures[-1], *pictures]]
        browser.close()
    return drops[1:]


def as_file(picture: Path) -> list[str]:
    kind = "image/jpeg" if picture.suffix == ".jpg" else "image/png"
    return [picture.name, kind, base64.b64encode(picture.read_bytes()).decode()]


def one_drop(found: dict[str, Any]) -> dict[str, float]:
    words = found["status"].split()
    extraction, search = (float(words[words.index(name) + 1]) for name in ("extraction", "search"))
    rest = found["whole"] - found["upload"] - extraction - search
    return dict(zip(PARTS, (found["whole"], found["upload"], extraction, search, rest), strict=True))


def run(extractor: Extractor, count: int) -> list[dict[str, float]]:
    """Indexes the sample pictures in a folder of its own, with a cache of its own, and drops some of them."""
    with tempfile.TemporaryDirectory() as place, socket.socket() as probe:
        os.environ["IMGSEARCH_CACHE"] = place
        folder = sample_pictures(Path(place) / "pictures")
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        everything = sorted(folder.rglob("*.*"))
        pictures = [everything[i] for i in np.linspace(0, len(everything) - 1, count).astype(int)]
        with Gallery.from_folder(folder, f"local:{place}/imgsearch.db", extractor, progress=False) as gallery:
            page = gallery.serve(port=port, block=False)
            try:
                return measure(page.url, pictures)
            finally:
                page.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drops", type=int, default=50)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    load_before = os.getloadavg()[0]
    drops = run(load_extractor(EXTRACTOR, arguments.weights), arguments.drops)
    table = {part: {f"p{p}": float(np.percentile([d[part] for d in drops], p)) for p in (50, 95)} for part in PARTS}
    print(f"{'milliseconds':<16}{'p50':>8}{'p95':>8}")
    for part, row in table.items():
        print(f"{part:<16}{row['p50']:>8.1f}{row['p95']:>8.1f}")
    document = {
        "question": "milliseconds from a drop to drawn neighbours, sample pictures, real Chromium",
        "extractor": EXTRACTOR,
        "drops": len(drops),
        "target_p95_ms": TARGET_MS,
        "ms": {part: {name: round(value, 1) for name, value in row.items()} for part, row in table.items()},
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "load_before": round(load_before, 1)},
    }
    arguments.output.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
