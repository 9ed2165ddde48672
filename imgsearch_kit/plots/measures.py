"""Figures of retrieval quality: per class, between classes, against latency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm

from imgsearch_kit.plots.figure import ACCENT, DARK, LIGHT, MARKERS, Plot, empty_axes, new, plain_name
from imgsearch_kit.vectors import Floats


def precision_bars(
    names: Sequence[str],
    values: Floats,
    low: Floats,
    high: Floats,
    chance: Floats | None = None,
    *,
    mean: tuple[float, float, float] | None = None,
    measure: str = "P@10",
) -> tuple[Plot, Axes]:
    """A bar per class with its interval, best class first, and what chance would give as a tick.

    ``values``, ``low``, ``high`` and ``chance`` are ``(C,)`` in [0, 1]; bounds may be NaN where unknown. ``mean`` is
    (value, low, high) over all queries, drawn as a line with its band.
    """
    values, low, high = (np.asarray(array, np.float64) for array in (values, low, high))
    order = np.argsort(-values, kind="stable")
    alt = f"Bars of {measure} of {len(names)} classes"
    if len(names):
        best, worst = order[0], order[-1]
        alt += f", from {names[best]} ({values[best]:.2f}) down to {names[worst]} ({values[worst]:.2f})"
    alt += f"; over all queries {mean[0]:.3f}." if mean else "."
    figure, ax = new(7, 1.2 + max(len(names), 3) * (0.3 if len(names) <= 20 else 0.15), alt)
    if not len(names):
        empty_axes(ax, "classes")
        return figure, ax
    y = np.arange(len(names))
    ax.barh(y, values[order], color=LIGHT, edgecolor=DARK, linewidth=0.6, height=0.75, label=measure)
    spread = np.nan_to_num(np.stack([values - low, high - values])[:, order]).clip(0)
    ax.errorbar(values[order], y, xerr=spread, fmt="none", ecolor=DARK, elinewidth=1.1, label="95 % interval")
    if chance is not None:
        ax.scatter(
            np.asarray(chance)[order], y, marker="|", color=ACCENT, s=40, linewidths=1.6, label="chance", zorder=3
        )
    if mean:
        ax.axvline(mean[0], color="black", linestyle="--", linewidth=1, label=f"all queries: {mean[0]:.3f}")
        ax.axvspan(*np.nan_to_num(mean[1:], nan=mean[0]), color="black", alpha=0.12, linewidth=0)
    ax.set_yticks(y, [plain_name(names[i]) for i in order], fontsize=9 if len(names) <= 20 else 6.5)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_xlim(0, 1)
    ax.set_xlabel(measure)
    figure.legend(loc="outside upper center", ncols=4, frameon=False, fontsize=8)
    return figure, ax


def interval_dots(
    names: Sequence[str], values: Floats, low: Floats, high: Floats, *, baseline: int, measure: str
) -> tuple[Plot, Axes]:
    """A dot per row with its interval, best first, and the interval of the row ``baseline`` as a band over all.

    ``values``, ``low`` and ``high`` are ``(C,)``; bounds may be NaN where unknown.
    """
    values, low, high = (np.asarray(array, np.float64) for array in (values, low, high))
    order = np.argsort(-values, kind="stable")
    best = order[0]
    alt = f"{measure} of {len(names)} candidates: {names[best]} has {values[best]:.3f}, "
    figure, ax = new(7.5, 1.2 + 0.32 * len(names), f"{alt}{names[baseline]} {values[baseline]:.3f}.")
    y = np.arange(len(names))
    band = np.nan_to_num([low[baseline], high[baseline]], nan=values[baseline])
    ax.axvspan(*band, color=ACCENT, alpha=0.15, linewidth=0)
    ax.axvline(values[baseline], color=ACCENT, linestyle="--", linewidth=1, label=plain_name(names[baseline], 60))
    spread = np.nan_to_num(np.stack([values - low, high - values])[:, order]).clip(0)
    ax.errorbar(values[order], y, xerr=spread, fmt="o", color=DARK, markersize=5, label="with its 95 % interval")
    ax.set_yticks(y, [plain_name(names[i], 60) for i in order], fontsize=9)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_xlabel(measure)
    ax.grid(axis="x", color="0.92")
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=8)
    return figure, ax


def confusion_heatmap(
    shares: Floats, rows: Sequence[str], columns: Sequence[str], *, k: int | None = None
) -> tuple[Plot, Axes]:
    """Shares of retrieved classes (columns) for queries of each class (rows), dark for high; numbers when few.

    ``shares`` is ``(len(rows), len(columns))`` in [0, 1]. Shades follow the square root, so that rare confusions show.
    """
    shares = np.asarray(shares, np.float64).reshape(len(rows), len(columns))
    off = np.where(np.array(rows, object)[:, None] == np.array(columns, object), 0, shares)
    alt = f"Retrieved classes for the queries of {len(rows)} classes"
    if off.size and off.max() > 0:
        r, c = divmod(int(off.argmax()), len(columns))
        alt += f"; the largest confusion: {off[r, c]:.0%} of the places of {rows[r]} show {columns[c]}"
    size = min(max(4.0, 0.22 * max(len(rows), len(columns), 1) + 2), 14.0)
    figure, ax = new(size + 0.8, size, alt + ".")
    if not shares.size:
        empty_axes(ax, "classes")
        return figure, ax
    image = ax.imshow(shares, cmap="Greys", norm=PowerNorm(0.5, 0, 1), aspect="auto", interpolation="nearest")
    font = float(np.clip(640 / max(len(rows), len(columns)), 6, 9))
    ax.set_xticks(range(len(columns)), [plain_name(name) for name in columns], rotation=90, fontsize=font)
    ax.set_yticks(range(len(rows)), [plain_name(name) for name in rows], fontsize=font)
    ax.set_xlabel("class of the hits")
    ax.set_ylabel("class of the query")
    if len(rows) <= 12 and len(columns) <= 12:
        for (r, c), share in np.ndenumerate(shares):
            if share >= 0.005:
                ax.text(
                    c,
                    r,
                    f"{share:.2f}",
                    ha="center",
                    va="center",
                    fontsize=7,
                    color="white" if share > 0.3 else "black",
                )
    label = "share of hits" if k is None else f"share of the first {k} hits"
    bar = figure.colorbar(image, ax=ax, label=label, shrink=0.5, aspect=30, pad=0.01)
    bar.set_ticks([0, 0.05, 0.2, 0.5, 1], labels=["0", "0.05", "0.2", "0.5", "1"])
    return figure, ax


@dataclass(frozen=True, slots=True)
class MethodPoint:
    """One way to search: ``recall`` in [0, 1] (with bounds, or NaN), ``ms`` per query; ``family`` picks the marker.

    ``lost`` is how much higher P@k is for exact answers, with its bounds, NaN where it is not known.
    """

    name: str
    recall: float
    ms: float
    low: float = float("nan")
    high: float = float("nan")
    family: str = ""
    lost: tuple[float, float, float] = (float("nan"),) * 3


def recall_latency(points: Sequence[MethodPoint], *, k: int = 10) -> tuple[Plot, Axes]:
    """Recall against time per query, the best trade-offs joined by a line and named; better is up and to the left.

    Where the loss of P@k is known it stands below, at the same times: 0 is as good as exact answers.
    """
    front = _front(points)
    best = (f"{points[i].name}: recall {points[i].recall:.3f} in {points[i].ms:.3g} ms" for i in front)
    judged = any(not np.isnan(point.lost[0]) for point in points)
    grid = {"nrows": 2, "sharex": True, "height_ratios": [2, 1]} if judged else {}
    figure, axes = new(
        6.5,
        4.2 + 1.6 * judged + 0.12 * len(front),
        f"Recall@{k} against milliseconds of {len(points)} methods. Best: {'; '.join(best)}.",
        **grid,
    )
    ax = axes[0] if judged else axes
    if not points:
        empty_axes(ax, "methods")
        return figure, ax
    for family, look in _looks(points).items():
        own = [point for point in points if point.family == family]
        _with_bounds(ax, own, [(p.recall, p.low, p.high) for p in own], look)
        if judged:
            _with_bounds(axes[1], own, [(-p.lost[0], -p.lost[2], -p.lost[1]) for p in own], look)
    ax.plot([points[i].ms for i in front], [points[i].recall for i in front], color="0.5", linewidth=1, zorder=0)
    for number, i in enumerate(front, 1):  # numbers on the line, names below: names would cover each other
        place = (points[i].ms, points[i].recall)
        ax.annotate(str(number), place, xytext=(-9, 4), textcoords="offset points", fontsize=7, weight="bold")
    names = [f"{number}  {plain_name(points[i].name, 60)}" for number, i in enumerate(front, 1)]
    figure.supxlabel("\n".join(names), x=0.02, ha="left", fontsize=7)
    ax.set_xscale("log")
    ax.set_ylabel(f"true neighbours found\n(recall@{k})" if judged else f"recall@{k}")
    ax.set_ylim(min(0.98, min(point.recall for point in points)) - 0.03, 1.03)
    ax.margins(x=0.15)
    last = axes[1] if judged else ax
    last.set_xlabel("milliseconds per query")
    for axis in ("set_major_formatter", "set_minor_formatter"):
        getattr(last.xaxis, axis)(lambda ms, _: f"{ms:g}" if f"{ms:.0e}"[0] in "125" else "")
    if judged:
        last.axhline(0, color="black", linestyle="--", linewidth=1)
        last.set_ylabel(f"P@{k},\nagainst exact")
        last.margins(y=0.25)
    for each in {ax, last}:
        each.grid(color="0.92")
    if any(point.family for point in points):
        ax.legend(frameon=False, fontsize=8, loc="lower right")
    return figure, ax


def _looks(points: Sequence[MethodPoint]) -> dict[str, dict[str, Any]]:
    """The marker, colour and name of each family, in order of their first point."""
    shades = [DARK, ACCENT, "#5a8a3c", "#7a5195", "black"]
    return {
        family: {
            "marker": MARKERS[i % len(MARKERS)],
            "color": shades[i % len(shades)],
            "label": plain_name(family) if family else None,
        }
        for i, family in enumerate(dict.fromkeys(point.family for point in points))
    }


def _with_bounds(
    ax: Axes, points: Sequence[MethodPoint], values: Sequence[tuple[float, float, float]], look: dict[str, Any]
) -> None:
    """Points at their times, each with its value, low and high bound."""
    value, low, high = np.array(values, float).T
    spread = np.nan_to_num(np.stack([value - low, high - value])).clip(0)
    ax.errorbar([point.ms for point in points], value, yerr=spread, linestyle="none", markersize=6, **look)


def _front(points: Sequence[MethodPoint]) -> list[int]:
    """The points that no other one beats in both time and recall, fastest first."""
    front: list[int] = []
    for i in sorted(range(len(points)), key=lambda i: (points[i].ms, -points[i].recall)):
        if not front or points[i].recall > points[front[-1]].recall:
            front.append(i)
    return front
