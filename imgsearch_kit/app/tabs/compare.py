"""The tab that puts several answers to the picture of the search tab side by side."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from imgsearch_kit.app import cards
from imgsearch_kit.app.columns import Column, column_of, comparable
from imgsearch_kit.app.guarding import told
from imgsearch_kit.app.request import SearchRequest
from imgsearch_kit.app.tabs.events import tab_view, wire
from imgsearch_kit.app.words import query_class
from imgsearch_kit.errors import BadQuery, KitError
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.reports import visible
from imgsearch_kit.results import Results

FEWEST, MOST = 2, 4
OWN_SPEC = 200  # characters of a SPEC that a forged request may have
SHA_SHOWN = 12  # digits that tell uploads of one name apart


def moved_hits(first: Sequence[str], other: Sequence[str]) -> tuple[dict[str, int | None], list[str]]:
    """How far each hit of another answer moved up against the first, None for a new one; and the ids that it lost."""
    places = {id_: place for place, id_ in enumerate(first)}
    moved = {id_: places[id_] - place if id_ in places else None for place, id_ in enumerate(other)}
    return moved, [id_ for id_ in first if id_ not in moved]


def judged_name(query: Mapping[str, Any]) -> str:
    """A query as judgements name it: its id, or for an upload its name and the beginning of its hash; and its box."""
    parts = query.get("queries", [query])
    names = [str(each.get("id") or f"{each.get('file')}~{str(each.get('sha256'))[:SHA_SHOWN]}") for each in parts]
    marks = [f"{sign}{id_}" for name, sign in (("plus", "+"), ("minus", "-")) for id_ in query.get(name, ())]
    box = [f"@{','.join(f'{side:g}' for side in query['box'])}"] if query.get("box") else []
    return " ".join([*names, *marks, *box])


class CompareTab:
    """What the server answers to the tab's events: plain values that the script draws as text.

    ``others`` are other galleries of the same pictures.
    """

    def __init__(self, gallery: Gallery, uploads: Path, others: Sequence[Gallery] = ()):
        self.gallery, self.uploads, self.others = gallery, uploads, others

    def start(self, given: Any) -> dict[str, Any]:
        """The columns that can be chosen, and those to begin with."""
        columns = comparable(self.gallery, self.others)
        chosen = sorted(_of_each_kind(columns)[:3], key=columns.index)
        return {
            "kind": "start",
            "uuid": self.gallery.passport.uuid,
            "columns": [
                {"spec": each.key, "name": visible(each.name), "about": visible(each.about)} for each in columns
            ],
            "chosen": [each.key for each in chosen],
            "most": MOST,
        }

    def compare(self, given: Any) -> dict[str, Any]:
        """An answer for each column, in the order asked for; each says how its hits moved against the first."""
        serial = given.get("serial") if isinstance(given, Mapping) else None
        said: dict[str, Any] = {"kind": "compared", "serial": serial}
        try:
            keys = _keys(given)
            asked = replace(SearchRequest.read(given.get("search"), self.uploads), shown=0)
            known = comparable(self.gallery, self.others)
            answers = [Answered(column_of(key, known), asked) for key in dict.fromkeys(keys)]
        except KitError as error:
            return said | {"error": self._words(error)}
        found = [each for each in answers if each.results]
        if not found:
            return said | {"columns": [self._refused(each) for each in answers], "class": None}
        first = found[0]
        label = query_class(first.column.gallery, first.told) if "queries" not in first.told.query else None
        thumbnails = _thumbnails(found)
        return said | {
            "columns": [
                self._drawn(each, first, label, thumbnails) if each.results else self._refused(each) for each in answers
            ],
            "class": visible(label) if label else None,
            "query": judged_name(first.told.query),
        }

    def _words(self, error: KitError) -> str:
        return visible(told(error, self.gallery.index.address)[1])

    def _refused(self, answered: Answered) -> dict[str, Any]:
        return {"spec": answered.column.key, "error": answered.refusal}

    def _drawn(
        self, answered: Answered, first: Answered, known: str | None, thumbnails: Mapping[str, str]
    ) -> dict[str, Any]:
        results, ids = answered.told, first.ids
        moved, lost = moved_hits(ids, answered.ids)
        right = [hit.label == known for hit in results.hits] if known else []
        foreign = answered.column.gallery is not first.column.gallery
        absent = set(lost) - {each.id for each in answered.column.gallery.records(lost)} if foreign and lost else set()
        return {
            "spec": answered.column.key,
            "ms": round(answered.ms, 1),
            "hits": [
                cards.card(hit.id, hit.label, thumbnails[hit.id])
                | {"rank": hit.rank, "score": hit.score, "up": moved[hit.id]}
                | ({"right": hit.label == known} if known else {})
                for hit in results.hits
            ],
            "lost": [cards.card(id_, None, thumbnails[id_]) | {"absent": id_ in absent} for id_ in lost],
            "precision": sum(right) / len(right) if right else None,
            "shared": len(ids) - len(lost),
            "of": len(ids),
            "how": visible(" · ".join(filter(None, (results.method, results.note)))),
        }


def _of_each_kind(columns: Sequence[Column]) -> list[Column]:
    """The columns with the first of each gallery, ranked and approximate, before all others."""
    kinds = {(id(each.gallery), each.approx is None): each for each in reversed(columns)}
    first = [each for each in columns if each in kinds.values()]
    return [*first, *(each for each in columns if each not in first)]


class Answered:
    """A column with its results and the milliseconds of its search, without extraction and learning.

    Where its index does not allow the search, ``refusal`` says so, and the other columns are answered all the same.
    """

    def __init__(self, column: Column, asked: SearchRequest):
        self.column, self.refusal, self.ms = column, "", 0.0
        self.results: Results | None = None
        try:
            if column.rank:
                column.gallery.ranked(column.rank)
            start = time.perf_counter()
            self.results = asked.answered_by(column.gallery, column.rank, approx=column.approx)
            self.ms = self.results.ms.get("search", (time.perf_counter() - start) * 1000)
        except KitError as error:
            self.refusal = visible(told(error, column.gallery.index.address)[1])

    @property
    def told(self) -> Results:
        """The results, where there are some."""
        assert self.results is not None
        return self.results

    @property
    def ids(self) -> list[str]:
        """The ids of the hits in rank order."""
        return [hit.id for hit in self.told.hits]


def _thumbnails(found: Sequence[Answered]) -> dict[str, str]:
    """The pictures of all hits by id; other indexes have the same pictures under the same ids."""
    drawn: dict[str, str] = {}
    for each in found:
        missing = [id_ for id_ in each.ids if not drawn.get(id_)]
        drawn |= cards.data_uris(each.told.picture or each.column.gallery.thumbnail, missing)
    return drawn


def _keys(given: Any) -> list[str]:
    columns = given.get("columns") if isinstance(given, Mapping) else None
    if not isinstance(columns, list) or not all(isinstance(each, str) and len(each) <= OWN_SPEC for each in columns):
        raise BadQuery("The request names no columns.")
    if not FEWEST <= len(columns) <= MOST:
        raise BadQuery(f"Choose {FEWEST} to {MOST} columns; there are {len(columns)}.")
    return columns


def compare_tab(gallery: Gallery, others: Sequence[Gallery] = ()) -> None:
    """Draws the tab into the open page and wires its events; ``others`` are other galleries of the same pictures."""
    view = tab_view("compare")
    tab = CompareTab(gallery, Path(view.GRADIO_CACHE).resolve(), others)
    wire(view, "start", tab.start, "Opening the tab")
    wire(view, "compare", tab.compare, "The comparison", concurrency_id="search")
