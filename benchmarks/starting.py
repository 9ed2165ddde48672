"""How long whole commands take from the start of the process to its end, and their peak memory.

The import, the help, and searches by id in an index, plain and ranked; a ranked search once with an empty cache, where
the ranking is learned, and once again. With ``--before`` an earlier checkout runs beside this one. Commands and trees
take turns, so that whatever else the machine does falls on all of them; each figure is a median over the rounds.
Bytecode is compiled before anything is timed. This process imports little, since what it holds counts for its children.

    python benchmarks/starting.py INDEX ID [--before FOLDER] [--rounds 7] [--rank SPEC ...] [-o FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

RESULTS = Path(__file__).parent / "results" / "starting.json"
TREE = Path(__file__).resolve().parents[1]
SPECS = ("pca:128:0.5", "rca:128:15,dba:10:1,qe:10:1", "krecip:20:6:0.3")
FIGURES = ("seconds", "cpu_seconds", "peak_mb")
COMMAND = "import sys; sys.path.insert(0, sys.argv.pop(1)); from imgsearch_kit.cli import main; main()"
IMPORT = "import sys; sys.path.insert(0, sys.argv.pop(1)); import imgsearch_kit"


def run(code: str, tree: Path, words: list[str], environment: dict[str, str]) -> tuple[float, float, float]:
    """Seconds, CPU seconds and peak megabytes of one process."""
    command = [sys.executable, "-c", code, str(tree), *words]
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        taken = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            raise SystemExit(f"{tree}: {words} ended with {process.returncode}\n{output.read().decode()}")
    peak = usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
    return taken, usage.ru_utime + usage.ru_stime, peak


def one_round(tree: Path, search: list[str], specs: list[str], bytecode: str) -> dict[str, tuple[float, float, float]]:
    """Every command once, each ranked search a second time with the cache that the first has left."""
    without = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
    environment = {name: value for name, value in os.environ.items() if name not in without}
    with tempfile.TemporaryDirectory() as cache:
        environment |= {"IMGSEARCH_CACHE": cache, "PYTHONPYCACHEPREFIX": bytecode}
        found = {"import imgsearch_kit": run(IMPORT, tree, [], environment)}
        found["imgsearch --help"] = run(COMMAND, tree, ["--help"], environment)
        found["search --id"] = run(COMMAND, tree, search, environment)
        for spec in specs:
            for when in ("first", "again"):
                found[f"search --id --rank {spec}, {when}"] = run(COMMAND, tree, [*search, "--rank", spec], environment)
    return found


def medians(rounds: list[dict[str, tuple[float, float, float]]]) -> dict[str, dict[str, float]]:
    columns = {name: zip(*(each[name] for each in rounds), strict=True) for name in rounds[0]}
    return {
        name: {figure: round(median(values), 3) for figure, values in zip(FIGURES, found, strict=True)}
        for name, found in columns.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", help="the address of an index")
    parser.add_argument("id", help="of a picture in it")
    parser.add_argument("--before", type=Path, metavar="FOLDER", help="an earlier checkout")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rank", nargs="+", metavar="SPEC", default=SPECS)
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    wish = parser.parse_args()
    about = json.loads(
        subprocess.check_output([sys.executable, "-c", COMMAND, TREE, "info", "--index", wish.index, "--json"])
    )
    trees = {"now": TREE} | ({"before": wish.before.resolve()} if wish.before else {})
    search = ["search", "--id", wish.id, "--index", wish.index]
    taken: dict[str, list[dict[str, tuple[float, float, float]]]] = {name: [] for name in trees}
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as bytecode:
        for turn in range(wish.rounds + 1):
            for name in list(trees)[:: 1 if turn % 2 else -1]:
                found = one_round(trees[name], search, list(wish.rank), bytecode)
                taken[name] += [found] if turn else []  # the first round compiles
    figures: dict[str, Any] = {name: medians(rounds) for name, rounds in taken.items()}
    print(f"{'':60}{'tree':>8}{'seconds':>9}{'CPU seconds':>13}{'peak MB':>9}")
    for command in figures["now"]:
        for name, row in figures.items():
            seconds, cpu, peak = (row[command][figure] for figure in FIGURES)
            print(f"{command:60}{name:>8}{seconds:9.2f}{cpu:13.2f}{peak:9.0f}")
    machine = {
        "python": platform.python_version(),
        "numpy": metadata.version("numpy"),
        "cpus": os.cpu_count(),
        "load_before": round(load_before, 2),
    }
    sizes = {"pictures": about["count"], "dim": about["dim"], "rounds": wish.rounds}
    document = sizes | {"machine": machine} | figures
    wish.output.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
