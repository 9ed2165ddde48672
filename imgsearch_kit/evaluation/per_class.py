"""The classes of an evaluation in one measure, from worst to best."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imgsearch_kit.reports import Number, Report, Table, number, share


@dataclass(frozen=True, slots=True)
class ClassFigure:
    """The mean of a class, its 95 % bounds (NaN where unknown), what chance gives, and its number of queries."""

    label: str
    value: float
    low: float
    high: float
    chance: float
    queries: int

    def row(self, *, is_share: bool) -> tuple[str, Number, float, int]:
        """Its row in a table, with a bar where the figure is a share."""
        bounded = (self.value, self.low, self.high)
        figure = share(*bounded, self.chance) if is_share else number(*bounded)
        return self.label, figure, self.chance, self.queries


@dataclass(frozen=True)
class ClassFigures(Report):
    """All ``classes`` in a ``measure``, worst first; as text the ``shown`` worst and best, as HTML all, with bars."""

    measure: str
    classes: tuple[ClassFigure, ...]
    shown: int

    def ends(self) -> list[Table]:
        """The worst and the best classes, no class twice, worst first in both."""
        ends = {"Worst": self.classes[: self.shown], "Best": self.classes[self.shown :][-self.shown :]}
        return [self._table(rows, f"{end} classes by {self.measure}") for end, rows in ends.items() if rows]

    def tables(self) -> Sequence[Table]:
        """The worst and the best classes, and a folded table of all where there are more."""
        every = [self._table(self.classes, f"All {len(self.classes):,} classes by {self.measure}", folded=True)]
        return [*self.ends(), *(every if len(self.classes) > 2 * self.shown else [])]

    def frame(self) -> Iterable[Mapping[str, Any]]:
        """The rows of ``to_dataframe``, one per class, worst first: label, value, low, high, chance, queries."""
        return map(dataclasses.asdict, self.classes)

    def _table(self, classes: Sequence[ClassFigure], title: str, *, folded: bool = False) -> Table:
        head = ("class", f"{self.measure}, 95 %", "chance", "queries")
        rows = [each.row(is_share=self.measure != "first-hit rank") for each in classes]
        return Table(rows, head, title, folded=folded)
