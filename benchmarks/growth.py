"""How time, memory and file size grow from a thousand to a million vectors; the slopes, and a picture of the curves.

Each step is a process of its own, as a person would run it, and its peak memory is that of the whole process. "Start"
is the command line alone (`imgsearch --help`), which every command contains. With a method, as hnsw, indexes are made
with it too, and queries are also asked with --approx.

    python benchmarks/growth.py vectors.npy [--sizes 1000 10000 100000] [--method hnsw] [-o FILE] [--picture FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import numpy as np
from matplotlib.figure import Figure

from imgsearch_kit import open_index

SIZES = (1_000, 10_000, 100_000, 1_000_000)
HERE = Path(__file__).parent
RESULTS, PICTURE = HERE / "results" / "growth.json", HERE.parent / "docs" / "growth.png"
KIT = [str(Path(sys.executable).with_name("imgsearch"))]
# A small process starts the command: a large one's memory would count as that of what it starts.
WATCH = """if True:
    import json, resource, subprocess, sys, time
    started = time.perf_counter()
    subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
    seconds = time.perf_counter() - started
    print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss]))
"""
UNITS = {"seconds": "seconds", "peak_mb": "peak memory, MB", "file_mb": "file, MB"}


def measured(command: list[str], runs: int) -> dict[str, float]:
    """The median seconds and the largest peak memory of a command, run several times."""
    watched = [sys.executable, "-c", WATCH, *command]
    found = [json.loads(subprocess.run(watched, capture_output=True, check=True).stdout) for _ in range(runs)]
    scale = 1e6 if sys.platform == "darwin" else 1e3
    return {"seconds": round(median(s for s, _ in found), 3), "peak_mb": round(max(peak for _, peak in found) / scale)}


def steps(vectors: Path, size: int, folder: Path, method: str | None, runs: int) -> dict[str, dict[str, float]]:
    """The figures of each step at one size."""
    file = folder / f"{size}.db"
    address = f"local:{file}"
    made = measured([sys.executable, str(HERE / "synthetic.py"), str(vectors), str(size), address], 1)
    with open_index(address) as index:
        asked = index.records()[size // 2].id
    query = [*KIT, "search", "--id", asked, "-k", "10", "--index", address]
    found = {
        "start": measured([*KIT, "--help"], runs),
        "build": made | {"file_mb": round(file.stat().st_size / 1e6, 2)},
        "open": measured([*KIT, "info", "--index", address], runs),
        "query": measured(query, runs),
    }
    if method:
        graph = folder / f"{size}-{method}.db"
        copied = measured([*KIT, "copy", address, f"local:{graph}", "--method", method], 1)
        approx = [*query[:-1], f"local:{graph}", "--approx"]
        found[f"build {method}"] = copied | {"file_mb": round(graph.stat().st_size / 1e6, 2)}
        found[f"first query {method}"] = measured(approx, 1)
        found[f"query {method}"] = measured(approx, runs)
        graph.unlink()
    file.unlink()
    return found


def slopes(rows: dict[int, dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """The slope of each figure on logarithmic axes between the two largest sizes: 1 is linear."""
    *_, before, last = sorted(rows)
    return {
        step: {
            name: round(float(np.log(value / rows[before][step][name]) / np.log(last / before)), 2)
            for name, value in figures.items()
        }
        for step, figures in rows[last].items()
    }


def draw(rows: dict[int, dict[str, dict[str, float]]], picture: Path) -> None:
    """Writes the curves on logarithmic axes, one panel a unit, with a dotted line of linear growth."""
    figure = Figure(figsize=(12, 4), layout="constrained")
    sizes = sorted(rows)
    for axes, (unit, name) in zip(figure.subplots(1, 3), UNITS.items(), strict=True):
        for step in rows[sizes[0]]:
            if unit in rows[sizes[0]][step]:
                axes.loglog(sizes, [rows[size][step][unit] for size in sizes], marker="o", label=step)
        top = max(rows[sizes[-1]][step].get(unit, 0) for step in rows[sizes[-1]])
        axes.loglog(sizes, [top * size / sizes[-1] for size in sizes], ":", color="grey", label="linear")
        axes.set(xlabel="vectors of 512 numbers", title=name)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    figure.savefig(picture, dpi=110, metadata={"Software": "imgsearch-kit"})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("vectors", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--method", help="also with this approximate method of a file")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    parser.add_argument("--picture", type=Path, default=PICTURE)
    wish = parser.parse_args()
    if len(wish.sizes) < 2:
        parser.error("a slope needs two sizes or more")
    with tempfile.TemporaryDirectory() as folder:
        rows = {size: steps(wish.vectors, size, Path(folder), wish.method, wish.runs) for size in wish.sizes}
    found = slopes(rows)
    for size, row in rows.items():
        for step, figures in row.items():
            print(f"{size:>10,} {step:20} " + "  ".join(f"{name} {value:g}" for name, value in figures.items()))
    for step, figures in found.items():
        print(f"     slope {step:20} " + "  ".join(f"{name} {value:g}" for name, value in figures.items()))
    about = {"python": platform.python_version(), "numpy": np.__version__, "cpus": os.cpu_count(), "runs": wish.runs}
    wish.output.write_text(json.dumps({"machine": about, "sizes": rows, "slopes": found}, indent=2) + "\n")
    draw(rows, wish.picture)


if __name__ == "__main__":
    main()
