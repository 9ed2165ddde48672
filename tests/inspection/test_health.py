"""Health of collections in which everything wrong was put there on purpose."""

import json
import re

import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.inspection.health import examine
from imgsearch_kit.inspection.neighbours import leave_one_out
from imgsearch_kit.vectors import cosines


def unit(rows):
    rows = np.asarray(rows, np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def classes_of(count, size, dim=32, spread=0.15, seed=0):
    """``count`` well separated classes of ``size`` pictures: ids, unit vectors, labels, hashes."""
    rng = np.random.default_rng(seed)
    centres = np.eye(count, dim)
    vectors = unit(np.repeat(centres, size, axis=0) + rng.normal(0, spread, (count * size, dim)))
    ids = [f"class{c}/{i:02}.jpg" for c in range(count) for i in range(size)]
    return ids, vectors, [name.split("/")[0] for name in ids], [f"hash of {name}" for name in ids]


def effect(health, name):
    return next(e for e in health.effects if e.name == name)


# the nearest others


def slow_nearest(vectors, k, left_out):
    """One row at a time, sorted with Python's sort."""
    scores = cosines(vectors, vectors)(slice(None))
    rows = np.full((len(vectors), k), -1)
    for i, row in enumerate(scores):
        order = sorted((j for j in range(len(row)) if not left_out[i, j]), key=lambda j: (-row[j], j))[:k]
        rows[i, : len(order)] = order
    return rows


@pytest.mark.parametrize("k", [1, 3, 40])
def test_the_nearest_others_are_those_of_a_plain_sort_ties_by_row(k):
    rng = np.random.default_rng(0)
    vectors = unit(rng.integers(0, 2, (30, 4)) + 0.1)  # few distinct rows, so ties everywhere
    groups, barred = rng.integers(0, 12, 30), rng.random(30) < 0.2
    left_out = (groups[:, None] == groups) | barred
    found = leave_one_out(vectors, k, groups, barred)
    np.testing.assert_array_equal(found.rows, slow_nearest(vectors, k, left_out))
    np.testing.assert_array_equal(np.isnan(found.cosines), found.rows < 0)
    for wide in (k, k + 3, 60):
        narrowed = leave_one_out(vectors, k, groups, barred, wider=leave_one_out(vectors, wide))
        np.testing.assert_array_equal(narrowed.rows, found.rows)
        np.testing.assert_array_equal(narrowed.cosines, found.cosines)


# duplicates


def test_equal_files_are_grouped_and_their_effect_is_told():
    ids, vectors, labels, hashes = classes_of(3, 6, spread=0.6)
    copies = [f"copy{i}.jpg" for i in range(3)]
    ids, labels, hashes = ids + copies, labels + ["class0"] * 3, hashes + [hashes[0]] * 3
    found = examine(ids, np.concatenate([vectors, vectors[:1].repeat(3, axis=0)]), labels, hashes, k=3)
    assert found.duplicates == [[ids[0], *copies]]
    assert found.near_duplicates == []
    assert effect(found, "as it is").precision > effect(found, "duplicates grouped").precision


@pytest.mark.parametrize("size", [5, 40, 200])
def test_near_duplicates_are_linked_however_many_one_picture_has(size):
    """Around each of three axes lies a cloud of near-duplicates; two clouds are linked by their edges alone."""
    rng = np.random.default_rng(size)
    centres = np.array([[1, 0, 0, 0], [0.97, 0.243, 0, 0], [0, 0, 1, 0]])
    vectors = unit(np.repeat(centres, size, axis=0) + rng.normal(0, 0.03, (3 * size, 4)))
    ids = [f"{row:03}" for row in range(3 * size)]
    found = examine(ids, vectors, ["x"] * len(ids), ids, k=3, near=0.985)
    numbers = connected_components(cosines(vectors, vectors)(slice(None)) >= np.float32(0.985))[1]
    groups = [[id_ for id_, each in zip(ids, numbers, strict=True) if each == number] for number in set(numbers)]
    expected = sorted((group for group in groups if len(group) > 1), key=lambda g: (-len(g), g[0]))
    assert found.near_duplicates == expected
    assert len(expected) > 1


def test_near_duplicates_are_linked_in_a_chain():
    angles = np.radians([0, 10, 20, 90, 180])  # neighbours in the chain at cos 10 = .985, its ends at cos 20 = .940
    vectors = unit(np.stack([np.cos(angles), np.sin(angles)], axis=1))
    found = examine(list("abcde"), vectors, ["x"] * 5, [""] * 5, k=2, near=0.98)
    assert found.near_duplicates == [["a", "b", "c"]]
    assert found.duplicates == []


def test_a_group_of_equal_files_is_not_told_twice():
    vectors = unit([[1, 0], [1, 0], [1, 0.01], [0, 1]])
    pair = examine(list("abcd"), vectors[[0, 1, 3, 3]], ["x"] * 4, ["1", "1", "2", "3"], k=1, near=0.999)
    assert (pair.duplicates, pair.near_duplicates) == ([["a", "b"]], [["c", "d"]])
    wider = examine(list("abcd"), vectors, ["x"] * 4, ["1", "1", "2", "3"], k=1, near=0.999)
    assert (wider.duplicates, wider.near_duplicates) == ([["a", "b"]], [["a", "b", "c"]])


def test_unknown_hashes_are_not_equal():
    ids, vectors, labels, _ = classes_of(2, 4)
    assert examine(ids, vectors, labels, [""] * 8, k=2).duplicates == []


def test_a_class_of_copies_has_nothing_to_find_once_they_are_grouped():
    vectors = unit([[1, 0], [1, 0], [0, 1], [0.1, 1]])
    found = examine(list("abcd"), vectors, ["x", "x", "y", "y"], ["1", "1", "2", "3"], k=1)
    assert (effect(found, "as it is").queries, effect(found, "as it is").precision) == (4, 1)
    assert (effect(found, "duplicates grouped").queries, effect(found, "duplicates grouped").precision) == (2, 1)


# hubs and orphans


def test_the_centre_of_a_star_is_a_hub_and_its_points_are_orphans():
    centre, points = [[1, *[0] * 8]], np.hstack([np.ones((8, 1)), np.eye(8)])
    vectors = unit(np.vstack([centre, points]))  # each point is nearer to the centre (.71) than to another point (.5)
    ids = ["centre", *(f"point{i}" for i in range(8))]
    found = examine(ids, vectors, ["odd"] + ["even"] * 8, [""] * 9, k=1)
    assert found.hubs == [("centre", 8)]
    assert found.occurrence.tolist() == [8, 1, 0, 0, 0, 0, 0, 0, 0]  # the centre's own nearest: a tie, by id
    assert found.orphans == [f"point{i}" for i in range(1, 8)]
    assert found.skewness > 2
    assert effect(found, "as it is").precision == 0  # the centre has no class member and so does not ask
    assert effect(found, "hubs left out").precision == 1
    assert effect(found, "orphans alone").queries == 7
    assert effect(found, "orphans left out").queries == 1


# labels


def test_a_wrong_label_is_found_and_its_right_one_proposed():
    ids, vectors, labels, hashes = classes_of(3, 12)
    labels[5] = "class2"
    found = examine(ids, vectors, labels, hashes, k=10)
    assert [(s.id, s.label, s.proposed, s.share) for s in found.suspects] == [(ids[5], "class2", "class0", 1.0)]
    assert effect(found, "labels as voted").precision > effect(found, "as it is").precision


def test_sound_labels_are_not_suspected():
    ids, vectors, labels, hashes = classes_of(3, 12)
    assert examine(ids, vectors, labels, hashes).suspects == []


def test_a_picture_s_copies_have_no_vote():
    ids, vectors, labels, hashes = classes_of(2, 12)
    ids, vectors = (
        [*ids, *(f"copy{i:02}" for i in range(10))],
        np.concatenate([vectors, vectors[:1].repeat(10, axis=0)]),
    )
    labels = [*labels, *["mislabelled copies"] * 10]
    found = examine(ids, vectors, labels, hashes + [hashes[0]] * 10, k=10)
    assert ids[0] not in {s.id for s in found.suspects}
    assert {s.id for s in found.suspects} >= {f"copy{i:02}" for i in range(10)}


def test_pictures_without_a_label_neither_ask_nor_vote_nor_are_suspected():
    ids, vectors, labels, hashes = classes_of(2, 12)
    half = [None if i % 2 else label for i, label in enumerate(labels)]
    found = examine(ids, vectors, half, hashes, k=10)
    assert found.suspects == []
    assert effect(found, "as it is").queries == 12
    assert effect(found, "as it is").precision < 0.6  # half of the places hold pictures of no label


def test_precision_is_that_of_a_plain_count():
    ids, vectors, labels, hashes = classes_of(4, 9, spread=0.8)
    labels[0] = "alone"
    rows = slow_nearest(vectors, 5, np.eye(36, dtype=bool))
    share = [np.mean([labels[j] == labels[i] for j in row]) for i, row in enumerate(rows) if labels[i] != "alone"]
    found = effect(examine(ids, vectors, labels, hashes, k=5), "as it is")
    assert found.queries == 35
    assert found.precision == pytest.approx(np.mean(share))


# as documents


def test_its_document_and_its_lines_tell_the_same():
    ids, vectors, labels, hashes = classes_of(3, 12)
    labels[5], hashes[1] = "class2", hashes[0]
    found = examine(ids, vectors, labels, hashes, k=4)
    plain = json.loads(json.dumps(found.to_json()))
    assert plain["pictures"] == 36
    assert plain["duplicates"] == [[ids[0], ids[1]]]
    assert plain["suspects"][0] == {"id": ids[5], "label": "class2", "proposed": "class0", "share": 1.0}
    assert plain["effects"][0]["P@4"] == effect(found, "as it is").precision
    text = "\n".join(found.lines())
    assert "1 duplicates in 1 groups" in text
    assert f"{ids[0]} = {ids[1]}" in text
    assert f"{ids[5]}: class2, but 100% of its neighbours are class0" in text
    assert re.search(rf"as it is +{plain['effects'][0]['P@4']:.4f} +36  every picture", text)


def test_long_lists_are_cut_in_text_only():
    vectors = unit(np.vstack([[1, *[0] * 20], np.hstack([np.ones((20, 1)), np.eye(20)])]))
    found = examine([f"{i:02}" for i in range(21)], vectors, [None] * 21, [""] * 21, k=1)
    assert len(found.to_json()["orphans"]) == 19
    assert "  ... and 9 more (--json lists all)" in found.lines()
    assert effect(found, "as it is").precision is None


def test_one_picture_is_sound():
    found = examine(["a"], unit([[1, 0]]), ["x"], ["1"])
    assert (found.duplicates, found.hubs, found.orphans, found.suspects) == ([], [], ["a"], [])
    assert found.skewness == 0


def test_what_cannot_be_examined_is_refused():
    vectors = unit([[1, 0], [0, 1]])
    with pytest.raises(BadQuery, match="no pictures"):
        examine([], np.zeros((0, 4), np.float32), [], [])
    with pytest.raises(BadQuery, match="2 ids, 2 vectors, 1 labels and 2 hashes"):
        examine(["a", "b"], vectors, ["x"], ["1", "2"])
    with pytest.raises(BadQuery, match="k is 0"):
        examine(["a", "b"], vectors, ["x", "x"], ["1", "2"], k=0)
    with pytest.raises(BadQuery, match=r"near 1\.5"):
        examine(["a", "b"], vectors, ["x", "x"], ["1", "2"], near=1.5)
