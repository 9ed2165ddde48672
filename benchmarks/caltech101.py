"""Every pooling and re-ranking on Caltech-101, written to results/caltech101.json and as tables to docs/caltech101.md.

Type: python benchmarks/caltech101.py FOLDER [--work FOLDER] [--split FILE] [--only EXTRACTOR...] [-o FILE.json]

The pictures pass the network once for all poolings at side 224, and once more for the preset of two input sides.
Vectors stay in ``--work`` (one local index each), so a second run only evaluates. No row uses a label. What a query
finds never contains the query itself, neither as an answer nor inside an averaged vector; one row more, apart from the
others, shows what database augmentation gains where it does. ``--split`` adds a published query and gallery split.
``--only`` measures some extractors anew and keeps the rows of the others, with their dates. With ``-o`` the figures go
to another file, and the tables to the terminal only.
"""

from __future__ import annotations

import argparse
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from imgsearch_kit import Evaluation, Gallery
from imgsearch_kit.classes import folder_label
from imgsearch_kit.evaluation.metrics import score_queries
from imgsearch_kit.evaluation.over_index import KS, read_experiment
from imgsearch_kit.extractors import load_extractors, probe_pixels
from imgsearch_kit.images import Loaded, find_images, load_many
from imgsearch_kit.index import building, new_passport
from imgsearch_kit.ranking import Ranking
from imgsearch_kit.records import ImageRecord

PASSES = (
    ("vgg16-rmac", "vgg16-spoc", "vgg16-mac", "vgg16-gem"),
    ("vgg16-rmac-ms",),
    ("vgg16-rmac-ml@int8",),
    ("vgg16-rmac-ml-ms@int8",),
)
BATCH = 32
BACKGROUND = "BACKGROUND_Google"  # pictures without a common subject
PCA, RCA = "pca:128:0.5", "rca:128:15"
EXPANDED = "dba:10:1,qe:10:1"
RERANKED = "krecip:20:6:0.3"
CHOSEN = "rca:192:15,dba:10:2,qe:10:2"  # by `imgsearch choose` on these pictures
RANKINGS = (None, PCA, RCA, RERANKED, f"{PCA},{EXPANDED}", f"{RCA},{EXPANDED}", CHOSEN)
SPLIT_RANKINGS = (*RANKINGS, f"{PCA},{EXPANDED},{RERANKED}", f"{RCA},{EXPANDED},{RERANKED}")
SPLIT_EXTRACTORS = ("vgg16-rmac", "vgg16-rmac-ms", "vgg16-rmac-ml@int8", "vgg16-rmac-ml-ms@int8")
OWN_EXTRACTOR = "vgg16-rmac"
MEASURES = ("P@1", "P@4", "P@10", "mAP")
ROOT = Path(__file__).resolve().parents[1]
RESULT, TABLES = ROOT / "results" / "caltech101.json", ROOT / "docs" / "caltech101.md"
# Of a published row: beside which ranking here, what it is, the measure, its value, what it uses, and the source.
Published = tuple[str | None, str, str, float, str, str]


def index_in_one_pass(folder: Path, addresses: dict[str, str]) -> None:
    """Makes one local index an extractor, from a single pass of the network they share."""
    joint = load_extractors(list(addresses))
    probes = joint.extract(probe_pixels(joint.side))
    roots = {"": str(folder.resolve())}
    images = {image.path: image for image in find_images(folder).images}
    waiting: list[tuple[ImageRecord, np.ndarray]] = []
    with ExitStack() as stack:
        indexes = {}
        for name, address in addresses.items():
            passport = new_passport(joint.specs[name], probes=probes[name], roots=roots)
            indexes[name] = stack.enter_context(building(address, passport))

        def commit() -> None:
            vectors = joint.extract(np.stack([pixels for _, pixels in waiting]))
            for name, index in indexes.items():
                index.add([record for record, _ in waiting], vectors[name])
            waiting.clear()

        loaded = load_many(images, joint.side, next(iter(joint.specs.values())).resampling)
        for path, item in tqdm(loaded, total=len(images), unit="img", desc=", ".join(addresses)):
            if not isinstance(item, Loaded):
                raise SystemExit(f"{path}: {item}")
            image = images[path]
            size = item.sha256, item.width, item.height
            record = ImageRecord(
                image.id, folder_label(image.id), *size, image.mtime, image.size, "", image.inode, image.ctime
            )
            waiting.append((record, item.pixels))
            if len(waiting) == BATCH:
                commit()
        if waiting:
            commit()


