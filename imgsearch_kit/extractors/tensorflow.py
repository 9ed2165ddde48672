"""The engine TensorFlow: imported when something is extracted, and VGG16 with its poolings on it."""

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

from imgsearch_kit.errors import MissingExtra
from imgsearch_kit.extractors.base import Mapper, Preset
from imgsearch_kit.extractors.joint import Batched
from imgsearch_kit.extractors.vgg16 import BGR_MEANS, CONVOLUTIONS, GEM_P, LAST, rmac_regions
from imgsearch_kit.extractors.weight_files import Tensors
from imgsearch_kit.files import NOWHERE
from imgsearch_kit.records import Pixels, Vectors

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
        try:
            import tensorflow as tf
        except ImportError as error:
            raise MissingExtra("tensorflow", "tensorflow") from error

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


def rmac(maps: tf.Tensor) -> tf.Tensor:
    """The sum of the L2-normalised maxima of the regions, ``(n, c)`` (Tolias, Sicre and Jégou 2016); h must equal w."""
    import tensorflow as tf

    regions = rmac_regions(maps.shape[1])
    maxima = [tf.reduce_max(maps[:, y : y + size, x : x + size], axis=(1, 2)) for y, x, size in regions]
    return tf.add_n([tf.math.l2_normalize(region, axis=1) for region in maxima])


POOLINGS: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {"rmac": rmac, "spoc": spoc, "mac": mac, "gem": gem}


def forward(tensors: Tensors, presets: Sequence[Preset]) -> Callable[[tf.Tensor], list[tf.Tensor]]:
    """A function to trace, from ``(n, side, side, 3)`` uint8 RGB pixels to one ``(n, dim)`` tensor per preset.

    Vectors need not be of unit norm. Preprocessing is that of the published weights: BGR minus the ImageNet means, no
    scaling. All presets must use the network of ``tensors``.
    """
    tensorflow()
    import tensorflow as tf

    weights = {layer: tuple(tf.constant(tensor) for tensor in pair) for layer, pair in tensors.items()}

    def run(pixels: tf.Tensor) -> list[tf.Tensor]:
        images = tf.cast(pixels, tf.float32)[..., ::-1] - tf.constant(BGR_MEANS)
        maps: dict[tuple[int, str], tf.Tensor] = {}
        for side in {side for preset in presets for side in preset.sides}:
            resized = images if side == images.shape[1] else tf.image.resize(images, (side, side), antialias=True)
            maps |= {(side, layer): found for layer, found in convolve(resized, weights).items()}
        return [_vector(preset, maps, weights) for preset in presets]

    return run


def _vector(
    preset: Preset, maps: Mapping[tuple[int, str], tf.Tensor], weights: Mapping[str, tuple[tf.Tensor, ...]]
) -> tf.Tensor:
    """A preset's vectors from the maps by input side and layer: its parts, each of unit norm times its weight."""
    import tensorflow as tf

    if preset.pooling not in POOLINGS:
        return fc1(maps[preset.side, LAST], weights)
    pool = POOLINGS[preset.pooling]
    parts = [
        weight * tf.math.l2_normalize(pool(maps[side, layer]), axis=1)
        for side in preset.sides
        for layer, weight in preset.layers.items()
    ]
    return parts[0] if len(parts) == 1 else tf.concat(parts, axis=1)


def convolve(images: tf.Tensor, weights: Mapping[str, tuple[tf.Tensor, ...]]) -> dict[str, tf.Tensor]:
    """The map of each convolution after its ReLU, ``(n, side / 2^(block - 1), same, channels)``, by layer."""
    import tensorflow as tf

    maps = {}
    for layer in CONVOLUTIONS:
        if layer.endswith("conv1") and layer != "block1_conv1":
            images = tf.nn.max_pool2d(images, 2, 2, "VALID")
        kernel, bias = weights[layer]
        images = maps[layer] = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(images, kernel, 1, "SAME"), bias))
    return maps


def fc1(maps: tf.Tensor, weights: Mapping[str, tuple[tf.Tensor, ...]]) -> tf.Tensor:
    """The first fully connected layer after its ReLU, ``(n, 4096)``, of a 14 x 14 block5_conv3 map."""
    import tensorflow as tf

    kernel, bias = weights["fc1"]
    flat = tf.reshape(tf.nn.max_pool2d(maps, 2, 2, "VALID"), (-1, kernel.shape[0]))
    return tf.nn.relu(tf.matmul(flat, kernel) + bias)


def traced(function: Callable[[tf.Tensor], Sequence[tf.Tensor]]) -> Batched:
    """The function on batches of pixels, traced once a batch shape; there are few, since batches are padded."""
    run = tensorflow().function(function, autograph=False)

    def run_batch(pixels: Pixels) -> list[Vectors]:
        return [tensor.numpy()[: len(pixels)] for tensor in run(_padded(pixels))]

    return run_batch


def last_maps(tensors: Tensors) -> Mapper:
    """The last convolution's map of batches of pixels, ``(n, side / 16, side / 16, 512)`` after its ReLU."""
    kept = {layer: tensors[layer] for layer in CONVOLUTIONS}  # without fc1, which is large

    def run(pixels: tf.Tensor) -> list[tf.Tensor]:
        images = tensorflow().cast(pixels, "float32")[..., ::-1] - tensorflow().constant(BGR_MEANS)
        weights = {layer: tuple(map(tensorflow().constant, pair)) for layer, pair in kept.items()}
        return [convolve(images, weights)[LAST]]

    batched = traced(run)
    return lambda pixels: batched(pixels)[0]


def _padded(batch: Pixels) -> tf.Tensor:
    """The batch padded with its last picture to the next power of two, so that there are few shapes to trace."""
    size = 1 << (len(batch) - 1).bit_length()
    return tensorflow().constant(np.pad(batch, ((0, size - len(batch)), (0, 0), (0, 0), (0, 0)), mode="edge"))
