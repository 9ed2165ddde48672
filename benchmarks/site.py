"""Whether a packed site finds in a real Chromium what the kit finds in Python, how fast, and how large it is.

Pictures of the index are embedded twice, in the browser by the site's own modules and in Python by the same int8
network: their cosines, and how many of the ten nearest other pictures are the same. Then pictures are chosen on the
page, in a browser that has nothing of the site yet: the clock runs from the choice until the neighbours are drawn.
Everything is served by a plain static server, without and with the headers that give a page several threads. The
vectors are also compared in the forms that a site could hold.

    python benchmarks/site.py --index "local:vgg16-rmac@int8.db" [--root caltech101] [--site FOLDER] [--runtime FOLDER]
"""

from __future__ import annotations

import argparse
import base64
import functools
import http.server
import json
import os
import platform
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Page, sync_playwright

from imgsearch_kit import Gallery
from imgsearch_kit.images import load_pixels
from imgsearch_kit.vectors import cosines, first

RESULTS = Path(__file__).parent / "results" / "site.json"
K, RESCORED, DRAWN = 10, 200, 20
TARGETS = {"least_cosine": 0.999, "overlap": 0.98, "first_s": 4, "later_s": 2, "mb": 80, "first_screen_kb": 300}

START = """async () => {
  const {createHelper} = await import('/code/share/site/helper.js');
  const site = await (await fetch('/site.json')).json(), at = (path) => new URL(path, location.origin).href;
  const files = Object.entries(site.files).map(([name, {path, size}]) => [name, {url: at(path), size}]);
  window.ask = createHelper();
  const rest = {vectors: at('/data/vectors.f16'), weights: site.weights, own: 2};
  await ask('start', {...site.extractor, files: Object.fromEntries(files), ...rest});
}"""
EMBED = """async ([bytes, k]) => {
  const file = new Blob([Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0))]);
  const {vector, ms} = await ask('embed', {file, box: null});
  const {hits} = await ask('search', {query: vector, plus: [], minus: [], classOf: [], classes: [], k});
  return {vector: [...vector], ms, rows: hits.map(([row]) => row)};
}"""


class Plain(http.server.SimpleHTTPRequestHandler):
    """A static server without a log."""

    def log_message(self, *args: Any) -> None:
        """Logs nothing."""


class Isolated(Plain):
    """The same with the headers of cross-origin isolation."""

    def end_headers(self) -> None:
        """Adds them."""
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()


@contextmanager
def served(folder: Path, handler: type[Plain]) -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def opened(page: Page, address: str) -> None:
    page.goto(address)
    page.locator("#site[data-ready]").wait_for()
    page.locator(".tiles img").last.wait_for()


# -- agreement --------------------------------------------------------------------------------------------------------


def agreement(page: Page, gallery: Gallery, pictures: list[Path], ids: list[str]) -> dict[str, Any]:
    """Cosines and the overlap of the ten nearest, each picture itself left out."""
    page.evaluate(START)
    found, overlaps, ms = [], [], []
    names = [record.id for record in gallery.records()]
    spec = gallery.extractor.spec
    for path, id_ in zip(pictures, ids, strict=True):
        here = page.evaluate(EMBED, [base64.b64encode(path.read_bytes()).decode(), K + 1])
        vector = gallery.extractor.extract(load_pixels(path, spec.side, spec.resampling)[None])
        there = gallery.index.search(vector, K, exclude=[[id_]]).ids[0].tolist()
        mine = [names[row] for row in here["rows"] if names[row] != id_][:K]
        found.append(float(vector[0] @ np.array(here["vector"], np.float32)))
        overlaps.append(len(set(mine) & set(there)) / K)
        ms.append(here["ms"])
    return {
        "pictures": len(pictures),
        "least_cosine": round(min(found), 6),
        "mean_cosine": round(float(np.mean(found)), 6),
        "overlap": round(float(np.mean(overlaps)), 4),
        "network_ms": {f"p{p}": round(float(np.percentile(ms, p))) for p in (50, 95)},
    }


def forms(vectors: np.ndarray) -> dict[str, Any]:
    """How many of the ten nearest each form of the stored vectors keeps, and its bytes."""
    rows = np.linspace(0, len(vectors) - 1, 500).astype(int)
    exact = nearest(vectors[rows], vectors, K + 1)
    half = vectors.astype(np.float16).astype(np.float32)
    half /= np.linalg.norm(half, axis=1, keepdims=True)
    step = np.abs(vectors).max() / 127
    coarse = (np.rint(vectors / step) * step).astype(np.float32)
    wide = nearest(vectors[rows], coarse, RESCORED)
    again = np.stack([rescored(vectors[row], half, near) for row, near in zip(rows, wide, strict=True)])
    answers = {"f16": nearest(vectors[rows], half, K + 1), "int8": wide[:, : K + 1], "int8, 200 again in f16": again}
    size = {"f16": 2, "int8": 1, "int8, 200 again in f16": 3}
    return {
        name: {
            "mb": round(size[name] * vectors.size / 1e6, 2),
            "overlap": shared(exact, answer),
        }
        for name, answer in answers.items()
    }


