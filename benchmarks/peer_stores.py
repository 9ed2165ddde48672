"""One vector store in an environment of its own: built from arrays, or opened and asked over standard input.

``benchmarks/peers.py`` runs this file with the Python of each store's environment, which has numpy and the store alone.
A class below is what a user of that store would write, with the same graph parameters and threads for all.
``build`` ends with one JSON document; ``serve`` answers one for every request line.
"""

# ruff: noqa: D101, D102 (each class is what its store's manual says)
from __future__ import annotations

import heapq
import json
import os
import shutil
import sys
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np

LINKS, EF = 16, 128  # of every graph but the kit's, which has its defaults: links of a node, candidates when built
AT_ONCE = 5000  # vectors handed to a store in one call, where that matters


class Store(ABC):
    """What is measured of a store; ``threads`` are those that it may use, ``folder`` is where it keeps everything."""

    approximate = False
    filters = True

    def __init__(self, folder: Path, threads: int):
        self.folder, self.threads = folder, threads
        self.rows: dict[str, np.ndarray] = {}  # of each class, for a library that filters by row numbers

    @abstractmethod
    def build(self, vectors: np.ndarray, classes: np.ndarray) -> None: ...

    @abstractmethod
    def open(self, classes: np.ndarray) -> None: ...

    @abstractmethod
    def search(self, query: np.ndarray, k: int, parameter: int, name: str | None) -> Any:
        """Row numbers of the ``k`` nearest, best first; among those of class ``name`` if that is not None."""


class Loop(Store):
    """Each stored vector compared in a Python loop, as a first script does."""

    def build(self, vectors, classes):
        np.save(self.folder / "vectors.npy", vectors)

    def open(self, classes):
        self.vectors = np.load(self.folder / "vectors.npy")

    def search(self, query, k, parameter, name):
        rows = range(len(self.vectors)) if name is None else self.rows[name].tolist()
        return heapq.nlargest(k, rows, key=lambda row: float(np.dot(self.vectors[row], query)))


class FaissFlat(Store):
    def made(self, dim):
        import faiss

        return faiss.IndexFlatIP(dim)

    def build(self, vectors, classes):
        import faiss

        faiss.omp_set_num_threads(self.threads)
        index = self.made(vectors.shape[1])
        index.add(np.ascontiguousarray(vectors))
        faiss.write_index(index, str(self.folder / "index.faiss"))

    def open(self, classes):
        import faiss

        faiss.omp_set_num_threads(self.threads)
        self.index = faiss.read_index(str(self.folder / "index.faiss"))
        self.selectors = {name: faiss.IDSelectorBatch(rows) for name, rows in self.rows.items()}

    def parameters(self, parameter, selector):
        import faiss

        return faiss.SearchParameters(sel=selector)

    def search(self, query, k, parameter, name):
        parameters = self.parameters(parameter, self.selectors.get(name))
        return self.index.search(query[None], k, params=parameters)[1][0]


