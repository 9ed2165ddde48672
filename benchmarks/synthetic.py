"""An index of made vectors, to measure sizes for which there are no pictures.

The vectors are the first rows of a file that `benchmarks/enlarged.py` has made. Each picture's class is that of the
nearest of some of these rows, so that classes are of uneven size and neighbours tend to share theirs.

    python benchmarks/synthetic.py vectors.npy 100000 local:100k.db [--classes 1000]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from imgsearch_kit import ImageRecord, create_index
from imgsearch_kit.index import new_passport
from imgsearch_kit.records import ExtractorSpec

AT_ONCE = 10_000
CLASSES = 1_000


def make_index(vectors: Path, count: int, address: str, classes: int = CLASSES) -> None:
    """Writes an index of the first ``count`` rows of a .npy file of unit vectors, in at most so many classes."""
    rows = np.load(vectors, mmap_mode="r")
    centres = np.array(rows[: min(classes, count)])
    with create_index(address, new_passport(ExtractorSpec("made", rows.shape[1]))) as index:
        for start in range(0, count, AT_ONCE):
            block = np.array(rows[start : min(start + AT_ONCE, count)])
            nearest = (block @ centres.T).argmax(axis=1).tolist()
            records = [ImageRecord(f"{c:04}/{i:07}.jpg", f"{c:04}", f"{i:064x}") for i, c in enumerate(nearest, start)]
            index.add(records, block)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("vectors", type=Path)
    parser.add_argument("count", type=int)
    parser.add_argument("address")
    parser.add_argument("--classes", type=int, default=CLASSES)
    options = parser.parse_args()
    make_index(options.vectors, options.count, options.address, options.classes)


if __name__ == "__main__":
    main()
