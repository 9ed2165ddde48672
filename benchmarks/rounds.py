"""Several ways of doing one thing, timed in turn, so that whatever else the machine does falls on all of them."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from tqdm.auto import tqdm


def measure(timed: dict[str, Callable[[], object]], rounds: int) -> dict[str, np.ndarray]:
    """For each way ``(rounds, 2)``: seconds and CPU seconds of all threads. Each round begins with another way."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in timed}
    names = list(timed)
    for turn in tqdm(range(rounds), desc="rounds", disable=None):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            wall, cpu = time.perf_counter(), time.process_time()
            timed[name]()
            taken[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return {name: np.array(values) for name, values in taken.items()}
