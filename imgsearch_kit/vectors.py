"""Arithmetic of unit vectors: normalised rows, cosines block by block, and the k largest scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from imgsearch_kit.records import Vectors

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Scores = npt.NDArray[np.float32]
Scorer = Callable[[slice], Scores]  # query rows -> their (b, n) scores against the gallery

CELLS = 1 << 21  # of one block of queries against the gallery: about 100 MB with all derived arrays
LEAST_AT_ONCE, MOST_AT_ONCE = 64, 256  # queries scored in one pass over the gallery, which converts it to float64
SCORED_CELLS = 1 << 25  # of their scores: 128 MB, but for the least
CHUNK = 1024  # rows converted to float64 at a time


def unit(vectors: npt.NDArray[np.floating]) -> Vectors:
    """The rows of ``(n, d)`` divided by their L2 norm, as C-contiguous float32; a zero row stays zero."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.ascontiguousarray(vectors / np.maximum(norms, np.finfo(np.float32).tiny), np.float32)


def blocks(m: int, n: int, cells: int | None = None) -> Iterator[slice]:
    """Slices of ``m`` queries, in order, such that a block against ``n`` gallery rows has about ``cells`` cells."""
    step = max(1, (cells or CELLS) // max(n, 1))
    return (slice(start, min(start + step, m)) for start in range(0, m, step))


def scored(score: Scorer, m: int, n: int, cells: int | None = None) -> Iterator[tuple[slice, Scores]]:
    """The ``blocks`` of ``m`` queries with their scores ``(b, n)``, computed for at least 64 queries at a time."""
    step = max(LEAST_AT_ONCE, min(MOST_AT_ONCE, SCORED_CELLS // max(n, 1)), (cells or CELLS) // max(n, 1))
    for start in range(0, m, step):
        scores = score(slice(start, min(start + step, m)))
        for rows in blocks(len(scores), n, cells):
            yield slice(start + rows.start, start + rows.stop), scores[rows]


def cosines(queries: Vectors, gallery: Vectors) -> Scorer:
    """Scores a slice of unit query rows ``(m, d)`` against the whole gallery ``(n, d)``: ``(b, n)`` float32 cosines.

    Summed in float64 and rounded to float32 once, so they depend neither on the block nor on the machine's BLAS (except
    for a sum within 1e-15 of the border between two float32 values), and equal vectors get equal scores.
    """

    def score(rows: slice) -> Scores:
        block = queries[rows].astype(np.float64)
        scores = np.empty((len(block), len(gallery)), np.float32)
        for start in range(0, len(gallery), CHUNK):
            chunk = gallery[start : start + CHUNK].astype(np.float64)
            scores[:, start : start + CHUNK] = block @ chunk.T
        return scores

    return score


def first(scores: npt.NDArray[np.floating], k: int) -> tuple[Ints, npt.NDArray[np.floating]]:
    """The columns of each row's ``k`` largest of ``(b, n)`` scores, and these, both ``(b, min(k, n))``.

    In order of (-score, column), so among equal scores the lower columns are taken, also at the last place. NaN counts
    as minus infinity, the lowest score.
    """
    behind = -scores
    behind[np.isnan(behind)] = np.inf
    if k >= scores.shape[1]:
        columns = _ordered(behind)
    else:
        columns = _smallest(behind, k)
        order = np.argsort(np.take_along_axis(behind, columns, axis=1), axis=1, kind="stable")
        columns = np.take_along_axis(columns, order, axis=1)
    return columns, np.take_along_axis(scores, columns, axis=1)


def _ordered(values: npt.NDArray[np.floating]) -> Ints:
    """The columns of each row of ``(b, n)`` values, none of them NaN, in order of (value, column)."""
    if values.dtype != np.float32 or values.size == 0:
        return np.argsort(values, axis=1, kind="stable")
    # Value and column as one whole number: sorting these is several times as fast as a stable sort.
    bits = (values + np.float32(0)).view(np.uint32)  # -0.0 becomes 0.0
    negative = bits >> 31 == 1
    keys = np.where(negative, ~bits, bits | np.uint32(1 << 31)).astype(np.uint64) << np.uint64(32)
    keys |= np.arange(values.shape[1], dtype=np.uint64)
    keys.sort(axis=1)
    return (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)


def _smallest(values: npt.NDArray[np.floating], k: int) -> Ints:
    """The columns of each row's ``k`` < n smallest of ``(b, n)`` values, ascending; of equal values the first."""
    columns = np.argpartition(values, k, axis=1)[:, : k + 1]  # the last of them is the next smallest
    edge = np.take_along_axis(values, columns, axis=1)
    last = edge[:, :k].max(axis=1, initial=-np.inf)
    columns = np.sort(columns[:, :k], axis=1)
    tied = np.flatnonzero(last == edge[:, k])  # there the partition chose arbitrarily among equal values
    if len(tied):
        rows, last = values[tied], last[tied, None]
        before, level = rows < last, rows == last
        room = k - np.count_nonzero(before, axis=1, keepdims=True)
        taken = before | (level & (np.cumsum(level, axis=1, dtype=np.int32) <= room))
        columns[tied] = np.nonzero(taken)[1].reshape(len(tied), k)
    return columns
