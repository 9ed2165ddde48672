"""The errors in an evaluation: confused classes, and the worst queries with their hits."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.reports import Report, Table, share
from imgsearch_kit.results import Hit
from imgsearch_kit.vectors import Floats, Ints

if TYPE_CHECKING:
    from imgsearch_kit.evaluation.report import Evaluation
    from imgsearch_kit.plots import Plot


@dataclass(frozen=True, slots=True)
class ConfusedPair:
    """Two classes: of all first places of ``query``'s pictures, ``share`` in (0, 1] show ``retrieved``."""

    query: str
    retrieved: str
    share: float


@dataclass(frozen=True)
class Confusion(Report):
    """The classes of the first ``k`` hits by the class of the query: ``counts`` ``(C, L)``.

    ``queries`` names the ``C`` classes of queries, ``found`` the ``L`` classes of hits. A row's sum is k for each of
    its queries, less where a ranking is shorter.
    """

    counts: Ints
    queries: Sequence[str]
    found: Sequence[str]
    k: int

    @property
    def shares(self) -> Floats:
        """The counts as shares of their rows, ``(C, L)`` in [0, 1]."""
        return self.counts / self.counts.sum(axis=1, keepdims=True)

    def pairs(self, count: int = 10) -> list[ConfusedPair]:
        """The classes found most often for another class's queries, largest share first."""
        others = np.array(self.queries, object)[:, None] != np.array(self.found, object)
        shares = np.where(others, self.shares, 0)
        order = np.argsort(-shares, axis=None, kind="stable")[:count]
        pairs = zip(*np.unravel_index(order, shares.shape), strict=True)
        return [ConfusedPair(self.queries[r], self.found[c], float(shares[r, c])) for r, c in pairs if shares[r, c] > 0]

    def title(self) -> str:
        """What the shares are."""
        return f"Classes found for another class's queries, with their share of the first {self.k} places"

    def tables(self) -> Sequence[Table]:
        """The twenty most confused pairs of classes."""
        rows = [(pair.query, pair.retrieved, share(pair.share)) for pair in self.pairs(20)]
        return [Table(rows, ("class of the query", "class found", "share"))]

    def frame(self) -> Iterable[Mapping[str, Any]]:
        """The rows of ``to_dataframe``, one per class of queries: its name ("class"), and the share of each class."""
        return (
            {"class": name} | dict(zip(self.found, row, strict=True))
            for name, row in zip(self.queries, self.shares.tolist(), strict=True)
        )

    def plot(self) -> Plot:
        """A heat map of the shares.

        :raises MissingExtra: when matplotlib is not installed.
        """
        from imgsearch_kit.plots import confusion_heatmap

        return confusion_heatmap(self.shares, self.queries, self.found, k=self.k)[0]


@dataclass(frozen=True, slots=True)
class QueryReport:
    """One query, its value in a measure, and its first hits in rank order."""

    id: str
    label: str
    value: float
    hits: tuple[Hit, ...]


@dataclass(frozen=True)
class WorstQueries(Report):
    """The queries with the worst values in a measure, worst first; ``picture`` gives the thumbnail file of an id."""

    measure: str
    queries: tuple[QueryReport, ...]
    picture: Callable[[str], Path] | None = field(default=None, repr=False, compare=False)

    def tables(self) -> Sequence[Table]:
        """One table per query: the query, then its hits with rank, score, and whether the class is right."""
        return [
            Table(
                [("query", None, "", query.label, query.id)]
                + [
                    (hit.rank, hit.score, "right" if hit.label == query.label else "wrong", hit.label or "-", hit.id)
                    for hit in query.hits
                ],
                title=f"{query.id}: {self.measure} {query.value:.4f}",
                picture=self.picture,
            )
            for query in self.queries
        ]

    def frame(self) -> Iterable[Mapping[str, Any]]:
        """The rows of ``to_dataframe``, one per hit: the query's id, label and value, then the hit."""
        return (
            {"query": query.id, "query label": query.label, self.measure: query.value} | dataclasses.asdict(hit)
            for query in self.queries
            for hit in query.hits
        )


def confusion(evaluation: Evaluation, k: int) -> Confusion:
    """The retrieval confusion matrix of an evaluation: its ``scored_classes`` by its ``labels``.

    :raises BadQuery: when ``k`` is not between 1 and the largest k evaluated.
    """
    if not 1 <= k <= max(evaluation.ks):
        raise BadQuery(f"k must be between 1 and {max(evaluation.ks)}; it is {k}. Evaluate with a larger k first.")
    top = evaluation.scores.top[:, :k]
    ranked = top >= 0
    rows = np.broadcast_to(evaluation.strata[:, None], top.shape)[ranked]
    counts = np.zeros((len(evaluation.scored_classes), len(evaluation.labels)), np.int64)
    np.add.at(counts, (rows, evaluation.gallery_classes[top[ranked]]), 1)
    names = [evaluation.labels[c] for c in evaluation.scored_classes.tolist()]
    return Confusion(counts, names, evaluation.labels, k)


def worst_queries(evaluation: Evaluation, count: int = 10, measure: str = "mAP") -> list[QueryReport]:
    """The queries with the worst values in ``measure``, worst first, ties in id order, each with its stored hits.

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
