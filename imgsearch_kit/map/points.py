"""The pictures of a map as points for a screen, and which of a picture's true neighbours are near it on the map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from scipy.spatial import KDTree

from imgsearch_kit.records import Vectors
from imgsearch_kit.vectors import Bools, Floats, Ints

OUTLYING = 0.001  # share of the pictures that may lie outside of the unit square at each side


@dataclass(frozen=True)
class MapScale:
    """What brings the positions of a map into the unit square, all but the few that lie farthest out.

    ``middle`` ``(2,)`` comes to (0.5, 0.5); ``side`` is the length that comes to 1.
    """

    middle: Floats
    side: float

    @classmethod
    def of(cls, positions: Vectors) -> Self:
        """The scale of ``(n, 2)`` positions."""
        low, high = np.quantile(positions.astype(np.float64), [OUTLYING, 1 - OUTLYING], axis=0)
        return cls((low + high) / 2, max(float((high - low).max()), 1e-9))

    def scaled(self, positions: Vectors) -> Floats:
        """Positions ``(m, 2)`` on this scale; those of outliers are below 0 or above 1."""
        return ((positions.astype(np.float64) - self.middle) / self.side + 0.5).round(5)


def map_points(places: Floats, ids: Sequence[str], labels: Sequence[str | None]) -> dict[str, Any]:
    """The pictures as columns for ``ui/explorer.js``: ids, x, y, and rows of the names of their classes, -1 for none.

    ``places`` is ``(n, 2)``, scaled, in the order of the ids and labels.
    """
    names = sorted({label for label in labels if label})
    rows = {name: row for row, name in enumerate(names)}
    return {
        "ids": list(ids),
        "x": places[:, 0].tolist(),
        "y": places[:, 1].tolist(),
        "classes": [rows.get(label or "", -1) for label in labels],
        "names": names,
    }


def kept_on_map(positions: Vectors, places: Vectors, near: Ints, own: Sequence[Sequence[int]]) -> Bools:
    """Which of the true neighbours of each query are among as many nearest on the map, ``(m, k)``.

    ``positions`` ``(n, 2)`` are those of the pictures, ``places`` ``(m, 2)`` those of the queries. ``near`` ``(m, k)``
    are rows of pictures, -1 where there are fewer. ``own`` are the rows that are the query itself, which do not count.
    """
    kept = np.zeros(near.shape, bool)
    most = min(near.shape[1] + max(map(len, own), default=0), len(positions))
    if not most or not len(places):
        return kept
    _, rows = KDTree(positions).query(places, k=np.arange(1, most + 1))
    for query, (found, true, itself) in enumerate(zip(rows, near, own, strict=True)):
        others = found[~np.isin(found, itself)][: int((true >= 0).sum())]
        kept[query] = np.isin(true, others) & (true >= 0)
    return kept
