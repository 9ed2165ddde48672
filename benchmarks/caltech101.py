"""Every pooling and re-ranking on Caltech-101, written to results/caltech101-rankings.json.

Type: python benchmarks/caltech101.py FOLDER [--work FOLDER] [--split FILE]

The pictures pass the network once; all poolings are taken in that one pass. Vectors stay in ``--work`` (one local index
each), so a second run only evaluates. No row uses a label. What a query finds never contains the query itself,
neither as an answer nor inside an averaged vector. ``--split`` adds the mAP of a published query and gallery split.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from imgsearch_kit.extractors import load_extractors, probe_pixels
from imgsearch_kit.images import Loaded, find_images, load_many
from imgsearch_kit.index import create_index, new_passport, open_index
from imgsearch_kit.pipeline.evaluating import evaluate
from imgsearch_kit.records import ImageRecord

ONE_PASS = ("vgg16-rmac", "vgg16-spoc", "vgg16-mac", "vgg16-gem")
BATCH = 32
BACKGROUND = "BACKGROUND_Google"  # pictures without a common subject
RANKINGS = (None, "pca:128:0.5", "pca:128:0.5,dba:10:1,qe:10:1", "krecip:20:6:0.3")
SPLIT_RANKINGS = (None, "pca:128:0.5,dba:10:1,qe:10:1", "pca:128:0.5,dba:10:1,qe:10:1,krecip:20:6:0.3")
MEASURES = ("P@1", "P@4", "P@10", "mAP")
RESULT = Path(__file__).resolve().parents[1] / "results" / "caltech101-rankings.json"


def index_in_one_pass(folder: Path, names: Sequence[str], work: Path) -> None:
    """Makes one local index an extractor, from a single pass of the network they share."""
    if all((work / f"{name}.db").exists() for name in names):
        return
    joint = load_extractors(names)
    probes = joint.extract(probe_pixels(joint.side))
    roots = {"": str(folder.resolve())}
    parts = {name: work / f"{name}.part.db" for name in names}
    indexes = {}
    for name, part in parts.items():
        part.unlink(missing_ok=True)
        passport = new_passport(joint.specs[name], probes=probes[name], roots=roots)
        indexes[name] = create_index(f"local:{part}", passport)
    images = {image.path: image for image in find_images(folder).images}
    waiting: list[tuple[ImageRecord, np.ndarray]] = []

    def commit() -> None:
        vectors = joint.extract(np.stack([pixels for _, pixels in waiting]))
        for name, index in indexes.items():
            index.add([record for record, _ in waiting], vectors[name])
        waiting.clear()

    resampling = joint.specs[names[0]].resampling
    for path, item in tqdm(load_many(images, joint.side, resampling), total=len(images), unit="img", desc=names[0]):
        if not isinstance(item, Loaded):
            raise SystemExit(f"{path}: {item}")
        image = images[path]
        size = item.sha256, item.width, item.height
        waiting.append((ImageRecord(image.id, image.label, *size, image.mtime, image.size), item.pixels))
        if len(waiting) == BATCH:
            commit()
    if waiting:
        commit()
    for name, index in indexes.items():
        index.close()
        parts[name].rename(work / f"{name}.db")


def row(address: str, extractor: str, rank: str | None, split: Path | None = None) -> dict[str, Any]:
    """One line of the table: the means with their intervals, and what the ranking uses besides the query."""
    with open_index(address) as index:
        # A split names its pictures itself; no label needs to be taken out.
        found = evaluate(index, exclude_labels=() if split else (BACKGROUND,), rank=rank, split=split).to_json()
    means = {mean: {name: found[mean][name] for name in MEASURES} for mean in ("micro", "macro")}
    gallery = rank is not None and rank != "pca:128:0.5"
    uses = {"labels": False, "gallery statistics": rank is not None, "other gallery pictures": gallery}
    counts = {"queries": found["queries"], "gallery": found["gallery"], "date": found["date"]}
    return {"extractor": extractor, "rank": rank, "uses": uses, **counts, **means}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--work", type=Path, default=Path("artifacts/caltech101"))
    parser.add_argument("--split", type=Path)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    index_in_one_pass(args.folder, ONE_PASS, args.work)
    addresses = {name: f"local:{args.work / name}.db" for name in ONE_PASS}
    document: dict[str, Any] = {"leave-one-out": [], "split": []}
    for name, address in addresses.items():
        document["leave-one-out"] += [row(address, name, rank) for rank in RANKINGS]
    if args.split:
        rmac = addresses["vgg16-rmac"]
        document["split"] = [row(rmac, "vgg16-rmac", rank, args.split) for rank in SPLIT_RANKINGS]
    with open_index(addresses["vgg16-rmac"]) as index:
        document["passport"] = index.passport.published()
    RESULT.write_text(json.dumps(document, indent=2) + "\n")
    for protocol in ("leave-one-out", "split"):
        for line in document[protocol]:
            figures = "  ".join(f"{name} {line['micro'][name]['value']:.4f}" for name in MEASURES)
            print(f"{protocol:14} {line['extractor']:11} {line['rank'] or 'raw':45} {figures}")


if __name__ == "__main__":
    main()
