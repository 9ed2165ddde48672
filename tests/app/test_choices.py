"""The rankings to choose and what the page learns of them, without a browser."""

from __future__ import annotations

import os
import sys
import threading

import numpy as np
import pytest

from imgsearch_kit.app import choices as choosing
from imgsearch_kit.app.choices import BackgroundLearning, explained
from imgsearch_kit.app.tabs.search import SearchTab
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.index import create_index, new_passport
from imgsearch_kit.index.base import VectorIndex
from imgsearch_kit.ranking.choices import RankChoice, rank_choices
from imgsearch_kit.records import ExtractorSpec, ImageRecord, IndexPassport

KRECIP = "krecip:20:6:0.3"


def passport(count, dim=512):
    return IndexPassport("u", None, dim, count=count)


@pytest.mark.parametrize(
    ("count", "dim", "balanced"),
    [(2_000, 512, "rca:128:15"), (1_000, 512, "pca:128:0.5"), (300, 512, "pca:64:0.5"), (9_000, 12, "pca:8:0.5")],
)
def test_the_rankings_have_plain_names_and_fit_the_index(count, dim, balanced):
    found = {choice.name: choice.spec for choice in rank_choices(passport(count, dim))}
    assert list(found) == ["Plain", "Balanced", "Neighbours help", "Mutual neighbours"]
    assert list(found.values()) == ["", balanced, f"{balanced},dba:10:1,qe:10:1", KRECIP]


def test_where_no_components_fit_none_are_offered():
    assert [choice.name for choice in rank_choices(passport(3))] == ["Plain", "Neighbours help", "Mutual neighbours"]


def test_the_gallery_s_own_ranking_comes_first():
    assert [choice.name for choice in rank_choices(passport(2_000), KRECIP)][:2] == ["Mutual neighbours", "Plain"]
    own, *others = rank_choices(passport(2_000), "qe:3:1")
    assert (own.name, own.spec) == ("This index's own", "qe:3:1")
    assert len(others) == 4


def test_a_choice_shows_its_precision_once_it_is_known():
    choice = RankChoice("Plain", "", "By the cosine.")
    assert choice.label() == "Plain"
    assert RankChoice("Plain", "", "By the cosine.", 0.8806).label() == "Plain · P@4 0.88"
    assert explained("as indexed", [choice]) == "By the cosine."
    assert explained("qe:7:1", [choice]).startswith("Your own SPEC")


def indexed(classes=11, size=10, dim=24):
    rng = np.random.default_rng(0)
    vectors = np.repeat(np.eye(classes, dim), size, axis=0) + rng.normal(0, 0.15, (classes * size, dim))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    index = create_index("memory:", new_passport(ExtractorSpec("test", dim)))
    labels = np.repeat(np.arange(classes), size)
    index.add([ImageRecord(f"{c}/{i:03}", str(c), f"{i:064x}") for i, c in enumerate(labels)], vectors)
    return index


def test_everything_is_learned_once_a_generation_and_kept(monkeypatch):
    gallery = Gallery(indexed(size=20))  # enough to learn what is unlike all
    learning = BackgroundLearning(gallery)
    assert learning.calibration() is None
    assert learning.unknown() == "Percentages are being learned and will appear."
    assert learning.wait()
    assert learning.calibration().queries == 220
    assert learning.novelty().to_json() == gallery.novelty().to_json()
    for choice in learning.choices():
        measured = gallery.evaluate(rank=choice.spec, progress=False).to_json()["micro"]["P@4"]["value"]
        assert choice.precision == pytest.approx(measured)
        assert (choice.unknown, learning.unknown(choice.spec)) == ("", "")
        assert learning.calibration(choice.spec) is not None
    with monkeypatch.context() as patched:  # the next start reads what was kept, and computes nothing
        patched.setattr(VectorIndex, "entries", lambda *_: pytest.fail("read the whole index"))
        again = BackgroundLearning(gallery)
        again.start()
        assert again.wait()
        assert [c.precision for c in again.choices()] == [c.precision for c in learning.choices()]
        assert again.novelty().to_json() == learning.novelty().to_json()
    gallery.index.delete(["0/000"])
    assert learning.calibration() is None
    assert learning.wait()
    assert learning.calibration().queries == 219


