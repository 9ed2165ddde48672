"""How long a person waits from letting a picture go over the page until its neighbours are drawn, alone and in company.

Drops in a real Chromium, each of another picture: the clock is the browser's and runs from the drop event until every
thumbnail of the new answer is decoded and the next frame is painted. Beside it stand the parts that are known: the
upload (the browser's figure), extraction and search (the server's own), and what is left for Gradio, thumbnails and
drawing. Then some clients search at once, by uploads and calls of ``/search`` as the page makes them, and one client
searches many times while the memory of the server's process is read. Every page is a process of its own.

    python benchmarks/page.py                                                  the sample pictures, in a file
    python benchmarks/page.py --index local:caltech.db --root caltech101 [--server http://127.0.0.1:9200]

With ``--server`` a copy of the index there is measured too, and removed afterwards: drops on both pages by turns, so
that both see the same load of the machine. What a page learns of its index in the background is learned before, after
drops on the page of the fresh copy while it learns.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from playwright.sync_api import sync_playwright

from imgsearch_kit import Gallery, sample_pictures
from imgsearch_kit.app.choices import BackgroundLearning

RESULTS = Path(__file__).parent / "results" / "page.json"
EXTRACTOR = "vgg16-rmac"
TARGET_MS, TARGET_CLIENT_MS = 500, 2000
PARTS = ("drop to drawn", "upload", "extraction", "search", "the rest")
CLIENTS, SEARCHES, READ_EVERY = 8, 500, 50

DROP = """async ([name, type, content]) => {
  const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, {type}));
  const root = document.querySelector('#search [data-ready]'), hits = document.querySelector('#hits');
  const status = document.querySelector('#status'), target = document.querySelector('#head h1');
  const isAnswered = () => document.querySelector('#search [data-query]')?.dataset.query === name
    && status.querySelector('.done, .error') && !root.classList.contains('busy');
  performance.clearResourceTimings();
  const answered = new Promise((resolve) => {
    const seen = new MutationObserver(() => {
      if (!isAnswered()) return;
      seen.disconnect();
      resolve();
    });
    seen.observe(document.querySelector('#search'), {childList: true, subtree: true, attributes: true});
  });
  const start = performance.now();
  for (const kind of ['dragenter', 'dragover', 'drop']) {
    target.dispatchEvent(new DragEvent(kind, {dataTransfer: transfer, bubbles: true, cancelable: true}));
  }
  await answered;
  await Promise.all([...hits.querySelectorAll('img')].map((picture) => picture.decode()));
  await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
  const whole = performance.now() - start;
  const upload = performance.getEntriesByType('resource').find((entry) => entry.name.includes('/upload'));
  return {whole, upload: upload.duration, status: status.textContent};
}"""


@dataclass(frozen=True)
class Served:
    """A page in a process of its own."""

    url: str
    process: subprocess.Popen

    def megabytes(self) -> float | None:
        """The resident memory of the process; None where the system does not say."""
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
        except OSError:
            return None
        return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS"))


@contextlib.contextmanager
def served(address: str, root: Path | None, weights: Path | None) -> Iterator[Served]:
    """The page of an index, as ``imgsearch serve`` serves it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-c", "from imgsearch_kit.cli import main; main()", "serve", "--index", address]
    command += ["--port", str(port), *(["--root", str(root)] if root else [])]
    command += ["--weights", str(weights)] if weights else []
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    line = process.stdout.readline()
    try:
        if not line:
            raise SystemExit(f"The page over {address} did not start.")
        yield Served(f"http://127.0.0.1:{port}", process)
    finally:
        process.terminate()
        process.wait(60)


# -- alone ------------------------------------------------------------------------------------------------------------


def drops(urls: dict[str, str], pictures: list[Path]) -> dict[str, dict[str, dict[str, float]]]:
    """The milliseconds of the drops by place and part, on the pages at ``urls`` by turns.

    The first drop on each, which nobody times, warms up browser and server.
    """
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    rows: dict[str, list[dict[str, float]]] = {place: [] for place in urls}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        pages = {place: browser.new_page(viewport={"width": 1280, "height": 800}) for place in urls}
        for place, page in pages.items():
            page.goto(urls[place])
            page.locator("#search [data-ready]").wait_for()
        for i, each in enumerate([pictures[-1], *pictures]):
            for place, page in pages.items():
                page.bring_to_front()
                rows[place].append(one_drop(page.evaluate(DROP, as_file(i, each))))
        browser.close()
    return {
        place: {part: percentiles([row[part] for row in found[1:]]) for part in PARTS} for place, found in rows.items()
    }


