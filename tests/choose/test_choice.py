"""The choice among candidates: what chooses does not judge, and chance is not called a gain."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from imgsearch_kit.choose.choice import Choice, halves
from imgsearch_kit.choose.trial import COMPARED_RANKINGS, Candidate, Trial, try_candidates
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.index import create_index, new_passport
from imgsearch_kit.records import ExtractorSpec, ImageRecord
from imgsearch_kit.vectors import unit

CLASSES = np.repeat(np.arange(5), 40)


def choice(*values, classes=CLASSES, **options):
    """A choice among candidates whose mAP of each query is given, and whose P@4 is the half of it."""
    values = np.stack([np.stack([np.asarray(v) / 2, v], axis=1) for v in values])
    trial = Trial([Candidate(f"network-{i}", None) for i in range(len(values))], values, {})
    return Choice(trial, classes, len(classes), **options)


def test_halves_are_of_each_class_and_an_odd_query_falls_to_either():
    classes = np.repeat([0, 1, 2], [10, 3, 1])
    drawn = halves(classes, 200, seed=0)
    assert (drawn[:, :10].sum(axis=1) == 5).all()
    assert set(drawn[:, 10:13].sum(axis=1)) == {1, 2}
    assert 0.3 < drawn[:, 13].mean() < 0.7
    np.testing.assert_allclose(drawn.mean(axis=0), 0.5, atol=0.12)


def test_a_candidate_that_is_always_better_wins_by_its_difference():
    found = choice(np.full(200, 0.5), np.full(200, 0.7), np.full(200, 0.6))
    assert found.better
    assert found.winner == Candidate("network-1", None)
    document = found.to_json()
    assert document["winner"] == {"extractor": "network-1", "rank": None}
    assert document["default"]["extractor"] == "network-0"
    assert document["difference"]["mAP"] == pytest.approx({"value": 0.2, "low": 0.2, "high": 0.2})
    assert document["difference"]["P@4"]["value"] == pytest.approx(0.1)
    assert [row["extractor"] for row in document["candidates"]] == ["network-1", "network-2", "network-0"]
    assert [row["chosen"] for row in document["candidates"]] == [1, 0, 0]
    assert "Better than the default (network-0, no ranking): network-1, no ranking." in str(found)


def test_the_best_of_many_equals_is_not_called_better():
    """60 candidates that differ by chance: the best mean flatters, the held-out difference does not."""
    flattering, honest, better = [], [], 0
    for seed in range(20):
        values = np.random.default_rng(seed).uniform(size=(60, 200))
        found = choice(*values, seed=seed)
        flattering.append(values.mean(axis=1).max() - values[0].mean())
        honest.append(found.difference[1, 0])
        better += found.better
    assert np.mean(flattering) > 0.03
    assert abs(np.mean(honest)) < 0.01
    assert better <= 2


def test_nothing_is_better_where_the_default_is_best():
    found = choice(np.full(200, 0.9), np.full(200, 0.7))
    assert not found.better
    assert found.winner == found.default
    assert str(found).startswith("Nothing is better than the default beyond chance: network-0, no ranking.")
    assert "--extractor network-0 --index" in str(found)


def test_a_query_has_no_part_in_the_choice_that_it_judges():
    rng = np.random.default_rng(3)
    values = rng.uniform(size=(4, 200))
    found = choice(*values, splits=5)
    drawn = halves(CLASSES, 5, seed=0)
    for query in (0, 57, 199):
        changed = values.copy()
        changed[:, query] = [0, 0, 1, 0]
        again = choice(*changed, splits=5)
        for split in range(5):
            judged = 1 if drawn[split, query] else 0  # the half that does not have the query
            assert again.chosen[split, judged] == found.chosen[split, judged]
            assert found.chosen[split, judged] in range(4)


def test_values_are_those_of_an_evaluation():
    """Every ranking compared, over 260 vectors in clusters that overlap; two are alone in their class."""
    rng = np.random.default_rng(0)
    labels = np.array([f"class {i % 6}" for i in range(258)] + ["lone", "alone"])
    centres = {label: rng.normal(size=200) for label in set(labels)}
    vectors = unit(np.stack([centres[label] + 3 * rng.normal(size=200) for label in labels]))
    classes = np.unique(labels, return_inverse=True)[1]
    trial = try_candidates({"own": vectors}, classes)
    assert [each.rank for each in trial.candidates] == list(COMPARED_RANKINGS)
    assert trial.values.shape == (len(COMPARED_RANKINGS), 258, 2)
    passport = new_passport(ExtractorSpec("own", 200))
    with create_index("memory:", passport) as index:
        records = [ImageRecord(f"{i:03}.png", label) for i, label in enumerate(labels)]
        index.add(records, vectors)
        index.flush()
        gallery = Gallery(index)
        for candidate, values in zip(trial.candidates, trial.values, strict=True):
            found = gallery.evaluate(rank=candidate.rank or "", progress=False)
            for name, column in zip(("P@4", "mAP"), values.T, strict=True):
                np.testing.assert_allclose(column, found.scores.values[name], atol=2e-3)
                assert abs(column.mean() - found.scores.values[name].mean()) < 1e-5


def test_a_ranking_that_the_vectors_do_not_allow_is_left_out_with_its_reason():
    vectors = unit(np.random.default_rng(0).normal(size=(12, 8)))
    classes = np.repeat([0, 1], 6)
    trial = try_candidates({"own": vectors}, classes, (None, "rca:4:15", "rca:4:15,qe:3:1", "qe:3:1"))
    assert [each.rank for each in trial.candidates] == [None, "qe:3:1"]
    assert [each.rank for each in trial.impossible] == ["rca:4:15", "rca:4:15,qe:3:1"]
    said = str(Choice(trial, classes, 12))
    assert "2 candidates are not possible here, as own, rca:4:15: RCA over 15 neighbours needs more" in said


def test_the_figure_shows_the_default_beside_the_best():
    figure = choice(*np.linspace(0.1, 0.9, 20)[:, None] * np.ones(200)).plot()
    assert "network-19, no ranking has 0.900" in figure.alt_text
    assert "network-0, no ranking 0.100" in figure.alt_text


def test_costs_are_said_of_the_winner_and_the_default():
    from imgsearch_kit.choose.choice import Cost

    found = choice(np.full(200, 0.5), np.full(200, 0.7))
    costs = {found.winner: Cost(60.4, 12288, 2.5), found.default: Cost(18.0, 2048, 0.1)}
    said = str(dataclasses.replace(found, costs=costs))
    assert "It costs 60 ms a picture to extract (18 by default), 12,288 bytes a vector (2,048)" in said
