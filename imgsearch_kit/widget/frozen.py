"""The frozen twin of the widget: the neighbours as a page without scripts, for notebooks that are only read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from imgsearch_kit.errors import KitError
from imgsearch_kit.images import thumbnail_bytes
from imgsearch_kit.reports import Framed, html_text, webp_uri
from imgsearch_kit.results import Results

if TYPE_CHECKING:
    from imgsearch_kit.gallery import Gallery

TWIN_LIMIT = 95_000  # characters of the twin, so that a notebook with several stays small
TWIN_SIDES = (128, 96, 64, 48, 0)  # pixels of the thumbnails; the first that fits is taken, 0 is none
QUALITY = 65
CARDS = 24
TWIN_STYLE = """:root { color-scheme: light dark }
body { margin: 8px; font: 13px/1.35 system-ui, sans-serif }
p { margin: 0 0 8px }
ol { display: grid; grid-template-columns: repeat(auto-fill, minmax(118px, 1fr)); gap: 8px; margin: 0; padding: 0 }
li { border: 1px solid color-mix(in srgb, CanvasText 20%, Canvas); border-radius: 8px; list-style: none }
li { overflow: hidden }
.query { border: 2px solid #4f46e5 }
img, .none { display: block; width: 100%; height: 104px; object-fit: contain }
img, .none { background: color-mix(in srgb, CanvasText 6%, Canvas) }
span { display: block; padding: 3px 7px; overflow-wrap: anywhere }
small { display: block; margin-top: 8px; opacity: .75 }"""
NOTE = "What the cell showed when it ran. Run it to drop a picture, to mark and to search on."

Card = tuple[str, str, bool]  # an id, its words, and whether it is the query


def frozen(gallery: Gallery, results: Results | None) -> str:
    """An ``<iframe srcdoc>`` of at most 100 kB with the answer, or without one with some of the gallery's pictures."""
    cards = _sampled(gallery) if results is None else _answer(results)
    title = f"{len(gallery):,} pictures" if results is None else results.title()
    cautions = [] if results is None else list(results.cautions())
    for side in TWIN_SIDES:
        pictures = {id_: _picture(gallery, id_, side) for id_, _, _ in cards}
        twin = Framed(_page([title, *cautions], cards, pictures), title, _height(len(cards)))._repr_html_()
        if len(twin) <= TWIN_LIMIT:
            break
    return twin


def _answer(results: Results) -> list[Card]:
    hits = [(hit.id, f"{hit.rank} · {hit.label or hit.id} · {hit.score:.3f}", False) for hit in results.hits[:CARDS]]
    id_ = results.query.get("id")
    return [(str(id_), "the query", True), *hits] if isinstance(id_, str) else hits


def _sampled(gallery: Gallery) -> list[Card]:
    return [(id_, label, False) for label, id_ in gallery.sample(12).rows]


def _picture(gallery: Gallery, id_: str, side: int) -> str:
    """A thumbnail as a data URI, "" where there is none."""
    try:
        return webp_uri(thumbnail_bytes(gallery.thumbnail(id_), side, quality=QUALITY)) if side else ""
    except KitError:
        return ""


def _page(words: Sequence[str], cards: Sequence[Card], pictures: dict[str, str]) -> str:
    drawn = "".join(
        f'<li{" class=query" if is_query else ""} title="{html_text(id_)}">'
        f"{_image(pictures[id_])}<span>{html_text(said)}</span></li>"
        for id_, said, is_query in cards
    )
    said = "".join(f"<p>{html_text(each)}</p>" for each in words)
    return f"<!doctype html><meta charset=utf-8><style>{TWIN_STYLE}</style>{said}<ol>{drawn}</ol><small>{NOTE}</small>"


def _image(uri: str) -> str:
    return f'<img alt="" src="{uri}">' if uri else '<div class="none"></div>'


def _height(count: int) -> int:
    rows = -(-max(count, 1) // 6)
    return 70 + 148 * rows
