"""Files that are there whole or not at all."""

from __future__ import annotations

import resource

import numpy as np
import pytest

from imgsearch_kit.cli.base import write_json
from imgsearch_kit.errors import BadQuery, KitError
from imgsearch_kit.extractors.weight_files import write_npz
from imgsearch_kit.files import write_whole
from imgsearch_kit.index import create_index, new_passport
from imgsearch_kit.indexing.export import export
from imgsearch_kit.records import ImageRecord


def test_a_file_is_replaced_when_it_is_whole(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with write_whole(path) as whole:
        whole.write_text("new")
        assert whole.suffix == ".txt"  # libraries go by it
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_two_writers_do_not_meet(tmp_path):
    path = tmp_path / "a.txt"
    with write_whole(path) as one, write_whole(path) as other:
        one.write_text("one")
        other.write_text("other")
    assert path.read_text() == "one"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def interrupted():
        with write_whole(path) as whole:
            whole.write_text("half")
            raise KeyboardInterrupt("in the middle")

    with pytest.raises(KeyboardInterrupt, match="in the middle"):
        interrupted()
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("name", ["x.csv", "x.npz", "x.json", "weights.npz"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, name):
    with create_index("memory:", new_passport(None, dim=8)) as index:
        index.add([ImageRecord(f"{i:04}.jpg") for i in range(400)], np.tile(np.eye(8, dtype=np.float32), (50, 1)))
        path = tmp_path / name
        path.write_text("old")
        write = {
            "x.json": lambda: write_json(path, ["a document"] * 1000, force=True),
            "weights.npz": lambda: write_npz(path, {"layer": (np.ones((9, 99)), np.ones(99))}, "a test"),
        }.get(name, lambda: export(index, path, force=True))
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))  # bytes a file may have; more is an OSError
        try:
            with pytest.raises((KitError, OSError), match=r"too large|could not be written"):
                write()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_a_folder_that_is_not_there_is_said(tmp_path):
    with pytest.raises(BadQuery, match=r"d\.json cannot be written: No such file or directory\. Name another file"):
        write_json(tmp_path / "nowhere" / "d.json", {})
