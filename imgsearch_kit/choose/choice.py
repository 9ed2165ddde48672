"""The choice among candidates on one half of the queries, and its gain on the other half."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from imgsearch_kit.choose.trial import COMPARED_MEASURES, Candidate, Trial
from imgsearch_kit.evaluation.intervals import estimate, intervals
from imgsearch_kit.records import Failure
from imgsearch_kit.reports import Report, Table, number
from imgsearch_kit.vectors import Bools, Floats, Ints

if TYPE_CHECKING:
    from imgsearch_kit.plots import Plot

SPLITS = 20
CRITERION = COMPARED_MEASURES.index("mAP")
BEST_SHOWN = 12  # candidates of the table


def halves(classes: Ints, splits: int, seed: int) -> Bools:
    """Random halves of the queries of each class, ``(splits, m)``; an odd query falls to either half."""
    rng = np.random.default_rng(seed)
    found = np.zeros((splits, len(classes)), bool)
    for members in (np.flatnonzero(classes == c) for c in np.unique(classes)):
        for split in found:
            split[rng.permutation(members)[: (len(members) + rng.integers(2)) // 2]] = True
    return found


@dataclass(frozen=True, slots=True)
class Cost:
    """What a candidate costs: milliseconds to extract a picture, bytes of a vector, milliseconds to rank a query."""

    extract: float
    bytes: int
    rank: float


@dataclass(frozen=True)
class Choice(Report):
    """The candidate that suits pictures best, and what it gains over the plain default on queries that did not choose.

    The queries are halved ``splits`` times at random, within each class. Each half chooses the candidate of the largest
    mAP, which is judged on the other half, so that the pictures that judge had no part in the choice. ``classes``
    ``(m,)`` are those of the queries, ``default`` is the first of the candidates. ``seconds`` are those of extraction
    ("extract") and of the trial ("compare").
    """

    trial: Trial
    classes: Ints
    pictures: int
    splits: int = SPLITS
    seed: int = 0
    costs: Mapping[Candidate, Cost] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    failed: Sequence[Failure] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def default(self) -> Candidate:
        """The plain default: the first extractor without a ranking."""
        return self.trial.candidates[0]

    @cached_property
    def chosen(self) -> Ints:
        """The candidate that each half chose, ``(splits, 2)``: by the first half, and by the second."""
        drawn = halves(self.classes, self.splits, self.seed)
        precision = self.trial.values[:, :, CRITERION]
        means = [precision @ (part / part.sum(axis=1, keepdims=True)).T for part in (drawn, ~drawn)]
        return np.stack([each.argmax(axis=0) for each in means], axis=1)

    @cached_property
    def counts(self) -> Ints:
        """How many halves chose each candidate, ``(candidates,)``."""
        return np.bincount(self.chosen.ravel(), minlength=len(self.trial.candidates))

    @property
    def winner(self) -> Candidate:
        """What most halves chose; of equally many the one with the larger mAP."""
        means = self.trial.values[:, :, CRITERION].mean(axis=1)
        return self.trial.candidates[max(range(len(means)), key=lambda i: (self.counts[i], means[i]))]

    @cached_property
    def held_out(self) -> Floats:
        """The values of each query under what the halves without it chose, ``(m, 2)``: the mean over all splits."""
        drawn = halves(self.classes, self.splits, self.seed)
        queries = np.arange(len(self.classes))
        total = np.zeros((len(queries), len(COMPARED_MEASURES)))
        for mine, (by_mine, by_other) in zip(drawn, self.chosen, strict=True):
            total += self.trial.values[np.where(mine, by_other, by_mine), queries]
        return total / self.splits

    @cached_property
    def difference(self) -> Floats:
        """Chosen minus default on the held-out queries, paired: (value, low, high) of each measure, ``(2, 3)``."""
        return self._means(self.held_out - self.trial.values[0])

    @property
    def better(self) -> bool:
        """Whether the choice has a larger mAP than the default beyond chance."""
        return self.winner != self.default and bool(self.difference[CRITERION, 1] > 0)

    def _means(self, values: Floats) -> Floats:
        return intervals(values, np.unique(self.classes, return_inverse=True)[1], seed=self.seed).micro

    @cached_property
    def means(self) -> Floats:
        """The mean of each candidate over all queries with its bounds, ``(candidates, 2, 3)``."""
        whole = np.concatenate(list(self.trial.values), axis=1)
        return self._means(whole).reshape(len(self.trial.candidates), len(COMPARED_MEASURES), 3)

    def to_json(self) -> dict[str, Any]:
        """The document of ``imgsearch choose --json``; candidates are in order of their mAP, best first."""
        return {
            "winner": _named(self.winner),
            "default": _named(self.default),
            "better": self.better,
            "difference": _figures(self.difference),
            "held_out": {
                "chosen": _figures(self._means(self.held_out)),
                "default": _figures(self._means(self.trial.values[0])),
            },
            "candidates": list(self.frame()),
            "impossible": [_named(each) | {"reason": reason} for each, reason in self.trial.impossible.items()],
            "pictures": self.pictures,
            "queries": len(self.classes),
            "classes": len(np.unique(self.classes)),
            "splits": self.splits,
            "seed": self.seed,
            "seconds": dict(self.seconds),
            "warnings": list(self.warnings),
            "failed": [{"path": each.path, "reason": each.reason} for each in self.failed],
        }

    def frame(self) -> Iterable[Mapping[str, Any]]:
        """The rows of ``to_dataframe``, one a candidate: its means, their bounds, and how often it was chosen."""
        for i in np.argsort(-self.means[:, CRITERION, 0], kind="stable").tolist():
            candidate, figures = self.trial.candidates[i], _figures(self.means[i])
            row: dict[str, Any] = _named(candidate) | {name: figures[name]["value"] for name in COMPARED_MEASURES}
            row |= {"intervals": {name: {k: figures[name][k] for k in ("low", "high")} for name in COMPARED_MEASURES}}
            row |= {"chosen": int(self.counts[i]) / (2 * self.splits)}
            if cost := self.costs.get(candidate):
                row |= {"cost": {"extract_ms": cost.extract, "bytes": cost.bytes, "rank_ms": cost.rank}}
            yield row

    def cautions(self) -> Sequence[str]:
        """Why the classes cannot be meant, and how many pictures could not be read."""
        unread = [f"{len(self.failed):,} pictures could not be read (--json lists them)."] if self.failed else []
        return [*self.warnings, *unread]

    def title(self) -> str:
        """What suits the pictures, or that nothing is better than the default."""
        if not self.better:
            return f"Nothing is better than the default beyond chance: {self.default.words}."
        return f"Better than the default ({self.default.words}): {self.winner.words}."

    def tables(self) -> Sequence[Table]:
        """The choice and the default on held-out queries, and the best candidates."""
        rows = [
            ("chosen", *(number(*row) for row in self._means(self.held_out))),
            ("default", *(number(*row) for row in self._means(self.trial.values[0]))),
            ("difference", *(number(value, low, high, "+.4f") for value, low, high in self.difference)),
        ]
        head = ("", *(f"{name}, 95 %" for name in COMPARED_MEASURES))
        title = (
            f"Held-out queries ({len(self.classes):,} of {self.pictures:,} pictures, {self.splits} times halved; "
            "each half judges what the other chose)"
        )
        return [Table(rows, head, title), self._best()]

    def _best(self) -> Table:
        everyone, default = list(self.frame()), _named(self.default)
        others = everyone[BEST_SHOWN:]
        shown = everyone[:BEST_SHOWN] + [row for row in others if default.items() <= row.items()]
        rows = [
            (row["extractor"], row["rank"] or "-", row["P@4"], row["mAP"], number(row["chosen"], form=".0%"))
            for row in shown
        ]
        title = f"Best of {len(everyone)} candidates, and the default, over all queries"
        return Table(rows, ("extractor", "ranking", *COMPARED_MEASURES, "chosen"), title)

    def notes(self) -> Sequence[str]:
        """What the winner costs, what could not be tried, and how to use it."""
        winner = self.winner if self.better else self.default
        costs = [self.costs.get(each) for each in (winner, self.default)]
        said = []
        if costs[0] and costs[1] and winner != self.default:
            said.append(
                f"It costs {costs[0].extract:.0f} ms a picture to extract ({costs[1].extract:.0f} by default), "
                f"{costs[0].bytes:,} bytes a vector ({costs[1].bytes:,}), and {costs[0].rank:.1f} ms a query to rank "
                f"({costs[1].rank:.1f})."
            )
        if self.trial.impossible:
            some = next(iter(self.trial.impossible.items()))
            said.append(f"{len(self.trial.impossible)} candidates are not possible here, as {some[0].words}: {some[1]}")
        rank = f" --rank {json.dumps(winner.rank)[1:-1]}" if winner.rank else ""
        return [*said, f"To use it: imgsearch index FOLDER --extractor {winner.extractor}{rank} --index ADDRESS"]

    def plot(self) -> Plot:
        """The mAP of the best candidates and of the default, each with its interval.

        :raises MissingExtra: when matplotlib is not installed.
        """
        from imgsearch_kit.plots import interval_dots

        rows = np.argsort(-self.means[:, CRITERION, 0], kind="stable")[:BEST_SHOWN].tolist()
        rows += [0] * (0 not in rows)
        names = [self.trial.candidates[row].words for row in rows]
        value, low, high = self.means[rows, CRITERION].T
        return interval_dots(names, value, low, high, baseline=rows.index(0), measure="mAP")[0]


def _named(candidate: Candidate) -> dict[str, Any]:
    return {"extractor": candidate.extractor, "rank": candidate.rank}


def _figures(table: Floats) -> dict[str, dict[str, float | None]]:
    return {name: estimate(row) for name, row in zip(COMPARED_MEASURES, table, strict=True)}
