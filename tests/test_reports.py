"""What Jupyter shows of the kit's objects: pictures, passports and failures, as HTML that runs nothing."""

from __future__ import annotations

import ast
import re
from html import escape
from pathlib import Path

import numpy as np
import pytest
from IPython.lib.pretty import pretty

from imgsearch_kit.approximation.over_index import Measured, RecallReport
from imgsearch_kit.approximation.recall import Loss
from imgsearch_kit.approximation.tuning import Proposal, Tuning
from imgsearch_kit.evaluation.comparison import Compared
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.index import create_index, new_passport
from imgsearch_kit.indexing.copy import CopyReport
from imgsearch_kit.indexing.folder import index_folder as run
from imgsearch_kit.indexing.labels import LabelReport
from imgsearch_kit.indexing.report import IndexReport
from imgsearch_kit.inspection.health import examine
from imgsearch_kit.inspection.over_index import calibration, health
from imgsearch_kit.map.over_index import write_map
from imgsearch_kit.records import Approx, Failure, Refused
from imgsearch_kit.reports import Table, number, share
from tests.small_extractor import QuarterColours, paint

KIT = Path(__file__).resolve().parents[1] / "imgsearch_kit"
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def searcher(tmp_path):
    for name, green in (("a", 0), ("b", 40), ("c", 80)):
        paint(tmp_path / "pictures" / HOSTILE / f"{name}.png", (255, green, 0))
    extractor = QuarterColours()
    with create_index("memory:", new_passport(extractor.spec)) as index:
        run(tmp_path / "pictures", index, extractor)
        yield Gallery(index, extractor)


def test_hits_are_a_row_of_thumbnails_with_label_and_score(searcher):
    results = searcher.search(id=f"{HOSTILE}/a.png")
    html = results._repr_html_()
    assert len(re.findall(r'src="data:image/webp;base64,[A-Za-z0-9+/=]{40,}"', html)) == 3  # two hits and the query
    assert f"{results.hits[0].score:.4f}" in html
    assert html.index("the query itself") < html.index(f"1 · {results.hits[0].score:.4f}")


def test_names_cannot_run_anything(searcher):
    shown = searcher.search(id=f"{HOSTILE}/a.png")._repr_html_() + Table([(HOSTILE,)], [HOSTILE], HOSTILE)._repr_html_()
    assert "<img src=x" not in shown
    assert "&lt;img src=x" in shown


def test_an_index_shows_its_passport(searcher):
    html = searcher.index._repr_html_()
    for words in ("quarters, 12-d", "pictures", searcher.passport.uuid):
        assert words in html
    assert searcher.passport.root not in html  # notebooks are shared; the folder's name is enough


def test_a_report_shows_what_was_done_and_what_failed():
    report = IndexReport(added=3, failed=[Failure("bad.jpg", "It is empty", 0, 1.0)], seconds=1.25)
    html = report._repr_html_()
    for words in ("3 added in 1.2 s", "bad.jpg", "It is empty", "1 failed"):
        assert words in html
    assert "failed" not in IndexReport(added=3)._repr_html_()
    assert report.to_dataframe().to_dict("records") == [
        {"path": "bad.jpg", "reason": "It is empty", "size": 0, "mtime": 1.0}
    ]


def test_other_reports_show_what_failed_too(searcher, tmp_path):
    refused = [Refused("a.jpg", "too <large>")]
    (tmp_path / "pictures" / HOSTILE / "a.png").unlink()
    drawn = write_map(searcher.index, tmp_path / "map.html", progress=False)
    for report, figure in (
        (LabelReport(3, 1, refused), "relabelled"),
        (CopyReport(7, refused), "7 records"),
        (drawn, "PCA"),
    ):
        shown, table = report._repr_html_(), report.to_dataframe()
        assert figure in shown
        assert "1 failed" in shown
        assert table["reason"].tolist() == [failure.reason for failure in report.failed]
        assert escape(table["reason"][0]) in shown
    assert "failed" not in CopyReport(7)._repr_html_()


