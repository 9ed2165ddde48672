"""How far pictures may be distorted before their neighbours, and they themselves, are no longer found.

Pictures of an index are distorted in seven ways at rising strength, and each is searched for in the index: P@10 (the
original left out, as in every evaluation) and the rank at which the original stands among all pictures.

    imgsearch index FOLDER --index local:robustness.db
    python benchmarks/robustness.py --index local:robustness.db --count 101 --figure robustness.png
"""

from __future__ import annotations

import argparse
import io
import json
import platform
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter
from tqdm import tqdm

from imgsearch_kit import Gallery, ImageRecord
from imgsearch_kit.evaluation import intervals as bootstrap
from imgsearch_kit.evaluation.metrics import measures
from imgsearch_kit.images import load_pixels
from imgsearch_kit.plots.figure import ACCENT, DARK, new, plain_name
from imgsearch_kit.records import Vectors
from imgsearch_kit.vectors import Ints, cosines, first

RESULTS = Path(__file__).parent / "results" / "robustness.json"
K = 10


def crop(image: Image.Image, share: float, _: np.random.Generator) -> Image.Image:
    """The middle of the picture, ``share`` of its area cut away around it."""
    width, height = image.size
    kept = (1 - share) ** 0.5
    left, top = round(width * (1 - kept) / 2), round(height * (1 - kept) / 2)
    return image.crop((left, top, max(width - left, left + 1), max(height - top, top + 1)))


def rotate(image: Image.Image, degrees: float, _: np.random.Generator) -> Image.Image:
    """Turned about its middle; the corners that come free have the picture's mean colour."""
    mean = tuple(int(channel) for channel in np.asarray(image).mean(axis=(0, 1)))
    return image.rotate(degrees, Image.Resampling.BICUBIC, fillcolor=mean)


def blur(image: Image.Image, percent: float, _: np.random.Generator) -> Image.Image:
    """A Gaussian blur whose standard deviation is that many percent of the shorter side."""
    return image.filter(ImageFilter.GaussianBlur(min(image.size) * percent / 100))


def compress(image: Image.Image, quality: float, _: np.random.Generator) -> Image.Image:
    """Saved as JPEG of that quality and read again."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=int(quality))
    return Image.open(file).convert("RGB")


def add_noise(image: Image.Image, deviation: float, rng: np.random.Generator) -> Image.Image:
    """Gaussian noise of that standard deviation, on a scale of 0 to 255, in every channel."""
    noisy = np.asarray(image) + rng.normal(0, deviation, (image.height, image.width, 3))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def occlude(image: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    """A grey rectangle over ``share`` of the area, in the picture's proportions, anywhere in it."""
    covered = image.copy()
    size = np.array(image.size) * share**0.5
    corner = rng.random(2) * (image.size - size)
    ImageDraw.Draw(covered).rectangle((*corner, *(corner + size)), fill=(128, 128, 128))
    return covered


def fade(image: Image.Image, share: float, _: np.random.Generator) -> Image.Image:
    """``share`` of its colour taken away; 1 is a grey picture."""
    return ImageEnhance.Color(image).enhance(1 - share)


DISTORTIONS: list[tuple[str, str, Callable[..., Image.Image], tuple[float, ...]]] = [
    ("crop", "share cut away", crop, (0.1, 0.25, 0.5, 0.75)),
    ("rotation", "degrees", rotate, (5, 15, 45, 90, 180)),
    ("blur", "% of the side", blur, (0.5, 1, 2, 4)),
    ("JPEG", "quality", compress, (50, 20, 10, 5)),
    ("noise", "deviation of 255", add_noise, (10, 25, 50, 100)),
    ("occlusion", "share covered", occlude, (0.1, 0.25, 0.5, 0.75)),
    ("grey", "share of colour lost", fade, (0.5, 1)),
]
UNTOUCHED = {"JPEG": 100.0}  # how the undistorted picture is listed where that is not 0


def distorted(
    change: Callable[..., Image.Image], strength: float, rng: np.random.Generator, picture: Image.Image
) -> Image.Image:
    return change(picture, strength, rng)


def sample(records: list[ImageRecord], count: int, rng: np.random.Generator) -> list[int]:
    """Rows of ``count`` labelled pictures whose class has another member, as evenly from all classes as it goes."""
    rows = rng.permutation(len(records))
    by_class: dict[str, list[int]] = {}
    for row in rows.tolist():
        if (label := records[row].label) is not None:
            by_class.setdefault(label, []).append(row)
    several = [members for members in by_class.values() if len(members) > 1]  # in random order, as the rows are
    turns = (members[i] for i in range(max(map(len, several), default=0)) for members in several if i < len(members))
    return sorted(islice(turns, count))


