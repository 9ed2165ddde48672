"""Three nodes, three shards, one replica: a node dies in the middle of a bulk and of a search, and nothing is lost."""

from __future__ import annotations

import os
import threading
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from imgsearch_kit.errors import PluginMissing
from imgsearch_kit.index import create_index, new_passport, open_index
from imgsearch_kit.index.elastic import bulk
from imgsearch_kit.index.elastic.client import Server
from imgsearch_kit.records import Approx, ImageRecord
from tests import elasticsearch_node
from tests.conftest import require

N, DIM, BATCH, CHUNK = 2400, 32, 200, 20
THREE = ":shards=3,replicas=1"
ELASTIKNN = ["exact", "permutation-lsh"]


def started(version, plugins=None):
    what, command = elasticsearch_node.missing()
    require(not what, what, command)
    with elasticsearch_node.Cluster(version, plugins=plugins) as three:
        yield three


@pytest.fixture(scope="module")
def cluster():
    yield from started(elasticsearch_node.NINE)


@pytest.fixture(scope="module")
def cluster_with_plugin():
    given = os.environ.get(elasticsearch_node.PLUGINS)
    require(given, "The Elastiknn plugin", f"{elasticsearch_node.PLUGINS}=FOLDER python -m pytest -m plugin")
    yield from started(elasticsearch_node.EIGHT, Path(given))


def vectors():
    rows = np.random.default_rng(0).standard_normal((N, DIM))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def wait_for_green(url):
    with urllib.request.urlopen(f"{url}/_cluster/health?wait_for_status=green&timeout=120s", timeout=150) as answer:
        assert answer.status == 200


class Killer:
    """Kills a node once so many bulk requests have been answered and another is on its way to the server."""

    def __init__(self, node, after, monkeypatch):
        self.node, self.after = node, after
        self.answered = self.flying = 0
        self.in_flight = None  # how many requests had no answer yet when the node died
        self.lock = threading.Lock()
        request = Server.request

        def watched(server, method, path, *args, **kwargs):
            if not path.endswith("/_bulk"):
                return request(server, method, path, *args, **kwargs)
            with self.lock:
                self.flying += 1
                if self.in_flight is None and self.answered >= self.after and self.flying > 1:
                    self.in_flight = self.flying - 1  # other threads wait for their answers
                    self.node.kill()
            answer = request(server, method, path, *args, **kwargs)
            with self.lock:
                self.answered += 1
                self.flying -= 1
            return answer

        monkeypatch.setattr(Server, "request", watched)


def indexed_while_a_node_dies(three, method, monkeypatch):
    """Indexes and searches at once, and kills the first node in the middle of a bulk; in the end it is back."""
    monkeypatch.setattr(bulk, "MOST_DOCUMENTS", CHUNK)  # ten requests a batch, four of them in flight
    hosts = ",".join(url.removeprefix("http://") for url in three.urls)
    address = f"http://{hosts}/{method.partition(':')[0]}"
    stored, records = vectors(), [ImageRecord(f"{i:04}", str(i % 7)) for i in range(N)]
    index = create_index(address, new_passport(None, dim=DIM, method=method))
    wait_for_green(three.nodes[2].url)
    killer = Killer(three.nodes[0], N // CHUNK // 3, monkeypatch)
    done, errors, acknowledged, after_the_kill = threading.Event(), [], [], []

    def write():
        try:
            with open_index(address) as writer:
                for start in range(0, N, BATCH):
                    assert writer.add(records[start : start + BATCH], stored[start : start + BATCH]) == []
                    writer.flush()
                    acknowledged.append(start)
        except BaseException as error:
            errors.append(error)
        finally:
            done.set()

    writing = threading.Thread(target=write)
    writing.start()
    approx = Approx() if index._method.approximate else None
    while not done.is_set():
        known, dead = len(acknowledged) * BATCH, killer.in_flight is not None
        for options in {None, approx}:
            found = index.search(stored[:1], 5, approx=options)
            if known:
                assert found.ids[0, 0] == "0000"
                assert len(set(found.ids[0].tolist())) == 5
        after_the_kill += [known] if dead else []
    writing.join()
    assert errors == []
    assert killer.in_flight
    assert after_the_kill  # searches went on

    index.flush()
    assert index.records() == records
    assert np.array_equal(index.vectors(), stored)
    expected = [[f"{i:04}" for i in row] for row in np.argsort(-(stored[:20] @ stored.T), axis=1)[:, :10]]
    assert index.search(stored[:20], 10).ids.tolist() == expected
    if approx:
        found = index.search(stored[:20], 10, approx=Approx(1000))
        assert np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found.ids.tolist(), expected, strict=True)]) > 0.9
    three.nodes[0].start().wait(3)
    wait_for_green(three.nodes[0].url)
    return index, stored, expected


@pytest.mark.parametrize("method", ["flat", "hnsw"])
def test_a_node_dies_in_the_middle_of_a_bulk(cluster, method, monkeypatch):
    index, stored, _ = indexed_while_a_node_dies(cluster, method + THREE, monkeypatch)
    assert index.add([ImageRecord("0000", "0")], stored[:1]) == []
    index.close()


@pytest.mark.plugin
@pytest.mark.parametrize("method", ELASTIKNN)
def test_a_node_dies_in_the_middle_of_a_bulk_for_elastiknn(cluster_with_plugin, method, monkeypatch):
    index, _, _ = indexed_while_a_node_dies(cluster_with_plugin, method + THREE, monkeypatch)
    index.close()


def test_a_node_dies_while_pictures_are_searched(cluster):
    hosts = ",".join(url.removeprefix("http://") for url in cluster.urls)
    stored = vectors()
    with create_index(f"http://{hosts}/searched", new_passport(None, dim=DIM, method=f"flat{THREE}")) as index:
        assert index.add([ImageRecord(f"{i:04}") for i in range(N)], stored) == []
        index.flush()
        wait_for_green(cluster.nodes[2].url)
        expected = [[f"{i:04}" for i in row] for row in np.argsort(-(stored[:20] @ stored.T), axis=1)[:, :10]]
        for turn in range(20):
            if turn == 5:
                cluster.nodes[1].kill()
            assert index.search(stored[:20], 10).ids.tolist() == expected
        assert len(index) == N
        assert index.add([ImageRecord("0000")], stored[:1]) == []


@pytest.mark.plugin
def test_a_cluster_of_which_one_node_has_no_plugin(cluster_with_plugin):
    """The rule is that every node needs it; the name of the method and the version are in the sentence."""
    extra = elasticsearch_node.Node(elasticsearch_node.EIGHT, name="node-3", settings={})
    seeds = ",".join(f"127.0.0.1:{node.transport}" for node in cluster_with_plugin.nodes)
    extra.settings["discovery.seed_hosts"] = seeds
    try:
        extra.start().wait(4)
        with pytest.raises(
            PluginMissing, match=r"which the method 'exact' needs\. Install elastiknn 8\.18\.4\.N on every"
        ):
            create_index(f"{extra.url}/none", new_passport(None, dim=DIM, method="exact"))
    finally:
        extra.stop()
