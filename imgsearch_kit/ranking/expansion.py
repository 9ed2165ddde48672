"""Sums of near vectors: database augmentation for the gallery, query expansion for the queries."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csr_array

from imgsearch_kit.ranking.queries import Asked, Corrected, blocks_of_itself, cosine_weights
from imgsearch_kit.ranking.step import Arrays
from imgsearch_kit.records import Vectors
from imgsearch_kit.vectors import Floats, Ints, Scores, first, unit


@dataclass(frozen=True, slots=True)
class DbaStep:
    """``dba:N:ALPHA``: each gallery vector summed with its nearest others, N with itself, by cosine to the ALPHA.

    Turcot and Lowe, "Better matching with fewer features" (2009); Arandjelović and Zisserman, "Three things everyone
    should know to improve object retrieval" (2012).
    """

    n: int
    alpha: float

    def fit(self, gallery: Vectors, *, spare: int = 1) -> Augmentation:
        """Augments a gallery; ``spare`` further neighbours are kept to replace a query's own rows."""
        sums, done, others = np.empty_like(gallery), 0, self.n - 1
        found: list[tuple[Ints, Scores]] = []
        for asked in blocks_of_itself(gallery):  # and so the sums, which are in float64
            rows, cosines = first(asked.scores(), others + spare)
            weight = cosine_weights(cosines[:, :others], self.alpha)
            sums[done : done + len(rows)] = unit(_add(asked.queries, gallery, rows[:, :others], weight))
            done += len(rows)
            found.append((rows, cosines))
        nearest, cosines = (np.concatenate(part) for part in zip(*found, strict=True))
        return Augmentation(self, gallery, nearest, cosines, sums)

    def restore(self, gallery: Vectors, arrays: Arrays) -> Augmentation:
        """As ``Step.restore``."""
        return Augmentation(self, gallery, arrays["nearest"], arrays["cosines"], arrays["gallery"])


@dataclass(frozen=True)
class Augmentation:
    """A gallery's sums: ``before`` are the vectors that were summed, ``gallery`` the sums.

    ``nearest`` ``(n, N - 1 + spare)`` are the nearest others of each vector, with their ``cosines``.
    """

    step: DbaStep
    before: Vectors
    nearest: Ints
    cosines: Scores
    gallery: Vectors

    def apply(self, asked: Asked) -> Asked:
        """The same queries against the sums."""
        return Asked(asked.queries, self.gallery, asked.own, self.without_own(asked.own))

    def without_own(self, own: csr_array) -> Corrected | None:
        """The sums that contain a query's own rows, with the next nearest rows in place of these."""
        contained = self.nearest[:, : self.step.n - 1]
        columns = np.repeat(np.arange(len(self.nearest)), contained.shape[1])
        holders = csr_array(
            (np.ones(contained.size, np.int32), (contained.ravel(), columns)), shape=(len(self.before),) * 2
        )
        rows, columns = (own.astype(np.int32) @ holders).nonzero()
        if not len(rows):
            return None
        allowed = ~own.toarray()[rows[:, None], self.nearest[columns]]
        used = allowed & (np.cumsum(allowed, axis=1) < self.step.n)
        weight = np.where(used, cosine_weights(self.cosines[columns], self.step.alpha), 0)
        return Corrected(rows, columns, unit(_add(self.before[columns], self.before, self.nearest[columns], weight)))

    def arrays(self) -> Arrays:
        """The sums, and the nearest others with their cosines."""
        return {"nearest": self.nearest, "cosines": self.cosines, "gallery": self.gallery}


@dataclass(frozen=True, slots=True)
class QeStep:
    """``qe:N:ALPHA``: each query summed with its nearest gallery vectors, N with itself, by cosine to the ALPHA.

    With alpha 0 average query expansion (Chum et al., "Total recall", 2007); else alpha-QE (Radenović, Tolias and Chum,
    "Fine-tuning CNN image retrieval with no human annotation", 2018, section 3.3).
    """

    n: int
    alpha: float

    def fit(self, gallery: Vectors, *, spare: int = 1) -> Expansion:
        """Nothing is learned."""
        return Expansion(self, gallery)

    def restore(self, gallery: Vectors, arrays: Arrays) -> Expansion:
        """As ``Step.restore``."""
        return Expansion(self, gallery)


@dataclass(frozen=True)
class Expansion:
    """A gallery whose vectors are added to queries."""

    step: QeStep
    gallery: Vectors

    def apply(self, asked: Asked) -> Asked:
        """The expanded queries against the same gallery; a query's own rows are skipped."""
        columns, scores = first(asked.scores(), self.step.n - 1)
        total = asked.queries.astype(np.float64)
        for weight, vectors in zip(cosine_weights(scores, self.step.alpha).T, asked.vectors_at(columns), strict=True):
            total += weight[:, None] * vectors
        return replace(asked, queries=unit(total))

    def arrays(self) -> Arrays:
        """None: nothing was learned."""
        return {}


def _add(base: Vectors, vectors: Vectors, rows: Ints, weight: Floats) -> Floats:
    """``base`` ``(p, d)`` plus the sum over k of ``weight`` ``(p, k)`` times ``vectors`` at ``rows`` ``(p, k)``."""
    total = base.astype(np.float64)
    for place in range(rows.shape[1]):
        total += weight[:, place, None] * vectors[rows[:, place]]
    return total
