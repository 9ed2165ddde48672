"""Retrieval measures of every query, from the ranks of the relevant pictures.

A picture is relevant when it has the query's label; relevance is binary. ``R`` is the number of relevant pictures
in the gallery, whether found or not. Where k is larger than the gallery or R, conventions are those of ``trec_eval``:

- ``P@k`` always divides by k, so a class with R < k (or a gallery smaller than k) cannot reach 1.
- ``nDCG@k`` divides by the gain of the best ranking of the whole gallery cut at k (the first min(k, R) places all
  relevant), not by the best order of the pictures found.
- ``recall@k``, ``R-precision``, ``mAP`` and ``MAP@R`` divide by R.
- A query without relevant pictures has no value (NaN); ``trec_eval`` leaves it out as well.
- Only the order of ties differs: here by id ascending, in ``trec_eval`` descending. They are counted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array, vstack

from imgsearch_kit.records import Vectors
from imgsearch_kit.vectors import Bools, Floats, Ints, Scorer, Scores, cosines, first, scored


@dataclass(frozen=True)
class Ties:
    """Neighbouring places of equal score: how many, how many with one relevant and one not, in how many queries.

    Only ``deciding`` ties can change a value when ids are ordered in another way.
    """

    pairs: int = 0
    deciding: int = 0
    queries: int = 0


@dataclass(frozen=True)
class QueryScores:
    """The values of ``m`` queries in each measure.

    ``values`` maps each measure's name to ``(m,)`` float64, NaN where ``relevant`` is 0. ``relevant`` and ``available``
    are ``(m,)`` ints: R, and how many pictures were ranked. ``top`` is ``(m, max(ks))``: gallery rows of the first
    places in rank order, -1 where fewer were ranked; ``top_scores`` their scores, NaN there. ``tied`` and ``deciding``
    are ``(m,)`` counts of ties.
    """

    values: dict[str, Floats]
    relevant: Ints
    available: Ints
    top: Ints
    top_scores: Scores
    tied: Ints
    deciding: Ints

    @property
    def ties(self) -> Ties:
        """The ties of all queries together."""
        return Ties(int(self.tied.sum()), int(self.deciding.sum()), int(np.count_nonzero(self.deciding)))

    def take(self, rows: Ints) -> QueryScores:
        """The scores of some queries only."""
        values = {name: column[rows] for name, column in self.values.items()}
        arrays = (getattr(self, f.name)[rows] for f in dataclasses.fields(self)[1:])
        return QueryScores(values, *arrays)


def measures(rows: Ints, ranks: Ints, relevant: Ints, ks: Sequence[int]) -> dict[str, Floats]:
    """Every measure of ``m`` queries, name to ``(m,)`` float64, from the ranks of their relevant pictures.

    ``rows`` and ``ranks`` have one entry per relevant picture that was ranked: its query in [0, m) and its place from
    1, sorted by query and then rank. ``relevant`` is ``(m,)``: R of each query. Values lie in [0, 1], but for
    "first-hit rank", which is at least 1 (infinite when nothing relevant was ranked).

    P@k, R-precision and average precision (under "mAP", the name of its mean) as in Buckley and Voorhees, "Retrieval
    System Evaluation" (2005); nDCG: Järvelin and Kekäläinen (2002) with discount 1 / log2(rank + 1); MAP@R: Musgrave,
    Belongie and Lim, "A Metric Learning Reality Check" (2020), section 3.2.
    """
    m = len(relevant)
    R = np.where(relevant > 0, relevant, np.nan)
    nth = np.arange(1, len(rows) + 1) - np.searchsorted(rows, rows)  # 1 for a query's first hit, 2 for its second
    precision = nth / ranks  # at the places of the hits
    gain = 1 / np.log2(ranks + 1.0)

    def total(weights: Floats, chosen: Bools) -> Floats:
        return np.bincount(rows[chosen], weights[chosen], minlength=m).astype(np.float64)

    def found(chosen: Bools) -> Floats:
        return np.bincount(rows[chosen], minlength=m).astype(np.float64)

    within_r = ranks <= relevant[rows]
    best = np.full(m, np.inf)
    best[rows[nth == 1]] = ranks[nth == 1]
    values = {f"P@{k}": np.where(relevant > 0, found(ranks <= k) / k, np.nan) for k in ks}
    values |= {"R-precision": found(within_r) / R, "MAP@R": total(precision, within_r) / R}
    values |= {f"nDCG@{k}": total(gain, ranks <= k) / _ideal_gain(R, k) for k in ks}
    values |= {f"recall@{k}": found(ranks <= k) / R for k in ks}
    everywhere = np.ones(len(rows), bool)
    return values | {
        "mAP": total(precision, everywhere) / R,
        "first-hit rank": np.where(relevant > 0, best, np.nan),
    }


def chance(relevant: Ints, available: Ints, ks: Sequence[int]) -> dict[str, Floats]:
    """The expected value of each measure for a random ranking, name to ``(m,)`` float64, NaN where R is 0.

    ``relevant`` and ``available`` are ``(m,)``: R and the number N of ranked pictures of each query. Exact: every place
    is relevant with probability R / N, and given a hit each place before it with (R - 1) / (N - 1).
    """
    N = np.asarray(available, np.float64)
    R = np.where(relevant > 0, relevant, np.nan)
    share, other = R / N, (R - 1) / np.maximum(N - 1, 1)
    harmonic = np.concatenate([[0], np.cumsum(1 / np.arange(1, available.max(initial=0) + 1.0))])

    def precision_sum(places: Ints) -> Floats:  # of the precision at hits, over the first places, per relevant picture
        return (harmonic[places] + other * (places - harmonic[places])) / N

    cut = {k: np.minimum(k, available) for k in ks}
    values = {f"P@{k}": share * cut[k] / k for k in ks}
    values |= {"R-precision": share, "MAP@R": precision_sum(np.asarray(relevant))}
    values |= {f"nDCG@{k}": share * _ideal_gain(cut[k].astype(np.float64), k) / _ideal_gain(R, k) for k in ks}
    values |= {f"recall@{k}": cut[k] / N + 0 * R for k in ks}
    return values | {"mAP": precision_sum(np.asarray(available)), "first-hit rank": (N + 1) / (R + 1)}


def _ideal_gain(R: Floats, k: int) -> Floats:
    """The discounted gain of min(R, k) hits in the first places; NaN where R is."""
    hits = np.nan_to_num(np.minimum(R, k)).astype(np.int64)
    gains = np.concatenate([[np.nan], np.cumsum(1 / np.log2(np.arange(2, hits.max(initial=0) + 2)))])
    return gains[hits]


def rank(scores: Scores, junk: csr_array) -> tuple[Ints, Scores]:
    """Gallery rows in order of (-score, row) and their scores, both ``(b, n)``; junk comes last, at minus infinity.

    ``scores`` is ``(b, n)`` and is overwritten where ``junk``, a sparse ``(b, n)``, has an entry. Gallery rows are in
    id order, so ties break by id.
    """
    scores[junk.nonzero()] = -np.inf
    return first(scores, scores.shape[1])


def same_picture(queries: Ints, gallery: Ints) -> csr_array:
    """The junk of each query as a sparse boolean ``(m, n)``: the gallery rows with the query's number.

    ``queries`` is ``(m,)`` and ``gallery`` ``(n,)``: numbers of pictures, from 0; -1 is a query that is not in the
    gallery.
    """
    count = int(max(queries.max(initial=0), gallery.max(initial=0))) + 1
    ours = np.flatnonzero(queries >= 0)
    left = csr_array((np.ones(len(ours), bool), (ours, queries[ours])), shape=(len(queries), count))
    right = csr_array((np.ones(len(gallery), bool), (gallery, np.arange(len(gallery)))), shape=(count, len(gallery)))
    return csr_array(left @ right)


def near_duplicates(
    queries: Vectors, gallery: Vectors, bound: float, *, done: Callable[[int], object] = bool
) -> csr_array:
    """The gallery rows whose cosine with a query is at least ``bound``, as a sparse boolean ``(m, n)``.

    ``done`` is called with the number of queries of each finished block.
    """
    parts = []
    for _, scores in scored(cosines(queries, gallery), len(queries), len(gallery)):
        parts.append(csr_array(scores >= bound))
        done(len(scores))
    return csr_array(vstack(parts))


def score_queries(
    score: Scorer,
    query_labels: Ints,
    gallery_labels: Ints,
    junk: csr_array,
    ks: Sequence[int],
    *,
    cells: int | None = None,
    done: Callable[[int], object] = bool,
) -> QueryScores:
    """The values of every query: ranks the gallery and measures the rankings, a block of queries at a time.

    ``query_labels`` is ``(m,)`` and ``gallery_labels`` ``(n,)``, numbers of classes; gallery rows are in id order.
    ``junk``, sparse ``(m, n)``, marks what is left out of each query's ranking: the query itself and its duplicates.
    ``done`` is called with the number of queries of each finished block.
    """
    m, n = len(query_labels), len(gallery_labels)
    parts, tops = [], []
    relevant, available = np.zeros(m, np.int64), np.zeros(m, np.int64)
    tied, deciding = np.zeros(m, np.int64), np.zeros(m, np.int64)
    for rows, given in scored(score, m, n, cells):
        order, scores = rank(given, junk[rows])
        ranked = np.isfinite(scores)
        hits = (gallery_labels[order] == query_labels[rows, None]) & ranked
        row, place = hits.nonzero()
        relevant[rows], available[rows] = hits.sum(axis=1), ranked.sum(axis=1)
        parts.append(measures(row, place + 1, relevant[rows], ks))
        kept = ranked[:, : max(ks)]
        tops.append((np.where(kept, order[:, : max(ks)], -1), np.where(kept, scores[:, : max(ks)], np.nan)))
        equal = (scores[:, 1:] == scores[:, :-1]) & ranked[:, 1:]
        tied[rows], deciding[rows] = equal.sum(axis=1), (equal & (hits[:, 1:] != hits[:, :-1])).sum(axis=1)
        done(len(order))
    values = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    top, top_scores = (np.concatenate(part) for part in zip(*tops, strict=True))
    return QueryScores(values, relevant, available, top, top_scores, tied, deciding)
