"""The pictures to begin with, on colours whose centres a person can name."""

from __future__ import annotations

import pytest

from imgsearch_kit.app.tiles import Shown, typical_pictures
from imgsearch_kit.indexing.folder import index_folder
from tests.app.conftest import make_gallery
from tests.small_extractor import QuarterColours, paint


@pytest.fixture
def folder(tmp_path):
    """Thirty classes, each of two reds, and between them a third that is the largest file of none."""
    for i in range(30):
        for name, green, size in (("a", 0, (300, 300)), ("middle", 60, (16, 16)), ("z", 120, (16, 16))):
            paint(tmp_path / f"class-{i:02}" / f"{name}.png", (200, green, i), size)
    return tmp_path


def test_each_class_is_shown_by_the_picture_at_its_centre(folder):
    found = typical_pictures(make_gallery(folder), 15)
    assert [record.id for record in found] == [f"class-{i:02}/middle.png" for i in range(0, 30, 2)]


def test_few_classes_have_several_pictures_each(tmp_path):
    for i in range(20):
        paint(tmp_path / f"red/{i:02}.png", (200, 10 * i, 0))
        paint(tmp_path / f"blue/{i:02}.png", (10 * i, 0, 200))
    labels = [record.label for record in typical_pictures(make_gallery(tmp_path), 12)]
    assert labels == ["blue"] * 6 + ["red"] * 6


def test_without_classes_each_group_of_vectors_is_shown(tmp_path):
    for i in range(12):  # many reds, and three of other colours, which a choice by name would miss
        paint(tmp_path / f"{i:02}.png", (200, i, 0))
    for name, colour in (("m1", (0, 200, 0)), ("m2", (0, 0, 200)), ("m3", (200, 200, 200))):
        paint(tmp_path / f"0{name}.png", colour)
    found = [record.id for record in typical_pictures(make_gallery(tmp_path), 4)]
    assert {"0m1.png", "0m2.png", "0m3.png"} < set(found)


def test_they_follow_the_index_and_an_empty_one_has_none(tmp_path):
    paint(tmp_path / "red/0.png", (200, 0, 0))
    gallery = make_gallery(tmp_path)
    shown = Shown(gallery)
    assert [record.id for record in shown.now()[1]] == ["red/0.png"]
    (tmp_path / "red/0.png").unlink()
    paint(tmp_path / "blue/0.png", (0, 0, 200))
    index_folder(tmp_path, gallery.index, QuarterColours(), prune=True, progress=False)
    assert [record.id for record in shown.now()[1]] == ["blue/0.png"]
    gallery.index.delete(["blue/0.png"])
    assert shown.now() == ([], [])