def row(address: str, extractor: str, rank: str | None, split: Path | None = None) -> dict[str, Any]:
    """One line of the table: the means with their intervals, and what the ranking uses besides the query."""
    with Gallery.open(address) as gallery:
        # A split names its pictures itself; no label needs to be taken out.
        found = gallery.evaluate(exclude_labels=() if split else (BACKGROUND,), rank=rank or "none", split=split)
    return {"extractor": extractor, "rank": rank, "uses": uses(rank)} | figures(found)


def uses(rank: str | None) -> dict[str, bool]:
    """What a ranking uses of labels, and of gallery pictures besides the two it compares."""
    steps = [step.split(":")[0] for step in rank.split(",")] if rank else []
    others = any(step in ("dba", "qe", "krecip") for step in steps)
    return {"labels": False, "gallery statistics": bool(steps), "other gallery pictures": others}


def figures(found: Evaluation) -> dict[str, Any]:
    plain = found.to_json()
    means = {mean: {name: plain[mean][name] for name in MEASURES} for mean in ("micro", "macro")}
    return {"queries": plain["queries"], "gallery": plain["gallery"], "date": plain["date"]} | means


def own_row_inside(address: str, extractor: str, rank: str) -> dict[str, Any]:
    """Database augmentation as it is mostly measured: the query is one of the pictures its answers were summed with."""
    with Gallery.open(address) as gallery:
        experiment, _ = read_experiment(gallery.index, exclude_labels=(BACKGROUND,))
    classes, ranking = experiment.classes(experiment.gallery), Ranking.fit(rank, experiment.gallery_vectors)
    ids = [record.id for record in experiment.gallery]
    scores = score_queries(
        lambda rows: ranking.scores(experiment.query_vectors[rows]), classes, classes, experiment.junk, KS
    )
    found = Evaluation(ids, ids, experiment.labels, classes, classes, scores, KS, experiment.about)
    return {"extractor": extractor, "rank": rank, "own row": "inside the sums"} | figures(found)


BOOK = "[Practical Deep Learning](https://github.com/PracticalDL/Practical-Deep-Learning-Book), chapter 4"
ZOO = "[PyRetri](https://github.com/PyRetri/PyRetri), model zoo"
PUBLISHED: dict[str, list[Published]] = {  # by protocol
    "leave-one-out": [
        (None, "ResNet-50, 2,048-d", "P@4", 0.8706, "–", BOOK),
        (None, "ResNet-50, fine-tuned on Caltech-101", "P@4", 0.8948, "labels", BOOK),
        (PCA, "ResNet-50, PCA", "P@4", 0.8765, "statistics", BOOK),
    ],
    "split": [
        (PCA, "ResNet-50, GeM, PCA 512", "mAP", 0.779, "statistics", ZOO),
        (f"{PCA},{EXPANDED},{RERANKED}", "the same, DBA, QE, k-reciprocal", "mAP", 0.861, "other pictures", ZOO),
    ],
}

HEAD = """# Caltech-101

Written by `python benchmarks/caltech101.py FOLDER --split FILE` from [its figures](../results/caltech101.json), with
95 % bootstrap intervals. No row of this kit uses a label; the rankings' numbers were chosen by these figures, which
change little around them. The last column says what of the gallery a row uses besides the two pictures it compares.
Published rows stand below those they compare with, as they were published, without intervals.
"""
OWN = """
In all rows above the query's own row is strictly left out: an augmented vector that contains it is replaced, for this
query, by what it is without. As database augmentation is mostly measured, the query stays inside its answers' sums:
"""


def tables(document: dict[str, Any]) -> str:
    """The document as Markdown."""
    rows, split = document["leave-one-out"], document["split"]
    parts = [
        HEAD,
        f"## Leave-one-out: each of {rows[0]['queries']:,} pictures against all others",
        "",
        *table(rows, PUBLISHED["leave-one-out"]),
        OWN,
        *table([document["own row inside"]] if document["own row inside"] else [], []),
    ]
    if split:
        parts += [
            f"\n## Published split: {split[0]['queries']:,} queries, {split[0]['gallery']:,} gallery pictures",
            "",
        ]
        parts += table(split, PUBLISHED["split"])
    return "\n".join(parts) + "\n"


