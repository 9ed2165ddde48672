"""From a wanted recall to a method and its parameters: simulated on a sample in memory, verified on a real index."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from tqdm.auto import tqdm

from imgsearch_kit import reports
from imgsearch_kit.approximation.lsh import Simulation
from imgsearch_kit.approximation.over_index import (
    Measured,
    answers_exactly,
    exactly_here,
    measure_recall,
    sample_rows,
    table,
)
from imgsearch_kit.approximation.recall import without
from imgsearch_kit.errors import BadQuery
from imgsearch_kit.index import create_index
from imgsearch_kit.index.base import VectorIndex
from imgsearch_kit.index.elastic.segments import drop
from imgsearch_kit.indexing.copy import batches
from imgsearch_kit.records import Approx, Vectors
from imgsearch_kit.vectors import Floats

if TYPE_CHECKING:
    import pandas as pd

SAMPLE = 20_000  # vectors hashed at once
CANDIDATES = (20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000, 1500, 2000, 3000, 5000, 7000, 10_000)
PROBES = {"l2-lsh": (0, 3)}
SURE = 1.645  # standard errors that a prediction must lie above the wanted recall: 95 % one-sided
# Nanoseconds of one core as timed on the plugin; only their ratios matter: they say which setting is tried first.
NS_MULTIPLY, NS_POSTING, NS_DOCUMENT = 1.0, 3.0, 2.0

Grid = Mapping[str, Sequence[Mapping[str, int]]]


@dataclass(frozen=True)
class Proposal:
    """A method SPEC with its query parameters, the recall that a simulation predicts, and what a query costs.

    ``work`` is a rough estimate of the server's milliseconds, without the request around them. ``measured`` and
    ``exact`` are rows of a real index, once verified.
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
        plain: dict[str, Any] = {"method": self.method, **dataclasses.asdict(self.setting)}
        plain |= {"predicted": self.predicted, "work": self.work}
        rows = {"measured": self.measured, "exact": self.exact}
        return plain | {name: row and row.to_json() for name, row in rows.items()}


@dataclass(frozen=True)
class Tuning:
    """For a wanted recall the cheapest setting of each method that reaches it, cheapest first.

    A method that reaches it nowhere stands behind those that do, with its best. ``sampled`` is how many of ``gallery``
    vectors were hashed, ``simulated`` how many settings were.
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
        """The fastest proposal that reaches the wanted recall, as far as it is known; None when none does."""
        reaching = [proposal for proposal in self.proposals if proposal.recall >= self.wanted]
        return min(reaching, key=lambda p: p.measured.p50 if p.measured else p.work, default=None)

    @property
    def exact_is_as_fast(self) -> bool | None:
        """Whether exact answers took no longer than the best proposal's in the same run; None when not measured."""
        best = self.best
        return best.exact.p50 <= best.measured.p50 if best and best.measured and best.exact else None

    def to_json(self) -> dict[str, Any]:
        """The document of ``imgsearch tune --json``."""
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        plain["proposals"] = [proposal.to_json() for proposal in self.proposals]
        best = self.best.to_json() if self.best else None
        return plain | {"best": best, "exact_is_as_fast": self.exact_is_as_fast}

    def _repr_html_(self) -> str:
        head, *rows = self._table()
        about = f"For a recall@{self.k} of {self.wanted}: {self.simulated} settings simulated"
        return reports.table(head, rows, about)

    def to_dataframe(self) -> pd.DataFrame:
        """A pandas table with a row a proposal: the keys of its JSON, nested ones as ``measured p50``."""
        return reports.dataframe(map(reports.flat, (proposal.to_json() for proposal in self.proposals)))

    def _table(self) -> list[list[str]]:
        head = ["method", "candidates", "probes", f"recall@{self.k} predicted"]
        if any(proposal.measured for proposal in self.proposals):
            head += ["measured", "p50 ms", "exact p50 ms"]
        return [head, *(list(_cells(proposal)[: len(head)]) for proposal in self.proposals)]

    def lines(self) -> list[str]:
        """The proposals as a table for people, and what to type."""
        of = "" if self.sampled == self.gallery else f"{self.sampled} of "
        lines = [
            *table(self._table()),
            "",
            f"{self.simulated} settings simulated: {self.queries} queries against {of}{self.gallery} pictures.",
        ]
        if self.best is None:
            return [
                *lines,
                f"None reaches a recall of {self.wanted}. Search exactly, or allow more loss: --recall",
            ]
        wish = f"--approx --candidates {self.best.setting.candidates}"
        if self.best.setting.probes:
            wish += f" --probes {self.best.setting.probes}"
        lines.append(f"Proposed: an index with --method {self.best.method}, searched with {wish}")
        if self.exact_is_as_fast and self.best.measured and self.best.exact:
            medians = f"{self.best.exact.p50:.1f} ms against {self.best.measured.p50:.1f} ms"
            lines.append(f"But exact is as fast here ({medians} in the median) and loses nothing.")
        return lines


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
    sample: int = SAMPLE,
    grid: Grid | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> Tuning:
    """Simulates Elastiknn's hashing methods on an index's own vectors and keeps the cheapest setting of each.

    ``queries`` pictures are drawn by ``seed``, their exact neighbours come from the index. Of more than ``sample``
    vectors as many are drawn and stand for the rest. ``grid`` maps methods to the parameters to try. A prediction must
    lie above ``wanted`` by as much as its own uncertainty over the queries.

    :raises BadQuery: when ``wanted`` does not lie in (0, 1], or the index has no more than ``k`` pictures.
    """
    if not 0 < wanted <= 1:
        raise BadQuery(f"The wanted recall must lie above 0 and be at most 1; it is {wanted}.")
    drawn = Sample.of(index, k, queries, sample, seed)
    tried = parameter_grid(drawn.vectors.shape[1]) if grid is None else grid
    settings = [(name, params) for name, each in tried.items() for params in each]
    found: dict[str, list[tuple[bool, Proposal]]] = {name: [] for name in tried}
    disable = None if progress is None else not progress
    for name, params in tqdm(settings, unit="setting", desc="simulating", disable=disable):
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
    """In the order of preference: what reaches the wanted recall by its work, then the rest by what they lose."""
    reaches, proposal = judged
    return (False, proposal.work) if reaches else (True, -proposal.predicted)


