"""Reading an index on Elasticsearch: search, and records and vectors page by page."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial, wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np

from imgsearch_kit.errors import BadQuery, IndexNotFound, IndexUnwritable, KitError, ServerUnavailable
from imgsearch_kit.index.arguments import check_search
from imgsearch_kit.index.base import VectorIndex, batched
from imgsearch_kit.index.elastic import bodies, client
from imgsearch_kit.index.elastic.bodies import Json
from imgsearch_kit.index.elastic.client import Server
from imgsearch_kit.index.elastic.documents import PAGE, Documents
from imgsearch_kit.index.elastic.errors import TRANSIENT
from imgsearch_kit.index.elastic.methods import Method
from imgsearch_kit.index.elastic.scanning import scan
from imgsearch_kit.index.elastic.searching import nearest, search_options
from imgsearch_kit.index.exact import Snapshot
from imgsearch_kit.records import Approx, ImageRecord, IndexPassport, Neighbours, Vectors

TOGETHER = 32  # searches in one request
PAUSE = 0.1  # seconds between two looks at a running merge
PAGE_BYTES = 8 * 2**20  # of one page of vectors
NEGATIVE = "invalid score"  # what Elastiknn runs into where a cosine of -1 is rounded to a little less
FELL_BACK = "The approximate method failed on an exactly opposite picture, so the answers are exact."

P = ParamSpec("P")
R = TypeVar("R")


def following(read: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """Repeats a method in the index that has replaced this one at its address, as often as it is replaced."""

    @wraps(read)
    def follow(self: ElasticReader, /, *args: P.args, **kwargs: P.kwargs) -> R:
        while True:
            name = self._name
            try:
                return read(self, *args, **kwargs)
            except IndexNotFound:
                self._follow()
                if self._name == name:
                    raise

    return follow


class ElasticReader(VectorIndex):
    """The reading half of an index on a server; ``documents`` says how its documents hold records.

    ``name`` is the server's own index, to which the address (an alias) points. Threads may share one object.
    """

    def __init__(self, server: Server, name: str, documents: Documents, passport: IndexPassport):
        self.address = server.address
        self._server: Server | None = server
        self._name = name
        self._passport = passport
        self._counted = False  # whether the passport's count and generation are those after the last own write
        self._documents = documents
        self._changing = threading.RLock()  # held during a write, and during the refresh that makes it visible
        self._unseen = False  # whether documents written by this object are not searchable yet
        self._caught_up = False  # whether such documents of other writers were made searchable

    @property
    def passport(self) -> IndexPassport:
        """The passport as of the opening or the last reading; after own writes it is read again, once."""
        if self._counted and self._server is not None:
            return dataclasses.replace(self._passport, spec=self._passport.spec or self.declared)
        return self.read_passport()

    @following
    def read_passport(self) -> IndexPassport:
        """The passport as of now; its generation counts the server's writes."""
        with self._changing:
            stored, operations = self._stored_passport(), self._operations()
            self._caught_up = False  # refresh after counting, so that every write in the generation can be listed
            self._catch_up()
            self._keep(stored, operations)
        return self.passport

    def _operations(self) -> int:
        """How many changes the server has made to documents, including those not yet searchable."""
        stats = self._from_all_shards("GET", "_stats/docs", level="shards", filter_path="_shards,indices.*.shards")
        (index,) = stats["indices"].values()
        copies = [copy for copies in index["shards"].values() for copy in copies]
        return sum(copy["seq_no"]["max_seq_no"] + 1 for copy in copies if copy["routing"]["primary"])

    def _keep(self, stored: IndexPassport, operations: int) -> None:
        """Keeps a passport as the server has it, with its generation and the number of records now searchable."""
        generation = stored.generation + operations
        if generation != self._passport.generation:
            self._documents.forget()
        self._passport = dataclasses.replace(stored, generation=generation, count=self._number())
        self._counted = True

    @following
    def __len__(self) -> int:
        self._catch_up()
        return self._number()

    def _number(self) -> int:
        """How many records are searchable."""
        body = bodies.count_body(self._documents.everything)
        answer = self._request("POST", "_search", body, allow_partial_search_results="false")
        return answer["hits"]["total"]["value"]

    @following
    def records(self, ids: Sequence[str] | None = None) -> list[ImageRecord]:
        """All records, or those of ``ids``, in id order, page by page as of one point in time.

        Those of the original system are read once, and again when ``read_passport`` has found a change.
        """
        self._check_list(ids)
        if (known := self._catalogue()) is not None:
            found = list(known.values()) if ids is None else [known[key] for key in set(self._documents.keys(ids))]
        else:
            found = [self._documents.record(hit) for hit in self._scan(ids, vectors=False)]
        return sorted(found, key=lambda record: record.id)

    @following
    def vectors(self, ids: Sequence[str] | None = None) -> Vectors:
        """The vectors of all records, or of ``ids``, in id order, page by page as of one point in time."""
        return self.entries(ids)[1]

    @following
    def entries(self, ids: Sequence[str] | None = None) -> tuple[list[ImageRecord], Vectors]:
        """All records, or those of ``ids``, in id order with their vectors, as of one point in time."""
        pairs = [(self._documents.record(hit), self._documents.vector(hit)) for hit in self._scan(ids, vectors=True)]
        pairs.sort(key=lambda pair: pair[0].id, reverse=True)
        records, matrix = [], np.empty((len(pairs), self._passport.dim), np.float32)
        for row in range(len(pairs)):
            record, matrix[row] = pairs.pop()  # from the end, so that no vector is in memory twice
            records.append(record)
        return records, matrix

    @following
    def label_counts(self) -> dict[str, int]:
        """The number of records of each label, counted by the server."""
        if self._catalogue() is not None:
            return super().label_counts()
        self._catch_up()
        return self._by_label(bodies.labels_body)[1]

    @following
    def tally(self) -> tuple[int, dict[str, int]]:
        """The number of records and of those of each label, from one count by the server."""
        if self._catalogue() is not None:
            return super().tally()
        self._catch_up()
        return self._by_label(bodies.tally_body)

    def _by_label(self, page: Callable[[Json, Json | None], Json]) -> tuple[int, dict[str, int]]:
        """The number of records, where the pages' body asks for it, and of those of each label."""
        found: dict[str, int] = {}
        after = None
        while True:
            body = page(self._documents.everything, after)
            answer = self._request("POST", "_search", body, allow_partial_search_results="false")
            buckets = answer["aggregations"]["labels"]["buckets"]
            found |= {bucket["key"]["label"]: bucket["doc_count"] for bucket in buckets}
            if len(buckets) < bodies.MOST:
                return answer["hits"].get("total", {"value": 0})["value"], found
            after = answer["aggregations"]["labels"]["after_key"]

    def _catalogue(self) -> Mapping[str, ImageRecord] | None:
        self._connected  # noqa: B018 (refuses when closed)
        return self._documents.catalogue()

    @following
    def search(
        self,
        vectors: Vectors,
        k: int,
        *,
        approx: Approx | None = None,
        labels: Sequence[str] | None = None,
        exclude: Sequence[Sequence[str]] | None = None,
    ) -> Neighbours:
        """The ``k`` nearest records of each query; what an approximate method finds is scored exactly.

        An LSH method filters after it has taken its candidates, so with a filter the answers are exact, and the note
        says so. For more than 10,000 neighbours, the server's limit, the vectors are fetched and compared here.

        :raises BadQuery: also when the method or the server cannot do what ``approx`` says, or the index cannot
            answer exactly.
        """
        queries = check_search(vectors, self._passport.dim, k, exclude, approx, labels)
        excluded = [list(dict.fromkeys(each)) for each in exclude] if exclude else [[] for _ in queries]
        most = max(map(len, excluded), default=0)
        options, note = search_options(self._documents, self.address, k, approx, labels, most)
        if options.candidates is None and k >= bodies.MOST and len(self) > bodies.MOST:
            return self._compared_here(queries, k, labels, exclude)
        try:
            found = nearest(self._documents, self._hits_of_each, queries, k, options, excluded)
        except ServerUnavailable as error:
            if NEGATIVE not in str(error):
                raise
            exact = self._compared_here(queries, k, labels, exclude)
            return dataclasses.replace(exact, note=FELL_BACK) if options.candidates else exact
        ids = np.full((len(queries), min(k, bodies.MOST)), "", dtype=object)
        scores = np.full(ids.shape, np.nan, np.float32)
        for i, row in enumerate(found):
            ids[i, : len(row)] = [record.id for _, record in row]
            scores[i, : len(row)] = [-negative for negative, _ in row]
        records = {record.id: record for row in found for _, record in row}
        return Neighbours(ids.astype(str), scores, bodies.answered_by(self._method, options), note, records)

    def _hits_of_each(self, searches: Sequence[Json]) -> list[list[Json]]:
        """The hits of each search as the server returns them; several searches go in one request."""
        if len(searches) == 1:
            return [self._hits(searches[0])]
        found = []
        for start in range(0, len(searches), TOGETHER):
            part = searches[start : start + TOGETHER]
            answers = self._request("POST", "_msearch", bodies.searches(part))["responses"]
            for body, answer in zip(part, answers, strict=True):
                if "error" not in answer:
                    found.append(answer["hits"]["hits"])
                elif answer["status"] in TRANSIENT:
                    found.append(self._hits(body))
                else:
                    raise self._connected.errors.refusal(answer["status"], answer)
        return found

    def _hits(self, body: Json) -> list[Json]:
        return self._request("POST", "_search", body, allow_partial_search_results="false")["hits"]["hits"]

    def _compared_here(
        self, queries: Vectors, k: int, labels: Sequence[str] | None, exclude: Sequence[Sequence[str]] | None
    ) -> Neighbours:
        records, vectors = self.entries()
        ids = np.array([record.id for record in records], dtype=object)
        found = Snapshot(0, ids, [record.label for record in records], vectors).search(queries, k, labels, exclude)
        return dataclasses.replace(found, records={record.id: record for record in records})

    def _scan(self, ids: Sequence[str] | None, *, vectors: bool) -> Iterator[Json]:
        """The hits of all records, or of ``ids``, in no order; of all, as they were at one point in time."""
        self._check_list(ids)
        size = max(1, min(PAGE, PAGE_BYTES // (12 * self._passport.dim))) if vectors else PAGE
        everything, page = self._documents.everything, partial(self._documents.page_body, size=size, vectors=vectors)
        if ids is None:
            self._catch_up()
            yield from scan(self._connected, self._name, page(everything))
            return
        if self._unseen:
            self._catch_up()
        for part in batched(self._documents.keys(ids), size):
            body = page({"bool": {"filter": [{"ids": {"values": part}}, everything]}})
            hits = self._hits(body)
            if (
                len(hits) < len(part) and not self._caught_up
            ):  # others may have written documents that are not searchable yet
                self._catch_up()
                hits = self._hits(body)
            yield from hits

    def _check_list(self, ids: Sequence[str] | None) -> None:
        if isinstance(ids, str):
            raise BadQuery(f"ids must be a list of strings; it is the string {ids!r}. Write [{ids!r}].")

    # -- the connection -----------------------------------------------------------------------------------------

    def close(self) -> None:
        """Makes what was written searchable for others, and closes the connections; closing twice is harmless."""
        if self._server is not None:
            if self._unseen:
                with contextlib.suppress(KitError):  # it is durable, and the next listing makes it searchable
                    self._server.request("POST", f"/{self._name}/_refresh", again=False)
            self._server.close()
            self._server = None

    @following
    def flush(self) -> None:
        """Makes everything written so far searchable, with one refresh."""
        with self._changing:
            self._from_all_shards("POST", "_refresh")
            self._unseen, self._caught_up = False, True

    def _catch_up(self) -> None:
        """Makes all writes searchable, also those before ``flush`` and those of a run that was killed before it."""
        with self._changing:
            if self._unseen or not self._caught_up:
                with contextlib.suppress(
                    IndexUnwritable
                ):  # with read access only, one sees what others made searchable
                    self.flush()
                self._unseen, self._caught_up = False, True

    @property
    def _method(self) -> Method:
        return self._documents.method

    @property
    def _connected(self) -> Server:
        if self._server is None:
            raise BadQuery(f"The index at {self.address} is closed. Open it again.")
        return self._server

    def _request(self, method: str, path: str, body: Any = None, **parameters: Any) -> Any:
        return self._connected.request(method, f"/{self._name}/{path}", body, **parameters)

    def _from_all_shards(self, method: str, path: str, **parameters: str) -> Any:
        """An answer of all shards; when a node is lost, others need a moment to replace it."""
        for pause in (*client.WAITS, None):
            answer = self._request(method, path, **parameters)
            if answer["_shards"]["successful"] and not answer["_shards"]["failed"]:
                return answer
            if pause is not None:
                time.sleep(pause)
        raise ServerUnavailable(
            f"{answer['_shards']['failed']} shards of the index at {self.address} do not answer. Try again later."
        )

    # -- the index as a whole -----------------------------------------------------------------------------------

    @property
    def approximates(self) -> bool:
        """Whether the method of the index may lose neighbours."""
        return self._method.approximate

    @following
    def segments(self) -> int | None:
        """The number of segments of all primary shards; candidates of an LSH method count per segment."""
        parts = "indices.*.shards.*.routing,indices.*.shards.*.segments"
        (found,) = self._request("GET", "_segments", filter_path=parts)["indices"].values()
        copies = [copy for shard in found["shards"].values() for copy in shard]
        return sum(len(copy.get("segments", {})) for copy in copies if copy["routing"]["primary"])

    def merge(self) -> None:
        """Merges each shard into one segment, and waits until that is done."""
        self.flush()
        started = self._request("POST", "_forcemerge", max_num_segments="1", wait_for_completion="false")
        task = f"/_tasks/{started['task']}"
        while not (done := self._connected.request("GET", task))["completed"]:
            time.sleep(PAUSE)
        if reason := done.get("error"):
            raise ServerUnavailable(f"The segments of {self.address} were not merged: {reason}. Try again later.")
        self.flush()

    def _stored_passport(self) -> IndexPassport:
        """The passport as the server stores it now; its generation is that of the last ``amend``."""
        kept = "*.settings.index,*.mappings,-*.mappings._meta.imgsearch.probes"  # which are large, and never change
        ((_, index),) = self._connected.request("GET", f"/{self._name}", filter_path=kept).items()
        return dataclasses.replace(self._documents.passport(index), probes=self._passport.probes)

    @abstractmethod
    def _follow(self) -> None:
        """Switches to the index that is at the address now, if the same extractor made it."""
