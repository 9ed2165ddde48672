"""Shares of a cosine by position: how much each place of two pictures contributes to it."""

from __future__ import annotations

from collections.abc import Callable, Generator

import numpy as np

from imgsearch_kit.extractors.vgg16 import GEM_P, rmac_regions
from imgsearch_kit.records import Maps, Pixels, Vectors
from imgsearch_kit.vectors import Floats

EXACT_POOLINGS = ("spoc", "rmac")  # sums over places or regions; the others are attributed in proportion
OCCLUDED = 7  # places a side that are covered one after the other
COVERED_AT_ONCE = 7  # covered pictures in one call of the network


def shares(one: Maps, other: Maps, pooling: str) -> tuple[Floats, Floats]:
    """The shares of the cosine of two pictures by position on each: two arrays ``(h, w)`` that each sum to the cosine.

    ``one`` and ``other`` are maps ``(h, w, c)``, pooled by "spoc", "rmac", "gem" or "mac". A pooled vector is a sum
    of contributions of its places, so its cosine with the other vector is a sum over the same places. SPoC is that sum
    (as in Zhou et al., "Learning deep features for discriminative localization", 2016). R-MAC is a sum over regions,
    and each region's channels are shared out to its cells that have their maximum. GeM and MAC are no sums: each
    channel is shared out in proportion to its powers, or to the cells that have its maximum.
    """
    parts = [_contributions(np.asarray(each, np.float64), pooling) for each in (one, other)]
    vectors = [part.sum(axis=(0, 1)) for part in parts]
    norms = [max(float(np.linalg.norm(vector)), np.finfo(np.float64).tiny) for vector in vectors]
    first, second = (
        part @ facing / (norms[0] * norms[1]) for part, facing in zip(parts, reversed(vectors), strict=True)
    )
    return first, second


def _contributions(activations: Floats, pooling: str) -> Floats:
    """What each place adds to the pooled vector, ``(h, w, c)``; their sum is that vector, of any norm."""
    if pooling == "spoc":
        return activations
    if pooling == "rmac":
        added = np.zeros_like(activations)
        for top, left, size in rmac_regions(len(activations)):
            region = slice(top, top + size), slice(left, left + size)
            maximum = _maxima(activations[region])
            norm = float(np.linalg.norm(maximum.sum(axis=(0, 1))))
            added[region] += maximum / max(norm, np.finfo(np.float64).tiny)
        return added
    if pooling == "gem":
        powers = np.maximum(activations, 1e-6) ** GEM_P
        return powers / powers.sum(axis=(0, 1)) * powers.mean(axis=(0, 1)) ** (1 / GEM_P)
    return _maxima(activations)


def _maxima(activations: Floats) -> Floats:
    """The maximum of each channel at the cells that have it, equally shared; 0 elsewhere."""
    most = activations.max(axis=(0, 1))
    there = activations == most
    return there / there.sum(axis=(0, 1)) * most


def occlusion(
    extract: Callable[[Pixels], Vectors], one: Pixels, other: Pixels
) -> Generator[float, None, tuple[Floats, Floats, float]]:
    """What the cosine of two pictures falls by when a place of either is covered, two ``(7, 7)`` arrays; the cosine.

    Both are ``(1, side, side, 3)`` uint8. A square of two places a side in the picture's mean colour covers one place
    after the other (Zeiler and Fergus, "Visualizing and understanding convolutional networks", 2014). A value below 0
    says that the cosine rises. Yields the share that is done.
    """
    vectors = extract(np.concatenate([one, other]))
    cosine = float(vectors[0] @ vectors[1])
    places = OCCLUDED * OCCLUDED
    falls = np.zeros((2, places))
    for which, pixels in enumerate((one, other)):
        for start in range(0, places, COVERED_AT_ONCE):
            some = range(start, min(start + COVERED_AT_ONCE, places))
            covered = np.concatenate([_covered(pixels, *divmod(place, OCCLUDED)) for place in some])
            falls[which, some] = cosine - extract(covered) @ vectors[1 - which]
            yield (which * places + some.stop) / (2 * places)
    return falls[0].reshape(OCCLUDED, OCCLUDED), falls[1].reshape(OCCLUDED, OCCLUDED), cosine


def _covered(pixels: Pixels, row: int, column: int) -> Pixels:
    side = pixels.shape[1]
    rows, columns = (
        slice(max(0, round((at - 0.5) * side / OCCLUDED)), round((at + 1.5) * side / OCCLUDED)) for at in (row, column)
    )
    covered = pixels.copy()
    covered[:, rows, columns] = np.rint(pixels.mean(axis=(1, 2)))
    return covered
