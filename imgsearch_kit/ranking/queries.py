"""Batches of queries against a gallery, in which a query must not profit from its own rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from imgsearch_kit.records import Vectors
from imgsearch_kit.vectors import Floats, Ints, Scores, blocks, cosines


@dataclass(frozen=True)
class Corrected:
    """Gallery rows that differ for single queries: ``vectors[p]`` at gallery ``columns[p]`` for query ``rows[p]``."""

    rows: Ints
    columns: Ints
    vectors: Vectors


@dataclass(frozen=True)
class Asked:
    """``queries`` ``(b, d)`` against ``gallery`` ``(n, d)``, as one step of a ranking passes them to the next.

    ``own``, sparse boolean ``(b, n)``, marks the gallery rows that are the query itself or its copies. ``corrected``
    holds the rows that would differ if the query's own rows were not in the gallery. ``given`` are scores that a step
    computed instead of cosines.
    """

    queries: Vectors
    gallery: Vectors
    own: csr_array
    corrected: Corrected | None = None
    given: Scores | None = None

    def scores(self) -> Scores:
        """The cosines ``(b, n)``, summed in float64, or the scores given; minus infinity at a query's own rows."""
        if self.given is not None:
            return self.given
        scores = cosines(self.queries, self.gallery)(slice(None))
        if self.corrected is not None:
            fixed = self.corrected
            asking = self.queries[fixed.rows].astype(np.float64)
            scores[fixed.rows, fixed.columns] = np.einsum("pd,pd->p", asking, fixed.vectors)
        scores[self.own.nonzero()] = -np.inf
        return scores

    def vectors_at(self, columns: Ints) -> Iterator[Vectors]:
        """For each place of ``columns`` ``(b, k)`` the ``(b, d)`` gallery vectors there, corrected for their query."""
        place = np.full((len(self.queries), len(self.gallery)), -1, np.int32)
        if self.corrected is not None:
            place[self.corrected.rows, self.corrected.columns] = np.arange(len(self.corrected.rows))
        for column in columns.T:
            vectors = self.gallery[column]
            row = np.flatnonzero(place[np.arange(len(column)), column] >= 0)
            if self.corrected is not None:
                vectors[row] = self.corrected.vectors[place[row, column[row]]]
            yield vectors


def blocks_of_itself(gallery: Vectors) -> Iterator[Asked]:
    """The gallery's rows as queries against it, a block at a time, each row being its own."""
    n = len(gallery)
    for block in blocks(n, n):
        rows = np.arange(n)[block]
        own = csr_array((np.ones(len(rows), bool), (rows - block.start, rows)), shape=(len(rows), n))
        yield Asked(gallery[rows], gallery, own)


def cosine_weights(scores: Scores, alpha: float) -> Floats:
    """Cosines to the power ``alpha``; negative cosines and missing places (minus infinity) count as 0."""
    return np.where(np.isfinite(scores), np.maximum(scores, 0, dtype=np.float64) ** alpha, 0.0)
