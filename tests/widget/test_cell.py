"""The widget in Python: what it searches when a trait is set, what can be observed, and its frozen twin."""

from __future__ import annotations

import io
import re

import pytest

from imgsearch_kit.errors import BadQuery, UnreadableImage
from imgsearch_kit.gallery import Gallery
from tests.small_extractor import QuarterColours, paint

REDS = [f"red/{i}.png" for i in range(4)]


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    """Four reds, each nearer to those of the next number, four blues, and a name that no page may obey."""
    folder = tmp_path_factory.mktemp("widget")
    for i in range(4):
        paint(folder / f"red/{i}.png", (200, 10 * i, 0))
        paint(folder / f"blue/{i}.png", (10 * i, 0, 200))
    paint(folder / "<b>&'\" ${1+1}/x.png", (0, 90, 90))
    return Gallery.from_folder(folder, "memory:", extractor=QuarterColours())


@pytest.fixture
def widget(gallery):
    return gallery.widget()


def test_a_search_from_code_answers_as_the_gallery_does(gallery, widget):
    found = widget.search("red/0.png", k=3)
    assert [hit.id for hit in found.hits] == REDS[1:]
    assert list(widget.hits.id) == REDS[1:]
    assert widget.results is found
    assert list(widget.hits.score) == [hit.score for hit in gallery.search(id="red/0.png", k=3).hits]
    assert (widget.query, widget.error) == ({"id": "red/0.png"}, "")


def test_the_table_has_its_columns_before_the_first_answer_and_without_a_hit(gallery, widget):
    columns = ["rank", "id", "label", "score", "sha256"]
    assert list(widget.hits.columns) == columns
    assert list(gallery.search(id="red/0.png", min_score=0.9999).to_dataframe().columns) == columns


def test_setting_a_trait_searches_once_and_can_be_observed(gallery, widget, monkeypatch):
    asked, told = [], []
    search = gallery.search
    monkeypatch.setattr(gallery, "search", lambda *a, **o: asked.append(o) or search(*a, **o))
    widget.observe(lambda change: told.append(list(change.new.id)), "hits")
    widget.query = {"id": "red/0.png"}
    widget.k = 2
    widget.marks = {"plus": ["red/1.png"], "minus": ["blue/0.png"]}
    widget.classes = ["blue"]
    with widget.hold_trait_notifications():
        widget.query, widget.k = {"id": "blue/0.png"}, 1
    assert [(each["k"], each["plus"], each["labels"]) for each in asked] == [
        (10, [], None),
        (2, [], None),
        (2, ["red/1.png"], None),
        (2, ["red/1.png"], ["blue"]),
        (1, [], ["blue"]),
    ]
    assert told[0][:3] == REDS[1:]
    assert (told[1], told[2], told[4]) == (REDS[1:3], REDS[2:], ["blue/1.png"])
    assert widget.marks == {"plus": [], "minus": []}, "another query has no marks"


@pytest.mark.parametrize("given", ["path", "bytes", "file"])
def test_a_picture_that_is_not_indexed(widget, tmp_path, given):
    path = paint(tmp_path / "mine.png", (200, 4, 0))
    picture = {"path": path, "bytes": path.read_bytes(), "file": io.BytesIO(path.read_bytes())}[given]
    widget.search(picture=picture, k=2)
    assert list(widget.hits.id) == REDS[:2]
    widget.k = 1  # an open file is not read a second time
    assert list(widget.hits.id) == REDS[:1]
    assert widget.query == {"file": "mine.png" if given == "path" else "picture"}


def test_what_the_cell_sends_is_put_together(widget, tmp_path):
    data = paint(tmp_path / "a.png", (10, 0, 200)).read_bytes()
    parts = [data[:50], data[50:60], data[60:]]
    for i, part in enumerate(parts):
        said = {"kind": "picture", "name": "dropped\x1b.png", "part": i, "last": i == 2}
        widget._handle_custom_msg(said, [memoryview(part)])
    assert widget.results.own == ("blue/1.png",)
    assert widget.query == {"file": r"dropped\x1b.png"}


def test_the_map_is_answered_in_the_cell(gallery, widget, monkeypatch):
    sent = []
    monkeypatch.setattr(widget, "send", sent.append)
    questions = ({"kind": "map"}, {"kind": "near", "id": "red/0.png"}, {"kind": "thumbnails", "ids": ["red/1.png", 7]})
    for serial, said in enumerate([*questions, {"kind": "near", "id": "gone"}]):
        widget._handle_custom_msg(said | {"serial": serial}, [])
    points, near, thumbnails, gone = sent
    assert points["points"]["ids"] == [record.id for record in gallery.records()]
    assert (near["near"][:3], len(near["kept"]), near["serial"]) == (REDS[1:], 8, 1)
    assert list(thumbnails["thumbnails"]) == ["red/1.png"]
    assert gone["error"].startswith("The index has no picture with the id 'gone'")


