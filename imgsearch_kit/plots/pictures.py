"""Pictures in figures: the map by class and as a montage, and a query with its hits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.patheffects import withStroke
from PIL import Image

from imgsearch_kit.plots.figure import ACCENT, DARK, MARKERS, Plot, colours, empty, listed, new, plain

Positions = npt.NDArray[np.floating]  # (n, 2)


def class_map(positions: Positions, labels: Sequence[str | None], *, notes: Sequence[str] = ()) -> tuple[Plot, Axes]:
    """A dot per picture in its class's colour and marker, each class's number in its midst, names in a legend below.

    ``positions`` is ``(n, 2)``. The numbers, not the colours, tell many classes apart. ``notes`` say how far the map
    can be trusted.
    """
    names = sorted({label for label in labels if label is not None})
    alt = f"Map of {len(labels)} pictures in {len(names)} classes ({listed(names)}). {' '.join(notes)}"
    columns = min(max(len(names), 1), 5)
    rows = -(-len(names) // columns)
    figure, ax = new(8, 6.6 + 0.15 * rows, alt.strip())
    _bare(ax, notes)
    if not len(positions):
        empty(ax, "pictures")
        return figure, ax
    classes = np.array([-1 if label is None else names.index(label) for label in dict.fromkeys(labels)])
    number = dict(zip(dict.fromkeys(labels), classes.tolist(), strict=True))
    classes = np.array([number[label] for label in labels])
    size = float(np.clip(6000 / len(labels), 3, 30))
    taken: list[Positions] = []
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
            label=f"{c + 1} {plain(name, 22)}",
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


def _spot(own: Positions, taken: Sequence[Positions], gap: float) -> Positions:
    """Where a class's number goes: on the picture nearest its midst that keeps the gap to numbers already there."""
    nearest = np.argsort(np.square(own - np.median(own, axis=0)).sum(axis=1), kind="stable")
    inner = own[nearest[: max(1, len(own) * 3 // 4)]]
    if not taken:
        return inner[0]
    room = np.sqrt(np.square(inner[:, None] - np.array(taken)).sum(axis=2)).min(axis=1)
    free = np.flatnonzero(room >= gap)
    return inner[free[0] if len(free) else room.argmax()]


def picture_map(
    positions: Positions, thumbnails: Sequence[Path | None], *, notes: Sequence[str] = (), across: int = 44
) -> tuple[Plot, Axes]:
    """The map as a montage: at most one thumbnail per cell of a grid ``across`` cells wide, at that picture's place.

    ``positions`` is ``(n, 2)``; a picture without thumbnail is a dot. Only the thumbnails shown are read.
    """
    figure, ax = new(8, 8, "")
    _bare(ax, notes)
    if not len(positions):
        empty(ax, "pictures")
        return figure, ax
    low, high = positions.min(axis=0), positions.max(axis=0)
    cell = max(float((high - low).max()) / across, 1e-9)
    cells = np.floor((positions - low) / cell).astype(np.int64)
    offset = np.abs((positions - low) / cell - cells - 0.5).max(axis=1)
    order = np.lexsort((offset, cells[:, 1], cells[:, 0]))  # the picture nearest the middle of each cell comes first
    first = np.flatnonzero(np.any(np.diff(cells[order], axis=0, prepend=-1), axis=1))
    chosen = order[first]
    figure.alt_text = f"Map of {len(positions)} pictures, {len(chosen)} of them shown. {' '.join(notes)}".strip()
    without = [i for i in chosen.tolist() if thumbnails[i] is None]
    ax.scatter(*positions[without].T, s=6, color=DARK)
    for i in chosen.tolist():
        if (path := thumbnails[i]) is not None:
            _paste(ax, _read(path, 64), positions[i], cell)
    ax.set_xlim(low[0] - cell, high[0] + cell)
    ax.set_ylim(low[1] - cell, high[1] + cell)
    ax.set_aspect("equal")
    return figure, ax


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture to show: its thumbnail (None when it is gone), what stands below it, and whether it is right."""

    thumbnail: Path | None
    caption: str
    right: bool | None = None


def query_with_hits(query: Shown, hits: Sequence[Shown], *, columns: int = 6) -> tuple[Plot, npt.NDArray]:
    """The query, then its hits in rank order: right ones with a solid frame and a tick, others dashed and with a cross.

    The axes come as ``(rows, columns + 1)``, the query's in the first column.
    """
    right = sum(bool(hit.right) for hit in hits)
    judged = f", {right} of them right" if any(hit.right is not None for hit in hits) else ""
    first = f": {listed([hit.caption for hit in hits], 5)}" if hits else ""
    alt = f"Query {query.caption} and its {len(hits)} hits{judged}{first}."
    columns = max(min(columns, len(hits)), 1)
    rows = max(-(-len(hits) // columns), 1)
    figure, axes = new(1.5 * (columns + 1), 1.75 * rows, alt, nrows=rows, ncols=columns + 1, squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    _show(axes[0, 0], query, "query: ")
    for i, hit in enumerate(hits):
        _show(axes[i // columns, 1 + i % columns], hit, {True: "✓ ", False: "✗ ", None: ""}[hit.right])
    if not hits:
        axes[0, 1].text(0.5, 0.5, "no hits", ha="center", va="center")
    return figure, axes


def _show(ax: Axes, shown: Shown, sign: str) -> None:
    """Fills one cell: picture, caption, frame."""
    ax.axis("on")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_aspect("equal")
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1)
    if shown.thumbnail is None:
        ax.text(0.5, 0.5, "picture\nis gone", ha="center", va="center", fontsize=7)
    else:
        _paste(ax, _read(shown.thumbnail, 256), np.array([0.5, 0.5]), 0.94)
    lines = [plain(part, 20) for part in shown.caption.split("\n")]
    ax.set_title(sign + "\n".join(lines), fontsize=7, pad=3)
    colour, dash = {True: (DARK, "-"), False: (ACCENT, "--"), None: ("0.6", "-")}[shown.right]
    for spine in ax.spines.values():
        spine.set(visible=True, color=colour, linestyle=dash, linewidth=1.8)


def _read(path: Path, longest: int) -> npt.NDArray[np.uint8]:
    """A thumbnail's pixels, ``(h, w, 3)``, at most ``longest`` a side."""
    with Image.open(path) as image:
        picture = image.convert("RGB")
    picture.thumbnail((longest, longest))
    return np.asarray(picture)


def _paste(ax: Axes, pixels: npt.NDArray[np.uint8], middle: Positions, longest: float) -> None:
    """Puts pixels at a place of the axes, their longer side ``longest`` data units."""
    height, width = np.array(pixels.shape[:2]) * longest / max(pixels.shape[:2]) / 2
    x, y = middle
    ax.imshow(
        pixels, extent=(x - width, x + width, y - height, y + height), aspect="auto", interpolation="lanczos", zorder=2
    )


def _bare(ax: Axes, notes: Sequence[str]) -> None:
    """A map's axes: their numbers mean nothing, so there are none; the notes stand on top."""
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set(visible=True, color="0.8")
    ax.set_title("; ".join(plain(note, 200) for note in notes), fontsize=8)
