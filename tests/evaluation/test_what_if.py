"""What-if: equal to an evaluation of a copy of the index whose labels were changed so."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.evaluation import over_index
from imgsearch_kit.evaluation.over_index import what_if
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.index import create_index, new_passport
from imgsearch_kit.records import ExtractorSpec, ImageRecord
from tests.evaluation.test_over_index import CATS_AND_DOGS, index_of, values

NEAR = 0.995


def gallery_of(records, vectors):
    index = create_index("memory:", new_passport(ExtractorSpec("points", vectors.shape[1])))
    assert index.add(records, vectors) == []
    index.flush()
    return Gallery(index)


@pytest.fixture(scope="module")
def pictures():
    """240 pictures in eight classes, some without one or alone in it, on a coarse grid: with copies and many ties."""
    rng = np.random.default_rng(5)
    classes = rng.integers(0, 8, 240)
    vectors = np.round(2 * rng.normal(size=(8, 4))[classes] + rng.normal(size=(240, 4))).astype(np.float32)
    vectors[~vectors.any(axis=1)] = 1
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[200:210], classes[200:210] = vectors[:10], classes[:10]
    names = [
        None if row % 17 == 0 else "lone" if row == 100 else f"class {number}" for row, number in enumerate(classes)
    ]
    records = [ImageRecord(f"{row:03}", label, f"{row % 200:064}") for row, label in enumerate(names)]
    return records, vectors


@pytest.fixture(scope="module")
def judged(pictures):
    return gallery_of(*pictures).what_if(progress=False)


def relabelled(pictures, label_of):
    """The gallery with other labels: what ``label_of`` says of a record."""
    records, vectors = pictures
    return gallery_of([dataclasses.replace(record, label=label_of(record)) for record in records], vectors)


def same(found, expected):
    """Everything that is measured is equal, to the last bit; so is what is said of it."""
    assert (found.queries, found.gallery, found.labels) == (expected.queries, expected.gallery, expected.labels)
    assert found.measures == expected.measures
    for field in dataclasses.fields(found.scores):
        mine, theirs = (getattr(each.scores, field.name) for each in (found, expected))
        for name in mine if isinstance(mine, dict) else [None]:
            np.testing.assert_array_equal(*((mine, theirs) if name is None else (mine[name], theirs[name])), field.name)
    np.testing.assert_array_equal(found.query_classes, expected.query_classes)
    np.testing.assert_array_equal(found.gallery_classes, expected.gallery_classes)
    here, there = found.to_json(), expected.to_json()
    for key in ("micro", "macro", "per_class", "chance", "ties", "skipped_lone", "duplicates", "group_duplicates"):
        assert here[key] == there[key], key


HUBS = [f"{row:03}" for row in range(0, 90)]
JOINED = {"class 1": "class 1 + class 2", "class 2": "class 1 + class 2"}
FEW = [f"class {number}" for number in range(2, 8)]


def test_as_it_is_it_equals_the_evaluation(pictures, judged):
    same(judged.plain, gallery_of(*pictures).evaluate(progress=False))
    assert judged.plain.scores.ties.deciding > 0  # else the pictures would be too easy


@pytest.mark.parametrize(
    ("changes", "label_of", "options"),
    [
        ({"merge": [["class 1", "class 2"]]}, lambda r: JOINED.get(r.label, r.label), {}),
        (
            {"merge": [["class 1", "lone"]]},
            lambda r: "class 1 + lone" if r.label in ("class 1", "lone") else r.label,
            {},
        ),
        ({"without": HUBS}, lambda r: None if r.id in HUBS else r.label, {}),
        ({"exclude_labels": ["class 3"]}, lambda r: r.label, {"exclude_labels": ["class 3"]}),
        ({"exclude_labels": FEW}, lambda r: r.label, {"exclude_labels": FEW}),  # rankings kept are too short
        ({"group_duplicates": True}, lambda r: r.label, {"group_duplicates": True}),
        ({"group_duplicates": NEAR}, lambda r: r.label, {"group_duplicates": NEAR}),
        (
            {
                "merge": [["class 1", "class 2"]],
                "without": HUBS,
                "exclude_labels": ["class 3"],
                "group_duplicates": 0.9,
            },
            lambda r: None if r.id in HUBS else JOINED.get(r.label, r.label),
            {"exclude_labels": ["class 3"], "group_duplicates": 0.9},
        ),
    ],
)
def test_each_change_equals_an_evaluation_of_a_relabelled_copy(pictures, judged, changes, label_of, options):
    found = judged.evaluate(**changes)
    same(found, relabelled(pictures, label_of).evaluate(progress=False, **options))
    assert found.to_json()["micro"] != judged.plain.to_json()["micro"]


def test_merged_classes_under_a_ranking_equal_an_evaluation_of_a_relabelled_copy(pictures):
    rank = "pca:3:0.5,qe:4:1"
    found = gallery_of(*pictures).what_if(rank=rank, progress=False)
    copy = relabelled(pictures, lambda r: JOINED.get(r.label, r.label))
    same(found.evaluate(merge=[["class 1", "class 2"]]), copy.evaluate(rank=rank, progress=False))
    assert "all pictures taught" in " ".join(found.evaluate(without=HUBS).notes())
    assert found.plain.notes() == gallery_of(*pictures).evaluate(rank=rank, progress=False).notes()


def test_copies_under_a_ranking_still_take_part_in_it_and_a_note_says_so(pictures, judged):
    ranked = gallery_of(*pictures).what_if(rank="qe:4:1", progress=False)
    [*_, note] = ranked.evaluate(group_duplicates=True).notes()
    assert "Copies take part in it" in note
    for found in (ranked.plain, ranked.evaluate(without=HUBS), judged.evaluate(group_duplicates=True)):
        assert "Copies" not in " ".join(found.notes())
    real = gallery_of(*pictures).evaluate(rank="qe:4:1", group_duplicates=True, progress=False)
    assert real.to_json()["micro"] != ranked.evaluate(group_duplicates=True).to_json()["micro"]


def test_merged_classes_are_not_joined_with_a_class_of_their_name():
    points = [("a", 0), ("b", 10), ("a + b", 40), ("a + b", 50), ("c", 90), ("(a + b)", 95), ("(a + b)", 99)]
    judged = what_if(index_of(*((str(row), label, angle) for row, (label, angle) in enumerate(points))), ks=(1,))
    found = judged.evaluate(merge=[["a", "b"]])
    assert found.labels == ["((a + b))", "(a + b)", "a + b", "c"]
    assert len(found.queries) == 6  # and not c, which is alone in its class


def test_two_groups_of_one_name_stay_two_classes():
    points = [("a + b", 0), ("c", 10), ("c", 20), ("a", 80), ("b + c", 90)]
    judged = what_if(index_of(*((str(row), label, angle) for row, (label, angle) in enumerate(points))), ks=(1,))
    found = judged.evaluate(merge=[["a + b", "c"], ["a", "b + c"]])
    assert found.labels == ["(a + b + c)", "a + b + c"]


def test_a_person_can_follow_it():
    """cat/2 and dog/1 are each other's neighbours, at 5 degrees, and both classes have another picture farther off."""
    judged = what_if(index_of(*CATS_AND_DOGS), ks=(1,))
    assert values(judged.plain, "P@1") == {"cat/1": 1, "cat/2": 0, "dog/1": 0, "dog/2": 1}
    assert set(values(judged.evaluate(merge=[("cat", "dog")]), "P@1").values()) == {1}
    assert values(judged.evaluate(without=["dog/2"]), "P@1") == {"cat/1": 1, "cat/2": 0}  # dog/1 has no other dog
    found = judged.evaluate(without=["dog/2"]).to_json()
    assert (found["left_out"], found["skipped_lone"], found["gallery"]) == (1, 1, 3)
    assert judged.evaluate(merge=[("cat", "dog")]).against(judged.plain)["micro"]["P@1"]["difference"] == 0.5