def test_columns_of_numbers_stand_to_the_right_in_text_and_html():
    rows = [("a", 1234, number(0.9, 0.85, 0.95)), ("long name", 7, number(0.12345)), ("unknown", None, number(None))]
    table = Table(rows, ("", "queries", "P@4, 95 %"), "Classes")
    assert table.lines() == [
        "Classes",
        "             queries                P@4, 95 %",
        "  a            1,234  0.9000 [0.8500, 0.9500]",
        "  long name        7                   0.1235",
        "  unknown",
    ]
    html = table._repr_html_()
    assert re.search(r'text-align:left">long name</td>.*text-align:right">7</td>.*text-align:right">0.1235</td>', html)
    assert re.search(r'text-align:right">queries</th>', html)
    assert not re.search(r"<script|<style|color|class=", html)  # any theme, any host


def test_a_share_is_a_bar_with_its_interval_and_chance_in_html_and_a_number_in_text():
    table = Table([("a", share(0.75, 0.5, 0.875, 0.25)), ("b", share(0.5))], ("class", "P@4"), "Classes")
    assert table.lines()[2:] == ["  a      0.7500 [0.5000, 0.8750]", "  b                       0.5000"]
    html = table._repr_html_()
    areas = re.findall(r"left:([\d.]+)%;width:([\d.]+)%", html)
    assert areas == [("0.0", "75.0"), ("50.0", "37.5"), ("25.0", "0.0"), ("0.0", "50.0")]
    assert ">0.7500 [0.5000, 0.8750]<" in html
    assert not re.search(r"<script|<style|class=|#[0-9a-f]{3}", html)  # any theme, any host


def test_ipython_shows_what_print_does():
    report = LabelReport(1, 0, [Refused("a.jpg", "no record has this id")])
    compared = Compared({"queries": {"common": 2, "here": 0, "there": 0}, "micro": {}, "macro": {}})
    for shown in (report, Table([("a", 1)], title="Some"), compared):
        assert pretty(shown) == str(shown)


def test_a_folded_table_is_for_html_alone():
    table = Table([("<a>", 1)], title="All <b>", folded=True)
    assert table.lines() == []
    assert "<details><summary>All &lt;b&gt;</summary><table>" in table._repr_html_()


def test_a_column_with_words_in_it_stands_to_the_left():
    assert Table([("-", 1), (2, 3)]).lines() == ["-  1", "2  3"]
    assert Table([], ("a", "b"), "Nothing").lines() == ["Nothing"]
    assert Table([], ("a", "b"))._repr_html_() == ""


def test_many_failures_are_cut_in_text_and_whole_in_the_document():
    report = LabelReport(1, 0, [Refused(f"{i:03}.jpg", "no record has this id") for i in range(150)])
    lines = report.lines()
    assert lines[:3] == ["1 relabelled, 0 had the label already", "", "150 failed"]
    assert lines[-1] == "  ... and 50 more (--json lists all)"
    assert len(report.to_json()["failed"]) == len(report.to_dataframe()) == 150


def test_failures_look_alike_everywhere():
    refused, failed = Refused("a.jpg", "too large"), Failure("a.jpg", "too large", 3, 1.0)
    for report in (IndexReport(failed=[failed]), LabelReport(failed=[refused]), CopyReport(failed=[refused])):
        assert report.to_json()["failed"] == [{"path": "a.jpg", "reason": "too large"}]
        assert report.lines()[-2:] == ["1 failed", "  a.jpg  too large"]
        assert report.to_dataframe()[["path", "reason"]].values.tolist() == [["a.jpg", "too large"]]


def test_every_result_class_has_all_forms():
    """Nothing renders itself by hand: only what is special in words or in the document is written in a class."""
    by_hand = {"lines", "__str__", "_repr_html_", "to_dataframe"}
    modules = [path for path in KIT.rglob("*.py") if path.name != "reports.py"]
    found = {
        (node.name, member.name)
        for path in modules
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
        for member in node.body
        if isinstance(member, ast.FunctionDef) and member.name in by_hand
    }
    assert found == {
        ("Address", "__str__"),
        ("ServerAddress", "__str__"),
        ("Part", "__str__"),
        ("VectorIndex", "_repr_html_"),
        ("Gallery", "_repr_html_"),
    }


