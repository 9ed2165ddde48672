"""The extractor protocol, and the presets that the kit knows by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.records import ExtractorSpec, Maps, Pixels, Vectors

# What gives the last convolution's map of (n, side, side, 3) uint8 pixels.
Mapper = Callable[[Pixels], Maps]


class Extractor(Protocol):
    """Turns pixels into unit vectors; the same picture gives the same vector (within 1e-5) in any batch."""

    @property
    def spec(self) -> ExtractorSpec:
        """Everything that determines the vectors."""

    def extract(self, pixels: Pixels) -> Vectors:
        """The unit vectors of ``(n, side, side, 3)`` uint8 pixels: ``(n, dim)`` float32, rows in the pixels' order.

        :raises BadQuery: when the pixels have another shape or dtype, or a vector is zero or not finite.
        """


@dataclass(frozen=True, slots=True)
class Preset:
    """A named configuration of an extractor: network, layer, pooling and input pixels.

    ``scales`` are further input sides: the pixels are also resized to each of them. ``further`` are further layers with
    their weights. The unit vectors of all sides and layers are concatenated, each times the weight of its layer.
    """

    network: str
    layer: str
    pooling: str
    dim: int
    side: int = 224
    resampling: str = "bilinear"
    scales: tuple[int, ...] = ()
    further: tuple[tuple[str, float], ...] = ()

    @property
    def sides(self) -> tuple[int, ...]:
        """All input sides, in the order of their parts in a vector."""
        return self.side, *self.scales

    @property
    def layers(self) -> dict[str, float]:
        """The weight of each layer, in the order of their parts in a vector."""
        return {self.layer: 1.0, **dict(self.further)}


DEFAULT_PRESET = "vgg16-rmac"
LOWER_LAYERS = (("block5_conv2", 1.0), ("block4_conv3", 0.5))  # with the last one, of one pass

PRESETS = {
    "vgg16-rmac": Preset("vgg16-conv", "block5_conv3", "rmac", 512),
    "vgg16-fc1": Preset("vgg16", "fc1", "none", 4096, resampling="bicubic"),  # that of the original system
    "vgg16-spoc": Preset("vgg16-conv", "block5_conv3", "spoc", 512),
    "vgg16-mac": Preset("vgg16-conv", "block5_conv3", "mac", 512),
    "vgg16-gem": Preset("vgg16-conv", "block5_conv3", "gem", 512),
    "vgg16-rmac-ms": Preset("vgg16-conv", "block5_conv3", "rmac", 1024, side=320, scales=(224,)),
    "vgg16-rmac-ml": Preset("vgg16-conv", "block5_conv3", "rmac", 1536, further=LOWER_LAYERS),
    "vgg16-rmac-ml-ms": Preset(
        "vgg16-conv", "block5_conv3", "rmac", 3072, side=320, scales=(224,), further=LOWER_LAYERS
    ),
}

CONVOLUTIONAL = [name for name, preset in PRESETS.items() if preset.network == "vgg16-conv"]


def mapper_of(extractor: Extractor) -> Mapper | None:
    """What gives the last convolution's map of an extractor, ``(n, h, w, c)`` float32; None where it has none.

    Those of VGG16 have one, at the first of their input sides. Under a ranking that is baked into an index it is that
    of the extractor itself.
    """
    mapper: Mapper | None = getattr(getattr(extractor, "own", extractor), "mapper", None)
    return mapper


def probe_pixels(side: int) -> Pixels:
    """Two generated pictures, ``(2, side, side, 3)`` uint8: a colour gradient with a disc, and a grid of waves.

    Their vectors are stored with an index and computed again before the first query, to detect a changed network,
    preprocessing or library.
    """
    y, x = np.mgrid[0:side, 0:side].astype(np.float64) / side
    disc = (x - 0.4) ** 2 + (y - 0.55) ** 2 < 0.06
    gradient = np.stack([x, y, 1 - x], axis=-1)
    gradient[disc] = (0.9, 0.2, 0.1)
    wave = 0.5 + 0.5 * np.sin(24 * x + 9 * y) * np.cos(17 * y)
    grid = np.stack([wave, wave**2, 1 - wave], axis=-1)
    return np.round(np.stack([gradient, grid]) * 255).astype(np.uint8)


def probe_vectors(extractor: Extractor) -> Vectors:
    """The ``(2, dim)`` vectors that an extractor makes of ``probe_pixels``."""
    return extractor.extract(probe_pixels(extractor.spec.side))


def check_pixels(pixels: Pixels, side: int) -> None:
    """Checks that pixels are ``(n, side, side, 3)`` uint8.

    :raises BadQuery: when they are not; the message has both shapes or both dtypes.
    """
    dtype = getattr(pixels, "dtype", type(pixels).__name__)
    if not isinstance(pixels, np.ndarray) or dtype != np.uint8:
        raise BadQuery(f"Pixels must be a uint8 array of values 0 to 255; these are {dtype}. Load them with load_many.")
    if pixels.ndim != 4 or pixels.shape[1:] != (side, side, 3):
        raise BadQuery(
            f"Pixels must have shape (n, {side}, {side}, 3); these have {pixels.shape}. "
            "Load the pictures at the extractor's input side."
        )
