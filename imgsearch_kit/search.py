"""The neighbours of a query, and separately its own records; optionally re-ranked, and without repetitions."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from imgsearch_kit.arguments import LARGEST_NUMBER, cosine_given, strings, whole_number
from imgsearch_kit.errors import BadQuery
from imgsearch_kit.index.base import VectorIndex
from imgsearch_kit.names import has_other_forms, normal
from imgsearch_kit.query import GivenQuery, Query, QueryReader
from imgsearch_kit.records import Approx, ImageRecord, Vectors
from imgsearch_kit.results import Hit, Results, Verdict

if TYPE_CHECKING:
    from imgsearch_kit.gallery import Gallery
    from imgsearch_kit.inspection.verdicts import KeptNovelty
    from imgsearch_kit.ranking.over_index import RankedGallery

ROOM = 8  # extra hits for a query's own records; if there are more, they are excluded and the search is repeated
LOOKED_AT = 1000  # hits among which those that repeat others are left out
RANKINGS_KEPT = 4  # learned rankings that are kept; each holds the index's vectors at least once


class Searcher:
    """Runs the searches of a gallery, and caches what later searches may need; threads may share one."""

    def __init__(self, gallery: Gallery):
        self._gallery = gallery
        self._reader = QueryReader(gallery)
        self._ranked: dict[str, RankedGallery] = {}  # by SPEC
        self._novelty: KeptNovelty | None = None
        self._learning = threading.Lock()  # separate, so that plain searches are not blocked

    def search(
        self,
        given: GivenQuery,
        k: int,
        *,
        labels: Sequence[str] | None,
        min_score: float | None,
        approx: Approx | None,
        rank: str | None,
        distinct: float | None,
    ) -> Results:
        """The answer to ``Gallery.search``."""
        k, labels = whole_number("k", k), None if labels is None else strings("labels", labels)
        min_score, distinct = cosine_given("min_score", min_score), cosine_given("distinct", distinct)
        options = {"labels": labels, "min_score": min_score, "rank": rank or "", "distinct": distinct}
        if labels and (given.pictures or given.box):  # before a network is loaded for it
            self._check_labels(map(normal, labels))
        ms = {"load": 0.0, "extract": 0.0}
        index, read = self._gallery.index, self._reader.read(given, ms)
        stored = labels and self._as_stored(labels)
        started = time.perf_counter()
        single = len(given.pictures) == 1 and not (given.ids or given.plus or given.minus)
        novelty = self.novelty() if single and not (labels or approx) and distinct is None else None
        wide = max(k, novelty.nearest) if novelty else k
        query = with_own(index, read)
        ranking = self.ranked(rank) if rank else None

        def find(k: int) -> Answer:
            if ranking is not None:
                return reranked(index, query, ranking, k, stored, approx)
            return neighbours(index, query, k, stored, approx)

        found = find(wide) if distinct is None else without_repetitions(index, find, k, distinct)
        if labels:  # the labels of hits exist; only others must be looked up
            self._check_labels(set(map(normal, labels)).difference(record.label for record, _ in found.hits))
        ms["search"] = (time.perf_counter() - started) * 1e3
        records = {record.id: record for record in [*found.own, *(record for record, _ in found.hits)]}
        return Results(
            query=query.about,
            hits=found.ranked(k, min_score),
            own=tuple(record.id for record in found.own),
            own_hits=found.themselves(),
            method=found.method,
            note=found.note,
            ms={name: round(value, 3) for name, value in ms.items()},
            picture=lambda id_: self._gallery.thumbnail(records.get(id_, id_)),
            verdict=self._verdict(novelty, query, found),
            asked={"k": k, **options, **_as_asked(given, approx)},
            seen=query.seen,
        )

    def vector(self, given: GivenQuery) -> Vectors:
        """The answer to ``Gallery.embed``."""
        return self._reader.read(given, {"load": 0.0, "extract": 0.0}).vector

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


def _as_asked(given: GivenQuery, approx: Approx | None) -> dict[str, Any]:
    """What was asked of a query beside its pictures and ids, as plain JSON values."""
    box, marks = given.box and list(given.box), {"plus": list(given.plus), "minus": list(given.minus)}
    return {"approx": approx and asdict(approx), "box": box, **marks}


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
    own_scores: Mapping[str, float] = field(default_factory=dict)

    def themselves(self) -> tuple[Hit, ...]:
        """The query's own records as hits of rank 0, with the cosines of the index."""
        return tuple(
            Hit(0, r.id, r.label, self.own_scores[r.id], r.sha256, r.path) for r in self.own if r.id in self.own_scores
        )

    def ranked(self, k: int, min_score: float | None) -> tuple[Hit, ...]:
        """The first ``k`` hits of at least ``min_score``, with ranks from 1."""
        kept = [(r, score) for r, score in self.hits if min_score is None or score >= min_score]
        return tuple(Hit(i, r.id, r.label, score, r.sha256, r.path) for i, (r, score) in enumerate(kept[:k], 1))


