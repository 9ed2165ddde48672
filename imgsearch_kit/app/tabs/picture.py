"""What the search tab says of one picture: its details, suggested boxes, why it matches, and one from an address."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gradio.processing_utils import save_bytes_to_cache
from gradio_client.utils import strip_invalid_filename_characters

from imgsearch_kit.app import cards
from imgsearch_kit.app.fetching import fetched_picture
from imgsearch_kit.app.guarding import told
from imgsearch_kit.app.request import SearchRequest
from imgsearch_kit.app.tabs.events import telling
from imgsearch_kit.app.top_tens import TopTens
from imgsearch_kit.errors import KitError
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.reports import data_uri, visible

REVERSE_SHOWN = 24
GONE = "The picture is no longer in the index. Search again."


class PictureAnswers:
    """Answers as plain values, each with the ``serial`` of its question; an error is a sentence in it.

    ``kept`` gets the files that are made among the ``uploads``, so that they are deleted as these are.
    """

    def __init__(self, gallery: Gallery, uploads: Path, kept: set[str]):
        self.gallery, self.uploads, self.kept = gallery, uploads, kept
        self.top_tens = TopTens(gallery)

    def details(self, given: Any) -> dict[str, Any]:
        """The details of a picture that was clicked; the script adds the score of a hit, which it has."""
        said = _said("details", given)
        try:
            record = self.gallery.record(_value(given, "id"))
        except KitError:
            return said | {"error": GONE}
        return said | cards.details(record, data_uri(self.gallery.preview, record.id))

    def boxes(self, given: Any) -> dict[str, Any]:
        """Boxes that the query may be searched by, strongest first, each [left, top, right, bottom]; [] for none."""
        said = _said("boxes", given)
        try:
            asked = SearchRequest.read(given, self.uploads)
            found = self.gallery.suggest_boxes(asked.picture, id=asked.id)
        except KitError:  # the search itself says what is wrong
            return said | {"boxes": []}
        return said | {"boxes": [[round(float(side), 3) for side in box] for box in found.boxes]}

    def explained(self, given: Any) -> Iterator[dict[str, Any]]:
        """Why the query and a hit match: first the share that is ``done``, again and again, then rows for each."""
        said = _said("explained", given)
        try:
            asked = SearchRequest.read(given, self.uploads)
            steps = self.gallery.explaining(asked.picture, hit=_value(given, "hit"), id=asked.id, box=asked.box)
            found = yield from telling(said, steps)
        except KitError as error:
            yield said | {"error": visible(told(error, self.gallery.index.address)[1])}
            return
        rows = {"query": found.query.round(5).tolist(), "hit": found.hit.round(5).tolist()}
        yield said | rows | {"note": visible(found.note), "box": asked.box}

    def reverse(self, given: Any) -> dict[str, Any]:
        """Pictures that have this one in their top ten, highest first, at most 24 of them, and how many there are."""
        said = _said("reverse", given)
        try:
            found = self.top_tens.containing(_value(given, "id"))
        except KitError as error:
            return said | {"error": visible(told(error, self.gallery.index.address)[1])}
        some = {record.id: record for record in found[:REVERSE_SHOWN]}
        thumbnails = cards.data_uris(lambda id_: self.gallery.thumbnail(some[id_]), some)
        return said | {
            "count": len(found),
            "cards": [cards.card(id_, record.label, thumbnails[id_]) for id_, record in some.items()],
        }

    def fetched(self, given: Any) -> dict[str, Any]:
        """A picture from the Internet as an upload: its path there."""
        said = _said("fetched", given)
        try:
            with fetched_picture(_value(given, "address")) as file:
                name = strip_invalid_filename_characters(Path(file.name).name) or "picture"
                path = save_bytes_to_cache(file.read(), name, str(self.uploads))
        except KitError as error:
            return said | {"error": visible(told(error, self.gallery.index.address)[1])}
        self.kept.add(path)
        return said | {"path": path}


def _said(kind: str, given: Any) -> dict[str, Any]:
    return {"kind": kind, "serial": given.get("serial") if isinstance(given, Mapping) else None}


def _value(given: Any, name: str) -> str:
    return str(given.get(name)) if isinstance(given, Mapping) else ""
