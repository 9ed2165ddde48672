"""What the page says of its index beside every answer: how much is in it now, and whether its pictures are there."""

from __future__ import annotations

import hashlib
from typing import Any

from imgsearch_kit.app.cards import count
from imgsearch_kit.errors import KitError, UnreadableImage
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.records import ImageRecord
from imgsearch_kit.reports import json_text, visible

FILES_LOOKED_FOR = 40
MOVED = (
    "Most pictures are not where they were when they were indexed, so they are not shown. Searching works. "
    "Whoever runs this page can name their folder: imgsearch serve --root FOLDER."
)


def standing(gallery: Gallery, known: str | None = None) -> dict[str, Any]:
    """How many pictures and classes are indexed now, by one request on a server, for the page to draw.

    ``state`` stands for all of it. Where a page knows it already, it gets nothing else. ``classes`` are labels, exact
    and as people read them, with their numbers; ``line`` is a sentence.
    """
    pictures, labels = gallery.tally()
    classes = [[label, visible(label), number] for label, number in labels.items()]
    state = hashlib.sha256(json_text([pictures, classes], ascii_only=True).encode()).hexdigest()[:16]
    if state == known:
        return {"state": state}
    return {"state": state, "pictures": pictures, "classes": classes, "line": visible(_line(gallery, pictures, labels))}


def moved_away(gallery: Gallery, records: list[ImageRecord]) -> str:
    """The sentence that most pictures are gone, from a look at a few of them; "" where they are there."""
    looked = records[:: max(1, len(records) // FILES_LOOKED_FOR)][:FILES_LOOKED_FOR]
    return MOVED if 2 * sum(_is_gone(gallery, record) for record in looked) > len(looked) else ""


def _is_gone(gallery: Gallery, record: ImageRecord) -> bool:
    try:
        gallery.original(record)
    except UnreadableImage:
        return True
    except KitError:  # the index, not the picture
        return False
    return False


def _line(gallery: Gallery, pictures: int, labels: dict[str, int]) -> str:
    passport = gallery.passport
    indexed = count(pictures, "picture") + (f" in {count(len(labels), 'class')}" if labels else "")
    made_by = f"{passport.spec.name}, " if passport.spec else ""
    return f"{indexed} · {made_by}{passport.dim}-d vectors"
