"""Times exact search of a local index beside a bare matrix product, and opening, reading and writing it.

Each pair of runs is interleaved, so that both see the same machine; a ratio is the median over the pairs.

    python benchmarks/search.py [--runs 51] [--size 10000x4096 ...] [-o FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from imgsearch_kit import ImageRecord, create_index, open_index
from imgsearch_kit.index import new_passport
from imgsearch_kit.records import Vectors
from imgsearch_kit.vectors import unit

SIZES = ("10000x4096", "100000x512")  # vectors x dimensions
BATCHES = (1, 64)
FIRST = 3200  # vectors that are written in commits of 32
K = 10
ALLOWED = 1.3  # the most that exact search may cost over the bare product
RESULT = Path(__file__).parent / "results" / "search.json"


def unit_rows(n: int, dim: int, seed: int) -> Vectors:
    return unit(np.random.default_rng(seed).standard_normal((n, dim), dtype=np.float32))


def bare(matrix: Vectors, queries: Vectors) -> None:
    np.argpartition(queries @ matrix.T, -K, axis=1)[:, -K:]


def milliseconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - start)


def write(address: str, matrix: Vectors) -> dict[str, float]:
    """Makes the index in commits of 32, as indexing does, and in one."""
    n, dim = matrix.shape
    records = [ImageRecord(f"{i % 100:03}/{i:06}.jpg", f"{i % 100:03}", "0" * 64) for i in range(n)]
    with create_index(address, new_passport(None, dim=dim)) as index:
        commit = median(
            milliseconds(lambda: index.add(records[start : start + 32], matrix[start : start + 32]))  # noqa: B023
            for start in range(0, FIRST, 32)
        )
        return {
            "commit_of_32_ms": commit,
            "write_rest_ms": milliseconds(lambda: index.add(records[FIRST:], matrix[FIRST:])),
        }


def read(address: str) -> dict[str, float]:
    """Opens the index and reads every vector; lists every record."""

    def first_vectors() -> None:
        with open_index(address) as index:
            index.vectors()

    with open_index(address) as index:
        listing = median(milliseconds(index.records) for _ in range(5))
    return {"open_and_read_ms": median(milliseconds(first_vectors) for _ in range(5)), "records_ms": listing}


def compare(address: str, matrix: Vectors, batch: int, runs: int) -> dict[str, float]:
    queries = unit_rows(batch, matrix.shape[1], seed=1)
    with open_index(address) as index:
        index.search(queries, K)
        pairs = []
        for _ in range(runs):
            product = milliseconds(lambda: bare(matrix, queries))
            pairs.append((product, milliseconds(lambda: index.search(queries, K))))
    return {
        "batch": batch,
        "bare_ms": median(product for product, _ in pairs),
        "search_ms": median(search for _, search in pairs),
        "ratio": median(search / product for product, search in pairs),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=51, help="pairs for each line")
    parser.add_argument("--size", nargs="+", default=SIZES, help=f"more than {FIRST:,} vectors x dimensions")
    parser.add_argument("-o", "--output", type=Path, default=RESULT)
    wish = parser.parse_args()
    runs = wish.runs
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for n, dim in (map(int, size.split("x")) for size in wish.size):
            matrix = unit_rows(n, dim, seed=0)
            address = f"local:{folder}/{n}.db"
            shared = {"n": n, "dim": dim, **write(address, matrix), **read(address)}
            rows += [shared | compare(address, matrix, batch, runs) for batch in BATCHES]
    rows = [{name: round(value, 3) for name, value in row.items()} for row in rows]
    print("  ".join(f"{name:>16}" for name in rows[0]))
    for row in rows:
        print("  ".join(f"{value:>16}" for value in row.values()))
    worst = max(row["ratio"] for row in rows)
    print(f"worst ratio {worst}, allowed {ALLOWED}: {'ok' if worst <= ALLOWED else 'too slow'}")
    machine = {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],  # on a busy machine only ratios count
    }
    document = {"k": K, "runs": runs, "allowed": ALLOWED, "worst": worst, "machine": machine, "rows": rows}
    wish.output.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
