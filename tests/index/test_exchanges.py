"""What the kit and a real server with Elastiknn say to each other: run live, recorded, and replayed without a server.

These are scenarios of each method; the contract suite is recorded beside them.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
import uuid
from pathlib import Path

import numpy as np
import pytest

from imgsearch_kit.errors import IndexMismatch
from imgsearch_kit.evaluation.over_index import evaluate
from imgsearch_kit.extractors.base import PRESETS, Preset, probe_pixels
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.index import create_index, open_index
from imgsearch_kit.index.elastic.client import Server
from imgsearch_kit.index.elastic.writing import rebuild_elastic
from imgsearch_kit.indexing import extractor as extracting
from imgsearch_kit.indexing.copy import copy
from imgsearch_kit.records import Approx, ExtractorSpec, Failure, ImageRecord, IndexPassport
from tests import recording
from tests.index.conftest import remove_from_server
from tests.small_extractor import QuarterColours, paint

N, DIM = 40, 16


def vectors(n=N, seed=0):
    """Unit vectors made of whole numbers, so that they are equal to the last bit on every machine."""
    rows = np.random.default_rng(seed).integers(-9, 10, (n, DIM))
    return (rows / np.sqrt((rows**2).sum(axis=1, keepdims=True))).astype(np.float32)


def records():
    return [
        ImageRecord(
            f"{'cat' if i % 2 else 'dog'}/{i:02}.jpg", "cat" if i % 2 else "dog", f"{i:064x}", i, i + 1, i / 4, i
        )
        for i in range(N)
    ]


def passport(method):
    spec = ExtractorSpec("quarters", DIM)
    return IndexPassport("u-1", spec, DIM, created="2026-01-02", roots={"": "/p"}, probes=vectors(2, 9), method=method)


def nearest(query, stored):
    """Ids of the records in order of (-cosine, id), and the cosines, by hand."""
    cosines = stored.astype(np.float64) @ query.astype(np.float64)
    order = sorted(range(len(cosines)), key=lambda i: (-round(cosines[i], 6), records()[i].id))
    return [records()[i].id for i in order], cosines


def a_method(address, method):
    """All that an index of one method does, with its answers checked by hand."""
    stored = vectors()
    stored[7] = stored[3]  # equal pictures
    with create_index(address, passport(method)) as index:
        assert index.add(records(), stored) == []
        index.set_failures([Failure("broken.jpg", "It is cut off.", 3, 1.5)])
        index.flush()
        order, _ = nearest(stored[3], stored)
        assert index.search(stored[3:4], 5).ids[0].tolist() == order[:5]
        assert index.search(stored[3:4], 1).ids[0].tolist() == order[:1]
        queries = vectors(3, 1)
        filtered = index.search(queries, 4, labels=["dog"], exclude=[["dog/00.jpg"], [], ["dog/02.jpg", "dog/04.jpg"]])
        for row, out, query in zip(filtered.ids.tolist(), [{"00"}, set(), {"02", "04"}], queries, strict=True):
            order = [id_ for id_ in nearest(query, stored)[0] if id_[:3] == "dog" and id_[4:6] not in out]
            assert row == order[:4]
        if method != "exact":
            found = index.search(queries, 4, approx=Approx(20), exclude=[["dog/00.jpg"]] * 3)
            assert found.method.endswith("candidates=20")
            for query, ids, scores in zip(queries, found.ids.tolist(), found.scores.tolist(), strict=True):
                assert "dog/00.jpg" not in ids
                cosines = dict(zip((r.id for r in records()), nearest(query, stored)[1], strict=True))
                assert scores == pytest.approx([cosines[id_] for id_ in ids], abs=1e-5)
            assert index.search(queries, 4, approx=Approx(20), labels=["dog"]).method == "exact"
    with open_index(address) as index:
        assert index.passport == IndexPassport(**{**passport(method).__dict__, "count": N, "generation": N + 1})
        assert index.records() == sorted(records(), key=lambda record: record.id)
        assert index.records(["cat/01.jpg", "none"]) == records()[1:2]
        assert np.array_equal(index.vectors(), stored[[*range(1, N, 2), *range(0, N, 2)]])
        assert np.array_equal(index.vectors(["dog/04.jpg"]), stored[4:5])
        assert index.failures() == [Failure("broken.jpg", "It is cut off.", 3, 1.5)]
        assert index.add(records()[:1], -stored[1:2], replaces=["cat/39.jpg"]) == []
        assert index.delete(["cat/37.jpg", "none"]) == 1
        index.amend(roots={"": "/moved"})
        index.flush()
        assert (len(index), index.passport.root) == (N - 2, "/moved")
        opposite = index.search(stored[1:2], N)  # "dog/00.jpg" is exactly opposite
        assert opposite.ids[0, N - 3] == "dog/00.jpg"
        assert opposite.scores[0, N - 3] == pytest.approx(-1, abs=1e-6)


class Sixteen(QuarterColours):
    """The quarters' colours, and four zeros more."""

    def __init__(self):
        super().__init__("sixteen")
        self.spec = dataclasses.replace(self.spec, dim=DIM)

    def extract(self, pixels):
        return np.pad(super().extract(pixels), ((0, 0), (0, 4)))


