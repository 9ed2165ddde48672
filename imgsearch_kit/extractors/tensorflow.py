"""The engine TensorFlow: brought in when something is extracted, VGG16 and its poolings on it, batches through it."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.extractors.base import Preset, check_pixels
from imgsearch_kit.extractors.vgg16 import BGR_MEANS, CONVOLUTIONS
from imgsearch_kit.extractors.weight_files import Tensors
from imgsearch_kit.files import NOWHERE
from imgsearch_kit.records import ExtractorSpec, Pixels, Vectors

if TYPE_CHECKING:
    import tensorflow as tf

ENGINE = "tensorflow"


_LOCK = threading.Lock()
_LOG_LINE = re.compile(rb"WARNING: All log messages before absl|[IW]\d{4} \d\d:\d\d:")


def tensorflow() -> ModuleType:
    """TensorFlow, imported without its start-up messages; safe to call from several threads."""
    with _LOCK:
        return _imported()


@functools.cache
def _imported() -> ModuleType:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _without_log_lines(), _without_keras():
        import tensorflow as tf

        tf.zeros(1)  # the first operation finds the devices, and logs them
    return tf


@contextlib.contextmanager
def _without_keras() -> Iterator[None]:
    """Leaves Keras unloaded, which TensorFlow would load as its variables and ``keras.json`` say, and for seconds.

    Its folder is hidden too, because TensorFlow contains an old copy of Keras, which a damaged ``keras.json`` stops.
    """
    kept, eager = os.environ.get("KERAS_HOME"), "keras.src.optimizers"
    os.environ["KERAS_HOME"] = str(NOWHERE / "keras")
    halted = eager not in sys.modules
    if halted:
        sys.modules[eager] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if halted:
            del sys.modules[eager]
        os.environ.pop("KERAS_HOME")
        if kept is not None:
            os.environ["KERAS_HOME"] = kept


@contextlib.contextmanager
def _without_log_lines() -> Iterator[None]:
    """Removes the C++ library's log lines from standard error; it prints some at every log level.

    They pass where there is no folder for a temporary file to catch them.
    """
    try:
        caught = tempfile.TemporaryFile()  # noqa: SIM115 (closed below)
    except OSError:
        yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    with caught:
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            caught.seek(0)
            for line in caught:
                if not _LOG_LINE.match(line):
                    os.write(2, line)


RMAC_LEVELS = 3
GEM_P = 3.0


def spoc(maps: tf.Tensor) -> tf.Tensor:
    """The mean over all cells, ``(n, c)`` (Babenko and Lempitsky 2015, without the centre prior)."""
    import tensorflow as tf

    return tf.reduce_mean(maps, axis=(1, 2))


def mac(maps: tf.Tensor) -> tf.Tensor:
    """The maximum over all cells, ``(n, c)`` (Razavian et al. 2016)."""
    import tensorflow as tf

    return tf.reduce_max(maps, axis=(1, 2))


def gem(maps: tf.Tensor) -> tf.Tensor:
    """The generalised mean with p = 3, ``(n, c)`` (Radenović et al. 2019); values below 1e-6 count as 1e-6."""
    import tensorflow as tf

    return tf.reduce_mean(tf.maximum(maps, 1e-6) ** GEM_P, axis=(1, 2)) ** (1 / GEM_P)


def rmac_regions(side: int, levels: int = RMAC_LEVELS) -> list[tuple[int, int, int]]:
    """The square regions of R-MAC on a map of ``side`` by ``side`` cells, as (top, left, size) in cells.

    Level l has l x l regions of floor(2 side / (l + 1)) cells, spread evenly from edge to edge (Tolias et al. 2016, for
    a square map): 1 + 4 + 9 regions of 14, 9 and 7 cells on a map of 14.
    """
    regions = []
    for level in range(1, levels + 1):
        size = 2 * side // (level + 1)
        starts = [i * (side - size) // max(level - 1, 1) for i in range(level)]
        regions += [(top, left, size) for top in starts for left in starts]
    return regions


def rmac(maps: tf.Tensor) -> tf.Tensor:
    """The sum of the L2-normalised maxima of the regions, ``(n, c)`` (Tolias, Sicre and Jégou 2016); h must equal w."""
    import tensorflow as tf

    regions = rmac_regions(maps.shape[1])
    maxima = [tf.reduce_max(maps[:, y : y + size, x : x + size], axis=(1, 2)) for y, x, size in regions]
    return tf.add_n([tf.math.l2_normalize(region, axis=1) for region in maxima])


POOLINGS: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {"rmac": rmac, "spoc": spoc, "mac": mac, "gem": gem}


def forward(tensors: Tensors, presets: Sequence[Preset]) -> Callable[[tf.Tensor], list[tf.Tensor]]:
    """A function to trace, from ``(n, side, side, 3)`` uint8 RGB pixels to one ``(n, dim)`` tensor per preset.

    The vectors are not normalised. Preprocessing is that of the published weights: BGR minus the ImageNet means, no
    scaling. All presets must use the network of ``tensors``.
    """
    tensorflow()
    import tensorflow as tf

    weights = {layer: tuple(tf.constant(tensor) for tensor in pair) for layer, pair in tensors.items()}

    def run(pixels: tf.Tensor) -> list[tf.Tensor]:
        images = tf.cast(pixels, tf.float32)[..., ::-1] - tf.constant(BGR_MEANS)
        maps = {0: convolve(images, weights)}
        for side in sorted({side for preset in presets for side in preset.scales}):
            maps[side] = convolve(tf.image.resize(images, (side, side), antialias=True), weights)
        return [_vector(preset, maps, weights) for preset in presets]

    return run


def _vector(preset: Preset, maps: Mapping[int, tf.Tensor], weights: Mapping[str, tuple[tf.Tensor, ...]]) -> tf.Tensor:
    """A preset's vectors from the maps by input side (0: the pictures as given); all sides have equal weight."""
    import tensorflow as tf

    if preset.pooling not in POOLINGS:
        return fc1(maps[0], weights)
    parts = [POOLINGS[preset.pooling](maps[side]) for side in (0, *preset.scales)]
    return parts[0] if len(parts) == 1 else tf.concat([tf.math.l2_normalize(part, axis=1) for part in parts], axis=1)


