"""The search tab: a query picture and its neighbours."""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from imgsearch_kit.app import cards
from imgsearch_kit.app.api import DEFAULT_K, MAX_K
from imgsearch_kit.app.choices import AS_INDEXED, OTHER, BackgroundLearning, spec_of
from imgsearch_kit.app.exports import receipt_answer
from imgsearch_kit.app.guarding import told
from imgsearch_kit.app.request import MOST_HITS, SearchRequest
from imgsearch_kit.app.standing import moved_away, standing
from imgsearch_kit.app.tabs.events import tab_view, wire
from imgsearch_kit.app.tabs.picture import PictureAnswers
from imgsearch_kit.app.tiles import Shown
from imgsearch_kit.app.words import hit_words, query_class, verdict_words
from imgsearch_kit.errors import BadQuery, KitError
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.reports import data_uri, visible, webp_uri
from imgsearch_kit.results import Results

OWN_SHOWN = 8


class SearchTab:
    """What the server answers to the tab's events over one gallery: plain values that the script draws as text."""

    def __init__(self, gallery: Gallery, uploads: str, *, originals: bool = False):
        self.gallery, self.uploads, self.originals = gallery, Path(uploads).resolve(), originals
        self.learning = BackgroundLearning(gallery)
        self.shown = Shown(gallery)
        self._state = ""  # of the index, when it was last looked at

    def start(self) -> dict[str, Any]:
        """What the page begins with, from the index as it is now: what can be chosen, and pictures to click."""
        self.learning.start()  # while the visitor chooses a picture
        _, typical = self.shown.now()
        records = {record.id: record for record in typical}
        thumbnails = cards.data_uris(lambda id_: self.gallery.thumbnail(records[id_]), records)
        return {
            "kind": "start",
            "uuid": self.gallery.passport.uuid,
            **self._standing(None),
            "moved": moved_away(self.gallery, self.shown.some()),
            "tiles": [cards.card(id_, records[id_].label, thumbnails[id_]) for id_ in records],
            "rankings": self._rankings(),
            "other": OTHER,
            "usual": {"k": DEFAULT_K, "rank": self.gallery.rank or AS_INDEXED},
            "most": MAX_K,
            "originals": self.originals,
            "explains": dict(zip(("way", "note"), self.gallery.explains(), strict=True)),
        }

    def _rankings(self) -> list[dict[str, Any]]:
        return [
            {"spec": each.spec or AS_INDEXED, "name": each.name, "label": each.label(), "about": each.what}
            for each in self.learning.choices()
        ]

    def search(self, given: Any) -> dict[str, Any]:
        """The answer to a search; an error is a sentence in it, so that the page can keep what it shows."""
        serial = given.get("serial") if isinstance(given, Mapping) else None
        said: dict[str, Any] = {"kind": "answer", "serial": serial}
        try:
            asked = SearchRequest.read(self._chosen(given), self.uploads)
        except KitError as error:
            return said | {"error": self._words(error)}
        spec = spec_of(asked.rank)
        try:
            if spec:
                self.gallery.ranked(spec)
        except KitError as error:  # the picture can still be searched for with another ranking
            return said | {"error": self._words(error), "waiting": True}
        try:
            results = asked.answered_by(self.gallery, spec)
            indexed = self._standing(given.get("state"))
            return said | self._answer(asked, results, spec) | {"indexed": indexed}
        except KitError as error:
            return said | {"error": self._words(error)}

    def _standing(self, known: str | None) -> dict[str, Any]:
        """What is indexed now; where another process has changed that, it is learned anew."""
        found = standing(self.gallery, known)
        if found["state"] != self._state:
            self._state = found["state"]
            self.gallery.index.read_passport()
        return found

    def _words(self, error: KitError) -> str:
        """What a visitor is told of an error."""
        return visible(told(error, self.gallery.index.address)[1])

    def _chosen(self, given: Any) -> Any:
        """The request, with an id by chance where it asks for one: another than the picture that is shown."""
        if not isinstance(given, Mapping) or not given.get("random"):
            return given
        ids, _ = self.shown.now()
        if not ids:
            raise BadQuery("Nothing is indexed yet.")
        chosen = random.randrange(len(ids))
        if ids[chosen] == given.get("other_than"):
            chosen = (chosen + random.randrange(1, max(len(ids), 2))) % len(ids)
        return {**given, "id": ids[chosen]}

    def _answer(self, asked: SearchRequest, results: Results, spec: str) -> dict[str, Any]:
        own, hits = results.own[:OWN_SHOWN], results.hits[asked.shown :]
        marks = {"also": asked.also, "plus": asked.plus, "minus": asked.minus}
        marked = [id_ for ids in marks.values() for id_ in ids]
        thumbnails = cards.data_uris(
            results.picture or self.gallery.thumbnail, [*own, *marked, *(hit.id for hit in hits)]
        )
        plain = not (marked or asked.box)
        calibration = self.learning.calibration(spec) if plain else None
        known = None if "queries" in results.query else query_class(self.gallery, results)
        said = [hit_words(hit, known=known, calibration=calibration, verdict=results.verdict) for hit in hits]
        note, errs = verdict_words(results.verdict, self.learning.novelty())
        return {
            "query": self._query(asked, results),
            "marks": {name: [cards.card(id_, None, thumbnails[id_]) for id_ in ids] for name, ids in marks.items()},
            "own": [cards.card(id_, None, thumbnails[id_]) for id_ in own],
            "hits": cards.hit_cards(hits, thumbnails, said),
            "status": cards.count(len(results.hits), "neighbour"),
            "how": _how(results),
            "note": visible(note),
            "errs": errs,
            "unknown": visible(self.learning.unknown(spec)) if plain and known is None and not note else "",
            "rankings": self._rankings(),
            "learning": plain and not self.learning.wait(0),
            "more": asked.k < MOST_HITS and len(results.hits) == asked.k,
            "nothing": self._nothing(asked) if not results.hits else "",
        }

    def _query(self, asked: SearchRequest, results: Results) -> dict[str, Any]:
        """The query as it is shown: from the server's own preview, because browsers do not draw every format."""
        about = results.query.get("queries", [results.query])[0]
        if asked.id is not None:
            shown = cards.card(str(about["id"]), about.get("label"), "") | {"picture": None}
            return shown | {"preview": data_uri(self.gallery.preview, str(about["id"]))}
        assert asked.picture is not None
        name = str(about["file"])
        return {"id": None, "name": visible(name), "label": None, "picture": str(asked.picture)} | {
            "preview": _preview(asked.picture, self.gallery.max_pixels)
        }

    def _nothing(self, asked: SearchRequest) -> str:
        if not len(self.gallery):
            return "Nothing is indexed yet."
        if asked.least is not None:
            return f"No other picture has a score of at least {asked.least:g}."
        return "No other picture of these classes is indexed." if asked.classes else "No other picture is indexed."