class FaissHnsw(FaissFlat):
    approximate = True

    def made(self, dim):
        import faiss

        index = faiss.IndexHNSWFlat(dim, LINKS, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = EF
        return index

    def parameters(self, parameter, selector):
        import faiss

        return faiss.SearchParametersHNSW(sel=selector, efSearch=parameter)


class Usearch(Store):
    approximate, filters = True, False

    def build(self, vectors, classes):
        from usearch.index import Index

        index = Index(ndim=vectors.shape[1], metric="ip", dtype="f16", connectivity=LINKS, expansion_add=EF)
        index.add(np.arange(len(vectors)), vectors, threads=self.threads)
        index.save(str(self.folder / "index.usearch"))

    def open(self, classes):
        from usearch.index import Index

        self.index = Index.restore(str(self.folder / "index.usearch"), view=True)

    def search(self, query, k, parameter, name):
        self.index.expansion_search = parameter
        return self.index.search(query, k).keys


class Hnswlib(Store):
    approximate = True

    def build(self, vectors, classes):
        import hnswlib

        index = hnswlib.Index("ip", vectors.shape[1])
        index.init_index(len(vectors), M=LINKS, ef_construction=EF)
        index.set_num_threads(self.threads)
        index.add_items(vectors)
        index.save_index(str(self.folder / "index.hnswlib"))
        (self.folder / "dim").write_text(str(vectors.shape[1]))

    def open(self, classes):
        import hnswlib

        self.index = hnswlib.Index("ip", int((self.folder / "dim").read_text()))
        self.index.load_index(str(self.folder / "index.hnswlib"))
        self.index.set_num_threads(1)  # its advice for filters that are Python functions
        self.members = {name: set(rows.tolist()) for name, rows in self.rows.items()}

    def search(self, query, k, parameter, name):
        self.index.set_ef(parameter)
        try:
            return self.index.knn_query(query, k, filter=self.members[name].__contains__ if name else None)[0][0]
        except RuntimeError:  # it refuses to give fewer than k; what it found is lost
            return []


class Lancedb(Store):
    approximate = True
    REFINE = 4  # times k candidates are scored again by their stored vectors

    def build(self, vectors, classes):
        import lancedb
        import pyarrow as pa

        dim = vectors.shape[1]
        kind = pa.list_(pa.float32(), dim)
        column = pa.FixedSizeListArray.from_arrays(pa.array(np.ravel(vectors)), type=kind)
        rows = pa.table({"row": np.arange(len(vectors)), "label": pa.array(classes.tolist()), "vector": column})
        table = lancedb.connect(self.folder).create_table("pictures", rows)
        graph = {"index_type": "IVF_HNSW_SQ", "num_partitions": 1, "m": LINKS, "ef_construction": EF}
        table.create_index(metric="cosine", vector_column_name="vector", **graph)
        table.create_scalar_index("label")

    def open(self, classes):
        import lancedb

        self.table = lancedb.connect(self.folder).open_table("pictures")

    def search(self, query, k, parameter, name):
        asked = (
            self.table.search(query)
            .distance_type("cosine")
            .nprobes(1)
            .ef(max(parameter, k * self.REFINE))
            .refine_factor(self.REFINE)
        )
        if name is not None:
            asked = asked.where(f"label = '{name}'", prefilter=True)
        return asked.limit(k).select(["row", "_distance"]).to_arrow()["row"].to_numpy()


class Chromadb(Store):
    approximate = True
    parameter = 0  # none asked for yet

    def _client(self):
        import chromadb

        return chromadb.PersistentClient(str(self.folder), chromadb.Settings(anonymized_telemetry=False))

    def build(self, vectors, classes):
        graph = {"space": "ip", "ef_construction": EF, "max_neighbors": LINKS, "num_threads": self.threads}
        made = self._client().create_collection("pictures", configuration={"hnsw": graph}, embedding_function=None)
        for start in range(0, len(vectors), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            ids = [str(row) for row in range(len(vectors))[part]]
            made.add(ids, vectors[part], metadatas=[{"label": str(name)} for name in classes[part]])

    def open(self, classes):
        self.pictures = self._client().get_collection("pictures", embedding_function=None)

    def search(self, query, k, parameter, name):
        if parameter != self.parameter:  # a property of the collection, which counts from its next opening on
            from chromadb.api.shared_system_client import SharedSystemClient

            self.pictures.modify(configuration={"hnsw": {"ef_search": parameter}})
            SharedSystemClient.clear_system_cache()
            self.open(None)
            self.parameter = parameter
        where = {"label": name} if name is not None else None
        return [int(id_) for id_ in self.pictures.query(query[None], n_results=k, where=where, include=[])["ids"][0]]


class Qdrant(Store):
    """The client's own local mode: exact, in the process."""

    def build(self, vectors, classes):
        from qdrant_client import QdrantClient, models

        client = QdrantClient(path=str(self.folder))
        plan = models.VectorParams(size=vectors.shape[1], distance=models.Distance.COSINE)
        client.create_collection("pictures", vectors_config=plan)
        for start in range(0, len(vectors), AT_ONCE):
            rows = list(range(len(vectors))[start : start + AT_ONCE])
            payloads = [{"label": str(classes[row])} for row in rows]
            batch = models.Batch(ids=rows, vectors=vectors[rows].tolist(), payloads=payloads)
            client.upsert("pictures", batch)
        client.close()

    def open(self, classes):
        from qdrant_client import QdrantClient

        self.client = QdrantClient(path=str(self.folder))

    def search(self, query, k, parameter, name):
        from qdrant_client import models

        chosen = None
        if name is not None:
            chosen = models.Filter(must=[models.FieldCondition(key="label", match=models.MatchValue(value=name))])
        found = self.client.query_points("pictures", query, limit=k, query_filter=chosen, with_payload=False)
        return [point.id for point in found.points]


class Kit(Store):
    """The kit's file, asked exactly."""

    method = "exact"

    def build(self, vectors, classes):
        from imgsearch_kit import ImageRecord, create_index
        from imgsearch_kit.index import new_passport

        passport = new_passport(None, dim=vectors.shape[1], method=self.method)
        with create_index(f"local:{self.folder / 'pictures.db'}", passport) as index:
            for start in range(0, len(vectors), AT_ONCE):
                rows = range(len(vectors))[start : start + AT_ONCE]
                records = [ImageRecord(f"{row:08}", str(classes[row]), "0" * 64) for row in rows]
                assert index.add(records, np.array(vectors[rows.start : rows.stop])) == []
            index.flush()
            index.search(np.array(vectors[:1]), 10, approx=self.approx(EF))

    def open(self, classes):
        from imgsearch_kit import open_index

        self.index = open_index(f"local:{self.folder / 'pictures.db'}")

    def approx(self, parameter):
        return None

    def search(self, query, k, parameter, name):
        labels = None if name is None else [name]
        found = self.index.search(query[None], k, approx=self.approx(parameter), labels=labels)
        return [int(id_) for id_ in found.ids[0] if id_]


class KitHnsw(Kit):
    """The kit's file with its graph; what builds the graph belongs to building."""

    approximate, method = True, "hnsw"

    def approx(self, parameter):
        from imgsearch_kit.records import Approx

        return Approx(parameter)


STORES: dict[str, type[Store]] = {
    "kit-exact": Kit,
    "kit-hnsw": KitHnsw,
    "loop": Loop,
    "faiss-flat": FaissFlat,
    "faiss-hnsw": FaissHnsw,
    "usearch": Usearch,
    "hnswlib": Hnswlib,
    "lancedb": Lancedb,
    "chromadb": Chromadb,
    "qdrant-local": Qdrant,
}


def memory() -> dict[str, int]:
    """Bytes of this process now, its largest so far, and those now that are no mapped file."""
    names = {"VmRSS": "now", "VmHWM": "peak", "RssAnon": "anonymous"}
    pairs = (line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return {names[key]: int(value.split()[0]) * 1024 for key, value in pairs if key in names}


def build(store: Store, vectors: np.ndarray, classes: np.ndarray) -> dict[str, Any]:
    shutil.rmtree(store.folder, ignore_errors=True)
    store.folder.mkdir(parents=True)
    started = time.perf_counter()
    store.build(vectors, classes)
    seconds = time.perf_counter() - started
    disk = sum(path.stat().st_size for path in store.folder.rglob("*") if path.is_file())
    return {"seconds": seconds, "memory": memory(), "disk": disk}


def answer(store: Store, queries: np.ndarray, request: dict[str, Any]) -> dict[str, Any]:
    """The rows found for each query, and the milliseconds of each."""
    k, parameter, name = request["k"], request["parameter"], request["class"]
    store.search(queries[0], k, parameter, name)  # a changed parameter may take effect only now
    ms, rows = [], []
    for query in queries[request["queries"]]:
        started = time.perf_counter()
        found = store.search(query, k, parameter, name)
        ms.append((time.perf_counter() - started) * 1e3)
        rows.append([int(row) for row in found if row >= 0])
    return {"ms": ms, "rows": rows, "memory": memory()}


def main() -> None:
    plan, phase = json.loads(Path(sys.argv[1]).read_text()), sys.argv[2]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    os.sched_setaffinity(0, range(plan["threads"]))
    store = STORES[plan["store"]](Path(plan["folder"]), plan["threads"])
    classes = np.load(plan["classes"])
    if phase == "build":
        print(json.dumps(build(store, np.load(plan["vectors"], mmap_mode="r"), classes)), file=answers, flush=True)
        return
    store.rows = {plan["class"]: np.flatnonzero(classes == plan["class"])}
    started = time.perf_counter()
    store.open(classes)
    print(json.dumps({"seconds": time.perf_counter() - started}), file=answers, flush=True)
    queries = np.load(plan["queries"])
    for line in sys.stdin:
        print(json.dumps(answer(store, queries, json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
