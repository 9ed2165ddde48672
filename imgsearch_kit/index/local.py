"""An index in one SQLite file (or in memory): exact search over a copy of its vectors, approximate by a graph."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections.abc import Callable, Sequence

import numpy as np

from imgsearch_kit.index import schema, sqlite
from imgsearch_kit.index.arguments import NOT_TEXT, check_add, check_search, is_text
from imgsearch_kit.index.base import NO_APPROX, TAKEN_AT_ONCE, VectorIndex, batched
from imgsearch_kit.index.candidates import FILTERED, FROM, Candidates
from imgsearch_kit.index.database import LocalDatabase
from imgsearch_kit.index.exact import Snapshot
from imgsearch_kit.index.stored import check_unchanged, replaced_failures
from imgsearch_kit.records import Approx, Failure, ImageRecord, IndexPassport, Neighbours, Refused, Vectors

LOADED_AT_ONCE = 4096  # vectors


class LocalIndex(LocalDatabase):
    """An index in one SQLite file; vectors are little-endian float32 blobs.

    Exact search runs over a copy of all vectors in memory, which is loaded again when the index has changed; with
    ``labels`` only those of the classes are read. Approximate search reads the vectors that a graph proposes
    (``candidates``), and never waits for a graph that another thread or process builds.
    """

    _has_graph = True  # where the method is hnsw, or there are many records
    _snapshot: Snapshot | None = None
    _of_labels: tuple[tuple[str, ...], Snapshot] | None = None  # the last read of some labels alone
    _candidates: tuple[str, Candidates] | None = None  # by uuid

    def __len__(self) -> int:
        with self._reading() as db:
            return schema.count_records(db)

    def records(self, ids: Sequence[str] | None = None) -> list[ImageRecord]:
        """All records, or those of ``ids``, in id order, read from the file."""
        with self._reading() as db:
            return schema.records(db) if ids is None else schema.records_of(db, ids)

    def vectors(self, ids: Sequence[str] | None = None) -> Vectors:
        """A copy of all vectors, or those of ``ids`` read from the file, in id order."""
        if ids is None:
            return self._now().matrix.copy()
        with self._reading() as db:
            query = f"WHERE {schema.ID_IN_LIST}"
            return schema.vectors_by_id(db, self._passport.dim, query, [schema.ids_json(ids)])[1].copy()

    def entries(self, ids: Sequence[str] | None = None) -> tuple[list[ImageRecord], Vectors]:
        """All records, or those of ``ids``, with their vectors, as of one commit; all vectors are the searched ones."""
        with self._reading():
            return self.records(ids), self._now().matrix if ids is None else self.vectors(ids)

    def label_counts(self) -> dict[str, int]:
        """The number of records of each label, by label."""
        with self._reading() as db:
            query = "SELECT label, count(*) FROM records WHERE label IS NOT NULL GROUP BY label ORDER BY label"
            return dict(db.execute(query).fetchall())

    def failures(self) -> list[Failure]:
        """The files that could not be indexed, in path order."""
        with self._reading() as db:
            return [Failure(*row) for row in db.execute("SELECT path, reason, size, mtime FROM failures ORDER BY path")]

    def search(
        self,
        vectors: Vectors,
        k: int,
        *,
        approx: Approx | None = None,
        labels: Sequence[str] | None = None,
        exclude: Sequence[Sequence[str]] | None = None,
    ) -> Neighbours:
        """The ``k`` nearest records of each query; with ``approx`` by the graph, if the index has one.

        The graph is built at the first such search. Where it cannot answer, as with ``labels``, the answer is exact and
        the note says why.
        """
        queries = check_search(vectors, self._passport.dim, k, exclude, approx, labels)
        note = ""
        if approx is not None:
            answer = self._approximate(queries, k, approx, labels, exclude)
            if isinstance(answer, Neighbours):
                return answer
            note = answer
        found = self._now(labels).search(queries, k, labels, exclude)
        ids = sorted(set(found.ids.ravel().tolist()) - {""})
        # A record that another process has deleted since is still found, with its id alone.
        records = {id_: ImageRecord(id_) for id_ in ids} | {record.id: record for record in self.records(ids)}
        return dataclasses.replace(found, note=note, records=records)

    def _approximate(
        self,
        queries: Vectors,
        k: int,
        approx: Approx,
        labels: Sequence[str] | None,
        exclude: Sequence[Sequence[str]] | None,
    ) -> Neighbours | str:
        """The answer of the graph, or a sentence that says why there is none."""
        if not self.approximates:
            return NO_APPROX
        return FILTERED if labels is not None else self._graph.search(queries, k, approx, exclude)

    @property
    def _graph(self) -> Candidates:
        with self._lock:
            passport = self._passport
            if self._candidates is None or self._candidates[0] != passport.uuid:
                kept = self._path is not None
                self._candidates = passport.uuid, Candidates.of(self._reading, passport, kept=kept)
            return self._candidates[1]

    @property
    def approximates(self) -> bool:
        """Whether a graph is asked: with the method ``hnsw``, or from 50,000 pictures."""
        return self._has_graph and (self._passport.method != "exact" or len(self) >= FROM)

    def prepare(self, *, progress: bool | None = None) -> None:
        """Builds the graph of the method ``hnsw``, unless there is one of which no more than a tenth has changed."""
        if self._has_graph and self._passport.method != "exact":
            self._graph.build(progress=progress)

    def merge(self) -> None:
        """Builds the graph, if the method is ``hnsw`` and much has changed since it was built."""
        self.flush()
        self.prepare()

    def _now(self, labels: Sequence[str] | None = None) -> Snapshot:
        """The content as of now, loaded again only when the index has changed since the last call.

        With ``labels`` only their part of it may be loaded.
        """
        with self._reading() as db:
            generation = schema.generation(db)
            if self._snapshot is None or self._snapshot.generation != generation:
                self._snapshot = None  # two matrices at once might not fit
                if labels is not None and schema.has_table(db, "commits"):  # and the labels are indexed
                    return self._part(db, generation, tuple(sorted(set(labels))))
                self._of_labels = None
                self._snapshot = self._load(db, generation)
            return self._snapshot

    def _part(self, db: sqlite3.Connection, generation: int, labels: tuple[str, ...]) -> Snapshot:
        """The records of some labels; the last such part is kept."""
        if self._of_labels is None or (self._of_labels[0], self._of_labels[1].generation) != (labels, generation):
            self._of_labels = None
            where = "WHERE label IN (SELECT value FROM json_each(?))"
            ids, matrix = schema.vectors_by_id(db, self._passport.dim, where, [json.dumps(labels)])
            self._of_labels = labels, Snapshot(generation, ids, None, matrix)
        return self._of_labels[1]

    def _load(self, db: sqlite3.Connection, generation: int) -> Snapshot:
        rows = db.execute("SELECT key, id, label FROM records ORDER BY id").fetchall()
        keys = np.array([key for key, _, _ in rows], np.int64)
        order = np.argsort(keys)  # the vectors are read in the order in which they are stored
        matrix = np.empty((len(rows), self._passport.dim), np.float32)
        found = db.execute("SELECT vector FROM vectors ORDER BY key")
        for start in range(0, len(rows), LOADED_AT_ONCE):
            blobs = [blob for (blob,) in found.fetchmany(LOADED_AT_ONCE)]
            matrix[order[start : start + LOADED_AT_ONCE]] = schema.matrix_of(blobs, self._passport.dim)
        matrix.flags.writeable = False
        ids = np.array([id_ for _, id_, _ in rows], dtype=object)
        return Snapshot(generation, ids, [label for _, _, label in rows], matrix)

    def add(self, records: Sequence[ImageRecord], vectors: Vectors, *, replaces: Sequence[str] = ()) -> list[Refused]:
        """Writes records with their vectors in one commit; names that are not valid Unicode are refused."""
        checked = check_add(records, vectors, self._passport.dim)
        refused, kept = [], []
        for record, vector in zip(records, checked, strict=True):
            if is_text(record.id) and is_text(record.label or ""):
                kept.append((record, vector))
            else:
                refused.append(Refused(record.id, NOT_TEXT))
        if kept or replaces:
            with self._writing() as db:
                schema.delete(db, [*replaces, *(record.id for record, _ in kept)])
                schema.insert(db, kept)
        return refused

    def delete(self, ids: Sequence[str]) -> int:
        """Removes records and vectors in one commit, if there are any; returns how many there were."""
        if not self.records(ids):
            return 0
        with self._writing() as db:
            return schema.delete(db, ids)

    def set_failures(self, failures: Sequence[Failure], *, among: Callable[[str], bool] | None = None) -> None:
        """Replaces the list of files that could not be indexed, or a part of it, if it differs."""
        stored = self.failures()
        if replaced_failures(stored, failures, among) != stored:
            with self._writing() as db:
                latest = replaced_failures(self.failures(), failures, among)  # another process may have written since
                db.execute("DELETE FROM failures")
                schema.insert_failures(db, latest)

    def learned(self) -> bytes:
        """What ``set_learned`` has stored, read from the file."""
        with self._reading() as db:
            return schema.learned(db)

    def set_learned(self, learned: bytes) -> None:
        """Stores what a baked ranking has learned, in one commit."""
        with self._writing() as db:
            schema.set_learned(db, learned)

    def amend(
        self,
        *,
        roots: dict[str, str] | None = None,
        label_levels: dict[str, list[int]] | None = None,
        rank: str | None = None,
        uuid: str | None = None,
    ) -> None:
        """Writes the given passport fields, if they differ from what is there."""

        def amended(old: IndexPassport) -> IndexPassport:
            return old.amended(roots=roots, label_levels=label_levels, rank=rank, uuid=uuid)

        with self._lock:
            self.read_passport()
            if amended(self._passport) == self._passport:
                return
            with self._writing() as db:  # another process may have written since
                new = amended(schema.passport(db, self.address))
                db.execute("UPDATE passport SET json = ?", (schema.passport_json(new),))

    def replace_content_with(self, other: VectorIndex, *, unchanged: int | None) -> None:
        """Replaces the whole content and passport by those of another index, in one commit; the old graph is deleted.

        :raises IndexMismatch: when this one has another generation than ``unchanged``.
        """
        passport, graph = other.passport, self._graph if self._has_graph else None
        with self._writing() as db:
            if unchanged is not None:
                check_unchanged(self.address, unchanged, schema.generation(db))
            db.execute("DELETE FROM records")
            db.execute("DELETE FROM failures")
            for ids in batched((record.id for record in other.records()), TAKEN_AT_ONCE):
                schema.insert(db, list(zip(other.records(ids), other.vectors(ids), strict=True)))
            schema.insert_failures(db, other.failures())
            schema.set_learned(db, other.learned())
            db.execute("UPDATE passport SET json = ?", (schema.passport_json(passport),))
            self._seen = None
        if graph is not None:
            graph.remove()

    def remove(self) -> None:
        """Deletes the file with SQLite's files next to it, and closes.

        :raises IndexUnwritable: when it is read-only, or locked by another writer; then it is unchanged.
        """
        with self._lock:
            self.claim()
            if self._has_graph:
                self._graph.remove()
            self._disconnect()
            if self._path is not None:
                sqlite.remove(self._path)
            self.close()

    def _disconnect(self) -> None:
        super()._disconnect()
        self._snapshot = self._of_labels = self._candidates = None
