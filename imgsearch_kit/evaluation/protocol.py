"""Who asks whom in an evaluation: which pictures are queries, which the gallery, and what is left out."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from imgsearch_kit.errors import BadQuery, IndexMismatch
from imgsearch_kit.evaluation.metrics import Ints, Scorer, cosines, near_duplicates, same_picture
from imgsearch_kit.evaluation.split import read_split
from imgsearch_kit.index.base import VectorIndex
from imgsearch_kit.indexing.baked import learned_by
from imgsearch_kit.ranking import Ranking, parse_rank
from imgsearch_kit.records import ImageRecord, Vectors


@dataclass(frozen=True)
class Trial:
    """Records and ``(m, dim)`` and ``(n, dim)`` vectors of queries and gallery, each in id order, all with a label.

    ``junk``, sparse boolean ``(m, n)``, marks what is no answer to a query: its own record, and its duplicates where
    they are grouped. ``rank`` is a SPEC or None, ``about`` says how the trial was made and what was left out.
    """

    queries: Sequence[ImageRecord]
    query_vectors: Vectors
    gallery: Sequence[ImageRecord]
    gallery_vectors: Vectors
    junk: csr_array
    rank: str | None
    about: dict[str, Any]

    @cached_property
    def labels(self) -> list[str]:
        """The labels of queries and gallery, sorted."""
        return sorted({record.label for side in (self.queries, self.gallery) for record in side if record.label})

    def classes(self, records: Sequence[ImageRecord]) -> Ints:
        """The row of ``labels`` of each record."""
        numbers = {label: number for number, label in enumerate(self.labels)}
        return np.array([numbers[record.label or ""] for record in records], np.int64)

    def scorer(self) -> Scorer:
        """Scores a slice of queries against the gallery; junk helps no query (see ``ranking.Ranking``)."""
        if self.rank is None:
            return cosines(self.query_vectors, self.gallery_vectors)
        ranking = Ranking(self.rank, self.gallery_vectors, spare=int(self.junk.sum(axis=1).max()))
        return lambda rows: ranking.scores(self.query_vectors[rows], self.junk[rows])


def make_trial(
    index: VectorIndex,
    *,
    exclude_labels: Sequence[str] = (),
    queries: VectorIndex | None = None,
    split: Path | None = None,
    group_duplicates: bool | float = False,
    rank: str | None = None,
) -> Trial:
    """Who asks whom, for ``evaluate``.

    Each labelled picture asks all others (leave-one-out); or those of ``queries`` ask those of ``index`` (through
    the ranking that is baked into it, if one is); or those that
    a ``split`` file gives a 0 ask those it gives a 1. Pictures of ``exclude_labels`` and pictures without a label are
    taken out of queries and gallery. A query's own record (same id, and not known to be another file) is no answer to
    it. With ``group_duplicates`` neither is a picture of the same sha256 nor, if it is a number, one of at least that
    cosine.

    :raises BadQuery: when no labelled picture is left on either side, or an argument is wrong.
    :raises IndexMismatch: when ``queries`` was not made by the extractor of ``index``.
    """
    _check_bound(group_duplicates)
    if rank is not None:
        parse_rank(rank)  # a misspelt one is told before anything is read
    if queries is not None and split is not None:
        raise BadQuery("An index of queries and a split file were both given. Give one of them.")
    gallery = asking = _Side.of(index)
    about: dict[str, Any] = {"protocol": "leave-one-out", "passport": index.passport.published()}
    if queries is not None:
        _check_same_extractor(index, queries)
        asking = _Side.of(queries)
        if index.passport.baked != queries.passport.baked and (learned := learned_by(index)):
            asking = _Side(asking.records, learned.project(asking.vectors))
        about |= {"protocol": "queries", "queries_passport": queries.passport.published()}
    _check_labels(exclude_labels, gallery, asking)
    if split is not None:
        roles = read_split(split, [record.id for record in gallery.records])
        about |= {"protocol": "split", "outside_split": len(gallery.records) - sum(map(len, roles))}
        asking, gallery = (gallery.take(rows) for rows in roles)
    sides = [gallery] if asking is gallery else [asking, gallery]
    everyone = [record for side in sides for record in side.records]
    about["date"] = datetime.now(UTC).date().isoformat()
    about["unlabelled"] = sum(record.label is None for record in everyone)
    about["excluded"] = sum(record.label in exclude_labels for record in everyone)
    about["exclude_labels"] = sorted(exclude_labels)
    sides = [side.labelled_but(exclude_labels) for side in sides]
    asking, gallery = sides[0], sides[-1]
    if not asking.records or not gallery.records:
        raise BadQuery(
            f"There is nothing to evaluate: {about['unlabelled']} of {len(everyone)} pictures have no label and "
            f"{about['excluded']} an excluded one. Labels are folder names; `imgsearch label CSV` sets them."
        )
    own = _own(asking.records, gallery.records)
    junk = own
    if group_duplicates is not False:
        junk = junk + _copies(asking.records, gallery.records)
    if group_duplicates is not False and group_duplicates is not True:
        junk = junk + near_duplicates(asking.vectors, gallery.vectors, group_duplicates)
    about |= {"group_duplicates": group_duplicates, "duplicates": int(junk.nnz - own.nnz), "rank": rank}
    return Trial(asking.records, asking.vectors, gallery.records, gallery.vectors, csr_array(junk), rank, about)


@dataclass(frozen=True)
class _Side:
    """Some records of an index in id order, with their vectors."""

    records: list[ImageRecord]
    vectors: Vectors

    @classmethod
    def of(cls, index: VectorIndex) -> _Side:
        generation = index.passport.generation
        side = cls(index.records(), index.vectors())
        if index.passport.generation != generation:
            raise BadQuery(f"{index.address} changed while it was read. Evaluate it when indexing has finished.")
        return side

    def take(self, rows: Ints) -> _Side:
        return _Side([self.records[row] for row in rows], self.vectors[rows])

    def labelled_but(self, excluded: Sequence[str]) -> _Side:
        rows = [i for i, r in enumerate(self.records) if r.label is not None and r.label not in excluded]
        return self if len(rows) == len(self.records) else self.take(np.array(rows, np.int64))


def _own(queries: Sequence[ImageRecord], gallery: Sequence[ImageRecord]) -> csr_array:
    """Each query's own record: of the same id, unless both files are known and differ."""
    rows = {record.id: (row, record.sha256) for row, record in enumerate(gallery)}
    found = [rows.get(record.id, (-1, "")) for record in queries]
    same = [
        row if not record.sha256 or not sha256 or record.sha256 == sha256 else -1
        for record, (row, sha256) in zip(queries, found, strict=True)
    ]
    return same_picture(np.array(same), np.arange(len(gallery)))


