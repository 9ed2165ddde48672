"""Directions in which pictures differ more than near neighbours do, learned on a gallery without a label."""

from __future__ import annotations

import numpy as np
import scipy.linalg
from scipy.sparse import csr_array, diags_array

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.ranking.expansion import Augmentation
from imgsearch_kit.ranking.pca import LEAST_VARIANCE, Pca
from imgsearch_kit.ranking.queries import blocks_of_itself
from imgsearch_kit.records import Vectors
from imgsearch_kit.vectors import CHUNK, Floats, Ints, first

SHRINKAGE = 0.4  # of the neighbours' covariance towards a multiple of the identity


def fit(gallery: Vectors, dims: int, n: int) -> Pca:
    """Relevant component analysis of a gallery ``(m, d)``, with each picture's ``n`` nearest in place of given classes.

    Bar-Hillel, Hertz, Shental and Weinshall, "Learning distance functions using equivalence relations" (2003): of the
    directions whitened by the covariance of what belongs together, those ``dims`` in which all pictures vary most.
    Twice: what belongs together is first the nearest others of each vector, then, in the directions so found, those of
    each vector summed with its neighbours (``Augmentation``). It wants several times as many vectors as ``dims``.

    :raises BadQuery: when the gallery has no ``n`` others for each vector, or does not vary in as many directions.
    """
    if len(gallery) <= n:
        raise BadQuery(f"RCA over {n} neighbours needs more than these {len(gallery)} vectors. Ask for fewer.")
    found = _learn(gallery, _nearest(gallery, n), dims)
    return _learn(gallery, _nearest(Augmentation.fit(found.gallery, n, 1.0, 0).gallery, n), dims)


def _nearest(vectors: Vectors, n: int) -> Ints:
    return np.concatenate([first(asked.scores(), n)[0] for asked in blocks_of_itself(vectors)])


def _learn(gallery: Vectors, nearest: Ints, dims: int) -> Pca:
    m, d = gallery.shape
    pairs = csr_array(
        (np.ones(nearest.size), (np.repeat(np.arange(m), nearest.shape[1]), nearest.ravel())), shape=(m, m)
    )
    # The differences of all pairs, squared and summed, are X' L X with the Laplacian L of the neighbour graph.
    both = pairs + pairs.T
    laplacian = (diags_array(both.sum(axis=1)) - both).tocsr()
    mean = gallery.mean(axis=0, dtype=np.float64)
    within, total = np.zeros((d, d)), np.zeros((d, d))
    centred = gallery - mean
    for start in range(0, m, CHUNK):
        part = centred[start : start + CHUNK]
        total += part.T @ part / m
        within += part.T @ (laplacian[start : start + CHUNK] @ centred) / nearest.size
    variances, components = _discriminants(total, within)
    there = int(np.count_nonzero(variances > LEAST_VARIANCE * variances[0]))
    if dims > there:
        raise BadQuery(f"RCA to {dims} dimensions: these {m} vectors of {d} vary in {there} only. Ask for fewer.")
    return Pca.of(gallery, mean, components[:, :dims])


def _discriminants(total: Floats, within: Floats) -> tuple[Floats, Floats]:
    """The directions of unit variance ``within``, and their variances in ``total``, the largest first."""
    spread = np.trace(within) / len(within)
    if spread <= 0:
        return np.zeros(1), np.zeros((len(total), 1))
    shrunk = (1 - SHRINKAGE) * within + SHRINKAGE * spread * np.eye(len(within))
    variances, components = scipy.linalg.eigh(total, shrunk)
    return variances[::-1], components[:, ::-1]