def percentiles(values: list[float]) -> dict[str, float]:
    return {f"p{p}": round(float(np.percentile(values, p)), 1) for p in (50, 95)}


def as_file(number: int, picture: Path) -> list[str]:
    kind = "image/jpeg" if picture.suffix == ".jpg" else "image/png"
    return [f"{number}-{picture.name}", kind, base64.b64encode(picture.read_bytes()).decode()]


def one_drop(found: dict[str, Any]) -> dict[str, float]:
    known = re.search(r"extraction ([\d.]+) ms .* search ([\d.]+) ms", found["status"])
    if known is None:
        raise SystemExit(f"A drop was not answered: {found['status']}")
    extraction, searching = map(float, known.groups())
    rest = found["whole"] - found["upload"] - extraction - searching
    return dict(zip(PARTS, (found["whole"], found["upload"], extraction, searching, rest), strict=True))


# -- in company, and many times ---------------------------------------------------------------------------------------


def search(client: httpx.Client, picture: Path) -> bool:
    """Whether a search by an upload through the page's queue has an answer with hits."""
    with picture.open("rb") as file:
        [stored] = client.post("gradio_api/upload", files={"files": (picture.name, file)}).json()
    data = [{"path": stored, "meta": {"_type": "gradio.FileData"}}, 10, None, None, None, None]
    event = client.post("gradio_api/call/search", json={"data": data}).json()["event_id"]
    answer = client.get(f"gradio_api/call/search/{event}").text
    return "event: complete" in answer and '"rank": 1' in answer


def company(url: str, pictures: list[Path], seconds: float) -> dict[str, Any]:
    """What some clients see that search at once, each again as soon as it has its answer."""
    taken: list[float] = []
    errors: list[str] = []
    until = time.monotonic() + seconds

    def ask(number: int) -> None:
        with httpx.Client(base_url=url, timeout=120, trust_env=False) as client:
            for picture in cycle(pictures[number::CLIENTS]):
                if time.monotonic() > until:
                    return
                start = time.perf_counter()
                try:
                    if not search(client, picture):
                        errors.append("no hits")
                except Exception as error:  # every kind of failure is one a visitor would see
                    errors.append(repr(error))
                taken.append((time.perf_counter() - start) * 1e3)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"clients": CLIENTS, "seconds": seconds, "searches": len(taken), "errors": errors, **percentiles(taken)}


def memory(page: Served, pictures: list[Path], searches: int) -> list[float | None]:
    """The server's megabytes before, and after every fifty searches of one client."""
    read = [page.megabytes()]
    with httpx.Client(base_url=page.url, timeout=120, trust_env=False) as client:
        for number, picture in enumerate(islice(cycle(pictures), searches), 1):
            search(client, picture)
            if number % READ_EVERY == 0:
                read.append(page.megabytes())
    return [None if each is None else round(each, 1) for each in read]


def measured(addresses: dict[str, str], root: Path, pictures: list[Path], given: argparse.Namespace) -> dict[str, Any]:
    """All figures of the pages over the indexes, by place."""
    with contextlib.ExitStack() as stack:
        pages = {place: stack.enter_context(served(each, root, given.weights)) for place, each in addresses.items()}
        taken = drops({place: page.url for place, page in pages.items()}, pictures[: given.drops])
        found: dict[str, Any] = {place: {"ms": ms} for place, ms in taken.items()}
        for place, page in pages.items():
            if given.seconds:
                found[place]["company"] = company(page.url, pictures, given.seconds)
            if given.searches:
                found[place]["megabytes"] = memory(page, pictures, given.searches)
    return found


def learn(address: str) -> None:
    """Learns what a page over the index does in the background, where it is not known yet."""
    with Gallery.open(address) as gallery:
        learning = BackgroundLearning(gallery)
        learning.start()
        learning.wait()


