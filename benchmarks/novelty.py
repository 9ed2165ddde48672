"""Of how many pictures whose class is not indexed is it told that nothing looks like them, at 5 % false alarms.

Caltech-101 without its background class, in five folds: twenty classes that are not indexed to test, twenty to learn
from, and the others indexed. A tenth of the pictures of these is not indexed either: false alarms are counted on them,
because directions that were learned from a picture flatter it. A model is learned from the four folds in which the
tested classes are not among those to learn from, and its bound from these too. Five ways to part the classes.

    imgsearch index caltech101 --index local:caltech.db
    python benchmarks/novelty.py local:caltech.db
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from imgsearch_kit import Gallery
from imgsearch_kit.inspection.health import class_numbers, file_numbers
from imgsearch_kit.inspection.novelty import FALSE_ALARMS, FOLDS, Examples, NoveltyModel, examples
from imgsearch_kit.records import Vectors
from imgsearch_kit.vectors import Ints

RESULTS = Path(__file__).parent / "results" / "novelty.json"
BACKGROUND = "BACKGROUND_Google"
PARTITIONS, TENTH = 5, 10
USED = {"the best cosine alone": [0], "as indexed only": [0, 1, 2, 3, 4, 5], "the kit's model": list(range(16))}

Fold = tuple[Examples, Examples, Examples]  # present, absent to learn from, absent to test


def folds(vectors: Vectors, classes: Ints, files: Ints, seed: int) -> list[Fold]:
    """The three kinds of pictures of each fold, compared with the indexed ones."""
    rng = np.random.default_rng(seed)
    fold_of = rng.permutation(np.arange(classes.max() + 1) % FOLDS)[classes]
    tenth_of = rng.permutation(int(files.max()) + 1)[files] % TENTH
    made = []
    for fold in tqdm(range(FOLDS), desc=f"partition {seed}"):
        tested, learned = fold_of == fold, fold_of == (fold + 1) % FOLDS
        absent = tested | learned
        asking = np.flatnonzero(~absent & (tenth_of == fold)), np.flatnonzero(absent)
        indexed = ~np.isin(files, files[np.concatenate(asking)])
        present, others = examples(vectors, classes, files, indexed, *asking)
        test = tested[absent]
        parts = (Examples(others.features[rows], others.classes[rows]) for rows in (~test, test))
        made.append((present, *parts))
    return made


def measure(made: Sequence[Fold], features: Sequence[int]) -> list[tuple[float, float, float]]:
    """The shares that a model of some features tells in each fold: of absent pictures, of present ones, and by class.

    The last is the mean over the absent classes.
    """
    kept = [tuple(dataclasses.replace(part, features=part.features[:, features]) for part in fold) for fold in made]
    rates = []
    for fold, (present, _, tested) in enumerate(kept):
        others = [number for number in range(FOLDS) if number != fold]
        absent = [kept[number][1] for number in others if (number + 1) % FOLDS != fold]
        model = NoveltyModel.fit(Examples.joined([kept[number][0] for number in others]), Examples.joined(absent))
        told = model.novel(tested.features)
        by_class = [told[tested.classes == number].mean() for number in np.unique(tested.classes)]
        rates.append((float(told.mean()), float(model.novel(present.features).mean()), float(np.mean(by_class))))
    return rates


def summary(rates: Sequence[tuple[float, float, float]]) -> dict[str, Any]:
    """Means, least and largest over the folds of all partitions."""
    found, alarms, by_class = (np.array(part) for part in zip(*rates, strict=True))
    spread = {"mean": float(found.mean()), "least": float(found.min()), "most": float(found.max())}
    spread |= {"deviation": float(found.std()), "mean_over_classes": float(by_class.mean())}
    return spread | {"false_alarms": float(alarms.mean())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("address")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    with Gallery.open(options.address) as gallery:
        records, vectors = gallery.index.entries()
        passport = gallery.passport.published()
    kept = np.flatnonzero([record.label not in (None, BACKGROUND) for record in records])
    names, classes = class_numbers([records[row].label for row in kept.tolist()])
    files = file_numbers([records[row].sha256 for row in kept.tolist()])
    made = [folds(vectors[kept], classes, files, seed) for seed in range(PARTITIONS)]
    rows = {name: summary([rate for each in made for rate in measure(each, used)]) for name, used in USED.items()}
    for name, row in rows.items():
        print(
            f"{name:26} told of {row['mean']:.3f} [{row['least']:.3f}, {row['most']:.3f}] of absent, "
            f"{row['false_alarms']:.3f} of present"
        )
    about = {"pictures": len(kept), "classes": len(names), "folds": FOLDS, "partitions": PARTITIONS}
    document = {"about": about | {"wanted_false_alarms": FALSE_ALARMS}, "rows": rows, "passport": passport}
    options.output.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
