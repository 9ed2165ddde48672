"""Principal components of a gallery, whitened to a power."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.ranking.queries import Asked
from imgsearch_kit.records import Vectors
from imgsearch_kit.vectors import CHUNK, Floats, unit

LEAST_VARIANCE = 1e-9  # of the first component's: below it lies rounding, which whitening would blow up


@dataclass(frozen=True)
class Pca:
    """What was learned: ``mean`` ``(d,)``, scaled ``components`` ``(d, dims)``, and the gallery in them.

    Power 1 is whitening: Jégou and Chum, "Negative evidences and co-occurences in image retrieval: the benefit of PCA
    and whitening" (2012). Power 0 only turns the axes; between them the strong directions keep some of their weight.
    """

    mean: Floats
    components: Floats
    gallery: Vectors

    @classmethod
    def fit(cls, gallery: Vectors, dims: int, power: float) -> Pca:
        """Learns from the gallery ``(n, d)`` and projects it.

        :raises BadQuery: when the gallery does not vary in as many directions as ``dims``.
        """
        n, d = gallery.shape
        mean = gallery.mean(axis=0, dtype=np.float64)
        covariance = np.zeros((d, d))
        for start in range(0, n, CHUNK):
            centred = gallery[start : start + CHUNK] - mean
            covariance += centred.T @ centred / n
        variances, vectors = np.linalg.eigh(covariance)
        variances, vectors = variances[::-1], vectors[:, ::-1]
        there = int(np.count_nonzero(variances > LEAST_VARIANCE * variances[0])) if variances[0] > 0 else 0
        if dims > there:
            raise BadQuery(f"PCA to {dims} dimensions: these {n} vectors of {d} vary in {there} only. Ask for fewer.")
        return cls.of(gallery, mean, vectors[:, :dims] / variances[:dims] ** (power / 2))

    @classmethod
    def of(cls, gallery: Vectors, mean: Floats, components: Floats) -> Pca:
        """Components that were learned, each turned so that its largest entry is positive, and the gallery in them."""
        largest = components[np.abs(components).argmax(axis=0), np.arange(components.shape[1])]
        components = components * np.sign(largest)
        return cls(mean, components, _project(gallery, mean, components))

    def project(self, vectors: Vectors) -> Vectors:
        """The vectors ``(m, d)`` in the learned components, unit norm: ``(m, dims)``."""
        return _project(vectors, self.mean, self.components)

    def apply(self, asked: Asked) -> Asked:
        """Queries and gallery in the learned components."""
        corrected = asked.corrected and replace(asked.corrected, vectors=self.project(asked.corrected.vectors))
        return Asked(self.project(asked.queries), self.gallery, asked.own, corrected)


def _project(vectors: Vectors, mean: Floats, components: Floats) -> Vectors:
    out = np.empty((len(vectors), components.shape[1]), np.float32)
    for i in range(0, len(vectors), CHUNK):
        out[i : i + CHUNK] = unit((vectors[i : i + CHUNK] - mean) @ components)
    return out
