"""Proposals from a simulation, and the same settings on a real server with the plugin."""

from __future__ import annotations

import json
import uuid
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from imgsearch_kit.approximation import tuning
from imgsearch_kit.approximation.lsh import METHODS
from imgsearch_kit.approximation.over_index import Measured
from imgsearch_kit.approximation.recall import Loss
from imgsearch_kit.approximation.tuning import Proposal, Tuning, parameter_grid, propose, verify
from imgsearch_kit.errors import BadQuery
from imgsearch_kit.index import create_index, new_passport
from imgsearch_kit.index.local import LocalIndex
from imgsearch_kit.indexing.copy import temporary_copy
from imgsearch_kit.records import Approx, ImageRecord
from tests import recording

RECORDED = Path(__file__).parent / "recorded_recall.json"
WITHIN = 0.05
SMALL = {
    "l2-lsh": [{"L": 30, "k": 2, "w": 1}],
    "cosine-lsh": [{"L": 30, "k": 2}],
    "permutation-lsh": [{"k": 8}, {"k": 16}],
}


def features(n: int, dim: int = 64, seed: int = 0) -> np.ndarray:
    """Vectors like those of a network: never negative, in loose groups, of unit norm."""
    rng = np.random.default_rng(seed)
    groups = rng.normal(size=(40, dim))
    vectors = np.maximum(groups[np.arange(n) % 40] + rng.normal(size=(n, dim)), 0).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def gallery():
    """1,500 pictures in memory."""
    with create_index("memory:", new_passport(None, dim=64)) as index:
        index.add([ImageRecord(f"{i % 40:02}/{i:04}.jpg", f"{i % 40:02}") for i in range(1500)], features(1500))
        yield index


def test_each_method_gets_its_cheapest_setting_and_reaching_comes_first(gallery):
    found = propose(gallery, 0.9, queries=60, grid=SMALL)
    assert sorted(p.method.partition(":")[0] for p in found.proposals) == sorted(METHODS)
    assert all(p.predicted >= 0.9 for p in found.proposals)
    assert [p.work for p in found.proposals] == sorted(p.work for p in found.proposals)
    assert found.best == found.proposals[0]
    assert (found.queries, found.gallery, found.sampled) == (60, 1500, 1500)
    assert found.simulated == 5  # l2 with and without probes, one cosine, two permutations


def test_an_index_that_cannot_answer_exactly_gets_the_same_proposals(gallery):
    class NoExact(LocalIndex):
        def search(self, *args, **options):
            raise BadQuery("This index cannot answer exactly.")

    with NoExact.in_memory(new_passport(None, dim=64)) as index:
        index.add(gallery.records(), gallery.vectors())
        assert propose(index, queries=20, grid=SMALL) == propose(gallery, queries=20, grid=SMALL)


def test_more_recall_takes_more_candidates(gallery):
    grid = {"permutation-lsh": [{"k": 16}]}
    low, high = (propose(gallery, wanted, queries=60, grid=grid).proposals[0] for wanted in (0.7, 0.97))
    assert low.setting.candidates < high.setting.candidates
    assert low.predicted < high.predicted
    assert low.work < high.work


def test_a_method_that_cannot_reach_it_stands_last_with_its_best(gallery):
    found = propose(gallery, 0.9, queries=60, grid={"cosine-lsh": [{"L": 1, "k": 8}], "permutation-lsh": [{"k": 16}]})
    assert [p.method for p in found.proposals] == ["permutation-lsh:k=16", "cosine-lsh:L=1,k=8"]
    assert found.proposals[1].predicted < 0.9
    assert found.best == found.proposals[0]


def test_when_nothing_reaches_it_that_is_said(gallery):
    found = propose(gallery, 0.9, queries=60, grid={"cosine-lsh": [{"L": 1, "k": 8}]})
    assert found.best is None
    assert found.to_json()["best"] is None
    assert "None reaches a recall of 0.9" in found.lines()[-1]


