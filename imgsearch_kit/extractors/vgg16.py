"""VGG16 (Simonyan and Zisserman 2015) as a function of its weights, up to the layer that a preset uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from imgsearch_kit.extractors.base import Preset
from imgsearch_kit.extractors.engine import tensorflow
from imgsearch_kit.extractors.pooling import POOLINGS
from imgsearch_kit.extractors.weight_files import Tensors

if TYPE_CHECKING:
    import tensorflow as tf


BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # channels, convolutions
BGR_MEANS = (103.939, 116.779, 123.68)
PREPROCESSING = "keras-caffe"


def _convolutions() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    before = 3
    for block, (channels, count) in enumerate(BLOCKS, 1):
        for i in range(1, count + 1):
            shapes[f"block{block}_conv{i}"] = (3, 3, before, channels)
            before = channels
    return shapes


CONVOLUTIONS = _convolutions()
# The layers each network needs, in Keras's order, with the shapes of their kernels (Keras layout: HWIO, in x out).
NETWORKS: dict[str, dict[str, tuple[int, ...]]] = {
    "vgg16-conv": CONVOLUTIONS,
    "vgg16": CONVOLUTIONS | {"fc1": (7 * 7 * 512, 4096)},
}


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
