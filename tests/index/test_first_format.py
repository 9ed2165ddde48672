"""Indexes of the first format: read as they are, upgraded by the first change, whole or not at all."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import sqlite3
import tempfile
from pathlib import Path

import pytest

from imgsearch_kit.errors import IndexDamaged, VersionMismatch
from imgsearch_kit.index import new_passport, open_index
from imgsearch_kit.index import schema as store
from imgsearch_kit.index.elastic.client import Server
from imgsearch_kit.indexing.copy import copy
from tests.index import first_format
from tests.index.conftest import remove_from_server
from tests.index.writing import DIM, DROP_ROOT, pictures, run, start

OLD = pictures(0, 20)


@pytest.fixture
def path(tmp_path):
    return make(tmp_path / "pictures.db")


def make(path):
    first_format.write_local(path, *OLD, new_passport(None, dim=DIM))
    return path


def held(address):
    with open_index(str(address)) as index:
        return index.records(), index.vectors().tolist(), index.passport.format


def format_of(path):
    db = sqlite3.connect(path)
    try:
        columns = [name for _, name, *_ in db.execute("PRAGMA table_info(records)")]
        return db.execute("PRAGMA user_version").fetchone()[0], "inode" in columns, "ctime" in columns
    finally:
        db.close()


FIRST, SECOND = (1, False, False), (2, True, True)
AS_IT_WAS = OLD[0], OLD[1].tolist(), 1


def test_reading_leaves_it_as_it_is(path):
    before = path.read_bytes()
    assert held(path) == AS_IT_WAS
    with open_index(str(path)) as index:
        assert index.records(["00003.jpg"]) == OLD[0][3:4]
        assert index.search(OLD[1][:1], 1).records == {"00000.jpg": OLD[0][0]}
    assert path.read_bytes() == before


def test_the_first_change_upgrades_it_while_others_read(path):
    with open_index(str(path)) as reader, open_index(str(path)) as writer:
        assert reader.records() == OLD[0]
        records, vectors = pictures(20, 22)
        records = [dataclasses.replace(record, inode=2**63 - 1, ctime=1.7e9 + 0.125) for record in records]
        writer.add(records, vectors)
        assert writer.passport.generation == 4
        assert writer.passport.format == 2
        assert reader.records() == writer.records() == OLD[0] + records
        assert reader.read_passport().format == 2
        writer.add(*pictures(22, 23))
    assert format_of(path) == SECOND
    assert held(path)[1] == pictures(0, 23)[1].tolist()


CHANGES = {
    "add": lambda index: index.add(*pictures(20, 21)),
    "delete": lambda index: index.delete(["00000.jpg"]),
    "set_failures": lambda index: index.set_failures([store.Failure("x", "y")]),
    "set_learned": lambda index: index.set_learned(b"z"),
    "amend": lambda index: index.amend(roots={"": "/elsewhere"}),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_every_change_upgrades_it(path, change):
    with open_index(str(path)) as index:
        change(index)
    assert format_of(path) == SECOND
    assert held(path)[2] == 2


KILLED = """
import signal
def fatal(statement):
    if sys.argv[2] in statement:
        os.kill(os.getpid(), signal.SIGKILL)
