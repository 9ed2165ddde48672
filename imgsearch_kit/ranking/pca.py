"""Principal components of a gallery, whitened to a power."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.ranking.queries import Asked
from imgsearch_kit.ranking.step import Arrays
from imgsearch_kit.records import Vectors
from imgsearch_kit.vectors import CHUNK, Floats, unit

LEAST_VARIANCE = 1e-9  # relative to the first component's; less is rounding error, which whitening would amplify


@dataclass(frozen=True)
class Components:
    """Learned components: the ``mean`` ``(d,)``, and scaled ``directions`` ``(d, dims)``, one per column.

    The sign of each is such that its largest entry is positive.
    """

    mean: Floats
    directions: Floats

    @classmethod
    def of(cls, mean: Floats, directions: Floats) -> Components:
        """The components with their signs fixed."""
        largest = directions[np.abs(directions).argmax(axis=0), np.arange(directions.shape[1])]
        return cls(mean, directions * np.sign(largest))

    def project(self, vectors: Vectors) -> Vectors:
        """The vectors ``(m, d)`` in these directions, unit norm: ``(m, dims)``."""
        out = np.empty((len(vectors), self.directions.shape[1]), np.float32)
        for i in range(0, len(vectors), CHUNK):
            out[i : i + CHUNK] = unit((vectors[i : i + CHUNK] - self.mean) @ self.directions)
        return out


@dataclass(frozen=True)
class ProjectedGallery:
    """A gallery projected on the components that were learned from it."""

    components: Components
    gallery: Vectors

    @classmethod
    def of(cls, gallery: Vectors, components: Components) -> ProjectedGallery:
        """The gallery ``(n, d)`` projected on the components."""
        return cls(components, components.project(gallery))

    @classmethod
    def restored(cls, arrays: Arrays) -> ProjectedGallery:
        """What ``arrays`` gave."""
        return cls(Components(arrays["mean"], arrays["directions"]), arrays["gallery"])

    def apply(self, asked: Asked) -> Asked:
        """Queries and gallery projected on the learned components."""
        corrected = asked.corrected
        if corrected is not None:
            corrected = replace(corrected, vectors=self.components.project(corrected.vectors))
        return Asked(self.components.project(asked.queries), self.gallery, asked.own, corrected)

    def arrays(self) -> Arrays:
        """The components, and the projected gallery."""
        return {"mean": self.components.mean, "directions": self.components.directions, "gallery": self.gallery}


@dataclass(frozen=True, slots=True)
class PcaStep:
    """``pca:DIMS:POWER``: components divided by their standard deviation to the power; 0, plain PCA, if left out.

    Power 1 is whitening: Jégou and Chum, "Negative evidences and co-occurences in image retrieval: the benefit of PCA
    and whitening" (2012). Power 0 only rotates the axes; with powers between, strong directions keep some weight.
    """

    dims: int
    power: float = 0.0

    def fit(self, gallery: Vectors, *, spare: int = 1) -> ProjectedGallery:
        """Learns from a gallery ``(n, d)`` and projects it.

        :raises BadQuery: when it does not vary in as many directions as ``dims``.
        """
        n, d = gallery.shape
        mean = gallery.mean(axis=0, dtype=np.float64)
        variances, vectors = np.linalg.eigh(_among_rows(gallery, mean) if n < d else _covariance(gallery, mean))
        variances, vectors = variances[::-1], vectors[:, ::-1]
        there = int(np.count_nonzero(variances > LEAST_VARIANCE * variances[0])) if variances[0] > 0 else 0
        if self.dims > there:
            raise BadQuery(f"PCA to {self.dims} dimensions: these {n} vectors of {d} vary in only {there}. Use fewer.")
        variances, vectors = variances[: self.dims], vectors[:, : self.dims]
        if n < d:
            vectors = _directions(gallery, mean, vectors) / np.sqrt(n * variances)
        return ProjectedGallery.of(gallery, Components.of(mean, vectors / variances ** (self.power / 2)))

    def restore(self, gallery: Vectors, arrays: Arrays) -> ProjectedGallery:
        """As ``Step.restore``."""
        return ProjectedGallery.restored(arrays)


def _covariance(gallery: Vectors, mean: Floats) -> Floats:
    """The covariance of the dimensions, ``(d, d)``."""
    n, d = gallery.shape
    covariance = np.zeros((d, d))
    for start in range(0, n, CHUNK):
        centred = gallery[start : start + CHUNK] - mean
        covariance += centred.T @ centred / n
    return covariance


def _among_rows(gallery: Vectors, mean: Floats) -> Floats:
    """The Gram matrix of the centred rows over their number, ``(n, n)``: it has the covariance's eigenvalues."""
    n, d = gallery.shape
    gram = np.zeros((n, n))
    for start in range(0, d, CHUNK):
        centred = gallery[:, start : start + CHUNK] - mean[start : start + CHUNK]
        gram += centred @ centred.T / n
    return gram


def _directions(gallery: Vectors, mean: Floats, weights: Floats) -> Floats:
    """The centred rows summed with each column of ``weights`` ``(n, dims)``: ``(d, dims)``."""
    starts = range(0, gallery.shape[1], CHUNK)
    return np.concatenate([(gallery[:, i : i + CHUNK] - mean[i : i + CHUNK]).T @ weights for i in starts])
