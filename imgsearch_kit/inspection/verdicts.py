"""The verdict on a query, "nothing here looks like this": learned from an index, kept in the cache, and read there."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imgsearch_kit.arguments import whole_number
from imgsearch_kit.errors import BadQuery
from imgsearch_kit.files import artefact, kept_artefact
from imgsearch_kit.index.base import VectorIndex
from imgsearch_kit.inspection.neighbours import MOST_EXAMINED
from imgsearch_kit.inspection.novelty import FOLDS, Novelty, NoveltyModel, learn_novelty
from imgsearch_kit.inspection.surroundings import KINDS_OF_FEATURES, NEAREST, Surroundings
from imgsearch_kit.progress import progress_bar
from imgsearch_kit.records import IndexPassport, Vectors
from imgsearch_kit.results import Verdict

NOVELTY_FILE, NOVELTY_SEED = "novelty.npz", 0
BY_FEATURE = {
    "closest": "The closest is {closest:.2f}, as usual, but it is far in what tells the indexed classes apart.",
    "together": "Its ten closest together are further away than those of indexed pictures nearly always are.",
    "crowd": "Its closest pictures are much closer to each other than to it.",
    "classes": "Its ten closest are of many classes: at most {together} are of one.",
    "between": "It lies between the indexed classes, hardly nearer to one than to the next.",
    "outside": "It differs from the indexed pictures in what hardly differs between them.",
}
BY_COSINE = "The closest is {closest:.2f}; indexed pictures nearly always have one above {usual:.2f}."


@dataclass(frozen=True)
class KeptNovelty:
    """A novelty model, with the rows of the indexed pictures by id; ``of`` is the index's uuid and generation."""

    novelty: Novelty
    rows: dict[str, int]
    of: tuple[str, int]

    nearest = NEAREST

    def verdict(self, vector: Vectors, near: Sequence[tuple[str, float]]) -> Verdict | None:
        """The verdict on a query ``(1, dim)`` that is not indexed; ``near`` has ids and cosines, nearest first.

        None when fewer than ten are given, or one that was not there when the model was learned.
        """
        near = near[:NEAREST]
        rows = np.array([[self.rows.get(id_, -1) for id_, _ in near]])
        if len(near) < NEAREST or (rows < 0).any():
            return None
        known, model = self.novelty.surroundings, self.novelty.model
        features = known.features(vector, rows, np.array([[score for _, score in near]], np.float32))
        closest, usual = near[0][1], self.novelty.usual
        if not model.novel(features)[0]:
            return Verdict(True, closest, usual)
        parts: dict[str, float] = dict.fromkeys(BY_FEATURE, 0.0)
        for kind, part in zip(KINDS_OF_FEATURES, model.parts(features)[0].tolist(), strict=True):
            parts[kind] += part
        why = BY_COSINE if closest < usual else BY_FEATURE[max(parts, key=lambda kind: parts[kind])]
        said = why.format(closest=closest, usual=usual, together=int(known.together(rows)[0]))
        return Verdict(False, closest, usual, said)


def novelty(index: VectorIndex, *, seed: int = NOVELTY_SEED, progress: bool | None = None) -> Novelty:
    """The novelty model of an index, learned from its labelled pictures with whole classes held out. Kept in the cache.

    :raises BadQuery: when there are too few classes or pictures, too many without a label, or more than 200,000.
    """
    passport, seed = index.read_passport(), whole_number("seed", seed, 0)
    if passport.count > MOST_EXAMINED:
        raise BadQuery(
            f"To learn when nothing looks like a picture from {passport.count:,} pictures would take many hours; at "
            f"most {MOST_EXAMINED:,} are compared with each other."
        )

    def make() -> KeptNovelty:
        records, vectors = index.entries()
        from imgsearch_kit.inspection.health import class_numbers, file_numbers

        classes, files = class_numbers([r.label for r in records])[1], file_numbers([r.sha256 for r in records])
        with progress_bar("holding out classes", "fold", FOLDS, shown=progress) as bar:
            learned = learn_novelty(vectors, classes, files, seed=seed, done=bar.update)
        return KeptNovelty(learned, {r.id: row for row, r in enumerate(records)}, _of(passport))

    return artefact(passport, NOVELTY_FILE, {"seed": seed}, make, _save, lambda path: _load(path, passport)).novelty


def kept_novelty(passport: IndexPassport) -> KeptNovelty | None:
    """The novelty model of an index in this generation if it was learned, else None."""
    return kept_artefact(passport, NOVELTY_FILE, {"seed": NOVELTY_SEED}, lambda path: _load(path, passport))


def _of(passport: IndexPassport) -> tuple[str, int]:
    return passport.uuid, passport.generation


def _save(kept: KeptNovelty, path: Path) -> None:
    """Writes arrays as .npz, without pickle; ids as JSON."""
    found = kept.novelty
    arrays: dict[str, Any] = {f.name: getattr(found.surroundings, f.name) for f in dataclasses.fields(Surroundings)}
    arrays |= {f"model.{f.name}": getattr(found.model, f.name) for f in dataclasses.fields(NoveltyModel)}
    arrays |= {"rates": np.array([found.flagged, found.alarms]), "classes.held_out": found.classes}
    arrays["ids"] = np.frombuffer(json.dumps(list(kept.rows)).encode(), np.uint8)
    with path.open("wb") as file:  # numpy would add .npz to a path
        np.savez(file, allow_pickle=False, **arrays)


def _load(path: Path, passport: IndexPassport) -> KeptNovelty:
    with np.load(path, allow_pickle=False) as file:
        known = Surroundings(*(file[f.name] for f in dataclasses.fields(Surroundings)))
        mean, scale, weights, bound = (file[f"model.{f.name}"] for f in dataclasses.fields(NoveltyModel))
        flagged, alarms = file["rates"].tolist()
        model = NoveltyModel(mean, scale, weights, float(bound))
        found = Novelty(known, model, flagged, alarms, int(file["classes.held_out"]))
        ids = json.loads(file["ids"].tobytes())
    return KeptNovelty(found, {id_: row for row, id_ in enumerate(ids)}, _of(passport))
