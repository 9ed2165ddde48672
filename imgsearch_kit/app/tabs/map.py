"""The tab that shows all pictures at once: alike ones near each other, by the map that the gallery keeps."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from imgsearch_kit.app import cards
from imgsearch_kit.app.guarding import told
from imgsearch_kit.app.request import SearchRequest
from imgsearch_kit.app.tabs.events import tab_view, telling, wire, working
from imgsearch_kit.app.top_tens import TEN
from imgsearch_kit.errors import BadQuery, KitError
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.map.points import MapScale, kept_on_map, map_points
from imgsearch_kit.map.projection import SMALL, Projection
from imgsearch_kit.records import Vectors
from imgsearch_kit.reports import visible

MOST_POINTS = 20_000  # pictures whose points are sent to a browser
PER_SECOND = 150  # pictures that are laid out in a second on two cores, about
MOST_THUMBNAILS = 80  # in one answer
MAP_CHANGED = "The index has just changed. Open the map again."


class MapTab:
    """What the server answers to the tab's events over one gallery: plain values that the script draws as text."""

    def __init__(self, gallery: Gallery, uploads: str):
        self.gallery, self.uploads = gallery, Path(uploads).resolve()
        self._learning = threading.Lock()

    def start(self, given: Any) -> dict[str, Any]:
        """The map if it is kept, else how long it takes to learn it."""
        count = len(self.gallery)
        if not count:
            return _said("Nothing is indexed yet. Type imgsearch index FOLDER in a terminal, then open the map again.")
        if count <= SMALL or self.gallery.kept_projection() is not None:
            try:
                return self._map(self.gallery.projection(progress=False))
            except KitError as error:
                return _said(self._words(error))
        seconds = 10 + count / PER_SECOND
        long = "less than half a minute" if seconds < 30 else f"about {max(1, round(seconds / 60))} min"
        words = f"The map is learned from all {count:,} pictures once, which takes {long}, and is kept."
        return _said(words) | {"learn": True}

    def learn(self, given: Any) -> Iterator[dict[str, Any]]:
        """The share that is done, again and again, then the map; of several who ask at once, one learns."""
        said = {"kind": "learning"}
        steps = working(self._learned)
        try:
            yield said | {"done": 0.0}
            made = yield from telling(said, steps)
        except KitError as error:
            yield _said(self._words(error))
            return
        finally:
            steps.close()
        yield self._map(made)

    def _learned(self, tell: Callable[[float], object]) -> Projection:
        with self._learning:  # here and not around the generator, which may never end once it was cancelled
            return self.gallery.projection(progress=tell)

    def _words(self, error: KitError) -> str:
        """What a visitor is told of an error."""
        return visible(told(error, self.gallery.index.address)[1])

    def _map(self, projection: Projection) -> dict[str, Any]:
        records, positions = self.gallery.records(), projection.positions
        if len(records) != len(positions):
            return _said(MAP_CHANGED)
        rows = np.arange(len(records))
        if len(rows) > MOST_POINTS:
            rows = np.sort(np.random.default_rng(0).choice(rows, MOST_POINTS, replace=False))
        shown = "" if len(rows) == len(records) else f"{MOST_POINTS:,} pictures by chance are shown. "
        places = MapScale.of(positions).scaled(positions)
        some = [records[row] for row in rows.tolist()]
        points = map_points(places[rows], [record.id for record in some], [record.label for record in some])
        return _said(shown + " · ".join(projection.notes())) | points

    def thumbnails(self, given: Any) -> dict[str, Any]:
        """The thumbnails of some pictures, by id."""
        ids = given.get("ids") if isinstance(given, Mapping) else None
        wanted = [id_ for id_ in ids if isinstance(id_, str)] if isinstance(ids, list) else []
        found = cards.data_uris(self.gallery.thumbnail, wanted[:MOST_THUMBNAILS])
        return _answer(given) | {"thumbnails": found}

    def near(self, given: Any) -> dict[str, Any]:
        """The place of a query, its ten nearest by cosine, and which of them are among its ten nearest on the map.

        The query is what the search tab sends, with its box and marks; the neighbours are those of the plain order
        among all pictures, whatever the search is limited to.
        """
        said = _answer(given)
        try:
            asked = SearchRequest.read(given, self.uploads)
            projection = self.gallery.kept_projection()
            if projection is None and len(self.gallery) > SMALL:
                raise BadQuery(MAP_CHANGED)
            return said | self._near(asked, projection or self.gallery.projection(progress=False))
        except KitError as error:
            return said | {"error": self._words(error)}

    def _near(self, asked: SearchRequest, projection: Projection) -> dict[str, Any]:
        asked = replace(asked, k=TEN, classes=(), least=None, distinct=None, shown=0)
        results = asked.answered_by(self.gallery, "")
        records, positions = self.gallery.records(), projection.positions
        if len(records) != len(positions):
            raise BadQuery(MAP_CHANGED)
        rows = {record.id: row for row, record in enumerate(records)}
        near = np.array([[rows.get(hit.id, -1) for hit in results.hits]], np.int64).reshape(1, -1)
        own = [rows[id_] for id_ in results.own if id_ in rows]
        if own and not (asked.box or asked.plus or asked.minus or asked.also):
            place = positions[[rows.get(str(results.query.get("id")), own[0])]]
        else:
            place = projection.place(self._vector(asked))
        [[x, y]] = MapScale.of(positions).scaled(place).tolist()
        return {
            "x": x,
            "y": y,
            "near": [hit.id for hit in results.hits],
            "cosines": [hit.score for hit in results.hits],
            "kept": kept_on_map(positions, place, near, [own])[0].tolist(),
        }

    def _vector(self, asked: SearchRequest) -> Vectors:
        """The vector ``(1, dim)`` of what is searched for; the search before has extracted it already."""
        ids = [*([asked.id] if asked.id else []), *asked.also]
        return self.gallery.embed(asked.picture, id=ids or None, box=asked.box, plus=asked.plus, minus=asked.minus)


def _said(words: str) -> dict[str, Any]:
    return {"kind": "map", "said": words, "learn": False}


def _answer(given: Any) -> dict[str, Any]:
    """The beginning of an answer to a question of the script, which knows it by its serial."""
    return {"kind": "told", "serial": given.get("serial") if isinstance(given, Mapping) else None}


def map_tab(gallery: Gallery) -> None:
    """Draws the tab into the open page and wires its events."""
    view = tab_view("map")
    tab = MapTab(gallery, view.GRADIO_CACHE)
    wire(view, "start", tab.start, "Opening the map")
    learning = wire(view, "learn", tab.learn, "Learning the map", concurrency_id="map", concurrency_limit=1)
    view.stop(None, cancels=[learning], api_visibility="private")
    wire(view, "thumbnails", tab.thumbnails, "Showing pictures", concurrency_limit=4)
    wire(view, "near", tab.near, "Looking for neighbours", concurrency_id="search")
