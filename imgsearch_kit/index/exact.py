"""Exact nearest neighbours by cosine over one matrix held in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from imgsearch_kit.arguments import places
from imgsearch_kit.records import Neighbours, Vectors

BLOCK = 2**23  # scores held at once: 32 MB
SLACK = 1e-5  # above the error of a float32 product of unit vectors


@dataclass(frozen=True)
class Snapshot:
    """The searchable content of an index at one generation; never changed, so threads may share it.

    ``ids`` are in ascending order; ``labels`` and the ``(n, dim)`` float32 ``matrix`` are in the same order.
    """

    generation: int
    ids: npt.NDArray[np.object_]
    labels: Sequence[str | None]
    matrix: Vectors

    @cached_property
    def _row(self) -> dict[str, int]:
        return {id_: row for row, id_ in enumerate(self.ids)}

    def search(
        self, queries: Vectors, k: int, labels: Sequence[str] | None, exclude: Sequence[Sequence[str]] | None
    ) -> Neighbours:
        """The ``k`` nearest of each query in order of (-cosine, id); the arguments as in ``VectorIndex.search``.

        The matrix product only selects candidates: its last bits differ for equal vectors, by their position and by the
        size of the batch. Rows near the first ``k`` are scored again one by one, so that a query has the same answer
        alone and in any batch, and equal pictures are ordered by id.
        """
        k = places(k, len(self.ids))
        ids = np.full((len(queries), k), "", dtype=object)
        scores = np.full((len(queries), k), np.nan, np.float32)
        wanted = None if labels is None else set(labels)
        barred = None if wanted is None else np.array([label not in wanted for label in self.labels], dtype=bool)
        block = max(1, BLOCK // max(1, len(self.ids)))
        for start in range(0, len(queries), block):
            products = queries[start : start + block] @ self.matrix.T
            if barred is not None:
                products[:, barred] = -np.inf
            for i, row in enumerate(products, start):
                if exclude is not None:
                    row[[self._row[id_] for id_ in exclude[i] if id_ in self._row]] = -np.inf
                found, exact = self._first(queries[i], row, k)
                ids[i, : len(found)] = self.ids[found]
                scores[i, : len(found)] = exact
        return Neighbours(ids.astype(str), scores)

    def _first(self, query: Vectors, products: Vectors, k: int) -> tuple[npt.NDArray[np.intp], Vectors]:
        """Rows and cosines of the ``k`` best of one query, without rows whose product is -inf."""
        n = len(products)
        least = np.partition(products, n - k)[n - k] if k < n else -np.inf
        near = np.flatnonzero(products >= max(least - SLACK, -2))
        exact = np.clip((self.matrix[near] * query).sum(axis=1), -1, 1)
        best = np.argsort(-exact, kind="stable")[:k]  # rows are in id order, so a stable sort orders ties by id
        return near[best], exact[best]
