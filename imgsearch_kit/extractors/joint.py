"""Pictures in batches through an engine, and the checked unit vectors that come out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.extractors.base import Mapper, check_pixels
from imgsearch_kit.records import ExtractorSpec, Maps, Pixels, Vectors

# What an engine does: one batch of pixels to one (n, dim) array per extractor, of any norm.
Batched = Callable[[Pixels], Sequence[Vectors]]

NETWORK_BATCH = 16  # as fast as 32 on a CPU, with half the memory


class JointExtractor:
    """Several extractors of one network and input side, computed in one pass. Threads may share one object."""

    def __init__(
        self,
        specs: Sequence[ExtractorSpec],
        batched: Batched,
        mapper: Mapper | None = None,
        *,
        batch: int = NETWORK_BATCH,
    ):
        """``batched`` maps at most ``batch`` pictures to one array per spec; rows are normalised here.

        ``mapper`` gives the last convolution's map of as many, where the network has one.
        """
        self.specs = {spec.name: spec for spec in specs}
        self.side, self.batch = specs[0].side, batch
        self._batched = batched
        self.mapper = None if mapper is None else self._checked(mapper)

    def extract(self, pixels: Pixels) -> dict[str, Vectors]:
        """The unit vectors of ``(n, side, side, 3)`` uint8 pixels by extractor name, each ``(n, dim)`` float32.

        :raises BadQuery: when the pixels have another shape or dtype, or a vector is zero or not finite.
        """
        check_pixels(pixels, self.side)
        raw = {name: np.zeros((len(pixels), spec.dim), np.float32) for name, spec in self.specs.items()}
        for start in range(0, len(pixels), self.batch):
            batch = pixels[start : start + self.batch]
            for vectors, found in zip(raw.values(), self._batched(batch), strict=True):
                vectors[start : start + len(batch)] = found
        return {name: _unit(name, vectors) for name, vectors in raw.items()}

    def _checked(self, mapper: Mapper) -> Mapper:
        def maps(pixels: Pixels) -> Maps:
            check_pixels(pixels, self.side)
            return np.concatenate(
                [mapper(pixels[start : start + NETWORK_BATCH]) for start in range(0, len(pixels), NETWORK_BATCH)]
            )

        return maps


class SingleExtractor:
    """A joint extractor of one spec, as an ``Extractor``."""

    def __init__(self, joint: JointExtractor):
        self._joint = joint
        (self._spec,) = joint.specs.values()

    @property
    def spec(self) -> ExtractorSpec:
        """Everything that determines the vectors."""
        return self._spec

    @property
    def batch(self) -> int:
        """How many pictures go through the network at once."""
        return self._joint.batch

    @property
    def mapper(self) -> Mapper | None:
        """What gives the last convolution's map, ``(n, h, w, c)`` float32; None where the network has none."""
        return self._joint.mapper

    def extract(self, pixels: Pixels) -> Vectors:
        """The unit vectors of ``(n, side, side, 3)`` uint8 pixels: ``(n, dim)`` float32, rows in the pixels' order.

        :raises BadQuery: when the pixels have another shape or dtype, or a vector is zero or not finite.
        """
        return self._joint.extract(pixels)[self._spec.name]


def _unit(name: str, vectors: Vectors) -> Vectors:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    wrong = np.flatnonzero(~((norms > 0) & np.isfinite(norms)))
    if len(wrong):
        row = int(wrong[0])
        raise BadQuery(
            f"{name} makes no valid vector of row {row} of {len(vectors)}: its norm is {norms[row, 0]:g}. "
            "Leave the picture out, or check the weights."
        )
    return vectors / norms
