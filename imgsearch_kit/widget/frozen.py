"""The frozen twin of the widget: the neighbours as plain HTML, for notebooks that are only read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from imgsearch_kit.errors import KitError
from imgsearch_kit.images import thumbnail_bytes
from imgsearch_kit.markup import strip_markup
from imgsearch_kit.reports import html_text, visible, webp_uri
from imgsearch_kit.results import Results

if TYPE_CHECKING:
    from imgsearch_kit.gallery import Gallery

TWIN_LIMIT = 95_000  # characters of the twin, so that a notebook with several stays small
TWIN_SIDES = (128, 96, 64, 48, 0)  # pixels of the thumbnails; the first that fits is taken, 0 is none
QUALITY = 65
CARDS = 24
NOTE = "What the cell showed when it ran. Run it to drop a picture, to mark and to search on."

Card = tuple[str, Sequence[str]]  # an id, and the lines below its picture


def frozen(gallery: Gallery, results: Results | None) -> str:
    """HTML of at most 100 kB with the answer, or without one with some of the gallery's pictures."""
    cards = _sampled(gallery) if results is None else _answer(results)
    words = [f"{len(gallery):,} pictures"] if results is None else [results.title(), *results.cautions()]
    begun = "".join(f"<p>{html_text(each)}</p>" for each in words)
    for side in TWIN_SIDES:
        shown = strip_markup(
            (_picture(gallery, id_, side), visible(id_), [visible(line) for line in lines]) for id_, lines in cards
        )
        twin = f"<div>{begun}{shown}<p><small>{NOTE}</small></p></div>"
        if len(twin) <= TWIN_LIMIT:
            break
    return twin


def _answer(results: Results) -> list[Card]:
    id_ = results.query.get("id")
    asked: list[Card] = [(id_, ["the query"])] if isinstance(id_, str) else []
    hits = results.hits[:CARDS]
    return asked + [(hit.id, [f"{hit.rank} · {hit.score:.3f}", hit.label or hit.id]) for hit in hits]


def _sampled(gallery: Gallery) -> list[Card]:
    return [(id_, [label]) for label, id_ in gallery.sample(12).rows]


def _picture(gallery: Gallery, id_: str, side: int) -> str:
    """A thumbnail as a data URI, "" where there is none."""
    try:
        return webp_uri(thumbnail_bytes(gallery.thumbnail(id_), side, quality=QUALITY)) if side else ""
    except KitError:
        return ""
