"""Where the time of indexing goes, and that of a query: the parts of the real pipeline, and a picture of them.

Indexing: ``index_folder`` over copies of some pictures, with a clock round each part, in CPU seconds, because parts of
it run side by side; the network has what no other part has used. A query: a process of its own that searches with a
file, by wall clock: importing, opening, loading the network, embedding, searching, thumbnails of the hits; and then
more queries in the same process, as the page makes them. Each index is of the pictures of FOLDER, by one of the
extractors; its vectors are read by the first search. Medians over rounds.

    python benchmarks/profiled.py FOLDER --index ADDRESS [ADDRESS ...] [--count 96] [--rounds 3] [-o FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from throughput import copied

RESULTS = Path(__file__).parent / "results" / "profile.json"
PICTURE = Path(__file__).parents[1] / "docs" / "profile.png"
INDEXING = "network", "decode", "resize", "read and hash", "write", "the rest"
FRESH = "import", "open", "load the network", "embed", "search", "thumbnails"
WARM = "embed", "search", "thumbnails"
COLOURS = {
    "network": "#1f3b57",
    "decode": "#c8501e",
    "resize": "#e8a33d",
    "read and hash": "#9db4c8",
    "write": "#5b8c5a",
    "the rest": "#d9d9d9",
    "import": "#3d6b99",
    "open": "#7a5195",
    "load the network": "#b8cfe0",
    "embed": "#0e7c7b",
    "search": "#444444",
    "thumbnails": "#f2c6a0",
}
MORE, HITS = 20, 10  # queries of a process, about; hits that are drawn


class Clock:
    """CPU seconds of parts, each in the thread that does it; a part within another counts for itself alone."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self.inner = threading.local()
        self.lock = threading.Lock()

    def timed(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """The function, which counts for ``name``."""

        def run(*args: Any, **options: Any) -> Any:
            outer, self.inner.seconds = getattr(self.inner, "seconds", 0.0), 0.0
            started = time.thread_time()
            try:
                return work(*args, **options)
            finally:
                spent = time.thread_time() - started
                with self.lock:
                    self.spent[name] += spent - self.inner.seconds
                self.inner.seconds = outer + spent

        return run


@contextmanager
def watched(clock: Clock, index: Any, extractor: Any) -> Iterator[None]:
    """Puts the clock round the parts of indexing."""
    from PIL import Image

    from imgsearch_kit.images import decoding

    with ExitStack() as stack:
        for holder, attribute, name in (
            (decoding, "read_bytes", "read and hash"),
            (decoding.hashlib, "sha256", "read and hash"),
            (decoding, "decode", "decode"),
            (Image.Image, "resize", "resize"),
            (index, "add", "write"),
            (extractor, "extract", "network"),
        ):
            stack.enter_context(patch.object(holder, attribute, clock.timed(name, getattr(holder, attribute))))
        yield


def indexing(folder: Path, preset: str, rounds: int) -> dict[str, float]:
    """CPU milliseconds a picture of each part, and of wall clock, the medians of the rounds."""
    from imgsearch_kit.extractors import load_extractor
    from imgsearch_kit.images import find_images
    from imgsearch_kit.index import create_index, new_passport
    from imgsearch_kit.indexing.folder import index_folder

    extractor, count, taken = load_extractor(preset), len(find_images(folder).images), []
    for turn in range(rounds + 1):
        clock = Clock()
        with (
            tempfile.TemporaryDirectory() as place,
            create_index(f"local:{place}/index.db", new_passport(extractor.spec)) as made,
            watched(clock, made, extractor),
        ):
            wall, cpu, own = time.perf_counter(), time.process_time(), time.thread_time()
            report = index_folder(folder, made, extractor, progress=False)
            wall, cpu, own = time.perf_counter() - wall, time.process_time() - cpu, time.thread_time() - own
        assert not report.failed, report.failed
        parts = dict(clock.spent)
        parts["the rest"] = max(0.0, own - parts["write"] - parts["network"])
        parts["network"] = cpu - sum(seconds for name, seconds in parts.items() if name != "network")
        taken += [parts | {"wall": wall}] if turn else []  # the first round warms up
    return {name: round(1000 * float(np.median([one[name] for one in taken])) / count, 3) for name in taken[0]}


def query(address: str, root: str, pictures: list[str], folder: str) -> dict[str, dict[str, float]]:
    """Milliseconds of the parts of the first query of a process, and the medians of later ones."""
    from imgsearch_kit import Gallery
    from imgsearch_kit.images import thumbnail

    started = time.perf_counter()
    gallery = Gallery.open(address, root=root)
    opening = 1e3 * (time.perf_counter() - started)
    rows = []
    for picture in pictures:
        found = gallery.search(picture, k=HITS)
        started = time.perf_counter()
        for hit in found.hits:
            record = gallery.record(hit.id)
            thumbnail(gallery.original(record), record.sha256, folder=Path(folder))
        drawing = 1e3 * (time.perf_counter() - started)
        parts = {"load the network": found.ms["load"], "embed": found.ms["extract"], "search": found.ms["search"]}
        rows.append(parts | {"thumbnails": drawing})
    later = {name: float(np.median([row[name] for row in rows[1:]])) for name in WARM}
    return {"first": {"open": opening, **rows[0]}, "later": later}


ASK = """import json, sys, time
started = time.perf_counter()
from imgsearch_kit import Gallery
Gallery.open
ended = time.perf_counter()
sys.path.insert(0, sys.argv[1])
import profiled
found = profiled.query(*json.loads(sys.argv[2]))
found["first"]["import"] = 1e3 * (ended - started)
print(json.dumps(found))"""


def queries(address: str, root: Path, pictures: list[str], rounds: int) -> dict[str, dict[str, float]]:
    """The medians over fresh processes, each of which has no thumbnail yet; milliseconds."""
    taken = []
    for _ in range(rounds + 1):  # the first reads files from the disk
        with tempfile.TemporaryDirectory() as thumbnails:
            given = json.dumps([address, str(root), pictures, thumbnails])
            command = [sys.executable, "-c", ASK, str(Path(__file__).parent), given]
            taken.append(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout))
    return {
        when: {name: round(float(np.median([one[when][name] for one in taken[1:]])), 2) for name in taken[0][when]}
        for when in ("first", "later")
    }


