"""An index that is replaced while others write to it: what the server acknowledged is never lost."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import uuid

import numpy as np
import pytest

from imgsearch_kit.errors import IndexMismatch, IndexUnwritable, KitError
from imgsearch_kit.index import Address, create_index, new_passport, open_index
from imgsearch_kit.index.elastic import client, replacing
from imgsearch_kit.index.elastic import writing as elastic
from imgsearch_kit.indexing.copy import copy
from tests.faulty_proxy import Proxy
from tests.index.conftest import remove_from_server
from tests.index.writing import DIM, pictures, start


@pytest.fixture(params=["elasticsearch_9", "elasticsearch_8"])
def address(request):
    """An index of 100 pictures."""
    address = f"{request.getfixturevalue(request.param)}/test-{uuid.uuid4().hex[:12]}"
    with create_index(address, new_passport(None, dim=DIM, method="flat")) as index:
        assert index.add(*pictures(0, 100)) == []
    yield address
    remove_from_server(address)


def through(proxy, address):
    return f"{proxy.url}/{address.rpartition('/')[2]}"


def ids(address):
    with open_index(address) as index:
        return {record.id for record in index.records()}


def test_of_a_writer_that_never_rests_every_acknowledged_picture_is_in_the_copy(address):
    done, acknowledged, said = threading.Event(), set(), []
    random = np.random.default_rng(0)

    def write():
        number = 100
        with open_index(address) as index:
            while not done.is_set():
                records, vectors = pictures(number, number + 1)
                try:
                    refused = index.add(records, vectors)
                    said.extend(refused)
                    acknowledged.update(record.id for record in records if not refused)
                except KitError as error:
                    said.append(error)
                number += 1
                done.wait(random.choice([0.005, 0.5]))

    writing = threading.Thread(target=write)
    writing.start()
    for method in ["hnsw", "flat"] * 4:
        with contextlib.suppress(IndexMismatch):  # a copy that saw a change, and kept the old index
            copy(address, address, method=method, progress=False)
    done.set()
    writing.join()
    copy(address, address, method="int8_hnsw", progress=False)
    assert acknowledged
    assert acknowledged <= ids(address)
    assert [each for each in said if not isinstance(each, IndexUnwritable)] == []


def test_a_write_that_no_refresh_has_shown_makes_the_copy_start_again(address, monkeypatch):
    def late(address, method):  # the copy has looked at the index once, and has not begun to read it
        with open_index(address) as writer:
            assert writer.add(*pictures(100, 101)) == []

    monkeypatch.setattr(Address, "check_method", late)
    with pytest.raises(IndexMismatch, match="changed while it was copied"):
        copy(address, address, method="hnsw", progress=False)
    assert "00100.jpg" in ids(address)


# What the copy asks for as it replaces an index: the hold is in place from the second step on.
STEPS = {"the hold": ("/_aliases", 1), "the block": ("/_block", 1), "the last look": ("/_stats", -1)}
STEPS |= {"the switch": ("/_aliases", 2)}


CHANGES = {
    "a picture": lambda index: index.add(*pictures(100, 101)),
    "the passport": lambda index: index.amend(roots={"": "/moved"}),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("step", STEPS)
def test_a_change_just_before_a_step_of_the_replacement_is_in_the_result(address, step, change):
    path, turn = STEPS[step]
    writers, turns = [], 0

    def write():
        with open_index(address) as index:
            assert not CHANGES[change](index)

    def answer(request):
        nonlocal turns
        if path in request.path and (turn > 0 or any("/_block" in seen.path for seen in proxy.seen)):
            turns += 1
            if turns == abs(turn):
                writers.append(threading.Thread(target=write))
                writers[0].start()
                writers[0].join(0.3)  # by now it has written, or it waits for the replacement to end

    with Proxy(address.rpartition("/")[0]) as proxy:
        proxy.answer = answer
        seen = through(proxy, address)
        if step == "the hold":
            with pytest.raises(IndexMismatch, match="changed while its replacement was being built"):
                copy(seen, seen, method="hnsw", progress=False)
        else:
            assert copy(seen, seen, method="hnsw", progress=False).copied == 100
    writers[0].join()
    assert ids(address) == {f"{i:05}.jpg" for i in range(101 if change == "a picture" else 100)}
    with open_index(address) as index:
        assert index.passport.method == ("flat" if step == "the hold" else "hnsw")
        assert index.passport.roots == ({"": "/moved"} if change == "the passport" else {})


def test_a_replacement_that_fails_lets_others_write_at_once(address):
    with open_index(address) as index, open_index(address) as writer:
        generation = index.passport.generation
        with elastic.rebuild_elastic(address, new_passport(None, dim=DIM, method="flat")) as new:
            new.add(*pictures(0, 100))
            assert writer.add(*pictures(100, 101)) == []
            with pytest.raises(
                IndexMismatch, match=r"changed while its replacement was being built .* so it was not replaced"
            ):
                new.publish(100, unchanged=generation)
        assert not replacing.is_being_replaced(writer._connected, writer._name)
        assert writer.add(*pictures(101, 102)) == []
    assert len(ids(address)) == 102


KILLED = """
from imgsearch_kit.index.elastic import replacing
from imgsearch_kit.indexing.copy import copy
def die(server, old, new):
    print("held", flush=True)
    sys.stdin.read()
