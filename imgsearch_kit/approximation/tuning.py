"""Finds a method and parameters for a wanted recall: simulated on a sample in memory, verified on a real index."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from imgsearch_kit.approximation.lsh import Simulation
from imgsearch_kit.approximation.over_index import (
    Measured,
    answers_exactly,
    exactly_here,
    measure_recall,
    sample_rows,
)
from imgsearch_kit.approximation.recall import without
from imgsearch_kit.arguments import whole_number
from imgsearch_kit.errors import BadQuery
from imgsearch_kit.index.base import VectorIndex
from imgsearch_kit.progress import progress_bar
from imgsearch_kit.records import Approx, Vectors
from imgsearch_kit.reports import Report, Table, fields_of, number, plain
from imgsearch_kit.vectors import Floats

HASHED_AT_ONCE = 20_000  # vectors hashed at once
CANDIDATES = (20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000, 1500, 2000, 3000, 5000, 7000, 10_000)
SIMULATED_PROBES = {"l2-lsh": (0, 3)}
SURE = 1.645  # standard errors by which a prediction must exceed the wanted recall: 95 % one-sided
# Nanoseconds of one core as timed on the plugin; only their ratios matter, for the order of the settings.
NS_MULTIPLY, NS_POSTING, NS_DOCUMENT = 1.0, 3.0, 2.0

Grid = Mapping[str, Sequence[Mapping[str, int]]]


@dataclass(frozen=True)
class Proposal:
    """A method SPEC with its query parameters, the recall predicted by a simulation, and the cost of a query.

    ``work`` is a rough estimate of the server's milliseconds, without the time of the request. ``measured`` and
    ``exact`` are rows of a real index, after verification.
    """

    method: str
    setting: Approx
    predicted: float
    work: float
    measured: Measured | None = None
    exact: Measured | None = None

    @property
    def recall(self) -> float:
        """The recall as measured, or else as predicted."""
        return self.measured.loss.recall[0] if self.measured else self.predicted

    def to_json(self) -> dict[str, Any]:
        """The proposal as plain JSON values."""
        return {"method": self.method, **fields_of(self.setting)} | {
            name: plain(getattr(self, name)) for name in ("predicted", "work", "measured", "exact")
        }


@dataclass(frozen=True)
class Tuning(Report):
    """The cheapest setting of each method that reaches a wanted recall, cheapest first.

    A method that does not reach it comes after those that do, with its best setting. ``sampled`` is how many of
    ``gallery`` vectors were hashed, ``simulated`` how many settings were simulated, 0 where they were measured.
    """

    wanted: float
    k: int
    queries: int
    gallery: int
    sampled: int
    simulated: int
    proposals: tuple[Proposal, ...]

    @property
    def best(self) -> Proposal | None:
        """The fastest proposal that reaches the wanted recall, as measured or predicted; None when none does."""
        reaching = [proposal for proposal in self.proposals if proposal.recall >= self.wanted]
        return min(reaching, key=lambda p: p.measured.p50 if p.measured else p.work, default=None)

    @property
    def exact_is_as_fast(self) -> bool | None:
        """Whether exact answers took no longer than the best proposal's in the same run; None when not measured."""
        best = self.best
        return best.exact.p50 <= best.measured.p50 if best and best.measured and best.exact else None

    def to_json(self) -> dict[str, Any]:
        """The document of ``imgsearch tune --json``."""
        return fields_of(self) | {"best": plain(self.best), "exact_is_as_fast": self.exact_is_as_fast}

    def tables(self) -> Sequence[Table]:
        """The proposals, with what was measured if they were verified."""
        head = ["method", "candidates", "probes", f"recall@{self.k} predicted"]
        if any(proposal.measured for proposal in self.proposals):
            head += ["measured", "p50 ms", "exact p50 ms"]
        return [Table([_cells(proposal)[: len(head)] for proposal in self.proposals], head)]

    def notes(self) -> Sequence[str]:
        """What was simulated, and the options to use."""
        of = "" if self.sampled == self.gallery else f"{self.sampled} of "
        done = f"{self.simulated} settings simulated" if self.simulated else "Measured on the index itself"
        notes = [f"{done}: {self.queries} queries against {of}{self.gallery} pictures."]
        if self.best is None:
            return [
                *notes,
                f"None reaches a recall of {self.wanted}. Search exactly, or accept a lower recall: --recall",
            ]
        wish = f"--approx --candidates {self.best.setting.candidates}"
        if self.best.setting.probes:
            wish += f" --probes {self.best.setting.probes}"
        notes.append(f"Proposed: an index with --method {self.best.method}, searched with {wish}")
        if self.exact_is_as_fast and self.best.measured and self.best.exact:
            medians = f"{self.best.exact.p50:.1f} ms against {self.best.measured.p50:.1f} ms"
            notes.append(f"But exact search is as fast here (median {medians}) and loses nothing.")
        return notes

    def frame(self) -> Iterable[Mapping[str, Any]]:
        """The rows of ``to_dataframe``, one a proposal: what ``Proposal.to_json`` gives."""
        return (proposal.to_json() for proposal in self.proposals)


