"""The evaluation as a document, as text, and against an earlier one."""

import json
import re

import numpy as np
import pytest
from scipy.sparse import csr_array

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.evaluation.metrics import score_queries
from imgsearch_kit.evaluation.mistakes import confusion, hardest_pairs, worst_queries
from imgsearch_kit.evaluation.report import Evaluation

LABELS = ["cat", "dog", "owl"]
GALLERY = ["cat/a", "cat/b", "dog/a", "dog/b", "owl/a"]
CLASSES = np.array([0, 0, 1, 1, 2])
# Each row's order: cat/a finds its cat; cat/b the owl, then its cat; dog/a two cats first; dog/b its dog
SCORES = [
    [1.0, 0.9, 0.3, 0.2, 0.1],
    [0.8, 1.0, 0.2, 0.1, 0.9],
    [0.9, 0.8, 1.0, 0.7, 0.1],
    [0.1, 0.2, 0.9, 1.0, 0.3],
]


def evaluation(scores=SCORES, rows=(0, 1, 2, 3), ks=(1, 2), **about):
    rows = list(rows)
    table = np.array(scores, np.float32)[rows]
    junk = csr_array(np.eye(5, dtype=bool)[rows])
    scored = score_queries(lambda block: table[block].copy(), CLASSES[rows], CLASSES, junk, ks)
    names = [GALLERY[row] for row in rows]
    return Evaluation(names, GALLERY, LABELS, CLASSES[rows], CLASSES, scored, ks, about)


def test_the_confusion_matrix_counts_the_classes_of_the_first_places():
    assert confusion(evaluation(), k=1).tolist() == [[1, 0, 1], [1, 1, 0]]
    assert confusion(evaluation(), k=2).tolist() == [[2, 1, 1], [2, 1, 1]]
    with pytest.raises(BadQuery, match="The first 2 places were kept; k is 3"):
        confusion(evaluation(), k=3)


def test_the_hardest_pairs_come_by_share_without_the_class_itself():
    pairs = [(p.query, p.retrieved, p.share) for p in hardest_pairs(evaluation(), k=2)]
    assert pairs == [("dog", "cat", 0.5), ("cat", "dog", 0.25), ("cat", "owl", 0.25), ("dog", "owl", 0.25)]
    assert len(hardest_pairs(evaluation(), k=2, count=1)) == 1


def test_the_worst_queries_come_with_what_they_found():
    worst = worst_queries(evaluation(), count=2)
    assert [(q.id, q.label, round(q.value, 3)) for q in worst] == [("dog/a", "dog", 0.333), ("cat/b", "cat", 0.5)]
    assert [(hit.rank, hit.id, hit.label) for hit in worst[0].hits] == [(1, "cat/a", "cat"), (2, "cat/b", "cat")]
    assert worst[0].hits[0].score == pytest.approx(0.9)
    assert worst_queries(evaluation(), measure="first-hit rank")[0].value == 3
    with pytest.raises(BadQuery, match="no measure 'AP'"):
        worst_queries(evaluation(), measure="AP")


def test_single_queries_have_null_bounds_in_the_document():
    document = evaluation(rows=(0, 2)).to_json()
    assert document["per_class"]["cat"]["P@1"] == {"value": 1.0, "low": None, "high": None}
    json.dumps(document, allow_nan=False)


def test_the_text_shows_means_bounds_chance_and_the_classes_at_both_ends():
    found = evaluation(skipped_lone=1, unlabelled=0, excluded=467)
    lines, text = found.lines(), "\n".join(map(str, found.tables(measure="P@1", shown=1)))
    assert lines[0] == (
        "4 queries of 2 classes against 5 pictures; left out: 1 alone in their class, 467 of an excluded label"
    )
    row = next(line.split() for line in lines if line.startswith("P@1"))
    assert row[1] == "0.5000"
    assert row[-1] == "0.2500"  # one of the four others is right
    assert re.search(r"Worst classes by P@1\n  class .* queries\n  cat .* 2\n", text)
    assert re.search(r"Best classes by P@1\n  class .* queries\n  dog .* 2$", text)
    assert "with a tie" not in str(found)


