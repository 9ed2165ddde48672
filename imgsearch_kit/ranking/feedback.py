"""Relevance feedback: one query vector from several queries and the pictures that a person marked."""

from __future__ import annotations

import numpy as np

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.records import Vectors
from imgsearch_kit.vectors import Floats, unit

QUERY, PLUS, MINUS = WEIGHTS = 1.0, 1.0, 0.5  # of the queries, of pictures marked right, and of those marked wrong
CLASSIC = 1.0, 0.75, 0.15  # of text retrieval: Manning, Raghavan and Schütze (2008), section 9.1.1
_LEAST_NORM = 1e-6  # below it the direction is rounding error


def rocchio(queries: Vectors, plus: Vectors, minus: Vectors, weights: tuple[float, float, float] = WEIGHTS) -> Vectors:
    """The query moved towards the marked pictures and away from others: ``(1, d)`` float32 of unit norm.

    All three are ``(n, d)`` unit rows; ``plus`` and ``minus`` may have none. The sum of the unit mean of the queries
    and the mean of ``plus``, less half the mean of ``minus``: Rocchio, "Relevance feedback in information retrieval"
    (1971). The weights are not those of text retrieval, because cosines between pictures are higher: what is marked
    wrong has to count more (``benchmarks/feedback.py`` measures both).

    :raises BadQuery: when the sum is zero, so that it has no direction.
    """
    start = unit(_mean(queries)[None])[0]
    query, right, wrong = weights
    moved = query * start + right * _mean(plus) - wrong * _mean(minus)
    if not (norm := float(np.linalg.norm(moved))) > _LEAST_NORM:
        raise BadQuery(
            f"The queries and marks cancel each other: {len(queries)} queries, {len(plus)} plus and {len(minus)} minus "
            f"have a sum of norm {norm:.1g}. Remove a mark or a query."
        )
    return unit(moved[None])


def _mean(rows: Vectors) -> Floats:
    return rows.mean(axis=0, dtype=np.float64) if len(rows) else np.zeros(rows.shape[1])
