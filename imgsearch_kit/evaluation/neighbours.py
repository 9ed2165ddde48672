"""The nearest other pictures of every picture, in blocks, without ranking the rest of the gallery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from imgsearch_kit.evaluation.metrics import Ints, blocks, cosines
from imgsearch_kit.records import Vectors


@dataclass(frozen=True)
class Nearest:
    """The first ``k`` places of ``m`` queries in order of (-cosine, row).

    ``rows`` is ``(m, k)``: gallery rows, -1 where a ranking is shorter. ``cosines`` is ``(m, k)`` float32, NaN there.
    """

    rows: Ints
    cosines: npt.NDArray[np.float32]


def leave_one_out(vectors: Vectors, k: int, junk: Sequence[csr_array]) -> list[Nearest]:
    """The ``k`` nearest other rows of each row, once for every way of leaving rows out.

    ``vectors`` is ``(n, dim)``, in id order. Each of ``junk``, sparse boolean ``(n, n)``, marks what is no answer to a
    row (the row itself, which must be marked, its duplicates, a hub ...); the cosines are computed once for all.
    """
    n = len(vectors)
    found = [(np.full((n, k), -1, np.int64), np.full((n, k), np.nan, np.float32)) for _ in junk]
    score = cosines(vectors, vectors)
    for rows in blocks(n, n):
        scores = score(rows)
        for left_out, (nearest, values) in zip(junk, found, strict=True):
            kept = scores.copy()
            kept[left_out[rows].nonzero()] = -np.inf
            row, place, column = _first(kept, k)
            nearest[rows][row, place] = column
            values[rows][row, place] = kept[row, column]
    return [Nearest(nearest, values) for nearest, values in found]


def _first(scores: npt.NDArray[np.float32], k: int) -> tuple[Ints, Ints, Ints]:
    """Row, place from 0 and column of the ``k`` largest finite scores of each row; equal scores in column order."""
    n = scores.shape[1]
    least = np.partition(scores, n - k, axis=1)[:, n - k, None] if k < n else np.float32(-np.inf)
    row, column = np.nonzero((scores >= least) & (scores > -np.inf))
    order = np.lexsort((-scores[row, column], row))  # stable: columns stay in order within a tie
    row, column = row[order], column[order]
    place = np.arange(len(row)) - np.searchsorted(row, row)
    return row[place < k], place[place < k], column[place < k]
