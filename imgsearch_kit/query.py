"""What a search is for: pictures and indexed ids, a box and marks, as one unit vector."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from imgsearch_kit.arguments import strings
from imgsearch_kit.boxes import Box, box_given
from imgsearch_kit.errors import BadQuery, UnreadableImage
from imgsearch_kit.names import MOST_SUGGESTED, alike, has_other_forms
from imgsearch_kit.records import ExtractorSpec, ImageRecord, Pixels, Vectors

if TYPE_CHECKING:
    from PIL import Image

    from imgsearch_kit.gallery import Gallery
    from imgsearch_kit.images import Loaded, SeenPicture
    from imgsearch_kit.index.base import VectorIndex

OWN_COSINE = 0.9999
RECENT = 16  # query pictures whose vectors are kept

Entry = tuple[ImageRecord, Vectors]  # a record and its vector (1, dim)


@dataclass(frozen=True, slots=True)
class GivenQuery:
    """A query as a person gave it, its types checked and nothing looked up or loaded.

    ``box`` is on the only query; ``plus`` and ``minus`` are the ids of marked pictures.
    """

    pictures: Sequence[Any]
    ids: Sequence[str]
    box: Box | None = None
    plus: Sequence[str] = ()
    minus: Sequence[str] = ()

    @classmethod
    def of(cls, picture: Any, id: Any, box: Any = None, plus: Any = (), minus: Any = ()) -> GivenQuery:  # noqa: A002
        """The query of the arguments of ``Gallery.search``.

        :raises BadQuery: when there is none, an argument has another type, or a box comes with several queries.
        """
        pictures = list(picture) if isinstance(picture, list | tuple) else [] if picture is None else [picture]
        if not isinstance(id, str | list | tuple | None):
            raise BadQuery(f"id must be a string or a list of strings; it is {id!r}.")
        ids = [id] if isinstance(id, str) else strings("id", id or ())
        if not (count := len(pictures) + len(ids)):
            raise BadQuery("Give a picture or the id of an indexed one.")
        if box is not None and count > 1:
            raise BadQuery(f"A box belongs to one query; there are {count}. Leave the box out, or give one query.")
        marks = [tuple(dict.fromkeys(strings(name, ids))) for name, ids in (("plus", plus), ("minus", minus))]
        return cls(pictures, ids, None if box is None else box_given(box), *marks)


@dataclass(frozen=True, slots=True)
class Query:
    """A query: its vector ``(1, dim)``, and what is known of it ("id" or "file", "sha256", "box", "plus", ...).

    One of several pictures, or with marks, has its single queries as ``parts``. ``own`` are records that are known to
    be the query itself, ``marked`` the ids of the marked pictures; neither are hits. ``seen`` has for each single query
    the ``(side, side, 3)`` pixels that the network saw, None where the stored vector was taken.
    """

    vector: Vectors
    about: Mapping[str, Any]
    parts: Sequence[Query] = ()
    own: Sequence[ImageRecord] = ()
    marked: Sequence[str] = ()
    seen: tuple[Pixels | None, ...] = (None,)

    def owns(self, record: ImageRecord, score: float) -> bool:
        """Whether a record is the query itself, or one of its parts: same id, same sha256, or cosine above 0.9999."""
        if self.parts:  # the score is not that of a part
            return any(part.owns(record, -1) for part in self.parts)
        same_file = record.sha256 != "" and record.sha256 == self.about.get("sha256")
        return record.id == self.about.get("id") or same_file or score > OWN_COSINE


@dataclass
class QueryReader:
    """Makes queries of what was given to a gallery; ``_recent`` are the last pictures' vectors by hash of pixels."""

    gallery: Gallery
    _recent: dict[str, Vectors] = field(default_factory=dict)

    def read(self, given: GivenQuery, ms: dict[str, float]) -> Query:
        """The query; the milliseconds taken are added to ``ms`` under "load" and "extract".

        :raises BadQuery: when an id is unknown, a picture is marked twice, or the marks cancel the query.
        :raises UnreadableImage: when a picture cannot be decoded, or with a box the file of an id is gone.
        """
        entries = self._entries([*given.ids, *given.plus, *given.minus])
        plus, minus = ({entries[id_][0].id: entries[id_][1] for id_ in ids} for ids in (given.plus, given.minus))
        if both := sorted(plus.keys() & minus.keys()):
            raise BadQuery(f"{both[0]!r} is marked both plus and minus. Remove one of the marks.")
        parts = [self._of_picture(picture, given.box, ms) for picture in given.pictures]
        parts += [self._of_record(entries[id_], given.box, ms) for id_ in given.ids]
        if len(parts) == 1 and not plus and not minus:
            return parts[0]
        from imgsearch_kit.ranking.feedback import rocchio

        none = np.zeros((0, parts[0].vector.shape[1]), np.float32)
        right, wrong = (np.concatenate([none, *vectors]) for vectors in (plus.values(), minus.values()))
        vector = rocchio(np.concatenate([part.vector for part in parts]), right, wrong)
        about = dict(parts[0].about) if len(parts) == 1 else {"queries": [part.about for part in parts]}
        about |= {name: list(marks) for name, marks in (("plus", plus), ("minus", minus)) if marks}
        seen = tuple(pixels for part in parts for pixels in part.seen)
        return Query(vector, about, parts, marked=(*plus, *minus), seen=seen)

    def _entries(self, ids: Sequence[str]) -> dict[str, Entry]:
        """The record and vector of each id, in whichever Unicode form it was given."""
        if not ids:
            return {}
        index = self.gallery.index
        records, vectors = index.entries(list(dict.fromkeys(ids)))
        found = {record.id: (record, vectors[i : i + 1]) for i, record in enumerate(records)}
        if other := [id_ for id_ in ids if id_ not in found and has_other_forms(id_)]:
            stored = {given: record.id for given, record in index.named(other).items()}
            again = self._entries(list(stored.values()))
            found |= {given: again[id_] for given, id_ in stored.items()}
        if missing := [id_ for id_ in ids if id_ not in found]:
            raise no_record(index, missing[0])
        return found

    def pixels(self, given: GivenQuery) -> Pixels:
        """The pixels of the one picture of a query, or of the box on it, as the network sees them.

        They are ``(1, side, side, 3)`` uint8.

        :raises BadQuery: when there are several pictures, or the id is unknown.
        :raises UnreadableImage: when the picture cannot be decoded, or the file of an id is gone.
        """
        if (count := len(given.pictures) + len(given.ids)) > 1:
            raise BadQuery(f"One picture can be looked at; there are {count}. Give one picture or one id.")
        ms = {"extract": 0.0}
        if given.ids:
            return self._load_record(self.gallery.record(given.ids[0]), given.box, ms).pixels[None]
        return self._load_picture(given.pictures[0], given.box, ms)[0].pixels[None]

    def _of_record(self, entry: Entry, box: Box | None, ms: dict[str, float]) -> Query:
        record, vector = entry
        about = {"id": record.id, "label": record.label, "sha256": record.sha256}
        if box is None:
            return Query(vector, about)
        pixels = self._load_record(record, box, ms).pixels
        return Query(self._extracted(pixels, ms), {**about, "box": list(box)}, own=[record], seen=(pixels,))

    def _of_picture(self, picture: Any, box: Box | None, ms: dict[str, float]) -> Query:
        from imgsearch_kit.images import SeenPicture

        if isinstance(picture, SeenPicture):
            return self._of_seen(picture, box, ms)
        loaded, name = self._load_picture(picture, box, ms)
        about: dict[str, Any] = {"file": name, "sha256": loaded.sha256}
        about |= {"width": loaded.width, "height": loaded.height}
        about |= {} if box is None else {"box": list(box)}
        return Query(self._extracted(loaded.pixels, ms), about, seen=(loaded.pixels,))

    def _of_seen(self, picture: SeenPicture, box: Box | None, ms: dict[str, float]) -> Query:
        pixels, side = picture.pixels, self.spec.side
        if box is not None:
            raise BadQuery("The pixels of an earlier search are of its box already. Leave the box out.")
        if pixels.shape != (side, side, 3):
            raise BadQuery(f"The pixels of the earlier search are {pixels.shape}; this network takes {side} x {side}.")
        return Query(self._extracted(pixels, ms), picture.about, seen=(pixels,))

    @property
    def spec(self) -> ExtractorSpec:
        """That of the extractor which made the index; it is loaded where the index does not name it."""
        return self.gallery.passport.spec or self.gallery.extractor.spec

    def _load_record(self, record: ImageRecord, box: Box | None, ms: dict[str, float]) -> Loaded:
        loaded = self._load(self.gallery.original(record), record.id, box, ms)
        if record.sha256 not in ("", loaded.sha256):
            raise UnreadableImage(f"{record.id}: The file has changed since it was indexed. Index its folder again.")
        return loaded

    def _load_picture(self, picture: Any, box: Box | None, ms: dict[str, float]) -> tuple[Loaded, str | None]:
        from imgsearch_kit.images import picture_given

        source, name = picture_given(picture)
        return self._load(source, name, box, ms), name

    def _load(
        self, source: Path | bytes | Image.Image, name: str | None, box: Box | None, ms: dict[str, float]
    ) -> Loaded:
        from imgsearch_kit.images import load

        spec = self.spec
        started = time.perf_counter()
        try:  # before the network is loaded, so that a bad picture is refused at once
            return load(source, spec.side, spec.resampling, box=box, max_pixels=self.gallery.max_pixels)
        except UnreadableImage as error:
            raise UnreadableImage(f"{name}: {error}" if name else str(error)) from error
        finally:
            ms["extract"] += (time.perf_counter() - started) * 1e3

    def _extracted(self, pixels: Pixels, ms: dict[str, float]) -> Vectors:
        started = time.perf_counter()
        extractor = self.gallery.extractor
        ready = time.perf_counter()
        key = hashlib.sha256(pixels.tobytes()).hexdigest()
        vector = self._recent.pop(key, None)
        if vector is None:
            vector = extractor.extract(pixels[None])
        self._recent[key] = vector  # newest last: another k or label needs no extraction
        for old in list(self._recent)[:-RECENT]:
            self._recent.pop(old, None)
        ms["load"] += (ready - started) * 1e3
        ms["extract"] += (time.perf_counter() - ready) * 1e3
        return vector


def no_record(index: VectorIndex, id: str) -> BadQuery:  # noqa: A002 (the field's name)
    """The error for an id that an index does not have, with the id that it seems to mean."""
    few = index.passport.count <= MOST_SUGGESTED
    meant = alike([id], (record.id for record in index.records())) if few else {}
    asked = "".join(f"Did you mean {path!r}? " for path in meant.values())
    return BadQuery(f"The index has no picture with the id {id!r}. {asked}Ids are paths below the indexed folder.")