def test_a_sample_leads_to_the_same_setting_as_all_vectors(gallery):
    grid = {"permutation-lsh": [{"k": 16}]}
    whole = propose(gallery, 0.9, queries=40, grid=grid)
    part = propose(gallery, 0.9, queries=40, grid=grid, sample=900)
    assert part.sampled == 900
    assert part.gallery == 1500
    for a, b in zip(whole.proposals, part.proposals, strict=True):
        assert abs(a.predicted - b.predicted) < 0.04
        assert 0.6 < b.setting.candidates / a.setting.candidates < 1.7
    assert "900 of 1500 pictures" in "\n".join(part.lines())


def test_the_default_grid_holds_parameters_the_methods_take():
    assert parameter_grid(64).keys() == set(METHODS)
    assert max(p["k"] for p in parameter_grid(64)["permutation-lsh"]) == 64
    assert max(p["k"] for p in parameter_grid(4096)["permutation-lsh"]) == 1024


@pytest.mark.parametrize("wanted", [0, -1, 1.01])
def test_a_recall_outside_its_range_is_refused(gallery, wanted):
    with pytest.raises(BadQuery, match="above 0 and at most 1"):
        propose(gallery, wanted)


def test_too_few_pictures_are_refused():
    with create_index("memory:", new_passport(None, dim=64)) as index:
        index.add([ImageRecord(str(i)) for i in range(10)], features(10))
        with pytest.raises(BadQuery, match=r"There are 10 pictures.*Index more"):
            propose(index, k=10)


def test_the_lines_say_what_to_type():
    proposal = Proposal("l2-lsh:L=50,k=3,w=1", Approx(200, 3), 0.97, 1.5)
    lines = Tuning(0.95, 10, 200, 9000, 9000, 69, (proposal,)).lines()
    assert lines[-1].endswith("--method l2-lsh:L=50,k=3,w=1, searched with --approx --candidates 200 --probes 3")
    assert lines[0].endswith("recall@10 predicted")  # no columns for what was not measured
    assert lines[1].endswith("0.970")


def test_verified_proposals_show_predicted_beside_measured():
    def row(method, recall, p50):
        triple = (recall, recall, recall)
        return Measured(method, None, Loss(triple, triple, (0, 0, 0), 0, 0), p50, p50, predicted=0.97)

    sure, fast, poor = (
        Proposal(name, Approx(200), 0.97, work, row(name, recall, p50), row("exact", 1.0, 9.5))
        for name, work, recall, p50 in (("sure", 1, 0.96, 2.5), ("fast", 2, 0.951, 1.25), ("poor", 0.5, 0.90, 1.0))
    )
    found = Tuning(0.95, 10, 200, 9000, 9000, 69, (poor, sure, fast))
    assert found.best == fast  # by the time measured, among those that measured up
    assert found.lines()[0].endswith("exact p50 ms")
    assert found.lines()[3].split() == ["fast", "200", "0.970", "0.951", "1.2", "9.5"]


@pytest.mark.parametrize(("exact", "as_fast"), [(2.4, True), (2.5, True), (2.6, False), (float("nan"), False)])
def test_that_exact_is_as_fast_is_said(exact, as_fast):
    def row(method, recall, p50):
        triple = (recall, recall, recall)
        return Measured(method, None, Loss(triple, triple, (0, 0, 0), 0, 0), p50, p50)

    best = Proposal("best", Approx(200), 0.97, 1, row("best", 0.96, 2.5), row("exact", 1.0, exact))
    slow = Proposal("slow", Approx(200), 0.97, 1, row("slow", 0.99, 9.9), row("exact", 1.0, 5.0))
    found = Tuning(0.95, 10, 200, 900, 900, 69, (slow, best))
    assert found.to_json()["exact_is_as_fast"] is as_fast
    words = f"But exact search is as fast here (median {exact:.1f} ms against 2.5 ms) and loses nothing."
    assert (found.lines()[-1] == words) is as_fast
    assert any(line.startswith("Proposed: an index with --method best") for line in found.lines())


