"""The loss of approximate answers against exact ones: of neighbours, and of neighbours with the query's label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from imgsearch_kit.evaluation import intervals as bootstrap
from imgsearch_kit.records import Neighbours
from imgsearch_kit.vectors import Floats, Ints

TIE = 1e-6  # cosines this close count as equal; the same sums on two servers differ by less


@dataclass(frozen=True)
class Loss:
    """The loss of an approximate method over ``m`` queries; each triple is (value, low, high) with 95 % bounds.

    ``recall`` is recall@k against the exact answers, ``precision`` the P@k of the approximate answers and ``lost`` how
    much higher it is for the exact ones, both over queries with a label and NaN without any. ``short`` counts the
    queries with fewer hits than the exact answer, ``missing`` the hits that they lack.
    """

    recall: tuple[float, float, float]
    precision: tuple[float, float, float]
    lost: tuple[float, float, float]
    short: int
    missing: int


def without(found: Neighbours, own: Sequence[str], k: int) -> Neighbours:
    """The first ``k`` hits of each query that are not the query itself: ``own`` holds an id per query, "" for none."""
    shape = len(own), min(k, found.ids.shape[1])
    ids, scores = np.full(shape, "", dtype=found.ids.dtype), np.full(shape, np.nan, np.float32)
    others = (found.ids != np.array(own, dtype=str)[:, None]) & (found.ids != "")
    for row, keep in enumerate(others):
        place = np.flatnonzero(keep)[:k]
        ids[row, : len(place)], scores[row, : len(place)] = found.ids[row, place], found.scores[row, place]
    return Neighbours(ids, scores, found.method, found.note)


def recall_at_k(exact: Neighbours, found: Neighbours) -> Floats:
    """The share of each query's exact neighbours that was found, ``(m,)`` float64; NaN where there are none.

    Compared by id. A hit that is not among the exact ``k`` also counts when its cosine is at least that of the last of
    them, within 1e-6: then they are equally near. A missing hit is a miss.
    """
    available = (exact.ids != "").sum(axis=1)
    last = np.nanmin(np.where(exact.ids == "", np.inf, exact.scores), axis=1, initial=np.inf)
    same = (found.ids[:, :, None] == exact.ids[:, None, :]).any(axis=2)
    near = found.scores >= last[:, None] - TIE  # a NaN compares false
    hits = ((same | near) & (found.ids != "")).sum(axis=1)
    return np.where(available > 0, np.minimum(hits, available) / np.maximum(available, 1), np.nan)


def missing(exact: Neighbours, found: Neighbours) -> Ints:
    """How many hits each query lacks compared with the exact answer, ``(m,)``."""
    return np.maximum((exact.ids != "").sum(axis=1) - (found.ids != "").sum(axis=1), 0)


def precision_at_k(found: Neighbours, wanted: Sequence[str | None], labels: Mapping[str, str | None]) -> Floats:
    """The share of the ``k`` hits with the query's label, ``(m,)`` float64; NaN for a query without a label.

    ``wanted`` holds the queries' labels, ``labels`` maps ids to labels. It is always divided by k, so missing hits
    count as wrong.
    """
    hits = [
        np.nan if label is None else sum(bool(i) and labels.get(i) == label for i in row) / found.ids.shape[1]
        for label, row in zip(wanted, found.ids.tolist(), strict=True)
    ]
    return np.array(hits, np.float64)


def losses(
    exact: Neighbours, answers: Sequence[Neighbours], wanted: Sequence[str | None], labels: Mapping[str, str | None]
) -> list[Loss]:
    """The loss of each of several approximate answers to the same ``m`` queries; arguments as in the other functions.

    Bounds resample queries within their class; queries without a label form one class.
    """
    names = np.array([label or "" for label in wanted])
    classes = np.unique(names, return_inverse=True)[1]
    recalls = np.stack([recall_at_k(exact, found) for found in answers], axis=1)
    base = precision_at_k(exact, wanted, labels)[:, None]
    precisions = np.stack([precision_at_k(found, wanted, labels) for found in answers], axis=1)
    recall, precision, lost = (_means(values, classes) for values in (recalls, precisions, base - precisions))
    gone = [missing(exact, found) for found in answers]
    return [
        Loss(recall[i], precision[i], lost[i], int((lacking > 0).sum()), int(lacking.sum()))
        for i, lacking in enumerate(gone)
    ]


def _means(values: Floats, classes: Ints) -> list[tuple[float, float, float]]:
    """The mean of each column with its bounds, over the rows that have values; NaN when none has."""
    known = ~np.isnan(values).any(axis=1)
    table = np.full((values.shape[1], 3), np.nan)
    if known.any():
        table = bootstrap.intervals(values[known], np.unique(classes[known], return_inverse=True)[1]).micro
    return [(value, low, high) for value, low, high in table.tolist()]
