"""Search and storage on Elasticsearch: writing, latency, recall and bytes a vector, and what more vectors would need.

One local server gets the vectors through the kit, one method after another: seconds to write and to merge, then for
each number of candidates the recall@10 against exact search and the latency of one query at a time, bytes on disk and
those that want to be in memory. ``--three`` puts fewer vectors on three nodes: exact answers must be those of one node
and of the file, before and after a node is killed. With ``ELASTICSEARCH_PLUGINS`` Elastiknn's methods are measured
too. The sizing table is computed from the figures; ``--table`` prints it again from a file of results.

    python benchmarks/cluster.py VECTORS.npy [--count 1000000] [--three 100000] [--heap 3g] [-o FILE]
    python benchmarks/cluster.py --table benchmarks/results/cluster.json
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from imgsearch_kit.index import create_index, new_passport
from imgsearch_kit.index.base import VectorIndex
from imgsearch_kit.index.elastic.writing import ElasticIndex
from imgsearch_kit.records import Approx, ImageRecord, Vectors
from tests.elasticsearch_node import EIGHT, NINE, PLUGINS, Cluster, Node

RESULTS = Path(__file__).parent / "results" / "cluster.json"
METHODS = "int8_hnsw:no-exact", "bbq_hnsw:no-exact", "hnsw:no-exact"
ELASTIKNN = "permutation-lsh", "l2-lsh"
CANDIDATES = {True: (20, 50, 100, 200, 500), False: (100, 500, 2000)}  # of native methods, and of Elastiknn's
K, QUERIES, AT_ONCE = 10, 200, 5000
SAME = 1e-6
Row = dict[str, Any]
FIRST, FEWER = 100_000, 300_000  # after so many the whole is foreseen; how many it is if that takes too long
SIZES = 10**8, 10**9
ASSUMED = {
    "node_file_cache_gb": 32,  # of a node with 64 GB, half of it for the heap
    "node_cores": 16,
    "shard_gb": 50,  # the largest that Elasticsearch advises
    "copies": 2,  # one replica, so that a node may die
    "measured_cores": 2,
}


def picture(row: int) -> ImageRecord:
    return ImageRecord(f"{row % 100:03}/{row:08}.jpg", f"{row % 100:03}", "0" * 64)


def fill(index: VectorIndex, vectors: Vectors, minutes: float) -> tuple[int, float]:
    """Writes vectors, all or fewer if all would take longer than so many minutes; how many, and the seconds."""
    wanted, done, started = len(vectors), 0, time.perf_counter()
    while done < wanted:
        rows = range(done, min(done + AT_ONCE, wanted))
        assert index.add([picture(row) for row in rows], np.array(vectors[rows.start : rows.stop])) == []
        done = rows.stop
        spent = time.perf_counter() - started
        if done == FIRST and spent / done * wanted > 60 * minutes:
            wanted = max(min(FEWER, wanted), done)
        if done % 50_000 == 0:
            print(f"    {done:,} in {spent:,.0f} s", flush=True)
    index.flush()
    return done, time.perf_counter() - started


def exact(vectors: Vectors, queries: Vectors) -> np.ndarray:
    """The ``K`` best rows of each query, best first, by products in blocks."""
    rows, cosines = np.zeros((len(queries), 0), int), np.zeros((len(queries), 0), np.float32)
    for start in range(0, len(vectors), 50_000):
        found = queries @ vectors[start : start + 50_000].T
        best = np.argpartition(-found, K, axis=1)[:, :K]
        rows = np.concatenate([rows, best + start], axis=1)
        cosines = np.concatenate([cosines, np.take_along_axis(found, best, 1)], axis=1)
    order = np.argsort(-cosines, axis=1)[:, :K]
    return np.take_along_axis(rows, order, 1)


def asked(index: VectorIndex, vectors: Vectors, queries: Vectors, best: np.ndarray, approx: Approx | None) -> Row:
    """Recall against the ``best`` rows of exact search, and milliseconds of one query at a time after a warm-up."""
    ms, recalls = [], []
    index.search(queries, K, approx=approx)
    for query, rows in zip(queries, best, strict=True):
        started = time.perf_counter()
        found = index.search(query[None], K, approx=approx)
        ms.append((time.perf_counter() - started) * 1e3)
        lowest = float(vectors[rows[-1]] @ query)
        recalls.append(float(np.mean([score >= lowest - SAME for score in found.scores[0]])))
    return {
        "recall": round(float(np.mean(recalls)), 4),
        "p50_ms": round(float(np.median(ms)), 2),
        "p95_ms": round(float(np.quantile(ms, 0.95)), 2),
    }


def resident(node: Node) -> int:
    assert node.process
    status = Path(f"/proc/{node.process.pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS"))


def measured(node: Node, spec: str, vectors: Vectors, queries: Vectors, minutes: float) -> dict[str, Any]:
    """The figures of one method on one node; its index is removed afterwards."""
    load = round(os.getloadavg()[0], 2)
    with create_index(f"{node.url}/measured", new_passport(None, dim=vectors.shape[1], method=spec)) as index:
        assert isinstance(index, ElasticIndex)
        count, writing = fill(index, vectors, minutes)
        started = time.perf_counter()
        index.merge()
        index._request("POST", "_flush")
        index.flush()
        merging = time.perf_counter() - started
        stats = index._request("GET", "_stats/store,dense_vector")["_all"]["primaries"]
        disk = stats["store"]["size_in_bytes"]
        of_memory = {k: v for k, v in stats.get("dense_vector", {}).get("off_heap", {}).items() if k.endswith("bytes")}
        kept = vectors[:count]
        best = exact(kept, queries)
        options = CANDIDATES[index._method.native] if index._method.approximate else ()
        rows = {str(candidates): asked(index, kept, queries, best, Approx(candidates)) for candidates in options}
        if not options or not index._method.native:
            rows["exact"] = asked(index, kept, queries[:50], best[:50], None)
        index.remove()
    return {
        "method": spec,
        "vectors": count,
        "write_seconds": round(writing, 1),
        "merge_seconds": round(merging, 1),
        "written_per_second": round(count / writing),
        "disk_bytes_per_vector": round(disk / count),
        "off_heap_bytes_per_vector": {name: round(size / count, 1) for name, size in of_memory.items()},
        "server_bytes": resident(node),
        "load_before": load,
        "searches": rows,
    }


def three_nodes(vectors: Vectors, queries: Vectors) -> dict[str, Any]:
    """Whether three nodes give the exact answers of one node and of the file, with all nodes and with one killed."""
    spec, found = "int8_hnsw", {}
    with tempfile.TemporaryDirectory() as place:
        passport = new_passport(None, dim=vectors.shape[1])
        with create_index(f"local:{place}/pictures.db", passport) as file:
            fill(file, vectors, 1000)
            expected = file.search(queries, K)
    with Node(NINE, heap="1g") as node:
        passport = new_passport(None, dim=vectors.shape[1], method="flat")
        with create_index(f"{node.url}/one", passport) as one:
            fill(one, vectors, 1000)
            found["one node as the file"] = same(one.search(queries, K), expected)
    with Cluster(NINE, heap="1g") as three:
        address = f"http://{','.join(url.removeprefix('http://') for url in three.urls)}/three"
        passport = new_passport(None, dim=vectors.shape[1], method=f"{spec}:shards=3,replicas=1")
        with create_index(address, passport) as index:
            _, found["write_seconds"] = fill(index, vectors, 1000)
            assert isinstance(index, ElasticIndex)
            index._connected.request("GET", "/_cluster/health", wait_for_status="green", timeout="250s")
            found["three nodes as the file"] = same(index.search(queries, K), expected)
            best = exact(vectors, queries)
            found["approximate"] = asked(index, vectors, queries, best, Approx(100))
            three.nodes[1].kill()
            started = time.perf_counter()
            found["after a node was killed as the file"] = same(index.search(queries, K), expected)
            found["first_answers_after_the_kill_seconds"] = round(time.perf_counter() - started, 1)
            found["approximate after the kill"] = asked(index, vectors, queries, best, Approx(100))
    return {"vectors": len(vectors), "method": f"{spec}:shards=3,replicas=1", **found}


def same(found: Any, expected: Any) -> dict[str, float]:
    """The share of queries with the same ids in the same order, and the largest difference of a score."""
    equal = [a == b for a, b in zip(found.ids.tolist(), expected.ids.tolist(), strict=True)]
    differing = np.abs(found.scores - expected.scores)
    return {"same_ids": round(float(np.mean(equal)), 4), "largest_difference": float(f"{differing.max():.2g}")}


def in_memory(row: dict[str, Any]) -> float:
    """Bytes a vector that every search touches: the graph, and the vectors as the graph compares them."""
    parts = row["off_heap_bytes_per_vector"]
    quantised = parts.get("total_veq_size_bytes", 0) + parts.get("total_veb_size_bytes", 0)
    return parts.get("total_vex_size_bytes", 0) + (quantised or parts.get("total_vec_size_bytes", 0))


def sizing(row: dict[str, Any], count: int) -> dict[str, float]:
    """What ``count`` vectors would need with a method, if every figure grows with their number."""
    copies, cores = ASSUMED["copies"], ASSUMED["node_cores"]
    disk, memory = row["disk_bytes_per_vector"] * count / 1e9, in_memory(row) * count / 1e9
    shards = int(np.ceil(disk / ASSUMED["shard_gb"]))
    nodes = max(3, int(np.ceil(memory * copies / ASSUMED["node_file_cache_gb"])))
    seconds = (row["write_seconds"] + row["merge_seconds"]) / row["vectors"] * count * copies
    return {
        "shards": shards,
        "disk_tb": disk * copies / 1000,
        "memory_gb": memory * copies,
        "nodes": nodes,
        "rebuild_hours": seconds * ASSUMED["measured_cores"] / cores / nodes / 3600,
    }


def largest(found: dict[str, Any]) -> list[Row]:
    """Of each native method with a graph the row of the most vectors, from which the sizing is computed."""
    rows = {row["method"]: row for row in sorted(found["rows"], key=lambda row: row["vectors"]) if in_memory(row)}
    return list(rows.values())


def sizing_table(found: dict[str, Any]) -> Iterator[str]:
    """Markdown lines: for each native method with a graph, measured bytes, and what more vectors would need."""
    yield "| method | vectors | bytes a vector, disk / memory | shards | disk | memory | nodes | rebuild |"
    yield "|---|---|---|---|---|---|---|---|"
    for row in largest(found):
        for count in SIZES:
            need = sizing(row, count)
            cells = [
                f"`{row['method']}`",
                f"{count // 10**6:,} million",
                f"{row['disk_bytes_per_vector']:,} / {in_memory(row):,.0f}",
                f"{need['shards']:,} + {need['shards'] * (ASSUMED['copies'] - 1):,}",
                f"{need['disk_tb']:,.1f} TB",
                f"{need['memory_gb']:,.0f} GB",
                f"{need['nodes']:,}",
                f"{need['rebuild_hours']:,.1f} h",
            ]
            yield f"| {' | '.join(cells)} |"


def method_table(found: dict[str, Any]) -> Iterator[str]:
    """Markdown lines: what was measured of each method."""
    yield "| method | vectors | written a second | merging | candidates | recall@10 | p50 / p95 ms | bytes a vector |"
    yield "|---|---|---|---|---|---|---|---|"
    for row in found["rows"]:
        for candidates, one in row["searches"].items():
            cells = [f"`{row['method']}`", f"{row['vectors']:,}", f"{row['written_per_second']:,}"]
            cells += [f"{row['merge_seconds']:,.0f} s", candidates, f"{one['recall']:.3f}"]
            cells += [f"{one['p50_ms']:.1f} / {one['p95_ms']:.1f}", f"{row['disk_bytes_per_vector']:,}"]
            yield f"| {' | '.join(cells)} |"


def show(found: dict[str, Any]) -> None:
    print(*method_table(found), "", *sizing_table(found), "", sep="\n", flush=True)


def nodes(heap: str, methods: Sequence[str]) -> Iterator[tuple[Node, Sequence[str]]]:
    """A server of version 9 for the native methods, and one with Elastiknn if there is a plugin."""
    with Node(NINE, heap=heap) as node:
        yield node, methods
    if plugins := os.environ.get(PLUGINS):
        with Node(EIGHT, plugins=Path(plugins), heap=heap) as node:
            yield node, ELASTIKNN


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vectors", type=Path, nargs="?")
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--three", type=int, default=100_000, help="vectors on three nodes; 0 keeps what was measured")
    parser.add_argument("--heap", default="3g")
    parser.add_argument("--minutes", type=float, default=40, help="that writing may take; else 300,000 are measured")
    parser.add_argument("--methods", nargs="*", default=METHODS, metavar="SPEC")
    parser.add_argument("--table", type=Path, metavar="FILE", help="print the tables of results, and measure nothing")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    wish = parser.parse_args()
    if wish.table or not wish.vectors:
        show(json.loads((wish.table or RESULTS).read_text()))
        return
    os.environ.setdefault("ELASTICSEARCH_TIMEOUT", "3600")  # merging a million takes its time
    every = np.load(wish.vectors, mmap_mode="r")
    vectors, queries = every[: min(wish.count, len(every) - QUERIES)], np.array(every[-QUERIES:])
    before = json.loads(wish.output.read_text()) if wish.output.exists() else {}  # what is not measured again stays
    document: dict[str, Any] = {
        "dim": every.shape[1],
        "k": K,
        "queries": QUERIES,
        "heap": wish.heap,
        "machine": {"cpus": os.cpu_count(), "load_before": round(os.getloadavg()[0], 2)},
        "assumed": ASSUMED,
        "rows": before.get("rows", []),
        "three_nodes": before.get("three_nodes"),
    }
    if wish.three:
        document["three_nodes"] = three_nodes(every[: wish.three], queries[:50])
        print(json.dumps(document["three_nodes"], indent=1), flush=True)
    for node, methods in nodes(wish.heap, wish.methods):
        for spec in methods:
            print(f"{spec}: {len(vectors):,}", flush=True)
            row = measured(node, spec, vectors, queries, wish.minutes)
            others = [o for o in document["rows"] if (o["method"], o["vectors"]) != (spec, row["vectors"])]
            document["rows"] = sorted([*others, row], key=lambda row: row["vectors"])
            document["sizing"] = {
                row["method"]: {str(count): sizing(row, count) for count in SIZES} for row in largest(document)
            }
            wish.output.write_text(json.dumps(document, indent=1) + "\n")
    show(document)


if __name__ == "__main__":
    main()
