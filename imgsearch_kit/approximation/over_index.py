"""Measures what an index's approximate method loses against exact answers, and how long its searches take."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from imgsearch_kit.approximation.recall import Loss, losses, without
from imgsearch_kit.arguments import whole_number
from imgsearch_kit.errors import BadQuery
from imgsearch_kit.index.base import VectorIndex
from imgsearch_kit.index.exact import Snapshot
from imgsearch_kit.progress import progress_bar
from imgsearch_kit.records import Approx, Neighbours, Vectors
from imgsearch_kit.reports import Report, Table, number, plain, share

if TYPE_CHECKING:
    from imgsearch_kit.plots import Plot

TRIED_HASHED = (20, 50, 100, 200, 500, 1000, 2000, 5000)  # numbers of candidates to try
TRIED_NATIVE = (20, 50, 100, 200, 500)
MOST_CANDIDATES = 10_000  # a server's limit
TRIED_PROBES = {"l2-lsh": (0, 1, 3)}
WARM_UP = 10  # queries of each setting before the clock counts

Setting = Approx | None  # None: exact


@dataclass(frozen=True)
class Measured:
    """One setting: its loss, and the median and 95 % quantile of its queries' milliseconds.

    ``method`` is the method that the index used, with the parameters of index and query. The times are NaN for exact
    answers that the index cannot give and that were computed here. ``predicted`` is the recall from a simulation.
    """

    method: str
    setting: Setting
    loss: Loss
    p50: float
    p95: float
    predicted: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The row as plain JSON values; unknown ones are None."""
        row: dict[str, Any] = {
            "method": self.method,
            "candidates": self.setting.candidates if self.setting else None,
            "probes": self.setting.probes if self.setting else None,
        }
        for name in ("recall", "precision", "lost"):
            row[name] = dict(zip(("value", "low", "high"), getattr(self.loss, name), strict=True))
        row |= {"short": self.loss.short, "missing": self.loss.missing}
        return plain(row | {"p50": self.p50, "p95": self.p95, "predicted": self.predicted})


@dataclass(frozen=True)
class RecallReport(Report):
    """The settings of one index, exact first; ``segments`` is None where an index has no such parts."""

    rows: tuple[Measured, ...]
    k: int
    queries: int
    labelled: int
    gallery: int
    segments: int | None
    passport: dict[str, Any]

    def tables(self) -> Sequence[Table]:
        """Recall with its bounds, the loss of P@k, and milliseconds, one row per setting."""
        head = ["method", f"recall@{self.k}", f"P@{self.k} lost", "p50 ms", "p95 ms", "short"]
        if any(row.predicted is not None for row in self.rows):
            head.append("predicted")
        return [Table([_cells(row)[: len(head)] for row in self.rows], head)]

    def notes(self) -> Sequence[str]:
        """The numbers of queries and pictures, and a note on an index of several segments."""
        about = f"{self.queries} queries ({self.labelled} with a shared label) against {self.gallery} pictures"
        if self.segments is None:
            return [f"{about}."]
        if self.segments == 1:
            return [f"{about} in 1 segment."]
        more = "Candidates count per segment, so these figures change when segments merge. --merge makes one segment."
        return [f"{about} in {self.segments} segments.", more]

    def plot(self, *others: RecallReport) -> Plot:
        """Recall and loss of P@k against milliseconds of each timed setting, here and in ``others``.

        The best are labelled.

        :raises MissingExtra: when matplotlib is not installed.
        """
        from imgsearch_kit.plots import MethodPoint, recall_latency

        timed = [row for report in (self, *others) for row in report.rows if not np.isnan(row.p50)]
        points = [
            MethodPoint(name, loss.recall[0], ms, *loss.recall[1:], name.partition(":")[0], loss.lost)
            for name, loss, ms in ((row.method, row.loss, row.p50) for row in timed)
        ]
        return recall_latency(points, k=self.k)[0]

    def frame(self) -> Iterable[Mapping[str, Any]]:
        """The rows of ``to_dataframe``, one a setting: what ``Measured.to_json`` gives."""
        return (row.to_json() for row in self.rows)


