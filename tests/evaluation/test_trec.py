"""Written runs and qrels give another tool the same values, ties and spaces in names included."""

import ir_measures
import numpy as np
import pytest
from scipy.sparse import csr_array

from imgsearch_kit.evaluation.metrics import score_queries
from imgsearch_kit.evaluation.trec import qrels_lines, run_lines, trec_id


def test_lines_have_the_columns_that_trec_eval_reads():
    scores = np.array([[0.9, 0.5, 0.5, 0.1]], np.float32)
    junk = csr_array(np.array([[True, False, False, False]]))
    gallery = ["cats/1", "cats/two words", "dogs/1", "dogs/2"]
    run = run_lines(lambda rows: scores[rows].copy(), ["cats/1"], gallery, junk, depth=2)
    assert list(run) == ["cats/1 Q0 cats/two%20words 1 2 imgsearch\n", "cats/1 Q0 dogs/1 2 1 imgsearch\n"]
    classes = np.array([0, 0, 1, 1])
    assert list(qrels_lines(["cats/1"], gallery, classes[:1], classes, junk)) == ["cats/1 0 cats/two%20words 1\n"]


def test_ids_keep_one_column_and_stay_apart():
    assert trec_id("a\tb c.jpg") == "a%09b%20c.jpg"
    assert trec_id("a%20b") != trec_id("a b")
    assert trec_id("Fußball/ü.jpg") == "Fußball/ü.jpg"


def test_another_tool_reads_the_same_values(tmp_path):
    rng = np.random.default_rng(2)
    scores = (rng.integers(-3, 4, (30, 50)) / 4).astype(np.float32)  # many ties
    query_classes, gallery_classes = rng.integers(4, size=30), rng.integers(4, size=50)
    junk = csr_array(rng.random((30, 50)) < 0.1)
    queries, gallery = [f"q {i:02d}" for i in range(30)], [f"g {i:02d}" for i in range(50)]

    def score(rows):
        return scores[rows].copy()

    run, qrels = tmp_path / "run.txt", tmp_path / "qrels.txt"
    run.write_text("".join(run_lines(score, queries, gallery, junk)))
    qrels.write_text("".join(qrels_lines(queries, gallery, query_classes, gallery_classes, junk)))
    ours = score_queries(score, query_classes, gallery_classes, junk, (5,))
    names = {ir_measures.AP: "mAP", ir_measures.P @ 5: "P@5", ir_measures.nDCG @ 5: "nDCG@5"}
    read = ir_measures.read_trec_qrels(str(qrels)), ir_measures.read_trec_run(str(run))
    found = list(ir_measures.iter_calc(list(names), *read))
    assert len(found) == 3 * 30
    for metric in found:
        row = queries.index(metric.query_id.replace("%20", " "))
        assert metric.value == pytest.approx(ours.values[names[metric.measure]][row], abs=1e-9)
