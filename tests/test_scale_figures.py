"""The tables of docs/scale.md are those that the benchmarks compute from their results."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCALE = (ROOT / "docs/scale.md").read_text()


@pytest.fixture
def benchmark_module(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module


def results(name):
    return json.loads((ROOT / f"benchmarks/results/{name}.json").read_text())


def test_the_stores_side_by_side(benchmark_module):
    peers = benchmark_module("peers")
    for found in results("peers")["sets"].values():
        for line in peers.table(found):
            assert line in SCALE


@pytest.mark.parametrize("table", ["method_table", "sizing_table"])
def test_a_server_and_what_more_vectors_need(benchmark_module, table):
    for line in getattr(benchmark_module("cluster"), table)(results("cluster")):
        assert line in SCALE


def test_the_sizing_grows_with_the_vectors_as_written(benchmark_module):
    """Ten vectors of 1,000 bytes on disk and 100 in memory, written in one second, twice for the copy."""
    cluster = benchmark_module("cluster")
    memory = {"total_vex_size_bytes": 60, "total_veq_size_bytes": 40, "total_vec_size_bytes": 2048}
    row = {"vectors": 10, "write_seconds": 0.75, "merge_seconds": 0.25, "disk_bytes_per_vector": 1000}
    need = cluster.sizing(row | {"off_heap_bytes_per_vector": memory}, 10**9)
    assert (need["shards"], need["disk_tb"], need["memory_gb"], need["nodes"]) == (20, 2.0, 200.0, 7)
    assert need["rebuild_hours"] == pytest.approx(2 * 1e8 / (7 * 8) / 3600)


def test_where_the_time_goes(benchmark_module):
    found, profiled = results("profile"), benchmark_module("profiled")
    for preset, parts in found["indexing"].items():
        share = parts["network"] / sum(parts[name] for name in profiled.INDEXING)
        assert f"the network has {share:.0%} of the {sum(parts[n] for n in profiled.INDEXING):.0f} ms" in SCALE, preset
