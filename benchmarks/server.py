"""Times the Elasticsearch index: writing beside one request per document, and a search beside its bare request.

Each pair of runs is interleaved, so that both see the same machine. Servers are started here: 9 without plugins, and 8
with Elastiknn where ``ELASTICSEARCH_PLUGINS`` names the folder that holds it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import elasticsearch
import numpy as np
import orjson

sys.path.insert(0, str(Path(__file__).parents[1]))

from imgsearch_kit.index import bodies, create_index, new_passport
from imgsearch_kit.index.elastic import ElasticIndex
from imgsearch_kit.records import Approx, ImageRecord, Vectors
from tests.elasticsearch_node import EIGHT, NINE, PLUGINS, Node

DOCUMENTS, DIM = 3000, 4096
SEARCHES, K = 200, 10
AT_LEAST = {"flat": 25.0, "exact": 8.0}  # times as many documents a second as with one request each
OVERHEAD = 1.10  # the most that a search may take of its bare request
RESULT = Path(__file__).parent / "results" / "server.json"


def units(n: int, seed: int) -> Vectors:
    rows = np.abs(np.random.default_rng(seed).standard_normal((n, DIM), dtype=np.float32))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def one_by_one(client: elasticsearch.Elasticsearch, name: str, records: list[ImageRecord], rows: Vectors) -> None:
    """As the system this grows out of wrote: one request, and one list of numbers, per document."""
    for record, row in zip(records, rows, strict=True):
        client.index(index=name, document={"id": record.id, "vector": row.tolist()})


def writing(url: str, method: str) -> dict[str, float]:
    """Documents per second either way, all in one ``add`` by the kit."""
    rows = units(DOCUMENTS, 0)
    records = [ImageRecord(f"{i % 100:03}/{i:06}.jpg", f"{i % 100:03}", "0" * 64) for i in range(DOCUMENTS)]
    spent = {"one_by_one": 0.0, "kit": 0.0}
    with (
        elasticsearch.Elasticsearch(url, request_timeout=120) as client,
        create_index(f"{url}/single", new_passport(None, dim=DIM, method=method)) as single,
        create_index(f"{url}/bulk", new_passport(None, dim=DIM, method=method)) as index,
    ):
        assert isinstance(single, ElasticIndex)
        one_by_one(client, single._name, records[:200], rows[:200])  # warms both
        index.add(records[:200], rows[:200])
        half = DOCUMENTS // 2
        for part in (slice(0, half), slice(half, DOCUMENTS)):
            spent["one_by_one"] += seconds(lambda: one_by_one(client, single._name, records[part], rows[part]))  # noqa: B023
            if part.start == 0:  # the bulk lies between the two halves of the other way
                spent["kit"] = seconds(lambda: index.add(records, rows))
        assert len(index) == DOCUMENTS
    rates = {f"{name}_per_s": DOCUMENTS / value for name, value in spent.items()}
    return rates | {"ratio": spent["one_by_one"] / spent["kit"]}


def searching(index: ElasticIndex, approx: Approx | None) -> dict[str, float]:
    """Milliseconds of a search by the kit, and of the same request sent ready-made."""
    queries = units(SEARCHES, 1)
    server = index._connected
    wish, _ = index._wish(K, approx, None, 0)
    path = f"/{index._name}/_search?allow_partial_search_results=false"
    headers = {"accept": "application/json", "content-type": "application/json"}
    times: dict[str, list[float]] = {"bare": [], "kit": []}
    for row in queries:
        body = orjson.dumps(bodies.search_body(index._method, row, wish), option=orjson.OPT_SERIALIZE_NUMPY)
        bare = seconds(lambda: server._client.perform_request("POST", path, headers=headers, body=body))  # noqa: B023
        kit = seconds(lambda: index.search(row[None], K, approx=approx))  # noqa: B023
        times["bare"].append(1000 * bare)
        times["kit"].append(1000 * kit)
    return {
        "bare_ms": median(times["bare"]),
        "kit_ms": median(times["kit"]),
        "ratio": median(np.divide(times["kit"], times["bare"]).tolist()),
    }


def show(name: str, what: str, row: dict[str, float], good: bool) -> None:
    print(f"{name:16} {what:10}", *(f"{key} {value:8.2f}" for key, value in row.items()), "ok" if good else "SLOW")


def measure(url: str, method: str, approximate: str) -> dict[str, Any]:
    """Writing with ``method``, and searching both exactly and with the ``approximate`` one."""
    found: dict[str, Any] = {"writing": writing(url, method)}
    show(method, "writing", found["writing"], found["writing"]["ratio"] >= AT_LEAST[method])
    records = [ImageRecord(f"{i:06}") for i in range(DOCUMENTS)]
    with create_index(f"{url}/searched", new_passport(None, dim=DIM, method=approximate)) as index:
        assert isinstance(index, ElasticIndex)
        index.add(records, units(DOCUMENTS, 0))
        index.flush()
        for name, approx in (("exact", None), (approximate, Approx())):
            searching(index, approx)  # warms it
            found[f"searching {name}"] = times = searching(index, approx)
            show(name, "searching", times, times["ratio"] <= OVERHEAD)
    return found


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    plugins = os.environ.get(PLUGINS)
    report: dict[str, Any] = {
        "documents": DOCUMENTS,
        "dim": DIM,
        "machine": f"{os.cpu_count()} x {platform.machine()}",
        "client": ".".join(map(str, elasticsearch.VERSION)),
        "load_average": os.getloadavg()[0],  # on a busy machine only ratios count
    }
    with Node(NINE, heap="1g") as node:
        report[f"Elasticsearch {NINE}"] = measure(node.url, "flat", "hnsw")
    if plugins:
        with Node(EIGHT, plugins=Path(plugins), heap="1g") as node:
            report[f"Elasticsearch {EIGHT} with Elastiknn"] = measure(node.url, "exact", "permutation-lsh")
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
