"""What other programs make of an index or its address: only whole, unchanged indexes are opened, or a sentence is."""

from __future__ import annotations

import contextlib
import json
import re
import sys
import uuid
from copy import deepcopy

import pytest

from imgsearch_kit import cli
from imgsearch_kit.errors import IndexDamaged, IndexMismatch, IndexUnwritable, KitError, ServerUnavailable
from imgsearch_kit.index import create_index, new_passport, open_index
from imgsearch_kit.index.elastic.client import Server
from imgsearch_kit.indexing.copy import copy
from tests.faulty_proxy import Proxy, Reply
from tests.index.conftest import remove_from_server
from tests.index.test_elastic import as_the_original_notebook
from tests.index.writing import DIM, pictures

N = 20


@pytest.fixture(params=["elasticsearch_9", "elasticsearch_8"])
def server(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def address(server):
    """An index of some pictures with a native approximate method, which has a second, exact field."""
    address = f"{server}/test-{uuid.uuid4().hex[:12]}"
    with create_index(address, new_passport(None, dim=DIM, method="hnsw")) as index:
        index.add(*pictures(0, N))
    yield address
    remove_from_server(address)


def ask(address, method, path, body=None):
    """A request of another program; ``{}`` in the path is the index that an address stands for."""
    server = Server(address)
    try:
        name, index = next(iter(server.request("GET", f"/{server.name}").items()))
        return name, index, server.request(method, path.format(name), body)
    finally:
        server.close()


def alias(address, **options):
    """The address of an alias that another program made for what lies at an address."""
    ending = uuid.uuid4().hex[:8]
    server = Server(address)
    name = f"{server.name}.{ending}"
    (index,) = server.request("GET", f"/{server.name}")
    server.request("POST", "/_aliases", {"actions": [{"add": {"index": index, "alias": name, **options}}]})
    server.close()
    return f"{address}.{ending}"


def everything(address, folder):
    """What may be done at an address."""
    return {
        "open": lambda: open_index(address),
        "create": lambda: create_index(address, new_passport(None, dim=DIM, method="flat")),
        "copy from": lambda: copy(address, f"npz:{folder / 'a.npz'}", progress=False),
        "copy to": lambda: copy(f"npz:{folder / 'source.npz'}", address, method="flat", progress=False),
        "replace": lambda: copy(address, address, method="flat", progress=False),
    }


# -- aliases ------------------------------------------------------------------------------------------------------

PARTS = {
    "filter": {"filter": {"term": {"label": "label 3"}}},
    "index_routing and search_routing": {"routing": "7"},
    "search_routing": {"search_routing": "7"},
}


@pytest.mark.parametrize("limit", PARTS)
def test_an_alias_for_a_part_is_refused_with_the_address_of_the_whole(address, limit, tmp_path):
    part = alias(address, **PARTS[limit])
    copy(address, f"npz:{tmp_path / 'source.npz'}", progress=False)
    for name, call in everything(part, tmp_path).items():
        with pytest.raises(IndexMismatch, match=rf"an alias with {limit}, so .* with --label: {address}$") as refused:
            call()
        assert part in str(refused.value), name
    with open_index(address) as index:  # nothing has happened to it
        assert len(index) == N


def test_the_address_of_a_part_s_whole_index_can_be_opened(address):
    server = Server(address)
    (index,) = server.request("GET", f"/{server.name}")
    step = {"add": {"index": index, "alias": server.name, "filter": {"term": {"label": "label 3"}}}}
    server.request("POST", "/_aliases", {"actions": [step]})
    server.close()
    with pytest.raises(IndexMismatch, match=f"an alias with filter, .*/{index}$") as refused:
        open_index(address)
    with open_index(str(refused.value).rpartition(" ")[2]) as whole:
        assert len(whole) == N


COMMANDS = [["info"], ["search", "--id", "00000.jpg"], ["evaluate"], ["label", "LABELS"], ["export", "-o", "OUT"]]
COMMANDS += [["health"], ["remove", "ADDRESS", "--yes"], ["copy", "ADDRESS", "npz:OUT"]]


def command(capsys, monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["imgsearch", *map(str, words)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    out, err = capsys.readouterr()
    return stopped.value.code, out, err


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_a_command_at_an_alias_for_a_part_is_one_sentence(elasticsearch, words, capsys, monkeypatch, tmp_path):
    address = f"{elasticsearch}/test-{uuid.uuid4().hex[:12]}"
    with create_index(address, new_passport(None, dim=DIM, method="flat")) as index:
        index.add(*pictures(0, N))
    part = alias(address, filter={"term": {"label": "label 3"}})
    (tmp_path / "labels.csv").write_text("path,label\n00000.jpg,dog\n")
    replaced = {"LABELS": tmp_path / "labels.csv", "OUT": tmp_path / "out.npz", "ADDRESS": part}
    line = [str(replaced.get(word, word)).replace("OUT", str(tmp_path / "copy.npz")) for word in words]
    line += [] if part in line else ["--index", part]
    code, out, err = command(capsys, monkeypatch, *line)
    assert (code, out, len(err.splitlines())) == (3, "", 1), err
    assert f"Give the address of the whole index, and choose the part with --label: {address}" in err
    with open_index(address) as index:
        assert index.label_counts()["label 0"] == 3
    remove_from_server(address)


def test_a_rolled_over_index_is_refused_with_its_parts(address, tmp_path):
    name, _, _ = ask(address, "POST", f"/{address.rpartition('/')[2]}/_rollover/{address.rpartition('/')[2]}-000002")
    copy(f"{address.rpartition('/')[0]}/{name}", f"npz:{tmp_path / 'source.npz'}", progress=False)
    for call in everything(address, tmp_path).values():
        with pytest.raises(IndexMismatch, match=rf"points to 2 indexes: .*{name}.* Give the address of one"):
            call()


def test_an_alias_for_many_indexes_names_some_of_them():
    many = {f"logs-{i}": {"aliases": {"logs": {}}, "mappings": {}} for i in range(1_000)}
    with Proxy() as server:
        server.answer = lambda request: Reply(
            body=json.dumps({"nodes": {}} if "_nodes" in request.path else many).encode()
        )
        with pytest.raises(IndexMismatch, match=r"points to 1000 indexes: logs-0, .*logs-101 and 995 more\. Give"):
            open_index(f"{server.url}/logs")


def test_a_data_stream_is_named_as_such(server, tmp_path, address):
    name = f"test-{uuid.uuid4().hex[:12]}"
    asked = Server(f"{server}/{name}")
    asked.request("PUT", f"/_index_template/{name}", {"index_patterns": [name], "data_stream": {}, "priority": 500})
    asked.request("PUT", f"/{name}/_create/1", {"@timestamp": "2026-01-01T00:00:00Z"})
    copy(address, f"npz:{tmp_path / 'source.npz'}", progress=False)
    for call in everything(asked.address, tmp_path).values():
        with pytest.raises(IndexMismatch, match=rf"is the data stream {name}, and .* Give another address"):
            call()
    with contextlib.suppress(KitError):  # a server of few modules cannot delete it
        asked.request("DELETE", f"/_data_stream/{name}")
    asked.close()


# -- mappings -----------------------------------------------------------------------------------------------------


def remapped(address, change, mappings=None):
    """The address of an index with the passport of another, and with changed mappings."""
    mappings = deepcopy(mappings or ask(address, "GET", "/{}")[1]["mappings"])
    change(mappings)
    server = Server(f"{address}-changed")
    server.request("PUT", f"/{server.name}", {"mappings": mappings})
    server.close()
    return f"{address}-changed"


@pytest.fixture(scope="module")
def mapped(elasticsearch):
    """The mappings of an index with a native approximate method."""
    address = f"{elasticsearch}/test-{uuid.uuid4().hex[:12]}"
    create_index(address, new_passport(None, dim=DIM, method="hnsw")).close()
    yield address, ask(address, "GET", "/{}")[1]["mappings"]
    remove_from_server(address)


def field(name, **changes):
    return lambda mappings: mappings["properties"][name].update(changes)


CHANGED = {
    "no id": (lambda m: m["properties"].pop("id"), "id is missing"),
    "no label": (lambda m: m["properties"].pop("label"), "label is missing"),
    "no sha256": (lambda m: m["properties"].pop("sha256"), "sha256 is missing"),
    "no vector": (lambda m: m["properties"].pop("vector"), "vector is missing"),
    "no exact twin": (lambda m: m["properties"].pop("exact"), "exact is missing"),
    "label a text": (field("label", type="text"), "label.type is 'text' instead of 'keyword'"),
    "id without columns": (field("id", doc_values=False), "id.doc_values is False instead of True"),
    "label not indexed": (field("label", index=False), "label.index is False instead of True"),
    "label in small letters": (field("label", normalizer="lowercase"), "label.normalizer is 'lowercase'"),
    "short ids": (field("id", ignore_above=9), "id.ignore_above is 9"),
    "other dims": (field("vector", dims=32), "vector.dims is 32 instead of 64"),
    "another similarity": (field("vector", similarity="l2_norm"), "vector.similarity is 'l2_norm' instead of 'cosine'"),
    "a vector that is a text": (lambda m: m["properties"].update(vector={"type": "text"}), "vector.type is 'text'"),
    "another method": (
        lambda m: m["properties"]["vector"]["index_options"].update(type="int8_hnsw"),
        "vector.index_options.type is 'int8_hnsw' instead of 'hnsw'",
    ),
    "an exact twin that is not": (
        lambda m: m["properties"]["exact"].update(index_options={"type": "int8_hnsw"}),
        "exact.index_options.type is 'int8_hnsw' instead of 'flat'",
    ),
    "a runtime label": (lambda m: m.update(runtime={"label": {"type": "keyword"}}), "label is a runtime field"),
    "no source": (lambda m: m.update(_source={"enabled": False}), "does not keep its documents whole"),
    "part of the source": (lambda m: m.update(_source={"excludes": ["failures"]}), "does not keep its documents whole"),
}


@pytest.mark.parametrize("change", CHANGED)
def test_a_changed_mapping_is_refused_with_what_has_changed(mapped, change):
    address, mappings = mapped
    edit, words = CHANGED[change]
    other = remapped(address, edit, mappings)
    with pytest.raises(IndexDamaged, match=re.escape(words)) as refused:
        open_index(other)
    assert str(refused.value).endswith("at another address: imgsearch index FOLDER")
    remove_from_server(other)


def test_an_exact_field_that_is_changed_in_place_is_refused(address):
    """A server allows this change, and then answers an exact search approximately."""
    twin = {"type": "dense_vector", "dims": DIM, "index": True, "similarity": "cosine"}
    ask(address, "PUT", "/{}/_mapping", {"properties": {"exact": twin | {"index_options": {"type": "int8_hnsw"}}}})
    with pytest.raises(IndexDamaged, match=r"exact\.index_options\.type is 'int8_hnsw' instead of 'flat'"):
        open_index(address)


HARMLESS = {
    "dynamic fields": {"dynamic": True, "properties": {"seen": {"type": "date"}, "note": {"type": "text"}}},
    "a second way to search a label": {
        "properties": {"label": {"type": "keyword", "fields": {"words": {"type": "text"}}}}
    },
    "another runtime field": {"runtime": {"day": {"type": "keyword"}}},
}


@pytest.mark.parametrize("change", HARMLESS)
def test_fields_that_another_program_adds_change_nothing(address, change):
    ask(address, "PUT", "/{}/_mapping", HARMLESS[change])
    with open_index(address) as index:
        assert index.add(*pictures(N, N + 1)) == []
        index.flush()
        assert index.search(pictures(3, 4)[1], 1).ids.tolist() == [["00003.jpg"]]
        assert (len(index), index.label_counts()["label 6"]) == (N + 1, 3)


@pytest.mark.parametrize("method", ["flat", "hnsw:m=8,no-exact", "int8_hnsw", "bbq_hnsw"])
def test_what_the_kit_maps_is_what_it_expects(server, method):
    address = f"{server}/test-{uuid.uuid4().hex[:12]}"
    create_index(address, new_passport(None, dim=DIM, method=method)).close()
    with open_index(address) as index:
        assert index.passport.method == method
    remove_from_server(address)


@pytest.mark.plugin
@pytest.mark.parametrize("method", ["exact", "l2-lsh", "cosine-lsh", "permutation-lsh:k=32"])
def test_what_the_kit_maps_with_elastiknn_is_what_it_expects(elastiknn, method):
    address = f"{elastiknn}/test-{uuid.uuid4().hex[:12]}"
    create_index(address, new_passport(None, dim=DIM, method=method)).close()
    with open_index(address) as index:
        assert index.passport.method.startswith(method)
    other = remapped(address, lambda mappings: mappings["properties"]["vector"]["elastiknn"].update(dims=32))
    with pytest.raises(IndexDamaged, match=r"vector\.elastiknn\.dims is 32 instead of 64"):
        open_index(other)  # the exact model would answer with a vector of any length
    remove_from_server(address)


@pytest.mark.plugin
def test_an_original_index_at_an_alias_for_a_part_is_refused(elastiknn):
    with as_the_original_notebook(elastiknn, {"model": "exact"}) as address:
        part = alias(address, filter={"match_all": {}})
        with pytest.raises(IndexMismatch, match=f"an alias with filter, .*: {address}$"):
            open_index(part)


# -- copies that other programs make, and blocks ------------------------------------------------------------------


def test_a_clone_is_read_and_says_why_it_is_not_written(address):
    name, _, _ = ask(address, "PUT", "/{}/_block/write")
    ask(address, "PUT", f"/{{}}/_clone/{name}-clone", {"settings": {"index.blocks.write": None}})
    with open_index(f"{address.rpartition('/')[0]}/{name}-clone") as clone:
        assert len(clone) == N
        assert clone.search(pictures(3, 4)[1], 1).ids.tolist() == [["00003.jpg"]]
        words = rf"has no alias {name}-clone-write, through which the kit writes; .*: imgsearch copy \S+-clone NEW_ADD"
        for change in (lambda: clone.add(*pictures(N, N + 1)), lambda: clone.amend(uuid="x"), clone.check_writable):
            with pytest.raises(IndexUnwritable, match=words):
                change()


def test_an_index_whose_alias_for_writes_is_taken_away_says_so(address):
    with open_index(address) as index:
        ask(address, "POST", "/_aliases", {"actions": [{"remove": {"index": index._name, "alias": "*-write"}}]})
        for change in (lambda: index.add(*pictures(N, N + 1)), lambda: index.delete(["00000.jpg"])):
            with pytest.raises(IndexUnwritable, match=r"has no alias \S+-write, through which the kit writes"):
                change()
        assert len(index) == N


BLOCKS = {
    "write": (
        "",
        IndexUnwritable,
        r"is blocked: .* On the server, lift the block: PUT /\S+/_settings with .*blocks\.write",
    ),
    "read_only": ("", IndexUnwritable, r"On the server, lift the block: .*index\.blocks\.read_only\": null"),
    "read_only_allow_delete": (
        "",
        IndexUnwritable,
        r"On the server, free disk space, then lift the block: .*allow_delete",
    ),
    "read": (
        "search",
        ServerUnavailable,
        r"is blocked: .* On the server, lift the block: .*index\.blocks\.read\": null",
    ),
    "metadata": ("open", ServerUnavailable, r"is blocked: .* lift the block: .*index\.blocks\.metadata\": null"),
}


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_is_named_with_the_setting_that_lifts_it(address, block):
    what, kind, words = BLOCKS[block]
    index = open_index(address)
    ask(address, "PUT", "/{}/_settings", {f"index.blocks.{block}": True})
    if what == "search":
        calls = [lambda: index.search(pictures(0, 1)[1], 1), index.records, index.failures, index.label_counts]
        calls += [lambda: index.delete(["00000.jpg"]), lambda: open_index(address)]
    elif what == "open":
        calls = [lambda: open_index(address), index.read_passport]
    else:
        calls = [lambda: index.add(*pictures(N, N + 1)), lambda: index.delete(["00000.jpg"])]
    for call in calls:
        with pytest.raises(kind, match=words):
            call()
    index._request("PUT", "_settings", {f"index.blocks.{block}": None})
    assert len(index) == N
    index.close()


def test_a_closed_index_is_named_as_such_to_who_writes(address):
    with open_index(address) as index:
        ask(address, "POST", "/{}/_close")
        for call in (
            lambda: index.add(*pictures(N, N + 1)),
            lambda: index.delete(["00000.jpg"]),
            lambda: index.set_failures([]),
            index.failures,
            index.read_passport,
            lambda: copy(address, address, method="flat", progress=False),
        ):
            with pytest.raises(
                ServerUnavailable, match=r"is closed on the server\. Open it with POST /\S+/_open there"
            ):
                call()
        index._connected.request("POST", f"/{index._name}/_open")


def test_a_document_of_another_program_without_a_vector_is_named(address):
    ask(address, "POST", "/{}/_doc?refresh=true", {"id": "foreign.jpg", "label": "cat"})
    with open_index(address) as index:
        assert "foreign.jpg" not in index.search(pictures(0, 1)[1], N + 1).ids
        with pytest.raises(IndexDamaged, match=r"'foreign\.jpg' .* has no vector"):
            index.vectors()
