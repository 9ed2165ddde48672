"""A picture or an id to its neighbours: own records apart, filters, and refusals."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest

from imgsearch_kit.errors import BadQuery, IndexMismatch, UnreadableImage
from imgsearch_kit.extractors.base import probe_pixels
from imgsearch_kit.gallery import Gallery
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
def gallery(folder):
    extractor = QuarterColours()
    with create_index("memory:", new_passport(extractor.spec, probes=extractor.extract(probe_pixels(8)))) as index:
        index_folder(folder, index, extractor)
        yield Gallery(index, extractor)


def ids(results):
    return [hit.id for hit in results.hits]


def test_hits_come_in_rank_order_with_their_cosines(gallery):
    results = gallery.search(id="warm/a.png", k=3)
    assert ids(results) == ["warm/b.png", "warm/c.png", "warm/d.png"]
    assert [hit.rank for hit in results.hits] == [1, 2, 3]
    cosine = 255 / np.hypot(255, np.array([40, 80, 120]))
    assert [hit.score for hit in results.hits] == pytest.approx(cosine.tolist(), abs=1e-6)
    assert [hit.label for hit in results.hits] == ["warm"] * 3


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("warm/a", "Did you mean 'warm/a.png'? Ids are"),
        ("Warm/A.PNG", "Did you mean 'warm/a.png'? Ids are"),
        ("COLD/E", "Did you mean 'cold/e.png'? Ids are"),
        ("photos/2024/Cold/e.png", "Did you mean 'cold/e.png'? Ids are"),
        ("photos/old/e.png", "'photos/old/e.png'. Ids are"),
        ("warm", "'warm'. Ids are"),
        ("", "''. Ids are"),
        (".", "'.'. Ids are"),
    ],
)
def test_an_unknown_id_that_is_nearly_one_is_told_which(gallery, given, told):
    for asked in (gallery.record, lambda id_: gallery.search(id=id_)):
        with pytest.raises(BadQuery, match=re.escape(told)):
            asked(given)


def test_the_query_picture_is_never_its_own_answer(gallery, folder):
    by_id, by_file = gallery.search(id="warm/a.png", k=50), gallery.search(folder / "warm/a.png", k=50)
    by_bytes = gallery.search((folder / "warm/a.png").read_bytes(), k=50)
    for results in (by_id, by_file, by_bytes):
        assert results.own == ("warm/a.png",)
        assert ids(results) == ["warm/b.png", "warm/c.png", "warm/d.png", "cold/e.png"]


def test_copies_and_near_copies_of_the_query_are_its_own_however_many(gallery, folder):
    for i in range(30):
        shutil.copy(folder / "warm/a.png", folder / "warm" / f"a{i:02}.png")
    paint(folder / "warm/almost.jpg", (254, 0, 0))
    index_folder(folder, gallery.index, QuarterColours())
    results = gallery.search(folder / "warm/a.png", k=2)
    assert len(results.own) == 32
    assert ids(results) == ["warm/b.png", "warm/c.png"]
    assert [hit.rank for hit in results.hits] == [1, 2]


def test_a_picture_that_is_not_indexed_has_no_own(gallery, tmp_path):
    results = gallery.search(paint(tmp_path / "query.png", (255, 50, 0)), k=1)
    assert results.own == ()
    assert results.query["file"] == "query.png"
    assert ids(results) == ["warm/b.png"]


def test_labels_and_least_score_filter(gallery):
    assert ids(gallery.search(id="warm/a.png", labels=["cold"])) == ["cold/e.png"]
    assert ids(gallery.search(id="warm/a.png", min_score=0.93)) == ["warm/b.png", "warm/c.png"]
    assert ids(gallery.search(id="cold/e.png", min_score=0.5)) == []


def test_an_id_search_needs_no_network(gallery):
    bare = Gallery(gallery.index)  # the passport names no loadable extractor, so loading it would fail
    assert ids(bare.search(id="warm/a.png", k=1)) == ["warm/b.png"]


def test_wrong_requests_are_refused(gallery, tmp_path):
    with pytest.raises(BadQuery, match="no picture with the id 'x'"):
        gallery.search(id="x")
    with pytest.raises(BadQuery, match="No indexed picture has the label 'tepid'"):
        gallery.search(id="warm/a.png", labels=["tepid"])
    with pytest.raises(BadQuery, match="Give a picture or the id"):
        gallery.search()
    for k in (0, 1.5, True, "3"):
        with pytest.raises(BadQuery, match=f"k must be a whole number of at least 1; it is {k!r}"):
            gallery.search(id="warm/a.png", k=k)
    with pytest.raises(BadQuery, match="it is the string 'warm'"):
        gallery.search(id="warm/a.png", labels="warm")
    with pytest.raises(BadQuery, match="min_score must be a cosine"):
        gallery.search(id="warm/a.png", min_score=float("nan"))
    (tmp_path / "text.jpg").write_text("hello")
    with pytest.raises(UnreadableImage, match="text"):
        gallery.search(tmp_path / "text.jpg")


def test_another_extractor_is_refused_with_both_values(gallery):
    with pytest.raises(IndexMismatch, match=r"name: quarters != halves"):
        Gallery(gallery.index, QuarterColours("halves"))


def test_an_extractor_that_computes_something_else_is_refused_unless_forced(gallery, folder, caplog):
    class Drifted(QuarterColours):
        def extract(self, pixels):
            return super().extract(255 - pixels)

    with pytest.raises(IndexMismatch, match=r"cosine .* with those stored"):
        Gallery(gallery.index, Drifted()).search(folder / "warm/a.png")
    Gallery(gallery.index, Drifted(), force=True).search(folder / "warm/a.png")
    assert "the extractor's results have changed" in caplog.text


def test_pictures_are_found_under_the_folder_they_moved_to(gallery, folder, tmp_path):
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(UnreadableImage, match=r"'warm/a\.png' is not where it was .*--root FOLDER"):
        gallery.thumbnail("warm/a.png")
    moved = Gallery(gallery.index, root=tmp_path / "elsewhere")
    assert moved.thumbnail("warm/a.png").suffix == ".webp"


def test_labels_follow_the_index(gallery, folder):
    assert gallery.labels() == {"cold": 1, "warm": 4}
    paint(folder / "hot/f.png", "white")
    index_folder(folder, gallery.index, QuarterColours())
    assert gallery.labels() == {"cold": 1, "hot": 1, "warm": 4}


def test_a_ranking_reorders_every_answer_and_says_so(gallery, folder):
    ranked = Gallery(gallery.index, QuarterColours(), rank="qe:3:0")
    results = ranked.search(id="warm/a.png", k=3)
    assert results.method == "exact, then qe:3:0"
    assert results.own == ("warm/a.png",)
    assert ids(results) == ["warm/b.png", "warm/c.png", "warm/d.png"]
    # a, b and c summed: the expanded query is nearer to b and c than a was, and d scores higher than before
    assert results.hits[2].score > gallery.search(id="warm/a.png", k=3).hits[2].score
    assert ids(ranked.search(folder / "warm/a.png", labels=["cold"])) == ["cold/e.png"]


def test_a_ranking_is_learned_again_when_the_index_has_changed(gallery, folder):
    ranked = Gallery(gallery.index, QuarterColours(), rank="qe:2:1")
    assert len(ranked.search(id="warm/a.png", k=50).hits) == 4
    paint(folder / "warm/new.png", (255, 200, 0))
    index_folder(folder, gallery.index, QuarterColours())
    assert len(ranked.search(id="warm/a.png", k=50).hits) == 5


def test_a_misspelt_ranking_is_told_at_once(gallery):
    with pytest.raises(BadQuery, match="no ranking step 'qq:2'"):
        Gallery(gallery.index, rank="qq:2")


def test_the_same_picture_asked_again_is_not_extracted_again(gallery, folder):
    extractor = QuarterColours()
    asked = Gallery(gallery.index, extractor)
    first = asked.search(folder / "warm/a.png", k=1)
    extractor.calls = []
    assert ids(asked.search(folder / "warm/a.png", k=3))[:1] == ids(first)
    assert extractor.calls == []
    for i in range(20):
        asked.search(paint(folder / f"query{i}.png", (255, i, 9)))
    asked.search(folder / "warm/a.png")
    assert extractor.calls == [1] * 21  # it was forgotten meanwhile
