"""The map of the pictures by class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.patheffects import withStroke

from imgsearch_kit.plots.figure import MARKERS, Plot, colours, empty_axes, listed, new, plain_name
from imgsearch_kit.vectors import Floats


def class_map(positions: Floats, labels: Sequence[str | None], *, notes: Sequence[str] = ()) -> tuple[Plot, Axes]:
    """A dot per picture in its class's colour and marker, with each class's number at its centre, and a legend below.

    ``positions`` is ``(n, 2)``. Many classes are distinguished by the numbers, not the colours. ``notes`` say how far
    the map can be trusted.
    """
    names = sorted({label for label in labels if label is not None})
    alt = f"Map of {len(labels)} pictures in {len(names)} classes ({listed(names)}). {' '.join(notes)}"
    columns = min(max(len(names), 1), 5)
    rows = -(-len(names) // columns)
    figure, ax = new(8, 6.6 + 0.15 * rows, alt.strip())
    _bare(ax, notes)
    if not len(positions):
        empty_axes(ax, "pictures")
        return figure, ax
    classes = np.array([-1 if label is None else names.index(label) for label in dict.fromkeys(labels)])
    number = dict(zip(dict.fromkeys(labels), classes.tolist(), strict=True))
    classes = np.array([number[label] for label in labels])
    size = float(np.clip(6000 / len(labels), 3, 30))
    taken: list[Floats] = []
    if (classes < 0).any():
        ax.scatter(
            *positions[classes < 0].T, s=size, c="0.7", marker=".", linewidths=0, rasterized=True, label="no label"
        )
    for c, (name, colour) in enumerate(zip(names, colours(len(names)), strict=True)):
        own = positions[classes == c]
        marker = MARKERS[c % len(MARKERS)]
        ax.scatter(
            *own.T,
            s=size,
            color=colour,
            marker=marker,
            linewidths=0,
            alpha=0.8,
            rasterized=True,
            label=f"{c + 1} {plain_name(name, 22)}",
        )
        spot = _spot(own, taken, float(np.ptp(positions, axis=0).max()) / 40)
        taken.append(spot)
        look = {"fontsize": 8 if len(names) <= 30 else 6.5, "weight": "bold", "ha": "center", "va": "center"}
        ax.annotate(str(c + 1), spot, path_effects=[withStroke(linewidth=2, foreground="white")], **look)
    legend = figure.legend(
        loc="outside lower center", ncols=columns, frameon=False, fontsize=6.5, columnspacing=1, handletextpad=0.2
    )
    for handle in legend.legend_handles:
        cast(PathCollection, handle).set_sizes([22])
    return figure, ax


def _spot(own: Floats, taken: Sequence[Floats], gap: float) -> Floats:
    """The position of a class's number: on the picture nearest its centre that keeps the gap to other numbers."""
    nearest = np.argsort(np.square(own - np.median(own, axis=0)).sum(axis=1), kind="stable")
    inner = own[nearest[: max(1, len(own) * 3 // 4)]]
    if not taken:
        return inner[0]
    room = np.sqrt(np.square(inner[:, None] - np.array(taken)).sum(axis=2)).min(axis=1)
    free = np.flatnonzero(room >= gap)
    return inner[free[0] if len(free) else room.argmax()]


def _bare(ax: Axes, notes: Sequence[str]) -> None:
    """Axes of a map, without numbers, because they have no meaning; the notes are the title."""
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set(visible=True, color="0.8")
    ax.set_title("; ".join(plain_name(note, 200) for note in notes), fontsize=8)
