"""The default ranking of an index: kept in it, followed by every answer that names none, and named."""

from __future__ import annotations

import json

import pytest

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.gallery import Gallery
from tests.index.conftest import ANYWHERE
from tests.small_extractor import QuarterColours, UpperColours, paint
from tests.test_cli import run

RANK = "qe:3:1"


@pytest.fixture
def folder(tmp_path):
    for i in range(5):
        paint(tmp_path / f"pictures/red/{i}.png", (200, 20 * i, 0))
        paint(tmp_path / f"pictures/blue/{i}.png", (20 * i, 0, 200))
    return tmp_path / "pictures"


@pytest.fixture(params=ANYWHERE)
def address(request):
    with ANYWHERE[request.param](request) as address:
        yield address


def indexed(folder, address, extractor=None, **options):
    options |= {"method": "flat"} if address.startswith("http") and "rebuild" not in options else {}
    return Gallery.from_folder(folder, address, extractor or QuarterColours(), progress=False, **options)


def test_answers_follow_the_ranking_of_the_index(folder, address):
    with indexed(folder, address, rank=RANK) as made:
        assert made.rank == RANK
    with Gallery.open(address, QuarterColours()) as gallery:
        assert gallery.rank == gallery.passport.rank == RANK
        assert ("default ranking", RANK) in gallery.passport.rows()
        found = gallery.search(id="red/0.png", k=3)
        assert found.method == f"exact, then {RANK}"
        plain = gallery.search(id="red/0.png", k=3, rank="none")
        assert plain.method == gallery.search(id="red/0.png", k=3, rank="").method == "exact"
        assert [hit.score for hit in found.hits] == [
            hit.score for hit in gallery.search(id="red/0.png", k=3, rank=RANK).hits
        ]
        assert [hit.score for hit in found.hits] != [hit.score for hit in plain.hits]
        assert gallery.evaluate(progress=False).about["rank"] == RANK
        assert not gallery.evaluate(rank="none", progress=False).about.get("rank")
    with Gallery.open(address, QuarterColours(), rank="none") as gallery:
        assert gallery.search(id="red/0.png").method == "exact"
    with Gallery.open(address, QuarterColours(), rank="qe:2:1") as gallery:
        assert gallery.search(id="red/0.png").method == "exact, then qe:2:1"


def test_it_is_changed_and_removed_without_extraction(folder, address):
    indexed(folder, address).close()
    for rank, kept in ((RANK, RANK), ("qe:2:0", "qe:2:0"), (None, "qe:2:0"), ("none", "")):
        extractor = QuarterColours()
        with indexed(folder, address, extractor, rank=rank) as gallery:
            assert gallery.index.read_passport().rank == kept
            assert sum(extractor.calls) <= 2  # the probe pictures
            assert ("rank" in gallery.passport.to_json()) == bool(kept)


def test_a_copy_keeps_it_and_a_baked_copy_has_none(folder, tmp_path):
    with indexed(folder, f"local:{tmp_path / 'a.db'}", rank=RANK) as gallery:
        with gallery.copy_to(f"npz:{tmp_path / 'b.npz'}") as copied:
            assert (copied.rank, copied.search(id="red/0.png").method) == (RANK, f"exact, then {RANK}")
        with gallery.copy_to(f"local:{tmp_path / 'c.db'}", rank="pca:2") as baked:
            assert (baked.rank, baked.passport.rank) == (None, "")


def test_a_rebuild_keeps_it_but_not_for_another_extractor(folder, tmp_path):
    address = f"local:{tmp_path / 'a.db'}"
    indexed(folder, address, rank=RANK).close()
    with indexed(folder, address, rebuild=True) as again:
        assert again.rank == RANK
    with indexed(folder, address, UpperColours(), rebuild=True) as other:
        assert other.rank is None


def test_one_that_the_index_does_not_allow_is_refused_and_nothing_kept(folder, tmp_path):
    address = f"local:{tmp_path / 'a.db'}"
    for rank, words in (
        ("pca:500", "PCA to 500 dimensions"),
        ("rca:2:50", "RCA over 50 neighbours needs more"),
        ("qx:1", "no ranking"),
    ):
        with pytest.raises(BadQuery, match=words):
            indexed(folder, address, rank=rank)
    with Gallery.open(address, QuarterColours()) as gallery:
        assert gallery.rank is None
        assert len(gallery) == 10  # what was indexed stays


def test_the_command_line_sets_names_and_leaves_it(folder, tmp_path, conv_weights):
    run("index", "pictures", "--rank", RANK, "--weights", conv_weights, cwd=tmp_path)
    assert json.loads(run("info", "--json", cwd=tmp_path).stdout)["rank"] == RANK
    assert f"exact, then {RANK}" in run("search", "--id", "red/0.png", cwd=tmp_path).stdout
    plain = json.loads(run("search", "--id", "red/0.png", "--rank", "none", "--json", cwd=tmp_path).stdout)
    assert plain["method"] == "exact"
    run("index", "pictures", "--rank", "none", cwd=tmp_path)
    assert f"then {RANK}" not in run("search", "--id", "red/0.png", cwd=tmp_path).stdout
