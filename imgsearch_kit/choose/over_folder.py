"""The choice over a labelled folder: extraction, trial, choice, costs, and the index of what was chosen."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from imgsearch_kit.arguments import whole_number
from imgsearch_kit.choose.choice import SPLITS, Choice, Cost
from imgsearch_kit.choose.trial import COMPARED_EXTRACTORS, COMPARED_RANKINGS, Candidate, try_candidates
from imgsearch_kit.errors import BadQuery
from imgsearch_kit.extractors.base import Extractor, probe_pixels
from imgsearch_kit.extractors.int8 import INT8
from imgsearch_kit.extractors.loading import preset_of
from imgsearch_kit.extractors.weights import Say
from imgsearch_kit.images import MAX_PIXELS, find_images
from imgsearch_kit.index.building import check_free
from imgsearch_kit.indexing.extractor import bring_weights
from imgsearch_kit.indexing.features import Features, extract_features, labelled_images, remembering, sampled
from imgsearch_kit.indexing.labels import labels_of
from imgsearch_kit.progress import progress_bar
from imgsearch_kit.ranking import Ranking

if TYPE_CHECKING:
    from imgsearch_kit.gallery import Gallery

log = logging.getLogger("imgsearch_kit")

MOST_COMPARED = 10_000  # pictures, unless another number is given; the trial takes time with their square
TIMED = 16  # pictures and queries of which the costs are measured


def choose(
    kind: type[Gallery],
    folder: Path | str,
    *,
    extractors: Sequence[str] | None = None,
    rankings: Sequence[str | None] = COMPARED_RANKINGS,
    int8: bool | None = None,
    sample: int = MOST_COMPARED,
    exclude_labels: Sequence[str] = (),
    labels: Path | str | Mapping[str, str | None] | None = None,
    label_level: int | None = None,
    splits: int = SPLITS,
    seed: int = 0,
    write: str | None = None,
    weights: Path | None = None,
    engine: str | None = None,
    fetch: bool = True,
    max_pixels: int = MAX_PIXELS,
    say: Say | None = None,
    progress: bool | None = None,
) -> Choice:
    """The answer to ``Gallery.choose``; ``kind`` is the class of the gallery that ``write`` makes."""
    sample, splits, seed = (
        whole_number("sample", sample, 4),
        whole_number("splits", splits),
        whole_number("seed", seed, 0),
    )
    if write is not None:
        check_free(write)
    names = list(extractors or _named(COMPARED_EXTRACTORS, int8 is not False and (int8 or weights is None)))
    for name in names:
        preset_of(name)
    given = None if labels is None else labels_of(labels)
    images = labelled_images(
        find_images(Path(folder)), labels=given, label_level=label_level, exclude_labels=exclude_labels
    )
    say = _once(say or log.info)
    if fetch and weights is None:
        bring_weights(say)
    started = time.monotonic()
    features = extract_features(
        sampled(images, sample), names, weights, engine=engine, max_pixels=max_pixels, say=say, progress=progress
    )
    classes = np.unique(features.labels, return_inverse=True)[1]
    asked = np.bincount(classes)[classes] > 1
    if np.count_nonzero(asked) < 4:
        raise BadQuery(
            f"Of {len(classes)} pictures only {np.count_nonzero(asked)} share their class with another one; at least 4 "
            "are needed. Put more pictures into each class."
        )
    extracted = time.monotonic()
    with progress_bar("comparing", "candidate", len(names) * len(rankings), shown=progress) as bar:
        trial = try_candidates(features.vectors, classes, rankings, done=bar.update)
    seconds = {"extract": round(extracted - started, 1), "compare": round(time.monotonic() - extracted, 1)}
    found = Choice(trial, classes[asked], len(classes), splits, seed, {}, features.warnings, features.failed, seconds)
    chosen = found.winner if found.better else found.default
    used = dict.fromkeys((chosen.extractor, found.default.extractor))
    networks = {name: remembering(name, features, weights, engine=engine, say=say) for name in used}
    costs = {each: _cost(each, networks[each.extractor], features) for each in dict.fromkeys((chosen, found.default))}
    if write is not None:
        made = kind.from_folder(
            folder,
            write,
            networks[chosen.extractor],
            rank=chosen.rank,
            labels=labels,
            label_level=label_level,
            max_pixels=max_pixels,
            progress=progress,
        )
        made.close()
    return replace(found, costs=costs)


def _once(say: Say) -> Say:
    """The same without what it has said before: several networks come from the same weights."""
    said: set[str] = set()

    def new(text: str) -> None:
        if text not in said:
            said.add(text)
            say(text)

    return new


def _named(presets: Sequence[str], int8: bool) -> list[str]:
    return [name + INT8 if int8 else name for name in presets]


def _cost(candidate: Candidate, network: Extractor, features: Features) -> Cost:
    """The costs of a candidate, measured here: the median of a few repetitions, after one that is not timed."""
    vectors = features.vectors[candidate.extractor]
    pixels = np.concatenate([probe_pixels(network.spec.side)] * (TIMED // 2))
    extracted = _median(lambda: network.extract(pixels)) / len(pixels)
    asked = vectors[:1]
    ranking = Ranking.fit(candidate.rank, vectors) if candidate.rank else Ranking(vectors, ())
    return Cost(round(extracted, 2), 4 * vectors.shape[1], round(_median(lambda: ranking.scores(asked)), 2))


def _median(work: Any, times: int = 5) -> float:
    """The milliseconds that some work takes."""
    taken = []
    for _ in range(times + 1):
        started = time.perf_counter()
        work()
        taken.append((time.perf_counter() - started) * 1e3)
    return float(np.median(taken[1:]))
