"""When nothing indexed looks like a picture: pictures of classes that a person knows to be there or not."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.index import create_index, new_passport
from imgsearch_kit.inspection import novelty as learning
from imgsearch_kit.inspection.novelty import Examples, NoveltyModel, learn_novelty
from imgsearch_kit.inspection.surroundings import Surroundings, nearest_of
from imgsearch_kit.inspection.verdicts import kept_novelty, novelty
from imgsearch_kit.records import ExtractorSpec, ImageRecord

CLASSES, SIZE, DIM = 12, 20, 24


def around(axes, size, spread=0.12, seed=0):
    """Unit vectors around some axes, ``size`` each, and the number of each one's axis."""
    rng = np.random.default_rng(seed)
    vectors = np.repeat(np.eye(DIM)[axes], size, axis=0) + rng.normal(0, spread, (len(axes) * size, DIM))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), np.repeat(axes, size)


def indexed(address="memory:"):
    vectors, classes = around(range(CLASSES), SIZE)
    index = create_index(address, new_passport(ExtractorSpec("test", DIM)))
    records = [ImageRecord(f"c{c:02}/{row:03}.jpg", f"c{c:02}", f"{row:064x}") for row, c in enumerate(classes)]
    index.add(records, vectors)
    index.flush()
    return index


@pytest.fixture(scope="module")
def learned():
    vectors, classes = around(range(CLASSES), SIZE)
    return vectors, learn_novelty(vectors, classes, np.arange(len(classes)))


def told(learned, asked):
    vectors, found = learned
    return found.model.novel(found.surroundings.features(asked, *nearest_of(asked, vectors))).mean()


def test_new_pictures_of_classes_that_are_absent_are_told_and_of_indexed_ones_seldom(learned):
    assert told(learned, around(range(CLASSES, DIM), 10, seed=1)[0]) > 0.9
    assert told(learned, around(range(CLASSES), 40, seed=2)[0]) <= 0.1


def test_how_often_it_errs_is_measured_on_classes_it_did_not_see(learned):
    found = learned[1]
    document = found.to_json()
    assert document["pictures"] == CLASSES * SIZE
    assert document["missed"] == pytest.approx(np.mean([fold["missed"] for fold in document["folds"]]))
    assert document["missed"] < 0.1
    assert document["false_alarms"] < 0.15
    assert f"missed of {document['missed']:.0%}" in str(found)
    assert found.to_dataframe()["false_alarms"].tolist() == list(found.alarms)


def test_of_many_pictures_a_part_is_compared_and_finds_as_much(monkeypatch, learned):
    vectors, classes = around(range(CLASSES), SIZE)
    monkeypatch.setattr(learning, "MANY", 100)
    monkeypatch.setattr(learning, "MOST_COMPARED", 15)
    found = learn_novelty(vectors, classes, np.arange(len(classes)))
    assert {round(share * 15, 6).is_integer() for share in (*found.flagged, *found.alarms)} == {True}
    assert told((vectors, found), around(range(CLASSES, DIM), 10, seed=1)[0]) > 0.9
    assert told((vectors, found), around(range(CLASSES), 40, seed=2)[0]) <= 0.15
    np.testing.assert_array_equal(found.surroundings.density, learned[1].surroundings.density)


def test_density_where_it_is_learned_for_known_pictures_alone_gives_the_same_features():
    vectors, classes = around(range(CLASSES), SIZE)
    files = np.arange(len(classes)) // 2 * 2
    asked = around(range(CLASSES + 2), 1, seed=3)[0]
    of_all, of_some = (Surroundings.learn(vectors, classes, files, only) for only in (None, asked))
    near = nearest_of(asked, vectors)
    np.testing.assert_array_equal(of_some.features(asked, *near), of_all.features(asked, *near))
    assert 0 < np.isnan(of_some.density).mean() < 1


def test_labels_that_say_nothing_about_the_vectors_leave_nothing_to_tell():
    vectors, classes = around(range(CLASSES), SIZE)
    shuffled = np.random.default_rng(0).permutation(classes)
    assert learn_novelty(vectors, shuffled, np.arange(len(classes))).found < 0.25


def test_the_features_of_one_picture_by_hand():
    """Ten pictures at (1, 0), and ten at (0, 1): a query halfway sees five of one and five of the other class."""
    vectors = np.repeat(np.eye(2, dtype=np.float32), 12, axis=0)
    known = Surroundings.learn(vectors, np.repeat([0, 1], 12), np.arange(24))
    half = np.array([[0.6, 0.8]], np.float32)
    rows = np.array([[0, 1, 2, 3, 4, 12, 13, 14, 15, 16]])
    near = np.array([[0.6] * 5 + [0.8] * 5], np.float32)
    first, mean, relative, of_first, share, gap = known.features(half, rows, near)[0, :6]
    assert (first, mean, share) == (pytest.approx(0.6), pytest.approx(0.7), 0.5)
    assert (relative, of_first) == (pytest.approx(0.7 - 1), pytest.approx(0.6 - 1))
    assert gap == pytest.approx(0.8 - 0.6)
    assert known.together(rows).tolist() == [5]


def test_pictures_without_a_label_are_of_no_class():
    vectors = np.repeat(np.eye(3, dtype=np.float32), 12, axis=0)
    known = Surroundings.learn(vectors, np.repeat([-1, 0, 1], 12), np.arange(36))
    assert known.together(np.arange(10)[None]).tolist() == [0]


def test_a_class_of_many_pictures_counts_no_more_than_one_of_few():
    found = Examples(np.zeros((4, 1)), np.array([7, 7, 7, 9]))
    np.testing.assert_allclose(found.shares(), [1 / 6, 1 / 6, 1 / 6, 1 / 2])


