"""The nearest other pictures of every picture, in blocks, without ranking the rest of the gallery."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from imgsearch_kit.records import Vectors
from imgsearch_kit.vectors import Bools, Ints, Scores, cosines, first, scored

MOST_EXAMINED = 200_000  # pictures, each of which is compared with each


@dataclass(frozen=True)
class Nearest:
    """The first ``k`` places of ``n`` pictures in order of (-cosine, row).

    ``rows`` is ``(n, k)``: rows of pictures, -1 where a ranking is shorter. ``cosines`` is ``(n, k)`` float32, NaN
    there. ``groups`` ``(n,)`` and ``barred`` ``(n,)`` say what was left out: pictures with the same number as the
    query, and barred ones.
    """

    rows: Ints
    cosines: Scores
    groups: Ints
    barred: Bools


def leave_one_out(
    vectors: Vectors,
    k: int,
    groups: Ints | None = None,
    barred: Bools | None = None,
    *,
    wider: Nearest | None = None,
    done: Callable[[int], object] = lambda rows: None,
) -> Nearest:
    """The ``k`` nearest other rows of each row of ``(n, dim)`` vectors, which are in id order.

    The hits of a row do not include rows with its number in ``groups`` (None: only itself), nor those ``barred``.
    ``wider`` may hold more than ``k`` places found with fewer rows left out: then only rows for which these are not
    enough are ranked again. ``done`` is called with the number of rows of each finished block.
    """
    n = len(vectors)
    groups = np.arange(n) if groups is None else groups
    barred = np.zeros(n, bool) if barred is None else barred
    found = Nearest(np.full((n, k), -1, np.int64), np.full((n, k), np.nan, np.float32), groups, barred)
    asking = np.arange(n) if wider is None else _narrow(wider, found)
    found.rows[asking], found.cosines[asking] = nearest_others(vectors, asking, k, groups, barred, done=done)
    return found


def nearest_others(
    vectors: Vectors,
    asking: Ints,
    k: int,
    groups: Ints,
    barred: Bools | None = None,
    *,
    done: Callable[[int], object] = lambda rows: None,
) -> tuple[Ints, Scores]:
    """As ``leave_one_out``, of the ``m`` rows ``asking`` only: their ``rows`` and ``cosines``, both ``(m, k)``."""
    found = np.full((len(asking), k), -1, np.int64), np.full((len(asking), k), np.nan, np.float32)
    for block, scores in scored(cosines(vectors[asking], vectors), len(asking), len(vectors)):
        scores[groups[asking[block], None] == groups] = -np.inf
        if barred is not None:
            scores[:, barred] = -np.inf
        columns, near = first(scores, k)
        there = np.isfinite(near)
        found[0][block, : columns.shape[1]] = np.where(there, columns, -1)
        found[1][block, : columns.shape[1]] = np.where(there, near, np.nan)
        done(len(columns))
    return found


def _narrow(wider: Nearest, found: Nearest) -> Ints:
    """Fills ``found`` from ``wider``; returns the rows that may have more hits than that."""
    k = found.rows.shape[1]
    answers = (wider.rows >= 0) & (found.groups[wider.rows] != found.groups[:, None]) & ~found.barred[wider.rows]
    row, place = np.nonzero(answers)
    to = np.arange(len(row)) - np.searchsorted(row, row)
    row, place, to = row[to < k], place[to < k], to[to < k]
    found.rows[row, to] = wider.rows[row, place]
    found.cosines[row, to] = wider.cosines[row, place]
    return np.flatnonzero((found.rows[:, -1] < 0) & (wider.rows[:, -1] >= 0))