@pytest.mark.parametrize("said", [None, "text", {"kind": "other"}, {"kind": "picture", "last": True}])
def test_a_message_that_is_none_is_passed_over(widget, said):
    widget._handle_custom_msg(said, [])
    assert (widget.query, widget.error) == (None, "")


def test_an_error_is_a_sentence_in_the_cell_and_keeps_the_answer(widget):
    widget.search("red/0.png", k=1)
    with pytest.raises(BadQuery, match="The index has no picture with the id 'gone'"):
        widget.search("gone")
    assert widget.error.startswith("The index has no picture with the id 'gone'")
    assert list(widget.hits.id) == REDS[1:2]
    widget.query = {"file": "never-given.png"}
    assert widget.error.startswith("There is no such picture here. Drop it into the cell")
    widget.search("red/0.png", k=1)
    widget.rank = "pca:999:0.5"
    assert "999" in widget.error
    with pytest.raises(UnreadableImage, match="It is text, not a picture"):
        widget.search(picture=b"only some text")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"k": 51}, "should not be greater than 50"),
        ({"marks": {"some": []}}, "marks"),
        ({"classes": [7]}, "classes"),
        ({"colour": "red"}, "colour is no part of a search"),
        ({"rank": 5}, "rank"),
    ],
)
def test_wrong_options_are_refused(gallery, given, said):
    with pytest.raises(BadQuery, match=re.escape(said)):
        gallery.widget(**given)


def test_a_search_with_a_wrong_value_changes_nothing(widget):
    widget.search("red/0.png", k=2)
    with pytest.raises(BadQuery, match="should not be greater than 50"):
        widget.search("blue/0.png", k=999)
    assert (widget.query, widget.k, list(widget.hits.id)) == ({"id": "red/0.png"}, 2, REDS[1:3])


@pytest.mark.parametrize("query", [{"file": "another.png"}, {}])
def test_a_file_that_was_not_given_is_not_the_one_before(widget, tmp_path, query):
    widget.search(picture=paint(tmp_path / "mine.png", (200, 4, 0)))
    widget.query = query
    assert widget.error.startswith("There is no such picture here")


def test_an_upload_over_the_limit_is_refused_and_its_rest_passed_over(widget, monkeypatch):
    from imgsearch_kit.widget import cell

    monkeypatch.setattr(cell, "LARGEST_UPLOAD", 1_000_000)
    for part in range(3):
        said = {"kind": "picture", "name": "large.jpg", "part": part, "last": part == 2}
        widget._handle_custom_msg(said, [memoryview(bytes(600_000))])
    assert widget.error == "The picture has more than 1 MB."
    assert widget.query is None


def test_either_an_id_or_a_picture(widget):
    for wrong in ({}, {"id": "red/0.png", "picture": b""}):
        with pytest.raises(BadQuery, match="Give either the id of an indexed picture or picture="):
            widget.search(**wrong)


def twin(widget):
    return widget._repr_mimebundle_()[0]["text/html"]


def test_pictures_without_a_class_have_their_names_in_the_frozen_twin(tmp_path):
    for i in range(3):
        paint(tmp_path / f"2024/IMG_{i}.JPG", (200, 40 * i, 0))
    gallery = Gallery.from_folder(tmp_path / "2024", "memory:", extractor=QuarterColours())
    assert gallery.sample(2).rows == [("IMG_0.JPG", "IMG_0.JPG"), ("IMG_1.JPG", "IMG_1.JPG")]
    assert ">IMG_0.JPG<" in twin(gallery.widget())


def test_the_frozen_twin_shows_the_answer_as_plain_html(gallery, widget):
    begun = twin(widget)
    assert begun.count("<img ") == 9
    assert "&lt;b&gt;" in begun
    widget.search("red/0.png", k=8)
    shown = twin(widget)
    assert len(shown) < 100_000
    assert shown.count('src="data:image/webp') == 9
    assert shown.index(">the query<") < shown.index(">1 · ")
    assert not re.search(r"<script|<iframe|<style|<b>|class=", begun + shown)


def test_a_twin_of_many_pictures_stays_below_its_limit(gallery, widget, monkeypatch):
    from imgsearch_kit.widget import frozen

    widget.search("red/0.png", k=8)
    monkeypatch.setattr(frozen, "TWIN_LIMIT", 3000)
    assert len(twin(widget)) < 3000
    assert twin(widget).count("no picture") == 9