def _how(results: Results) -> list[str]:
    """How the answer came about, a few words each."""
    extract, search = (results.ms.get(name, 0.0) for name in ("extract", "search"))
    words = [f"extraction {extract:.0f} ms", f"search {search:.1f} ms", results.method, results.note]
    return [visible(word) for word in words if word]


def _preview(path: Path, max_pixels: int) -> str:
    """The preview of an upload as a data URI; nothing of it stays on the disk."""
    from imgsearch_kit.images import PREVIEW, thumbnail_bytes

    try:
        return webp_uri(thumbnail_bytes(path, PREVIEW, max_pixels=max_pixels))
    except KitError:  # the file is gone meanwhile
        return ""


TELL = "watch('value', () => document.dispatchEvent(new CustomEvent('imgsearch-told', {detail: props.value})));"


def search_tab(gallery: Gallery, page: gr.Blocks, *, originals: bool = False) -> None:
    """Draws the tab into the open page and wires its events; ``originals`` can be downloaded.

    The value changes with every answer, because each has the serial of its question.
    """
    view = tab_view("search")
    told = gr.HTML(js_on_load=TELL, elem_id="told", html_template="<div></div>", apply_default_css=False)
    tab = SearchTab(gallery, view.GRADIO_CACHE, originals=originals)
    single = PictureAnswers(gallery, tab.uploads, view.temp_files)
    page.load(tab.start, outputs=view, show_progress="hidden", api_visibility="private")

    # Every question is sent: with "always_last" the answer to the second of two quick changes may never come.
    wire(view, "ask", tab.search, "The search", concurrency_id="search")
    wire(view, "details", single.details, "Looking for the details", told)
    wire(view, "boxes", single.boxes, "Suggesting boxes", told, concurrency_id="search")
    wire(view, "reverse", single.reverse, "Looking for neighbours", told, concurrency_id="explain")
    wire(view, "fetch", single.fetched, "Fetching the picture", told, concurrency_id="fetch")
    receipt = partial(receipt_answer, gallery, tab.uploads)
    wire(view, "receipt", receipt, "Writing the receipt", told, concurrency_id="search")
    explaining = wire(view, "explain", single.explained, "Explaining the match", told, concurrency_id="explain")
    view.stop(None, cancels=[explaining], api_visibility="private")
    # The index has changed.
    view.again(tab.start, None, view, show_progress="hidden", api_visibility="private")
