"""Aliases that people made by hand for an index: none ever stands for two indexes, and none is lost."""

from __future__ import annotations

import uuid

import pytest

from imgsearch_kit.errors import IndexMismatch, IndexUnwritable
from imgsearch_kit.index import create_index, new_passport, open_index
from imgsearch_kit.index.elastic.client import Server
from imgsearch_kit.indexing.copy import copy
from imgsearch_kit.indexing.folder import index_folder
from imgsearch_kit.indexing.rebuild import rebuild_index_of
from tests.index.conftest import remove_from_server
from tests.index.test_elastic import as_the_original_notebook
from tests.index.writing import DIM, pictures
from tests.small_extractor import QuarterColours, paint

ALIASES = {
    "an alias": {},
    "a write index": {"is_write_index": True},
    "hidden": {"is_hidden": True},
}
FILTER = {"filter": {"term": {"label": "label 3"}}}


@pytest.fixture(params=["elasticsearch_9", "elasticsearch_8"])
def server(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def address(server):
    """An index of 20 pictures."""
    address = f"{server}/test-{uuid.uuid4().hex[:12]}"
    with create_index(address, new_passport(None, dim=DIM, method="flat")) as index:
        index.add(*pictures(0, 20))
    yield address
    remove_from_server(address)


def by_hand(address, **options):
    """The address of an alias that somebody else made for what lies at an address."""
    server = Server(address)
    (name,) = server.request("GET", f"/{server.name}", filter_path="*.aliases")
    alias = f"hand-{uuid.uuid4().hex[:12]}"
    server.request("POST", "/_aliases", {"actions": [{"add": {"index": name, "alias": alias, **options}}]})
    server.close()
    return address.replace(server.name, alias)


def standing(address):
    """The indexes an alias stands for, with what is said of it."""
    server = Server(address)
    found = server.request("GET", f"/{server.name}", filter_path="*.aliases")
    server.close()
    return {name: index["aliases"][server.name] for name, index in found.items()}


def indexes(address):
    """All indexes whose names begin as that of an address."""
    server = Server(address)
    found = server.request("GET", f"/{server.name}*", expand_wildcards="all", filter_path="*.aliases")
    server.close()
    return set(found)


@pytest.mark.parametrize("options", ALIASES.values(), ids=ALIASES.keys())
def test_an_index_is_not_replaced_at_an_alias_made_by_hand(address, options):
    hand = by_hand(address, **options)
    before = indexes(address)
    with pytest.raises(IndexMismatch, match=rf"an alias for the index \S+, which .* address of that index: {address};"):
        copy(hand, hand, method="hnsw", progress=False)
    assert indexes(hand) == set(standing(hand)) == before  # nothing was made beside it
    with open_index(hand) as index:
        assert (len(index), index.passport.method) == (20, "flat")


def test_an_alias_with_a_filter_goes_with_its_index_and_keeps_its_filter(address):
    hand = by_hand(address, **FILTER)
    (before,) = standing(hand).values()
    assert before == FILTER
    assert copy(address, address, method="hnsw", progress=False).copied == 20
    assert standing(hand) == dict.fromkeys(indexes(address), before)


@pytest.mark.parametrize("options", ALIASES.values(), ids=ALIASES.keys())
def test_an_alias_made_by_hand_goes_with_its_index(address, options):
    hand = by_hand(address, **options)
    (before,) = standing(hand).values()
    assert copy(address, address, method="hnsw", progress=False).copied == 20
    ((name, after),) = standing(hand).items()
    assert after == before
    assert set(standing(address)) == {name} == indexes(address)
    with open_index(hand) as index:
        assert (len(index), index.passport.method) == (20, "hnsw")
        assert index.add(*pictures(20, 21)) == []


def test_an_index_is_not_rebuilt_at_an_alias_made_by_hand(server, tmp_path):
    address, extractor = f"{server}/test-{uuid.uuid4().hex[:12]}", QuarterColours()
    paint(tmp_path / "red" / "1.png", "red")
    paint(tmp_path / "blue" / "1.png", "blue")
    with create_index(address, new_passport(extractor.spec, method="flat")) as index:
        index_folder(tmp_path, index, extractor, progress=False)
    hand = by_hand(address, is_write_index=True)
    before = indexes(address)
    with pytest.raises(IndexMismatch, match=f"Use the address of that index: {address}"):
        rebuild_index_of(tmp_path, hand, extractor, method="hnsw", progress=False)
    assert set(standing(hand)) == before
    assert indexes(hand) == before
    assert rebuild_index_of(tmp_path, address, extractor, method="hnsw", progress=False).added == 2
    assert standing(hand).keys() == standing(address).keys() == indexes(address)
    remove_from_server(address)


def test_a_new_index_does_not_take_an_address_that_has_come_to_stand_for_another(address, monkeypatch):
    from imgsearch_kit.index.elastic import writing

    target = f"{address}-new"
    with writing.rebuild_elastic(target, new_passport(None, dim=DIM, method="flat")) as new:
        server = Server(target)
        (name,) = standing(address)
        server.request("POST", "/_aliases", {"actions": [{"add": {"index": name, "alias": server.name}}]})
        with pytest.raises(
            IndexMismatch, match=rf"now points to the index {name}, which was not made for this address"
        ):
            new.publish(0)
        new.remove()
        server.close()
    assert set(standing(target)) == {name}


def test_an_index_removed_by_an_alias_is_gone_with_all_its_names(address):
    hand = by_hand(address)
    with open_index(hand) as index:
        index.remove()
    assert indexes(address) == indexes(hand) == set()


@pytest.mark.plugin
@pytest.mark.parametrize("options", [{}, {"is_write_index": True}], ids=["an alias", "a write index"])
def test_an_original_index_is_left_as_it_is_at_an_alias_made_by_hand(elastiknn, options, tmp_path):
    with as_the_original_notebook(elastiknn, {"model": "exact"}) as address:
        hand = by_hand(address, **options)
        words = rf"is an alias for the index \S+, which was not made for it, .*: imgsearch copy {hand} NEW_ADDRESS"
        with pytest.raises(IndexMismatch, match=words):
            copy(hand, hand, method="exact", progress=False)
        paint(tmp_path / "1.png", "red")
        with pytest.raises(IndexMismatch, match=words):
            rebuild_index_of(tmp_path, hand, QuarterColours(), method="exact", progress=False)
        with open_index(hand) as index, pytest.raises(IndexUnwritable, match="opened for reading only"):
            index.add(*pictures(0, 1))
        assert indexes(hand) == set(standing(hand)) == {address.rpartition("/")[2]}
