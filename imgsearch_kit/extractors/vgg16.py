"""VGG16 (Simonyan and Zisserman 2015): its layers with their shapes, and what its published weights expect."""

from __future__ import annotations

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
