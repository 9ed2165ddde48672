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
LAST = next(reversed(CONVOLUTIONS))
BLOCK_OF = {layer: int(layer[len("block")]) for layer in CONVOLUTIONS}  # block b sees the picture at side / 2^(b - 1)
# The layers each network needs, in Keras's order, with the shapes of their kernels (Keras layout: HWIO, in x out).
NETWORKS: dict[str, dict[str, tuple[int, ...]]] = {
    "vgg16-conv": CONVOLUTIONS,
    "vgg16": CONVOLUTIONS | {"fc1": (7 * 7 * 512, 4096)},
}


RMAC_LEVELS = 3
GEM_P = 3.0


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
