"""Labels files, and new labels for an index that has its vectors."""

from __future__ import annotations

import numpy as np
import pytest

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.index import create_index, new_passport
from imgsearch_kit.indexing.labels import read_labels, relabel
from imgsearch_kit.records import ImageRecord
from tests.small_extractor import QuarterColours


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def test_labels_are_read_with_any_column_order_a_byte_order_mark_and_backslashes(tmp_path):
    text = "note,label,path\nx,cat,a\\b.jpg\ny,,c.jpg\nz,  dog , d.jpg\n".replace(" d.jpg", "d.jpg")
    assert read_labels(write(tmp_path / "l.csv", text, "utf-8-sig")) == {
        "a/b.jpg": "cat",
        "c.jpg": None,
        "d.jpg": "dog",
    }


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
@pytest.mark.parametrize(
    "text",
    [
        "path;label\r\na/b.jpg;Köln, Dom\r\n",
        "path\tlabel\na/b.jpg\tKöln, Dom\n",
        'sep=,\r\npath,label\r\na/b.jpg,"Köln, Dom"\r\n',
        "SEP=;\r\npath;label\r\na/b.jpg;Köln, Dom\r\n",
        '"sep=;"\r\npath;label\r\na/b.jpg;Köln, Dom\r\n',
        '"Sep=\t"\npath\tlabel\na/b.jpg\tKöln, Dom\n',
        "sep=|\npath|label\na/b.jpg|Köln, Dom\n",
        'Path , LABEL\na/b.jpg, "Köln, Dom"\n',
        'id,label,sha256\na/b.jpg,"Köln, Dom",00\n',
        'id,path,label,sha256\na/b.jpg,x/y.jpg,"Köln, Dom",00\n',
        'id,path,label\n7,a/b.jpg,"Köln, Dom"\n',
        '"path","label"\n"a/b.jpg","Köln, Dom"\n',
    ],
)
def test_labels_as_other_programs_write_them(tmp_path, text, encoding):
    text = "\ufeff" * (encoding == "utf-16-be") + text
    assert read_labels(write(tmp_path / "l.csv", text, encoding)) == {"a/b.jpg": "Köln, Dom"}


def test_a_space_before_a_name_is_part_of_it_where_the_head_has_none(tmp_path):
    assert read_labels(write(tmp_path / "l.csv", "label,path\ncat, a.jpg\n")) == {" a.jpg": "cat"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,class\na,b\n", "needs the columns path and label; it has: path, class"),
        ("path;class\na;b\n", "needs the columns path and label; it has: path;class"),
        ("sep=;\npath;label\na;b\nc\n", "line 4 has 1 columns, the head has 2"),
        ("path,label,label\na,b,c\n", "line 1: the head has the column 'label' twice. Keep one"),
        ("path;Label;label \na;b;c\n", "line 1: the head has the column 'label' twice"),
        ("sep=;\npath;label;path\na;b;c\n", "line 2: the head has the column 'path' twice"),
        ("id,id,label\na,b,c\n", "line 1: the head has the column 'path' twice"),
        ("id,ID,path,label,sha256\na,b,c,d,e\n", "line 1: the head has the column 'path' twice"),
        ("", "needs the columns path and label; it has: none"),
        ("path,label\n,b\n", "line 2: the path is empty"),
        ("path,label\na,b\nc,dog, small\n", "line 3 has 3 columns, the head has 2"),
        ("path,label\na,dog, small, red\n", "line 2 has 4 columns, the head has 2"),
        ("path,label\na,b\nc\n", "line 3 has 1 columns, the head has 2"),
        ("path,size,label\na,1\n", "line 2 has 2 columns, the head has 3"),
        ("path,label\na,b\na,c\n", "line 3: 'a' has a second label, 'c'"),
    ],
)
def test_a_labels_file_that_cannot_be_meant_is_refused(tmp_path, text, message):
    with pytest.raises(BadQuery, match=message):
        read_labels(write(tmp_path / "l.csv", text))


def test_a_labels_file_in_another_encoding_is_refused(tmp_path):
    with pytest.raises(BadQuery, match="is no text in UTF-8"):
        read_labels(write(tmp_path / "l.csv", "path,label\na,Köln\n", "latin-1"))


def test_a_missing_labels_file_is_refused(tmp_path):
    with pytest.raises(BadQuery, match="cannot be read"):
        read_labels(tmp_path / "none.csv")


def test_relabelling_keeps_vectors_and_lists_unknown_paths():
    with create_index("memory:", new_passport(QuarterColours().spec)) as index:
        vectors = np.eye(12, dtype=np.float32)[:3]
        index.add([ImageRecord("a", "x"), ImageRecord("b", "y"), ImageRecord("c")], vectors)
        report = relabel(index, {"a": "z", "b": "y", "nowhere": "q"})
        assert report.to_json() == {
            "relabelled": 1,
            "unchanged": 1,
            "failed": [{"path": "nowhere", "reason": "no record has this id"}],
        }
        assert [record.label for record in index.records()] == ["z", "y", None]
        assert (index.vectors() == vectors).all()


@pytest.mark.parametrize(
    ("paths", "told"),
    [
        (["pictures/red/0.png", "pictures/red/1.png", "gone.png"], "leave 'pictures/' out of the paths"),
        (["/data/pictures/red/0.png"], "leave '/data/pictures/' out of the paths"),
        (["0.png", "1.png"], "begin the paths with 'red/'"),
        (["2.png", "nothing/else.png"], None),
        (["red/0.png", "pictures/red/1.png"], "Did you mean 'red/1.png'?"),  # one fits, so not all begin wrongly
        (["RED/0.PNG"], "Did you mean 'red/0.png'?"),
        (["red/0.png", "red/1"], "Did you mean 'red/1.png'?"),
    ],
)
def test_paths_that_do_not_fit_are_told_how_they_must_begin_or_which_id_they_seem_to_mean(paths, told):
    with create_index("memory:", new_passport(QuarterColours().spec)) as index:
        index.add([ImageRecord("red/0.png"), ImageRecord("red/1.png")], np.eye(12, dtype=np.float32)[:2])
        (why,) = {refused.reason for refused in relabel(index, dict.fromkeys(paths, "x")).failed}
        assert why.startswith("no record has this id")
        assert why.endswith(told or "no record has this id")
