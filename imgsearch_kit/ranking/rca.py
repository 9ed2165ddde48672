"""Directions in which pictures differ more than near neighbours do, learned from a gallery without labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from scipy.sparse import csr_array, diags_array

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.ranking.expansion import DbaStep
from imgsearch_kit.ranking.pca import LEAST_VARIANCE, Components, ProjectedGallery
from imgsearch_kit.ranking.queries import blocks_of_itself
from imgsearch_kit.ranking.step import Arrays
from imgsearch_kit.records import Vectors
from imgsearch_kit.vectors import CHUNK, Floats, Ints, first

SHRINKAGE = 0.4  # of the neighbours' covariance towards a multiple of the identity


@dataclass(frozen=True, slots=True)
class RcaStep:
    """``rca:DIMS:N``, relevant component analysis with each picture's N nearest others in place of given classes.

    Bar-Hillel, Hertz, Shental and Weinshall, "Learning distance functions using equivalence relations" (2003): of the
    directions whitened by the covariance within groups, the DIMS in which all pictures vary most. It is done twice: the
    groups are first the nearest others of each vector, then, in the directions found, those of each vector summed with
    its neighbours (``dba``). It needs several times as many vectors as DIMS.
    """

    dims: int
    n: int

    def fit(self, gallery: Vectors, *, spare: int = 1) -> ProjectedGallery:
        """Learns from a gallery ``(m, d)`` and projects it.

        :raises BadQuery: when it has no ``n`` others for each vector, or does not vary in as many directions.
        """
        m, d = gallery.shape
        if m <= self.n:
            raise BadQuery(f"RCA over {self.n} neighbours needs more than these {m} vectors. Use fewer neighbours.")
        mean = gallery.mean(axis=0, dtype=np.float64)
        centred = gallery - mean
        # Fewer rows than dimensions vary only in their own span, so the same is found there.
        span = np.linalg.qr(centred.T)[0] if m < d else None
        varied = centred if span is None else centred @ span

        def learned(nearest: Ints) -> ProjectedGallery:
            variances, found = _discriminants(varied, nearest, d)
            there = int(np.count_nonzero(variances > LEAST_VARIANCE * variances[0]))
            if self.dims > there:
                raise BadQuery(
                    f"RCA to {self.dims} dimensions: these {m} vectors of {d} vary in only {there}. Use fewer."
                )
            directions = found[:, : self.dims]
            return ProjectedGallery.of(gallery, Components.of(mean, directions if span is None else span @ directions))

        once = learned(_nearest_others(gallery, self.n))
        return learned(_nearest_others(DbaStep(self.n, 1.0).fit(once.gallery, spare=0).gallery, self.n))

    def restore(self, gallery: Vectors, arrays: Arrays) -> ProjectedGallery:
        """As ``Step.restore``."""
        return ProjectedGallery.restored(arrays)


def _nearest_others(vectors: Vectors, n: int) -> Ints:
    return np.concatenate([first(asked.scores(), n)[0] for asked in blocks_of_itself(vectors)])


def _discriminants(centred: Floats, nearest: Ints, dims: int) -> tuple[Floats, Floats]:
    """The directions in which neighbours differ by unit variance, and the variances of all rows, largest first.

    ``centred`` is ``(m, d)`` with zero mean, ``nearest`` ``(m, n)`` holds the neighbours of each row; the shrinkage
    counts ``dims`` dimensions, d or more.
    """
    m, d = centred.shape
    pairs = csr_array(
        (np.ones(nearest.size), (np.repeat(np.arange(m), nearest.shape[1]), nearest.ravel())), shape=(m, m)
    )
    # The differences of all pairs, squared and summed, are X' L X with the Laplacian L of the neighbour graph.
    both = pairs + pairs.T
    laplacian = (diags_array(both.sum(axis=1)) - both).tocsr()
    within, total = np.zeros((d, d)), np.zeros((d, d))
    for start in range(0, m, CHUNK):
        part = centred[start : start + CHUNK]
        total += part.T @ part / m
        within += part.T @ (laplacian[start : start + CHUNK] @ centred) / nearest.size
    spread = np.trace(within) / dims
    if spread <= 0:
        return np.zeros(1), np.zeros((d, 1))
    shrunk = (1 - SHRINKAGE) * within + SHRINKAGE * spread * np.eye(d)
    variances, directions = scipy.linalg.eigh(total, shrunk)
    return variances[::-1], directions[:, ::-1]
