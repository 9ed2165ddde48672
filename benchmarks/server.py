"""Times the Elasticsearch index: writing beside one request per document, and a search beside its bare request.

Each pair of runs is interleaved, so that both see the same machine; writing is measured in several rounds, and their
median counts. Ends with 1 when a ratio is worse than wanted. ``--sizes`` measures bytes on disk instead. Servers are
started here: 9 without plugins, and 8 with Elastiknn where ``ELASTICSEARCH_PLUGINS`` names the folder that holds it.

    python benchmarks/server.py [--rounds 3] [--sizes] [--documents 3000] [-o FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import elasticsearch
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from imgsearch_kit.index import create_index, new_passport
from imgsearch_kit.index.elastic.writing import ElasticIndex
from imgsearch_kit.records import Approx, ImageRecord, Vectors
from tests.elasticsearch_node import EIGHT, NINE, PLUGINS, Node

DIM = 4096
SEARCHES, K = 200, 10
AT_LEAST = {"flat": 25.0, "exact": 8.0}  # times as many documents a second as with one request each
OVERHEAD = 1.10  # the most that a search may take of its bare request
DIMS = 512, DIM  # of the vectors whose bytes on disk are counted
NATIVE = "flat", "hnsw", "hnsw:no-exact", "int8_hnsw", "int8_hnsw:no-exact", "bbq_hnsw", "bbq_hnsw:no-exact"
ELASTIKNN = "exact", "permutation-lsh"
RESULTS = Path(__file__).parent / "results"


def units(n: int, seed: int, dim: int = DIM) -> Vectors:
    rows = np.abs(np.random.default_rng(seed).standard_normal((n, dim), dtype=np.float32))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def one_by_one(client: elasticsearch.Elasticsearch, name: str, records: list[ImageRecord], rows: Vectors) -> None:
    """As the system this grows out of wrote: one request, and one list of numbers, per document."""
    for record, row in zip(records, rows, strict=True):
        client.index(index=name, document={"id": record.id, "vector": row.tolist()})


def pictures(count: int) -> list[ImageRecord]:
    return [ImageRecord(f"{i % 100:03}/{i:06}.jpg", f"{i % 100:03}", "0" * 64) for i in range(count)]


def writing(url: str, method: str, count: int, rounds: int) -> dict[str, Any]:
    """The medians of so many rounds, and the ratio of each."""
    found = [one_round(url, method, count) for _ in range(rounds)]
    return {name: median(each[name] for each in found) for name in found[0]} | {"ratios": [r["ratio"] for r in found]}


def one_round(url: str, method: str, count: int) -> dict[str, float]:
    """Documents per second either way, all in one ``add`` by the kit."""
    rows, records = units(count, 0), pictures(count)
    spent = {"one_by_one": 0.0, "kit": 0.0}
    with (
        elasticsearch.Elasticsearch(url, request_timeout=120) as client,
        create_index(f"{url}/single", new_passport(None, dim=DIM, method=method)) as single,
        create_index(f"{url}/bulk", new_passport(None, dim=DIM, method=method)) as index,
    ):
        assert isinstance(single, ElasticIndex)
        one_by_one(client, single._name, records[:200], rows[:200])  # warms both
        index.add(records[:200], rows[:200])
        half = count // 2
        for part in (slice(0, half), slice(half, count)):
            spent["one_by_one"] += seconds(lambda: one_by_one(client, single._name, records[part], rows[part]))  # noqa: B023
            if part.start == 0:  # the bulk lies between the two halves of the other way
                spent["kit"] = seconds(lambda: index.add(records, rows))
        assert len(index) == count
        single.remove()
        index.remove()
    rates = {f"{name}_per_s": count / value for name, value in spent.items()}
    return rates | {"ratio": spent["one_by_one"] / spent["kit"]}


def searching(index: ElasticIndex, approx: Approx | None) -> dict[str, float]:
    """Milliseconds of a search by the kit, and of the same request sent ready-made."""
    queries = units(SEARCHES, 1)
    client = index._connected._client
    with patch.object(client, "perform_request", wraps=client.perform_request) as sent:  # warms it too
        for row in queries:
            index.search(row[None], K, approx=approx)
    requests = sent.call_args_list[-len(queries) :]
    times: dict[str, list[float]] = {"bare": [], "kit": []}
    for row, request in zip(queries, requests, strict=True):
        bare = seconds(lambda: client.perform_request(*request.args, **request.kwargs))  # noqa: B023
        kit = seconds(lambda: index.search(row[None], K, approx=approx))  # noqa: B023
        times["bare"].append(1000 * bare)
        times["kit"].append(1000 * kit)
    return {
        "bare_ms": median(times["bare"]),
        "kit_ms": median(times["kit"]),
        "ratio": median(np.divide(times["kit"], times["bare"]).tolist()),
    }


def measure(url: str, method: str, approximate: str, count: int, rounds: int) -> dict[str, Any]:
    """Writing with ``method``, and searching both exactly and with the ``approximate`` one."""
    found: dict[str, Any] = {"writing": writing(url, method, count, rounds) | {"wanted": AT_LEAST[method]}}
    records = [ImageRecord(f"{i:06}") for i in range(count)]
    with create_index(f"{url}/searched", new_passport(None, dim=DIM, method=approximate)) as index:
        assert isinstance(index, ElasticIndex)
        index.add(records, units(count, 0))
        index.flush()
        for name, approx in (("exact", None), (approximate, Approx())):
            found[f"searching {name}"] = searching(index, approx) | {"wanted": OVERHEAD}
    return found


def show(server: str, rows: dict[str, dict[str, Any]]) -> bool:
    """Prints a line for each measurement; whether all are as wanted."""
    print(server)
    all_good = True
    for what, row in rows.items():
        good = row["ratio"] >= row["wanted"] if what == "writing" else row["ratio"] <= row["wanted"]
        figures = (f"{key} {value:8.2f}" for key, value in row.items() if key != "ratios")
        print(f"  {what:26}", *figures, "ok" if good else "SLOW")
        all_good &= good
    return all_good


def file_size(dim: int, count: int) -> int:
    """Bytes per vector of a local index, labels and checksums included."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pictures.db"
        with create_index(f"local:{path}", new_passport(None, dim=dim)) as index:
            index.add(pictures(count), units(count, 0, dim))
        return round(path.stat().st_size / count)