def test_jupyter_shows_the_means_and_a_row_a_class():
    shown = evaluation(excluded=467)._repr_html_()
    assert "4 queries of 2 classes against 5 pictures; left out: 467 of an excluded label" in shown
    assert "0.5000 [0.0000, 1.0000]" in shown  # P@1: one cat and one dog found their class
    table = evaluation().to_dataframe().set_index("class")
    assert table.index.tolist() == ["cat", "dog"]
    assert table.loc["cat", ["queries", "P@2", "P@2 chance"]].tolist() == [2, 0.5, 0.25]
    assert table.loc["dog", "P@1 low"] == 0


def test_jupyter_says_what_the_text_says_of_ties_and_of_figures_that_flatter():
    tied = [[1.0, 0.5, 0.5, 0.2, 0.1], *SCORES[1:]]
    shown = evaluation(tied, note="These figures <flatter>.")._repr_html_()
    assert "<p>These figures &lt;flatter&gt;.</p>" in shown
    assert "between a right and a wrong picture: 1" in shown
    assert "wrong picture" not in evaluation()._repr_html_()


def test_the_text_says_when_ties_could_matter():
    tied = [[1.0, 0.5, 0.5, 0.2, 0.1], *SCORES[1:]]
    assert "Queries with a tie, broken by id, between a right and a wrong picture: 1" in evaluation(tied).lines()


def test_a_comparison_is_paired_by_query():
    better = [*SCORES[:2], [0.1, 0.2, 1.0, 0.9, 0.3], SCORES[3]]  # dog/a now finds its dog first
    earlier = json.loads(json.dumps(evaluation().to_json(per_query=True)))
    found = evaluation(better).against(earlier)
    assert evaluation(better).against(evaluation()) == found
    assert found["queries"] == {"common": 4, "here": 0, "there": 0}
    assert found["micro"]["P@1"]["difference"] == 1 / 4
    assert found["micro"]["mAP"]["difference"] == pytest.approx((2 / 3) / 4, abs=1e-6)
    assert found["macro"]["P@1"]["difference"] == 1 / 4
    assert found["micro"]["P@1"]["p"] == 1  # one query differs: either sign is as large
    text = found.lines()
    assert text[0] == "Difference over 4 queries in common"
    assert text[3].split()[:2] == ["P@1", "+0.2500"]


def test_an_evaluation_does_not_differ_from_itself():
    found = evaluation().against(evaluation().to_json(per_query=True))
    assert all(row["difference"] == row["low"] == row["high"] == 0 and row["p"] == 1 for row in found["micro"].values())


def test_a_comparison_takes_only_queries_and_measures_of_both():
    earlier = evaluation(rows=(0, 2), ks=(1,)).to_json(per_query=True)
    found = evaluation(rows=(1, 2, 3)).against(earlier)
    assert found["queries"] == {"common": 1, "here": 2, "there": 1}
    assert "P@1" in found["micro"]
    assert "P@2" not in found["micro"]
    assert found.lines()[0] == "Difference over 1 queries in common (2 only here, 1 only there)"


@pytest.mark.parametrize(
    ("per_query", "message"),
    [
        ([1, 2], "no per-query values"),
        ({"ids": ["cat/a"]}, "no per-query values"),
        ({"ids": ["cat/a"], "values": {"P@1": ["one"]}}, "no per-query values"),
        ({"ids": ["cat/a", "cat/b"], "values": {"P@1": [0.5]}}, "2 different queries, and not one value of P@1"),
        ({"ids": ["cat/a", "cat/a"], "values": {"P@1": [0.5, 1]}}, "1 different queries, and not one value of P@1"),
    ],
)
def test_a_comparison_with_a_file_that_no_evaluation_wrote_is_refused(per_query, message):
    with pytest.raises(BadQuery, match=message):
        evaluation().against({"per_query": per_query})


def test_jupyter_shows_a_comparison_as_a_row_a_measure():
    found = evaluation().against(evaluation(rows=(0, 2)).to_json(per_query=True))
    assert found.title() in found._repr_html_()
    assert "+0.0000" in found._repr_html_()
    table = found.to_dataframe().set_index("measure")
    assert table.loc["P@1", ["micro difference", "macro p"]].tolist() == [0, 1]
    assert list(table.columns[:4]) == ["micro difference", "micro low", "micro high", "micro p"]
    assert json.loads(json.dumps(found)) == found


def test_a_comparison_without_anything_in_common_is_refused():
    with pytest.raises(BadQuery, match="has no per-query values"):
        evaluation().against(evaluation().to_json())
    with pytest.raises(BadQuery, match="share 0 queries"):
        evaluation(rows=(0,)).against(evaluation(rows=(2,)).to_json(per_query=True))
