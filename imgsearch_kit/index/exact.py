"""Exact nearest neighbours by cosine over one matrix held in memory."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
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

    ``ids`` are in ascending order; ``labels`` and the ``(n, dim)`` float32 ``matrix`` are in the same order. ``labels``
    None: it holds the records of the labels that a search asks for, and no others.
    """

    generation: int
    ids: npt.NDArray[np.object_]
    labels: Sequence[str | None] | None
    matrix: Vectors

    @cached_property
    def _classes(self) -> tuple[dict[str | None, int], npt.NDArray[np.int32]]:
        """The number of each label, and the numbers of all rows."""
        assert self.labels is not None
        numbers = {label: i for i, label in enumerate(dict.fromkeys(self.labels))}
        return numbers, np.fromiter(map(numbers.__getitem__, self.labels), np.int32, len(self.labels))

    def search(
        self, queries: Vectors, k: int, labels: Sequence[str] | None, exclude: Sequence[Sequence[str]] | None
    ) -> Neighbours:
        """The ``k`` nearest of each query in order of (-cosine, id); the arguments as in ``VectorIndex.search``.

        The matrix product only selects candidates: its last bits differ for equal vectors, by their position and by the
        size of the batch. Rows near the first ``k`` are scored again one by one, so that a query has the same answer
        alone and in any batch, and equal pictures are ordered by id.
        """
        if labels is not None and self.labels is not None:
            return self._of(labels).search(queries, k, labels, exclude)
        k = places(k, len(self.ids))
        ids = np.full((len(queries), k), "", dtype=object)
        scores = np.full((len(queries), k), np.nan, np.float32)
        block = max(1, BLOCK // max(1, len(self.ids)))
        for start in range(0, len(queries), block):
            for i, row in enumerate(queries[start : start + block] @ self.matrix.T, start):
                if exclude is not None:
                    row[self._rows(exclude[i])] = -np.inf
                found, exact = self._first(queries[i], row, k)
                ids[i, : len(found)] = self.ids[found]
                scores[i, : len(found)] = exact
        return Neighbours(ids.astype(str), scores)

    def _of(self, labels: Sequence[str]) -> Snapshot:
        """The rows of some labels; where they lie side by side, as ids below one folder do, no vector is copied."""
        numbers, classes = self._classes
        rows = np.flatnonzero(np.isin(classes, [numbers[label] for label in labels if label in numbers]))
        whole = len(rows) > 0 and rows[-1] - rows[0] + 1 == len(rows)
        chosen = slice(rows[0], rows[-1] + 1) if whole else rows
        return Snapshot(self.generation, self.ids[chosen], None, self.matrix[chosen])

    def _rows(self, ids: Iterable[str]) -> list[int]:
        """The rows of those ids that are here."""
        places = ((bisect_left(self.ids, id_), id_) for id_ in ids)
        return [row for row, id_ in places if row < len(self.ids) and self.ids[row] == id_]

    def _first(self, query: Vectors, products: Vectors, k: int) -> tuple[npt.NDArray[np.intp], Vectors]:
        """Rows and cosines of the ``k`` best of one query, without rows whose product is -inf."""
        n = len(products)
        least = np.partition(products, n - k)[n - k] if k < n else -np.inf
        near = np.flatnonzero(products >= max(least - SLACK, -2))
        exact = np.clip((self.matrix[near] * query).sum(axis=1), -1, 1)
        best = np.argsort(-exact, kind="stable")[:k]  # rows are in id order, so a stable sort orders ties by id
        return near[best], exact[best]
