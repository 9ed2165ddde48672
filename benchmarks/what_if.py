"""How soon a change in what-if moves the figures, beside an evaluation anew: of an index with classes.

    python benchmarks/what_if.py INDEX [-o FILE]

Each change is timed five times (median): the means alone, then with their 95 % bounds. Trust the ratios: all are of one
run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from imgsearch_kit import Gallery
from imgsearch_kit.app.tabs.judged import plain_figures

RESULTS, TIMES = Path(__file__).parent / "results" / "what_if.json", 5


def milliseconds(work: Callable[[], Any], times: int = TIMES) -> tuple[float, Any]:
    """The median time of some work, and its last result."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        found = work()
        taken.append(1000 * (time.perf_counter() - started))
    return round(statistics.median(taken)), found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    wish = parser.parse_args()
    with Gallery.open(wish.index) as gallery:
        anew, _ = milliseconds(lambda: gallery.evaluate(rank="", progress=False), 1)
        once, judged = milliseconds(lambda: gallery.what_if(rank="", progress=False), 1)
        hubs = [id_ for id_, _ in gallery.health(progress=False).hubs]
        (first, second), *_ = [(pair.query, pair.retrieved) for pair in judged.plain.hardest_pairs()]
        largest = max(gallery.labels().items(), key=lambda label: label[1])[0]
        near, _ = milliseconds(lambda: judged.evaluate(group_duplicates=0.98), 1)
        changes: dict[str, dict[str, Any]] = {
            f"{first} and {second} merged": {"merge": [(first, second)]},
            f"without {len(hubs)} hubs": {"without": hubs},
            f"without {largest}, the largest class": {"exclude_labels": [largest]},
            "equal files no hits": {"group_duplicates": True},
            "nearly equal pictures no hits": {"group_duplicates": 0.98},
        }
        rows = []
        print(f"{len(gallery):,} pictures: evaluated in {anew:,} ms, ranked once for what-if in {once:,} ms")
        print(
            f"nearly equal pictures looked for the first time: {near:,} ms\n{'change':45} {'ms':>6} {'with bounds':>12}"
        )
        for name, change in changes.items():
            moved, found = milliseconds(lambda: judged.evaluate(**change))  # noqa: B023 (called at once)
            bounded, _ = milliseconds(lambda: plain_figures(found))  # noqa: B023
            rows.append({"change": name, "ms": moved, "with_bounds_ms": moved + bounded})
            print(f"{name:45} {moved:6,} {moved + bounded:12,}")
    about = {"python": platform.python_version(), "cpus": os.cpu_count()}
    timed = {"pictures": judged.plain.about["passport"]["count"], "evaluate_ms": anew, "once_ms": once, "near_ms": near}
    wish.output.write_text(json.dumps({"machine": about} | timed | {"rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
