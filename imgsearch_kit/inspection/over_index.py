"""The health of an index, and the calibration of its scores, from its stored vectors."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np

from imgsearch_kit.arguments import places, whole_number
from imgsearch_kit.errors import BadQuery
from imgsearch_kit.evaluation.metrics import same_picture
from imgsearch_kit.files import artefact
from imgsearch_kit.index.base import VectorIndex
from imgsearch_kit.inspection.calibration import Calibrated, calibrate, reliability
from imgsearch_kit.inspection.findings import Health
from imgsearch_kit.inspection.health import NEAR, examine
from imgsearch_kit.inspection.neighbours import MOST_EXAMINED, nearest_others
from imgsearch_kit.progress import counted_progress, progress_bar
from imgsearch_kit.ranking.chain import kept_ranking
from imgsearch_kit.records import IndexPassport, Vectors
from imgsearch_kit.vectors import Bools, Ints, Scores, blocks, first

MOST_ASKED = 10_000  # pictures that a calibration is learned from; more would hardly narrow its bounds


def health(
    index: VectorIndex,
    *,
    k: int = 10,
    near: float = NEAR,
    progress: bool | Callable[[float], object] | None = None,
) -> Health:
    """Duplicates, hubs and orphans, and suspected labels of an index, with their effects on P@k.

    ``progress`` may be a function that gets the share that is done, from 0 to 1; what it raises ends the work.

    :raises BadQuery: when the index is empty or has more than 200,000 pictures, or ``k`` or ``near`` is out of range.
    """
    k = whole_number("k", k)
    if (count := index.read_passport().count) > MOST_EXAMINED:
        raise BadQuery(
            f"To compare each of {count:,} pictures with all others would take many hours; at most {MOST_EXAMINED:,} "
            "are examined. Examine a part: make an index of one sub-folder, or of pictures drawn from all."
        )
    records, vectors = index.entries()
    labels, hashes = [record.label for record in records], [record.sha256 for record in records]
    ids = [record.id for record in records]
    with counted_progress("examining", "img", len(ids), progress) as done:
        return examine(ids, vectors, labels, hashes, k=places(k, len(ids)), near=near, done=done)


def calibration(
    index: VectorIndex, *, k: int = 10, seed: int = 0, rank: str | None = None, progress: bool | None = None
) -> Calibrated:
    """The calibration of an index, learned leave-one-out from the first ``k`` hits of its labelled pictures.

    Of more than 10,000 so many are drawn at random, and each is asked about all. A picture's copies (same sha256) are
    not among its hits, as in a search. With a ``rank`` SPEC it is of the scores under that ranking. The result is
    cached.

    :raises BadQuery: when fewer than four pictures have a label, or the SPEC is misspelt or not possible.
    """
    k, seed = whole_number("k", k), whole_number("seed", seed, 0)
    return artefact(
        index.read_passport(),
        "ranked_calibration.json" if rank else "calibration.json",  # so that rankings tried out leave this one
        {"k": k, "seed": seed, "rank": rank or ""},
        lambda: _calibration(index, k, seed, rank or None, progress),
        lambda made, path: path.write_text(json.dumps(made.to_json()), encoding="utf-8"),
        lambda path: Calibrated.from_json(json.loads(path.read_text(encoding="utf-8"))),
    )


def _calibration(index: VectorIndex, k: int, seed: int, rank: str | None, progress: bool | None) -> Calibrated:
    passport = index.read_passport()
    records, vectors = index.entries()
    labelled = np.flatnonzero([record.label is not None for record in records])
    if len(labelled) < 4:
        raise BadQuery(
            f"{len(labelled)} of {len(records)} pictures have a label; at least 4 are needed for a calibration. "
            "Labels are folder names; `imgsearch label CSV` sets them."
        )
    vectors, k = vectors[labelled], places(k, len(labelled))
    classes = np.unique([str(records[row].label) for row in labelled], return_inverse=True)[1]
    files = np.unique([records[row].sha256 or f"row {row}" for row in labelled], return_inverse=True)[1]
    shuffled = np.random.default_rng(seed).permutation(len(labelled))
    half, other = np.sort(shuffled[::2]), np.sort(shuffled[1::2])
    asked = np.zeros(len(labelled), bool)
    asked[shuffled[:MOST_ASKED]] = True  # of both halves as many

    def hits(rows: Ints) -> tuple[Scores, Bools]:
        asking, classes_of = np.flatnonzero(asked[rows]), classes[rows]
        found, scores = nearest_others(vectors[rows], asking, k, files[rows], done=bar.update)
        return scores, classes_of[found] == classes_of[asking, None]

    queries = np.flatnonzero(asked)
    with progress_bar("calibrating", "img", (1 if rank else 2) * len(queries), shown=progress) as bar:
        if rank:  # learned once, from all pictures; only the queries are parted
            scores, columns = _ranked_hits(passport, rank, vectors, queries, files, k, bar.update)
            all_ = scores, classes[columns] == classes[queries, None]
            parts = [(scores[rows], all_[1][rows]) for rows in (np.isin(queries, half), np.isin(queries, other))]
        else:  # neither half sees the other's pictures
            parts = [hits(half), hits(other)]
            all_ = hits(np.arange(len(labelled)))
        held_out = reliability(calibrate(*parts[0], seed=seed), *parts[1], seed=seed)
        return Calibrated(calibrate(*all_, seed=seed), held_out, _precision(*all_, queries, classes, files), rank)


def _ranked_hits(
    passport: IndexPassport,
    rank: str,
    vectors: Vectors,
    queries: Ints,
    files: Ints,
    k: int,
    done: Callable[[int], object],
) -> tuple[Scores, Ints]:
    """Scores and rows, ``(m, k)``, of the first hits of ``m`` queries under a ranking; NaN where there are fewer."""
    own = same_picture(files[queries], files)
    ranking = kept_ranking(passport, rank, vectors, spare=int(own.sum(axis=1).max()))
    found = []
    for rows in blocks(len(queries), len(vectors)):
        columns, scores = first(ranking.scores(vectors[queries[rows]], own[rows]), k)
        found.append((np.where(np.isfinite(scores), scores, np.nan), columns))
        done(len(columns))
    scores, columns = (np.concatenate(part) for part in zip(*found, strict=True))
    return scores, columns


def _precision(scores: Scores, same: Bools, queries: Ints, classes: Ints, files: Ints) -> float | None:
    """The mean P@4 of the queries whose class has another picture that is no copy, None without any."""
    both = np.unique(np.stack([classes, files]), axis=1, return_inverse=True)[1]
    asking = (np.bincount(classes)[classes] > np.bincount(both)[both])[queries]
    if scores.shape[1] < 4 or not asking.any():
        return None
    return float((same & ~np.isnan(scores))[asking, :4].mean())
