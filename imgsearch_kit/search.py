"""Search by a picture or an id: the neighbours, separately the query's own records, optionally re-ranked."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from imgsearch_kit.arguments import LARGEST_NUMBER, strings, whole_number
from imgsearch_kit.errors import BadQuery, UnreadableImage
from imgsearch_kit.index.base import VectorIndex
from imgsearch_kit.names import has_other_forms, normal
from imgsearch_kit.records import Approx, Hit, ImageRecord, Results, Vectors, Verdict

if TYPE_CHECKING:
    from imgsearch_kit.gallery import Gallery
    from imgsearch_kit.images import Picture
    from imgsearch_kit.inspection.verdicts import KeptNovelty
    from imgsearch_kit.ranking.over_index import RankedGallery

OWN_COSINE = 0.9999
ROOM = 8  # extra hits for a query's own records; if there are more, they are excluded and the search is repeated
RECENT = 16  # query pictures whose vectors are kept
RANKINGS_KEPT = 4  # learned rankings that are kept; each holds the index's vectors at least once


class Searcher:
    """Runs the searches of a gallery, and caches what later searches may need; threads may share one."""

    def __init__(self, gallery: Gallery):
        self._gallery = gallery
        self._recent: dict[str, Vectors] = {}  # by the hash of the pixels
        self._ranked: dict[str, RankedGallery] = {}  # by SPEC
        self._novelty: KeptNovelty | None = None
        self._learning = threading.Lock()  # separate, so that plain searches are not blocked

    def search(
        self,
        picture: Picture | None,
        id: str | None,  # noqa: A002 (the field's name)
        k: int,
        *,
        labels: Sequence[str] | None,
        min_score: float | None,
        approx: Approx | None,
        rank: str | None,
    ) -> Results:
        """The answer to ``Gallery.search``."""
        if (picture is None) == (id is None):
            raise BadQuery("Give either a picture or the id of an indexed one.")
        k, labels = check_request(id, k, labels, min_score)
        if labels and picture is not None:  # before a network is loaded for it
            self._check_labels(map(normal, labels))
        ms = {"load": 0.0, "extract": 0.0}
        query = self._of_id(id) if id is not None else self._of_picture(picture, ms)  # type: ignore[arg-type]
        stored = labels and self._as_stored(labels)
        started = time.perf_counter()
        novelty = None if id is not None or labels or approx else self.novelty()
        wide = max(k, novelty.nearest) if novelty else k
        if rank:
            found = reranked(self._gallery.index, query, self.ranked(rank), wide, stored, approx)
        else:
            found = neighbours(self._gallery.index, query, wide, stored, approx)
        if labels:  # the labels of hits exist; only others must be looked up
            self._check_labels(set(map(normal, labels)).difference(record.label for record, _ in found.hits))
        ms["search"] = (time.perf_counter() - started) * 1e3
        records = {record.id: record for record in [*found.own, *(record for record, _ in found.hits)]}
        return Results(
            query=query.about,
            hits=found.ranked(k, min_score),
            own=tuple(record.id for record in found.own),
            method=found.method,
            note=found.note,
            ms={name: round(value, 3) for name, value in ms.items()},
            picture=lambda id_: self._gallery.thumbnail(records.get(id_, id_)),
            verdict=self._verdict(novelty, query, found),
        )

    @staticmethod
    def _verdict(novelty: KeptNovelty | None, query: Query, found: Answer) -> Verdict | None:
        """Whether anything indexed is like the query; of an indexed one this is not asked."""
        if novelty is None or found.own:
            return None
        return novelty.verdict(query.vector, [(record.id, score) for record, score in found.near])

    def novelty(self) -> KeptNovelty | None:
        """What `health` or the page has learned of the index as it is now, from the cache; None if nothing."""
        passport = self._gallery.passport
        kept = self._novelty
        if kept is None or kept.of != (passport.uuid, passport.generation):
            from imgsearch_kit.inspection.verdicts import kept_novelty

            kept = self._novelty = kept_novelty(passport)
        return kept

    def _check_labels(self, labels: Iterable[str]) -> None:
        unknown = set(labels)
        if unknown and (unknown := unknown.difference(self._gallery.labels())):
            raise BadQuery(f"No indexed picture has the label {min(unknown)!r}. `imgsearch info` lists the labels.")

    def _as_stored(self, labels: Sequence[str]) -> Sequence[str]:
        """The labels and every other Unicode form of them in the index; an index filters by exact labels."""
        if not any(map(has_other_forms, labels)):
            return labels
        wanted = set(map(normal, labels))
        return sorted(wanted | {label for label in self._gallery.index.label_counts() if normal(label) in wanted})

    def _of_id(self, id_: str) -> Query:
        index = self._gallery.index
        records, vector = index.entries([id_])
        if not records and has_other_forms(id_):
            records, vector = index.entries([record.id for record in index.named([id_]).values()])
        if not records:
            raise no_record(id_)
        return Query(vector, {"id": records[0].id, "label": records[0].label, "sha256": records[0].sha256})

    def _of_picture(self, picture: Picture, ms: dict[str, float]) -> Query:
        from imgsearch_kit.images import load, picture_given

        gallery = self._gallery
        source, name = picture_given(picture)
        spec = gallery.passport.spec or gallery.extractor.spec
        started = time.perf_counter()
        try:  # before the network is loaded, so that a bad picture is refused at once
            loaded = load(source, spec.side, spec.resampling, max_pixels=gallery.max_pixels)
        except UnreadableImage as error:
            raise UnreadableImage(f"{name}: {error}" if name else str(error)) from error
        decoded = time.perf_counter()
        extractor = gallery.extractor
        ready = time.perf_counter()
        key = hashlib.sha256(loaded.pixels.tobytes()).hexdigest()
        vector = self._recent.pop(key, None)
        if vector is None:
            vector = extractor.extract(loaded.pixels[None])
        self._recent[key] = vector  # newest last: another k or label needs no extraction
        for old in list(self._recent)[:-RECENT]:
            self._recent.pop(old, None)
        ms |= {"load": (ready - decoded) * 1e3, "extract": (decoded - started + time.perf_counter() - ready) * 1e3}
        about = {"file": name, "sha256": loaded.sha256, "width": loaded.width, "height": loaded.height}
        return Query(vector, about)

    def ranked(self, rank: str) -> RankedGallery:
        """The index under a rank SPEC, as ``Gallery.ranked`` gives it."""
        from imgsearch_kit.ranking.over_index import RankedGallery

        index = self._gallery.index
        with self._learning:
            ranked = self._ranked.pop(rank, None)
            if ranked is None or ranked.generation != index.read_passport().generation:
                ranked = RankedGallery(index, rank)
            self._ranked[rank] = ranked  # newest last
            for old in list(self._ranked)[:-RANKINGS_KEPT]:
                del self._ranked[old]
            return ranked


@dataclass(frozen=True, slots=True)
class Query:
    """A query picture: its vector ``(1, dim)``, and what is known of it ("id" or "file", "sha256", ...)."""

    vector: Vectors
    about: Mapping[str, Any]

    def owns(self, record: ImageRecord, score: float) -> bool:
        """Whether a record is the query itself: same id, same sha256, or cosine above 0.9999."""
        same_file = record.sha256 != "" and record.sha256 == self.about["sha256"]
        return record.id == self.about.get("id") or same_file or score > OWN_COSINE


@dataclass(frozen=True, slots=True)
class Answer:
    """The query's own records, and hits in rank order with scores; ``method`` and ``note`` come from the index.

    ``near`` are the hits in the order of the index, with their cosines.
    """

    own: list[ImageRecord]
    hits: list[tuple[ImageRecord, float]]
    method: str
    note: str
    near: list[tuple[ImageRecord, float]]

    def ranked(self, k: int, min_score: float | None) -> tuple[Hit, ...]:
        """The first ``k`` hits of at least ``min_score``, with ranks from 1."""
        kept = [(r, score) for r, score in self.hits if min_score is None or score >= min_score]
        return tuple(Hit(i, r.id, r.label, score, r.sha256, r.path) for i, (r, score) in enumerate(kept[:k], 1))


def no_record(id: str) -> BadQuery:  # noqa: A002 (the field's name)
    """The error for an id that an index does not have."""
    return BadQuery(f"The index has no picture with the id {id!r}. Ids are paths below the indexed folder.")


def check_request(
    id: Any,  # noqa: A002 (the field's name)
    k: Any,
    labels: Any,
    min_score: Any,
) -> tuple[int, list[str] | None]:
    """``k`` as Python's ``int`` and the labels as a list, after a check of the arguments of a search.

    :raises BadQuery: when ``id`` is no string, ``k`` is not a positive whole number, ``labels`` is no list of strings,
        or ``min_score`` is no cosine.
    """
    if id is not None and not isinstance(id, str):
        raise BadQuery(f"id must be a string; it is {id!r}.")
    wanted = None if labels is None else strings("labels", labels)
    if min_score is not None and not (isinstance(min_score, int | float | np.number) and -1 <= min_score <= 1):
        raise BadQuery(f"min_score must be a cosine within -1 .. 1; it is {min_score!r}.")
    return whole_number("k", k), wanted


def neighbours(
    index: VectorIndex, query: Query, k: int, labels: Sequence[str] | None = None, approx: Approx | None = None
) -> Answer:
    """The query's own records, and at least ``k`` others if there are as many, best first."""
    own: list[ImageRecord] = []
    while True:
        found = index.search(
            query.vector, min(k + ROOM, LARGEST_NUMBER), approx=approx, labels=labels, exclude=[[r.id for r in own]]
        )
        ids = [id_ for id_ in found.ids[0].tolist() if id_]
        pairs = [(found.records[id_], score) for id_, score in zip(ids, found.scores[0].tolist(), strict=False)]
        mine = [record for record, score in pairs if query.owns(record, score)]
        hits = [(record, score) for record, score in pairs if not query.owns(record, score)]
        own += mine
        if len(hits) >= k or not mine or len(ids) < k + ROOM:
            return Answer(own, hits, found.method, found.note, hits)


def reranked(
    index: VectorIndex,
    query: Query,
    ranking: RankedGallery,
    k: int,
    labels: Sequence[str] | None = None,
    approx: Approx | None = None,
) -> Answer:
    """The same with a ranking, which compares the query with all records."""
    plain = neighbours(index, query, k)
    found = ranking.search(query.vector, k, labels, [record.id for record in plain.own], approx=approx)
    pairs = zip(found.ids[0].tolist(), found.scores[0].tolist(), strict=True)
    hits = [(found.records[id_], score) for id_, score in pairs]
    return Answer(plain.own, hits, found.method, found.note, plain.near)
