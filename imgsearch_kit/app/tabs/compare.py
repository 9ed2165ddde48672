"""The tab that puts several answers to the picture of the search tab side by side."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from imgsearch_kit.app import cards
from imgsearch_kit.app.choices import AS_INDEXED, spec_of
from imgsearch_kit.app.guarding import told
from imgsearch_kit.app.request import SearchRequest
from imgsearch_kit.app.tabs.events import tab_view, wire
from imgsearch_kit.app.words import query_class
from imgsearch_kit.errors import BadQuery, KitError
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.ranking.choices import rank_choices
from imgsearch_kit.reports import visible
from imgsearch_kit.results import Results

APPROXIMATE = "approximate"  # stands for the approximate method among the SPECs of columns
FEWEST, MOST = 2, 4
OWN_SPEC = 200  # characters of a SPEC that a forged request may have


def moved_hits(first: Sequence[str], other: Sequence[str]) -> tuple[dict[str, int | None], list[str]]:
    """How far each hit of another answer moved up against the first, None for a new one; and the ids that it lost."""
    places = {id_: place for place, id_ in enumerate(first)}
    moved = {id_: places[id_] - place if id_ in places else None for place, id_ in enumerate(other)}
    return moved, [id_ for id_ in first if id_ not in moved]


class CompareTab:
    """What the server answers to the tab's events over one gallery: plain values that the script draws as text."""

    def __init__(self, gallery: Gallery, uploads: Path):
        self.gallery, self.uploads = gallery, uploads

    def start(self, given: Any) -> dict[str, Any]:
        """The columns that can be chosen, and those to begin with."""
        choices = rank_choices(self.gallery.index.read_passport(), self.gallery.rank or None)
        columns = [{"spec": each.spec or AS_INDEXED, "name": each.name, "about": each.what} for each in choices]
        if (method := self.gallery.passport.method) != "exact":
            about = "Faster on large indexes; may miss neighbours that exact search finds."
            columns.insert(1, {"spec": APPROXIMATE, "name": f"Approximate ({method})", "about": about})
        return {"kind": "start", "columns": columns, "chosen": [each["spec"] for each in columns[:3]], "most": MOST}

    def compare(self, given: Any) -> dict[str, Any]:
        """An answer for each column, in the order asked for; each says how its hits moved against the first."""
        serial = given.get("serial") if isinstance(given, Mapping) else None
        said: dict[str, Any] = {"kind": "compared", "serial": serial}
        try:
            specs = _columns(given)
            asked = replace(SearchRequest.read(given.get("search"), self.uploads), shown=0)
            answers = {spec: self._answer(asked, spec) for spec in dict.fromkeys(specs)}
        except KitError as error:
            return said | {"error": self._words(error)}
        found = [each[0] for each in answers.values() if not isinstance(each, str)]
        ids = [hit.id for each in found for hit in each.hits]
        thumbnails = cards.data_uris((found and found[0].picture) or self.gallery.thumbnail, ids)
        known = query_class(self.gallery, found[0]) if found and "queries" not in found[0].query else None
        first = [hit.id for hit in found[0].hits] if found else []
        columns = [
            {"spec": spec, "error": each}
            if isinstance(each, str)
            else {"spec": spec, "ms": round(each[1], 1)} | self._column(each[0], first, known, thumbnails)
            for spec, each in answers.items()
        ]
        return said | {"columns": columns, "class": visible(known) if known else None}

    def _words(self, error: KitError) -> str:
        return visible(told(error, self.gallery.index.address)[1])

    def _answer(self, asked: SearchRequest, spec: str) -> tuple[Results, float] | str:
        """The results of a column and the milliseconds of its search, without extraction and learning.

        A sentence where the index does not allow the ranking: the other columns are answered all the same.
        """
        approx = spec == APPROXIMATE
        rank = "" if approx else spec_of(spec)
        if rank:
            try:
                self.gallery.ranked(rank)
            except KitError as error:
                return self._words(error)
        start = time.perf_counter()
        results = asked.answered_by(self.gallery, rank, approx=approx)
        whole = (time.perf_counter() - start) * 1000
        return results, results.ms.get("search", whole)

    def _column(
        self, results: Results, first: Sequence[str], known: str | None, thumbnails: Mapping[str, str]
    ) -> dict[str, Any]:
        moved, lost = moved_hits(first, [hit.id for hit in results.hits])
        right = [hit.label == known for hit in results.hits] if known else []
        return {
            "hits": [
                cards.card(hit.id, hit.label, thumbnails[hit.id])
                | {"rank": hit.rank, "score": hit.score, "up": moved[hit.id]}
                | ({"right": hit.label == known} if known else {})
                for hit in results.hits
            ],
            "lost": [cards.card(id_, None, thumbnails[id_]) for id_ in lost],
            "precision": sum(right) / len(right) if right else None,
            "shared": len(first) - len(lost),
            "of": len(first),
            "how": visible(" · ".join(filter(None, (results.method, results.note)))),
        }


def _columns(given: Any) -> list[str]:
    columns = given.get("columns") if isinstance(given, Mapping) else None
    if not isinstance(columns, list) or not all(isinstance(each, str) and len(each) <= OWN_SPEC for each in columns):
        raise BadQuery("The request names no columns.")
    if not FEWEST <= len(columns) <= MOST:
        raise BadQuery(f"Choose {FEWEST} to {MOST} columns; there are {len(columns)}.")
    return columns


def compare_tab(gallery: Gallery) -> None:
    """Draws the tab into the open page and wires its events."""
    view = tab_view("compare")
    tab = CompareTab(gallery, Path(view.GRADIO_CACHE).resolve())
    wire(view, "start", tab.start, "Opening the tab")
    wire(view, "compare", tab.compare, "The comparison", concurrency_id="search")