def measure(vectors: Vectors, gallery: Vectors, rows: Ints, classes: Ints) -> dict[str, float]:
    """P@10 with its interval, and ranks of the originals, of distorted pictures' ``(m, dim)`` vectors."""
    scores = cosines(vectors, gallery)(slice(None))
    original = scores[np.arange(len(rows)), rows]
    ranks = 1 + (scores > original[:, None]).sum(axis=1)
    scores[np.arange(len(rows)), rows] = -np.inf
    order, _ = first(scores, K)
    row, place = np.nonzero(classes[order] == classes[rows, None])
    relevant = np.bincount(classes)[classes[rows]] - 1
    precision = measures(row, place + 1, relevant, (K,))[f"P@{K}"]
    strata = np.unique(classes[rows], return_inverse=True)[1]
    value, low, high = bootstrap.intervals(precision[:, None], strata).micro[0].tolist()
    return {
        "precision": value,
        "low": low,
        "high": high,
        "median_rank": float(np.median(ranks)),
        "first": float((ranks == 1).mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--index", default="local:./imgsearch.db", help="the address of an index of labelled pictures")
    parser.add_argument("--root", type=Path, help="where its pictures lie, if they have moved")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--exclude-label", action="append", default=[], help="takes a label out of queries and gallery")
    parser.add_argument("--count", type=int, default=101, help="how many pictures are distorted")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--figure", type=Path, help="also draws the curves into a file")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    options = parser.parse_args()

    rng = np.random.default_rng(options.seed)
    with Gallery.open(options.index, weights=options.weights) as opened:
        passport, extractor, everything = opened.passport, opened.extractor, opened.records()
        kept = [i for i, record in enumerate(everything) if record.label not in {None, *options.exclude_label}]
        records, gallery = [everything[i] for i in kept], opened.vectors()[kept]
    classes = np.unique([record.label for record in records], return_inverse=True)[1]
    rows = np.array(sample(records, options.count, rng))
    pictures = []
    for row in rows.tolist():
        with Image.open(passport.file_of(records[row].path or records[row].id, options.root)) as image:
            pictures.append(image.convert("RGB"))

    def extract(change: Callable[[Image.Image], Image.Image]) -> Vectors:
        pixels = []
        for picture in pictures:
            file = io.BytesIO()
            change(picture).save(file, "PNG")
            pixels.append(load_pixels(file.getvalue(), extractor.spec.side, extractor.spec.resampling))
        return extractor.extract(np.stack(pixels))

    started = time.perf_counter()
    untouched = measure(extract(lambda picture: picture), gallery, rows, classes)
    found: dict[str, list[dict[str, float]]] = {}
    steps = [(d, strength) for d in DISTORTIONS for strength in d[3]]
    for (name, _, change, _), strength in tqdm(steps, unit="step"):
        measured = measure(extract(partial(distorted, change, strength, rng)), gallery, rows, classes)
        found.setdefault(name, [{"strength": UNTOUCHED.get(name, 0.0), **untouched}])
        found[name].append({"strength": strength, **measured})

    print(f"{'':<10} {'strength':>9} {'P@10':>7} {'95 % interval':>16} {'median rank':>12} {'found first':>12}")
    for name, curve in found.items():
        for point in curve:
            print(
                f"{name:<10} {point['strength']:9g} {point['precision']:7.3f} "
                f"{point['low']:8.3f} {point['high']:7.3f} {point['median_rank']:12g} {point['first']:12.0%}"
            )
    document = {
        "queries": len(rows),
        "gallery": len(records),
        "classes": int(classes.max()) + 1,
        "excluded": options.exclude_label,
        "k": K,
        "seed": options.seed,
        "passport": passport.to_json(probes=False) | {"roots": {}, "root": None},
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
        "seconds": round(time.perf_counter() - started, 1),
        "distortions": {name: {"unit": unit, "curve": found[name]} for name, unit, _, _ in DISTORTIONS},
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    if options.figure:
        draw(document, options.figure)


def draw(document: dict[str, Any], path: Path) -> None:
    """Writes a figure of small panels, one a distortion: precision with its interval, and below it the median rank."""
    distortions = document["distortions"]
    columns = ("strength", "precision", "low", "high", "median_rank")
    curves = {name: {key: [p[key] for p in part["curve"]] for key in columns} for name, part in distortions.items()}
    measure = f"P@{document['k']}"
    drops = (f"{name} from {c['precision'][0]:.2f} to {c['precision'][-1]:.2f}" for name, c in curves.items())
    alt = f"{measure} and rank of the original under distortions of rising strength: {'; '.join(drops)}."
    figure, axes = new(1.2 + 1.9 * len(curves), 4.2, alt, nrows=2, ncols=len(curves), squeeze=False, sharey="row")
    for (top, bottom), (name, curve) in zip(axes.T, curves.items(), strict=True):
        x = np.arange(len(curve["strength"]))
        top.plot(x, curve["precision"], color=DARK, marker="o", markersize=4)
        top.fill_between(x, curve["low"], curve["high"], color=DARK, alpha=0.18, linewidth=0)
        top.set_title(plain_name(name), fontsize=9)
        bottom.plot(x, curve["median_rank"], color=ACCENT, marker="s", markersize=4, linestyle="--")
        bottom.set_xlabel(distortions[name]["unit"], fontsize=8)
        bottom.set_yscale("log")
        for ax in (top, bottom):
            ax.set_xticks(x, [f"{strength:g}" for strength in curve["strength"]], fontsize=7)
            ax.grid(axis="y", color="0.92")
        top.set_ylim(0, 1.02)
    axes[0, 0].set_ylabel(measure)
    axes[1, 0].set_ylabel("median rank of the original")
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
