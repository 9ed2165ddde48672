"""Segments and removal, on a real server."""

from __future__ import annotations

import uuid

import numpy as np
import pytest

from imgsearch_kit.errors import BadQuery, IndexNotFound
from imgsearch_kit.index import create_index, new_passport, open_index
from imgsearch_kit.index.elastic.segments import drop, merge, segments
from imgsearch_kit.records import ImageRecord
from tests.index.conftest import remove_from_server


@pytest.fixture
def address(elasticsearch):
    address = f"{elasticsearch}/test-{uuid.uuid4().hex[:12]}"
    yield address
    remove_from_server(address)


def test_merging_leaves_one_segment_a_shard_and_every_record(address):
    vectors = np.eye(8, dtype=np.float32)
    with create_index(address, new_passport(None, dim=8, method="flat:shards=2")) as index:
        for i, vector in enumerate(vectors):
            index.add([ImageRecord(f"{i}.jpg")], vector[None])
            index.flush()
        assert segments(index) > 2
        merge(index)
        assert segments(index) == 2
        assert [record.id for record in index.records()] == [f"{i}.jpg" for i in range(8)]
        assert index.search(vectors, 1).ids[:, 0].tolist() == [f"{i}.jpg" for i in range(8)]


def test_an_empty_index_merges_too(address):
    with create_index(address, new_passport(None, dim=8, method="flat")) as index:
        merge(index)
        assert segments(index) == 0


def test_a_dropped_index_is_gone(address):
    with create_index(address, new_passport(None, dim=8, method="flat")) as index:
        drop(index)
    with pytest.raises(IndexNotFound, match="There is no index at"):
        open_index(address)


def test_an_index_that_is_gone_is_dropped_again_without_a_word(address):
    with create_index(address, new_passport(None, dim=8, method="flat")) as index:
        drop(index)
        drop(index)


def test_an_index_in_memory_has_no_segments_and_is_not_dropped():
    with create_index("memory:", new_passport(None, dim=8)) as index:
        assert segments(index) is None
        merge(index)
        with pytest.raises(BadQuery, match="not one that the kit made on a server"):
            drop(index)
