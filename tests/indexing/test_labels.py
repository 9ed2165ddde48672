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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,class\na,b\n", "needs the columns path and label; it has: path, class"),
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
    with pytest.raises(BadQuery, match="cannot be read"):
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