# -- what is served ---------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def sample_index() -> Iterator[tuple[str, Path]]:
    """An index of the sample pictures in a folder of its own, with a cache of its own."""
    with tempfile.TemporaryDirectory() as place:
        os.environ["IMGSEARCH_CACHE"] = place
        folder = sample_pictures(Path(place) / "pictures")
        with Gallery.from_folder(folder, f"local:{place}/imgsearch.db", EXTRACTOR, progress=False) as gallery:
            yield gallery.index.address, folder


@contextlib.contextmanager
def on_server(address: str, server: str) -> Iterator[str]:
    """The address of a copy on a server, which is removed at the end."""
    there = f"{server.rstrip('/')}/page-{uuid.uuid4().hex[:8]}"
    with Gallery.open(address) as gallery:
        copy = gallery.copy_to(there, progress=False)
    try:
        yield there
    finally:
        copy.remove()


def report(name: str, found: dict[str, Any]) -> None:
    print(f"\n{name}\n{'milliseconds':<16}{'p50':>8}{'p95':>8}")
    for part, row in found["ms"].items():
        print(f"{part:<16}{row['p50']:>8.1f}{row['p95']:>8.1f}")
    if learning := found.get("ms_while_learning"):
        print("{:<16}{p50:>8.1f}{p95:>8.1f}".format("while learning", **learning["drop to drawn"]))
    if at_once := found.get("company"):
        print(f"{CLIENTS} clients: {at_once['searches']} searches, {len(at_once['errors'])} errors, ", end="")
        print(f"median {at_once['p50']:.0f} ms, p95 {at_once['p95']:.0f} ms")
    if read := found.get("megabytes"):
        print("megabytes every", READ_EVERY, "searches:", *read)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--index", help="the index, instead of one of the sample pictures")
    parser.add_argument("--root", type=Path, help="its pictures")
    parser.add_argument("--server", help="an Elasticsearch on which a copy is measured too")
    parser.add_argument("--drops", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60, help="how long the clients search at once; 0 for not")
    parser.add_argument("--searches", type=int, default=SEARCHES, help="while the memory is read; 0 for none")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    load_before = os.getloadavg()[0]
    with contextlib.ExitStack() as stack:
        given = (arguments.index, arguments.root) if arguments.index else stack.enter_context(sample_index())
        address, root = given
        with Gallery.open(address) as gallery:
            root = root or Path(gallery.passport.root)
            ids = [record.path or record.id for record in gallery.records()]
            about = {"pictures": len(ids), "extractor": gallery.passport.spec.name if gallery.passport.spec else None}
        pictures = [root / ids[i] for i in np.linspace(0, len(ids) - 1, min(len(ids), 200)).astype(int)]
        np.random.default_rng(0).shuffle(pictures)  # so that drops are of all classes
        addresses = {"file": address}
        if arguments.server:
            addresses["server"] = stack.enter_context(on_server(address, arguments.server))
        learning: dict[str, Any] = {}
        if arguments.server:  # of a fresh copy nothing is known yet
            with served(addresses["server"], root, arguments.weights) as page:
                learning = drops({"server": page.url}, pictures[: arguments.drops])["server"]
        for each in addresses.values():
            learn(each)
        places = measured(addresses, root, pictures, arguments)
        if learning:
            places["server"]["ms_while_learning"] = learning
        for place, found in places.items():
            report(f"over a {place}", found)
    given = (re.sub(r"(/[^/\s:]+)+/", "", each) for each in sys.argv[1:])  # without this machine's folders
    command = " ".join(["python", "benchmarks/page.py", *given])
    document = {
        "question": "from a drop to drawn neighbours in real Chromium, clients at once, memory over many searches",
        "command": command,
        **about,
        "drops": arguments.drops,
        "target_p95_ms": TARGET_MS,
        "target_client_p50_ms": TARGET_CLIENT_MS,
        "ms": places["file"]["ms"],
        "places": places,
        "machine": {
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "load_before": round(load_before, 1),
            "load_after": round(os.getloadavg()[0], 1),
        },
    }
    arguments.output.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
