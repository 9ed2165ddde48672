"""`imgsearch choose` over real pictures and the real network, and the index that it writes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from imgsearch_kit.errors import BadQuery, IndexMismatch
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.images import find_images
from imgsearch_kit.indexing.features import labelled_images, sampled
from tests.small_extractor import paint
from tests.test_cli import run

FIGURE = {"value", "low", "high"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Stripes that are upright or level, in colours that say nothing of them, and a file that is no picture."""
    from PIL import Image

    root, rng = tmp_path_factory.mktemp("choose"), np.random.default_rng(0)
    for i in range(24):
        kind = ("upright", "level")[i % 2]
        stripes = np.zeros((64, 64, 3), np.uint8)
        stripes[:, (np.arange(64) // 8) % 2 == 1] = rng.integers(80, 255, 3)
        path = root / "pictures" / kind / f"{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(stripes if kind == "upright" else stripes.transpose(1, 0, 2)).save(path)
    (root / "pictures/level/broken.jpg").write_bytes(b"no picture")
    return root


def test_the_command_chooses_writes_and_the_index_follows(folder, conv_weights):
    names = ("--extractor", "vgg16-rmac@int8", "--extractor", "vgg16-rmac-ml@int8", "--weights", conv_weights)
    command = ("choose", "pictures", *names, "--write", "local:chosen.db", "--json", "--plot", "best.png")
    done = run(*command, cwd=folder, code=1)  # one file could not be read
    document = json.loads(done.stdout)
    assert {"extractor", "rank"} == set(document["winner"]) == set(document["default"])
    assert document["default"] == {"extractor": "vgg16-rmac@int8", "rank": None}
    assert isinstance(document["better"], bool)
    assert all(set(document["difference"][name]) == FIGURE for name in ("P@4", "mAP"))
    assert {"extractor", "rank", "P@4", "mAP"} <= set(document["candidates"][0])
    assert {each["extractor"] for each in document["candidates"]} == {names[1], names[3]}
    assert [each["path"] for each in document["failed"]] == ["level/broken.jpg"]
    assert document["queries"] == 24
    assert (folder / "best.png").stat().st_size > 5000
    passport = json.loads(run("info", "--index", "local:chosen.db", "--json", cwd=folder).stdout)
    used = document["winner"] if document["better"] else document["default"]
    assert (passport["spec"]["name"], passport.get("rank")) == (used["extractor"], used["rank"])
    refused = run("choose", "pictures", "--write", "local:chosen.db", cwd=folder, code=3)
    assert "There is an index at local:chosen.db already" in refused.stderr


def test_the_vectors_of_the_trial_are_those_of_the_index(folder, conv_weights):
    """What is written was not extracted again, and equals what the extractor makes of the pictures."""
    options = {"extractors": ["vgg16-mac@int8"], "rankings": (None,), "weights": conv_weights, "progress": False}
    Gallery.choose(folder / "pictures", write=f"local:{folder / 'mac.db'}", **options)
    made = Gallery.from_folder(folder / "pictures", f"local:{folder / 'again.db'}", "vgg16-mac@int8", progress=False)
    with Gallery.open(f"local:{folder / 'mac.db'}") as written, made:
        assert [record.id for record in written.records()] == [record.id for record in made.records()]
        np.testing.assert_allclose(written.vectors(), made.vectors(), atol=1e-5)
        assert written.search(folder / "pictures/level/01.png").own == ("level/01.png",)


def test_labels_are_taken_left_out_and_sampled(tmp_path):
    for i in range(40):
        paint(tmp_path / f"{'rare' if i < 4 else 'common'}/{i:02}.png", (i, 2 * i, 90))
    found = find_images(tmp_path)
    with pytest.raises(BadQuery, match="40 of 40 pictures have a label, of 1 classes"):
        labelled_images(found, labels={image.id: "same" for image in found.images})
    with pytest.raises(BadQuery, match="36 of 40 pictures have a label, of 1 classes; a choice needs two classes"):
        labelled_images(found, exclude_labels=["rare"])
    images = labelled_images(found, labels={"rare/00.png": None, "rare/01.png": "common"})
    assert list(images.values()).count("common") == 37
    few = sampled(labelled_images(found), 10)
    assert [image.id for image, label in few.items() if label == "rare"] == ["rare/00.png", "rare/02.png"]
    assert len(few) == 11  # nine of 36, and two at least
    assert sampled(few, 100) == few


def test_bad_arguments_are_refused_before_a_network_is_loaded(folder, tmp_path):
    paint(tmp_path / "one/a.png", "red")
    paint(tmp_path / "two/b.png", "blue")
    with pytest.raises(BadQuery, match="Of 2 pictures only 0 share their class"):
        Gallery.choose(tmp_path, extractors=["vgg16-mac@int8"], progress=False)
    for options, words in (
        ({"extractors": ["vgg17"]}, "no extractor named 'vgg17'"),
        ({"sample": 2}, "sample must be a whole number of at least 4"),
        ({"splits": 0}, "splits must be a whole number of at least 1"),
        ({"write": "npx:a"}, "npx:a"),
        ({"label_level": 0}, "label level"),
        ({"labels": 3}, "labels must be"),
    ):
        with pytest.raises(BadQuery, match=words):
            Gallery.choose(folder / "pictures", **options)
    Gallery.from_folder(tmp_path, f"local:{tmp_path / 'x.db'}", "vgg16-mac@int8", progress=False).close()
    with pytest.raises(IndexMismatch, match="There is an index"):
        Gallery.choose(folder / "pictures", write=f"local:{tmp_path / 'x.db'}")
