"""Queries against a gallery in which some rows are a query's own and must not help it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from imgsearch_kit.records import Vectors

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float32]

CELLS = 1 << 21  # of a block of rows against the gallery
CHUNK = 1024


@dataclass(frozen=True)
class Corrected:
    """Gallery rows that are others for some query: ``vectors[p]`` at gallery ``columns[p]`` for query ``rows[p]``."""

    rows: Ints
    columns: Ints
    vectors: Vectors


@dataclass(frozen=True)
class Asked:
    """``queries`` ``(b, d)`` against ``gallery`` ``(n, d)``, as one step of a ranking hands them to the next.

    ``own``, sparse boolean ``(b, n)``, marks the gallery rows that are the query itself or its copies. ``corrected``
    holds the rows that would be others if its own were not in the gallery.
    """

    queries: Vectors
    gallery: Vectors
    own: csr_array
    corrected: Corrected | None = None

    def scores(self) -> Scores:
        """The cosines ``(b, n)``, summed in float64; minus infinity at a query's own rows."""
        queries = self.queries.astype(np.float64)
        scores = np.empty((len(queries), len(self.gallery)), np.float32)
        for start in range(0, len(self.gallery), CHUNK):
            scores[:, start : start + CHUNK] = queries @ self.gallery[start : start + CHUNK].astype(np.float64).T
        if self.corrected is not None:
            fixed = self.corrected
            scores[fixed.rows, fixed.columns] = np.einsum("pd,pd->p", queries[fixed.rows], fixed.vectors)
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
    step = max(1, CELLS // max(n, 1))
    for start in range(0, n, step):
        rows = np.arange(start, min(start + step, n))
        own = csr_array((np.ones(len(rows), bool), (rows - start, rows)), shape=(len(rows), n))
        yield Asked(gallery[rows], gallery, own)


def first(scores: Scores, k: int) -> tuple[Ints, Scores]:
    """The columns of each row's ``k`` (or all) largest scores, and these, ``(b, min(k, n))`` by (-score, column)."""
    k = min(k, scores.shape[1])
    if k == 0:
        return np.zeros((len(scores), 0), np.int64), np.zeros((len(scores), 0), np.float32)
    columns = np.sort(np.argpartition(-scores, k - 1, axis=1)[:, :k], axis=1)
    order = np.argsort(-np.take_along_axis(scores, columns, axis=1), axis=1, kind="stable")
    columns = np.take_along_axis(columns, order, axis=1)
    return columns, np.take_along_axis(scores, columns, axis=1)


def weights(scores: Scores, alpha: float) -> Floats:
    """Cosines to the ``alpha``; a negative cosine counts as 0, a place that is not there (minus infinity) too."""
    return np.where(np.isfinite(scores), np.maximum(scores, 0, dtype=np.float64) ** alpha, 0.0)


def unit(vectors: npt.NDArray[np.floating]) -> Vectors:
    """The rows over their L2 norm, as float32; a zero row stays zero."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.ascontiguousarray(vectors / np.maximum(norms, np.finfo(np.float32).tiny), np.float32)
