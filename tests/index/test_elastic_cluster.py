"""Three nodes, three shards, one replica: a node dies while pictures are indexed and searched, and nothing is lost."""

from __future__ import annotations

import threading
import urllib.request

import numpy as np
import pytest

from imgsearch_kit.index import create_index, new_passport, open_index
from imgsearch_kit.records import ImageRecord
from tests import elasticsearch_node
from tests.conftest import require

N, DIM, BATCH = 1200, 32, 40


@pytest.fixture(scope="module")
def cluster():
    what, command = elasticsearch_node.missing()
    require(not what, what, command)
    with elasticsearch_node.Cluster() as three:
        yield three


def vectors():
    rows = np.random.default_rng(0).standard_normal((N, DIM))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def wait_for_green(url):
    with urllib.request.urlopen(f"{url}/_cluster/health?wait_for_status=green&timeout=120s", timeout=150) as answer:
        assert answer.status == 200


def test_a_node_dies_while_pictures_are_indexed_and_another_while_they_are_searched(cluster):
    hosts = ",".join(url.removeprefix("http://") for url in cluster.urls)
    address = f"http://{hosts}/pictures"
    stored, records = vectors(), [ImageRecord(f"{i:04}", str(i % 7)) for i in range(N)]
    first, second, third = cluster.nodes
    index = create_index(address, new_passport(None, dim=DIM, method="flat:shards=3,replicas=1"))
    wait_for_green(third.url)
    done, errors, acknowledged, searched = threading.Event(), [], [], []

    def write():
        try:
            with open_index(address) as writer:
                for start in range(0, N, BATCH):
                    assert writer.add(records[start : start + BATCH], stored[start : start + BATCH]) == []
                    writer.flush()
                    acknowledged.append(start)
                    if start == N // 3 // BATCH * BATCH:
                        first.kill()
        except BaseException as error:
            errors.append(error)
        finally:
            done.set()

    writing = threading.Thread(target=write)
    writing.start()
    while not done.is_set():
        known = len(acknowledged) * BATCH
        found = index.search(stored[:1], 5)
        searched.append(known)
        if known:
            assert found.ids[0, 0] == "0000"
            assert len(set(found.ids[0].tolist())) == 5
    writing.join()
    assert errors == []
    assert max(searched) > N // 3  # searches went on after the kill

    index.flush()
    assert index.records() == records
    assert np.array_equal(index.vectors(), stored)
    expected = [[f"{i:04}" for i in row] for row in np.argsort(-(stored[:20] @ stored.T), axis=1)[:, :10]]
    assert index.search(stored[:20], 10).ids.tolist() == expected

    first.start().wait(3)
    wait_for_green(first.url)
    for turn in range(20):
        if turn == 5:
            second.kill()
        assert index.search(stored[:20], 10).ids.tolist() == expected
    assert len(index) == N
    assert index.add(records[:1], stored[:1]) == []
    index.close()
