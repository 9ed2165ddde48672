"""Segments and removal, on a real server."""

from __future__ import annotations

import numpy as np
import pytest

from imgsearch_kit.errors import IndexNotFound
from imgsearch_kit.index import create_index, new_passport, open_index
from imgsearch_kit.records import ImageRecord


def test_merging_leaves_one_segment_a_shard_and_every_record(server_address):
    vectors = np.eye(8, dtype=np.float32)
    with create_index(server_address, new_passport(None, dim=8, method="flat:shards=2")) as index:
        for i, vector in enumerate(vectors):
            index.add([ImageRecord(f"{i}.jpg")], vector[None])
            index.flush()
        assert index.segments() > 2
        index.merge()
        assert index.segments() == 2
        assert [record.id for record in index.records()] == [f"{i}.jpg" for i in range(8)]
        assert index.search(vectors, 1).ids[:, 0].tolist() == [f"{i}.jpg" for i in range(8)]


def test_an_empty_index_merges_too(server_address):
    with create_index(server_address, new_passport(None, dim=8, method="flat")) as index:
        index.merge()
        assert index.segments() == 0


def test_an_index_is_removed_with_the_name_that_stood_for_it(server_address):
    with create_index(server_address, new_passport(None, dim=8, method="flat")) as index:
        name = index._name
        index.remove()
    with pytest.raises(IndexNotFound, match="There is no index at"):
        open_index(server_address)
    with pytest.raises(IndexNotFound, match="There is no index at"):
        open_index(f"{server_address.rpartition('/')[0]}/{name}")


def test_an_index_that_is_gone_is_removed_again_without_a_word(server_address):
    with (
        create_index(server_address, new_passport(None, dim=8, method="flat")) as index,
        open_index(server_address) as other,
    ):
        index.remove()
        other.remove()