def summary(document: dict[str, Any]) -> str:
    """README's table: micro P@4 / mAP of every extractor under every ranking, leave-one-out."""
    names = list(dict.fromkeys(line["extractor"] for line in document["leave-one-out"]))
    lines = [
        f"| ranking | {' | '.join(f'`{name}`' for name in names)} | published, P@4 |",
        "|---" * (len(names) + 2) + "|",
    ]
    for rank in RANKINGS:
        rows = [line["micro"] for line in document["leave-one-out"] if line["rank"] == rank]
        cells = [f"{row['P@4']['value']:.4f} / {row['mAP']['value']:.4f}" for row in rows]
        beside = [f"{what} {value:.4f}" for after, what, _, value, *_ in PUBLISHED["leave-one-out"] if after == rank]
        lines.append(f"| {f'`{rank}`' if rank else 'raw'} | {' | '.join(cells)} | {'; '.join(beside)} |")
    return "\n".join(lines)


def table(rows: list[dict[str, Any]], published: list[Published]) -> list[str]:
    columns = [(mean, name) for mean in ("micro", "macro") for name in MEASURES]
    lines = ["| ranking | extractor | " + " | ".join(" ".join(column) for column in columns) + " | gallery |"]
    lines.append("|---" * (len(columns) + 3) + "|")
    for rank in dict.fromkeys(line["rank"] for line in rows):
        name = f"`{rank}`" if rank else "raw"
        for line in (line for line in rows if line["rank"] == rank):
            cells = [shown(line[mean][measure]) for mean, measure in columns]
            lines.append(f"| {name} | `{line['extractor']}` | {' | '.join(cells)} | {gallery_use(line)} |")
        for beside, what, measure, value, used, source in published:
            if beside == rank:
                cells = [f"{value:.4f}" if column == ("micro", measure) else "" for column in columns]
                lines.append(f"| {name} | {what} ({source}) | {' | '.join(cells)} | {used} |")
    return lines


def shown(figure: dict[str, float]) -> str:
    return f"{figure['value']:.4f} [{figure['low']:.4f}, {figure['high']:.4f}]"


def gallery_use(line: dict[str, Any]) -> str:
    if "own row" in line:
        return "other pictures, the query too"
    used = line["uses"]
    return "other pictures" if used["other gallery pictures"] else "statistics" if used["gallery statistics"] else "–"


def renewed(before: dict[str, Any], addresses: dict[str, str], split: Path | None) -> dict[str, Any]:
    """The document with the rows of these extractors measured now; all others stay as they were ``before``."""
    pairs = [(name, rank) for name in addresses for rank in RANKINGS]
    alone = [row(addresses[name], name, rank) for name, rank in pairs]
    pairs = [(name, rank) for name in addresses if name in SPLIT_EXTRACTORS for rank in SPLIT_RANKINGS]
    parted = [row(addresses[name], name, rank, split) for name, rank in pairs] if split else []
    own, passports = before.get("own row inside"), dict(before.get("passports", {}))
    if OWN_EXTRACTOR in addresses:
        own = own_row_inside(addresses[OWN_EXTRACTOR], OWN_EXTRACTOR, f"{PCA},{EXPANDED}")
    for name, address in addresses.items():
        with Gallery.open(address) as gallery:
            passports[name] = gallery.passport.published()
    return {
        "leave-one-out": replaced(before.get("leave-one-out", []), alone),
        "own row inside": own,
        "split": replaced(before.get("split", []), parted),
        "passports": passports,
    }


def replaced(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The old rows, in their order, but for those there is a new one of; then the others of the new ones."""
    return list({(line["extractor"], line["rank"]): line for line in [*old, *new]}.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--work", type=Path, default=Path("artifacts/caltech101"))
    parser.add_argument("--split", type=Path)
    parser.add_argument("--only", nargs="+", metavar="EXTRACTOR", choices=[name for names in PASSES for name in names])
    parser.add_argument("-o", "--output", type=Path, default=RESULT)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    before: dict[str, Any] = json.loads(args.output.read_text()) if args.only and args.output.exists() else {}
    addresses: dict[str, str] = {}
    for names in PASSES:
        wanted = {name: f"local:{args.work / name}.db" for name in names if not args.only or name in args.only}
        missing = {name: address for name, address in wanted.items() if not (args.work / f"{name}.db").exists()}
        if missing:
            index_in_one_pass(args.folder, missing)
        addresses |= wanted
    document = renewed(before, addresses, args.split)
    args.output.write_text(json.dumps(document, indent=2) + "\n")
    if args.output == RESULT:
        TABLES.write_text(tables(document))
    print(tables(document), summary(document), sep="\n")


if __name__ == "__main__":
    main()