def test_nothing_is_said_of_exact_where_nothing_was_measured(gallery):
    found = propose(gallery, 0.9, queries=20, grid=SMALL)
    assert found.to_json()["exact_is_as_fast"] is None
    assert "exact" not in "\n".join(found.lines())


def test_the_document_is_json(gallery):
    document = json.loads(json.dumps(propose(gallery, 0.9, queries=20, grid=SMALL).to_json(), allow_nan=False))
    assert document["best"] == document["proposals"][0]
    assert document["proposals"][0]["measured"] is None
    assert document["wanted"] == 0.9


SETTINGS = [
    ("l2-lsh", {"L": 30, "k": 2, "w": 1}, 100, 0),
    ("l2-lsh", {"L": 30, "k": 3, "w": 1}, 100, 3),
    ("cosine-lsh", {"L": 40, "k": 3}, 100, 0),
    ("permutation-lsh", {"k": 8}, 100, 0),
    ("permutation-lsh", {"k": 32}, 30, 0),
]
NAMES = [f"{name}-{'-'.join(map(str, params.values()))}-{probes}" for name, params, _, probes in SETTINGS]


def predicted(gallery, name, params, candidates, probes) -> float:
    drawn = tuning.Sample.of(gallery, 10, 200, tuning.HASHED_AT_ONCE, seed=1)
    places, _ = drawn.places(name, params, probes)
    return float((places <= candidates).mean())


@pytest.mark.parametrize(("setting", "name"), list(zip(SETTINGS, NAMES, strict=True)), ids=NAMES)
def test_the_prediction_holds_on_the_recorded_run_of_the_plugin(gallery, setting, name):
    measured = json.loads(RECORDED.read_text())[name]
    assert 0.3 < measured < 0.99  # else there would be nothing to predict
    assert predicted(gallery, *setting) == pytest.approx(measured, abs=WITHIN)


@pytest.mark.plugin
def test_the_plugin_measures_what_was_recorded_and_predicted(gallery, elastiknn, monkeypatch):
    """When recording, this writes the file that the test above reads."""
    monkeypatch.setattr(
        "imgsearch_kit.index.elastic.bulk.IN_FLIGHT", 1
    )  # the order of documents decides between equal counts
    measured = {}
    for (method, params, candidates, probes), name in zip(SETTINGS, NAMES, strict=True):
        spec = f"{method}:{','.join(f'{key}={value}' for key, value in params.items())}"
        asked = Tuning(0.5, 10, 200, 1500, 1500, 1, (Proposal(spec, Approx(candidates, probes or None), 0.0, 0.0),))
        (done,) = verify(asked, partial(temporary_copy, gallery, f"{elastiknn}/tuned")).proposals
        measured[name] = done.recall
        assert done.recall == pytest.approx(predicted(gallery, method, params, candidates, probes), abs=WITHIN)
    if recording.RECORDING:
        RECORDED.write_text(json.dumps(measured, indent=2) + "\n")
    assert json.loads(RECORDED.read_text()) == pytest.approx(measured, abs=0.02)


@pytest.mark.plugin
def test_verifying_shows_both_figures_and_leaves_the_server_as_it_was(gallery, elastiknn):
    from imgsearch_kit.index.elastic.client import Server

    name = f"test-{uuid.uuid4().hex[:12]}"
    server = Server(f"{elastiknn}/{name}")
    copied = partial(temporary_copy, gallery, f"{elastiknn}/{name}")
    found = verify(propose(gallery, 0.9, queries=100, grid=SMALL), copied, queries=100)
    for proposal in found.proposals:
        assert proposal.measured.predicted == proposal.predicted
        assert proposal.recall == pytest.approx(proposal.predicted, abs=WITHIN)
        assert proposal.exact.loss.recall[0] == 1
    times = [p.measured.p50 for p in found.proposals if p.recall >= 0.9]
    assert times == sorted(times)
    assert found.exact_is_as_fast == (found.best.exact.p50 <= found.best.measured.p50)
    assert server.request("GET", f"/tune-{name}-*") == {}
    server.close()