def parameter_grid(dim: int) -> dict[str, list[dict[str, int]]]:
    """The parameters tried for vectors of ``dim`` dimensions, by method; w is as small as the plugin takes."""
    tables = (50, 100, 200)
    return {
        "l2-lsh": [{"L": L, "k": k, "w": w} for w in (1, 2) for k in (2, 3, 4, 6) for L in tables],
        "cosine-lsh": [{"L": L, "k": k} for k in (1, 2, 4, 6, 8) for L in tables],
        "permutation-lsh": [{"k": k} for k in (16, 32, 64, 128, 256, 512, 1024) if k <= dim],
    }


def propose(
    index: VectorIndex,
    wanted: float = 0.95,
    *,
    k: int = 10,
    queries: int = 200,
    sample: int = HASHED_AT_ONCE,
    grid: Grid | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> Tuning:
    """Simulates Elastiknn's hashing methods on an index's own vectors and keeps the cheapest setting of each.

    ``queries`` pictures are drawn by ``seed``; their exact neighbours come from the index. If there are more than
    ``sample`` vectors, that many are drawn to represent the rest. ``grid`` maps methods to the parameters to try. A
    prediction must exceed ``wanted`` by its own uncertainty over the queries.

    :raises BadQuery: when ``wanted`` is not in (0, 1], or the index has no more than ``k`` pictures.
    """
    _check_wanted(wanted)
    k, queries, seed = whole_number("k", k), whole_number("queries", queries), whole_number("seed", seed, 0)
    drawn = Sample.of(index, k, queries, sample, seed)
    tried = parameter_grid(drawn.vectors.shape[1]) if grid is None else grid
    settings = [(name, params) for name, each in tried.items() for params in each]
    found: dict[str, list[tuple[bool, Proposal]]] = {name: [] for name in tried}
    for name, params in progress_bar("simulating", "setting", items=settings, shown=progress):
        found[name] += drawn.proposals(name, params, wanted)
    best = [min(each, key=_cost) for each in found.values() if each]
    return Tuning(
        wanted=wanted,
        k=k,
        queries=len(drawn.asking),
        gallery=drawn.gallery,
        sampled=len(drawn.vectors),
        simulated=sum(map(len, found.values())),
        proposals=tuple(proposal for _, proposal in sorted(best, key=_cost)),
    )


def _cost(judged: tuple[bool, Proposal]) -> tuple[bool, float]:
    """The sort key of preference: settings that reach the wanted recall by work, then the rest by predicted recall."""
    reaches, proposal = judged
    return (False, proposal.work) if reaches else (True, -proposal.predicted)


@dataclass(frozen=True)
class Sample:
    """A sample of an index: ``(n, dim)`` vectors in id order, and how many vectors each row represents.

    ``asking`` is ``(m,)`` and ``neighbours`` ``(m, k)``: rows of the queries and of their exact neighbours.
    """

    vectors: Vectors
    weights: Floats
    asking: npt.NDArray[np.intp]
    neighbours: npt.NDArray[np.intp]
    gallery: int

    @classmethod
    def of(cls, index: VectorIndex, k: int, queries: int, sample: int, seed: int) -> Sample:
        """Draws the queries, finds their neighbours in the index, and draws about ``sample`` vectors in all.

        :raises BadQuery: when there are no more than ``k`` pictures.
        """
        ids = [record.id for record in index.records()]
        if len(ids) <= k:
            raise BadQuery(
                f"There are {len(ids)} pictures at {index.address}, too few to tune for {k} neighbours. Index more."
            )
        asking = [ids[row] for row in sample_rows(len(ids), queries, seed)]
        vectors = index.vectors(asking)
        search = index.search if answers_exactly(index, vectors[:1]) else partial(exactly_here, index)
        exact = without(search(vectors, k + 1), asking, k).ids
        needed = set(asking) | set(exact.ravel().tolist())
        others = [name for name in ids if name not in needed]
        drawn = {others[row] for row in sample_rows(len(others), max(sample - len(needed), 0), seed)}
        chosen = [name for name in ids if name in needed or name in drawn]
        row = {name: i for i, name in enumerate(chosen)}
        stands_for = len(others) / max(len(drawn), 1)
        return cls(
            vectors=index.vectors(chosen),
            weights=np.array([1.0 if name in needed else stands_for for name in chosen]),
            asking=np.array([row[name] for name in asking]),
            neighbours=np.array([[row[name] for name in each] for each in exact.tolist()]),
            gallery=len(ids),
        )

    def places(self, name: str, params: Mapping[str, int], probes: int) -> tuple[Floats, float]:
        """The places of the queries' neighbours among a method's candidates, and the tokens visited per query."""
        simulation = Simulation.of(self.vectors, name, params)
        return simulation.places(self.vectors[self.asking], self.neighbours, probes=probes, weights=self.weights)

    def proposals(self, name: str, params: Mapping[str, int], wanted: float) -> Iterator[tuple[bool, Proposal]]:
        """For each number of probes: whether the wanted recall is reached, and the fewest candidates or the most."""
        spec = f"{name}:{','.join(f'{key}={value}' for key, value in params.items())}"
        for probes in SIMULATED_PROBES.get(name, (0,)):
            places, visited = self.places(name, params, probes)
            for candidates in CANDIDATES:
                found = (places <= candidates).mean(axis=1)
                reaches = bool(found.mean() - SURE * found.std() / np.sqrt(len(found)) >= wanted)
                if reaches or candidates >= min(self.gallery, CANDIDATES[-1]):
                    break
            work = self._work(params.get("L", 0) * params["k"], candidates, visited)
            yield reaches, Proposal(spec, Approx(candidates, probes or None), float(found.mean()), work)

    def _work(self, functions: int, candidates: int, visited: float) -> float:
        """A rough estimate of a query's milliseconds: hashing and scoring, reading the postings, ranking the counts."""
        products = self.vectors.shape[1] * (functions + min(candidates, self.gallery))
        return (products * NS_MULTIPLY + visited * NS_POSTING + self.gallery * NS_DOCUMENT) / 1e6


def fewest_candidates(index: VectorIndex, wanted: float = 0.95, **options: Any) -> Tuning:
    """The fewest candidates with which an index's own approximate method reaches a wanted recall, measured on it.

    ``options`` are those of ``measure_recall``. Where no number of candidates reaches it, the proposal is the best.

    :raises BadQuery: when ``wanted`` is not in (0, 1], or there is nothing to measure.
    """
    _check_wanted(wanted)
    report = measure_recall(index, **options)
    exact, *rows = report.rows
    enough = (row for row in rows if row.loss.recall[0] >= wanted)
    best = next(enough, None) or max(rows, key=lambda row: row.loss.recall[0])
    assert best.setting is not None
    proposal = Proposal(index.passport.method, best.setting, np.nan, best.p50, best, exact)
    return Tuning(wanted, report.k, report.queries, report.gallery, report.gallery, 0, (proposal,))


def _check_wanted(wanted: float) -> None:
    if not 0 < wanted <= 1:
        raise BadQuery(f"The wanted recall must be above 0 and at most 1; it is {wanted}.")


def verify(
    tuning: Tuning,
    copied: Callable[[str], AbstractContextManager[VectorIndex]],
    *,
    queries: int = 200,
    seed: int = 1,
    progress: bool | None = None,
) -> Tuning:
    """The same proposals with measurements on a real index of one segment, fastest first.

    ``copied`` makes a copy on a server with a method SPEC, for the time of a block (``indexing.copy.temporary_copy``).
    With another ``seed`` than in tuning, the queries are different.

    :raises PluginMissing: when the server has no Elastiknn plugin.
    """
    done = []
    for proposal in tuning.proposals:
        with copied(proposal.method) as made:
            report = measure_recall(
                made, k=tuning.k, queries=queries, grid=[proposal.setting], merge=True, seed=seed, progress=progress
            )
        exact, measured = report.rows
        row = dataclasses.replace(measured, predicted=proposal.predicted)
        done.append(dataclasses.replace(proposal, measured=row, exact=exact))
    done.sort(key=lambda p: (p.recall < tuning.wanted, p.measured.p50 if p.measured else p.work))
    return dataclasses.replace(tuning, proposals=tuple(done))


def _cells(proposal: Proposal) -> tuple[Any, ...]:
    """A row of the table; what is unknown is left empty."""
    measured, exact = proposal.measured, proposal.exact
    return (
        proposal.method,
        proposal.setting.candidates,
        proposal.setting.probes or None,
        number(proposal.predicted, form=".3f"),
        number(measured.loss.recall[0] if measured else None, form=".3f"),
        number(measured.p50 if measured else None, form=".1f"),
        number(exact.p50 if exact else None, form=".1f"),
    )