def test_the_bound_lets_one_in_twenty_pass():
    rng = np.random.default_rng(0)
    present, absent = rng.normal(0, 1, (1000, 1)), rng.normal(3, 1, (1000, 1))
    model = NoveltyModel.fit(Examples(present, np.arange(1000)), Examples(absent, np.arange(1000)))
    assert model.novel(present).mean() == pytest.approx(0.05, abs=0.002)
    assert model.novel(absent).mean() == pytest.approx(0.91, abs=0.03)  # above 1.64, of a normal around 3


@pytest.mark.parametrize(
    ("axes", "size", "unlabelled"), [(range(9), 30, 0), (range(CLASSES), 10, 0), (range(CLASSES), SIZE, 50)]
)
def test_too_little_to_learn_from_is_refused_with_what_is_needed(axes, size, unlabelled):
    vectors, classes = around(axes, size)
    classes[:unlabelled] = -1
    with pytest.raises(BadQuery, match="10 classes, 200 pictures and labels of 90% are needed"):
        learn_novelty(vectors, classes, np.arange(len(classes)))


def test_copies_are_no_further_pictures():
    vectors, classes = around(range(CLASSES), 10)
    with pytest.raises(BadQuery, match="120 of 240 pictures differ"):
        learn_novelty(vectors.repeat(2, axis=0), classes.repeat(2), np.arange(120).repeat(2))


# over an index


class Vector:
    """An extractor for which a grey picture of brightness i is the i-th of some vectors."""

    def __init__(self, vectors):
        self.spec, self.vectors = ExtractorSpec("test", DIM), vectors

    def extract(self, pixels):
        return self.vectors[pixels[:, 0, 0, 0]]


def asked(i):
    return np.full((8, 8), i, np.uint8)


@pytest.fixture
def gallery():
    near, far = around(range(CLASSES), 1, seed=1)[0], around(range(CLASSES, DIM), 1, seed=1)[0]
    index = indexed()
    return Gallery(index, Vector(np.concatenate([near, far, index.vectors(["c00/000.jpg"])])), force=True)


def test_a_search_reads_the_verdict_and_learns_none(gallery):
    assert gallery.search(asked(0)).to_json()["verdict"] is None
    gallery.novelty()
    like, unlike = gallery.search(asked(0), k=3), gallery.search(asked(CLASSES), k=3)
    assert [len(found.hits) for found in (like, unlike)] == [3, 3]
    assert like.verdict.like
    assert like.to_json()["verdict"] == {"like": True, "closest": like.hits[0].score, "usual": gallery.novelty().usual}
    assert not unlike.verdict.like
    assert "Nothing here" not in str(like)
    closest, usual = unlike.hits[0].score, gallery.novelty().usual
    sentence = f"The closest is {closest:.2f}; indexed pictures nearly always have one above {usual:.2f}."
    assert str(unlike).startswith(f"Nothing here looks like this. {sentence}\n")
    assert sentence in unlike._repr_html_()


def test_the_verdict_is_the_same_however_the_answer_is_ranked_or_cut(gallery):
    gallery.novelty()
    plain = gallery.search(asked(CLASSES)).verdict
    for options in ({"k": 1}, {"k": 50}, {"min_score": 0.99}, {"rank": "qe:3:1"}):
        assert gallery.search(asked(CLASSES), **options).verdict == plain


def test_what_is_indexed_or_asked_among_some_labels_has_no_verdict(gallery):
    gallery.novelty()
    assert gallery.search(id="c00/000.jpg").verdict is None
    assert gallery.search(asked(2 * CLASSES)).own == ("c00/000.jpg",)
    assert gallery.search(asked(2 * CLASSES)).verdict is None
    assert gallery.search(asked(CLASSES), labels=["c00"]).verdict is None


def test_a_changed_index_has_no_verdict_until_it_is_learned_again(gallery):
    gallery.novelty()
    assert gallery.search(asked(CLASSES)).verdict is not None
    gallery.index.delete(["c00/001.jpg"])
    assert gallery.search(asked(CLASSES)).verdict is None
    gallery.novelty()
    assert gallery.search(asked(CLASSES)).verdict is not None


def test_what_was_learned_is_kept_whole(gallery):
    learned = novelty(gallery.index)
    kept = kept_novelty(gallery.passport)
    assert kept.novelty.to_json() == learned.to_json()
    asked_ = around(range(DIM), 2, seed=3)[0]
    near = nearest_of(asked_, gallery.index.vectors())
    again, first = (n.model.novel(n.surroundings.features(asked_, *near)) for n in (kept.novelty, learned))
    assert again.tolist() == first.tolist()
    json.dumps(learned.to_json(), allow_nan=False)


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (0, "as usual, but it is far in what tells the indexed classes apart"),
        (1, "Its ten closest together"),
        (2, "much closer to each other than to it"),
        (3, "much closer to each other than to it"),
        (4, "at most 10 are of one"),
        (5, "hardly nearer to one than to the next"),
        (12, "differs from the indexed pictures in what hardly differs between them"),
    ],
)
def test_where_the_cosine_is_usual_the_feature_that_decides_is_named(gallery, part, words):
    novelty(gallery.index)
    kept = kept_novelty(gallery.passport)
    scale = np.ones(16)
    model = NoveltyModel(np.full(16, -2.0), scale, np.eye(16)[part], -100.0)
    told = dataclasses.replace(kept, novelty=dataclasses.replace(kept.novelty, model=model))
    vector = gallery.index.vectors(["c00/000.jpg"])
    near = [(f"c00/{row:03}.jpg", 0.999) for row in range(10)]
    assert words in told.verdict(vector, near).why
    assert told.verdict(vector, near[:9]) is None
    assert told.verdict(vector, [("new.jpg", 1.0), *near]) is None
