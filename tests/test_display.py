"""What Jupyter shows of the kit's objects: pictures, passports and failures, as HTML that runs nothing."""

from __future__ import annotations

import re

import pytest

from imgsearch_kit import display
from imgsearch_kit.index import create_index, new_passport
from imgsearch_kit.pipeline.indexing import IndexReport
from imgsearch_kit.pipeline.indexing import index_folder as run
from imgsearch_kit.pipeline.searching import Searcher
from imgsearch_kit.records import Failure
from tests.small_extractor import QuarterColours, paint

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def searcher(tmp_path):
    for name, green in (("a", 0), ("b", 40), ("c", 80)):
        paint(tmp_path / "pictures" / HOSTILE / f"{name}.png", (255, green, 0))
    extractor = QuarterColours()
    with create_index("memory:", new_passport(extractor.spec)) as index:
        run(tmp_path / "pictures", index, extractor)
        yield Searcher(index, extractor)


def test_hits_are_a_row_of_thumbnails_with_label_and_score(searcher):
    results = searcher.search(id=f"{HOSTILE}/a.png")
    html = results._repr_html_()
    assert len(re.findall(r'src="data:image/webp;base64,[A-Za-z0-9+/=]{40,}"', html)) == 3  # two hits and the query
    assert f"{results.hits[0].score:.4f}" in html
    assert html.index("the query itself") < html.index("1. ")


def test_names_cannot_run_anything(searcher):
    shown = searcher.search(id=f"{HOSTILE}/a.png")._repr_html_() + display.table(["x"], [(HOSTILE,)], HOSTILE)
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
    for words in ("added", ">3<", "bad.jpg", "It is empty", "1 failed"):
        assert words in html
    assert "failed" not in IndexReport(added=3)._repr_html_()
    assert report.to_dataframe().to_dict("records") == [
        {"path": "bad.jpg", "reason": "It is empty", "size": 0, "mtime": 1.0}
    ]


def test_hits_become_a_table(searcher):
    table = searcher.search(id=f"{HOSTILE}/a.png").to_dataframe()
    assert list(table.columns) == ["rank", "id", "label", "score", "sha256"]
    assert table["rank"].tolist() == [1, 2]


def test_a_published_passport_names_the_data_and_not_where_it_lies(searcher, tmp_path):
    published = searcher.passport.published()
    assert published["data"] == ["pictures"]
    assert str(tmp_path) not in str(published)
