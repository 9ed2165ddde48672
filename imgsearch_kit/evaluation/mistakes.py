"""Where an evaluation goes wrong: classes taken for each other, and the worst queries with what they found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.evaluation.report import Evaluation
from imgsearch_kit.records import Hit
from imgsearch_kit.vectors import Ints


@dataclass(frozen=True, slots=True)
class ConfusedPair:
    """Two classes: of all first places of ``query``'s pictures, ``share`` in (0, 1] show ``retrieved``."""

    query: str
    retrieved: str
    share: float


@dataclass(frozen=True, slots=True)
class QueryReport:
    """One query, its value in a measure, and its first hits in rank order."""

    id: str
    label: str
    value: float
    hits: tuple[Hit, ...]


def confusion(evaluation: Evaluation, k: int) -> Ints:
    """The retrieval confusion matrix, ``(C, L)`` counts: class of the query by class of its first ``k`` hits.

    Rows are the evaluation's ``scored_classes``, columns its ``labels``; a row's sum is k for each of its queries, less
    where a ranking is shorter.

    :raises BadQuery: when ``k`` is not between 1 and the largest k evaluated.
    """
    if not 1 <= k <= max(evaluation.ks):
        raise BadQuery(f"The first {max(evaluation.ks)} places were kept; k is {k}. Evaluate with a k that large.")
    top = evaluation.scores.top[:, :k]
    ranked = top >= 0
    rows = np.broadcast_to(evaluation.strata[:, None], top.shape)[ranked]
    counts = np.zeros((len(evaluation.scored_classes), len(evaluation.labels)), np.int64)
    np.add.at(counts, (rows, evaluation.gallery_classes[top[ranked]]), 1)
    return counts


def hardest_pairs(evaluation: Evaluation, k: int, count: int = 10) -> list[ConfusedPair]:
    """The classes most often found for another class's queries, largest share of its first ``k`` places first.

    :raises BadQuery: when ``k`` is not between 1 and the largest k evaluated.
    """
    counts = confusion(evaluation, k).astype(np.float64)
    shares = counts / counts.sum(axis=1, keepdims=True)
    shares[np.arange(len(shares)), evaluation.scored_classes] = 0
    rows, columns = np.unravel_index(np.argsort(-shares, axis=None, kind="stable")[:count], shares.shape)
    names = [evaluation.labels[c] for c in evaluation.scored_classes.tolist()]
    pairs = zip(rows.tolist(), columns.tolist(), shares[rows, columns].tolist(), strict=True)
    return [ConfusedPair(names[r], evaluation.labels[c], share) for r, c, share in pairs if share > 0]


def worst_queries(evaluation: Evaluation, count: int = 10, measure: str = "mAP") -> list[QueryReport]:
    """The queries that did worst in ``measure``, worst first, equals in id order, each with the hits that were kept.

    :raises BadQuery: when there is no such measure.
    """
    if measure not in evaluation.measures:
        raise BadQuery(f"There is no measure {measure!r}. Choose one of: {', '.join(evaluation.measures)}.")
    values = evaluation.scores.values[measure]
    worst = np.argsort(-values if measure == "first-hit rank" else values, kind="stable")[:count]
    return [
        QueryReport(
            evaluation.queries[row],
            evaluation.labels[evaluation.query_classes[row]],
            float(values[row]),
            _hits(evaluation, row),
        )
        for row in worst.tolist()
    ]


def _hits(evaluation: Evaluation, row: int) -> tuple[Hit, ...]:
    places = zip(evaluation.scores.top[row].tolist(), evaluation.scores.top_scores[row].tolist(), strict=True)
    return tuple(
        Hit(rank, evaluation.gallery[found], evaluation.labels[evaluation.gallery_classes[found]], score)
        for rank, (found, score) in enumerate(places, start=1)
        if found >= 0
    )