def test_hits_become_a_table(searcher):
    table = searcher.search(id=f"{HOSTILE}/a.png").to_dataframe()
    assert list(table.columns) == ["rank", "id", "label", "score", "sha256"]
    assert table["rank"].tolist() == [1, 2]


def test_a_published_passport_names_the_data_and_not_where_it_lies(searcher, tmp_path):
    published = searcher.passport.published()
    assert published["data"] == ["pictures"]
    assert str(tmp_path) not in str(published)


def test_health_shows_what_was_found_and_is_a_table_of_pictures():
    vectors = np.array([[1, 0, 0], [1, 0, 0], [0.6, 0.8, 0], [0, 0.6, 0.8]], np.float32)
    found = examine([HOSTILE, "b", "c", "d"], vectors, list("xxyy"), ["same", "same", "", ""], k=1)
    html = found._repr_html_()
    assert "&lt;img src=x onerror=alert(1)&gt; = b" in html
    assert "<img" not in html
    assert "P@1" in html
    table = found.to_dataframe().set_index("id")
    assert table["duplicates"].to_dict() == {HOSTILE: 0, "b": 0, "c": -1, "d": -1}
    assert table["occurrence"].sum() == 4  # each of the four has one nearest
    assert table.loc["d", "orphan"]


def test_a_calibration_shows_its_steps_and_is_a_table_of_its_curve(tmp_path):
    for i in range(6):
        paint(tmp_path / f"red/{i}.png", (255, i * 9, 0))
        paint(tmp_path / f"blue/{i}.png", (0, i * 9, 255))
    extractor = QuarterColours()
    with create_index("memory:", new_passport(extractor.spec)) as index:
        run(tmp_path, index, extractor)
        made = calibration(index)
    html = made._repr_html_()
    assert all(escape(cell) in html for cell in made.calibration.tables()[0].columns)
    assert f"{made.held_out.error:.3f}" in html
    table = made.to_dataframe()
    assert table["cosine"].tolist() == made.calibration.grid.tolist()
    assert (table["low"] <= table["probability"]).all()
    assert (table["probability"] <= table["high"]).all()


def test_recall_and_tuning_are_tables_of_settings():
    loss = Loss((0.9, 0.8, 1.0), (0.7, 0.6, 0.8), (0.1, 0.0, 0.2), 0, 0)
    row = Measured("hnsw:m=16", Approx(candidates=50), loss, 1.25, 2.5)
    recall = RecallReport((row,), 10, 5, 5, 100, None, {})
    tuning = Tuning(0.9, 10, 5, 100, 100, 3, (Proposal("hnsw", Approx(candidates=50), 0.95, 1.0, row, row),))
    for report in (recall, tuning):
        assert "hnsw" in report._repr_html_()
    assert recall.to_dataframe()[["recall value", "recall low", "p50"]].values.tolist() == [[0.9, 0.8, 1.25]]
    assert tuning.to_dataframe()[["predicted", "measured recall value"]].values.tolist() == [[0.95, 0.9]]


@pytest.mark.parametrize(("call", "name"), [(health, "examining"), (calibration, "calibrating")])
def test_long_calls_report_their_progress_where_it_can_be_seen(searcher, tmp_path, capsys, call, name):
    paint(tmp_path / "pictures" / "more" / "d.png", (0, 0, 255))
    run(tmp_path / "pictures", searcher.index, QuarterColours(), progress=False)
    capsys.readouterr()
    call(searcher.index, progress=True)
    assert re.search(rf"{name}: +100%", capsys.readouterr().err)
    call(searcher.index, seed=1) if call is calibration else call(searcher.index)
    assert capsys.readouterr().err == ""