def _copies(queries: Sequence[ImageRecord], gallery: Sequence[ImageRecord]) -> csr_array:
    """The gallery pictures of the same sha256 as a query; files that are not known are no copies."""
    numbers: dict[str, int] = {}
    theirs = [numbers.setdefault(record.sha256 or f"id {record.id}", len(numbers)) for record in gallery]
    return same_picture(np.array([numbers.get(record.sha256, -1) for record in queries]), np.array(theirs))


def _check_bound(bound: bool | float) -> None:
    if not isinstance(bound, bool) and not 0 < bound <= 1:
        raise BadQuery(f"Duplicates are grouped above a cosine in (0, 1]; it is {bound!r}. Try 0.98.")


def _check_labels(excluded: Sequence[str], *sides: _Side) -> None:
    known = {record.label for side in sides for record in side.records if record.label is not None}
    for label in excluded:
        if label not in known:
            close = difflib.get_close_matches(label, known, n=1)
            advice = f"Did you mean {close[0]!r}?" if close else "`imgsearch info` lists the labels."
            raise BadQuery(f"No picture has the label {label!r}, so it cannot be excluded. {advice}")


def _check_same_extractor(gallery_index: VectorIndex, queries_index: VectorIndex) -> None:
    gallery, queries = gallery_index.passport, queries_index.passport
    differences = [f"dim: {queries.extracted} != {gallery.extracted}"] if queries.extracted != gallery.extracted else []
    if gallery.spec and queries.spec:
        differences = queries.spec.differences(gallery.spec)
        if gallery_index.declared or queries_index.declared:  # a name is all that is known of one of them
            differences = [each for each in differences if each.startswith(("name:", "dim:"))]
    elif gallery.spec or queries.spec:
        which = "queries" if gallery.spec else "gallery"
        differences.append(f"the extractor of the {which} is not known")
    if queries.baked and queries.baked != gallery.baked:
        differences.append(f"ranking: {queries.baked.spec} of another index is baked into the queries")
    if differences:
        raise IndexMismatch(
            f"The queries' vectors and the gallery's cannot be compared ({'; '.join(differences)}). "
            "Index both folders with the same extractor and weights."
        )
