"""The graph of a file: time to build, recall and speed beside exact search and a bare product, whole processes, sizes.

Queries of the three ways alternate, so that a busy machine slows all alike; times are medians, ratios of one run.

    python benchmarks/graph.py vectors.npy [--count 100000 ...] [-o FILE]      vectors.npy as of benchmarks/enlarged.py
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from imgsearch_kit import ImageRecord, create_index, open_index
from imgsearch_kit.approximation.over_index import sample_rows
from imgsearch_kit.approximation.recall import recall_at_k
from imgsearch_kit.files import artefact_folder
from imgsearch_kit.index import new_passport
from imgsearch_kit.index.base import VectorIndex
from imgsearch_kit.records import Approx, Neighbours, Vectors

K, QUERIES, PROCESSES, CLASSES, WRITTEN_AT_ONCE = 10, 200, 5, 100, 10_000
CANDIDATES = (20, 64, 100, 200)
MEASURED = """
import json, resource, subprocess, sys, time
start = time.perf_counter()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(json.dumps([time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss]))
"""  # in a process of its own: a child's peak memory is at least that of the process that starts it
RESULT = Path(__file__).parent / "results" / "graph.json"


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def write(address: str, vectors: Vectors) -> float:
    """Makes the index, in commits of 10,000; classes are folders of equal size."""
    n = len(vectors)
    names = [f"{i * CLASSES // n:03}" for i in range(n)]
    start = time.perf_counter()
    with create_index(address, new_passport(None, dim=vectors.shape[1], method="hnsw")) as index:
        for first in range(0, n, WRITTEN_AT_ONCE):
            rows = range(first, min(n, first + WRITTEN_AT_ONCE))
            records = [ImageRecord(f"{names[i]}/{i:07}.jpg", names[i], f"{i:064x}") for i in rows]
            index.add(records, np.ascontiguousarray(vectors[rows.start : rows.stop]))
    return time.perf_counter() - start


def process(*words: str) -> tuple[float, float]:
    """Seconds and megabytes of a whole command, medians."""
    command = [str(Path(sys.executable).with_name("imgsearch")), *words, "--json"]
    runs = [json.loads(subprocess.check_output([sys.executable, "-c", MEASURED, *command])) for _ in range(PROCESSES)]
    return round(median(taken for taken, _ in runs), 3), round(median(kb for _, kb in runs) / 1024)


def searches(index: VectorIndex, matrix: Vectors) -> dict[str, Any]:
    """Milliseconds of a query by a bare product, exactly and with each number of candidates, and recall@10."""
    asking = matrix[sample_rows(len(matrix), QUERIES, 0)]
    ways: list[Approx | None] = [None, *map(Approx, CANDIDATES)]
    times = np.zeros((len(asking), len(ways) + 1))
    found: list[list[Neighbours]] = [[] for _ in ways]
    for way in ways:  # loads what it needs
        index.search(asking[:1], K, approx=way)
    for i in range(len(asking)):
        query = asking[i : i + 1]
        times[i, 0] = seconds(lambda: np.argpartition(query @ matrix.T, -K, axis=1)[:, -K:])  # noqa: B023
        for j, way in enumerate(ways):
            start = time.perf_counter()
            found[j].append(index.search(query, K, approx=way))
            times[i, j + 1] = time.perf_counter() - start
    bare, exact, *approximate = (1e3 * np.median(times, axis=0)).tolist()
    recalls = [np.mean([recall_at_k(*pair) for pair in zip(found[0], each, strict=True)]) for each in found[1:]]
    rows = [
        {
            "candidates": count,
            "recall": round(float(recall), 4),
            "ms": round(ms, 3),
            "times_faster": round(exact / ms, 1),
        }
        for count, recall, ms in zip(CANDIDATES, recalls, approximate, strict=True)
    ]
    return {
        "bare_ms": round(bare, 2),
        "exact_ms": round(exact, 2),
        "exact_to_bare": round(float(np.median(times[:, 1] / times[:, 0])), 3),
        "approximate": rows,
    }


def measure(vectors: Vectors) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["IMGSEARCH_CACHE"] = f"{folder}/cache"
        address = f"local:{folder}/pictures.db"
        row: dict[str, Any] = {"n": len(vectors), "dim": vectors.shape[1], "write_s": round(write(address, vectors), 1)}
        with open_index(address) as index:
            row["build_s"] = round(seconds(lambda: index.prepare(progress=False)), 1)
            row["file_mb"] = round(Path(folder, "pictures.db").stat().st_size / 1e6)
            row["graph_mb"] = round(sum(f.stat().st_size for f in artefact_folder(index.passport).iterdir()) / 1e6)
            record = index.records([f"{CLASSES // 2:03}/{len(vectors) // 2:07}.jpg"])[0]
        words = ["search", "--id", record.id, "--index", address]
        commands = {"approx": [*words, "--approx"], "exact": words, "label": [*words, "--label", str(record.label)]}
        commands["info"] = ["info", "--index", address]
        for name, command in commands.items():
            row[f"{name}_process_s"], row[f"{name}_process_mb"] = process(*command)
        with open_index(address) as index:
            row["open_exact_s"] = round(seconds(lambda: index.search(vectors[:1], K)), 2)
            row |= searches(index, index._now().matrix)  # the same matrix, so that two need not fit
            label = [str(record.label)]
            row["label_ms"] = round(
                1e3 * median(seconds(lambda: index.search(vectors[:1], K, labels=label)) for _ in range(21)), 2
            )
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("vectors", type=Path)
    parser.add_argument("--count", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("-o", "--output", type=Path, default=RESULT)
    wish = parser.parse_args()
    vectors, rows = np.load(wish.vectors, mmap_mode="r"), []
    for count in wish.count:
        rows.append(
            {"cores": os.cpu_count()} | measure(vectors[:count]) | {"load_average": round(os.getloadavg()[0], 1)}
        )
        print(json.dumps(rows[-1], indent=2), flush=True)
    document = {
        "k": K,
        "queries": QUERIES,
        "method": "hnsw:m=16,ef_construction=100",
        "rows": rows,
    }
    wish.output.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
