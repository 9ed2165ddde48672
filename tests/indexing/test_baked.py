"""Rankings baked into a copy: it answers as its source does under the ranking, and everything follows it."""

from __future__ import annotations

import dataclasses
import io
import json
import sqlite3
import sys
import tracemalloc
import uuid

import numpy as np
import pytest
from PIL import Image

from imgsearch_kit import cli
from imgsearch_kit.errors import BadQuery, IndexDamaged, IndexMismatch
from imgsearch_kit.evaluation.over_index import evaluate
from imgsearch_kit.extractors.base import probe_pixels
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.images import load
from imgsearch_kit.index import create_index, new_passport, open_index
from imgsearch_kit.indexing import copy as copying
from imgsearch_kit.indexing import extractor as extracting
from imgsearch_kit.indexing import open as opening
from imgsearch_kit.indexing.copy import copy
from imgsearch_kit.indexing.export import export
from imgsearch_kit.indexing.folder import index_folder
from imgsearch_kit.indexing.rebuild import rebuild_index_of
from imgsearch_kit.ranking.baked import Learned, bake
from imgsearch_kit.records import BakedRank, IndexPassport
from tests.index.conftest import remove_from_server
from tests.small_extractor import QuarterColours

PROJECTIONS = ["pca:5:0.5", "pca:9,rca:4:3"]