def test_a_ranking_without_percentages_says_why(monkeypatch):
    gallery = Gallery(indexed())
    monkeypatch.setattr(choosing, "LARGE_RANKED", 100)
    learning = BackgroundLearning(gallery)
    learning.start()
    assert learning.wait()
    assert learning.unknown() == ""
    assert "more than 100 pictures takes too long" in learning.unknown(KRECIP)
    assert "SPEC of your own" in learning.unknown("qe:7:1")
    assert learning.calibration(KRECIP) is None


@pytest.mark.parametrize(
    ("classes", "size", "words"),
    [(1, 120, "120 pictures of 1 classes"), (3, 20, "60 pictures of 3 classes"), (0, 20, "0 pictures of 0 classes")],
)
def test_with_too_few_labels_nothing_is_learned_and_the_reason_said(classes, size, words):
    learning = BackgroundLearning(Gallery(indexed(classes, size) if classes else create_index("memory:", passport(0))))
    learning.start()
    assert learning.wait()
    assert words in learning.unknown()
    assert (learning.calibration(), learning.novelty()) == (None, None)
    assert {choice.precision for choice in learning.choices()} == {None}


def test_a_ranking_that_is_not_possible_says_so():
    learning = BackgroundLearning(Gallery(indexed(), rank="pca:24:0.5,rca:99:2"))
    learning.start()
    assert learning.wait()
    own = learning.choices()[0]
    assert own.name == "This index's own"
    assert "RCA to 99 dimensions" in own.unknown


def test_what_was_learned_while_the_index_changed_is_not_kept_for_the_new_one(monkeypatch):
    gallery = Gallery(indexed())
    started, go = threading.Event(), threading.Event()
    original = Gallery.calibration

    def slow(self, **options):
        started.set()
        assert go.wait(30)
        return original(self, **options)

    monkeypatch.setattr(Gallery, "calibration", slow)
    learning = BackgroundLearning(gallery)
    learning.start()
    assert started.wait(30)
    gallery.index.delete(["0/000"])
    go.set()
    assert learning.wait()
    learning.start()
    assert learning.wait()
    assert learning.calibration().queries == 109


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no priority of single threads")
def test_learning_lets_searches_go_first(monkeypatch):
    seen, original = [], Gallery.calibration

    def seeing(self, **options):
        seen.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        return original(self, **options)

    monkeypatch.setattr(Gallery, "calibration", seeing)
    learning = BackgroundLearning(Gallery(indexed()))
    learning.start()
    assert learning.wait()
    assert min(seen) > os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def test_when_another_process_has_indexed_more_the_page_learns_anew(tmp_path):
    address = f"local:{tmp_path}/photos.db"
    rng = np.random.default_rng(0)

    def grow(index, first, size):
        vectors = np.repeat(np.eye(11, 24), size, axis=0) + rng.normal(0, 0.15, (11 * size, 24))
        vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
        rows = [(label, first + i) for label in range(11) for i in range(size)]
        index.add([ImageRecord(f"{label}/{i:03}", str(label), f"{label:02}{i:062x}") for label, i in rows], vectors)

    with create_index(address, new_passport(ExtractorSpec("test", 24))) as writer:
        grow(writer, 0, 10)
        writer.add([ImageRecord("unlabelled")], np.eye(1, 24, dtype=np.float32))
        tab = SearchTab(Gallery.open(address), str(tmp_path))
        state = tab.start()["state"]
        assert tab.learning.wait()

        def ask():
            return tab.search({"id": "unlabelled", "k": 10, "state": state})

        assert (ask()["learning"], ask()["unknown"]) == (False, "")
        assert tab.learning.calibration().queries == 110
        for first, size in ((10, 4), (14, 6)):  # batch by batch, as `imgsearch index` writes
            grow(writer, first, size)
            found = ask()
            assert found["learning"]
            assert found["unknown"] == "Percentages are being learned and will appear."
            assert {hit["chance"] for hit in found["hits"]} == {""}
            assert tab.learning.wait()
            filled = ask()
            assert (filled["learning"], filled["unknown"]) == (False, "")
            assert all("in 10 share the class" in hit["chance"] for hit in filled["hits"])
            assert tab.learning.calibration().queries == 11 * (first + size)
