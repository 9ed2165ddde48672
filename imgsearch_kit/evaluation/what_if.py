"""What if classes were one, or pictures were left out: an evaluation judged anew from rankings that are kept.

A place in a ranking is one number, ``query * (n + 1) + place``, so that sorted numbers are in order of (query, place).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from imgsearch_kit.arguments import strings
from imgsearch_kit.errors import BadQuery
from imgsearch_kit.evaluation.metrics import QueryScores, measures, rank
from imgsearch_kit.evaluation.protocol import Experiment, Side, check_labels, check_options, own_and_duplicates
from imgsearch_kit.evaluation.report import Evaluation
from imgsearch_kit.names import normal
from imgsearch_kit.ranking import Ranking
from imgsearch_kit.vectors import Bools, Ints, Scorer, Scores, blocks, first

SPARE_PLACES = 50  # places kept beyond the largest k, so that leaving pictures out seldom needs a new ranking
MOST_RANKED = 16_384  # labelled pictures: their places take 512 MB
JOINED = " + "  # between the names of classes that became one
TAUGHT_BY_ALL = "The ranking is the one that all pictures taught."
COPIES_TAKE_PART = " Copies take part in it, so an evaluation that groups duplicates may give other figures."


@dataclass(frozen=True)
class KeptRankings:
    """The rankings of ``n`` pictures, each a query against all others.

    ``places`` ``(n, n)`` uint16 is the place from 1 of each picture (column) in the ranking of each query (row), whose
    own is the last. ``top`` and ``top_scores`` ``(n, W)`` are the first places. ``tied`` are the places with the score
    of a neighbouring place, sorted, ``tied_rows`` the pictures there, ``tied_groups`` numbers equal for equal scores.
    """

    places: npt.NDArray[np.uint16]
    top: Ints
    top_scores: Scores
    tied: Ints
    tied_rows: Ints
    tied_groups: Ints

    @classmethod
    def of(cls, score: Scorer, experiment: Experiment, width: int, done: Callable[[int], object]) -> KeptRankings:
        """Ranks all pictures for each; ``done`` is called with the number of queries of each finished block."""
        n = len(experiment.gallery)
        places, numbers = np.empty((n, n), np.uint16), np.arange(1, n + 1, dtype=np.uint16)
        parts = []
        for rows in blocks(n, n):
            order, scores = rank(score(rows), experiment.junk[rows])
            np.put_along_axis(places[rows], order, np.broadcast_to(numbers, order.shape), axis=1)
            equal = np.zeros((len(order), n + 1), bool)  # whether a place has the score of the place before
            equal[:, 1:-1] = (scores[:, 1:] == scores[:, :-1]) & np.isfinite(scores[:, 1:])
            query, place = np.nonzero(equal[:, 1:] | equal[:, :-1])
            keys = (query + rows.start) * (n + 1) + place + 1
            tied = (keys, order[query, place], ~equal[query, place])
            parts.append((order[:, :width].copy(), scores[:, :width].copy(), *tied))
            done(len(order))
        top, top_scores, keys, tied_rows, begins = (np.concatenate(part) for part in zip(*parts, strict=True))
        return cls(places, top, top_scores, keys, tied_rows, np.cumsum(begins))


class WhatIf:
    """An evaluation whose rankings are kept: judged at once with classes merged and pictures left out.

    ``plain`` is the evaluation as it is. Each picture is a query against all others, as in ``Gallery.evaluate``.
    """

    def __init__(
        self,
        experiment: Experiment,
        ranking: Ranking | None,
        ks: tuple[int, ...],
        *,
        seed: int = 0,
        done: Callable[[int], object] = bool,
    ):
        self._experiment, self._ranking, self._ks, self._seed = experiment, ranking, ks, seed
        self._ids = [record.id for record in experiment.gallery]
        self._labels = np.array([record.label for record in experiment.gallery])
        self._duplicates: dict[bool | float, Ints] = {}
        self._kept = KeptRankings.of(experiment.scorer(ranking), experiment, max(ks) + SPARE_PLACES, done)
        self.plain = self.evaluate()

    def evaluate(
        self,
        *,
        merge: Sequence[Collection[str]] = (),
        without: Collection[str] = (),
        exclude_labels: Sequence[str] = (),
        group_duplicates: bool | float = False,
    ) -> Evaluation:
        """The evaluation with other classes or fewer pictures, equal to one of a copy of the index changed so.

        The classes of each group of ``merge`` count as one, called "cat + dog", or "(cat + dog)" where another class
        has that name. Pictures of the ids ``without`` and of
        ``exclude_labels`` are neither queries nor hits; ids of no labelled picture have no effect. With
        ``group_duplicates`` pictures of the same sha256 are no hits of each other, nor, if it is a number, those of at
        least that cosine; the first time these are looked for takes longer.

        Under a ranking this differs from an evaluation where pictures are left out or copies grouped, and a note says
        so: all pictures, copies too, still take part in the ranking, and only then are passed over.

        :raises BadQuery: when a class is unknown or in two groups, a bound is no cosine, or nothing is left to ask.
        """
        names = self._merged(merge)
        exclude_labels = [normal(label) for label in strings("exclude_labels", exclude_labels)]
        check_labels(exclude_labels, self._experiment.gallery)
        excluded = np.isin(self._labels, exclude_labels)
        kept = ~(excluded | np.isin(self._ids, list(without)))
        rows = np.flatnonzero(kept)
        if not len(rows):
            raise BadQuery("No picture is left to evaluate. Leave out fewer pictures or classes.")
        labels, classes = np.unique(names[rows], return_inverse=True)
        number = np.full(len(kept), -1)
        number[rows] = classes
        duplicates = self._grouped(group_duplicates, kept)
        gone = self._gone(kept, duplicates)
        about = dict(self._experiment.about)
        about |= {"excluded": about["excluded"] + int(excluded.sum()), "exclude_labels": sorted(exclude_labels)}
        about |= {"left_out": int((~kept & ~excluded).sum()), "merged": [list(group) for group in merge]}
        about |= {"group_duplicates": group_duplicates, "duplicates": len(duplicates)}
        if self._ranking and len(gone):
            about["note"] = TAUGHT_BY_ALL + (COPIES_TAKE_PART if len(duplicates) else "")
        return Evaluation(
            queries=(ids := [self._ids[row] for row in rows.tolist()]),
            gallery=ids,
            labels=labels.tolist(),
            query_classes=classes,
            gallery_classes=classes,
            scores=self._scores(rows, number, gone),
            ks=self._ks,
            about=about,
            seed=self._seed,
        ).answerable()

    def _merged(self, merge: Sequence[Collection[str]]) -> npt.NDArray[np.str_]:
        """The name of each picture's class after groups of classes became one."""
        names: dict[str, str] = {}
        labels = set(self._labels.tolist())
        for given in merge:
            group = [normal(label) for label in strings("merge", given)]
            check_labels(group, self._experiment.gallery)
            if len(set(group)) < 2:
                raise BadQuery(f"{group} cannot be merged: name two classes or more.")
            if twice := names.keys() & set(group):
                raise BadQuery(f"{sorted(twice)} cannot be merged: a class belongs to one group only.")
            name, taken = JOINED.join(group), {*labels.difference(group), *names.values()}
            while name in taken:
                name = f"({name})"
            names |= dict.fromkeys(group, name)
        return np.array([names.get(label, label) for label in self._labels.tolist()])

    def _keys(self, queries: Ints, rows: Ints) -> Ints:
        """The places of pictures in the rankings of queries; arguments are broadcast together."""
        return queries * (len(self._ids) + 1) + self._kept.places[queries, rows].astype(np.int64)

    def _grouped(self, bound: bool | float, kept: Bools) -> Ints:
        """The places of duplicates, sorted; both pictures are kept."""
        if bound is False:
            return np.zeros(0, np.int64)
        if bound not in self._duplicates:
            check_options(None, None, bound, None)
            side = Side(self._experiment.gallery, self._experiment.gallery_vectors)
            own, junk = own_and_duplicates(side, side, bound)
            self._duplicates = {bound: np.stack((junk - own).nonzero())}
        query, row = self._duplicates[bound]
        both = kept[query] & kept[row]
        return np.sort(self._keys(query[both], row[both]))

    def _gone(self, kept: Bools, duplicates: Ints) -> Ints:
        """The places of what no longer counts in the rankings of the pictures kept, sorted."""
        pairs = self._keys(np.flatnonzero(kept)[:, None], np.flatnonzero(~kept)[None])
        return np.sort(np.concatenate([pairs.ravel(), duplicates]))

    def _scores(self, rows: Ints, classes: Ints, gone: Ints) -> QueryScores:
        """The scores of the pictures at ``rows``; ``classes`` ``(n,)`` has -1 for the others."""
        n, m = len(self._ids), len(rows)
        before = np.searchsorted(gone, rows * (n + 1))
        fewer = np.searchsorted(gone, (rows + 1) * (n + 1)) - before
        query_of = np.cumsum(classes >= 0) - 1
        members = np.split(np.argsort(classes, kind="stable"), np.cumsum(np.bincount(classes + 1)))[1:-1]
        keys = np.sort(np.concatenate([self._pairs(of_class) for of_class in members]))
        keys = keys[~_among(gone, keys)]
        query = query_of[keys // (n + 1)]
        ranks = keys % (n + 1) - (np.searchsorted(gone, keys) - before[query])
        relevant = np.bincount(query, minlength=m)
        top, top_scores = self._top(rows, gone, classes >= 0)
        tied, deciding = self._ties(rows, classes, gone)
        return QueryScores(
            measures(query, ranks, relevant, self._ks),
            relevant,
            n - 1 - fewer,
            np.where(top >= 0, query_of[top], -1),
            top_scores,
            tied,
            deciding,
        )

    def _pairs(self, members: Ints) -> Ints:
        """The places of the pictures of a class in each other's rankings."""
        other = ~np.eye(len(members), dtype=bool)
        return self._keys(members[:, None], members[None])[other]

    def _top(self, rows: Ints, gone: Ints, kept: Bools) -> tuple[Ints, Scores]:
        """The first places that are left of each ranking, and their scores."""
        n, k = len(self._ids), max(self._ks)
        top, scores = self._kept.top[rows], self._kept.top_scores[rows]
        keys = rows[:, None] * (n + 1) + np.arange(1, top.shape[1] + 1)
        left = np.isfinite(scores) & ~_among(gone, keys)
        query, place = np.nonzero(left)
        to = np.arange(len(query)) - np.searchsorted(query, query)
        query, place, to = query[to < k], place[to < k], to[to < k]
        found, near = np.full((len(rows), k), -1), np.full((len(rows), k), np.nan, np.float32)
        found[query, to], near[query, to] = top[query, place], scores[query, place]
        short = np.flatnonzero((found[:, -1] < 0) & (top.shape[1] < n - 1))
        for at, columns, values in self._ranked_again(rows[short], gone, kept):
            ranked = np.isfinite(values)
            found[short[at], : columns.shape[1]] = np.where(ranked, columns, -1)
            near[short[at], : columns.shape[1]] = np.where(ranked, values, np.nan)
        return found, near

    def _ranked_again(self, rows: Ints, gone: Ints, kept: Bools) -> list[tuple[slice, Ints, Scores]]:
        """The first places of queries of which so many near pictures are gone that those kept are too few."""
        experiment = self._experiment
        asking = dataclasses.replace(
            experiment,
            queries=[experiment.queries[row] for row in rows.tolist()],
            query_vectors=experiment.query_vectors[rows],
            junk=experiment.junk[rows],
        )
        score, everyone, found = asking.scorer(self._ranking), np.arange(len(self._ids)), []
        for at in blocks(len(rows), len(self._ids)):
            scores = score(at)
            scores[:, ~kept] = -np.inf
            scores[rows[at, None] == everyone] = -np.inf
            scores[_among(gone, self._keys(rows[at, None], everyone[None]))] = -np.inf
            found.append((at, *first(scores, max(self._ks))))
        return found

    def _ties(self, rows: Ints, classes: Ints, gone: Ints) -> tuple[Ints, Ints]:
        """How many neighbouring places of each ranking have equal scores, and one of them relevant."""
        kept, n = self._kept, len(self._ids)
        queries = kept.tied // (n + 1)
        left = (classes[queries] >= 0) & ~_among(gone, kept.tied)
        queries, groups = queries[left], kept.tied_groups[left]
        relevant = classes[kept.tied_rows[left]] == classes[queries]
        equal = groups[1:] == groups[:-1]
        deciding = equal & (relevant[1:] != relevant[:-1])
        asked = queries[1:]
        return np.bincount(asked[equal], minlength=n)[rows], np.bincount(asked[deciding], minlength=n)[rows]


def _among(sorted_keys: Ints, keys: Ints) -> Bools:
    """Which keys are among sorted ones."""
    if not len(sorted_keys):
        return np.zeros(keys.shape, bool)
    at = np.minimum(np.searchsorted(sorted_keys, keys), len(sorted_keys) - 1)
    return sorted_keys[at] == keys