def shared(one: np.ndarray, other: np.ndarray) -> float:
    counts = [len(set(a) & set(b)) for a, b in zip(one, other, strict=True)]
    return round(float(np.mean(counts)) / (K + 1), 4)


def rescored(query: np.ndarray, gallery: np.ndarray, near: np.ndarray) -> np.ndarray:
    return near[np.argsort(-(gallery[near] @ query), kind="stable")[: K + 1]]


def nearest(queries: np.ndarray, gallery: np.ndarray, k: int) -> np.ndarray:
    return first(cosines(queries, gallery)(slice(None)), k)[0]


# -- time and size ----------------------------------------------------------------------------------------------------


def first_screen(page: Page, folder: Path, address: str) -> int:
    """The bytes of what was fetched before anything was asked for."""
    page.wait_for_load_state("networkidle")
    urls = page.evaluate("performance.getEntriesByType('resource').map((each) => each.name)")
    paths = {url.removeprefix(address).partition("?")[0] for url in urls if url.startswith(address)}
    return sum((folder / path).stat().st_size for path in {*paths, "index.html"})


def answers(page: Page, pictures: list[Path]) -> list[float]:
    """The seconds from the choice of each picture until its neighbours are drawn."""
    taken = []
    for number, path in enumerate(pictures):
        start = time.perf_counter()
        file = {"name": f"{number}-{path.name}", "mimeType": "image/jpeg", "buffer": path.read_bytes()}
        page.set_input_files("input[type=file]", file)
        page.locator(f'[data-query="{file["name"]}"]').wait_for(timeout=60_000)
        page.locator("#search:not(.busy) #hits [data-id]").nth(DRAWN - 1).wait_for(timeout=60_000)
        taken.append(time.perf_counter() - start)
        page.locator(".unverified:empty").wait_for(state="attached", timeout=60_000)
    return taken


def timed(browser: Any, folder: Path, handler: type[Plain], pictures: list[Path]) -> dict[str, Any]:
    with served(folder, handler) as address:
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        page = context.new_page()
        opened(page, address)
        kilobytes = first_screen(page, folder, address) / 1e3
        one, *later = answers(page, pictures)
        said = page.locator(".answers .said").inner_text()
        context.close()
    return {
        "threads": int(said.rsplit(" ", 2)[1]),
        "first_screen_kb": round(kilobytes, 1),
        "first_s": round(one, 2),
        "later_s": {f"p{p}": round(float(np.percentile(later, p)), 2) for p in (50, 95)},
        "answers": len(pictures),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--index", required=True)
    parser.add_argument("--root", type=Path)
    parser.add_argument("--site", type=Path, help="a site that was packed from this index")
    parser.add_argument("--runtime", type=Path)
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--answers", type=int, default=20)
    arguments = parser.parse_args()
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with tempfile.TemporaryDirectory() as aside, Gallery.open(arguments.index, root=arguments.root) as given:
        gallery, _ = given.quantised()
        folder = arguments.site or Path(aside, "site")
        if not arguments.site:
            given.pack(folder, runtime=arguments.runtime)
        sizes = {"whole": 0.0}
        for path in (path for path in folder.rglob("*") if path.is_file()):
            part = path.relative_to(folder).parts[0]
            for name in ("whole", part):
                sizes[name] = sizes.get(name, 0) + path.stat().st_size / 1e6
        records = gallery.records()
        some = [records[i] for i in np.linspace(0, len(records) - 1, arguments.pictures).astype(int)]
        pictures = [given.original(record) for record in some]
        few = pictures[:: max(1, len(pictures) // arguments.answers)][: arguments.answers]
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
            times = [timed(browser, folder, handler, few) for handler in (Plain, Isolated)]
            with served(folder, Plain) as address:
                page = browser.new_page()
                opened(page, address)
                agreed = agreement(page, gallery, pictures, [record.id for record in some])
            version = browser.version
            browser.close()
        result = {
            "question": "does a packed site in Chromium find what the kit finds in Python, how fast, how large is it",
            "pictures": len(records),
            "extractor": gallery.passport.spec and gallery.passport.spec.name,
            "targets": TARGETS,
            "agreement": agreed,
            "times": times,
            "mb": {name: round(size, 2) for name, size in sorted(sizes.items())},
            "vectors": forms(gallery.vectors()),
            "machine": {"processor": platform.machine(), "cores": os.cpu_count(), "chromium": version},
        }
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
