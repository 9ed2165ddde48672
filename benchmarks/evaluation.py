"""Time and peak memory of a leave-one-out evaluation with intervals, at the size of Caltech-101.

Random clustered unit vectors, 8,677 in 101 classes, of 512 and of 4,096 dimensions; every measure, every interval. Each
size runs in a process of its own, so that its peak memory is its own.

    python benchmarks/evaluation.py [--pictures 8677] [-o FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

CLASSES, DIMS = 101, (512, 4_096)
RESULTS = Path(__file__).parent / "results" / "evaluation.json"


def clustered(pictures: int, dim: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors ``(n, dim)`` around 101 centres, loose enough that neighbours are often of another class."""
    rng = np.random.default_rng(seed)
    classes = np.sort(np.concatenate([np.arange(CLASSES), rng.integers(CLASSES, size=pictures - CLASSES)]))
    centres = rng.normal(size=(CLASSES, dim)).astype(np.float32)
    vectors = rng.normal(size=(pictures, dim)).astype(np.float32)
    vectors += 0.25 * (512 / dim) ** 0.25 * centres[classes]
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), classes


def measure(pictures: int, dim: int) -> dict[str, float]:
    """Seconds and peak memory of one evaluation, through a memory index as ``imgsearch evaluate`` does it."""
    from imgsearch_kit import ExtractorSpec, Gallery, ImageRecord, create_index
    from imgsearch_kit.index import new_passport

    vectors, classes = clustered(pictures, dim)
    index = create_index("memory:", new_passport(ExtractorSpec("random", dim)))
    index.add([ImageRecord(f"{c:03d}/{i:05d}", f"{c:03d}") for i, c in enumerate(classes)], vectors)
    index.flush()
    gallery = Gallery(index)
    del vectors
    before = _peak_mb()
    started, busy = time.perf_counter(), time.process_time()
    evaluation = gallery.evaluate(progress=False)
    ranked = time.perf_counter()
    document = evaluation.to_json()
    ended = time.perf_counter()
    return {
        "dim": dim,
        "pictures": pictures,
        "seconds": round(ended - started, 2),
        "cpu_seconds": round(time.process_time() - busy, 2),
        "intervals_seconds": round(ended - ranked, 2),
        "peak_mb": round(_peak_mb()),
        "peak_before_mb": round(before),
        "P@4": round(document["micro"]["P@4"]["value"], 4),
        "mAP": round(document["micro"]["mAP"]["value"], 4),
    }


def _peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=8_677)
    parser.add_argument("--dim", type=int, help="measures this size here, and prints it")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    wish = parser.parse_args()
    if wish.dim:
        print(json.dumps(measure(wish.pictures, wish.dim)))
        return
    command = [sys.executable, __file__, "--pictures", str(wish.pictures), "--dim"]
    rows = [json.loads(subprocess.check_output([*command, str(dim)])) for dim in DIMS]
    print(f"{'dim':>6} {'seconds':>8} {'of it intervals':>16} {'CPU seconds':>12} {'peak MB':>8} {'before MB':>10}")
    for row in rows:
        print(
            f"{row['dim']:6} {row['seconds']:8.1f} {row['intervals_seconds']:16.1f} {row['cpu_seconds']:12.1f} "
            f"{row['peak_mb']:8,} {row['peak_before_mb']:10,}"
        )
    about = {"python": platform.python_version(), "numpy": np.__version__, "cpus": os.cpu_count()}
    wish.output.write_text(json.dumps({"machine": about, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
