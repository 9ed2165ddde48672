"""The map in a cell: the pictures as points, and of one its nearest and which of them the map keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from imgsearch_kit.errors import BadQuery, KitError
from imgsearch_kit.map.points import MapScale, kept_on_map, map_points
from imgsearch_kit.reports import visible
from imgsearch_kit.ui.cards import data_uris

if TYPE_CHECKING:
    from imgsearch_kit.gallery import Gallery

NEAR_IN_CELL = 10
DRAWN_AT_ONCE = 200  # thumbnails of one question


class MapAnswers:
    """What a cell is told of the map of a gallery, as plain values; an error is a sentence in them."""

    def __init__(self, gallery: Gallery):
        self._gallery = gallery

    def answer(self, said: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a question of the script, which knows it by its serial."""
        kinds = {"map": self._points, "near": self._near, "thumbnails": self._thumbnails}
        begun = {"kind": "told", "serial": said.get("serial")}
        try:
            return begun | kinds[str(said.get("kind"))](said)
        except KitError as error:
            return begun | {"error": visible(str(error))}

    def _points(self, _: Mapping[str, Any]) -> dict[str, Any]:
        positions, records = self._gallery.projection(progress=False).positions, self._gallery.records()
        places = MapScale.of(positions).scaled(positions)
        return {"points": map_points(places, [each.id for each in records], [each.label for each in records])}

    def _near(self, said: Mapping[str, Any]) -> dict[str, Any]:
        id_ = str(said.get("id"))
        found = self._gallery.search(id=id_, k=NEAR_IN_CELL, rank="")
        positions = self._gallery.projection(progress=False).positions
        rows = {record.id: row for row, record in enumerate(self._gallery.records())}
        if len(rows) != len(positions):
            raise BadQuery("The index has changed since the map was drawn. Open the map again.")
        near = np.array([[rows[hit.id] for hit in found.hits]], np.int64).reshape(1, -1)
        kept = kept_on_map(positions, positions[[rows[id_]]], near, [[rows[own] for own in found.own]])
        return {
            "near": [hit.id for hit in found.hits],
            "cosines": [hit.score for hit in found.hits],
            "kept": kept[0].tolist(),
        }

    def _thumbnails(self, said: Mapping[str, Any]) -> dict[str, Any]:
        ids = said.get("ids")
        wanted = [id_ for id_ in ids if isinstance(id_, str)][:DRAWN_AT_ONCE] if isinstance(ids, list) else []
        return {"thumbnails": data_uris(self._gallery.thumbnail, wanted)}
