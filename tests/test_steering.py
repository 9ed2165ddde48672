"""A search that is steered: a box on the query, marked pictures, several queries, and hits that repeat each other."""

from __future__ import annotations

import json
import shutil
import unicodedata

import numpy as np
import pytest
from PIL import Image

from imgsearch_kit.boxes import parse_box
from imgsearch_kit.errors import BadQuery, UnreadableImage
from imgsearch_kit.extractors.base import probe_pixels
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.index import create_index, new_passport
from imgsearch_kit.indexing.folder import index_folder
from imgsearch_kit.ranking.feedback import MINUS, PLUS, rocchio
from tests.small_extractor import QuarterColours, paint

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def halves(path, left, right, size=(40, 20)):
    """A picture with two halves of one colour each."""
    picture = Image.new("RGB", size, left)
    picture.paste(right, (size[0] // 2, 0, *size))
    picture.save(path)
    return path


@pytest.fixture
def folder(tmp_path):
    """Plain pictures of each colour, mixtures between red and the others, and one that is half red, half blue."""
    root = tmp_path / "pictures"
    paint(root / "red/pure.png", RED)
    paint(root / "red/greenish.png", (255, 120, 0))
    paint(root / "red/bluish.png", (255, 0, 121))
    paint(root / "green/pure.png", GREEN)
    paint(root / "blue/pure.png", BLUE)
    (root / "mixed").mkdir()
    halves(root / "mixed/halves.png", RED, BLUE)
    return root


@pytest.fixture
def gallery(folder):
    extractor = QuarterColours()
    with create_index("memory:", new_passport(extractor.spec, probes=extractor.extract(probe_pixels(8)))) as index:
        index_folder(folder, index, extractor)
        yield Gallery(index, extractor)


def ids(results):
    return [hit.id for hit in results.hits]


LEFT, RIGHT, WHOLE = (0, 0, 0.5, 1), (0.5, 0, 1, 1), (0, 0, 1, 1)


# -- a box ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("box", "first"), [(LEFT, "red/pure.png"), (RIGHT, "blue/pure.png")])
def test_a_box_searches_for_its_part_of_a_file_bytes_an_array_or_an_indexed_picture(gallery, folder, box, first):
    path = folder / "mixed/halves.png"
    for query in (path, path.read_bytes(), np.asarray(Image.open(path)), Image.open(path)):
        results = gallery.search(query, box=box, k=1)
        assert results.own[0] == first  # the cut-out is this picture
        assert results.query["box"] == list(box)
    by_id = gallery.search(id="mixed/halves.png", box=box)
    assert set(by_id.own) == {"mixed/halves.png", first}
    assert "mixed/halves.png" not in ids(by_id)
    assert by_id.title().startswith("4 neighbours of a box of mixed/halves.png, exact")


def test_a_box_is_searched_as_the_cut_out_picture_would_be(gallery, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    cut = pixels[12:48, 9:72]
    boxed = gallery.search(pixels, box=(0.1, 0.2, 0.8, 0.8))
    assert boxed.hits == gallery.search(cut).hits
    assert boxed.hits != gallery.search(pixels).hits
    assert gallery.search(pixels, box=WHOLE).hits == gallery.search(pixels).hits


def test_a_box_is_on_the_upright_picture(gallery, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down: what is stored on the left is shown on the right
    with Image.open(halves(tmp_path / "a.png", RED, BLUE)) as picture:
        picture.save(tmp_path / "turned.png", exif=exif)
    assert gallery.search(tmp_path / "turned.png", box=LEFT).own == ("blue/pure.png",)


def test_a_small_box_of_a_large_jpeg_keeps_its_detail(gallery, tmp_path):
    """Reduced as the whole picture would be, to 16 pixels a side, the stripes of the box would be one grey."""
    stripes = np.zeros((1024, 1024, 3), np.uint8)
    stripes[:, ::64], stripes[:] = 0, 128
    stripes[480:496, 480:488], stripes[480:496, 488:496] = RED, BLUE
    Image.fromarray(stripes).save(tmp_path / "large.jpg", quality=95, subsampling=0)
    box = (480 / 1024, 480 / 1024, 496 / 1024, 496 / 1024)
    assert gallery.search(tmp_path / "large.jpg", box=box, k=1).own == ("mixed/halves.png",)


def test_boxes_are_never_mixed_up_in_the_cache(folder, gallery):
    extractor = QuarterColours()
    asked, path = Gallery(gallery.index, extractor), folder / "mixed/halves.png"
    first = [asked.search(path, box=box).hits for box in (LEFT, RIGHT, None)]
    extractor.calls = []
    assert [asked.search(path, box=box).hits for box in (LEFT, RIGHT, None)] == first
    assert extractor.calls == []


def test_a_box_of_an_indexed_picture_needs_its_file(gallery, folder):
    path = folder / "mixed/halves.png"
    paint(path, GREEN)
    with pytest.raises(UnreadableImage, match=r"mixed/halves\.png: The file has changed since it was indexed"):
        gallery.search(id="mixed/halves.png", box=LEFT)
    path.unlink()
    with pytest.raises(UnreadableImage, match=r"'mixed/halves\.png' is not where it was .*--root FOLDER"):
        gallery.search(id="mixed/halves.png", box=LEFT)
    assert gallery.search(id="mixed/halves.png").hits  # without a box the stored vector is enough


NAN = float("nan")


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ((0.5, 0, 0.5, 1), "left 0.5, top 0, right 0.5, bottom 1: fractions"),
        ((0.6, 0, 0.5, 1), "left 0.6, top 0, right 0.5"),
        ((0, -0.1, 1, 1), "top -0.1"),
        ((0, 0, 1, 1.01), "bottom 1.01"),
        ((NAN, 0, 1, 1), "left nan"),
        ((0, 0, 1), r"four numbers: left, top, right, bottom; it is \(0, 0, 1\)"),
        (("0", "0", "1", "1"), "four numbers"),
        ("0,0,1,1", "four numbers: left, top, right, bottom; it is '0,0,1,1'"),
        (5, "four numbers: left, top, right, bottom; it is 5"),
        ((0, 0, 0.02, 1), r"The box is 0\.8 x 20 pixels of a picture of 40 x 20"),
    ],
)
def test_a_box_that_cannot_be_is_refused_with_its_values(gallery, folder, box, words):
    with pytest.raises(BadQuery, match=words):
        gallery.search(folder / "mixed/halves.png", box=box)


def test_a_box_as_text():
    assert parse_box("0.1, 0.2,0.8,1") == (0.1, 0.2, 0.8, 1.0)
    for text in ("", "0,0,1", "a,b,c,d", "0;0;1;1"):
        with pytest.raises(BadQuery, match="LEFT,TOP,RIGHT,BOTTOM"):
            parse_box(text)
    with pytest.raises(BadQuery, match="right nan"):
        parse_box("0,0,nan,1")


# -- marks and several queries ----------------------------------------------------------------------------------------


def unit(vector):
    return np.asarray(vector) / np.linalg.norm(vector)


def test_rocchio_by_hand():
    x, y, z = np.eye(3, dtype=np.float32)
    moved = rocchio(np.stack([x, x, y, y]), np.stack([y, z]), z[None])
    assert moved.dtype == np.float32
    half = np.sqrt(0.5)
    np.testing.assert_allclose(
        moved[0], unit([half, half + PLUS / 2, PLUS / 2 - MINUS]), atol=1e-6
    )  # the mean of the queries has unit norm before the marks are added
    with pytest.raises(BadQuery, match=r"cancel each other: 2 queries, 0 plus and 0 minus .* Remove a mark or a query"):
        rocchio(np.stack([x, -x]), np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32))


def test_marks_move_the_query_and_are_no_hits(gallery):
    plain = gallery.search(id="red/pure.png")
    assert ids(plain)[:3] == ["red/greenish.png", "red/bluish.png", "mixed/halves.png"]
    moved = gallery.search(id="red/pure.png", plus=["blue/pure.png"], minus=["green/pure.png"])
    assert ids(moved) == ["red/bluish.png", "mixed/halves.png", "red/greenish.png"]
    assert moved.own == ("red/pure.png",)
    assert (moved.query["plus"], moved.query["minus"]) == (["blue/pure.png"], ["green/pure.png"])
    query = unit([1, -MINUS, PLUS])
    cosines = [query @ unit([255, 0, 121]), query @ unit([255, 120, 0])]
    assert [moved.hits[0].score, moved.hits[2].score] == pytest.approx(cosines, abs=1e-6)
    assert "1 marked plus, 1 marked minus" in moved.title()
    json.dumps(moved.to_json())


def test_several_queries_are_searched_by_what_they_share(gallery, folder):
    results = gallery.search([folder / "red/pure.png"], id=["blue/pure.png"])
    assert ids(results)[0] == "red/bluish.png"
    assert results.hits[0].score == pytest.approx(unit([1, 0, 1]) @ unit([255, 0, 121]), abs=1e-6)
    assert set(results.own) == {"red/pure.png", "blue/pure.png"}
    assert [query.get("id") or query["file"] for query in results.query["queries"]] == ["pure.png", "blue/pure.png"]
    swapped = gallery.search((folder / "blue/pure.png",), id="red/pure.png")
    assert ids(swapped) == ids(results)
    assert results.title().startswith("4 neighbours of 2 pictures")
    assert gallery.search([folder / "red/pure.png"]).hits == gallery.search(folder / "red/pure.png").hits


def test_copies_of_each_query_are_its_own_however_many(gallery, folder):
    for i in range(20):
        shutil.copy(folder / "red/pure.png", folder / f"red/copy{i}.png")
    paint(folder / "blue/almost.png", (1, 0, 255))
    index_folder(folder, gallery.index, QuarterColours())
    results = gallery.search(id=["red/pure.png", "blue/pure.png"], k=3)
    assert len(results.own) == 23
    assert ids(results) == ["red/bluish.png", "mixed/halves.png", "red/greenish.png"]


@pytest.mark.parametrize("options", [{}, {"rank": "qe:2:1"}, {"rank": "dba:2:1,krecip:3:2:0.3"}, {"approx": True}])
def test_filters_rankings_and_methods_go_on_working_with_marks(gallery, options):
    given = {"id": "red/pure.png", "plus": ["blue/pure.png"], "minus": ["green/pure.png"], **options}
    found = gallery.search(**given)
    assert {hit.id for hit in found.hits} == {"red/bluish.png", "mixed/halves.png", "red/greenish.png"}
    assert ids(gallery.search(**given, labels=["mixed"])) == ["mixed/halves.png"]
    floor = found.hits[1].score
    assert ids(gallery.search(**given, min_score=floor)) == ids(found)[:2]
    assert ids(gallery.search(**given, k=1)) == ids(found)[:1]


def test_marks_are_found_in_another_unicode_form(gallery, folder):
    composed, decomposed = (unicodedata.normalize(form, "red/é.png") for form in ("NFC", "NFD"))
    paint(folder / composed, (200, 30, 10))
    index_folder(folder, gallery.index, QuarterColours())
    assert gallery.search(id="red/pure.png", plus=[decomposed]).query["plus"] == [composed]
    assert gallery.search(id=[decomposed, "red/pure.png"]).query["queries"][0]["id"] == composed
    with pytest.raises(BadQuery, match="is marked both plus and minus"):
        gallery.search(id="red/pure.png", plus=[decomposed], minus=[composed])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"plus": ["x"]}, "no picture with the id 'x'"),
        ({"minus": ["x"]}, "no picture with the id 'x'"),
        ({"id": ["red/pure.png", "x"]}, "no picture with the id 'x'"),
        ({"plus": "red/pure.png"}, r"plus must be a list of strings; it is the string 'red/pure\.png'"),
        ({"minus": [3]}, r"minus must be a list of strings; it is \[3\]"),
        ({"plus": None}, "plus must be a list of strings; it is None"),
        ({"plus": ["blue/pure.png"], "minus": ["blue/pure.png"]}, r"'blue/pure\.png' is marked both plus and minus"),
        ({"id": []}, "Give a picture or the id"),
        ({"id": ["red/pure.png", "blue/pure.png"], "box": LEFT}, "A box belongs to one query; there are 2"),
        ({"distinct": 1.5}, "distinct must be a cosine within -1 .. 1; it is 1.5"),
    ],
)
def test_what_cannot_be_is_refused_in_words(gallery, options, words):
    with pytest.raises(BadQuery, match=words):
        gallery.search(**{"id": "red/pure.png", **options})


# -- hits that repeat each other --------------------------------------------------------------------------------------


@pytest.mark.parametrize("rank", ["", "qe:2:1"])
def test_hits_that_repeat_an_earlier_one_are_left_out_and_others_come_instead(gallery, folder, rank):
    for i in range(12):
        paint(folder / f"red/near{i:02}.png", (255, 119 - i % 2, i // 6))
    index_folder(folder, gallery.index, QuarterColours())
    plain = gallery.search(id="red/pure.png", k=4, rank=rank)
    assert all("near" in id_ for id_ in ids(plain))
    results = gallery.search(id="red/pure.png", k=4, distinct=0.99, rank=rank)
    assert len(results.hits) == 4
    assert ids(results)[0] == ids(plain)[0]
    assert (
        {"red/bluish.png", "mixed/halves.png"}
        < set(ids(results)[1:])
        < set(ids(gallery.search(id="red/pure.png", k=50)))
    )
    assert [hit.rank for hit in results.hits] == [1, 2, 3, 4]
    assert len(gallery.search(id="red/pure.png", k=50, distinct=0.99, rank=rank).hits) == 5
    assert gallery.search(id="red/pure.png", k=4, distinct=1, rank=rank).hits == plain.hits
