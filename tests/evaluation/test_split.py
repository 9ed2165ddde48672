"""Split files: which picture a line stands for, and what is refused."""

import pytest

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.evaluation.split import read_split

IDS = ["1.jpg", "cats/1.jpg", "cats/two words.jpg", "more/cats/1.jpg"]


def write(tmp_path, text):
    path = tmp_path / "split.txt"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_path_stands_for_the_longest_id_it_ends_in(tmp_path):
    split = write(tmp_path, "data/more/cats/1.jpg 0\n\nx/cats/1.jpg 1\ncats/two words.jpg 1\ndogs/1.jpg 0\r\n")
    query, gallery = read_split(split, IDS)
    assert [IDS[row] for row in query] == ["1.jpg", "more/cats/1.jpg"]
    assert [IDS[row] for row in gallery] == ["cats/1.jpg", "cats/two words.jpg"]


def test_folder_names_count_whole(tmp_path):
    with pytest.raises(BadQuery, match="1 match no picture of the index: line 1: 'x/copycats/2"):
        read_split(write(tmp_path, "x/copycats/2.jpg 0\n"), ["cats/2.jpg"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a/cats/1.jpg 0\nb/cats/1.jpg 1\n",
            r"1 ids have several lines: 'cats/1.jpg' \(line 1: .*; line 2: ",
        ),
        ("cats/1.jpg\n", "1 are not a path and 0 or 1: line 1: 'cats/1.jpg'"),
        ("cats/1.jpg 2\n", "1 are not a path and 0 or 1"),
        ("".join(f"{i}.png 0\n" for i in range(5)), "5 match no picture of the index: .*and 2 more"),
        ("cats/1.jpg 0\n", "names 1 queries and 0 gallery pictures"),
    ],
)
def test_what_a_split_cannot_mean_is_refused(tmp_path, text, message):
    with pytest.raises(BadQuery, match=message):
        read_split(write(tmp_path, text), IDS)


def test_a_missing_or_binary_file_is_refused(tmp_path):
    with pytest.raises(BadQuery, match="cannot be read"):
        read_split(tmp_path / "none.txt", IDS)
    (tmp_path / "split.txt").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(BadQuery, match="cannot be read"):
        read_split(tmp_path / "split.txt", IDS)


def test_any_white_space_stands_before_the_role(tmp_path):
    path = tmp_path / "split.txt"
    path.write_text("data/a cat.jpg\t0\nb.jpg   1\n\n", encoding="utf-8")
    query, gallery = read_split(path, ["a cat.jpg", "b.jpg"])
    assert (query.tolist(), gallery.tolist()) == ([0], [1])
