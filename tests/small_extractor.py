"""An extractor whose vectors a person can compute: the mean colours of a picture's four quarters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from imgsearch_kit.records import ExtractorSpec


class QuarterColours:
    """12-d: red, green and blue of the upper left, upper right, lower left and lower right quarter, then unit norm.

    A picture of one colour (r, g, b) has the vector (r, g, b, r, g, b, r, g, b, r, g, b), normalised, so red and blue
    pictures are at a right angle. Black is a zero vector, which is refused as a real extractor would refuse it.
    """

    def __init__(self, name: str = "quarters"):
        self.spec = ExtractorSpec(name, 12, side=8, engine="numpy", weights_digest="0" * 64)
        self.calls: list[int] = []  # how many pictures each call brought

    def extract(self, pixels):
        from imgsearch_kit.errors import BadQuery

        self.calls.append(len(pixels))
        quarters = pixels.reshape(-1, 2, 4, 2, 4, 3).mean(axis=(2, 4)).reshape(len(pixels), 12)
        norms = np.linalg.norm(quarters, axis=1, keepdims=True)
        if len(pixels) and norms.min() == 0:
            raise BadQuery(f"The vector of picture {int(norms.argmin())} is zero.")
        return np.ascontiguousarray(quarters / norms, np.float32) if len(pixels) else np.zeros((0, 12), np.float32)


class UpperColours(QuarterColours):
    """6-d: another extractor, of the upper quarters alone."""

    def __init__(self):
        super().__init__()
        self.spec = ExtractorSpec("upper", 6, side=8, engine="numpy", weights_digest="0" * 64)

    def extract(self, pixels):
        upper = super().extract(pixels)[:, :6]
        return np.ascontiguousarray(upper / np.linalg.norm(upper, axis=1, keepdims=True))


def paint(path: Path, colour: tuple[int, int, int] | str, size: tuple[int, int] = (32, 24)) -> Path:
    """Writes a picture of one colour, as the kind its suffix says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path
