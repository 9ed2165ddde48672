"""The measuring loop on an index whose approximate answers a person can work out."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from imgsearch_kit.approximation.over_index import Measured, RecallReport, default_grid, measure_recall, sample_rows
from imgsearch_kit.approximation.recall import Loss
from imgsearch_kit.errors import BadQuery
from imgsearch_kit.index import create_index, new_passport
from imgsearch_kit.index.local import LocalIndex
from imgsearch_kit.records import Approx, ImageRecord, Neighbours

ALL = Approx(10)
FIVE = Approx(5)
TWO = Approx(2)


class FirstOnly(LocalIndex):
    """Answers approximately with the nearest of the first ``candidates`` pictures."""

    exact_too = True

    def search(self, vectors, k, *, approx=None, labels=None, exclude=None):
        if approx is None:
            if not self.exact_too:
                raise BadQuery("This index cannot answer exactly.")
            return super().search(vectors, k, labels=labels, exclude=exclude)
        everything = super().search(vectors, len(self))
        first = {record.id for record in self.records()[: approx.candidates]}
        ids = np.full((len(vectors), k), "", dtype="<U4")
        scores = np.full((len(vectors), k), np.nan, np.float32)
        for row, (found, cosines) in enumerate(zip(everything.ids.tolist(), everything.scores, strict=True)):
            kept = [place for place, id_ in enumerate(found) if id_ in first][:k]
            ids[row, : len(kept)] = [found[place] for place in kept]
            scores[row, : len(kept)] = cosines[kept]
        return Neighbours(ids, scores, "first")


def ten(kind=FirstOnly, method="first", labels="aaaaabbbbb"):
    """Ten pictures 0 to 9 on a circle, one degree apart, so the neighbours of 4 are 3 and 5."""
    index = kind.in_memory(new_passport(None, dim=2, method=method))
    angles = np.radians(np.arange(10))
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    index.add([ImageRecord(str(i), labels[i].strip() or None) for i in range(10)], vectors)
    return index


def test_recall_and_precision_lost_are_those_counted_by_hand():
    report = measure_recall(ten(), k=2, grid=[ALL, FIVE, TWO])
    exact, everything, five, two = report.rows
    assert exact.method == "exact"
    assert exact.loss.recall[0] == everything.loss.recall[0] == 1
    assert everything.method == "first"
    # 0 to 3 keep both neighbours, 4 and 5 one of two, the others none
    assert five.loss.recall[0] == pytest.approx(5 / 10)
    # exactly, only 4 and 5 have a neighbour of the other label; among the first five, all b's neighbours are a
    assert exact.loss.precision[0] == pytest.approx(0.9)
    assert five.loss.lost[0] == pytest.approx(0.4)
    # 0 and 1 find only each other: one hit short each
    assert (two.loss.short, two.loss.missing) == (2, 2)


def test_the_report_counts_what_it_asked():
    report = measure_recall(ten(labels="aaaaabbbc "), k=2, queries=99, grid=[ALL])
    assert (report.queries, report.gallery, report.k) == (10, 10, 2)
    assert report.labelled == 8  # c is alone in its class, 9 has no label
    assert report.segments is None
    assert all(row.p50 > 0 and row.p95 >= row.p50 for row in report.rows)


def test_a_query_is_never_its_own_answer():
    index = ten()
    report = measure_recall(index, k=9, grid=[ALL])  # with itself there would be ten
    assert report.rows[1].loss.recall[0] == 1
    assert report.rows[1].loss.missing == 0


def test_queries_are_drawn_by_seed_without_replacement():
    assert sample_rows(5, 9, 0) == [0, 1, 2, 3, 4]
    assert sample_rows(1000, 50, 1) == sample_rows(1000, 50, 1) != sample_rows(1000, 50, 2)
    assert len(set(sample_rows(1000, 50, 1))) == 50


class InParts(FirstOnly):
    parts = 3

    def segments(self):
        return self.parts

    def merge(self):
        self.parts = 1


def test_segments_are_reported_and_merged_only_when_asked():
    several = measure_recall(ten(InParts), k=2, grid=[ALL])
    assert several.segments == 3
    assert "--merge" in "\n".join(several.lines())
    one = measure_recall(ten(InParts), k=2, grid=[ALL], merge=True)
    assert one.segments == 1
    assert "in 1 segment." in "\n".join(one.lines())
    assert "--merge" not in "\n".join(one.lines())


def test_without_exact_answers_of_its_own_an_index_is_compared_here():
    class NoExact(FirstOnly):
        exact_too = False

    exact, _, five = measure_recall(ten(NoExact), k=2, grid=[ALL, FIVE]).rows
    assert math.isnan(exact.p50)
    assert exact.to_json()["p50"] is None
    assert five.loss.recall[0] == pytest.approx(0.5)


def test_an_exact_index_has_nothing_to_measure():
    with pytest.raises(BadQuery, match=r"loses nothing.*imgsearch copy"):
        measure_recall(ten(LocalIndex, method="exact"))


def test_answers_that_turn_out_exact_are_not_taken_for_approximate_ones():
    with create_index("memory:", new_passport(None, dim=2)) as index:
        index.add([ImageRecord("a"), ImageRecord("b")], np.eye(2, dtype=np.float32))
        with pytest.raises(BadQuery, match=r"no approximate method.*nothing to measure"):
            measure_recall(index, k=1, grid=[ALL])


@pytest.mark.parametrize(("name", "value"), [("k", 0), ("queries", 0)])
def test_senseless_numbers_are_refused(name, value):
    with pytest.raises(BadQuery, match="at least 1"):
        measure_recall(ten(), **{name: value})


def test_numpys_integers_are_numbers():
    two = np.int64(2)
    report = measure_recall(ten(), k=two, queries=two, grid=[Approx(two)], seed=two)
    plain = measure_recall(ten(), k=2, queries=2, grid=[Approx(2)], seed=2)
    assert [row.loss for row in report.rows] == [row.loss for row in plain.rows]
    assert (type(report.k), report.k) == (int, 2)


def test_one_picture_is_too_few():
    with create_index("memory:", new_passport(None, dim=2)) as index:
        index.add([ImageRecord("a")], np.eye(2, dtype=np.float32)[:1])
        with pytest.raises(BadQuery, match="There are 1 pictures"):
            measure_recall(index)


def test_the_default_grid_fits_the_method_and_the_size():
    assert [a.candidates for a in default_grid("permutation-lsh:k=64", 150)] == [20, 50, 100]
    assert {a.probes for a in default_grid("l2-lsh:L=60,k=3,w=2", 9000)} == {0, 1, 3}
    assert {a.probes for a in default_grid("hnsw", 9000)} == {None}
    assert max(a.candidates for a in default_grid("hnsw", 9000)) == 500  # a graph needs no more
    assert max(a.candidates for a in default_grid("cosine-lsh", 9000)) == 5000
    assert default_grid("hnsw", 5) == [Approx(5)]
    assert [a.candidates for a in default_grid("hnsw", 9000, 100)] == [200, 500]
    assert default_grid("hnsw", 9000, 500) == [Approx(9000)]
    assert default_grid("hnsw", 90_000, 500) == [Approx(10_000)]  # the server's limit


def test_no_setting_has_fewer_candidates_than_neighbours():
    with FirstOnly.in_memory(new_passport(None, dim=60, method="first")) as index:
        index.add([ImageRecord(str(i)) for i in range(60)], np.eye(60, dtype=np.float32))
        report = measure_recall(index, k=30, queries=3)
    assert [row.setting.candidates for row in report.rows[1:]] == [50]


def row(recall: float, p50: float, **more) -> Measured:
    triple = (recall, recall - 0.01, recall + 0.01)
    return Measured("m", Approx(100), Loss(triple, triple, (0.02, 0.01, 0.03), 0, 0), p50, 2 * p50, **more)


def report_of(*rows: Measured) -> RecallReport:
    exact = replace(row(1, 9), method="exact", setting=None)
    return RecallReport((exact, *rows), 10, 200, 180, 9000, 1, {"dim": 512})


def test_the_document_is_json_and_holds_every_figure():
    document = json.loads(json.dumps(report_of(row(0.9, 2), row(0.8, 3)).to_json(), allow_nan=False))
    exact, first, second = document["rows"]
    assert exact["method"] == "exact"
    assert exact["candidates"] is None
    assert first["recall"] == {"value": 0.9, "low": pytest.approx(0.89), "high": pytest.approx(0.91)}
    assert (first["candidates"], first["p50"], first["p95"]) == (100, 2, 4)
    assert second["recall"]["value"] == 0.8


def test_the_table_is_aligned_and_shows_predictions_only_when_there_are_some():
    lines = report_of(row(0.9, 2)).lines()
    assert "predicted" not in lines[0]
    assert len({len(line) for line in lines[:3]}) == 1
    assert "0.900 [0.890, 0.910]" in lines[2]
    assert "+0.020" in lines[2]
    with_prediction = report_of(row(0.9, 2, predicted=0.912)).lines()
    assert with_prediction[0].endswith("predicted")
    assert with_prediction[2].endswith("0.912")
    assert not any(line.endswith(" ") for line in with_prediction)


def test_recall_is_drawn_over_the_time_of_each_setting_that_was_timed():
    here = replace(row(1, float("nan")), method="exact", setting=None)  # exact answers the index could not give
    report = RecallReport((here, row(0.9, 2), row(0.8, 1)), 10, 200, 180, 9000, 1, {})
    figure = report.plot()
    ax, below = figure.axes
    (points,) = ax.containers
    assert points[0].get_xydata().tolist() == [[2, 0.9], [1, 0.8]]
    assert (ax.get_ylabel(), ax.get_xscale()) == ("true neighbours found\n(recall@10)", "log")
    assert [y for _, y in below.containers[0][0].get_xydata().tolist()] == [
        -each.loss.lost[0] for each in report.rows[1:]
    ]
    assert "of 2 methods" in figure.alt_text
