"""Who asks whom, from records and vectors alone."""

from pathlib import Path

import numpy as np
import pytest

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.evaluation.protocol import Side, make_experiment
from imgsearch_kit.ranking import Ranking
from imgsearch_kit.records import ImageRecord
from imgsearch_kit.vectors import unit


def side(*pictures):
    """Pictures of (id, label, degrees) on the unit circle."""
    radians = np.deg2rad([degrees for *_, degrees in pictures])
    vectors = unit(np.stack([np.cos(radians), np.sin(radians)], axis=1))
    return Side([ImageRecord(id_, label) for id_, label, _ in pictures], vectors)


PICTURES = (("cat/1", "cat", 0), ("cat/2", "cat", 10), ("dog/1", "dog", 20), ("owl/1", "owl", 30), ("top", None, 40))


def test_an_experiment_needs_no_index():
    experiment = make_experiment(side(*PICTURES), exclude_labels=["owl"])
    assert [record.id for record in experiment.gallery] == ["cat/1", "cat/2", "dog/1"]
    assert (experiment.labels, experiment.classes(experiment.queries).tolist()) == (["cat", "dog"], [0, 0, 1])
    np.testing.assert_array_equal(experiment.junk.toarray(), np.eye(3, dtype=bool))
    assert experiment.most_junk == 1
    assert {"protocol": "leave-one-out", "unlabelled": 1, "excluded": 1}.items() <= experiment.about.items()
    np.testing.assert_allclose(experiment.scorer()(slice(1)), [np.cos(np.deg2rad([0, 10, 20]))], atol=1e-6)


def test_a_ranking_gives_an_experiment_its_scores():
    experiment = make_experiment(side(*PICTURES), rank="qe:2:1")
    scores = experiment.scorer(Ranking.fit("qe:2:1", experiment.gallery_vectors))(slice(0, 1))
    assert np.isneginf(scores[0, 0])  # the query's own row
    # cos 10 times the vector at 10 degrees, and the query at 0, point to 4.96 degrees
    np.testing.assert_allclose(scores[0, 1:], np.cos(np.deg2rad([5.04, 15.04, 25.04])), atol=1e-3)


def test_other_pictures_ask_a_gallery():
    experiment = make_experiment(side(*PICTURES), side(("q", "cat", 5), ("cat/2", "cat", 10)))
    assert [record.id for record in experiment.queries] == ["q", "cat/2"]
    np.testing.assert_array_equal(experiment.junk.toarray(), [[0, 0, 0, 0], [0, 1, 0, 0]])
    assert experiment.about["protocol"] == "queries"


def test_queries_and_a_split_are_refused_together():
    with pytest.raises(BadQuery, match="An index of queries and a split file were both given"):
        make_experiment(side(*PICTURES), side(*PICTURES), split=Path("split.txt"))