def with_own(index: VectorIndex, query: Query) -> Query:
    """The query with the own records of each of its parts, which are found by a search with the part alone."""
    if not query.parts:
        return query
    own = {record.id: record for part in query.parts for record in neighbours(index, part, 1).own}
    return replace(query, own=tuple(own.values()))


def neighbours(
    index: VectorIndex, query: Query, k: int, labels: Sequence[str] | None = None, approx: Approx | None = None
) -> Answer:
    """The query's own records, and at least ``k`` others if there are as many, best first; no marked picture."""
    own = list(query.own)
    own_scores: dict[str, float] = {}
    while True:
        hidden = [*(record.id for record in own), *query.marked]
        found = index.search(
            query.vector, min(k + ROOM, LARGEST_NUMBER), approx=approx, labels=labels, exclude=[hidden]
        )
        ids = [id_ for id_ in found.ids[0].tolist() if id_]
        pairs = [(found.records[id_], score) for id_, score in zip(ids, found.scores[0].tolist(), strict=False)]
        mine = [record for record, score in pairs if query.owns(record, score)]
        hits = [(record, score) for record, score in pairs if not query.owns(record, score)]
        own += mine
        own_scores |= {record.id: score for record, score in pairs if query.owns(record, score)}
        if len(hits) >= k or not mine or len(ids) < k + ROOM:
            return Answer(own, hits, found.method, found.note, hits, own_scores)


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
    found = ranking.search(
        query.vector, k, labels, [record.id for record in plain.own], exclude=query.marked, approx=approx
    )
    pairs = zip(found.ids[0].tolist(), found.scores[0].tolist(), strict=True)
    hits = [(found.records[id_], score) for id_, score in pairs]
    return Answer(plain.own, hits, found.method, found.note, plain.near, plain.own_scores)


def without_repetitions(index: VectorIndex, find: Callable[[int], Answer], k: int, bound: float) -> Answer:
    """The answer of ``find`` without hits that are nearer than ``bound`` to an earlier one; ``k`` if there are as many.

    ``find`` gives an answer of at least so many hits; it is asked for more until ``k`` are kept, or a thousand (or
    ``k``, if that is more) have been looked at.
    """
    wanted, most = k, max(k, LOOKED_AT)
    while True:
        found = find(wanted)
        records, vectors = index.entries([record.id for record, _ in found.hits])
        row = {record.id: vector for record, vector in zip(records, vectors, strict=True)}
        kept: list[tuple[ImageRecord, float]] = []
        for record, score in found.hits:
            if record.id in row and not any(float(row[record.id] @ row[other.id]) > bound for other, _ in kept):
                kept.append((record, score))
            if len(kept) == k:
                break
        if len(kept) == k or len(found.hits) < wanted or wanted >= most:
            return replace(found, hits=kept)
        wanted = min(2 * wanted, most)
