"""Figures of calibration: the learned probability, and how well it fits other queries."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from imgsearch_kit.plots.figure import DARK, LIGHT, Plot, empty_axes, new
from imgsearch_kit.vectors import Floats


def calibration_curve(cosines: Floats, probability: Floats, low: Floats, high: Floats) -> tuple[Plot, Axes]:
    """The probability that a hit shares the query's class over its cosine, with its interval; all arrays ``(G,)``."""
    figure, ax = new(6, 4, "Probability of the same class over cosine")
    if not len(cosines):
        empty_axes(ax, "hits")
        return figure, ax
    figure.alt_text += (
        f": {probability[0]:.2f} at cosine {cosines[0]:.2f}, rising to {probability[-1]:.2f} at {cosines[-1]:.2f}."
    )
    ax.fill_between(cosines, low, high, color=LIGHT, alpha=0.6, linewidth=0, label="95 % interval")
    ax.plot(cosines, probability, color=DARK, linewidth=1.6, label="same class")
    ax.set_xlim(min(cosines[0], cosines[-1] - 0.05), cosines[-1])
    ax.set_ylim(0, 1.02)
    ax.set_xlabel("cosine of query and hit")
    ax.set_ylabel("probability of the same class")
    ax.grid(color="0.92")
    figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=8)
    return figure, ax


def reliability_diagram(
    predicted: Floats, observed: Floats, low: Floats, high: Floats, counts: Floats, *, error: float | None = None
) -> tuple[Plot, Axes]:
    """Observed share against predicted probability per bin with intervals, the diagonal, and bars of how many hits.

    All arrays are ``(B,)``; ``error`` is the expected calibration error.
    """
    figure, ax = new(4.6, 4.6, f"Reliability in {len(predicted)} bins: observed against predicted probability")
    if not len(predicted):
        empty_axes(ax, "hits")
        return figure, ax
    worst = int(np.argmax(np.abs(np.asarray(predicted) - observed)))
    figure.alt_text += f"; furthest apart where {predicted[worst]:.2f} is predicted and {observed[worst]:.2f} observed"
    figure.alt_text += "." if error is None else f"; expected calibration error {error:.3f}."
    ax.plot([0, 1], [0, 1], color="0.5", linestyle="--", linewidth=1, label="as predicted")
    spread = np.nan_to_num(np.stack([observed - low, high - observed])).clip(0)
    ax.errorbar(predicted, observed, yerr=spread, fmt="o", color=DARK, markersize=5, capsize=2, label="observed, 95 %")
    ax.bar(
        predicted, 0.25 * np.asarray(counts) / np.max(counts), width=0.04, color=LIGHT, zorder=0, label="number of hits"
    )
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1.02)
    ax.set_aspect("equal")
    ax.set_xlabel("predicted probability of the same class")
    ax.set_ylabel("observed share")
    if error is not None:
        ax.set_title(f"expected calibration error {error:.3f}", fontsize=9)
    ax.legend(frameon=False, fontsize=8, loc="upper left")
    return figure, ax