index = open_index(address)
index._db.set_trace_callback(fatal)
index.add(*pictures(20, 30))
index._db.set_trace_callback(None)
os.kill(os.getpid(), signal.SIGKILL)
"""
MOMENTS = {  # the process is killed before it executes this statement
    "ADD COLUMN ctime": FIRST,
    "PRAGMA user_version = 2": FIRST,
    "INSERT INTO vectors": FIRST,
    "COMMIT": FIRST,
    "never": SECOND,
}


@pytest.mark.parametrize(("moment", "then"), MOMENTS.items(), ids=MOMENTS)
def test_killed_at_any_moment_it_has_one_format_or_the_other(path, moment, then):
    process = start(KILLED, path, moment)
    assert process.communicate() == ("", "")
    assert process.returncode == -signal.SIGKILL
    assert format_of(path) == then
    assert held(path) == (AS_IT_WAS if then == FIRST else (*expected(30), 2))
    with open_index(str(path)) as index:
        index.add(*pictures(20, 30))
    assert format_of(path) == SECOND
    assert held(path) == (*expected(30), 2)


def expected(n):
    records, vectors = pictures(0, n)
    return records, vectors.tolist()


def test_a_change_that_fails_leaves_the_first_format(path, monkeypatch):
    def broken(*_):
        raise sqlite3.OperationalError("no more room")

    monkeypatch.setattr(store, "insert", broken)
    with open_index(str(path)) as index, pytest.raises(IndexDamaged, match="no more room"):
        index.add(*pictures(20, 21))
    assert format_of(path) == FIRST
    assert held(path) == AS_IT_WAS


READ_AND_WRITE = """
index = open_index(address)
print(len(index.entries()[0]), index.vectors().shape, index.passport.format)
try:
    index.add(*pictures(20, 30))
except KitError as error:
    print(type(error).__name__)
"""


@pytest.mark.parametrize(("folder_mode", "file_mode"), [(0o555, 0o444), (0o555, 0o666), (0o777, 0o444)])
def test_where_it_cannot_be_written_it_is_read(folder_mode, file_mode):
    folder = Path(tempfile.mkdtemp())
    try:
        path = make(folder / "pictures.db")
        before = path.read_bytes()
        path.chmod(file_mode)
        folder.chmod(folder_mode)
        assert run(DROP_ROOT + READ_AND_WRITE, path) == "20 (20, 64) 1\nIndexUnwritable"
        assert path.read_bytes() == before
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


@pytest.mark.parametrize("version", [0, 3, 99])
def test_a_format_the_kit_does_not_know_is_refused_in_a_sentence(path, version):
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {version}")
    db.close()
    with pytest.raises(
        VersionMismatch, match=f"has format {version}; this kit reads formats 1 to 2. Install the newer kit"
    ):
        open_index(str(path))


@pytest.mark.parametrize("target", ["local:{}/copy.db", "npz:{}/copy.npz"])
def test_its_copy_is_of_the_present_format(path, tmp_path, target):
    copy(str(path), target.format(tmp_path))
    assert held(target.format(tmp_path)) == (*AS_IT_WAS[:2], 2)
    assert format_of(path) == FIRST


def test_an_archive_is_read_and_written_back_with_what_it_lacked(tmp_path):
    address = f"npz:{tmp_path / 'a.npz'}"
    first_format.write_archive(tmp_path / "a.npz", *OLD, new_passport(None, dim=DIM))
    assert held(address)[:2] == AS_IT_WAS[:2]
    record, vector = pictures(20, 21)
    with open_index(address) as index:
        index.add([dataclasses.replace(record[0], inode=7, ctime=8.5)], vector)
    records, _, version = held(address)
    assert (records[-1].inode, records[-1].ctime, version) == (7, 8.5, 2)


@pytest.mark.parametrize("server", ["elasticsearch_9", "elasticsearch_8"])
def test_on_a_server_the_first_change_adds_the_fields_in_one_request(server, request):
    address = f"{request.getfixturevalue(server)}/test-first-{os.getpid()}"
    try:
        first_format.write_elastic(address, *OLD, new_passport(None, dim=DIM))
        records, vectors, version = held(address)
        assert (records, version) == (OLD[0], 1)
        assert vectors == pytest.approx(OLD[1], abs=1e-6)
        record, vector = pictures(20, 21)
        new = dataclasses.replace(record[0], inode=2**63 - 1, ctime=1.7e9 + 0.125)
        with open_index(address) as index:
            index.add([new], vector)
            index.flush()
            assert index.search(vector, 1).records == {new.id: new}
        records, _, version = held(address)
        assert (records, version) == ([*OLD[0], new], 2)
        server = Server(address)
        (mapping,) = server.request("GET", f"/{server.name}/_mapping").values()
        server.close()
        assert mapping["mappings"]["_meta"]["imgsearch"]["format"] == 2
    finally:
        remove_from_server(address)
