"""What a cell shows of a search, as the plain values that its script draws as text."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imgsearch_kit.errors import KitError
from imgsearch_kit.images import Picture, thumbnail_bytes
from imgsearch_kit.images.given import picture_given
from imgsearch_kit.ranking.choices import rank_choices
from imgsearch_kit.reports import visible, webp_uri
from imgsearch_kit.results import Results
from imgsearch_kit.ui.cards import card, data_uris

if TYPE_CHECKING:
    from imgsearch_kit.gallery import Gallery

QUERY_SIDE = 512  # pixels of the query as it is shown
BEGUN_WITH, OWN_SHOWN = 12, 4  # pictures


@dataclass(frozen=True)
class DroppedPicture:
    """A query that is not indexed, and the name of its file."""

    picture: Any
    name: str

    @classmethod
    def of(cls, picture: Picture) -> DroppedPicture:
        """A picture that was given in Python; an open file is read, because it can be read once."""
        read, name = picture_given(picture)
        return cls(read, visible(name or "picture"))

    def source(self) -> Any:
        """What ``Gallery.search`` takes; bytes as a file, so that the answer has the name."""
        if not isinstance(self.picture, bytes):
            return self.picture
        file = io.BytesIO(self.picture)
        file.name = self.name
        return file

    def drawn(self, max_pixels: int) -> dict[str, Any]:
        """The card of it, without a thumbnail where it cannot be decoded."""
        try:
            shown = webp_uri(thumbnail_bytes(self.picture, QUERY_SIDE, max_pixels=max_pixels))
        except KitError:
            shown = ""
        return card(self.name, None, shown) | {"id": None}


def drawn_answer(
    gallery: Gallery, found: Results, marks: Mapping[str, Sequence[str]], given: DroppedPicture | None
) -> dict[str, Any]:
    """An answer: the query, its own records, the marks and the hits as cards, and words on them."""
    own = found.own[:OWN_SHOWN]
    marked = [id_ for ids in marks.values() for id_ in ids]
    thumbnails = data_uris(gallery.thumbnail, [*own, *marked, *(hit.id for hit in found.hits)])
    label = found.query.get("label")
    right = [{"right": hit.label == label} if label else {} for hit in found.hits]
    return {
        "query": _query(gallery, found, given),
        "own": [card(id_, None, thumbnails[id_]) for id_ in own],
        "marks": {name: [card(id_, None, thumbnails[id_]) for id_ in ids] for name, ids in marks.items()},
        "hits": [
            card(hit.id, hit.label, thumbnails[hit.id]) | {"rank": hit.rank, "score": hit.score} | said
            for hit, said in zip(found.hits, right, strict=True)
        ],
        "title": visible(found.title()),
        "note": visible(" ".join(found.cautions())),
    }


def _query(gallery: Gallery, found: Results, given: DroppedPicture | None) -> dict[str, Any]:
    if given is not None and "id" not in found.query:
        return given.drawn(gallery.max_pixels)
    id_ = str(found.query["id"])
    return card(id_, found.query.get("label"), data_uris(gallery.preview, [id_])[id_])


def drawn_ids(gallery: Gallery, ids: Sequence[str]) -> list[dict[str, Any]]:
    """The cards of some pictures."""
    thumbnails = data_uris(gallery.thumbnail, ids)
    return [card(id_, None, thumbnails[id_]) for id_ in ids]


def drawn_choices(gallery: Gallery) -> dict[str, Any]:
    """What can be chosen in the cell, and pictures to begin with."""
    records = {record.id: record for record in gallery.records([id_ for _, id_ in gallery.sample(BEGUN_WITH).rows])}
    thumbnails = data_uris(lambda id_: gallery.thumbnail(records[id_]), records)
    return {
        "pictures": len(gallery),
        "classes": [[label, visible(label), count] for label, count in gallery.labels().items()],
        "rankings": [
            {"spec": each.spec, "name": each.name, "about": each.what}
            for each in rank_choices(gallery.passport, gallery.rank)
        ],
        "tiles": [card(id_, record.label, thumbnails[id_]) for id_, record in records.items()],
    }
