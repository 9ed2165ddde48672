"""The neighbours of one query: its own records apart, each hit with its record, re-ranked if wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.index.base import VectorIndex
from imgsearch_kit.records import Approx, Hit, ImageRecord, Vectors

if TYPE_CHECKING:
    from imgsearch_kit.ranking.over_index import RankedGallery

OWN_COSINE = 0.9999
SPARE = 8  # room for a query's own records; with more of them, they are excluded and the index is asked again


@dataclass(frozen=True, slots=True)
class Query:
    """A picture that asks: its vector ``(1, dim)``, and what is known of it ("id" or "file", "sha256", ...)."""

    vector: Vectors
    about: Mapping[str, Any]

    def owns(self, record: ImageRecord, score: float) -> bool:
        """Whether a record is the query itself: same id, same sha256, or cosine above 0.9999."""
        same_file = record.sha256 != "" and record.sha256 == self.about["sha256"]
        return record.id == self.about.get("id") or same_file or score > OWN_COSINE


@dataclass(frozen=True, slots=True)
class Found:
    """Records of the query itself, and hits in rank order with scores; ``method`` and ``note`` are the index's."""

    own: list[ImageRecord]
    hits: list[tuple[ImageRecord, float]]
    method: str
    note: str

    def ranked(self, k: int, min_score: float | None) -> tuple[Hit, ...]:
        """The first ``k`` hits of at least ``min_score``, with ranks from 1."""
        kept = [(r, score) for r, score in self.hits if min_score is None or score >= min_score]
        return tuple(Hit(rank, r.id, r.label, score, r.sha256) for rank, (r, score) in enumerate(kept[:k], 1))

    def with_note(self, note: str) -> Self:
        """The same with another sentence on how it was found."""
        return replace(self, note=" ".join(filter(None, [self.note, note])))


def check_request(k: int, labels: Sequence[str] | None, min_score: float | None) -> None:
    """Refuses what no search can answer.

    :raises BadQuery: when ``k`` is not a positive whole number, ``labels`` is one string, or ``min_score`` no cosine.
    """
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise BadQuery(f"k must be a whole number of at least 1; it is {k!r}.")
    if isinstance(labels, str):
        raise BadQuery(f"labels must be a list of strings; it is the string {labels!r}. Write [{labels!r}].")
    if min_score is not None and not -1 <= min_score <= 1:
        raise BadQuery(f"min_score must be a cosine within -1 .. 1; it is {min_score!r}.")


def neighbours(
    index: VectorIndex, query: Query, k: int, labels: Sequence[str] | None = None, approx: Approx | None = None
) -> Found:
    """The query's own records, and at least ``k`` others where there are as many, best first."""
    own: list[ImageRecord] = []
    while True:
        found = index.search(query.vector, k + SPARE, approx=approx, labels=labels, exclude=[[r.id for r in own]])
        ids = [id_ for id_ in found.ids[0].tolist() if id_]
        records = {record.id: record for record in index.records(ids)}
        pairs = [(records[id_], score) for id_, score in zip(ids, found.scores[0].tolist(), strict=False)]
        mine = [record for record, score in pairs if query.owns(record, score)]
        hits = [(record, score) for record, score in pairs if not query.owns(record, score)]
        own += mine
        if len(hits) >= k or not mine or len(ids) < k + SPARE:
            return Found(own, hits, found.method, found.note)


def reranked(
    index: VectorIndex, query: Query, ranking: RankedGallery, k: int, labels: Sequence[str] | None = None
) -> Found:
    """The same under a ranking, which compares the query with all records."""
    own = neighbours(index, query, k).own
    found = ranking.search(query.vector, k, labels, [record.id for record in own])
    ids = found.ids[0].tolist()
    records = {record.id: record for record in index.records(ids)}
    hits = [(records[id_], score) for id_, score in zip(ids, found.scores[0].tolist(), strict=True)]
    return Found(own, hits, found.method, found.note)