def quartered(path, rng):
    """A picture whose quarters have a colour each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rng.integers(1, 256, (2, 2, 3), np.uint8)).resize((16, 16), Image.Resampling.NEAREST).save(path)
    return path


@pytest.fixture
def pictures(tmp_path):
    """Forty pictures in four folders; a label says nothing about colours."""
    rng = np.random.default_rng(3)
    for i in range(40):
        quartered(tmp_path / f"pictures/class{i % 4}/{i:02}.png", rng)
    return tmp_path / "pictures"


@pytest.fixture
def source(pictures, tmp_path):
    extractor = QuarterColours()
    address = f"local:{tmp_path / 'source.db'}"
    with create_index(address, new_passport(extractor.spec, probes=extractor.extract(probe_pixels(8)))) as index:
        index_folder(pictures, index, extractor, progress=False)
    return address


@pytest.fixture
def queries(tmp_path):
    rng = np.random.default_rng(5)
    return [quartered(tmp_path / f"queries/class{i}/{i}.png", rng) for i in range(3)]


@pytest.fixture(autouse=True)
def loading(monkeypatch):
    """Indexes load the small extractor by its name; the list holds those that were loaded."""
    loaded: list[QuarterColours] = []
    monkeypatch.setattr(
        extracting, "load_extractor", lambda name, *_, **__: loaded.append(QuarterColours(name)) or loaded[-1]
    )
    return loaded


@pytest.fixture(params=["local", "npz", "server"])
def target(request, tmp_path):
    if request.param != "server":
        yield f"{request.param}:{tmp_path / 'ranked'}"
        return
    address = f"{request.getfixturevalue('elasticsearch_9')}/test-{uuid.uuid4().hex[:12]}"
    yield address
    remove_from_server(address)


def same_hits(found, expected):
    assert [hit.id for hit in found.hits] == [hit.id for hit in expected.hits]
    scores = [hit.score for hit in expected.hits]
    assert [hit.score for hit in found.hits] == pytest.approx(scores, abs=1e-5)


def test_a_baked_index_answers_as_its_source_under_the_ranking(source, target, queries):
    for rank in PROJECTIONS:
        copy(source, target, method="hnsw" if target.startswith("http") else None, rank=rank, progress=False)
        with open_index(source) as plain, open_index(target) as baked:
            asked, ranked = Gallery(baked), Gallery(plain, rank=rank)
            for query in queries:
                same_hits(asked.search(query, k=12), ranked.search(query, k=12))
            for id_ in ("class0/00.png", "class3/39.png"):
                same_hits(asked.search(id=id_, k=12), ranked.search(id=id_, k=12))
            assert asked.search(id="class0/00.png").own == ("class0/00.png",)
            found, expected = evaluate(baked, progress=False), evaluate(plain, rank=rank, progress=False)
            for name in expected.measures:
                np.testing.assert_allclose(found.scores.values[name], expected.scores.values[name], atol=1e-9)
            assert "note" not in found.to_json()
        if target.startswith("http"):
            remove_from_server(target)
        else:
            opening.Path(target.partition(":")[2]).unlink()


@pytest.mark.parametrize("rank", ["dba:4:1", "pca:5:0.5,dba:4:1", "dba:4:1, pca:5:0.5"])
def test_sums_are_not_baked_and_nothing_is_opened_to_say_so(source, tmp_path, rank, monkeypatch):
    monkeypatch.setattr(copying, "open_index", lambda *_: pytest.fail("the source was opened"))
    with pytest.raises(BadQuery, match=r"dba:4:1 .* cannot be baked .* give it to search or evaluate with --rank"):
        copy(source, f"local:{tmp_path / 'ranked.db'}", rank=rank, progress=False)
    assert not (tmp_path / "ranked.db").exists()


OLD = {
    "dba:4:1": r"has dba:4:1 baked in, .* On the index that it was copied from: --rank dba:4:1$",
    "pca:5, dba:4:1": r"imgsearch copy SOURCE TO --rank pca:5, and search the copy with --rank dba:4:1$",
}


@pytest.mark.parametrize("rank", OLD)
def test_an_index_that_an_earlier_kit_made_of_sums_is_refused(target, pictures, rank, loading, tmp_path):
    method = "flat" if target.startswith("http") else "exact"
    passport = new_passport(QuarterColours().spec, method=method)
    baked = BakedRank(rank, "u-1", 7, 40, 12)
    create_index(target, dataclasses.replace(passport, baked=baked, dim=12)).close()
    for use in (
        lambda: open_index(target),
        lambda: Gallery.open(target, "quarters"),
        lambda: opening.open_to_fill(target),
        lambda: copy(target, f"npz:{tmp_path / 'copy.npz'}", progress=False),
        lambda: rebuild_index_of(pictures, target, QuarterColours(), progress=False),
    ):
        with pytest.raises(IndexMismatch, match=OLD[rank]):
            use()
    assert loading == []


def test_what_was_learned_goes_along_on_every_kind_of_index(source, target, tmp_path):
    rank = "pca:5:0.5"
    copy(source, target, method="flat" if target.startswith("http") else None, rank=rank, progress=False)
    copy(target, f"local:{tmp_path / 'again.db'}", progress=False)
    copy(f"local:{tmp_path / 'again.db'}", f"npz:{tmp_path / 'archive.npz'}", progress=False)
    with open_index(source) as plain, open_index(target) as first:
        baked, learned = first.passport.baked, first.learned()
        assert baked == BakedRank(rank, plain.passport.uuid, plain.passport.generation, 40, 12)
        export(first, tmp_path / "export.npz")
    for address in (f"local:{tmp_path / 'again.db'}", f"npz:{tmp_path / 'archive.npz'}", f"{tmp_path / 'export.npz'}"):
        with open_index(address) as other:
            assert (other.passport.baked, other.passport.dim, other.learned()) == (baked, 5, learned)
    with np.load(io.BytesIO(learned)) as arrays:
        assert (arrays["mean_0"].shape, arrays["components_0"].shape) == ((12,), (12, 5))
        assert json.loads(str(arrays["passport"]))["spec"] == rank


def test_an_added_picture_is_projected_as_the_others_were(source, tmp_path, pictures):
    address = f"local:{tmp_path / 'ranked.db'}"
    copy(source, address, rank="pca:5:0.5", progress=False)
    new = quartered(pictures / "class0/new.png", np.random.default_rng(8))
    (pictures / "class0/black.png").write_bytes(b"no picture")
    index, extractor = opening.open_to_fill(address)
    with index:
        report = index_folder(pictures, index, extractor, progress=False)
        assert (report.added, report.unchanged, len(report.failed)) == (1, 40, 1)
        with np.load(io.BytesIO(index.learned())) as arrays:
            mean, components = arrays["mean_0"], arrays["components_0"]
        by_hand = (QuarterColours().extract(load(new, 8, "bilinear").pixels[None])[0] - mean) @ components
        np.testing.assert_allclose(index.vectors(["class0/new.png"])[0], by_hand / np.linalg.norm(by_hand), atol=1e-6)
        Image.new("RGB", (8, 8)).save(pictures / "class0/black.png")  # a batch without any vector
        report = index_folder(pictures, index, QuarterColours(), progress=False)  # as it comes, it is projected too
        assert [failure.reason for failure in report.failed] == ["The vector of picture 0 is zero."]


def test_what_is_baked_in_is_not_rebuilt_from_pictures(source, tmp_path, pictures):
    address = f"local:{tmp_path / 'ranked.db'}"
    copy(source, address, rank="pca:5", progress=False)
    with pytest.raises(IndexMismatch, match=r"Rebuild that one, and copy it again with --rank pca:5"):
        rebuild_index_of(pictures, address, QuarterColours(), progress=False)


def test_the_rest_works_at_query_time_and_is_refused_in_one_sentence(source, tmp_path):
    target = f"local:{tmp_path / 'ranked.db'}"
    for rank, step in (("pca:5,qe:10:1", "qe:10:1"), ("krecip:20:6:0.3", "krecip:20:6:0.3")):
        words = f"{step} works on queries, so it cannot be baked .* give it to search or evaluate with --rank"
        with pytest.raises(BadQuery, match=words):
            copy(source, target, rank=rank, progress=False)
    with pytest.raises(BadQuery, match="vary in"):
        copy(source, target, rank="pca:13", progress=False)
    assert not (tmp_path / "ranked.db").exists()
    copy(source, target, rank="pca:5", progress=False)
    with pytest.raises(BadQuery, match=r"has pca:5 baked in already\. Copy the index it was learned from"):
        copy(target, f"npz:{tmp_path / 'twice.npz'}", rank="pca:4", progress=False)


def test_another_ranking_on_top_learns_from_the_baked_vectors(source, tmp_path, queries):
    target = f"local:{tmp_path / 'ranked.db'}"
    copy(source, target, rank="pca:5", progress=False)
    with open_index(source) as plain, open_index(target) as baked:
        asked, ranked = Gallery(baked, rank="qe:3:1"), Gallery(plain, rank="pca:5,qe:3:1")
        same_hits(asked.search(queries[0], k=9), ranked.search(queries[0], k=9))
        found = evaluate(baked, rank="qe:3:1", progress=False).scores.values["mAP"]
        expected = evaluate(plain, rank="pca:5,qe:3:1", progress=False).scores.values["mAP"]
        np.testing.assert_allclose(found, expected, atol=1e-9)


def test_queries_of_another_index_follow_the_ranking(source, tmp_path, queries):
    target, other = f"local:{tmp_path / 'ranked.db'}", f"local:{tmp_path / 'queries.db'}"
    copy(source, target, rank="pca:5", progress=False)
    with create_index(other, new_passport(QuarterColours().spec)) as index:
        index_folder(queries[0].parents[1], index, QuarterColours(), progress=False)
    with open_index(source) as plain, open_index(target) as baked, open_index(other) as asking:
        found = evaluate(baked, queries=asking, progress=False)
        expected = evaluate(plain, queries=asking, rank="pca:5", progress=False)
        assert found.values == pytest.approx(expected.values, abs=1e-9)
        with pytest.raises(IndexMismatch, match="pca:5 of another index is baked into the queries"):
            evaluate(plain, queries=baked, progress=False)


def test_another_extractor_is_refused_and_probes_are_compared_as_extracted(source, tmp_path, monkeypatch, queries):
    target = f"local:{tmp_path / 'ranked.db'}"
    copy(source, target, rank="pca:5", progress=False)
    with open_index(target) as index:
        assert index.passport.probes.shape == (2, 12)
        with pytest.raises(IndexMismatch, match=r"name: quarters != vgg16-rmac"):
            extracting.extractor_of(index, "vgg16-rmac")
        with pytest.raises(IndexMismatch, match=r"name: quarters != thirds"):
            Gallery(index, QuarterColours("thirds"))
        extract = QuarterColours.extract
        monkeypatch.setattr(QuarterColours, "extract", lambda self, pixels: extract(self, 255 - pixels // 2))
        with pytest.raises(IndexMismatch, match=r"vectors have cosine .* search or serve with --force, in Python"):
            Gallery(index).search(queries[0])


def test_learned_that_is_gone_or_of_another_index_is_damage(source, tmp_path, queries):
    for name in ("a", "b"):
        copy(source, f"local:{tmp_path / name}.db", rank=f"pca:{5 if name == 'a' else 4}", progress=False)
    with open_index(f"local:{tmp_path / 'a'}.db") as index, open_index(f"local:{tmp_path / 'b'}.db") as other:
        index.set_learned(other.learned())
        with pytest.raises(
            IndexDamaged, match=r"a ranking pca:4 learned from the index .*, but its passport says pca:5 from"
        ):
            Gallery(index).search(queries[0])
        assert Gallery(index).search(id="class0/00.png").hits  # needs no projection
        index.set_learned(b"")
        with pytest.raises(IndexDamaged, match="What the index's ranking has learned cannot be read"):
            Gallery(index).search(queries[0])


def test_vectors_of_an_unknown_extractor_can_be_baked_and_named_later(source, tmp_path, queries):
    with open_index(source) as plain:
        arrays = {"ids": np.array([r.id for r in plain.records()]), "vectors": plain.vectors()}
    np.savez(tmp_path / "silent.npz", **arrays)
    copy(f"npz:{tmp_path / 'silent.npz'}", f"local:{tmp_path / 'a.db'}", rank="pca:5", progress=False)
    copy(f"local:{tmp_path / 'a.db'}", f"local:{tmp_path / 'b.db'}", extractor="quarters", progress=False)
    with open_index(source) as plain, open_index(f"local:{tmp_path / 'b.db'}") as baked:
        assert (baked.passport.spec, baked.passport.probes.shape) == (QuarterColours().spec, (2, 12))
        same_hits(Gallery(baked).search(queries[0]), Gallery(plain, rank="pca:5").search(queries[0]))


def test_info_tells_of_the_ranking(source, tmp_path, monkeypatch, capsys):
    def run(*args):
        monkeypatch.setattr(sys, "argv", ["imgsearch", *args])
        with pytest.raises(SystemExit, match="0"):
            cli.main()
        return capsys.readouterr().out

    run("copy", source, f"local:{tmp_path / 'ranked.db'}", "--rank", "pca:5:0.5")
    with open_index(source) as plain:
        old = plain.passport
    text = run("info", "--index", f"local:{tmp_path / 'ranked.db'}")
    assert "ranking    pca:5:0.5, baked in: 12-d to 5-d" in text
    assert f"learned    from 40 pictures, generation {old.generation} of {old.uuid}" in text
    assert json.loads(run("info", "--index", f"local:{tmp_path / 'ranked.db'}", "--json"))["baked"]["uuid"] == old.uuid
    assert "baked in" not in run("info", "--index", source)


def test_an_index_without_a_ranking_is_stored_as_it_always_was(source, tmp_path):
    """So indexes written before there were rankings to bake are read, and old kits read those without one."""
    with sqlite3.connect(tmp_path / "source.db") as db:
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        (text,) = db.execute("SELECT json FROM passport").fetchone()
    assert tables == {"passport", "records", "vectors", "failures", "commits"}
    plain = json.loads(text)
    written = ["uuid", "spec", "dim", "created", "roots", "libraries", "probes", "method", "format", "root"]
    assert sorted(plain) == sorted(written)
    assert IndexPassport.from_json(plain).baked is None
    export_to = tmp_path / "plain.npz"
    with open_index(source) as index:
        assert index.learned() == b""
        export(index, export_to)
    with np.load(export_to) as arrays:
        assert "learned" not in arrays.files


def test_learning_holds_the_vectors_as_they_were_and_as_they_become(monkeypatch):
    rank = "pca:32:0.5"
    for name, size in (("CELLS", 1 << 18), ("CHUNK", 64)):  # else blocks are large beside so few vectors
        monkeypatch.setattr(f"imgsearch_kit.vectors.{name}", size)
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(2_000, 1_024)).astype(np.float32)
    vectors[:, 256:] = 0  # so that what PCA finds is there, and quick to find
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = np.ascontiguousarray(np.tile(vectors[:, :256], (8, 1)))
    tracemalloc.start()
    try:
        learned, made = bake(BakedRank(rank, "u", 0, len(vectors), vectors.shape[1]), vectors)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(learned, Learned)
    assert peak < made.nbytes + vectors.nbytes
