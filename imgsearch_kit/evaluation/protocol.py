"""The protocol of an evaluation, from records and vectors: queries, gallery, and what is left out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from imgsearch_kit.arguments import path_given, strings
from imgsearch_kit.errors import BadQuery
from imgsearch_kit.evaluation.metrics import near_duplicates, same_picture
from imgsearch_kit.evaluation.split import read_split
from imgsearch_kit.names import Names, normal
from imgsearch_kit.ranking import Ranking, parse_rank
from imgsearch_kit.records import ImageRecord, Vectors
from imgsearch_kit.vectors import Ints, Scorer, cosines

MOST_PAIRS = 4 * 10**10  # of queries and pictures that are compared unasked: minutes to an hour on two cores


@dataclass(frozen=True)
class Side:
    """Records in id order, with their vectors ``(n, dim)``."""

    records: Sequence[ImageRecord]
    vectors: Vectors

    def take(self, rows: Ints) -> Side:
        """The records and vectors of some rows."""
        return Side([self.records[row] for row in rows], self.vectors[rows])

    def labelled_but(self, excluded: Sequence[str]) -> Side:
        """The records with a label that is not excluded."""
        rows = [i for i, r in enumerate(self.records) if r.label is not None and r.label not in excluded]
        return self if len(rows) == len(self.records) else self.take(np.array(rows, np.int64))


@dataclass(frozen=True)
class Experiment:
    """Records and ``(m, dim)`` and ``(n, dim)`` vectors of queries and gallery, each in id order, all with a label.

    ``junk``, sparse boolean ``(m, n)``, marks what does not count as a hit of a query: its own record, and its
    duplicates where they are grouped. ``rank`` is a SPEC or None, ``about`` holds settings and what was left out.
    """

    queries: Sequence[ImageRecord]
    query_vectors: Vectors
    gallery: Sequence[ImageRecord]
    gallery_vectors: Vectors
    junk: csr_array
    rank: str | None
    about: Mapping[str, Any]

    @cached_property
    def labels(self) -> list[str]:
        """The labels of queries and gallery, sorted."""
        return sorted({record.label for side in (self.queries, self.gallery) for record in side if record.label})

    def classes(self, records: Sequence[ImageRecord]) -> Ints:
        """The row of ``labels`` of each record."""
        numbers = {label: number for number, label in enumerate(self.labels)}
        return np.array([numbers[record.label or ""] for record in records], np.int64)

    @property
    def most_junk(self) -> int:
        """The largest number of junk rows of a query."""
        return int(self.junk.sum(axis=1).max())

    def scorer(self, ranking: Ranking | None = None) -> Scorer:
        """Scores a slice of queries against the gallery: by cosine, or by a ranking that does not use junk."""
        if ranking is None:
            return cosines(self.query_vectors, self.gallery_vectors)
        return lambda rows: ranking.scores(self.query_vectors[rows], self.junk[rows])


def make_experiment(
    gallery: Side,
    queries: Side | None = None,
    *,
    exclude_labels: Sequence[str] = (),
    split: Path | str | None = None,
    group_duplicates: bool | float = False,
    rank: str | None = None,
) -> Experiment:
    """The experiment of ``evaluate``: its queries and gallery.

    Each labelled picture is a query against all others (leave-one-out); or ``queries`` are, against the gallery; or the
    pictures with a 0 in a ``split`` file, against those with a 1. Pictures of ``exclude_labels`` and pictures without a
    label are left out of queries and gallery. A query's own record (same id, and not known to be another file) is no
    hit. With ``group_duplicates`` a picture of the same sha256 is none either, nor, if it is a number, one of at least
    that cosine.

    :raises BadQuery: when no labelled picture is left on either side, an argument is wrong, or there are too many
        pictures to look for near-duplicates among them.
    """
    check_options(queries, split, group_duplicates, rank)
    exclude_labels = [normal(label) for label in strings("exclude_labels", exclude_labels)]
    check_labels(exclude_labels, gallery.records, (queries or gallery).records)
    about: dict[str, Any] = {"protocol": "leave-one-out" if queries is None else "queries"}
    asking = gallery if queries is None else queries
    if split is not None:
        roles = read_split(path_given("split", split), [record.id for record in gallery.records])
        about = {"protocol": "split", "outside_split": len(gallery.records) - sum(map(len, roles))}
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
        if about["unlabelled"] == len(everyone):
            raise BadQuery(
                f"There is nothing to evaluate: none of the {len(everyone)} pictures has a label. Put them into a "
                "sub-folder for each class and index them again, or fill in the column label of the table that "
                "`imgsearch export -o labels.csv` writes, and give it to `imgsearch label labels.csv`."
            )
        raise BadQuery(
            f"There is nothing to evaluate: {about['unlabelled']} of {len(everyone)} pictures have no label and "
            f"{about['excluded']} an excluded one. Labels are folder names; `imgsearch label CSV` sets them."
        )
    if not isinstance(group_duplicates, bool):
        check_comparable(len(asking.records), len(gallery.records))
    own, junk = own_and_duplicates(asking, gallery, group_duplicates)
    about |= {"group_duplicates": group_duplicates, "duplicates": int(junk.nnz - own.nnz), "rank": rank}
    return Experiment(asking.records, asking.vectors, gallery.records, gallery.vectors, junk, rank, about)


def check_options(queries: object, split: Path | str | None, group_duplicates: bool | float, rank: str | None) -> None:
    """Checks the options that can be checked before anything is read.

    :raises BadQuery: when the SPEC is wrong, the bound is no cosine, or queries and a split were both given.
    """
    if not isinstance(group_duplicates, bool) and not 0 < group_duplicates <= 1:
        raise BadQuery(f"Duplicates are grouped above a cosine in (0, 1]; it is {group_duplicates!r}. Try 0.98.")
    if rank is not None:
        parse_rank(rank)
    if queries is not None and split is not None:
        raise BadQuery("An index of queries and a split file were both given. Give one of them.")


def check_comparable(queries: int, gallery: int) -> None:
    """Checks that near-duplicates can be looked for, which compares each query with each picture, also for a sample.

    :raises BadQuery: when that would take hours.
    """
    if queries * gallery > MOST_PAIRS:
        raise BadQuery(
            f"To look for near-duplicates of {queries:,} pictures among {gallery:,} takes hours. Leave out --near; "
            "equal files are found by --group-duplicates (in Python group_duplicates=True)."
        )


def own_and_duplicates(queries: Side, gallery: Side, group_duplicates: bool | float) -> tuple[csr_array, csr_array]:
    """Each query's own record; and the same with duplicates if they are grouped; both sparse boolean ``(m, n)``.

    ``group_duplicates`` is that of ``make_experiment``.
    """
    own = _own(queries.records, gallery.records)
    junk = own
    if group_duplicates is not False:
        junk = junk + _copies(queries.records, gallery.records)
    if not isinstance(group_duplicates, bool):
        junk = junk + near_duplicates(queries.vectors, gallery.vectors, group_duplicates)
    return own, csr_array(junk)


def _own(queries: Sequence[ImageRecord], gallery: Sequence[ImageRecord]) -> csr_array:
    """Each query's own record: that of the same id, in either Unicode form, unless both hashes are known and differ."""
    rows = {record.id: (row, record.sha256) for row, record in enumerate(gallery)}
    stored = Names(rows)
    found = [rows.get(stored.fitting(record.id) or "", (-1, "")) for record in queries]
    same = [
        row if not record.sha256 or not sha256 or record.sha256 == sha256 else -1
        for record, (row, sha256) in zip(queries, found, strict=True)
    ]
    return same_picture(np.array(same), np.arange(len(gallery)))


def _copies(queries: Sequence[ImageRecord], gallery: Sequence[ImageRecord]) -> csr_array:
    """The gallery pictures of the same sha256 as a query; unknown hashes are not equal."""
    numbers: dict[str, int] = {}
    theirs = [numbers.setdefault(record.sha256 or f"id {record.id}", len(numbers)) for record in gallery]
    return same_picture(np.array([numbers.get(record.sha256, -1) for record in queries]), np.array(theirs))


def check_labels(labels: Iterable[str], *sides: Sequence[ImageRecord]) -> None:
    """Checks that each of some labels is that of a record.

    :raises BadQuery: when there is none.
    """
    known = {record.label for side in sides for record in side if record.label is not None}
    for label in labels:
        if label not in known:
            close = difflib.get_close_matches(label, known, n=1)
            advice = f"Did you mean {close[0]!r}?" if close else "`imgsearch info` lists the labels."
            raise BadQuery(f"No picture has the label {label!r}. {advice}")
