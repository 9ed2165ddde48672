"""When nothing indexed looks like a picture: a model learned with whole classes held out, and how often it errs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.inspection.surroundings import NEAREST, Surroundings, nearest_of
from imgsearch_kit.records import Vectors
from imgsearch_kit.reports import Report
from imgsearch_kit.vectors import Bools, Floats, Ints

FALSE_ALARMS = 0.05  # of pictures of indexed classes
FOLDS = 5
QUERIES = 10  # a tenth of the pictures is taken out of the index to ask it
MANY, MOST_COMPARED = 20_000, 500  # of more pictures, at most so many of either kind are compared in a fold
RIDGE = 10.0  # penalty of the squared weights
FEWEST_CLASSES, FEWEST_PICTURES, LEAST_LABELLED = 10, 200, 0.9


@dataclass(frozen=True)
class Examples:
    """Pictures to learn from: their ``features`` ``(m, 16)`` and the numbers of their ``classes`` ``(m,)``."""

    features: Floats
    classes: Ints

    @classmethod
    def joined(cls, parts: Sequence[Examples]) -> Examples:
        """Those of several parts."""
        return cls(np.concatenate([p.features for p in parts]), np.concatenate([p.classes for p in parts]))

    def shares(self) -> Floats:
        """The weight of each, ``(m,)``: all classes have the same, and they sum to 1."""
        which, sizes = np.unique(self.classes, return_inverse=True, return_counts=True)[1:]
        return 1 / sizes[which] / len(sizes)


@dataclass(frozen=True)
class NoveltyModel:
    """A logistic model of "its class is not indexed": features are standardised by ``mean`` and ``scale``.

    A picture is told to be like nothing indexed when its score, ``weights`` times these, is above ``bound``. All but
    the bound are ``(16,)``.
    """

    mean: Floats
    scale: Floats
    weights: Floats
    bound: float

    def parts(self, features: Floats) -> Floats:
        """What each feature of ``(m, 16)`` adds to the score."""
        return (features - self.mean) / self.scale * self.weights

    def novel(self, features: Floats) -> Bools:
        """Of which pictures it is told that nothing indexed is like them, ``(m,)``."""
        return self.parts(features).sum(axis=1) > self.bound

    @classmethod
    def fit(cls, present: Examples, absent: Examples) -> NoveltyModel:
        """The model from pictures whose class is indexed, and others; both kinds count as much, and all their classes.

        The bound is the score that a share of ``FALSE_ALARMS`` of the former is above.
        """
        mean, scale = present.features.mean(axis=0), present.features.std(axis=0)
        scale = np.where(scale > 0, scale, 1.0)
        given = (np.concatenate([present.features, absent.features]) - mean) / scale
        novel = np.repeat([0.0, 1.0], [len(present.features), len(absent.features)])
        counts = np.concatenate([present.shares(), absent.shares()]) * len(given) / 2

        def loss(found: Floats) -> tuple[float, Floats]:
            score = given @ found[:-1] + found[-1]
            cost = counts @ (np.logaddexp(0, score) - novel * score) + RIDGE / 2 * (found[:-1] @ found[:-1])
            error = counts * (expit(score) - novel)
            return float(cost), np.append(given.T @ error + RIDGE * found[:-1], error.sum())

        from scipy.optimize import minimize  # slow to import, and a search only reads what was learned

        weights = minimize(loss, np.zeros(given.shape[1] + 1), jac=True, method="L-BFGS-B").x[:-1]
        bound = np.quantile(given[novel == 0] @ weights, 1 - FALSE_ALARMS, method="higher")
        return cls(mean, scale, weights, float(bound))


@dataclass(frozen=True)
class Novelty(Report):
    """The model of an index, with the pictures it compares with, and how often it errs on classes held out.

    ``flagged`` and ``alarms`` have one share a fold: of pictures of absent classes, and of indexed ones, of which a
    model that saw no such class absent tells that nothing looks like them.
    """

    surroundings: Surroundings
    model: NoveltyModel
    flagged: Sequence[float]
    alarms: Sequence[float]
    classes: int

    @property
    def usual(self) -> float:
        """The cosine that all but ``FALSE_ALARMS`` of the indexed pictures have to another one."""
        return float(np.quantile(self.surroundings.closest[:, 0], FALSE_ALARMS))

    @property
    def found(self) -> float:
        """The share of pictures of absent classes that are told, the mean over folds."""
        return float(np.mean(self.flagged))

    @property
    def false_alarms(self) -> float:
        """The share of pictures of indexed classes that are told wrongly, the mean over folds."""
        return float(np.mean(self.alarms))

    def to_json(self) -> dict[str, Any]:
        """What it was learned from and how often it errs, without the model."""
        return {
            "pictures": len(self.surroundings.classes),
            "classes": self.classes,
            "usual": self.usual,
            "missed": 1 - self.found,
            "false_alarms": self.false_alarms,
            "folds": [{"missed": 1 - f, "false_alarms": a} for f, a in zip(self.flagged, self.alarms, strict=True)],
        }

    def frame(self) -> Iterator[Mapping[str, Any]]:
        """The rows of ``to_dataframe``, one a fold: missed and false alarms."""
        yield from self.to_json()["folds"]

    def notes(self) -> Sequence[str]:
        """How often it errs."""
        low, high = 1 - max(self.flagged), 1 - min(self.flagged)
        return [
            f'"Nothing here looks like this" is told of {self.found:.0%} of pictures whose class is not indexed, and '
            f"missed of {1 - self.found:.0%} ({low:.0%} to {high:.0%} in {len(self.flagged)} parts of the "
            f"{self.classes} classes, each held out once). It is told wrongly of {self.false_alarms:.0%} of pictures "
            "whose class is indexed."
        ]


def learn_novelty(
    vectors: Vectors, classes: Ints, files: Ints, *, seed: int = 0, done: Callable[[int], object] = lambda fold: None
) -> Novelty:
    """The model learned from pictures ``(n, d)``; ``classes`` ``(n,)`` are numbers, -1 without a label.

    In each of five folds a fifth of the classes is taken out, and a tenth of the pictures of the others: both ask the
    rest; of more than 20,000 pictures, 500 of either kind drawn at random ask. Pictures of the same number in ``files``
    are copies, and taken out together. ``done`` is called after a fold.

    :raises BadQuery: when there are too few classes or pictures, or too many without a label.
    """
    labelled = np.flatnonzero(classes >= 0)
    several = int(np.count_nonzero(np.bincount(classes[labelled], minlength=1) > 1))
    pictures = len(np.unique(files[labelled]))
    if several < FEWEST_CLASSES or pictures < FEWEST_PICTURES or len(labelled) < LEAST_LABELLED * len(classes):
        raise BadQuery(
            f"{several} classes have several pictures, and {pictures:,} of {len(classes):,} pictures differ and have a "
            f"label. To learn when nothing looks like a picture, {FEWEST_CLASSES} classes, {FEWEST_PICTURES} pictures "
            f"and labels of {LEAST_LABELLED:.0%} are needed."
        )
    folds = []
    for asked in held_out(vectors[labelled], classes[labelled], files[labelled], seed):
        folds.append(asked)
        done(1)
    models = [_fitted(folds[:fold] + folds[fold + 1 :]) for fold in range(FOLDS)]
    rates = [
        [float(m.novel(asked.features).mean()) for m, asked in zip(models, side, strict=True)]
        for side in zip(*folds, strict=True)
    ]
    alarms, flagged = rates
    return Novelty(Surroundings.learn(vectors, classes, files), _fitted(folds), flagged, alarms, several)


def held_out(vectors: Vectors, classes: Ints, files: Ints, seed: int = 0) -> Iterator[tuple[Examples, Examples]]:
    """For each fold pictures of classes that are indexed there, and of those that are not."""
    rng = np.random.default_rng(seed)
    numbers, which = np.unique(classes, return_inverse=True)
    fold_of = rng.permutation(np.arange(len(numbers)) % FOLDS)[which]
    tenth_of = rng.permutation(int(files.max()) + 1)[files] % QUERIES
    for fold in range(FOLDS):
        absent = fold_of == fold
        parts = [np.flatnonzero(part) for part in (~absent & (tenth_of == fold), absent)]
        asking = [np.sort(rng.permutation(part)[:MOST_COMPARED]) for part in parts] if len(vectors) > MANY else parts
        out = np.concatenate(parts)
        indexed = ~np.isin(files, files[out])
        yield examples(vectors, classes, files, indexed, *asking)


def examples(
    vectors: Vectors, classes: Ints, files: Ints, indexed: Bools, present: Ints, absent: Ints
) -> tuple[Examples, Examples]:
    """The pictures in the rows ``present`` and ``absent`` compared with the ``indexed`` ones, a mask ``(n,)``."""
    asking, gallery = np.concatenate([present, absent]), vectors[indexed]
    few = vectors[asking] if NEAREST * len(asking) < len(gallery) else None
    known = Surroundings.learn(gallery, classes[indexed], files[indexed], few)

    def compared(rows: Ints) -> Examples:
        return Examples(known.features(vectors[rows], *nearest_of(vectors[rows], gallery)), classes[rows])

    return compared(present), compared(absent)


def _fitted(folds: Sequence[tuple[Examples, Examples]]) -> NoveltyModel:
    present, absent = (Examples.joined(side) for side in zip(*folds, strict=True))
    return NoveltyModel.fit(present, absent)