def size(url: str, method: str, dim: int, count: int) -> int:
    """Bytes per vector of a server's index in one segment, which is what stays on disk."""
    with create_index(f"{url}/sized", new_passport(None, dim=dim, method=method)) as index:
        assert isinstance(index, ElasticIndex)
        index.add(pictures(count), units(count, 0, dim))
        index.merge()
        index._request("POST", "_flush")
        index.flush()  # closes the segments that were merged
        (store,) = index._request("GET", "_stats/store")["_all"]["primaries"].values()
        index.remove()
        return round(store["size_in_bytes"] / count)


def sizes(url: str, methods: tuple[str, ...], count: int) -> dict[str, dict[int, int]]:
    return {method: {dim: size(url, method, dim, count) for dim in DIMS} for method in methods}


def servers() -> Iterator[tuple[str, str, bool]]:
    """Name and URL of each server in turn, and whether it has Elastiknn."""
    with Node(NINE, heap="1g") as node:
        yield f"Elasticsearch {NINE}", node.url, False
    if plugins := os.environ.get(PLUGINS):
        with Node(EIGHT, plugins=Path(plugins), heap="1g") as node:
            yield f"Elasticsearch {EIGHT} with Elastiknn", node.url, True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often writing is measured")
    parser.add_argument("--sizes", action="store_true", help="measure bytes on disk, and no time")
    parser.add_argument("--documents", type=int, default=3000)
    parser.add_argument(
        "-o", "--output", type=Path, help="server.json, or sizes.json, of benchmarks/results if left out"
    )
    options = parser.parse_args()
    os.environ.setdefault("ELASTICSEARCH_TIMEOUT", "300")  # a graph of long vectors takes its time
    output, count = options.output or RESULTS / ("sizes.json" if options.sizes else "server.json"), options.documents
    if options.sizes:
        found: dict[str, Any] = {"local": {dim: file_size(dim, count) for dim in DIMS}}
        for name, url, plugin in servers():
            found[name] = sizes(url, ELASTIKNN if plugin else NATIVE, count)
            print(name, json.dumps(found[name], indent=2), flush=True)
        output.write_text(json.dumps({"documents": count, "bytes_per_vector": found}, indent=2) + "\n")
        return
    report: dict[str, Any] = {
        "documents": count,
        "dim": DIM,
        "rounds": options.rounds,
        "machine": f"{os.cpu_count()} x {platform.machine()}",
        "client": ".".join(map(str, elasticsearch.VERSION)),
        "load_average": os.getloadavg()[0],  # on a busy machine only ratios count
    }
    good = True
    for name, url, plugin in servers():
        methods = ("exact", "permutation-lsh") if plugin else ("flat", "hnsw")
        report[name] = measure(url, *methods, count, options.rounds)
        good &= show(name, report[name])
    output.write_text(json.dumps(report, indent=2) + "\n")
    sys.exit(not good)


if __name__ == "__main__":
    main()
