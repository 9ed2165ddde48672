"""Approximate search of a local index: candidates from its graph and all that has changed since, scored exactly."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from imgsearch_kit.files import artefact_folder
from imgsearch_kit.index import schema
from imgsearch_kit.index.exact import Snapshot
from imgsearch_kit.index.graph import Graph, Keys, delete_graph, graph_parameters
from imgsearch_kit.progress import progress_bar
from imgsearch_kit.records import Approx, ImageRecord, IndexPassport, Neighbours, Vectors

FROM = 50_000  # pictures from which an index of the method exact has a graph, too, when one is asked for
CANDIDATES_FIRST = 64  # candidates by default: recall@10 is .997 of 100,000 real vectors
MOST_WANTED = 10_000  # hits and excluded pictures of a query, beyond which the exact search is as fast
STALE = 0.1  # the share of changed records at which a graph is built again
ROWS_AT_ONCE = 8192  # vectors read for the graph under the index's lock
QUERIES_AT_ONCE = 64
HALF_ERROR = 2e-3  # more than two products of half-precision unit vectors are off

BEING_BUILT = "The graph is being built by another search or process; this answer is exact."
FILTERED = "With a class filter all pictures of the classes are compared; this answer is exact."
FEW_LEFT = "The graph gave too few candidates for so many hits; this answer is exact."

log = logging.getLogger("imgsearch_kit")

Reading = Callable[[], AbstractContextManager[sqlite3.Connection]]


@dataclass(frozen=True)
class Wanted:
    """Queries ``(m, dim)`` for ``k`` hits each among ``count`` candidates, with the ids that are hidden from each."""

    queries: Vectors
    k: int
    count: int
    hidden: Sequence[frozenset[str]]

    @property
    def most(self) -> int:
        """The most hits and hidden pictures of a query."""
        return self.k + max(map(len, self.hidden), default=0)

    def parts(self) -> Iterator[Wanted]:
        """The same in parts of some queries."""
        for start in range(0, len(self.queries), QUERIES_AT_ONCE):
            part = slice(start, start + QUERIES_AT_ONCE)
            yield replace(self, queries=self.queries[part], hidden=self.hidden[part])


@dataclass(frozen=True)
class Covered:
    """A graph with what it lacks of an index at one generation.

    Only records with keys below ``since`` are those of the graph; ``recent`` holds the others. ``gone`` is how many of
    the graph's were deleted.
    """

    generation: int
    graph: Graph
    since: int
    gone: int
    recent: Snapshot

    def search(self, db: sqlite3.Connection, asked: Wanted) -> Neighbours | str:
        """The answer of ``Candidates.search``, as of the generation."""
        if asked.most > self.graph.count - self.gone + len(self.recent.ids):
            return FEW_LEFT
        answers: list[list[tuple[float, str]]] = []
        records: dict[str, ImageRecord] = {}
        for part in asked.parts():
            answers += self._scored(db, part, records)
            if min(map(len, answers)) < asked.k:
                return FEW_LEFT
        ids = {id_ for answer in answers for _, id_ in answer}
        records |= {record.id: record for record in schema.records_of(db, sorted(ids.difference(records)))}
        shape = len(answers), asked.k
        return Neighbours(
            np.array([[id_ for _, id_ in answer] for answer in answers], dtype=str).reshape(shape),
            np.array([[-score for score, _ in answer] for answer in answers], np.float32).reshape(shape),
            f"{self.graph.spec},candidates={asked.count}",
            records={id_: records[id_] for id_ in sorted(ids)},
        )

    def _scored(
        self, db: sqlite3.Connection, asked: Wanted, records: dict[str, ImageRecord]
    ) -> Iterator[list[tuple[float, str]]]:
        """Pairs of (-cosine, id) of each query's best, at most ``k``; records that were read go to ``records``."""
        near = self._near(db, asked)
        keys, found, matrix = schema.keyed(db, {key for each in near for key in each.tolist()}, self.graph.dim)
        records |= {record.id: record for record in found}
        others = self.recent.search(asked.queries, asked.k, None, [sorted(each) for each in asked.hidden])
        for i, query in enumerate(asked.queries):
            rows = np.searchsorted(keys, near[i])
            cosines = np.clip((matrix[rows] * query).sum(axis=1), -1, 1)  # the sums of the exact search
            pairs = ((-score, found[row].id) for row, score in zip(rows.tolist(), cosines.tolist(), strict=True))
            best = [(score, id_) for score, id_ in pairs if id_ not in asked.hidden[i]]
            best += [
                (-score, id_)
                for score, id_ in zip(others.scores[i].tolist(), others.ids[i].tolist(), strict=True)
                if id_
            ]
            yield sorted(best)[: asked.k]

    def _near(self, db: sqlite3.Connection, asked: Wanted) -> list[Keys]:
        """The keys of each query's candidates that can be among its best, as far as half precision tells."""
        wanted = min(max(asked.count, asked.most), self.graph.count)
        if not wanted:
            return [np.zeros(0, np.uint64)] * len(asked.queries)
        found = [
            (keys[valid], gaps[valid])
            for keys, gaps in self.graph.nearest(asked.queries, wanted)
            for valid in [keys < self.since]
        ]
        if self.gone:
            there = schema.present(db, {key for keys, _ in found for key in keys.tolist()})
            found = [(keys[left], gaps[left]) for keys, gaps in found for left in [np.isin(keys, there)]]
        last = asked.most - 1
        return [keys if len(keys) <= last else keys[gaps <= gaps[last] + HALF_ERROR] for keys, gaps in found]


