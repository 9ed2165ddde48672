"""What decoding costs while a folder is indexed: threads ahead of the network, against the network alone.

The same pictures, in the same run: the network on pixels that are in memory already; files decoded ahead by threads, as
``imgsearch index`` does it; files decoded between the batches; and decoding without a network. The ways take turns, so
that whatever else the machine does falls on all of them; each figure is a median over the rounds. Seconds are what a
person waits; CPU seconds, over all threads, hardly depend on what else the machine does.

With ``--photographs`` the files are photographs of 12 megapixels, mosaics of the folder's pictures, whose decoding
takes several times as long as a small network; then ``ahead_to_cores`` says how near the run is to using all cores at
all times: its seconds divided by the CPU seconds of decoding and network together, a core each.

    python benchmarks/decoding.py FOLDER [--count 256] [--rounds 5] [--extractor vgg16-rmac] [--weights PATH]
                                  [--photographs] [-o FILE]
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import PIL
from PIL import Image
from rounds import measure

from imgsearch_kit.classes import folder_label
from imgsearch_kit.extractors import Extractor, load_extractor
from imgsearch_kit.images import Loaded, find_images, load, load_many
from imgsearch_kit.indexing.commits import COMMITTED_AT_ONCE

RESULTS = Path(__file__).parent / "results" / "decoding.json"
NETWORK, AHEAD, BETWEEN, DECODING = "network alone", "decoded ahead", "decoded between batches", "decoding alone"


def batches(pictures: Iterable[np.ndarray]) -> Iterable[np.ndarray]:
    pictures = iter(pictures)
    while batch := list(itertools.islice(pictures, COMMITTED_AT_ONCE)):
        yield np.stack(batch)


def photographs(paths: list[Path], place: Path, count: int) -> list[Path]:
    """JPEG files of 4,000 x 3,000 pixels: each a mosaic of 48 of the pictures, larger than they are."""
    made = []
    for number in range(count):
        whole = Image.new("RGB", (4000, 3000))
        for cell in range(48):
            with Image.open(paths[(number * 48 + cell) % len(paths)]) as picture:
                whole.paste(picture.convert("RGB").resize((500, 500)), (cell % 8 * 500, cell // 8 * 500))
        made.append(place / f"{number:04}.jpg")
        whole.save(made[-1], quality=90)
    return made


def ways(paths: list[Path], extractor: Extractor) -> dict[str, Callable[[], object]]:
    """The four things to time, each of which goes through all pictures once."""
    side, resampling = extractor.spec.side, extractor.spec.resampling
    in_memory = list(batches(load(path, side, resampling).pixels for path in paths))

    def extract(pictures: Iterable[np.ndarray]) -> None:
        for batch in batches(pictures):
            extractor.extract(batch)

    def ahead() -> Iterable[np.ndarray]:
        return (item.pixels for _, item in load_many(paths, side, resampling) if isinstance(item, Loaded))

    return {
        NETWORK: lambda: [extractor.extract(batch) for batch in in_memory],
        AHEAD: lambda: extract(ahead()),
        BETWEEN: lambda: extract(load(path, side, resampling).pixels for path in paths),
        DECODING: lambda: [None for _ in ahead()],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--extractor", default="vgg16-rmac")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--photographs", action="store_true")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    wish = parser.parse_args()

    found = [image.path for image in find_images(wish.folder).images if folder_label(image.id) != "BACKGROUND_Google"]
    paths = found[:: max(1, len(found) // wish.count)][: wish.count]
    place = tempfile.TemporaryDirectory()
    if wish.photographs:
        paths = photographs(paths, Path(place.name), wish.count)
    extractor = load_extractor(wish.extractor, wish.weights)
    timed = ways(paths, extractor)
    timed[NETWORK]()  # the first pass compiles
    taken = measure(timed, wish.rounds)

    middle = {name: np.median(values, axis=0) for name, values in taken.items()}
    print(f"{'':26}{'seconds':>9}{'of network alone':>18}{'CPU seconds':>13}{'of network alone':>18}")
    for name, (wall, cpu) in middle.items():
        print(f"{name:26}{wall:9.2f}{wall / middle[NETWORK][0]:18.3f}{cpu:13.2f}{cpu / middle[NETWORK][1]:18.3f}")
    wall_share = 1 - middle[NETWORK][0] / middle[AHEAD][0]
    cpu_share = middle[DECODING][1] / middle[AHEAD][1]
    print(f"\nDecoding takes {wall_share:.1%} of the time and {cpu_share:.1%} of the work of indexing (target: 10 %).")
    alone = taken[NETWORK][:, 0]
    spread = alone.max() / alone.min() - 1
    print(f"The network alone varied by {spread:.0%} between rounds; a share of the time below that may be chance.")

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    together = taken[NETWORK][:, 1] + taken[DECODING][:, 1]
    to_cores = float(np.median(taken[AHEAD][:, 0] * cores / together))
    print(f"Decoded ahead, it takes {to_cores:.3f} times the CPU seconds of both on {cores} cores.")
    place.cleanup()

    document = {
        "pictures": len(paths),
        "folder": wish.folder.name,
        "extractor": wish.extractor,
        "batch": COMMITTED_AT_ONCE,
        "rounds": wish.rounds,
        "seconds": {name: values[:, 0].round(3).tolist() for name, values in taken.items()},
        "cpu_seconds": {name: values[:, 1].round(3).tolist() for name, values in taken.items()},
        "share_of_seconds": round(float(wall_share), 4),
        "share_of_cpu_seconds": round(float(cpu_share), 4),
        "photographs": wish.photographs,
        "ahead_to_cores": round(to_cores, 3),
        "machine": {"python": platform.python_version(), "pillow": PIL.__version__, "cpus": os.cpu_count()},
    }
    wish.output.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
