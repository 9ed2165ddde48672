"""Labels from folder levels, and classes that cannot be meant."""

from __future__ import annotations

import pytest

from imgsearch_kit.classes import check_level, doubts, folder_label, folders_of
from imgsearch_kit.errors import BadQuery


@pytest.mark.parametrize(
    ("level", "labels"),
    [
        (-1, ["b", "a", None, "ü"]),
        (1, ["a", "a", None, "ü"]),
        (2, ["b", None, None, None]),
        (-2, ["a", None, None, None]),
        (3, [None] * 4),
        (-3, [None] * 4),
    ],
)
def test_a_level_counts_from_the_root_or_from_the_file_and_gives_none_where_a_path_does_not_reach(level, labels):
    assert [folder_label(id_, level=level) for id_ in ("a/b/1.jpg", "a/1.jpg", "1.jpg", "u\u0308/1.jpg")] == labels
    assert [folder_label(f"may/x/{id_}", "may/x", level) for id_ in ("a/b/1.jpg", "a/1.jpg", "1.jpg")] == labels[:3]


@pytest.mark.parametrize("level", [0, True, 1.0, "1"])
def test_a_level_that_is_no_folder_is_refused(level):
    with pytest.raises(BadQuery, match="label level must be a whole number"):
        check_level(level)


def pictures(*folders, each=3, level=-1):
    """So many pictures in each folder, with the labels of a level."""
    ids = [f"{folder}/{i}.jpg" for folder in folders for i in range(each)]
    return [(folders_of(id_), folder_label(id_, level=level)) for id_ in ids]


@pytest.mark.parametrize(
    ("folders", "options", "words", "level"),
    [
        (["cats/images", "dogs/images"], {}, "All 6 labelled pictures have the label 'images'", 1),
        (["all/cats", "all/dogs"], {"level": 1}, "All 6 labelled pictures have the label 'all'", 2),
        (["d/train/cats/img", "d/test/dogs/img"], {}, "the label 'img'", 3),
        (["a/cats/img", "dogs/img"], {}, "the label 'img'", -2),
        (["cats", "dogs"], {"level": 3}, "No picture has a label", 1),
        (["cats/1", "cats/2", "dogs/3", "dogs/4"], {"each": 1}, "4 of 4 labelled pictures are alone", 1),
        (["1", "2", "3"], {"each": 1}, "3 of 3 labelled pictures are alone", None),
        (["cats/2024", "dogs/2024", "dogs/2023"], {}, "like dates: 2 of 2 ('2023', '2024')", 1),
        (["2024-05-17", "2024-05-18"], {}, "like dates: 2 of 2", None),
        (["cats", "dogs", "2024_05"], {}, "like dates: 1 of 3 ('2024_05'), with 3 of 9", None),
        (["cats", "2024.05.17"], {}, "like dates", None),
        (["cats", "17.05.2024"], {}, "like dates", None),
        (["cats/20240517", "dogs/20240518"], {}, "like dates", 1),
        (["cats/202405", "dogs/202406"], {}, "like dates", 1),
        (["2024/05/17", "2024/05/18", "2024/06/01"], {}, "like dates: 3 of 3", None),
        (["cats/2024/05", "dogs/2024/06"], {}, "like dates: 2 of 2 ('05', '06')", 1),
        (["cats/1024x768", "dogs/1024x768", "dogs/640x480"], {}, "like picture sizes: 2 of 2", 1),
        (["cats/640", "dogs/1280"], {}, "like picture sizes", 1),
        (["cats/256px", "dogs/512px"], {}, "like picture sizes", 1),
        (["cats/thumbs", "dogs/originals"], {}, "All classes are sizes ('originals', 'thumbs')", 1),
        (["cats/Small", "dogs/Thumbnails"], {}, "All classes are sizes", 1),
        (["train", "test"], {}, "The classes are the parts of a split ('test', 'train')", None),
        (["cats/train", "dogs/train", "dogs/val"], {}, "parts of a split", 1),
    ],
)
def test_classes_that_cannot_be_meant_are_told_with_the_command_to_type(folders, options, words, level):
    (said,) = doubts(pictures(*folders, **options))
    assert words in said
    assert ("imgsearch label CSV" in said) == (level is None)
    assert (f"imgsearch index FOLDER --label-level {level} " in said) == (level is not None)


@pytest.mark.parametrize(
    "folders",
    [
        ["cats", "dogs"],
        ["only"],
        ["a/b/only"],
        [str(digit) for digit in range(10)],
        [str(number) for number in range(1, 2100)],
        [str(number) for number in range(20240501, 20240540)],
        ["10", "20", "50", "100", "200", "500", "2000"],
        ["train/cats", "train/dogs", "test/cats", "test/dogs"],
        ["set1/small", "set1/large", "set2/small"],
        ["small", "medium", "large"],
        ["fonts/4x4", "fonts/3x3"],
        ["001.ak47", "002.american-flag"],
        ["Ford 2012", "Audi 2011"],
        ["2024-13-45", "19999"],
        ["0800", "0900"],
    ],
    ids=lambda folders: folders[0],
)
def test_sound_classes_are_not_doubted(folders):
    assert doubts(pictures(*folders)) == []


def test_few_pictures_and_pictures_without_folders_are_not_doubted():
    assert doubts([]) == []
    assert doubts([((), None)] * 9) == []
    assert doubts(pictures("cats", "dogs", each=1)) == []


def test_labels_that_the_user_gave_get_no_advice_on_folders():
    given = [(("cats", "x"), f"class {i}") for i in range(5)] + [(("dogs", "x"), "class 5")]
    (said,) = doubts(given)
    assert "6 of 6 labelled pictures are alone" in said
    assert "label CSV" in said
    assert doubts([(("cats",), "one"), (("dogs",), "one")]) == []
