"""Sums of near vectors: database augmentation for the gallery, query expansion for the queries."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csr_array

from imgsearch_kit.ranking.queries import Asked, Corrected, blocks_of_itself, weights
from imgsearch_kit.records import Vectors
from imgsearch_kit.vectors import Floats, Ints, Scores, first, unit


@dataclass(frozen=True)
class Augmentation:
    """Each gallery vector summed with its ``n - 1`` nearest others, weighted by cosine to the ``alpha``.

    ``before`` are the vectors that were summed, ``nearest`` ``(n, n - 1 + spare)`` the nearest others of each with
    their ``cosines``, ``gallery`` the sums. Turcot and Lowe, "Better matching with fewer features" (2009);
    Arandjelović and Zisserman, "Three things everyone should know to improve object retrieval" (2012).
    """

    n: int
    alpha: float
    before: Vectors
    nearest: Ints
    cosines: Scores
    gallery: Vectors

    @classmethod
    def fit(cls, before: Vectors, n: int, alpha: float, spare: int) -> Augmentation:
        """Augments a gallery; ``spare`` further neighbours are kept to take the place of a query's own rows."""
        gallery, done = np.empty_like(before), 0
        found: list[tuple[Ints, Scores]] = []
        for asked in blocks_of_itself(before):  # and so the sums, which are in float64
            rows, cosines = first(asked.scores(), n - 1 + spare)
            weight = weights(cosines, alpha)
            weight[:, n - 1 :] = 0
            gallery[done : done + len(rows)] = unit(_add(asked.queries, before, rows, weight))
            done += len(rows)
            found.append((rows, cosines))
        nearest, cosines = (np.concatenate(part) for part in zip(*found, strict=True))
        return cls(n, alpha, before, nearest, cosines, gallery)

    def apply(self, asked: Asked) -> Asked:
        """The same queries against the sums."""
        return Asked(asked.queries, self.gallery, asked.own, self.without_own(asked.own))

    def without_own(self, own: csr_array) -> Corrected | None:
        """The sums that contain a query's own rows, as they are with the next nearest in their place."""
        contained = self.nearest[:, : self.n - 1]
        columns = np.repeat(np.arange(len(self.nearest)), contained.shape[1])
        holders = csr_array(
            (np.ones(contained.size, np.int32), (contained.ravel(), columns)), shape=(len(self.before),) * 2
        )
        rows, columns = (own.astype(np.int32) @ holders).nonzero()
        if not len(rows):
            return None
        allowed = ~own.toarray()[rows[:, None], self.nearest[columns]]
        used = allowed & (np.cumsum(allowed, axis=1) < self.n)
        weight = np.where(used, weights(self.cosines[columns], self.alpha), 0)
        return Corrected(rows, columns, unit(_add(self.before[columns], self.before, self.nearest[columns], weight)))


@dataclass(frozen=True)
class Expansion:
    """Each query summed with its ``n - 1`` nearest gallery vectors, weighted by cosine to the ``alpha``.

    With alpha 0 average query expansion (Chum et al., "Total recall", 2007); else alpha-QE (Radenović, Tolias and Chum,
    "Fine-tuning CNN image retrieval with no human annotation", 2018, section 3.3).
    """

    n: int
    alpha: float
    gallery: Vectors

    def apply(self, asked: Asked) -> Asked:
        """The expanded queries against the same gallery; a query's own rows are passed over."""
        columns, scores = first(asked.scores(), self.n - 1)
        total = asked.queries.astype(np.float64)
        for weight, vectors in zip(weights(scores, self.alpha).T, asked.vectors_at(columns), strict=True):
            total += weight[:, None] * vectors
        return replace(asked, queries=unit(total))


def _add(base: Vectors, vectors: Vectors, rows: Ints, weight: Floats) -> Floats:
    """``base`` ``(p, d)`` plus the sum over k of ``weight`` ``(p, k)`` times ``vectors`` at ``rows`` ``(p, k)``."""
    total = base.astype(np.float64)
    for place in range(rows.shape[1]):
        total += weight[:, place, None] * vectors[rows[:, place]]
    return total
