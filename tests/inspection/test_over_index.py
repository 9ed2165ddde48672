"""Health and calibration of an index, and the cache that keeps what was computed from it."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.files import artefact, artefact_folder, kept_artefact
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.index import create_index, new_passport
from imgsearch_kit.inspection import over_index as examining
from imgsearch_kit.inspection.over_index import calibration, health
from imgsearch_kit.ranking.choices import rank_choices
from imgsearch_kit.records import ExtractorSpec, ImageRecord, IndexPassport


def indexed(count=6, size=30, dim=16, spread=0.3, seed=0):
    """An index in memory of ``count`` classes of ``size`` vectors each, some of which overlap."""
    rng = np.random.default_rng(seed)
    vectors = np.repeat(np.eye(count, dim), size, axis=0) + rng.normal(0, spread, (count * size, dim))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    names = [f"c{c}/{i:02}.jpg" for c in range(count) for i in range(size)]
    index = create_index("memory:", new_passport(ExtractorSpec("test", dim)))
    index.add([ImageRecord(name, name[:2], f"{row:064x}") for row, name in enumerate(names)], vectors)
    return index


def test_the_health_of_an_index_names_its_own_pictures():
    index = indexed()
    copy = ImageRecord("c0/copy.jpg", "c1", f"{0:064x}")
    index.add([copy], index.vectors(["c0/00.jpg"]))
    found = health(index, k=5)
    assert found.duplicates == [["c0/00.jpg", "c0/copy.jpg"]]
    assert found.k == 5


def test_without_hashes_duplicates_are_not_known():
    index = indexed(count=2, size=4)
    hashed = health(index, k=2)
    assert "0 duplicates in 0 groups of equal files" in str(hashed)
    assert hashed.to_json()["note"] == ""
    index.add([ImageRecord(r.id, r.label) for r in index.records()], index.vectors())
    found = health(index, k=2)
    assert "duplicates are not known" in found.lines()
    assert found.to_json()["note"].startswith("It is unknown whether 8 of 8 pictures are duplicates")


def test_a_calibration_is_learned_from_labelled_pictures_and_holds_on_the_half_it_did_not_see():
    found = calibration(indexed(spread=0.25))
    assert found.calibration.queries == 180
    assert found.held_out.error < 0.15
    assert found.held_out.counts.sum() == 90 * 10
    assert found.calibration.cosine_for(0.5) is not None
    assert f"mean error is {found.held_out.error:.3f}" in found.lines()[-1]


@pytest.mark.parametrize("rank", [None, "krecip:5:2:0.3"])
def test_of_many_pictures_some_are_asked_about_all(monkeypatch, rank):
    index = indexed(spread=0.25)
    of_all = calibration(index, rank=rank)
    monkeypatch.setattr(examining, "MOST_ASKED", 60)
    found = calibration(index, rank=rank, seed=1)
    assert found.calibration.queries == 60
    assert found.held_out.counts.sum() == 30 * 10
    assert found.calibration.grid[-1] <= of_all.calibration.grid[-1]  # hits among all, as they were
    assert found.precision == pytest.approx(of_all.precision, abs=0.1)
    at = np.linspace(*of_all.calibration.grid[[30, -1]], 20)
    probability = of_all.calibration(at)[:, 0]
    assert np.mean((found.calibration(at)[:, 1] <= probability) & (probability <= found.calibration(at)[:, 2])) > 0.8


def test_a_calibration_draws_its_curve_and_how_it_holds():
    found = calibration(indexed(spread=0.25))
    curve = found.plot().axes[0]
    assert curve.get_lines()[0].get_ydata().tolist() == found.calibration.probability.tolist()
    diagram = found.held_out.plot()
    assert diagram.alt_text.endswith(f"expected calibration error {found.held_out.error:.3f}.")
    table = found.held_out.tables()[0]
    assert sum(row[-1] for row in table.rows) == 90 * 10
    assert f"{found.held_out.error:.3f}" in str(found.held_out)


def test_copies_teach_nothing():
    """With every picture indexed twice, its copy is not among the hits, as in a search."""
    index = indexed()
    records, vectors = index.records(), index.vectors()
    twice = create_index("memory:", new_passport(ExtractorSpec("test", 16)))
    both = [ImageRecord(f"{r.id}{end}", r.label, r.sha256) for r in records for end in ("", "-copy")]
    twice.add(both, vectors.repeat(2, axis=0))
    assert calibration(twice).calibration.grid[-1] == pytest.approx(calibration(index).calibration.grid[-1], abs=1e-6)


def test_too_few_labels_teach_nothing():
    index = create_index("memory:", new_passport(ExtractorSpec("test", 2)))
    index.add([ImageRecord("a"), ImageRecord("b", "x")], np.eye(2, dtype=np.float32))
    with pytest.raises(BadQuery, match="1 of 2 pictures have a label"):
        calibration(index)


def test_a_calibration_is_kept_until_the_index_changes(monkeypatch):
    index, made = indexed(), []
    original = examining.calibrate
    monkeypatch.setattr(examining, "calibrate", lambda *args, **options: made.append(1) or original(*args, **options))
    first = calibration(index)
    count = len(made)
    again = calibration(index)
    assert len(made) == count
    assert again.to_json() == first.to_json()
    index.delete(["c0/00.jpg"])
    assert calibration(index).calibration.queries == 179
    assert len(made) == 2 * count


# the cache


def passport(**changes):
    return IndexPassport(**({"uuid": "0f-1", "spec": None, "dim": 2, "generation": 3, "count": 1} | changes))


def keep(made, path):
    path.write_text(json.dumps(made))


def read(path):
    return json.loads(path.read_text())


def make_counted(calls, value=1):
    def make():
        calls.append(value)
        return value

    return make


def test_another_generation_count_parameter_or_uuid_is_another_artefact():
    calls = []
    make = make_counted(calls)
    for given, parameters in [
        (passport(), {"k": 1}),
        (passport(), {"k": 2}),
        (passport(count=2), {"k": 1}),
        (passport(uuid="0f-2"), {"k": 1}),
        (passport(generation=4), {"k": 1}),
    ]:
        for _ in range(2):
            artefact(given, "x.json", parameters, make, keep, read)
    assert len(calls) == 5


def test_stale_artefacts_of_the_same_name_are_deleted_and_others_left():
    for name in ("x.json", "other.json"):
        artefact(passport(), name, {}, lambda: 1, keep, read)
    artefact(passport(generation=4), "x.json", {}, lambda: 2, keep, read)
    names = sorted(path.name.rsplit("-", 1)[0] for path in artefact_folder(passport()).iterdir())
    assert names == ["other-3", "x-4"]


def test_of_one_generation_the_five_used_last_are_kept():
    for number in range(5):
        artefact(passport(), "x.json", {"k": number}, lambda number=number: number, keep, read)
    for age, path in enumerate(sorted(artefact_folder(passport()).iterdir(), key=read)):
        os.utime(path, (age, age))  # the clock of some file systems is too coarse
    assert artefact(passport(), "x.json", {"k": 0}, lambda: pytest.fail("made again"), keep, read) == 0  # used again
    for number in (5, 6):
        artefact(passport(), "x.json", {"k": number}, lambda number=number: number, keep, read)
    assert sorted(map(read, artefact_folder(passport()).iterdir())) == [0, 3, 4, 5, 6]


def test_a_result_for_each_ranking_that_the_page_offers_is_kept():
    large = passport(dim=512, count=10_000)
    for choice in (offered := rank_choices(large, "rca:64:3")):
        artefact(large, "x.json", {"rank": choice.spec}, lambda spec=choice.spec: spec, keep, read)
    assert len(offered) == 5
    for choice in offered:
        assert kept_artefact(large, "x.json", {"rank": choice.spec}, read) == choice.spec


@pytest.mark.parametrize("damage", [b"", b"{", b"\x00\xff"])
def test_a_damaged_artefact_is_made_again(damage):
    calls = []
    artefact(passport(), "x.json", {}, make_counted(calls), keep, read)
    (path,) = artefact_folder(passport()).iterdir()
    path.write_bytes(damage)
    assert artefact(passport(), "x.json", {}, make_counted(calls), keep, read) == 1
    assert len(calls) == 2
    assert read(path) == 1


def test_half_a_file_is_never_seen():
    def fail(made, path):
        path.write_text("half")
        raise OSError(28, "No space left on device")

    assert artefact(passport(), "x.json", {}, lambda: 1, fail, read) == 1
    assert list(artefact_folder(passport()).iterdir()) == []


def test_a_cache_that_cannot_be_written_costs_no_result(monkeypatch, tmp_path, caplog):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("IMGSEARCH_CACHE", str(tmp_path / "file"))
    assert artefact(passport(), "x.json", {}, lambda: 1, keep, read) == 1
    assert "could not be saved" in caplog.text


@pytest.mark.parametrize("uuid", ["../../escape", "a/b", "x" * 300, "~", ".."])
def test_a_strange_uuid_stays_below_the_cache(uuid, own_cache):
    artefact(passport(uuid=uuid), "x.json", {}, lambda: 1, keep, read)
    (file,) = (path for path in own_cache.rglob("*") if path.is_file())
    assert file.parent.parent == own_cache / "artefacts"


def test_an_index_without_uuid_keeps_nothing(own_cache):
    assert artefact(passport(uuid=""), "x.json", {}, lambda: 1, keep, read) == 1
    assert not Path(own_cache, "artefacts").exists()


# under a ranking


@pytest.mark.parametrize("rank", ["pca:8:0.5", "qe:3:1", "krecip:6:3:0.3"])
def test_the_scores_of_a_ranking_have_a_calibration_of_their_own(rank):
    index = indexed(spread=0.25)
    found, plain = calibration(index, rank=rank), calibration(index)
    gallery = Gallery(index)
    measured = gallery.evaluate(rank=rank, group_duplicates=True, progress=False).to_json()["micro"]["P@4"]["value"]
    assert found.precision == pytest.approx(measured)
    assert found.rank == rank
    assert found.calibration.grid[-1] != plain.calibration.grid[-1]
    shown = [hit.score for hit in gallery.search(id="c0/00.jpg", rank=rank).hits]
    assert found.calibration.grid[0] - 0.05 <= min(shown) <= max(shown) <= found.calibration.grid[-1] + 0.05
    assert found.held_out.error < 0.15
    assert calibration(index, rank=rank).to_json() == found.to_json()


def test_the_precision_beside_it_is_that_of_the_evaluation():
    index = indexed(spread=0.4)
    measured = Gallery(index).evaluate(progress=False).to_json()["micro"]["P@4"]["value"]
    assert calibration(index).precision == pytest.approx(measured)
    assert calibration(index, k=3).precision is None