def convolve(images: tf.Tensor, weights: Mapping[str, tuple[tf.Tensor, ...]]) -> tf.Tensor:
    """The block5_conv3 map after its ReLU, ``(n, side / 16, side / 16, 512)``."""
    import tensorflow as tf

    for layer in CONVOLUTIONS:
        if layer.endswith("conv1") and layer != "block1_conv1":
            images = tf.nn.max_pool2d(images, 2, 2, "VALID")
        kernel, bias = weights[layer]
        images = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(images, kernel, 1, "SAME"), bias))
    return images


def fc1(maps: tf.Tensor, weights: Mapping[str, tuple[tf.Tensor, ...]]) -> tf.Tensor:
    """The first fully connected layer after its ReLU, ``(n, 4096)``, of a 14 x 14 block5_conv3 map."""
    import tensorflow as tf

    kernel, bias = weights["fc1"]
    flat = tf.reshape(tf.nn.max_pool2d(maps, 2, 2, "VALID"), (-1, kernel.shape[0]))
    return tf.nn.relu(tf.matmul(flat, kernel) + bias)


NETWORK_BATCH = 16  # as fast as 32 on a CPU, with half the memory


class JointExtractor:
    """Several extractors of one network and input side, computed in one pass. Threads may share one object."""

    def __init__(self, specs: Sequence[ExtractorSpec], forward: Callable[[tf.Tensor], Sequence[tf.Tensor]]):
        """``forward`` maps uint8 pixels to one ``(n, dim)`` tensor per spec; they are normalised here."""
        self.specs = {spec.name: spec for spec in specs}
        self.side = specs[0].side
        # One trace per batch shape, and there are few: powers of two up to NETWORK_BATCH.
        self._forward = tensorflow().function(forward, autograph=False)

    def extract(self, pixels: Pixels) -> dict[str, Vectors]:
        """The unit vectors of ``(n, side, side, 3)`` uint8 pixels by extractor name, each ``(n, dim)`` float32.

        :raises BadQuery: when the pixels have another shape or dtype, or a vector is zero or not finite.
        """
        check_pixels(pixels, self.side)
        raw = {name: np.zeros((len(pixels), spec.dim), np.float32) for name, spec in self.specs.items()}
        for start in range(0, len(pixels), NETWORK_BATCH):
            batch = pixels[start : start + NETWORK_BATCH]
            for vectors, tensor in zip(raw.values(), self._forward(_padded(batch)), strict=True):
                vectors[start : start + len(batch)] = tensor.numpy()[: len(batch)]
        return {name: _unit(name, vectors) for name, vectors in raw.items()}


class SingleExtractor:
    """A joint extractor of one spec, as an ``Extractor``."""

    def __init__(self, joint: JointExtractor):
        self._joint = joint
        (self._spec,) = joint.specs.values()

    @property
    def spec(self) -> ExtractorSpec:
        """Everything that determines the vectors."""
        return self._spec

    def extract(self, pixels: Pixels) -> Vectors:
        """The unit vectors of ``(n, side, side, 3)`` uint8 pixels: ``(n, dim)`` float32, rows in the pixels' order.

        :raises BadQuery: when the pixels have another shape or dtype, or a vector is zero or not finite.
        """
        return self._joint.extract(pixels)[self._spec.name]


def _padded(batch: Pixels) -> tf.Tensor:
    """The batch padded with its last picture to the next power of two, so that there are few shapes to trace."""
    size = 1 << (len(batch) - 1).bit_length()
    return tensorflow().constant(np.pad(batch, ((0, size - len(batch)), (0, 0), (0, 0), (0, 0)), mode="edge"))


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
