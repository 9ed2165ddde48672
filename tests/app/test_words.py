"""What the page says of an answer, word for word."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from imgsearch_kit.app.words import error_words, hit_words, in_ten, query_class, verdict_words
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.index import create_index, new_passport
from imgsearch_kit.inspection.calibration import Calibration
from imgsearch_kit.inspection.novelty import Novelty
from imgsearch_kit.records import ExtractorSpec, ImageRecord
from imgsearch_kit.results import Hit, Results, Verdict

SURE = Calibration(np.array([0.0, 1.0]), np.array([0.0, 1.0]), np.zeros(2), np.ones(2), 10, 100)
HIT = Hit(1, "cat/1.jpg", "cat", 0.8)
NOTHING = Verdict(False, 0.56, 0.62, "The closest is 0.56; indexed pictures nearly always have one above 0.62.")


@pytest.mark.parametrize(
    ("probability", "words"),
    [(0.01, "fewer than 1 in 10"), (0.12, "1 in 10"), (0.8, "8 in 10"), (0.93, "9 in 10"), (0.97, "more than 9 in 10")],
)
def test_probabilities_are_said_as_people_count(probability, words):
    assert in_ten(probability) == words


def test_the_percentage_is_conditional_and_says_so():
    said = hit_words(HIT, known=None, calibration=SURE, verdict=Verdict(True, 0.8, 0.6))
    assert said.short == "8 in 10 share the class"
    assert said.long == "Of queries of an indexed class, 8 in 10 such hits share it."
    assert said.right is None


@pytest.mark.parametrize(("known", "short", "right"), [("cat", "right", True), ("dog", "wrong", False)])
def test_with_the_class_of_the_query_known_hits_are_right_or_wrong(known, short, right):
    said = hit_words(HIT, known=known, calibration=SURE)
    assert (said.short, said.right) == (short, right)
    assert "10" not in said.long


def test_no_percentage_stands_where_nothing_is_alike_or_none_is_known():
    assert hit_words(HIT, known=None, calibration=SURE, verdict=NOTHING).short == ""
    assert hit_words(HIT, known=None).long == ""
    assert hit_words(dataclasses.replace(HIT, label=None), known=None, calibration=SURE).short == ""
    assert hit_words(dataclasses.replace(HIT, label=None), known="cat", calibration=SURE).right is None


def test_above_the_hits_stands_the_sentence_and_how_often_it_errs():
    novelty = Novelty(None, None, flagged=[0.5, 0.7], alarms=[0.04, 0.06], classes=12)
    sentence, errs = verdict_words(NOTHING, novelty)
    assert sentence == f"Nothing here looks like this. {NOTHING.why}"
    assert errs == error_words(novelty)
    assert "whose class is not indexed it misses 4 in 10, and of others it is said wrongly of 5%" in errs
    assert verdict_words(NOTHING) == (sentence, "")
    assert verdict_words(Verdict(True, 0.8, 0.6), novelty) == verdict_words(None, novelty) == ("", "")


def test_the_class_of_a_query_is_that_of_its_own_records():
    index = create_index("memory:", new_passport(ExtractorSpec("test", 2)))
    records = [ImageRecord("a", "cat"), ImageRecord("b", "dog"), ImageRecord("c")]
    index.add(records, np.eye(2, dtype=np.float32)[[0, 1, 1]])
    gallery = Gallery(index)
    assert query_class(gallery, gallery.search(id="a")) == "cat"
    assert query_class(gallery, gallery.search(id="c")) is None
    uploaded = Results({"file": "x.jpg", "sha256": ""}, ())
    assert query_class(gallery, uploaded) is None
    assert query_class(gallery, dataclasses.replace(uploaded, own=("a",))) == "cat"
    assert query_class(gallery, dataclasses.replace(uploaded, own=("a", "b"))) is None
    assert query_class(gallery, dataclasses.replace(uploaded, own=("gone",))) is None


def test_the_class_that_came_with_the_answer_is_not_asked_for_again():
    gallery = Gallery(create_index("memory:", new_passport(ExtractorSpec("test", 2))))  # which has nothing to say
    own = (Hit(0, "a", "cat", 1.0), Hit(0, "b", "cat", 1.0))
    assert query_class(gallery, Results({"file": "x.jpg"}, (), own=("a", "b"), own_hits=own)) == "cat"
