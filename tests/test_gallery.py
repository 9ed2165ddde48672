"""A picture or an id to its neighbours: own records apart, filters, and refusals."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from imgsearch_kit.errors import BadQuery, IndexMismatch, UnreadableImage
from imgsearch_kit.extractors.base import probe_pixels
from imgsearch_kit.gallery import Searcher
from imgsearch_kit.index import create_index, new_passport
from imgsearch_kit.indexing.folder import index_folder
from tests.small_extractor import QuarterColours, paint


@pytest.fixture
def folder(tmp_path):
    """Reds that turn to yellow, a blue far from them: the cosine to red falls with the green."""
    root = tmp_path / "pictures"
    for name, green in (("a", 0), ("b", 40), ("c", 80), ("d", 120)):
        paint(root / "warm" / f"{name}.png", (255, green, 0))
    paint(root / "cold" / "e.png", (0, 0, 255))
    return root


@pytest.fixture
def searcher(folder):
    extractor = QuarterColours()
    with create_index("memory:", new_passport(extractor.spec, probes=extractor.extract(probe_pixels(8)))) as index:
        index_folder(folder, index, extractor)
        yield Searcher(index, extractor)


def ids(results):
    return [hit.id for hit in results.hits]


def test_hits_come_in_rank_order_with_their_cosines(searcher):
    results = searcher.search(id="warm/a.png", k=3)
    assert ids(results) == ["warm/b.png", "warm/c.png", "warm/d.png"]
    assert [hit.rank for hit in results.hits] == [1, 2, 3]
    cosine = 255 / np.hypot(255, np.array([40, 80, 120]))
    assert [hit.score for hit in results.hits] == pytest.approx(cosine.tolist(), abs=1e-6)
    assert [hit.label for hit in results.hits] == ["warm"] * 3


def test_the_query_picture_is_never_its_own_answer(searcher, folder):
    by_id, by_file = searcher.search(id="warm/a.png", k=50), searcher.search(folder / "warm/a.png", k=50)
    by_bytes = searcher.search((folder / "warm/a.png").read_bytes(), k=50)
    for results in (by_id, by_file, by_bytes):
        assert results.own == ("warm/a.png",)
        assert ids(results) == ["warm/b.png", "warm/c.png", "warm/d.png", "cold/e.png"]


def test_copies_and_near_copies_of_the_query_are_its_own_however_many(searcher, folder):
    for i in range(30):
        shutil.copy(folder / "warm/a.png", folder / "warm" / f"a{i:02}.png")
    paint(folder / "warm/almost.jpg", (254, 0, 0))
    index_folder(folder, searcher.index, QuarterColours())
    results = searcher.search(folder / "warm/a.png", k=2)
    assert len(results.own) == 32
    assert ids(results) == ["warm/b.png", "warm/c.png"]
    assert [hit.rank for hit in results.hits] == [1, 2]


def test_a_picture_that_is_not_indexed_has_no_own(searcher, tmp_path):
    results = searcher.search(paint(tmp_path / "query.png", (255, 50, 0)), k=1)
    assert results.own == ()
    assert results.query["file"] == "query.png"
    assert ids(results) == ["warm/b.png"]


def test_labels_and_least_score_filter(searcher):
    assert ids(searcher.search(id="warm/a.png", labels=["cold"])) == ["cold/e.png"]
    assert ids(searcher.search(id="warm/a.png", min_score=0.93)) == ["warm/b.png", "warm/c.png"]
    assert ids(searcher.search(id="cold/e.png", min_score=0.5)) == []


def test_an_id_search_needs_no_network(searcher):
    bare = Searcher(searcher.index)  # the passport names no loadable extractor, so loading it would fail
    assert ids(bare.search(id="warm/a.png", k=1)) == ["warm/b.png"]


def test_wrong_requests_are_refused(searcher, tmp_path):
    with pytest.raises(BadQuery, match="no picture with the id 'x'"):
        searcher.search(id="x")
    with pytest.raises(BadQuery, match="No indexed picture has the label 'tepid'"):
        searcher.search(id="warm/a.png", labels=["tepid"])
    with pytest.raises(BadQuery, match="either a picture or the id"):
        searcher.search()
    for k in (0, 1.5, True, "3"):
        with pytest.raises(BadQuery, match=f"k must be a whole number of at least 1; it is {k!r}"):
            searcher.search(id="warm/a.png", k=k)
    with pytest.raises(BadQuery, match="it is the string 'warm'"):
        searcher.search(id="warm/a.png", labels="warm")
    with pytest.raises(BadQuery, match="min_score must be a cosine"):
        searcher.search(id="warm/a.png", min_score=float("nan"))
    (tmp_path / "text.jpg").write_text("hello")
    with pytest.raises(UnreadableImage, match="text"):
        searcher.search(tmp_path / "text.jpg")


def test_another_extractor_is_refused_with_both_values(searcher):
    with pytest.raises(IndexMismatch, match=r"name: quarters != halves"):
        Searcher(searcher.index, QuarterColours("halves"))


def test_an_extractor_that_computes_something_else_is_refused_unless_forced(searcher, folder, caplog):
    class Drifted(QuarterColours):
        def extract(self, pixels):
            return super().extract(255 - pixels)

    with pytest.raises(IndexMismatch, match=r"cosine .* with those stored"):
        Searcher(searcher.index, Drifted()).search(folder / "warm/a.png")
    Searcher(searcher.index, Drifted(), force=True).search(folder / "warm/a.png")
    assert "computes something else" in caplog.text


def test_pictures_are_found_under_the_folder_they_moved_to(searcher, folder, tmp_path):
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(UnreadableImage, match=r"'warm/a\.png' is not where it was .*--root FOLDER"):
        searcher.thumbnail("warm/a.png")
    moved = Searcher(searcher.index, root=tmp_path / "elsewhere")
    assert moved.thumbnail("warm/a.png").suffix == ".webp"


def test_labels_follow_the_index(searcher, folder):
    assert searcher.labels == ["cold", "warm"]
    paint(folder / "hot/f.png", "white")
    index_folder(folder, searcher.index, QuarterColours())
    assert searcher.labels == ["cold", "hot", "warm"]


def test_a_ranking_reorders_every_answer_and_says_so(searcher, folder):
    ranked = Searcher(searcher.index, QuarterColours(), rank="qe:3:0")
    results = ranked.search(id="warm/a.png", k=3)
    assert results.method == "exact, then qe:3:0"
    assert results.own == ("warm/a.png",)
    assert ids(results) == ["warm/b.png", "warm/c.png", "warm/d.png"]
    # a, b and c summed: the expanded query is nearer to b and c than a was, and d scores higher than before
    assert results.hits[2].score > searcher.search(id="warm/a.png", k=3).hits[2].score
    assert ids(ranked.search(folder / "warm/a.png", labels=["cold"])) == ["cold/e.png"]


def test_a_ranking_is_learned_again_when_the_index_has_changed(searcher, folder):
    ranked = Searcher(searcher.index, QuarterColours(), rank="qe:2:1")
    assert len(ranked.search(id="warm/a.png", k=50).hits) == 4
    paint(folder / "warm/new.png", (255, 200, 0))
    index_folder(folder, searcher.index, QuarterColours())
    assert len(ranked.search(id="warm/a.png", k=50).hits) == 5


def test_a_misspelt_ranking_is_told_at_once(searcher):
    with pytest.raises(BadQuery, match="no ranking step 'qq:2'"):
        Searcher(searcher.index, rank="qq:2")


def test_the_same_picture_asked_again_is_not_extracted_again(searcher, folder):
    extractor = QuarterColours()
    asked = Searcher(searcher.index, extractor)
    first = asked.search(folder / "warm/a.png", k=1)
    extractor.calls = []
    assert ids(asked.search(folder / "warm/a.png", k=3))[:1] == ids(first)
    assert extractor.calls == []
    for i in range(20):
        asked.search(paint(folder / f"query{i}.png", (255, i, 9)))
    asked.search(folder / "warm/a.png")
    assert extractor.calls == [1] * 21  # it was forgotten meanwhile
