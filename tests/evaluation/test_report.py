"""The evaluation as a document, as text, and against an earlier one."""

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.evaluation.metrics import score_queries
from imgsearch_kit.evaluation.mistakes import worst_queries
from imgsearch_kit.evaluation.report import Evaluation

ROOT = Path(__file__).resolve().parents[2]
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
    assert evaluation().confusion(1).counts.tolist() == [[1, 0, 1], [1, 1, 0]]
    assert evaluation().confusion(2).counts.tolist() == [[2, 1, 1], [2, 1, 1]]
    with pytest.raises(BadQuery, match="k must be between 1 and 2; it is 3"):
        evaluation().confusion(3)


def test_the_hardest_pairs_come_by_share_without_the_class_itself():
    pairs = [(p.query, p.retrieved, p.share) for p in evaluation().hardest_pairs(2)]
    assert pairs == [("dog", "cat", 0.5), ("cat", "dog", 0.25), ("cat", "owl", 0.25), ("dog", "owl", 0.25)]
    assert len(evaluation().hardest_pairs(2, count=1)) == 1


def test_the_classes_come_worst_first_with_all_of_them_in_a_folded_table():
    found = evaluation().per_class("P@1", shown=1)
    values = {row["class"]: row["P@1"][""] for row in evaluation().frame()}
    assert [each.value for each in found.classes] == sorted(values.values())
    assert {each.label: each.value for each in found.classes} == values
    assert [table.title for table in found.tables()][:2] == ["Worst classes by P@1", "Best classes by P@1"]
    assert [len(table.rows) for table in found.tables()[:2]] == [1, 1]
    assert found._repr_html_().count("<details>") == (len(values) > 2)
    assert "position:absolute" not in evaluation().per_class("first-hit rank")._repr_html_(), "it is no share"
    with pytest.raises(BadQuery, match="There is no measure 'AP'"):
        evaluation().per_class("AP")


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


def test_jupyter_says_what_the_text_says_of_ties_and_of_optimistic_figures():
    tied = [[1.0, 0.5, 0.5, 0.2, 0.1], *SCORES[1:]]
    shown = evaluation(tied, note="These figures are <optimistic>.")._repr_html_()
    assert "<p>These figures are &lt;optimistic&gt;.</p>" in shown
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
        (
            {"ids": ["cat/a", "cat/b"], "values": {"P@1": [0.5]}},
            "2 different queries, but another number of values of P@1",
        ),
        (
            {"ids": ["cat/a", "cat/a"], "values": {"P@1": [0.5, 1]}},
            "1 different queries, but another number of values of P@1",
        ),
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


def test_an_evaluation_draws_its_classes_its_mean_and_chance():
    figure = evaluation().plot("P@1")
    (ax,) = figure.axes
    assert [label.get_text() for label in ax.get_yticklabels()] == ["cat", "dog"]  # equal, so in order
    assert ax.get_xlabel() == "P@1"
    assert [bar.get_width() for bar in ax.patches[:2]] == [0.5, 0.5]
    assert figure.alt_text.endswith("over all queries 0.500.")
    assert evaluation().plot().axes[0].get_xlabel() == "P@2"  # the middle k
    for wrong in ("P@3", "first-hit rank"):
        with pytest.raises(
            BadQuery, match=f"'{wrong}' cannot be plotted as bars. Choose one of: P@1, P@2, R-precision"
        ):
            evaluation().plot(wrong)


def test_the_confusion_shows_its_hardest_pairs_and_draws_all():
    found = evaluation().confusion(2)
    assert found.lines()[0] == "Classes found for another class's queries, with their share of the first 2 places"
    assert found.lines()[3].split() == ["dog", "cat", "0.5000"]
    assert found.to_dataframe().set_index("class").loc["dog"].tolist() == [0.5, 0.25, 0.25]
    (ax, _) = found.plot().axes
    assert ax.images[0].get_array().tolist() == found.shares.tolist()
    assert [label.get_text() for label in ax.get_xticklabels()] == LABELS


def test_the_worst_queries_are_shown_with_pictures_where_there_are_some(tmp_path):
    for name in GALLERY:
        (tmp_path / name.replace("/", "-")).write_bytes(name.encode())
    plain = evaluation()
    pictured = dataclasses.replace(plain, picture=lambda id_: tmp_path / id_.replace("/", "-"))
    shown = pictured.worst(1)._repr_html_()
    assert shown.count('<img src="data:image/webp;base64,') == 3  # the query and two hits
    assert "1 · 0.9000 · wrong · cat" in shown
    assert "<img" not in plain.worst(1)._repr_html_()
    assert plain.worst(1).lines() == [
        "dog/a: mAP 0.3333",
        "  query                 dog  dog/a",
        "  1      0.9000  wrong  cat  cat/a",
        "  2      0.8000  wrong  cat  cat/b",
    ]
    table = plain.worst(2).to_dataframe()
    assert table[["query", "id"]].values.tolist()[:2] == [["dog/a", "cat/a"], ["dog/a", "cat/b"]]


def test_an_evaluation_needs_matplotlib_only_to_draw():
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from tests.evaluation.test_report import evaluation\n"
        "found = evaluation(); print(found); found.plot()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.stdout.startswith("4 queries of 2 classes")
    assert "MissingExtra: matplotlib is not installed" in done.stderr
