"""The result of an evaluation: means with intervals and chance, over all queries and per class."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.evaluation import intervals as bootstrap
from imgsearch_kit.evaluation.comparison import DIGITS, Compared, paired
from imgsearch_kit.evaluation.intervals import estimate
from imgsearch_kit.evaluation.metrics import QueryScores, chance
from imgsearch_kit.evaluation.mistakes import ConfusedPair, Confusion, WorstQueries, confusion, worst_queries
from imgsearch_kit.evaluation.per_class import ClassFigure, ClassFigures
from imgsearch_kit.reports import Report, Table, number
from imgsearch_kit.vectors import Floats, Ints

if TYPE_CHECKING:
    from imgsearch_kit.plots import Plot
METHOD = "percentile bootstrap; micro: queries within class, macro: classes"
SAMPLED = "rescaled bootstrap of a sample drawn by class (Rao and Wu 1988); the bounds are for the means of all queries"


@dataclass(frozen=True, repr=False)
class Evaluation(Report):
    """The scores of ``m`` queries, each with a relevant picture, against ``n`` gallery pictures.

    ``queries`` and ``gallery`` are ids in order, ``labels`` the sorted names of all classes; ``query_classes`` ``(m,)``
    and ``gallery_classes`` ``(n,)`` are rows of ``labels``. ``about`` holds the other parts of the JSON document: what
    was left out, the settings, the passport. ``picture`` gives the thumbnail file of an id, for the worst queries in
    Jupyter.
    """

    queries: Sequence[str]
    gallery: Sequence[str]
    labels: Sequence[str]
    query_classes: Ints
    gallery_classes: Ints
    scores: QueryScores
    ks: tuple[int, ...]
    about: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    picture: Callable[[str], Path] | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        return f"<Evaluation: {self.title()}>"

    def answerable(self) -> Evaluation:
        """The evaluation of the queries that have a relevant picture; the others, alone in their class, are counted.

        :raises BadQuery: when there is none.
        """
        kept = np.flatnonzero(self.scores.relevant)
        if not len(kept):
            raise BadQuery(
                f"None of {len(self.queries)} labelled pictures shares its label with another one, so there is "
                "nothing to evaluate. Index more pictures per label, or correct the labels with `imgsearch label`. "
                + " ".join(self.cautions())
            )
        return dataclasses.replace(
            self,
            queries=[self.queries[row] for row in kept.tolist()],
            query_classes=self.query_classes[kept],
            scores=self.scores.take(kept),
            about={"skipped_lone": len(self.queries) - len(kept)} | dict(self.about),
        )

    @property
    def measures(self) -> list[str]:
        """The names of the ``M`` measures, in the order of every table's columns."""
        return list(self.scores.values)

    @cached_property
    def values(self) -> Floats:
        """The value of each query and measure, ``(m, M)`` float64."""
        return np.stack(list(self.scores.values.values()), axis=1)

    @cached_property
    def chance(self) -> Floats:
        """The expected value of a random ranking for each query, ``(m, M)`` float64."""
        expected = chance(self.scores.relevant, self.scores.available, self.ks)
        return np.stack([expected[name] for name in self.measures], axis=1)

    @cached_property
    def scored_classes(self) -> Ints:
        """The rows of ``labels`` that have queries, ``(C,)``, ascending."""
        return np.unique(self.query_classes)

    @cached_property
    def strata(self) -> Ints:
        """Each query's row of ``scored_classes``, ``(m,)``."""
        return np.searchsorted(self.scored_classes, self.query_classes)

    @cached_property
    def intervals(self) -> bootstrap.Intervals:
        """The means with their 95 % bounds; ``per_class`` is in the order of ``scored_classes``."""
        if self.is_sample:
            return bootstrap.sampled_intervals(self.values, self.strata, self.sizes, seed=self.seed)
        return bootstrap.intervals(self.values, self.strata, seed=self.seed)

    @property
    def is_sample(self) -> bool:
        """Whether the queries are a sample, whose means estimate those of all."""
        return "sampled_from" in self.about

    @cached_property
    def sizes(self) -> Ints:
        """How many queries each of ``scored_classes`` has, ``(C,)``: of a sample, before it was drawn."""
        if not self.is_sample:
            return np.bincount(self.strata)
        return np.array([self.about["sampled_from"][self.labels[c]] for c in self.scored_classes.tolist()], np.int64)

    @cached_property
    def class_chance(self) -> Floats:
        """The mean of ``chance`` in each class, ``(C, M)``, in the order of ``scored_classes``."""
        counts = np.bincount(self.strata)
        members = np.split(np.argsort(self.strata, kind="stable"), np.cumsum(counts)[:-1])
        return np.stack([self.chance[rows].mean(axis=0) for rows in members])

    @cached_property
    def mean_chance(self) -> Floats:
        """The mean of ``chance`` over all queries, ``(M,)``; of a sample with its classes weighted by their sizes."""
        if self.is_sample:
            return np.average(self.class_chance, axis=0, weights=self.sizes)
        return self.chance.mean(axis=0)

    def to_json(self, *, per_query: bool = False) -> dict[str, Any]:
        """The document of ``imgsearch evaluate --json``; ``per_query`` adds what a later ``against`` needs.

        A bound that is unknown (of a single query or class) is None.
        """
        sizes = np.bincount(self.strata).tolist()
        per_class = {
            self.labels[c]: {"queries": sizes[row], **self._table(self.intervals.per_class[row])}
            | {"chance": self._row(self.class_chance[row])}
            for row, c in enumerate(self.scored_classes)
        }
        settings = {key: value for key, value in self.about.items() if key not in ("passport", "sampled_from")}
        if self.is_sample:
            settings["sampled_from"] = int(self.sizes.sum())
            for row, figures in enumerate(per_class.values()):
                figures["sampled_from"] = int(self.sizes[row])
        document = {
            "queries": len(self.queries),
            "classes": len(self.scored_classes),
            "gallery": len(self.gallery),
            **settings,
            "k": list(self.ks),
            "ties": dataclasses.asdict(self.scores.ties),
            "intervals": {
                "level": bootstrap.LEVEL,
                "method": SAMPLED if self.is_sample else METHOD,
                "resamples": bootstrap.RESAMPLES,
                "seed": self.seed,
            },
            "micro": self._table(self.intervals.micro),
            "macro": self._table(self.intervals.macro),
            "chance": {
                "micro": self._row(self.mean_chance),
                "macro": self._row(self.class_chance.mean(axis=0)),
            },
            "per_class": per_class,
            "passport": self.about.get("passport"),
        }
        if per_query:
            values = {name: np.round(column, DIGITS).tolist() for name, column in self.scores.values.items()}
            document["per_query"] = {"ids": list(self.queries), "values": values}
        return document

    def _row(self, values: Floats) -> dict[str, float]:
        return dict(zip(self.measures, values.tolist(), strict=True))

    def _table(self, table: Floats) -> dict[str, dict[str, float | None]]:
        return {name: estimate(row) for name, row in zip(self.measures, table, strict=True)}

    def frame(self) -> Iterable[Mapping[str, Any]]:
        """The rows of ``to_dataframe``, one per class: its queries, and value, bounds and chance of each measure."""
        for row, c in enumerate(self.scored_classes):
            found: dict[str, Any] = {"class": self.labels[c], "queries": int((self.strata == row).sum())}
            for column, name in enumerate(self.measures):
                figures = (*self.intervals.per_class[row, column].tolist(), float(self.class_chance[row, column]))
                found[name] = dict(zip(("", "low", "high", "chance"), figures, strict=True))
            yield found

    def title(self) -> str:
        """The numbers of queries, classes and pictures, and what was left out, in one line."""
        left_out = [f"{self.about[key]:,} {words}" for key, words in LEFT_OUT.items() if self.about.get(key)]
        of_all = f" of {self.sizes.sum():,}" if self.is_sample else ""
        return (
            f"{len(self.queries):,}{of_all} queries of {len(self.scored_classes):,} classes "
            f"against {len(self.gallery):,} pictures" + (f"; left out: {', '.join(left_out)}" if left_out else "")
        )

    def cautions(self) -> Sequence[str]:
        """Why the classes cannot be meant, if they are doubtful."""
        return list(self.about.get("warnings", []))

    def notes(self) -> list[str]:
        """What a reader of the means must know, one sentence each."""
        tied = self.scores.ties.queries
        ties = [f"Queries with a tie, broken by id, between a right and a wrong picture: {tied:,}"] if tied else []
        if self.is_sample:
            ties.append("The queries are a sample, drawn by class; the bounds say where the means of all queries lie")
        return ties + self._ceilings() + [note for note in [self.about.get("note")] if note]

    def _ceilings(self) -> list[str]:
        """What precision is at most, where queries have fewer relevant pictures than places and it matters."""
        most = {f"P@{k}": np.minimum(self.scores.relevant, k).mean() / k for k in self.ks}
        low = [f"{name} {value:.4f}" for name, value in most.items() if value < 0.95]
        known = low and not self.is_sample  # whose mean would want weights
        return [f"Classes are small: an answer with every hit right has {', '.join(low)}"] if known else []

    def plot(self, measure: str | None = None) -> Plot:
        """A bar per class with its interval, best first, and the mean over all queries; by default P@k of the middle k.

        :raises BadQuery: when there is no such measure, or its values are not in [0, 1].
        :raises MissingExtra: when matplotlib is not installed.
        """
        from imgsearch_kit.plots import precision_bars

        measure = measure or self._middle()
        shares = [name for name in self.measures if name != "first-hit rank"]
        if measure not in shares:
            raise BadQuery(f"{measure!r} cannot be plotted as bars. Choose one of: {', '.join(shares)}.")
        column = self.measures.index(measure)
        names = [self.labels[c] for c in self.scored_classes.tolist()]
        values, low, high = self.intervals.per_class[:, column].T
        mean = tuple(self.intervals.micro[column].tolist())
        return precision_bars(names, values, low, high, self.class_chance[:, column], mean=mean, measure=measure)[0]

    def confusion(self, k: int | None = None) -> Confusion:
        """The classes of the first ``k`` hits (by default the middle k) by the class of the query; it has a plot.

        :raises BadQuery: when ``k`` is not between 1 and the largest k evaluated.
        """
        return confusion(self, k or self.ks[len(self.ks) // 2])

    def hardest_pairs(self, k: int | None = None, count: int = 10) -> list[ConfusedPair]:
        """The ``count`` classes found most often for another class's queries, from ``confusion(k)``.

        :raises BadQuery: when ``k`` is not between 1 and the largest k evaluated.
        """
        return self.confusion(k).pairs(count)

    def worst(self, count: int = 10, measure: str = "mAP") -> WorstQueries:
        """The ``count`` queries with the worst values in a measure, with their hits; in Jupyter as pictures.

        :raises BadQuery: when there is no such measure.
        """
        return WorstQueries(measure, tuple(worst_queries(self, count, measure)), self.picture)

    def per_class(self, measure: str | None = None, *, shown: int = 15) -> ClassFigures:
        """The ``shown`` worst and best classes in a measure, by default P@k of the middle k; in Jupyter all, with bars.

        :raises BadQuery: when there is no such measure.
        """
        measure = measure or self._middle()
        if measure not in self.measures:
            raise BadQuery(f"There is no measure {measure!r}. Choose one of: {', '.join(self.measures)}.")
        return ClassFigures(measure, tuple(self._classes(self.measures.index(measure))), shown)

    def tables(self, *, measure: str | None = None, shown: int = 5) -> Sequence[Table]:
        """The means with bounds and chance, then the worst and best classes.

        Classes are ordered by ``measure`` (P@k of the middle k unless given), ``shown`` from either end.
        """
        chances = self.mean_chance
        means = [
            (name, number(*self.intervals.micro[column]), number(*self.intervals.macro[column]), chances[column])
            for column, name in enumerate(self.measures)
        ]
        ends = self.per_class(measure, shown=shown).ends()
        return [Table(means, ("", "micro, 95 %", "macro, 95 %", "chance")), *ends]

    def _middle(self) -> str:
        return f"P@{self.ks[len(self.ks) // 2]}"

    def _classes(self, column: int) -> list[ClassFigure]:
        """The figures of each class in a measure, worst first."""
        values, sizes = self.intervals.per_class[:, column], np.bincount(self.strata).tolist()
        found = []
        for row in np.argsort(values[:, 0], kind="stable").tolist():
            value, low, high = values[row].tolist()
            by_chance = float(self.class_chance[row, column])
            found.append(ClassFigure(self.labels[self.scored_classes[row]], value, low, high, by_chance, sizes[row]))
        return found

    def against(self, earlier: Evaluation | Mapping[str, Any]) -> Compared:
        """The differences to an earlier evaluation, paired by query, with 95 % bounds and p-values.

        ``earlier`` may be a document with per-query values. Queries and measures of both are compared; "queries" says
        how many queries those are, and how many are in one only.

        :raises BadQuery: when ``earlier`` has no per-query values, or they share no query or no measure.
        """
        counts, names, found = paired(self, earlier)
        means = {"micro": (found.micro, found.micro_p), "macro": (found.macro, found.macro_p)}
        keys = ("difference", "low", "high")
        tables = {
            mean: {name: estimate(table[i], keys) | {"p": float(p[i])} for i, name in enumerate(names)}
            for mean, (table, p) in means.items()
        }
        return Compared({"queries": counts} | tables)


LEFT_OUT = {
    "skipped_lone": "alone in their class",
    "unlabelled": "without a label",
    "excluded": "of an excluded label",
    "left_out": "taken out",
    "outside_split": "not in the split",
}
