"""What a person gives in Python: numpy's numbers as Python's, query pictures of every kind, and refusals in words."""

from __future__ import annotations

import io
import json
import socket
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgsearch_kit.errors import BadQuery, KitError, UnreadableImage
from imgsearch_kit.extractors.base import probe_pixels
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.index import create_index, new_passport
from imgsearch_kit.indexing.folder import index_folder
from imgsearch_kit.records import Approx
from tests.small_extractor import QuarterColours, paint


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures")
    for i in range(12):
        paint(root / ("warm" if i % 2 else "cold") / f"{i}.png", (250 - 9 * i, 10 * i, 200 if i % 2 else 3))
    return root


@pytest.fixture(scope="module")
def gallery(folder):
    extractor = QuarterColours()
    passport = new_passport(extractor.spec, probes=extractor.extract(probe_pixels(8)))
    with create_index("memory:", passport) as index:
        index_folder(folder, index, extractor, progress=False)
        yield Gallery(index, extractor)


# --- numbers ---------------------------------------------------------------------------------------------------------

CALLS = {
    "search k": lambda gallery, n: gallery.search(id="warm/1.png", k=n),
    "search with a ranking": lambda gallery, n: gallery.search(id="warm/1.png", k=n, rank="qe:3:1"),
    "search approximately": lambda gallery, n: gallery.search(id="warm/1.png", k=n, approx=Approx(n, n)),
    "sample": lambda gallery, n: gallery.sample(n),
    "evaluate": lambda gallery, n: gallery.evaluate(ks=(n,), seed=n, progress=False),
    "evaluate an array of ks": lambda gallery, n: gallery.evaluate(ks=np.array([1, n]), progress=False),
    "health": lambda gallery, n: gallery.health(k=n, progress=False),
    "calibration": lambda gallery, n: gallery.calibration(k=n, seed=n, progress=False),
    "tune": lambda gallery, n: gallery.tune(k=n, queries=n, seed=n, grid={"l2-lsh": []}, progress=False),
    "index search": lambda gallery, n: gallery.index.search(gallery.vectors()[:1], n),
}


def comparable(answer) -> str:
    plain = answer.to_json() if hasattr(answer, "to_json") else str(answer)
    return json.dumps({k: v for k, v in plain.items() if k not in ("ms", "rows")} if isinstance(plain, dict) else plain)


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint8])
@pytest.mark.parametrize("name", CALLS)
def test_numpys_integers_pass_wherever_an_int_does(gallery, name, kind):
    call = CALLS[name]
    assert comparable(call(gallery, kind(3))) == comparable(call(gallery, 3))


@pytest.mark.parametrize("given", [0, -1, True, np.True_, 1.5, np.float64(2), "3", None, [3]])
@pytest.mark.parametrize("name", ["search k", "health", "calibration", "evaluate", "index search"])
def test_what_is_no_whole_number_is_refused_with_the_value(gallery, name, given):
    with pytest.raises(BadQuery, match="must be a whole number of at least 1; it is"):
        CALLS[name](gallery, given)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": [3]}, r"labels must be a list of strings; it is \[3\]"),
        ({"labels": 3}, "labels must be a list of strings; it is 3"),
        ({"min_score": "0.5"}, "min_score must be a cosine within -1 .. 1; it is '0.5'"),
        ({"approx": "yes"}, "approx must be True, False or an Approx; it is 'yes'"),
        ({"rank": 5}, "rank must be a SPEC such as 'qe:10:1'; it is 5"),
        ({"id": Path("warm/1.png")}, "id must be a string or a list of strings; it is PosixPath"),
    ],
)
def test_other_arguments_of_a_wrong_type_are_refused_in_words(gallery, options, message):
    with pytest.raises(BadQuery, match=message):
        gallery.search(**{"id": "warm/1.png"} | options)


