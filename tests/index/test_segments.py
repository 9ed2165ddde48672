"""Segments and removal, on a real server."""

from __future__ import annotations

import uuid

import numpy as np
import pytest

from imgsearch_kit.errors import IndexNotFound
from imgsearch_kit.index import create_index, new_passport, open_index
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
        assert index.segments() > 2
        index.merge()
        assert index.segments() == 2
        assert [record.id for record in index.records()] == [f"{i}.jpg" for i in range(8)]
        assert index.search(vectors, 1).ids[:, 0].tolist() == [f"{i}.jpg" for i in range(8)]


def test_an_empty_index_merges_too(address):
    with create_index(address, new_passport(None, dim=8, method="flat")) as index:
        index.merge()
        assert index.segments() == 0


def test_an_index_is_removed_with_the_name_that_stood_for_it(address):
    with create_index(address, new_passport(None, dim=8, method="flat")) as index:
        name = index._name
        index.remove()
    with pytest.raises(IndexNotFound, match="There is no index at"):
        open_index(address)
    with pytest.raises(IndexNotFound, match="There is no index at"):
        open_index(f"{address.rpartition('/')[0]}/{name}")


def test_an_index_that_is_gone_is_removed_again_without_a_word(address):
    with create_index(address, new_passport(None, dim=8, method="flat")) as index, open_index(address) as other:
        index.remove()
        other.remove()
