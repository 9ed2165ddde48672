"""An index that is built: whole at its address when the block has ended, or no trace of it."""

from __future__ import annotations

import uuid

import pytest

from imgsearch_kit.errors import BadQuery, IndexMismatch, IndexNotFound, IndexUnwritable
from imgsearch_kit.index import building, create_index, new_passport, open_index
from tests.index.conftest import remove_from_server
from tests.index.writing import DIM, pictures

METHODS = {"elasticsearch_9": "flat", "elasticsearch_8": "flat"}


@pytest.fixture(params=["local", "npz", *METHODS])
def place(request, tmp_path):
    """An address where nothing is, and the method of the indexes there."""
    if request.param not in METHODS:
        yield f"{request.param}:{tmp_path / 'index'}", "exact"
        return
    address = f"{request.getfixturevalue(request.param)}/test-{uuid.uuid4().hex[:12]}"
    yield address, METHODS[request.param]
    remove_from_server(address)


def passport(method):
    return new_passport(None, dim=DIM, method=method)


def made(place, n):
    address, method = place
    with create_index(address, passport(method)) as index:
        assert index.add(*pictures(0, n)) == []
        index.flush()
        return index.read_passport()


def ids(address):
    with open_index(address) as index:
        return [record.id for record in index.records()]


def traces(place, tmp_path):
    """What lies beside the index: files, or indexes on the server."""
    address, _ = place
    if not address.startswith("http"):
        return {path.name for path in tmp_path.iterdir()} - {"index"}
    from imgsearch_kit.index.elastic.client import Server

    server = Server(address)
    found = server.request("GET", f"/{server.name}*", expand_wildcards="all", filter_path="*.aliases")
    server.close()
    return {name for name, index in found.items() if server.name not in index["aliases"]}


def build(place, numbers, unchanged=None, last=lambda: None):
    """Builds an index of the pictures of these numbers, and calls ``last`` at the end of the block."""
    address, method = place
    with building(address, passport(method), unchanged=unchanged) as new:
        assert new.add(*pictures(*numbers)) == []
        last()


def must_not_begin():
    pytest.fail("the block must not begin")


def test_a_new_index_is_there_once_the_block_has_ended(place, tmp_path):
    def before():
        with pytest.raises(IndexNotFound, match="There is no index at"):
            open_index(place[0])

    build(place, (0, 30), last=before)
    assert ids(place[0]) == [f"{i:05}.jpg" for i in range(30)]
    assert traces(place, tmp_path) == set()


@pytest.mark.parametrize("stop", [ZeroDivisionError, KeyboardInterrupt])
def test_what_the_block_raises_leaves_no_trace(place, tmp_path, stop):
    def last():
        raise stop("stop")

    with pytest.raises(stop, match="stop"):
        build(place, (0, 30), last=last)
    with pytest.raises(IndexNotFound, match="There is no index at"):
        open_index(place[0])
    assert traces(place, tmp_path) == set()


def test_nothing_is_replaced_unless_its_generation_is_named(place, tmp_path):
    made(place, 10)
    with pytest.raises(IndexMismatch, match=r"There is an index at .* already"):
        build(place, (0, 30), last=must_not_begin)
    assert len(ids(place[0])) == 10
    assert traces(place, tmp_path) == set()


def test_what_another_makes_there_meanwhile_is_kept(place, tmp_path):
    if not place[0].startswith("http"):  # the other is refused
        with pytest.raises(IndexUnwritable, match="Another process is writing to the index at"):
            build(place, (0, 30), last=lambda: made(place, 10))
        return
    with pytest.raises(IndexMismatch, match=r"There is an index at .* already"):
        build(place, (0, 30), last=lambda: made(place, 10))
    assert len(ids(place[0])) == 10
    assert traces(place, tmp_path) == set()


def test_an_index_is_replaced_in_one_step(place, tmp_path):
    before = made(place, 10)
    during = []
    build(place, (20, 50), before.generation, last=lambda: during.extend(ids(place[0])))
    assert during == [f"{i:05}.jpg" for i in range(10)]
    assert ids(place[0]) == [f"{i:05}.jpg" for i in range(20, 50)]
    with open_index(place[0]) as index:
        assert index.passport.uuid != before.uuid
    assert traces(place, tmp_path) == set()


def test_an_index_that_has_changed_is_kept(place, tmp_path):
    before = made(place, 10)
    with open_index(place[0]) as index:
        assert index.add(*pictures(10, 11)) == []
    with pytest.raises(IndexMismatch, match="changed while its replacement was being built"):
        build(place, (20, 50), before.generation)
    assert len(ids(place[0])) == 11
    assert traces(place, tmp_path) == set()


def test_an_index_that_is_gone_is_not_replaced(place, tmp_path):
    def remove():
        with open_index(place[0]) as index:
            index.remove()

    before = made(place, 10)
    if place[0].startswith("http"):
        with pytest.raises(IndexNotFound, match="There is no index at"):
            build(place, (20, 50), before.generation, last=remove)
    else:
        remove()
    with pytest.raises(IndexNotFound, match="There is no index at"):
        build(place, (20, 50), before.generation)
    with pytest.raises(IndexNotFound, match="There is no index at"):
        open_index(place[0])
    assert traces(place, tmp_path) == set()


@pytest.mark.parametrize("kind", ["local", "npz"])
def test_two_that_build_at_one_address_do_not_get_into_each_other(tmp_path, kind):
    address = f"{kind}:{tmp_path / 'index'}"
    with building(address, passport("exact")) as new:
        new.add(*pictures(0, 10))
        with pytest.raises(IndexUnwritable, match="Another process is writing to the index at"):
            build((address, "exact"), (10, 20), last=must_not_begin)
        new.add(*pictures(10, 30))
    assert len(ids(address)) == 30


def test_files_of_other_names_are_left_alone(tmp_path):
    """Also those whose names begin as that of the file beside the index."""
    for name in ("index.part.bak", "index.partner"):
        (tmp_path / name).write_text("mine")
    build((f"local:{tmp_path / 'index'}", "exact"), (0, 10))
    assert {path.name for path in tmp_path.iterdir()} == {"index", "index.part.bak", "index.partner"}


@pytest.mark.parametrize("kind", ["local", "npz"])
def test_where_no_file_can_be_made_that_is_said(tmp_path, kind):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(IndexUnwritable, match=r"The file .* cannot be made: File exists .* or give another address"):
        build((f"{kind}:{tmp_path / 'file' / 'index'}", "exact"), (0, 10), last=must_not_begin)
    build((f"{kind}:{tmp_path / 'new' / 'folder' / 'index'}", "exact"), (0, 10))
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == ["index"]


def test_in_memory_it_ends_with_the_block():
    with building("memory:", passport("exact")) as new:
        new.add(*pictures(0, 10))
        assert len(new) == 10
    with pytest.raises(BadQuery, match="is closed"):
        len(new)


def test_a_method_that_a_file_does_not_know_is_refused(tmp_path):
    with pytest.raises(BadQuery, match=r"has the method exact or hnsw, .* not 'flat'"):
        building(f"local:{tmp_path / 'index'}", passport("flat"))
