"""Re-ranking by k-reciprocal neighbour sets: two pictures are near when they have the same near pictures."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csc_array, csr_array, vstack

from imgsearch_kit.ranking.queries import Asked, blocks_of_itself
from imgsearch_kit.ranking.step import Arrays
from imgsearch_kit.records import Vectors
from imgsearch_kit.vectors import Bools, Floats, Ints, Scores, first

STORED = ("data", "indices", "indptr")  # of a sparse array


@dataclass(frozen=True, slots=True)
class KrecipStep:
    """``krecip:K1:K2:LAMBDA``; K1 does not count the picture itself, K2 does.

    Zhong, Zheng, Cao and Li, "Re-ranking Person Re-identification with k-reciprocal Encoding" (2017), sections 3.2 to
    3.4, with the cosine distance 1 - cosine as the original distance. Each query is treated separately: it does not
    depend on other queries, and the gallery's sets are those of the gallery without it. A query with own rows in the
    gallery is represented by these rows.
    """

    k1: int
    k2: int
    weight: float

    def fit(self, gallery: Vectors, *, spare: int = 1) -> Reciprocal:
        """Encodes a gallery; its cosines are computed a block at a time, twice."""
        n, half = len(gallery), round(self.k1 / 2)
        found = [first(asked.scores(), self.k1) for asked in blocks_of_itself(gallery)]
        nearest, cosines = (np.concatenate(part) for part in zip(*found, strict=True))
        reach, reach_half = (cosines[:, k - 1] if k < n else np.full(n, -np.inf, np.float32) for k in (self.k1, half))
        mutual = cosines[:, :half] >= reach_half[nearest[:, :half]]
        sets = _set(nearest[:, :half], mutual & np.isfinite(cosines[:, :half]), n)
        identity = csr_array((np.ones(n, bool), (np.arange(n), np.arange(n))))
        made = Reciprocal(self, gallery, reach, csr_array(sets + identity), identity, csc_array(identity))
        encoded = csr_array(vstack([made.encode(asked.scores(), asked.own) for asked in blocks_of_itself(gallery)]))
        return replace(made, encoded=encoded, expanded=csc_array(made.average(encoded, encoded, nearest, cosines)))

    def restore(self, gallery: Vectors, arrays: Arrays) -> Reciprocal:
        """As ``Step.restore``."""
        shape = (len(gallery), len(gallery))
        parts = {name: tuple(arrays[f"{name}.{part}"] for part in STORED) for name in ("halves", "encoded", "expanded")}
        halves, encoded = (csr_array(parts[name], shape=shape) for name in ("halves", "encoded"))
        return Reciprocal(self, gallery, arrays["reach"], halves, encoded, csc_array(parts["expanded"], shape=shape))


@dataclass(frozen=True)
class Reciprocal:
    """A gallery's neighbour sets, ready for queries.

    ``reach`` ``(n,)`` is the cosine of each row's K1-th nearest other: a row at least as near is among its neighbours.
    ``halves``, sparse ``(n, n)``, are the reciprocal sets at K1 / 2, ``encoded`` and ``expanded`` each row's weights on
    its neighbours, before and after the average over K2 rows.
    """

    step: KrecipStep
    gallery: Vectors
    reach: Scores
    halves: csr_array
    encoded: csr_array
    expanded: csc_array

    def apply(self, asked: Asked) -> Asked:
        """The same queries with their scores: one minus the final distance."""
        return replace(asked, given=self._scores(asked))

    def arrays(self) -> Arrays:
        """The reach, and the parts of the sparse arrays."""
        sparse = {"halves": self.halves, "encoded": self.encoded, "expanded": self.expanded}
        parts = {f"{name}.{part}": getattr(array, part) for name, array in sparse.items() for part in STORED}
        return {"reach": self.reach} | parts

    def _scores(self, asked: Asked) -> Scores:
        """One minus the final distance, ``(b, n)`` float32; minus infinity at a query's own rows."""
        cosines = asked.scores()
        encoded = self.encode(cosines, asked.own)
        queries = self.average(encoded, self.encoded, *first(cosines, self.step.k1))
        bounds = [slice(*ends) for ends in itertools.pairwise(queries.indptr)]
        jaccard = np.stack([self._jaccard(queries.indices[row], queries.data[row]) for row in bounds])
        distances = np.where(np.isfinite(cosines), 1 - cosines, 0)
        scores = 1 - (1 - self.step.weight) * jaccard - self.step.weight * distances
        scores[asked.own.nonzero()] = -np.inf
        return scores.astype(np.float32)

    def encode(self, cosines: Scores, own: csr_array) -> csr_array:
        """Each query's weights on its expanded reciprocal set, ``(b, n)``; with the query itself they sum to 1."""
        nearest, scores = first(cosines, self.step.k1)
        mutual = _set(nearest, (scores >= self.reach[nearest]) & np.isfinite(scores), cosines.shape[1])
        members = csr_array(mutual + own)
        counts = members.astype(np.int32)
        common = csr_array(counts.multiply(counts @ self.halves.astype(np.int32).T)).tocoo()
        sizes = self.halves.sum(axis=1)
        joined = common.data > 2 / 3 * sizes[common.col]
        candidates = csr_array(
            (np.ones(joined.sum(), np.int32), (common.row[joined], common.col[joined])), shape=common.shape
        )
        rows, columns = (counts + candidates @ self.halves.astype(np.int32)).nonzero()
        mine = own.toarray()[rows, columns]
        weights = np.where(mine, 1.0, np.exp(cosines[rows, columns].astype(np.float64) - 1))
        alone = (
            np.asarray(own.sum(axis=1)) == 0
        )  # a query that is not in the gallery is in its own set, but has no column
        totals = np.bincount(rows, weights, len(cosines)) + alone
        return csr_array((weights / totals[rows], (rows, columns)), shape=cosines.shape)

    def average(self, encoded: csr_array, gallery: csr_array, nearest: Ints, cosines: Scores) -> csr_array:
        """The mean of each row's weights and those of its K2 - 1 nearest gallery rows."""
        near = _set(nearest[:, : self.step.k2 - 1], np.isfinite(cosines[:, : self.step.k2 - 1]), gallery.shape[1])
        counts = 1 + np.asarray(near.sum(axis=1))
        return csr_array((encoded + near.astype(np.float64) @ gallery).multiply(1 / counts[:, None]))

    def _jaccard(self, columns: Ints, weights: Floats) -> Floats:
        """The Jaccard distance of one query's weights to each gallery row's, ``(n,)``; only shared columns are read."""
        starts = self.expanded.indptr[columns]
        lengths = self.expanded.indptr[columns + 1] - starts
        entries = np.repeat(starts - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())
        smaller = np.minimum(self.expanded.data[entries], np.repeat(weights, lengths))
        shared = np.bincount(self.expanded.indices[entries], smaller, self.expanded.shape[0])
        return 1 - shared / (2 - shared)


def _set(columns: Ints, chosen: Bools, n: int) -> csr_array:
    """The chosen ones of ``columns`` ``(b, k)`` as a sparse boolean ``(b, n)``."""
    rows = np.broadcast_to(np.arange(len(columns))[:, None], columns.shape)[chosen]
    return csr_array((np.ones(len(rows), bool), (rows, columns[chosen])), shape=(len(columns), n))