def in_words(bar: str, measured: tuple[dict[str, float], str]) -> str:
    parts, unit = measured
    return f"{bar}: {', '.join(f'{name} {value:.1f}' for name, value in parts.items())} {unit}"


def drawn(found: dict[str, Any], path: Path) -> None:
    """A stacked bar for each line of the results: the share of each part, and the whole in words."""
    from imgsearch_kit.plots.figure import new

    bars: dict[str, tuple[dict[str, float], str]] = {}
    for preset, parts in found["indexing"].items():
        bars[f"indexing, {preset}"] = {name: parts[name] for name in INDEXING}, "CPU ms a picture"
    for preset, each in found["query"].items():
        bars[f"first query of a process, {preset}"] = {name: each["first"][name] for name in FRESH}, "ms"
    for preset, each in found["query"].items():
        bars[f"later queries, {preset}"] = {name: each["later"][name] for name in WARM}, "ms"
    figure, axes = new(9, 0.55 * len(bars) + 1.1, "")
    figure.alt_text = f"Where the time goes. {'; '.join(in_words(*bar) for bar in bars.items())}."
    named: set[str] = set()
    for place, (parts, unit) in enumerate(bars.values()):
        left, whole = 0.0, sum(parts.values())
        for name, value in parts.items():
            share = 100 * value / whole
            label = {} if name in named else {"label": name}
            named.add(name)
            axes.barh(place, share, left=left, color=COLOURS[name], edgecolor="white", linewidth=0.8, **label)
            if share > 6:
                ink = "white" if sum(int(COLOURS[name][i : i + 2], 16) for i in (1, 3, 5)) < 400 else "black"
                axes.text(left + share / 2, place, f"{share:.0f}", ha="center", va="center", color=ink, fontsize=9)
            left += share
        axes.text(101, place, f"{whole:,.0f} {unit}", va="center", fontsize=9)
    axes.set_yticks(range(len(bars)), list(bars))
    axes.invert_yaxis()
    axes.set_xlim(0, 118)
    axes.set_xticks(range(0, 101, 20))
    axes.set_xlabel("% of the time")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=6, frameon=False, fontsize=9)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--index", nargs="+", required=True, metavar="ADDRESS")
    parser.add_argument("--count", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--picture", type=Path, default=PICTURE)
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    wish = parser.parse_args()
    from imgsearch_kit import open_index
    from imgsearch_kit.images import find_images

    document: dict[str, Any] = {
        "folder": wish.folder.name,
        "pictures": wish.count,
        "rounds": wish.rounds,
        "machine": {
            "python": platform.python_version(),
            "cpus": os.cpu_count(),
            "load_before": round(os.getloadavg()[0], 2),
        },
        "indexing": {},
        "query": {},
    }
    with tempfile.TemporaryDirectory() as place:
        pictures = copied(wish.folder, wish.count, Path(place) / "pictures")
        asked = [str(image.path) for image in find_images(pictures).images[:: max(1, wish.count // MORE)]]
        for address in wish.index:
            with open_index(address) as index:
                assert index.passport.spec
                preset, document["searched"] = index.passport.spec.name, len(index)
            document["indexing"][preset] = indexing(pictures, preset, wish.rounds)
            document["query"][preset] = queries(address, wish.folder, asked, wish.rounds)
            print(preset, json.dumps(document["indexing"][preset]), json.dumps(document["query"][preset]), flush=True)
    wish.output.write_text(json.dumps(document, indent=1) + "\n")
    drawn(document, wish.picture)


if __name__ == "__main__":
    main()