@dataclass(frozen=True)
class Sample:
    """A sample of an index: ``(n, dim)`` vectors in id order, and how many each row stands for.

    ``asking`` is ``(m,)`` and ``neighbours`` ``(m, k)``: rows of the queries and of their exact neighbours.
    """

    vectors: Vectors
    weights: Floats
    asking: npt.NDArray[np.intp]
    neighbours: npt.NDArray[np.intp]
    gallery: int

    @classmethod
    def of(cls, index: VectorIndex, k: int, queries: int, sample: int, seed: int) -> Sample:
        """Draws the queries, asks the index for their neighbours, and draws about ``sample`` vectors in all.

        :raises BadQuery: when there are no more than ``k`` pictures.
        """
        ids = [record.id for record in index.records()]
        if len(ids) <= k:
            raise BadQuery(f"There are {len(ids)} pictures at {index.address}; to tune for {k} neighbours index more.")
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
        """Where the queries' neighbours stand among a method's candidates, and the tokens visited per query."""
        simulation = Simulation.of(self.vectors, name, params)
        return simulation.places(self.vectors[self.asking], self.neighbours, probes=probes, weights=self.weights)

    def proposals(self, name: str, params: Mapping[str, int], wanted: float) -> Iterator[tuple[bool, Proposal]]:
        """For each number of probes the fewest candidates that reach the wanted recall, or the most; and whether so."""
        spec = f"{name}:{','.join(f'{key}={value}' for key, value in params.items())}"
        for probes in PROBES.get(name, (0,)):
            places, visited = self.places(name, params, probes)
            for candidates in CANDIDATES:
                found = (places <= candidates).mean(axis=1)
                reaches = bool(found.mean() - SURE * found.std() / np.sqrt(len(found)) >= wanted)
                if reaches or candidates >= min(self.gallery, CANDIDATES[-1]):
                    break
            work = self._work(params.get("L", 0) * params["k"], candidates, visited)
            yield reaches, Proposal(spec, Approx(candidates, probes or None), float(found.mean()), work)

    def _work(self, functions: int, candidates: int, visited: float) -> float:
        """One query's milliseconds, roughly: hashing and scoring, walking the postings, ranking the counts."""
        products = self.vectors.shape[1] * (functions + min(candidates, self.gallery))
        return (products * NS_MULTIPLY + visited * NS_POSTING + self.gallery * NS_DOCUMENT) / 1e6


def verify(
    tuning: Tuning, index: VectorIndex, address: str, *, queries: int = 200, seed: int = 1, progress: bool | None = None
) -> Tuning:
    """The same proposals beside what a real index of one segment measures, fastest first.

    For each one an index is made on the server of ``address`` (``http(s)://HOST:9200/NAME``), named tune-NAME with a
    random ending, filled from ``index``, measured and deleted. With another ``seed`` than was tuned with, the queries
    are others.

    :raises PluginMissing: when the server has no Elastiknn plugin.
    """
    done = []
    for proposal in tuning.proposals:
        with temporary_copy(index, address, proposal.method, progress) as made:
            report = measure_recall(
                made, k=tuning.k, queries=queries, grid=[proposal.setting], merge=True, seed=seed, progress=progress
            )
        exact, measured = report.rows
        row = dataclasses.replace(measured, predicted=proposal.predicted)
        done.append(dataclasses.replace(proposal, measured=row, exact=exact))
    done.sort(key=lambda p: (p.recall < tuning.wanted, p.measured.p50 if p.measured else p.work))
    return dataclasses.replace(tuning, proposals=tuple(done))


@contextmanager
def temporary_copy(
    index: VectorIndex, address: str, method: str, progress: bool | None = None
) -> Iterator[VectorIndex]:
    """A copy of an index on a server with another method, deleted at the end."""
    server, _, name = address.rpartition("/")
    passport = dataclasses.replace(index.passport, uuid=str(uuid.uuid4()), generation=0, count=0, method=method)
    with create_index(f"{server}/tune-{name}-{uuid.uuid4().hex[:8]}", passport) as made:
        try:
            disable = None if progress is None else not progress
            with tqdm(total=len(index), unit="img", desc=method, disable=disable) as bar:
                for records, vectors in batches(index):
                    made.add(records, vectors)
                    bar.update(len(records))
            made.flush()
            yield made
        finally:
            drop(made)


def _cells(proposal: Proposal) -> list[str]:
    """A row of the table; what is unknown is left empty."""
    measured, exact = proposal.measured, proposal.exact
    return [
        proposal.method,
        str(proposal.setting.candidates),
        str(proposal.setting.probes or ""),
        f"{proposal.predicted:.3f}",
        f"{measured.loss.recall[0]:.3f}" if measured else "",
        f"{measured.p50:.1f}" if measured else "",
        f"{exact.p50:.1f}" if exact else "",
    ]
