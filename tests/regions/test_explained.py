"""A gallery says why two pictures match and which boxes stand out, with real weights and files."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from imgsearch_kit.boxes import box_given
from imgsearch_kit.errors import BadQuery, UnreadableImage
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.index import create_index, new_passport
from imgsearch_kit.indexing.folder import index_folder
from imgsearch_kit.records import ExtractorSpec
from tests.small_extractor import QuarterColours, paint


def scene(path, place, colour, rng):
    """A grey picture with a striped disc at a place."""
    y, x = np.mgrid[0:160, 0:200]
    pixels = np.full((160, 200, 3), 128, np.uint8)
    disc = (x - place[0]) ** 2 + (y - place[1]) ** 2 < 40**2
    pixels[disc] = np.where((x // 6 % 2)[disc][:, None], colour, 255)
    pixels[~disc] += rng.integers(0, 3, (int((~disc).sum()), 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root, rng = tmp_path_factory.mktemp("scenes"), np.random.default_rng(0)
    scene(root / "discs/left.png", (50, 80), (200, 0, 0), rng)
    scene(root / "discs/right.png", (150, 80), (200, 0, 40), rng)
    scene(root / "discs/blue.png", (100, 100), (0, 0, 200), rng)
    return root


@pytest.fixture(scope="module")
def opened(folder, conv_weights, tmp_path_factory):
    """Galleries of the scenes by extractor, made once."""
    made = {}

    def gallery(name):
        if name not in made:
            address = f"local:{tmp_path_factory.mktemp('index') / 'x.db'}"
            made[name] = Gallery.from_folder(folder, address, name, weights=conv_weights, fetch=False, progress=False)
        return made[name]

    yield gallery
    for each in made.values():
        each.close()


@pytest.mark.parametrize(
    ("name", "way"),
    [("vgg16-rmac", "exact"), ("vgg16-spoc@int8", "exact"), ("vgg16-gem", "approximate"), ("vgg16-mac", "approximate")],
)
def test_shares_sum_to_the_score_of_the_hit_and_lie_where_both_have_the_disc(opened, folder, name, way):
    gallery = opened(name)
    (hit,) = gallery.search(id="discs/left.png", k=1).hits
    assert hit.id == "discs/right.png"
    assert gallery.explains()[0] == way
    found = gallery.explain(id="discs/left.png", hit=hit.id)
    for shares in (found.query, found.hit):
        assert shares.shape == (14, 14)
        assert shares.sum() == pytest.approx(hit.score, abs=1e-4)
    assert (found.exact, found.way) == (way == "exact", way)
    assert found.cosine == pytest.approx(hit.score, abs=1e-4)
    assert ("Approximate" in found.note) == (way == "approximate")
    assert found.query[:, :7].sum() > 2 * found.query[:, 7:].sum()
    assert found.hit[:, 7:].sum() > 2 * found.hit[:, :7].sum()
    by_file = gallery.explain(folder / "discs/left.png", hit=hit.id)
    np.testing.assert_array_equal(by_file.query, found.query)
    assert "Cosine" in str(found)
    json.dumps(found.to_json())


def test_two_input_sides_are_explained_by_the_larger_one_and_said_to_be_approximate(opened):
    found = opened("vgg16-rmac-ms").explain(id="discs/left.png", hit="discs/right.png")
    assert found.query.shape == (20, 20)
    assert not found.exact
    assert found.note == "Shares of one part of the vectors: block5_conv3 at 320 pixels."


def test_a_box_is_explained_alone(opened):
    gallery = opened("vgg16-rmac")
    box = (0, 0, 0.6, 1)
    found = gallery.explain(id="discs/left.png", box=box, hit="discs/right.png")
    scores = {hit.id: hit.score for hit in gallery.search(id="discs/left.png", box=box).hits}
    assert found.cosine == pytest.approx(scores["discs/right.png"], abs=1e-4)


@pytest.mark.parametrize("name", ["vgg16-rmac", "vgg16-spoc@int8"])
def test_suggested_boxes_contain_the_disc_and_can_be_searched_for(opened, folder, name):
    gallery = opened(name)
    found = gallery.suggest_boxes(id="discs/left.png")
    assert 1 <= len(found.boxes) <= 3
    assert found.note == ""
    left, top, right, bottom = box_given(found.boxes[0])
    assert left < 0.25 < right < 0.7
    assert top < 0.5 < bottom
    assert gallery.suggest_boxes(folder / "discs/left.png") == found
    assert gallery.search(id="discs/left.png", box=found.boxes[0]).hits


def test_a_baked_ranking_leaves_the_boxes_and_says_why_nothing_is_explained(opened, tmp_path):
    baked = opened("vgg16-rmac").copy_to(f"local:{tmp_path / 'baked.db'}", rank="pca:2:0")
    with baked:
        assert baked.suggest_boxes(id="discs/left.png").boxes
        assert baked.explains() == ("", "The ranking pca:2:0 is baked into the index, so a match cannot be explained.")
        with pytest.raises(BadQuery, match="pca:2:0 is baked into the index"):
            baked.explain(id="discs/left.png", hit="discs/right.png")


# -- an extractor without a map ---------------------------------------------------------------------------------------


class Fc1(QuarterColours):
    """The colours of the quarters, under the name of the extractor that is explained by occlusion."""

    def __init__(self):
        super().__init__()
        self.spec = ExtractorSpec("vgg16-fc1", 12, side=8, engine="numpy", weights_digest="0" * 64)


@pytest.fixture
def small(tmp_path):
    """Makes a gallery of two pictures with an extractor object."""
    paint(tmp_path / "p/a.png", (200, 10, 10))
    paint(tmp_path / "p/b.png", (180, 40, 10))

    def made(extractor):
        index = create_index("memory:", new_passport(extractor.spec))
        index_folder(tmp_path / "p", index, extractor, progress=False)
        return Gallery(index, extractor)

    return made


def test_fc1_is_explained_by_occlusion_with_progress_and_can_be_stopped(small):
    gallery, done = small(Fc1()), []
    assert gallery.explains()[0] == "occlusion"
    found = gallery.explain(id="a.png", hit="b.png", progress=done.append)
    assert found.query.shape == found.hit.shape == (7, 7)
    assert (found.way, found.exact) == ("occlusion", False)
    assert found.cosine == pytest.approx(gallery.search(id="a.png").hits[0].score, abs=1e-6)
    assert np.abs(found.query).max() < 1e-3  # a picture of one colour is covered with that colour
    assert done == sorted(done)
    assert done[-1] == 1

    def stop(share):
        raise InterruptedError(share)

    gallery.extractor.calls.clear()
    with pytest.raises(InterruptedError, match=r"0\.0"):
        gallery.explain(id="a.png", hit="b.png", progress=stop)
    assert len(gallery.extractor.calls) == 2
    steps = gallery.explaining(id="a.png", hit="b.png")
    assert next(steps) > 0
    steps.close()
    assert len(gallery.extractor.calls) == 4


def test_an_extractor_without_a_map_says_so(small):
    gallery = small(QuarterColours())
    way, note = gallery.explains()
    assert way == ""
    assert (
        note == "The extractor quarters has no convolution map that the kit can read, so a match cannot be explained."
    )
    with pytest.raises(BadQuery, match="quarters has no convolution map"):
        gallery.explain(id="a.png", hit="b.png")
    found = gallery.suggest_boxes(id="a.png")
    assert found.boxes == ()
    assert "quarters has no convolution map that the kit can read, so no box is suggested" in str(found)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"id": "a.png", "hit": "x"}, BadQuery, "no picture with the id 'x'"),
        ({"id": "x", "hit": "b.png"}, BadQuery, "no picture with the id 'x'"),
        ({"hit": "b.png"}, BadQuery, "Give a picture or the id"),
        ({"id": ["a.png", "b.png"], "hit": "b.png"}, BadQuery, "One picture can be looked at; there are 2"),
        ({"id": "a.png", "hit": "b.png", "box": (0, 0, 2, 1)}, BadQuery, "right 2"),
        ({"id": "a.png", "hit": "b.png"}, UnreadableImage, r"'b\.png' is not where it was"),
    ],
)
def test_what_cannot_be_explained_is_refused_in_words(small, tmp_path, options, error, words):
    gallery = small(Fc1())
    if error is UnreadableImage:
        (tmp_path / "p/b.png").unlink()
    with pytest.raises(error, match=words):
        gallery.explain(**options)
