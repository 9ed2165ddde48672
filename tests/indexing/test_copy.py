"""Any index to any other: everything arrives, and half a copy is never taken for a whole one."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
import sys
import uuid
from functools import partial

import numpy as np
import pytest

from imgsearch_kit import cli
from imgsearch_kit.errors import BadQuery, IndexDamaged, IndexMismatch, IndexNotFound, PluginMissing
from imgsearch_kit.extractors.base import probe_pixels
from imgsearch_kit.index import Address, create_index, new_passport, open_index
from imgsearch_kit.index.local import LocalIndex
from imgsearch_kit.indexing import copy as copying
from imgsearch_kit.indexing.copy import copy, temporary_copy
from imgsearch_kit.indexing.export import export
from imgsearch_kit.records import Failure, ImageRecord, Refused
from tests.index.conftest import remove_from_server
from tests.small_extractor import QuarterColours


@pytest.fixture
def source(tmp_path):
    """An index of 700 records, more than one batch, with a failure and probes."""
    extractor = QuarterColours()
    address = f"local:{tmp_path / 'source.db'}"
    vectors = np.random.default_rng(1).normal(size=(700, 12)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    passport = new_passport(extractor.spec, probes=extractor.extract(probe_pixels(8)), roots={"": "/pictures"})
    with create_index(address, passport) as index:
        index.add(
            [ImageRecord(f"c{i % 7}/{i:03}.png", f"c{i % 7}", f"{i:064x}", 4, 3, 2.5, i) for i in range(700)], vectors
        )
        index.set_failures([Failure("bad.jpg", "empty", 0, 1.0)])
    return address


@pytest.mark.parametrize("form", ["local:{}/copy.db", "npz:{}/copy.npz"])
def test_everything_arrives_under_a_new_uuid(source, tmp_path, form):
    target = form.format(tmp_path)
    assert copy(source, target).to_json() == {"copied": 700, "failed": []}
    with open_index(source) as origin, open_index(target) as made:
        assert made.records() == origin.records()
        assert (made.vectors() == origin.vectors()).all()
        assert made.failures() == origin.failures()
        assert made.passport.uuid != origin.passport.uuid
        carried = dataclasses.replace(made.passport, uuid=origin.passport.uuid, generation=origin.passport.generation)
        assert carried == origin.passport
        assert (made.passport.probes == origin.passport.probes).all()


def test_a_copy_goes_through_an_archive_and_back(source, tmp_path):
    copy(source, f"npz:{tmp_path / 'a.npz'}")
    copy(f"npz:{tmp_path / 'a.npz'}", f"local:{tmp_path / 'b.db'}")
    with open_index(source) as origin, open_index(f"local:{tmp_path / 'b.db'}") as made:
        assert made.records() == origin.records()
        assert (made.vectors() == origin.vectors()).all()


@pytest.mark.parametrize("form", ["local:{}/copy.db", "npz:{}/copy.npz", "server"])
def test_an_address_is_read_once(source, tmp_path, monkeypatch, form, request):
    parsed, parse = [], Address.parse

    def counted(address):
        if isinstance(address, str):
            parsed.append(address)
        return parse(address)

    target = form.format(tmp_path)
    if form == "server":
        target = f"{request.getfixturevalue('elasticsearch_9')}/test-{uuid.uuid4().hex[:12]}"
        request.addfinalizer(partial(remove_from_server, target))
    monkeypatch.setattr(Address, "parse", staticmethod(counted))
    copy(source, target, method="flat" if form == "server" else None, progress=False)
    assert sorted(parsed) == sorted([source, target])


def test_where_the_plugin_is_missing_a_copy_that_names_no_method_is_flat(source, elasticsearch_9, request):
    target, said = f"{elasticsearch_9}/test-{uuid.uuid4().hex[:12]}", []
    request.addfinalizer(partial(remove_from_server, target))
    assert copy(source, target, say=said.append, progress=False).copied == 700
    with open_index(target) as made:
        assert made.passport.method == "flat"
    (sentence,) = said
    assert "has no Elastiknn plugin, so the copy has the method flat, which searches exactly" in sentence
    with pytest.raises(PluginMissing, match=r"has no Elastiknn plugin, which the method 'exact' needs"):
        copy(source, f"{target}-named", method="exact", progress=False)


def test_a_copy_on_a_server_keeps_the_method_of_its_source(source, elasticsearch_9, request):
    first = f"{elasticsearch_9}/test-{uuid.uuid4().hex[:12]}"
    request.addfinalizer(partial(remove_from_server, first))
    copy(source, first, method="hnsw:m=8,ef_construction=50", progress=False)
    copy(first, f"{first}-again", progress=False)
    with open_index(f"{first}-again") as made:
        assert made.passport.method == "hnsw:m=8,ef_construction=50"


def test_a_temporary_copy_lies_beside_and_is_gone_in_the_end(source, elasticsearch_9):
    name = f"test-{uuid.uuid4().hex[:12]}"
    with open_index(source) as origin:
        with temporary_copy(origin, f"{elasticsearch_9}/{name}", "hnsw", progress=False) as made:
            assert (len(made), made.passport.method) == (700, "hnsw")
            address = made.address
            assert address.startswith(f"{elasticsearch_9}/tune-{name}-")
        with pytest.raises(IndexNotFound, match="There is no index at"):
            open_index(address)
        with (
            pytest.raises(BadQuery, match="is not the address of an index on a server"),
            temporary_copy(origin, source, "hnsw"),
        ):
            pytest.fail("the block must not begin")


def test_what_is_at_the_target_is_never_written_over(source, tmp_path):
    copy(source, f"local:{tmp_path / 'b.db'}")
    with pytest.raises(IndexMismatch, match=r"already"):
        copy(source, f"local:{tmp_path / 'b.db'}")
    with pytest.raises(IndexMismatch, match=r"already"):
        copy(source, source)


def test_a_missing_source_makes_no_target(tmp_path):
    with pytest.raises(IndexNotFound, match=r"none\.db"):
        copy(f"local:{tmp_path / 'none.db'}", f"local:{tmp_path / 'b.db'}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", ["local:{}/copy.db", "local:{}/copy [2].db", "npz:{}/copy.npz"])
def test_an_interrupted_copy_leaves_nothing_at_the_target(source, tmp_path, monkeypatch, form):
    def interrupted(index):
        records = index.records()
        yield records[:10], index.vectors([record.id for record in records[:10]])
        raise KeyboardInterrupt

    monkeypatch.setattr(copying, "batches", interrupted)
    with pytest.raises(KeyboardInterrupt):
        copy(source, form.format(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["source.db"]


@pytest.mark.parametrize("form", ["local:{}/q.db", "{}/q.npz"])
def test_a_method_that_a_file_does_not_know_is_refused_in_the_words_typed(source, tmp_path, form):
    target = form.format(tmp_path)
    with pytest.raises(BadQuery, match=f"An index at {re.escape(target)} has the method exact .*not 'flat'"):
        copy(source, target, method="flat")
    assert [path.name for path in tmp_path.iterdir()] == ["source.db"]


def test_a_source_that_changes_meanwhile_is_not_copied(source, tmp_path, monkeypatch):
    batches = copying.batches

    def meanwhile(index):
        yield from batches(index)
        with open_index(source) as writer:
            writer.add([ImageRecord("late.png")], index.vectors(["c0/000.png"]))

    monkeypatch.setattr(copying, "batches", meanwhile)
    with pytest.raises(IndexMismatch, match=r"source\.db changed while it was copied; copy again"):
        copy(source, f"npz:{tmp_path / 'b.npz'}")
    assert not (tmp_path / "b.npz").exists()


def test_the_document_of_a_copy_is_json_also_when_records_were_refused(source, tmp_path, monkeypatch, capsys):
    add = LocalIndex.add

    def choosy(index, records, vectors, **options):
        return [*add(index, records[1:], vectors[1:], **options), Refused(records[0].id, "too large")]

    monkeypatch.setattr(LocalIndex, "add", choosy)
    monkeypatch.setattr(sys, "argv", ["imgsearch", "copy", source, f"local:{tmp_path / 'b.db'}", "--json"])
    with pytest.raises(SystemExit, match="1"):
        cli.main()
    document = json.loads(capsys.readouterr().out)
    assert document["copied"] == 698
    assert document["failed"][0] == {"path": "c0/000.png", "reason": "too large"}


def test_vectors_that_arrive_changed_are_noticed(source, tmp_path, monkeypatch):
    add = LocalIndex.add

    def altered(index, records, vectors, **options):
        return add(index, records, np.roll(vectors, 1, axis=0), **options)

    monkeypatch.setattr(LocalIndex, "add", altered)
    with pytest.raises(IndexDamaged, match=r"differ by up to"):
        copy(source, f"local:{tmp_path / 'b.db'}")
    assert not (tmp_path / "b.db").exists()


def test_export_to_csv_has_a_row_a_record(source, tmp_path):
    with open_index(source) as index:
        assert export(index, tmp_path / "x.csv") == 700
    rows = list(csv.DictReader((tmp_path / "x.csv").open()))
    assert rows[0] == {"id": "c0/000.png", "label": "c0", "sha256": "0" * 64, "width": "4", "height": "3"}
    assert len(rows) == 700


def test_export_says_what_it_can_write(source, tmp_path):
    with open_index(source) as index:
        with pytest.raises(BadQuery, match=r"must end in \.npz"):
            export(index, tmp_path / "x.parquet")
        with pytest.raises(BadQuery, match=r"cannot be written"):
            export(index, tmp_path / "missing" / "x.csv")