def measure_recall(
    index: VectorIndex,
    *,
    k: int = 10,
    queries: int = 200,
    grid: Sequence[Approx] | None = None,
    merge: bool = False,
    seed: int = 0,
    progress: bool | None = None,
) -> RecallReport:
    """Recall and speed of an index for each setting of ``grid``, compared with exact search query by query.

    ``queries`` pictures are drawn without replacement by ``seed``; the query is the stored vector, and the picture
    itself is no hit. The settings alternate query by query, so that a busy machine slows all of them alike. ``merge``
    first merges an index into one segment. If an index cannot search exactly, its vectors are compared here.

    :raises BadQuery: when there is nothing to measure: no approximate method, fewer than two pictures, no setting.
    """
    k, queries, seed = whole_number("k", k), whole_number("queries", queries), whole_number("seed", seed, 0)
    if merge:
        index.merge()
    records = index.records()
    if len(records) < 2:
        raise BadQuery(
            f"There are {len(records)} pictures at {index.address}, too few to measure. Index more pictures."
        )
    if grid is None:
        grid = default_grid(index.passport.method, len(records), k) if index.approximates else ()
    settings: list[Setting] = [None, *grid]
    if len(settings) == 1:
        raise BadQuery(
            f"The index at {index.address} has the method {index.passport.method!r}, which loses nothing. "
            "Copy it to an approximate method: imgsearch copy FROM TO --method SPEC"
        )
    asking = sample_rows(len(records), queries, seed)
    own = [records[row].id for row in asking]
    answers, times = _ask(index, index.vectors(own), own, k, settings, progress)
    labels = {record.id: record.label for record in records}
    sizes = Counter(labels.values())
    wanted = [label if label is not None and sizes[label] > 1 else None for label in map(labels.__getitem__, own)]
    halves, tails = np.percentile(times, [50, 95], axis=0)
    lost = losses(answers[0], answers, wanted, labels)
    return RecallReport(
        rows=tuple(
            Measured(found.method, setting, loss, float(p50), float(p95))
            for found, setting, loss, p50, p95 in zip(answers, settings, lost, halves, tails, strict=True)
        ),
        k=k,
        queries=len(own),
        labelled=sum(label is not None for label in wanted),
        gallery=len(records),
        segments=index.segments(),
        passport=index.passport.published(),
    )


def default_grid(method: str, n: int, k: int = 10) -> list[Approx]:
    """The settings to try for an approximate method SPEC over ``n`` vectors.

    These are numbers of candidates, and probes where it has them. There are more candidates than ``k``, because an
    index uses at least as many.
    """
    name = method.partition(":")[0]
    tried = TRIED_HASHED if name.endswith("-lsh") else TRIED_NATIVE
    counts = [count for count in tried if k < count < n] or [min(n, MOST_CANDIDATES)]
    return [Approx(count, probes) for probes in TRIED_PROBES.get(name, (None,)) for count in counts]


def sample_rows(n: int, count: int, seed: int) -> list[int]:
    """``count`` of ``n`` rows drawn without replacement, all of them where there are no more, ascending."""
    return sorted(np.random.default_rng(seed).permutation(n)[:count].tolist())


def _ask(
    index: VectorIndex, vectors: Vectors, own: Sequence[str], k: int, settings: Sequence[Setting], progress: bool | None
) -> tuple[list[Neighbours], npt.NDArray[np.float64]]:
    """The answers of every setting without the queries themselves, and ``(m, settings)`` milliseconds.

    The search is for one hit more than ``k``, and the query is dropped: excluding it would be a filter, which changes
    some methods.
    """
    here = None if answers_exactly(index, vectors[:1]) else exactly_here(index, vectors, k + 1)
    asked = settings if here is None else settings[1:]
    for setting in asked:
        for row in range(min(WARM_UP, len(vectors))):
            found = index.search(vectors[row : row + 1], k + 1, approx=setting)
        if setting is not None and found.method == "exact":
            raise BadQuery(f"{found.note or 'The answers are exact.'} There is nothing to measure at {index.address}.")
    parts: list[list[Neighbours]] = [[] for _ in asked]
    times = np.full((len(vectors), len(settings)), np.nan)
    first = len(settings) - len(asked)
    for row in progress_bar("measuring", "query", items=range(len(vectors)), shown=progress):
        for turn in range(len(asked)):
            place = (turn + row) % len(asked)
            started = time.perf_counter()
            found = index.search(vectors[row : row + 1], k + 1, approx=asked[place])
            times[row, first + place] = (time.perf_counter() - started) * 1e3
            parts[place].append(found)
    answers = ([] if here is None else [here]) + [_joined(part) for part in parts]
    return [without(found, own, k) for found in answers], times


def answers_exactly(index: VectorIndex, vector: Vectors) -> bool:
    """Whether an index can search exactly, tested with one ``(1, dim)`` query."""
    try:
        index.search(vector, 1)
    except BadQuery:  # a native method without its exact twin
        return False
    return True


def exactly_here(index: VectorIndex, vectors: Vectors, k: int) -> Neighbours:
    """The exact answers to ``(m, dim)`` queries, from all vectors of an index compared here."""
    records = index.records()
    ids = np.array([record.id for record in records], dtype=object)
    return Snapshot(0, ids, [record.label for record in records], index.vectors()).search(vectors, k, None, None)


def _joined(parts: Sequence[Neighbours]) -> Neighbours:
    ids, scores = np.concatenate([part.ids for part in parts]), np.concatenate([part.scores for part in parts])
    return Neighbours(ids, scores, parts[0].method, parts[0].note)


def _cells(row: Measured) -> tuple[Any, ...]:
    """A row of the table; what is unknown is left empty."""
    return (
        row.method,
        share(*row.loss.recall, form=".3f"),
        number(row.loss.lost[0], form="+.3f"),
        number(row.p50, form=".1f"),
        number(row.p95, form=".1f"),
        row.loss.short,
        number(row.predicted, form=".3f"),
    )
