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


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize(
    "text",
    [
        "cats/1.jpg 0\ncats/a, b.jpg 1\nMöwen/1.jpg 1\n",
        "cats/1.jpg\t0\r\ncats/a, b.jpg\t1\r\nMöwen/1.jpg\t1\r\n",
        'cats/1.jpg\t0\r\n"cats/a, b.jpg"\t1\r\nMöwen/1.jpg\t1\r\n',
        'cats/1.jpg,0\n"cats/a, b.jpg",1\nMöwen/1.jpg,1\n',
        'cats/1.jpg, 0\n"cats/a, b.jpg", 1\nMöwen/1.jpg, 1\n',
        "cats/1.jpg;0\r\ncats/a, b.jpg;1\r\n\r\nMöwen/1.jpg;1\r\n",
        "sep=;\r\ncats/1.jpg;0\r\ncats/a, b.jpg;1\r\nMöwen/1.jpg;1\r\n",
        "sep=|\npath|role\ncats/1.jpg|0\ncats/a, b.jpg|1\nMöwen/1.jpg|1\n",
        "cats/1.jpg query\ncats/a, b.jpg gallery\nMöwen/1.jpg gallery\n",
        'path,role\ncats/1.jpg,Query\n"cats/a, b.jpg",GALLERY\nMöwen/1.jpg, gallery \n',
        "cats/1.jpg;query\ncats/a, b.jpg;1\nMöwen/1.jpg;Gallery\n",
        '"sep=;"\r\ncats/1.jpg;0\r\ncats/a, b.jpg;1\r\nMöwen/1.jpg;1\r\n',
        'path,role\ncats/1.jpg,0\n"cats/a, b.jpg",1\nMöwen/1.jpg,1\n',
        "Split ; Path\n0;cats/1.jpg\n1;cats/a, b.jpg\n1;Möwen/1.jpg\n",
        'id,label,split,sha256\ncats/1.jpg,cats,0,00\n"cats/a, b.jpg",,1,00\nMöwen/1.jpg,,1,00\n',
        "path role\ncats/1.jpg 0\ncats/a, b.jpg 1\nMöwen/1.jpg 1\n",
        "D:\\data\\cats\\1.jpg 0\r\n.\\cats\\a, b.jpg 1\r\nMöwen\\1.jpg 1\r\n",
        "./cats/1.jpg 0\nx//cats/a, b.jpg 1\nMöwen/1.jpg 1",
    ],
)
def test_a_split_as_other_programs_write_it(tmp_path, text, encoding):
    path, ids = tmp_path / "split.txt", ["1.jpg", "Möwen/1.jpg", "cats/1.jpg", "cats/a, b.jpg"]
    path.write_bytes(text.encode(encoding))
    query, gallery = read_split(path, ids)
    assert ([ids[row] for row in query], [ids[row] for row in gallery]) == (["cats/1.jpg"], ["Möwen/1.jpg", ids[3]])


def test_a_name_with_a_backslash_or_a_quote_is_found_as_it_is(tmp_path):
    ids = ["a\\b.jpg", '"c" d.jpg']
    query, gallery = read_split(write(tmp_path, 'a\\b.jpg 0\n"c" d.jpg 1\n'), ids)
    assert (query.tolist(), gallery.tolist()) == ([0], [1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a/cats/1.jpg 0\nb/cats/1.jpg 1\n",
            r"1 ids have several lines: 'cats/1.jpg' \(line 1: .*; line 2: ",
        ),
        ("cats/1.jpg,0\ncats/two words.jpg\n1.jpg,1\n", "1 are not a path and 0 or 1: line 2: 'cats/two words.jpg'"),
        ("cats/1.jpg;0\ncats/two, words.jpg;1;x\n1.jpg;1\n", "1 are not .*: line 2: 'cats/two, words.jpg, 1, x'"),
        ("path,label,split\n1.jpg,a,0\ncats/1.jpg,1\n", "1 are not a path and 0 or 1: line 3: 'cats/1.jpg, 1'"),
        ("path,role\n1.jpg,0\n,1\n", "1 are not a path and 0 or 1: line 3: ', 1'"),
        ("sep=;\n1.jpg;0\ncats/1.jpg\n", "1 are not a path and 0 or 1: line 3"),
        ("file,part\n1.jpg,0\ncats/1.jpg,1\n", "1 are not a path and 0 or 1: line 1: 'file, part'"),
        ("1.jpg,0\n1.jpg,1\n", r"1 ids have several lines: '1.jpg' \(line 1: .*; line 2: "),
        ("x\\cats\\1.jpg,0\ny\\cats\\1.jpg,1\n", r"1 ids have several lines: 'cats/1.jpg' \(line 1: .*; line 2: "),
        ("path,role,path\n1.jpg,0,x\n", "line 1: the head has the column 'path' twice. Keep one"),
        ("path;Split;SPLIT\n1.jpg;0;1\n", "line 1: the head has the column 'split' twice. Keep one"),
        ("", "names 0 queries and 0 gallery pictures"),
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
    with pytest.raises(BadQuery, match="is no text in UTF-8"):
        read_split(tmp_path / "split.txt", IDS)


def test_any_white_space_stands_before_the_role(tmp_path):
    path = tmp_path / "split.txt"
    path.write_text("data/a cat.jpg\t0\nb.jpg   1\n\n", encoding="utf-8")
    query, gallery = read_split(path, ["a cat.jpg", "b.jpg"])
    assert (query.tolist(), gallery.tolist()) == ([0], [1])
