"""More vectors than there are pictures, with the statistics of real ones: measured neighbours, mixed and disturbed.

Each new vector lies between a real one and some of its 50 nearest neighbours, with a little noise in all directions, so
that near vectors are as near as in a real index and vary along the same directions. Uniform noise would make every
graph look worse than it is, and copies of the same vectors better.

    python benchmarks/enlarged.py local:caltech.db 1000000 -o vectors.npy      and prints how near neighbours are
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from imgsearch_kit import open_index
from imgsearch_kit.records import Vectors
from imgsearch_kit.vectors import unit

MIXED, AT_ONCE = 50, 10_000  # nearest neighbours that are mixed; vectors made at once
SHARE, NOISE = 0.6, 0.25  # the largest share of the neighbours; the norm of the noise


def nearest(vectors: Vectors, count: int) -> np.ndarray:
    """The rows of the ``count`` nearest of each vector, without itself, ``(n, count)``."""
    rows = []
    for start in range(0, len(vectors), 1000):
        products = vectors[start : start + 1000] @ vectors.T
        products[np.arange(len(products)), np.arange(start, start + len(products))] = -1
        rows.append(np.argpartition(products, -count, axis=1)[:, -count:])
    return np.concatenate(rows)


def enlarged(vectors: Vectors, count: int, seed: int = 0) -> Iterator[tuple[np.ndarray, Vectors]]:
    """Blocks of ``count`` new unit vectors in all, each with the rows of the real ones that they lie beside."""
    random = np.random.default_rng(seed)
    near = nearest(vectors, MIXED)
    dim = vectors.shape[1]
    for start in range(0, count, AT_ONCE):
        size = min(AT_ONCE, count - start)
        rows = random.integers(len(vectors), size=size)
        others = near[rows[:, None], random.integers(MIXED, size=(size, 3))]
        shares = (random.dirichlet(np.ones(3), size) * random.uniform(0, SHARE, (size, 1))).astype(np.float32)
        noise = random.standard_normal((size, dim), dtype=np.float32) * (NOISE / dim**0.5)
        mixed = vectors[rows] * (1 - shares.sum(1, keepdims=True))
        mixed += np.einsum("nj,njd->nd", shares, vectors[others], dtype=np.float32)
        yield rows, unit((mixed + noise).astype(np.float32))


def cosines(vectors: Vectors, queries: Vectors) -> list[float]:
    """The median cosine of the 1st, 10th and 100th nearest of each query, itself not counted."""
    products = np.sort(queries @ vectors.T, axis=1)[:, ::-1]
    return [round(float(np.median(products[:, place])), 3) for place in (1, 10, 100)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("index")
    parser.add_argument("count", type=int)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    with open_index(options.index) as index:
        vectors = index.vectors()
    made = np.lib.format.open_memmap(options.output, "w+", np.float32, (options.count, vectors.shape[1]))
    start = 0
    for _, block in enlarged(vectors, options.count):
        made[start : start + len(block)] = block
        start += len(block)
    sample = np.random.default_rng(1).permutation(len(vectors))[:200]
    print("cosine of the 1st, 10th, 100th nearest, real:", cosines(vectors, vectors[sample]))
    print("among as many new ones:", cosines(made[: len(vectors)], made[sample]))
    print("among all new ones:", cosines(made, made[sample]))


if __name__ == "__main__":
    main()