def test_a_class_may_be_named_in_either_unicode_form():
    index = index_of(("a", "caf\u00e9", 0), ("b", "caf\u00e9", 10), ("c", "tea", 15), ("d", "tea", 60))
    judged = what_if(index, ks=(1,))
    assert judged.evaluate(exclude_labels=["cafe\u0301"]).labels == ["tea"]
    assert judged.evaluate(merge=[("cafe\u0301", "tea")]).labels == ["caf\u00e9 + tea"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"merge": [["class 1", "clas 2"]]}, "No picture has the label 'clas 2'. Did you mean 'class 2'"),
        ({"merge": [["class 1"]]}, "name two classes or more"),
        (
            {"merge": [["class 1", "class 2"], ["class 2", "class 3"]]},
            r"\['class 2'\] cannot be merged: a class belongs to one",
        ),
        ({"exclude_labels": ["cat"]}, "No picture has the label 'cat'"),
        ({"group_duplicates": 1.5}, "a cosine in"),
        ({"without": [f"{row:03}" for row in range(240)]}, "No picture is left"),
    ],
)
def test_what_cannot_be_is_refused_in_words(judged, changes, words):
    with pytest.raises(BadQuery, match=words):
        judged.evaluate(**changes)


def test_more_pictures_than_their_rankings_have_room_for_are_refused(monkeypatch):
    monkeypatch.setattr(over_index, "MOST_RANKED", 3)
    with pytest.raises(BadQuery, match="There are 4 labelled pictures; what-if keeps all rankings, of at most 3"):
        what_if(index_of(*CATS_AND_DOGS))
