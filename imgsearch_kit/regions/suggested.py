"""Boxes worth searching for, from the energy of a picture's last convolution map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from imgsearch_kit.boxes import Box
from imgsearch_kit.records import Maps
from imgsearch_kit.reports import Report, Table

LEAST_SIDE = 3  # cells; a smaller box is noise
WHOLE, SAME = 0.85, 0.6  # a box of that share of the picture is no part; two that overlap so much are one


@dataclass(frozen=True, slots=True)
class SuggestedBoxes(Report):
    """Parts of a picture that may be searched for, most energy first; ``note`` says why there are none."""

    boxes: Sequence[Box]
    note: str = ""

    def title(self) -> str:
        """How many there are, or why there are none."""
        return self.note or f"{len(self.boxes)} suggested boxes"

    def tables(self) -> Sequence[Table]:
        """The boxes."""
        return [Table(self.boxes, ("left", "top", "right", "bottom"))]


def energy_boxes(activations: Maps) -> list[Box]:
    """Up to three boxes around the strongest connected places of a map ``(h, w, c)``, most energy first.

    The energy of a place is the sum of the squares of its channels. Its largest connected part above the mean is the
    object in Wei et al., "Selective convolutional descriptor aggregation for fine-grained image retrieval" (2017). The
    boxes surround that part, and the two largest above the mean and a standard deviation. One that is nearly the whole
    picture, or nearly another, is left out.
    """
    energy = np.einsum("hwc,hwc->hw", activations, activations, dtype=np.float64)
    candidates = [*_parts(energy, energy.mean())[:1], *_parts(energy, energy.mean() + energy.std())[:2]]
    height, width = energy.shape
    kept: list[Box] = []
    for rows, columns in candidates:
        box = columns.start / width, rows.start / height, columns.stop / width, rows.stop / height
        sides = columns.stop - columns.start, rows.stop - rows.start
        if min(sides) >= LEAST_SIDE and _area(box) < WHOLE and all(_overlap(box, other) < SAME for other in kept):
            kept.append(box)
    return kept


def _parts(energy: np.ndarray, level: float) -> list[tuple[slice, slice]]:
    """The bounds (rows, columns) of the connected parts above a level, most energy first."""
    numbers, count = ndimage.label(energy > level + 1e-9 * abs(level))
    sums = ndimage.sum_labels(energy, numbers, np.arange(1, count + 1))
    bounds = ndimage.find_objects(numbers)
    return [bounds[part] for part in np.argsort(-np.asarray(sums), kind="stable")]


def _area(box: Box) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def _overlap(one: Box, other: Box) -> float:
    """The area of the intersection of two boxes over that of their union."""
    shared = _area((max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3])))
    return shared / (_area(one) + _area(other) - shared)
