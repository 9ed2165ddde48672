"""Recall against exact answers, on rankings a person can count."""

from __future__ import annotations

import numpy as np
import pytest

from imgsearch_kit.approximation.recall import losses, missing, precision_at_k, recall_at_k, without
from imgsearch_kit.records import Neighbours


def answer(*rows: dict[str, float], k: int) -> Neighbours:
    """Neighbours from one ``{id: score}`` a query, padded to ``k``."""
    ids = np.full((len(rows), k), "", dtype="<U8")
    scores = np.full((len(rows), k), np.nan, np.float32)
    for row, hits in enumerate(rows):
        ids[row, : len(hits)], scores[row, : len(hits)] = list(hits), list(hits.values())
    return Neighbours(ids, scores)


def test_recall_counts_ids_in_any_order():
    exact = answer({"a": 0.9, "b": 0.8, "c": 0.7}, {"a": 0.9, "b": 0.8, "c": 0.7}, k=3)
    found = answer({"c": 0.7, "a": 0.9, "x": 0.1}, {"x": 0.1, "y": 0.1, "z": 0.1}, k=3)
    assert recall_at_k(exact, found).tolist() == pytest.approx([2 / 3, 0])


def test_a_hit_as_near_as_the_last_exact_one_counts_and_a_farther_one_does_not():
    exact = answer({"a": 0.9, "b": 0.8}, {"a": 0.9, "b": 0.8}, k=2)
    found = answer({"a": 0.9, "twin": 0.8 - 5e-7}, {"a": 0.9, "other": 0.8 - 5e-6}, k=2)
    assert recall_at_k(exact, found).tolist() == [1, 0.5]


def test_ties_never_lift_recall_above_one():
    exact = answer({"a": 0.5}, k=3)  # a gallery of one
    found = answer({"a": 0.5, "b": 0.5, "c": 0.5}, k=3)
    assert recall_at_k(exact, found).tolist() == [1]


def test_a_short_answer_is_a_miss_and_is_counted():
    exact = answer({"a": 0.9, "b": 0.8}, {"a": 0.9, "b": 0.8}, k=2)
    found = answer({"a": 0.9}, {}, k=2)
    assert recall_at_k(exact, found).tolist() == [0.5, 0]
    assert missing(exact, found).tolist() == [1, 2]


def test_a_small_gallery_is_measured_against_what_it_has():
    exact = answer({"a": 0.9}, {}, k=3)
    found = answer({"a": 0.9}, {}, k=3)
    assert recall_at_k(exact, found)[0] == 1
    assert np.isnan(recall_at_k(exact, found)[1])
    assert missing(exact, found).tolist() == [0, 0]


def test_the_query_itself_is_dropped_by_id_wherever_it_stands():
    found = answer({"me": 1.0, "a": 0.9, "b": 0.8}, {"twin": 1.0, "me": 1.0, "a": 0.9}, {"a": 0.9, "b": 0.8}, k=3)
    rest = without(found, ["me", "me", "me"], 2)
    assert rest.ids.tolist() == [["a", "b"], ["twin", "a"], ["a", "b"]]
    assert rest.scores == pytest.approx(np.array([[0.9, 0.8], [1.0, 0.9], [0.9, 0.8]], np.float32))


def test_dropping_from_a_short_answer_leaves_it_short():
    rest = without(answer({"me": 1.0, "a": 0.9}, k=3), ["me"], 2)
    assert rest.ids.tolist() == [["a", ""]]
    assert np.isnan(rest.scores[0, 1])


def test_precision_divides_by_k_and_knows_no_value_without_a_label():
    labels = {"a": "cat", "b": "dog", "c": "cat", "d": None}
    found = answer({"a": 0.9, "b": 0.8}, {"a": 0.9, "c": 0.8}, {"d": 0.9}, k=2)
    values = precision_at_k(found, ["cat", "cat", None], labels)
    assert values[:2].tolist() == [0.5, 1]
    assert np.isnan(values[2])


def test_losses_of_a_method_that_finds_half():
    labels = {"a": "cat", "b": "cat", "c": "dog"}
    exact = answer(*[{"a": 0.9, "b": 0.8}] * 4, k=2)
    half = answer(*[{"a": 0.9, "c": 0.1}] * 3, {"a": 0.9}, k=2)
    perfect, lossy = losses(exact, [exact, half], ["cat"] * 4, labels)
    assert perfect.recall == (1, 1, 1)
    assert perfect.lost == (0, 0, 0)
    assert (perfect.short, perfect.missing) == (0, 0)
    assert lossy.recall == (0.5, 0.5, 0.5)
    assert lossy.precision == (0.5, 0.5, 0.5)
    assert lossy.lost == (0.5, 0.5, 0.5)
    assert (lossy.short, lossy.missing) == (1, 1)


def test_bounds_enclose_a_mean_of_unequal_queries():
    exact = answer(*[{"a": 0.9, "b": 0.8}] * 20, k=2)
    mixed = answer(*[{"a": 0.9, "b": 0.8}] * 10, *[{"x": 0.1, "y": 0.1}] * 10, k=2)
    value, low, high = losses(exact, [mixed], ["cat"] * 20, {})[0].recall
    assert value == 0.5
    assert 0.2 < low < 0.5 < high < 0.8


def test_without_labels_there_is_no_precision_but_there_is_recall():
    exact = answer({"a": 0.9}, {"b": 0.9}, k=1)
    loss = losses(exact, [exact], [None, None], {})[0]
    assert loss.recall[0] == 1
    assert all(np.isnan(loss.precision))
    assert all(np.isnan(loss.lost))
