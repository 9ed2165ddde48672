"""The tab that shows all pictures at once: alike ones near each other, by the map that the gallery keeps."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from imgsearch_kit.app.guarding import told
from imgsearch_kit.app.tabs.events import sent_text, tab_view, wire
from imgsearch_kit.errors import KitError
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.map.projection import SMALL, Projection
from imgsearch_kit.records import ImageRecord, Vectors
from imgsearch_kit.reports import data_uri, visible

MOST_POINTS = 20_000  # pictures whose points are sent to a browser
PER_SECOND = 150  # pictures that are laid out in a second on two cores, about


def map_points(positions: Vectors, records: Sequence[ImageRecord]) -> dict[str, Any]:
    """The pictures as points within 0 and 1, with rows of the names of their classes, -1 for none.

    ``positions`` is ``(n, 2)`` in the order of the records. The one per mille that lies farthest out at each side is
    drawn at the edge, so that it does not make the rest small.
    """
    low, high = np.quantile(positions, [0.001, 0.999], axis=0)
    middle, side = (low + high) / 2, max(float((high - low).max()), 1e-9)
    scaled = np.clip((positions - middle) / side + 0.5, 0, 1).round(4)
    names = sorted({record.label for record in records if record.label})
    rows = {name: row for row, name in enumerate(names)}
    return {
        "ids": [record.id for record in records],
        "x": scaled[:, 0].tolist(),
        "y": scaled[:, 1].tolist(),
        "classes": [rows.get(record.label or "", -1) for record in records],
        "names": [visible(name) for name in names],
    }


class MapTab:
    """What the server answers to the tab's events over one gallery: plain values that the script draws as text."""

    def __init__(self, gallery: Gallery):
        self.gallery = gallery
        self._lock = threading.Lock()

    def start(self, given: Any) -> dict[str, Any]:
        """The map if it is kept, else how long it takes to learn it."""
        if not len(self.gallery):
            return {"kind": "map", "said": "Nothing is indexed yet.", "learn": False}
        kept = self.gallery.kept_projection()
        if kept is None and len(self.gallery) >= SMALL:
            seconds = 10 + len(self.gallery) / PER_SECOND
            long = "less than half a minute" if seconds < 30 else f"about {max(1, round(seconds / 60))} min"
            words = f"The map is learned from all {len(self.gallery):,} pictures once, which takes {long}, and is kept."
            return {"kind": "map", "said": words, "learn": True}
        return self.learn(given)

    def learn(self, given: Any) -> dict[str, Any]:
        """The map, learned where it is not kept; of several who ask at once, one learns."""
        try:
            with self._lock:
                return self._map(self.gallery.projection(progress=False))
        except KitError as error:
            said = visible(told(error, self.gallery.index.address)[1])
            return {"kind": "map", "said": said, "learn": False}

    def _map(self, projection: Projection) -> dict[str, Any]:
        records, positions = self.gallery.records(), projection.positions
        if len(records) != len(positions):
            return {"kind": "map", "said": "The index has just changed. Open the map again.", "learn": False}
        rows = np.arange(len(records))
        if len(rows) > MOST_POINTS:
            rows = np.sort(np.random.default_rng(0).choice(rows, MOST_POINTS, replace=False))
        shown = "" if len(rows) == len(records) else f"{MOST_POINTS:,} pictures by chance are shown. "
        points = map_points(positions[rows], [records[row] for row in rows.tolist()])
        return {"kind": "map", "said": shown + " · ".join(projection.notes()), "learn": False} | points

    def thumbnail(self, given: Any) -> dict[str, Any]:
        """The thumbnail of a picture that is pointed at."""
        id_ = sent_text(given, "id")
        return {
            "kind": "thumbnail",
            "id": id_,
            "name": visible(id_),
            "thumbnail": data_uri(self.gallery.thumbnail, id_),
        }


def map_tab(gallery: Gallery) -> None:
    """Draws the tab into the open page and wires its events."""
    view = tab_view("map")
    tab = MapTab(gallery)
    wire(view, "start", tab.start, "Opening the map")
    wire(view, "learn", tab.learn, "Learning the map", concurrency_id="map", concurrency_limit=1)
    wire(view, "thumbnail", tab.thumbnail, "Showing the picture")