def a_rebuild(address, method):
    with create_index(address, passport("exact")) as index:
        index.add(records(), vectors())
        with rebuild_elastic(address, passport(method)) as new:
            new.add(records(), vectors())
            new.publish(N)
        assert index.search(vectors(), 1).ids.ravel().tolist() == [record.id for record in records()]


def the_original_system(address, method):
    server = Server(address)
    fields = {
        "feature_vector": {
            "type": "elastiknn_dense_float_vector",
            "elastiknn": {"dims": DIM, "model": "exact", "L": 60},
        },
        "image_path": {"type": "text", "index": False},
    }
    server.request("PUT", f"/{server.name}", {"mappings": {"dynamic": False, "properties": fields}})
    for record, vector in zip(records()[:6], vectors() * np.float32(3), strict=False):
        document = {"image_path": f"pictures/{record.id}", "feature_vector": {"values": vector}}
        server.request("POST", f"/{server.name}/_doc/{record.sha256[-1]}", document)
    server.close()
    with open_index(address) as index:
        assert (index.passport.spec, len(index)) == (None, 6)
        ids = [f"pictures/{record.id}" for record in records()[:6]]
        assert index.records() == [ImageRecord(id_, id_[9:12]) for id_ in sorted(ids)]
        np.testing.assert_allclose(index.vectors(), vectors()[[1, 3, 5, 0, 2, 4]], atol=1e-6)
        order = np.argsort(-(vectors()[:6] @ vectors()[:6].T), axis=1)
        assert index.search(vectors()[:6], 6).ids.tolist() == np.array(ids)[order].tolist()
        assert index.search(vectors()[:1], 6, labels=["cat"]).ids[0].tolist() == [
            *(ids[i] for i in order[0].tolist() if i % 2),
            *[""] * 3,
        ]
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setitem(PRESETS, "sixteen", Preset("", "", "", DIM))
        patch.setattr(extracting, "load_extractor", lambda name, *_, **__: Sixteen())
        with Gallery.open(address, "sixteen") as gallery:
            index = gallery.index
            found = evaluate(index, ks=(1,), progress=False)
            right = [float(row[1] % 2 == row[0] % 2) for row in order[[1, 3, 5, 0, 2, 4]].tolist()]
            assert found.scores.values["P@1"].tolist() == right
            assert found.to_json()["passport"]["spec"]["name"] == "sixteen"
        with pytest.raises(IndexMismatch, match="The index holds 16-d vectors, but vgg16-rmac makes 512-d ones"):
            Gallery.open(address, "vgg16-rmac")
        copy(address, f"npz:{folder}/full.npz", extractor="sixteen", progress=False)
        with open_index(f"npz:{folder}/full.npz") as full:
            assert full.passport.spec == Sixteen().spec
            assert np.array_equal(full.passport.probes, Sixteen().extract(probe_pixels(8)))
            found = Gallery(full).search(paint(Path(folder, "red.png"), "red"), k=6)
            red = np.tile(np.float32([1, 0, 0]), 4) / 2
            assert [hit.id for hit in found.hits] == [ids[i] for i in np.argsort(-(vectors()[:6, :12] @ red))]


SCENARIOS = {
    "exact": (a_method, "exact"),
    "l2-lsh": (a_method, "l2-lsh:L=20,k=1,w=2"),
    "cosine-lsh": (a_method, "cosine-lsh:L=20,k=1"),
    "permutation-lsh": (a_method, "permutation-lsh:k=8"),
    "rebuild": (a_rebuild, "permutation-lsh:k=8"),
    "original": (the_original_system, ""),
}


def test_no_exchange_tells_where_a_server_kept_its_files():
    for file in recording.FOLDER.rglob("*.jsonl"):
        for line in file.read_text().splitlines():
            answer = json.loads(line)["answer"]
            assert answer == recording.without(answer)
            assert "/tmp/" not in line


@pytest.mark.plugin
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_real_server_answers_as_expected(name, elastiknn):
    run, method = SCENARIOS[name]
    address = f"{elastiknn}/test-{uuid.uuid4().hex[:12]}"
    try:
        with recording.recorded(file_of(name) if recording.RECORDING else None, address) as through:
            run(through, method)
    finally:
        remove_from_server(address)


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_kit_says_what_was_recorded(name):
    run, method = SCENARIOS[name]
    with recording.replayed(file_of(name)) as address:
        run(address, method)


def file_of(name):
    return recording.FOLDER / f"{name}.jsonl"