OTHERS = {
    "port of a string": (lambda gallery: gallery.serve(port="7979"), "port must be a whole number .*; it is '7979'"),
    "port below 1": (lambda gallery: gallery.serve(port=0), "port must be a whole number of at least 1; it is 0"),
    "port above all": (lambda gallery: gallery.serve(port=70_000), "port must be .* of at most 65535; it is 70000"),
    "sample of a half": (lambda gallery: gallery.sample(2.5), "count must be a whole number of at least 0; it is 2.5"),
    "sample below 0": (lambda gallery: gallery.sample(-1), "count must be a whole number of at least 0; it is -1"),
    "no ks": (lambda gallery: gallery.evaluate(ks=()), "ks must be whole numbers of at least 1; got none"),
    "ks of a string": (lambda gallery: gallery.evaluate(ks="14"), "k must be a whole number .*; it is '14'"),
    "split of a number": (lambda gallery: gallery.evaluate(split=5), "split must be the path of a file; it is 5"),
    "exclude_labels of a string": (
        lambda gallery: gallery.evaluate(exclude_labels="warm"),
        r"exclude_labels must be a list of strings; it is the string 'warm'. Write \['warm'\]",
    ),
    "exclude_labels of numbers": (
        lambda gallery: gallery.evaluate(exclude_labels=[3]),
        r"exclude_labels must be a list of strings; it is \[3\]",
    ),
    "labels of a number": (
        lambda gallery: gallery.label(5),
        "labels must be the path of a file or a mapping of paths to labels; it is 5",
    ),
    "a label that is a number": (
        lambda gallery: gallery.label({"warm/1.png": 5}),
        "labels must map paths to a string, or None for none; it has 'warm/1.png': 5",
    ),
    "a label that is numpy's number": (lambda gallery: gallery.label({"x": np.int64(3)}), "labels must map paths to"),
    "a path that is a number": (lambda gallery: gallery.label({3: "x"}), "labels must map .*; it has 3: 'x'"),
    "labels of a folder": (lambda gallery: gallery.add(".", labels={"x": 5}), "labels must map .*; it has 'x': 5"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_every_call_refuses_what_it_does_not_take_in_words(gallery, name):
    call, message = OTHERS[name]
    with pytest.raises(BadQuery, match=message):
        call(gallery)


def test_one_k_and_the_name_of_a_split_pass(gallery, tmp_path):
    assert comparable(gallery.evaluate(ks=3, progress=False)) == comparable(gallery.evaluate(ks=(3,), progress=False))
    (tmp_path / "split.txt").write_text("warm/1.png 0\nwarm/3.png 1\ncold/2.png 1\n")
    assert gallery.evaluate(split=str(tmp_path / "split.txt"), progress=False).queries == ["warm/1.png"]


def test_a_port_may_be_numpys_number(gallery):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    page = gallery.serve(port=np.int64(port), block=False)
    page.close()
    assert page.url.endswith(f":{port}/")


HUGE = 10**13


@pytest.mark.parametrize(
    "name", [name for name in CALLS if name != "tune"]
)  # which is for fewer neighbours than pictures
def test_a_huge_number_stands_for_all_pictures(gallery, name):
    CALLS[name](gallery, HUGE)


def test_a_huge_k_finds_all_others(gallery):
    assert [len(gallery.search(id="warm/1.png", k=n).hits) for n in (11, HUGE, 2**63 - 1)] == [11, 11, 11]


@pytest.mark.parametrize("name", ["search k", "evaluate", "health", "calibration", "index search"])
@pytest.mark.parametrize("given", [2**63, 10**20])
def test_a_number_beyond_64_bits_is_refused(gallery, name, given):
    with pytest.raises(BadQuery, match=f"must be a whole number of at most {2**63 - 1}; it is {given}"):
        CALLS[name](gallery, given)


def test_numpys_strings_arrays_and_booleans_pass(gallery):
    plain = gallery.search(id="warm/1.png", labels=["warm", "cold"], min_score=0.5, approx=True)
    wish = {"labels": np.array(["warm", "cold"]), "min_score": np.float64(0.5), "approx": np.True_}
    assert comparable(gallery.search(id=np.str_("warm/1.png"), **wish)) == comparable(plain)


# --- query pictures --------------------------------------------------------------------------------------------------


class Place:
    """An ``os.PathLike`` that is no ``Path``."""

    def __init__(self, path: Path, kind: type = str):
        self.path = str(path) if kind is str else str(path).encode()

    def __fspath__(self):
        return self.path


def opened(path: Path) -> Image.Image:
    return Image.open(path)


PICTURES = {
    "str": str,
    "Path": Path,
    "PathLike": Place,
    "PathLike of bytes": lambda path: Place(path, bytes),
    "bytes": Path.read_bytes,
    "bytearray": lambda path: bytearray(path.read_bytes()),
    "memoryview": lambda path: memoryview(path.read_bytes()),
    "open file": lambda path: path.open("rb"),
    "BytesIO at its end": lambda path: (file := io.BytesIO(), file.write(path.read_bytes()))[0],
    "PIL picture from a file": opened,
    "PIL picture in memory": lambda path: opened(path).copy(),
    "PIL picture with alpha": lambda path: opened(path).convert("RGBA"),
    "PIL picture with a palette": lambda path: opened(path).quantize(2),
    "array": lambda path: np.asarray(opened(path)),
    "array of RGBA": lambda path: np.asarray(opened(path).convert("RGBA")),
    "array that is not contiguous": lambda path: np.asarray(opened(path))[::-1, ::2],
    "read-only array": lambda path: np.frombuffer(opened(path).tobytes(), np.uint8).reshape(24, 32, 3),
    "object with __array__": lambda path: type(
        "Tensor", (), {"__array__": lambda *_, **__: np.asarray(opened(path))}
    )(),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_a_query_picture_may_be_given_as(gallery, folder, kind):
    results = gallery.search(PICTURES[kind](folder / "warm/1.png"), k=2)
    assert results.own == ("warm/1.png",)
    expected = gallery.search(id="warm/1.png", k=2)
    assert [hit.id for hit in results.hits] == [hit.id for hit in expected.hits]
    assert (results.query["file"] == "1.png") == (kind in ("str", "Path", "PathLike", "PathLike of bytes", "open file"))
    json.dumps(results.to_json())


@pytest.mark.parametrize("shape", [(24, 32), (24, 32, 1)])
def test_a_grey_array_is_a_query(gallery, shape):
    grey = np.full(shape, 90, np.uint8)
    colour = gallery.search(np.full((24, 32, 3), 90, np.uint8))
    assert [hit.score for hit in gallery.search(grey).hits] == [hit.score for hit in colour.hits]
    assert (colour.query["width"], colour.query["height"]) == (32, 24)


def test_a_pil_picture_is_turned_upright_and_left_as_it_was(gallery, tmp_path):
    picture = Image.new("RGB", (32, 24), "red")
    picture.paste("blue", (16, 0, 32, 24))
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(tmp_path / "a.png", exif=exif)
    given = Image.open(tmp_path / "a.png")
    results = gallery.search(given)
    assert (results.query["width"], results.query["height"]) == (24, 32)
    assert [hit.score for hit in results.hits] == [hit.score for hit in gallery.search(tmp_path / "a.png").hits]
    assert (given.size, given.getexif()[0x0112]) == ((32, 24), 6)


ARRAY = "a picture is uint8 of shape"
TAKEN = "give a path, bytes, a file opened for reading bytes, a PIL picture or an array of pixels"
REFUSED = {
    "floats": (np.zeros((24, 32, 3), np.float32), rf"float32 of shape \(24, 32, 3\); {ARRAY}.*255 \* array"),
    "16-bit": (np.zeros((24, 32), np.uint16), rf"uint16 of shape \(24, 32\); {ARRAY}"),
    "booleans": (np.zeros((24, 32), bool), rf"bool of shape \(24, 32\); {ARRAY}"),
    "channels first": (np.zeros((3, 24, 32), np.uint8), rf"uint8 of shape \(3, 24, 32\); {ARRAY}"),
    "a batch": (np.zeros((1, 24, 32, 3), np.uint8), rf"uint8 of shape \(1, 24, 32, 3\); {ARRAY}"),
    "two channels": (np.zeros((24, 32, 2), np.uint8), rf"shape \(24, 32, 2\); {ARRAY}"),
    "a row": (np.zeros(24, np.uint8), rf"shape \(24,\); {ARRAY}"),
    "a number": (np.uint8(3), rf"uint8 of shape \(\); {ARRAY}"),
    "no rows": (np.zeros((0, 32, 3), np.uint8), "The picture of 32 x 0 has no pixels"),
    "no columns": (np.zeros((5, 0), np.uint8), "The picture of 0 x 5 has no pixels"),
    "no rows of a PIL picture": (Image.new("RGB", (32, 0)), "The picture of 32 x 0 has no pixels"),
    "no columns of a PIL picture": (Image.new("RGB", (0, 5)), "The picture of 0 x 5 has no pixels"),
    "no pixels of a PIL picture": (Image.new("L", (0, 0)), "The picture of 0 x 0 has no pixels"),
    "objects": (np.array([[None]]), rf"object of shape \(1, 1\); {ARRAY}"),
    "a web address": ("https://example.org/a.jpg", "'https://example.org/a.jpg' is an address.*Download the picture"),
    "a file address": ("file:///a.jpg", "'file:///a.jpg' is an address"),
    "a data address": ("data:image/png;base64,AAAA", "is an address"),
    "Gradio's file": ({"path": "a.jpg", "meta": {"_type": "gradio.FileData"}}, r"a dict.*picture\['path'\]"),
    "a dict": ({"a": 1}, f"is a dict; {TAKEN}"),
    "a list in a list": ([["a.jpg"]], f"is a list; {TAKEN}"),
    "a number of Python": (3, f"is a int; {TAKEN}"),
    "a text file": (io.StringIO("text"), "gives str, not bytes"),
    "a class": (Image.Image, f"is a type; {TAKEN}"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_other_queries_are_refused_in_words(gallery, kind):
    given, message = REFUSED[kind]
    with pytest.raises(BadQuery, match=message):
        gallery.search(given)


def test_a_record_or_hit_is_answered_with_its_id(gallery):
    for given in (gallery.records()[0], gallery.search(id="cold/2.png", k=1).hits[0]):
        with pytest.raises(BadQuery, match=f"Search for an indexed picture with id='{given.id}'"):
            gallery.search(given)


@pytest.mark.parametrize("given", ["", "no\0where", "x" * 5000, b"", b"text", bytearray(b"text"), io.BytesIO(b"text")])
def test_a_picture_that_is_none_is_unreadable(gallery, given):
    with pytest.raises(UnreadableImage, match=r"\w{3}"):
        gallery.search(given)


def test_closed_files_and_pictures_have_a_reason(gallery, folder, tmp_path):
    with (folder / "warm/1.png").open("rb") as file:
        pass
    with pytest.raises(BadQuery, match=r"open file cannot be read: .*closed"):
        gallery.search(file)
    with (tmp_path / "out").open("wb") as file, pytest.raises(BadQuery, match="open file cannot be read"):
        gallery.search(file)
    picture = Image.open(folder / "warm/1.png")
    picture.close()
    with pytest.raises(UnreadableImage, match="The PIL picture cannot be read"):
        gallery.search(picture)


def test_a_picture_in_memory_keeps_to_the_limit(gallery):
    small = Gallery(gallery.index, QuarterColours(), max_pixels=np.int64(100))
    for given in (np.zeros((11, 10, 3), np.uint8), Image.new("RGB", (10, 11))):
        with pytest.raises(KitError, match=r"10 x 11 = 0\.0 million pixels, more than the limit"):
            small.search(given)