@dataclass
class Candidates:
    """The graph of one local index: loaded or built when it is first needed, and again when a tenth has changed.

    ``reading`` gives one consistent state of the index. ``folder`` is where the graph is kept, None for nowhere.
    """

    reading: Reading
    parameters: Mapping[str, int]
    dim: int
    folder: Path | None
    _graph: Graph | None = None
    _covered: Covered | None = None
    _building: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(cls, reading: Reading, passport: IndexPassport, *, kept: bool) -> Candidates:
        """Those of an index; without a uuid, or not ``kept``, its graph lasts as long as this object.

        :raises BadQuery: when the method of the index is neither ``exact`` nor ``hnsw``.
        """
        folder = artefact_folder(passport) if kept and passport.uuid else None
        return cls(reading, graph_parameters(passport.method), passport.dim, folder)

    def search(
        self, queries: Vectors, k: int, approx: Approx, exclude: Sequence[Sequence[str]] | None
    ) -> Neighbours | str:
        """The ``k`` nearest of each query in order of (-cosine, id), or a sentence that says why there are not as many.

        Every cosine is that of the exact search. The graph is built if there is none.
        """
        hidden = [frozenset(each) for each in exclude] if exclude is not None else [frozenset[str]()] * len(queries)
        asked = Wanted(queries, k, max(k, approx.candidates or max(CANDIDATES_FIRST, 2 * k)), hidden)
        if asked.most > MOST_WANTED:
            return FEW_LEFT
        for build in (self.build, lambda: False):
            with self.reading() as db:
                covered = self._cover(db)
                if covered:
                    return covered.search(db, asked)
            if not build():
                break
        return BEING_BUILT

    # -- the graph --------------------------------------------------------------------------------------------------

    def build(self, *, progress: bool | None = None) -> bool:
        """Builds the graph unless the index has one; False when another thread or process is building it now.

        Meanwhile the index can be searched and changed. What cannot be kept is used as long as this object.
        """
        if not self._building.acquire(blocking=False):
            return False
        try:
            with self._alone() as alone:
                if not alone:
                    return False
                with self.reading() as db:
                    if self._cover(db):
                        return True
                    commit, count = schema.last_commit(db), schema.count_records(db)
                graph = Graph.of(self.parameters, self.dim, commit, self._batches(count, progress))
                with self.reading():  # no other thread is between looking at these two
                    self._covered, self._graph = None, graph
                self._save(graph)
                return True
        finally:
            self._building.release()

    def remove(self) -> None:
        """Deletes the graph."""
        self._graph = self._covered = None
        if self.folder is not None:
            with suppress(OSError):
                delete_graph(self.folder)

    def _cover(self, db: sqlite3.Connection) -> Covered | None:
        """The graph as of now, if there is one of which no more than a tenth has changed."""
        generation = schema.generation(db)
        if self._covered is None or self._covered.generation != generation:
            self._covered = self._covering(db, generation, self._graph)
            if self._covered is None and self.folder is not None:
                self._covered = self._covering(db, generation, Graph.load(self.folder))
        if self._covered is not None:
            self._graph = self._covered.graph
        return self._covered

    def _covering(self, db: sqlite3.Connection, generation: int, graph: Graph | None) -> Covered | None:
        if graph is None or (graph.parameters, graph.dim) != (self.parameters, self.dim):
            return None
        since = schema.first_since(db, graph.commit)
        if since is None:
            return None
        changed = schema.count_records(db, since)
        gone = graph.count - (schema.count_records(db) - changed)
        if gone < 0 or changed + gone > STALE * graph.count:
            return None
        ids, matrix = schema.vectors_by_id(db, self.dim, "WHERE key >= ?", [since])
        return Covered(generation, graph, since, gone, Snapshot(generation, ids, [], matrix))

    def _save(self, graph: Graph) -> None:
        if self.folder is None:
            return
        try:
            graph.save(self.folder)
        except OSError as error:
            log.warning(
                "The graph could not be saved in %s: %s. It will be built again next time. "
                "Set IMGSEARCH_CACHE to a writable folder.",
                self.folder,
                error,
            )

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        """Whether no other process is building the graph, for as long as the block takes."""
        lock = None
        if self.folder is not None:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                lock = FileLock(self.folder / "graph.lock", timeout=0, thread_local=False)
                lock.acquire()
            except Timeout:
                yield False
                return
            except OSError:  # nothing can be kept there, so nobody else builds it there
                lock = None
        try:
            yield True
        finally:
            if lock is not None:
                lock.release()

    def _batches(self, count: int, progress: bool | None) -> Iterator[tuple[Keys, Vectors]]:
        """All keys and vectors, read piece by piece, so that other threads can use the index between."""
        last = -1
        query = "SELECT key, vector FROM vectors WHERE key > ? ORDER BY key LIMIT ?"
        with progress_bar("building the graph", "img", count, shown=progress) as bar:
            while True:
                with self.reading() as db:
                    rows = db.execute(query, (last, ROWS_AT_ONCE)).fetchall()
                if not rows:
                    return
                yield (
                    np.array([key for key, _ in rows], np.uint64),
                    schema.matrix_of([row[1] for row in rows], self.dim),
                )
                last = rows[-1][0]
                bar.update(len(rows))
