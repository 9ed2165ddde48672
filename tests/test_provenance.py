"""Who made an index: read from its passport, or said by a person where it has none, and always in agreement."""

from __future__ import annotations

import numpy as np
import pytest

from imgsearch_kit.errors import BadQuery, IndexMismatch
from imgsearch_kit.extractors.base import PRESETS, Preset, probe_pixels
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.index import create_index, new_passport, open_index
from imgsearch_kit.indexing import extractor as extracting
from imgsearch_kit.indexing import open as opening
from imgsearch_kit.indexing.copy import copy
from imgsearch_kit.records import ImageRecord
from tests.small_extractor import QuarterColours, paint

COLOURS = {"red/1": (1, 0, 0), "red/2": (0.9, 0.1, 0), "blue/1": (0, 0, 1), "blue/2": (0, 0.1, 0.9)}


@pytest.fixture(autouse=True)
def quarters(monkeypatch):
    """The kit knows the small extractor by its name; each time it is loaded, it is in the list."""
    loaded: list[QuarterColours] = []
    monkeypatch.setitem(PRESETS, "quarters", Preset("", "", "", 12, side=8))
    monkeypatch.setattr(
        extracting, "load_extractor", lambda name, *_, **__: loaded.append(QuarterColours(name)) or loaded[-1]
    )
    return loaded


@pytest.fixture
def silent(tmp_path):
    """An archive made elsewhere: it does not say who made its vectors."""
    vectors = np.tile(np.array(list(COLOURS.values()), np.float32), 4)
    labels = [id_.split("/")[0] for id_ in COLOURS]
    np.savez(tmp_path / "silent.npz", ids=np.array(list(COLOURS)), labels=np.array(labels), vectors=vectors)
    return f"npz:{tmp_path / 'silent.npz'}"


@pytest.fixture
def full(tmp_path):
    """An index of the kit, with its passport."""
    address = f"local:{tmp_path / 'full.db'}"
    extractor = QuarterColours()
    with create_index(address, new_passport(extractor.spec, probes=extractor.extract(probe_pixels(8)))) as index:
        index.add([ImageRecord("black.png", "red")], np.full((1, 12), 12**-0.5, np.float32))
    return address


def test_what_a_person_says_stands_beside_the_figures(silent, quarters):
    with Gallery.open(silent, "quarters") as gallery:
        document = gallery.evaluate(ks=(1,), progress=False).to_json()
    assert document["micro"]["P@1"]["value"] == 1
    assert document["passport"]["spec"]["name"] == "quarters"
    assert document["passport"]["spec"]["weights_digest"] == ""  # nobody knows them
    assert quarters == []
    with Gallery.open(silent) as gallery:
        assert gallery.passport.spec is None


def test_what_a_person_says_is_not_written_down(silent, tmp_path):
    with Gallery.open(silent, "quarters") as gallery:
        gallery.index.amend(roots={"": "/pictures"})
        gallery.export(tmp_path / "export.npz")
    for address, root in ((silent, "/pictures"), (f"npz:{tmp_path / 'export.npz'}", None)):
        with open_index(address) as index:
            assert (index.passport.spec, index.passport.root) == (None, root)


def test_another_dimension_or_an_unknown_name_is_refused(silent):
    with pytest.raises(IndexMismatch, match="The index holds 12-d vectors, but vgg16-rmac makes 512-d ones"):
        Gallery.open(silent, "vgg16-rmac")
    with pytest.raises(BadQuery, match=r"no extractor named 'vgg16-rmak'\. Did you mean vgg16-rmac"):
        Gallery.open(silent, "vgg16-rmak")


def test_a_name_must_agree_with_the_passport_in_the_same_words_everywhere(full, tmp_path):
    words = r"This index was made by quarters; the extractor given differs from it \(name: quarters != vgg16-rmac\)"
    with Gallery.open(full, "quarters") as gallery:
        assert gallery.passport.spec == QuarterColours().spec
    with pytest.raises(IndexMismatch, match=words):
        Gallery.open(full, "vgg16-rmac")
    with pytest.raises(IndexMismatch, match=words):
        opening.open_to_fill(full, "vgg16-rmac")
    with pytest.raises(IndexMismatch, match=words):
        copy(full, f"npz:{tmp_path / 'copy.npz'}", extractor="vgg16-rmac")
    assert not (tmp_path / "copy.npz").exists()


def test_queries_of_the_kit_may_ask_an_index_that_a_person_names(silent, full):
    unknown = pytest.raises(IndexMismatch, match="the extractor of the gallery is unknown")
    with Gallery.open(silent) as gallery, unknown:
        gallery.evaluate(queries=full, progress=False)
    with Gallery.open(silent, "quarters") as gallery, Gallery.open(full, "quarters") as queries:
        assert gallery.evaluate(queries=queries, ks=(1,), progress=False).queries == ["black.png"]
    with Gallery.open(silent, "quarters") as gallery:
        other = create_index("memory:", new_passport(QuarterColours("thirds").spec))
        other.add([ImageRecord("a", "red")], np.full((1, 12), 12**-0.5, np.float32))
        with pytest.raises(IndexMismatch, match="name: thirds != quarters"):
            gallery.evaluate(queries=Gallery(other), progress=False)


def test_a_copy_with_its_extractor_is_a_full_index(silent, tmp_path, quarters):
    target = f"local:{tmp_path / 'copy.db'}"
    assert not copy(silent, target, extractor="quarters").silent
    with open_index(target) as index:
        assert index.passport.spec == QuarterColours().spec
        assert np.array_equal(index.passport.probes, QuarterColours().extract(probe_pixels(8)))
        found = Gallery(index).search(paint(tmp_path / "pictures/red/3.png", "red"), k=2)
        assert [hit.id for hit in found.hits] == ["red/2", "blue/1"]
        assert found.own == ("red/1",)
    index, extractor = opening.open_to_fill(target)  # so that a folder can be indexed into it
    index.close()
    assert extractor.spec == QuarterColours().spec


def test_a_copy_may_stay_silent_and_be_completed_later(silent, full, tmp_path, quarters):
    report = copy(silent, f"local:{tmp_path / 'a.db'}")
    assert report.silent
    assert not copy(f"local:{tmp_path / 'a.db'}", f"local:{tmp_path / 'b.db'}", extractor="quarters").silent
    assert len(quarters) == 1
    assert not copy(full, f"local:{tmp_path / 'c.db'}", extractor="quarters").silent
    assert len(quarters) == 1  # what has a passport needs no network


def test_a_run_with_nothing_to_extract_loads_no_network(full, tmp_path, quarters):
    paint(tmp_path / "pictures/red/1.png", "red")
    Gallery.from_folder(tmp_path / "pictures", full, progress=False).close()
    assert len(quarters) == 1
    with Gallery.from_folder(tmp_path / "pictures", full, progress=False) as gallery:
        assert gallery.report.counts()["unchanged"] == 1
        assert len(quarters) == 1
        assert gallery.search(tmp_path / "pictures/red/1.png", k=1).own == ("red/1.png",)
    assert len(quarters) == 2