replacing.switch = die
copy(address, address, method="hnsw", progress=False)
"""


def killed_while_it_held(address):
    process = start(KILLED, address, stdin=-1)
    assert process.stdout.readline() == "held\n", process.communicate()
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()


def test_after_a_kill_in_the_middle_the_next_writer_is_not_stuck(address, monkeypatch):
    monkeypatch.setattr(client, "WAITS", (0.01, 0.02, 0.03))
    killed_while_it_held(address)
    with open_index(address) as index:
        assert replacing.is_being_replaced(index._connected, index._name)
        assert len(index) == 100  # it keeps serving
        assert index.add(*pictures(100, 150)) == []
        assert index.delete(["00000.jpg"]) == 1
        assert list(replacing.indexes_made_for(index._connected, index._connected.name)) == [
            index._name
        ]  # what was half made is gone
    assert len(ids(address)) == 149


def test_after_a_kill_in_the_middle_the_next_copy_completes(address):
    killed_while_it_held(address)
    assert copy(address, address, method="hnsw", progress=False).copied == 100
    with open_index(address) as index:
        assert (len(index), index.passport.method) == (100, "hnsw")
        assert index.add(*pictures(100, 101)) == []


def test_one_taken_for_dead_cannot_take_the_place_of_what_was_written_since(address, monkeypatch):
    monkeypatch.setattr(client, "WAITS", (0.01, 0.02, 0.03))
    switch = replacing.switch

    def slow(server, old, new):
        with open_index(address) as writer:
            assert writer.add(*pictures(100, 101)) == []
        switch(server, old, new)

    monkeypatch.setattr(replacing, "switch", slow)
    with pytest.raises(IndexMismatch, match=r"The new index for .* no longer exists; another rebuild"):
        copy(address, address, method="hnsw", progress=False)
    assert "00100.jpg" in ids(address)


def test_who_had_it_open_writes_on_in_the_new_one(address):
    with open_index(address) as writer:
        copy(address, address, method="hnsw", progress=False)
        assert writer.add(*pictures(100, 101)) == []
        assert writer.delete(["00000.jpg"]) == 1
        writer.amend(roots={"": "/pictures"})
        writer.flush()
        assert writer.passport.roots == {"": "/pictures"}
        found = writer.search(pictures(100, 101)[1], 1)
        assert found.ids.tolist() == [["00100.jpg"]]
    assert len(ids(address)) == 100


def test_an_administrator_s_block_is_left_alone(address, monkeypatch):
    monkeypatch.setattr(client, "WAITS", (0.01, 0.02, 0.03))
    with open_index(address) as index:
        index._request("PUT", "_settings", {"index.blocks.write": True})
        with pytest.raises(IndexUnwritable, match="is blocked"):
            index.add(*pictures(100, 101))
        settings = index._request("GET", "_settings")[index._name]["settings"]["index"]
        assert settings["blocks"]["write"] == "true"
        index._request("PUT", "_settings", {"index.blocks.write": None})
