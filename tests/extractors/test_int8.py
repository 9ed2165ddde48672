"""The int8 form of the presets: near to float, decided by weights and ranges alone, refused where these do not fit."""

from __future__ import annotations

import json
import shutil

import numpy as np
import onnx
import pytest

from imgsearch_kit.errors import BadQuery, KitError, WeightsNotFound
from imgsearch_kit.extractors import PRESETS, fidelity, int8, load_extractor, load_extractors, probe_pixels
from imgsearch_kit.extractors.base import mapper_of
from imgsearch_kit.extractors.vgg16 import CONVOLUTIONS, NETWORKS
from imgsearch_kit.extractors.weight_files import read, write_npz
from imgsearch_kit.indexing.calibrate import quantise
from tests.small_extractor import paint


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("IMGSEARCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_int8_is_near_to_float_and_another_extractor(conv_weights):
    exact, quantised = (load_extractor(name, conv_weights) for name in ("vgg16-rmac", "vgg16-rmac@int8"))
    near = np.einsum("nd,nd->n", exact.extract(probe_pixels(224)), quantised.extract(probe_pixels(224)))
    assert near.min() > 0.98
    assert quantised.spec.name == "vgg16-rmac@int8"
    assert quantised.spec.engine == "onnxruntime"
    assert [line.split(":")[0] for line in exact.spec.differences(quantised.spec)] == ["name", "weights_digest"]


def test_sums_of_products_fit_16_bits_also_on_processors_without_vnni(conv_weights, tmp_path):
    """Two neighbouring products of a code of 8 bits and a weight, which older processors add in 16 bits."""
    load_extractor("vgg16-rmac-ml@int8", conv_weights)
    (file,) = (tmp_path / "cache/weights").glob("*.onnx")
    constants = [onnx.numpy_helper.to_array(each) for each in onnx.load(file).graph.initializer]
    codes = [each for each in constants if each.dtype == np.int8]
    assert len(codes) == len(CONVOLUTIONS)
    assert {int(np.abs(each).max()) for each in codes} == {64}
    assert 2 * 255 * 64 < 2**15


def test_int8_has_a_map_near_to_that_of_float(conv_weights):
    exact, quantised = (load_extractor(name, conv_weights) for name in ("vgg16-spoc", "vgg16-spoc@int8"))
    maps = mapper_of(quantised)(probe_pixels(224))
    pooled = maps.mean(axis=(1, 2))
    pooled /= np.linalg.norm(pooled, axis=1, keepdims=True)
    np.testing.assert_allclose(pooled, quantised.extract(probe_pixels(224)), atol=1e-5)
    other = mapper_of(exact)(probe_pixels(224))
    assert np.corrcoef(maps.ravel(), other.ravel())[0, 1] > 0.95


def test_int8_vectors_do_not_depend_on_the_batch(conv_weights):
    extractor = load_extractor("vgg16-rmac@int8", conv_weights)
    pictures = np.random.default_rng(0).integers(0, 256, (18, 224, 224, 3), dtype=np.uint8)
    whole = extractor.extract(pictures)
    np.testing.assert_allclose(extractor.extract(pictures[17:]), whole[17:], atol=1e-5)


def test_one_pass_of_several_presets_gives_what_each_gives_alone(conv_weights):
    names = ["vgg16-rmac@int8", "vgg16-mac@int8"]
    together = load_extractors(names, conv_weights).extract(probe_pixels(224))
    for name in names:
        alone = load_extractor(name, conv_weights)
        np.testing.assert_allclose(together[name], alone.extract(probe_pixels(224)), atol=1e-5)


def test_the_file_is_made_once_and_again_where_it_is_damaged(conv_weights, cache):
    first = load_extractor("vgg16-rmac@int8", conv_weights)
    (file,) = (cache / "weights").glob("*.onnx")
    assert file.name == f"vgg16-rmac@int8-{first.spec.weights_digest[:12]}-map.onnx"
    whole = file.read_bytes()
    assert len(whole) < 16e6
    file.write_bytes(whole[:-1000])
    again = load_extractor("vgg16-rmac@int8", conv_weights)
    assert file.read_bytes() == whole  # weights and ranges alone decide it
    assert again.spec == first.spec


def test_a_cache_that_cannot_be_written_costs_only_time(conv_weights, cache):
    cache.write_text("a file where the folder would be")
    assert load_extractor("vgg16-rmac@int8", conv_weights).extract(probe_pixels(224)).shape == (2, 512)


@pytest.mark.parametrize("name", [name for name in PRESETS if PRESETS[name].network == "vgg16-conv"])
def test_the_kit_has_the_ranges_of_every_preset(name):
    ranges = int8.kit_ranges().of({name: PRESETS[name]})
    assert len(ranges) == len(CONVOLUTIONS) * len(PRESETS[name].sides)
    assert all(1 < value < 1e5 and float(f"{value:.3g}") == value for value in ranges.values())


def test_the_ranges_belong_to_the_published_weights(conv_weights, tmp_path):
    tensors = read(conv_weights, NETWORKS["vgg16-conv"])
    assert int8.kit_ranges().weights == int8.convolutions_digest(tensors)
    kernel, bias = tensors["block1_conv1"]
    write_npz(tmp_path / "tuned.npz", tensors | {"block1_conv1": (kernel * 2, bias)}, "a test")
    with pytest.raises(WeightsNotFound, match=r"ranges for int8 belong to VGG16's published weights .*--calibrate"):
        load_extractor("vgg16-rmac@int8", tmp_path / "tuned.npz")


@pytest.fixture
def photographs(tmp_path):
    for i in range(6):
        paint(tmp_path / f"photographs/{'warm' if i % 2 else 'cold'}/{i}.png", (200, 40 * i, 255 - 40 * i))
    return tmp_path / "photographs"


def test_calibrating_on_own_pictures_makes_a_file_that_is_another_extractor(conv_weights, photographs, tmp_path):
    file = tmp_path / "mine.onnx"
    found = quantise("vgg16-rmac", photographs, conv_weights, file, force=True)
    assert found.pictures == 6
    assert found.least > 0.9
    assert quantise("vgg16-rmac", photographs, conv_weights, file, force=True) == found
    mine, kits = load_extractor("vgg16-rmac@int8", file), load_extractor("vgg16-rmac@int8", conv_weights)
    assert [line.split(":")[0] for line in mine.spec.differences(kits.spec)] == ["weights_digest"]
    assert mine.extract(probe_pixels(224)).shape == (2, 512)
    with pytest.raises(WeightsNotFound, match=r"holds vgg16-rmac@int8, not vgg16-mac@int8"):
        load_extractor("vgg16-mac@int8", file)


def test_ranges_are_written_as_the_kit_keeps_them(conv_weights, photographs, tmp_path, monkeypatch):
    monkeypatch.setattr(fidelity, "PRECISION_LOSS", 1)
    for _ in range(2):  # it may be written over
        quantise("vgg16-rmac@int8", photographs, conv_weights, tmp_path / "ranges.json")
    ranges = int8.Ranges(**json.loads((tmp_path / "ranges.json").read_text()))
    assert ranges.weights == int8.kit_ranges().weights
    assert list(ranges.largest) == [f"224/{layer}" for layer in CONVOLUTIONS]


def test_a_form_too_far_from_float_is_refused_and_not_written(conv_weights, photographs, tmp_path, monkeypatch):
    monkeypatch.setattr(fidelity, "OVERLAP", 1.1)
    with pytest.raises(KitError, match=r"too far from float \(overlap \d.\d+ < 1.1"):
        quantise("vgg16-rmac", photographs, conv_weights, tmp_path / "far.onnx")
    assert not (tmp_path / "far.onnx").exists()


def test_what_cannot_be_quantised_is_refused(conv_weights, photographs, tmp_path):
    with pytest.raises(BadQuery, match=r"Name a file that ends in .onnx or .json"):
        quantise("vgg16-rmac", photographs, conv_weights, tmp_path / "x.bin")
    (tmp_path / "mine.onnx").write_bytes(b"another program's network")
    with pytest.raises(BadQuery, match=r"imgsearch did not write it"):
        quantise("vgg16-rmac", photographs, conv_weights, tmp_path / "mine.onnx")
    with pytest.raises(BadQuery, match=r"no extractor named 'vgg19'"):
        quantise("vgg19", photographs, conv_weights)
    shutil.rmtree(photographs / "warm")
    for file in sorted((photographs / "cold").iterdir())[1:]:
        file.unlink()
    with pytest.raises(BadQuery, match=r"has 1 readable pictures; at least 2"):
        quantise("vgg16-rmac", photographs, conv_weights)


def test_fidelity_counts_shared_neighbours_and_hits():
    exact = np.eye(4, dtype=np.float32)
    swapped = exact[[1, 0, 2, 3]]
    found = fidelity.fidelity(exact, swapped, ["a", "a", "b", None])
    assert (found.pictures, found.least, found.mean) == (4, 0.0, 0.5)
    assert found.overlap == 1  # of four pictures, all other three are near
    assert found.precision == found.float_precision == pytest.approx(1 / 3)
    assert fidelity.fidelity(exact, exact, [None] * 4).precision is None
