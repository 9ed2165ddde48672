"""The poolings of convolution maps to vectors, as functions of ``(n, h, w, c)`` tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

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
