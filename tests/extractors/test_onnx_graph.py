"""The ONNX graph against TensorFlow, which computes the same layers in another way."""

from __future__ import annotations

import dataclasses

import numpy as np
import onnx
import pytest
from PIL import Image

from imgsearch_kit.errors import BadQuery, MissingExtra
from imgsearch_kit.extractors import PRESETS, devices, load_extractor, load_extractors, loading, probe_pixels, vgg16
from imgsearch_kit.extractors import tensorflow as tensorflow_engine
from imgsearch_kit.extractors.base import Preset, mapper_of
from imgsearch_kit.extractors.loading import ENGINES, default_engine
from imgsearch_kit.extractors.onnx_graph import graph, resizing
from imgsearch_kit.extractors.onnxruntime import GraphRun
from imgsearch_kit.extractors.tensorflow import forward, last_maps, traced
from imgsearch_kit.extractors.vgg16 import CONVOLUTIONS

LAYERS = (("block5_conv2", 1.0), ("block4_conv3", 0.5))
SMALL = {  # every pooling, two sides and three layers, at sides that are quick
    **{name: Preset("vgg16", "block5_conv3", name, 512, side=64) for name in ("spoc", "mac", "gem", "rmac")},
    "two-sides": Preset("vgg16", "block5_conv3", "rmac", 1024, side=64, scales=(48,)),
    "three-layers": Preset("vgg16", "block5_conv3", "rmac", 1536, side=64, further=LAYERS),
    "both": Preset("vgg16", "block5_conv3", "rmac", 3072, side=64, scales=(48,), further=LAYERS),
}


@pytest.fixture(scope="module")
def tensors():
    """VGG16's convolutions with random weights that keep activations of about the same size, and an fc1."""
    rng = np.random.default_rng(16)
    shapes = CONVOLUTIONS | {"fc1": vgg16.NETWORKS["vgg16"]["fc1"]}

    def drawn(shape):
        kernel = rng.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / np.prod(shape[:-1])))
        return kernel, rng.standard_normal(shape[-1], np.float32)

    return {layer: drawn(shape) for layer, shape in shapes.items()}


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def pixels(n, side, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


def test_every_pooling_side_and_layer_equals_tensorflow_in_any_batch(tensors):
    made = graph(tensors, SMALL)
    onnx.checker.check_model(made)
    run, reference = GraphRun(made.SerializeToString()), traced(forward(tensors, list(SMALL.values())))
    pictures = pixels(5, 64)
    expected = [unit(rows) for rows in reference(pictures)]
    for batch in (slice(0, 5), slice(1, 2), slice(2, 4)):
        for name, rows, wanted in zip(SMALL, run(pictures[batch]), expected, strict=True):
            assert rows.shape == wanted[batch].shape, name
            np.testing.assert_allclose(rows, wanted[batch], atol=1e-5, err_msg=name)
            np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_the_last_map_equals_tensorflows_and_pools_to_the_vectors(tensors):
    run, reference = GraphRun(graph(tensors, SMALL).SerializeToString()), last_maps(tensors)
    pictures = pixels(3, 64)
    maps = run.mapper(pictures)
    assert maps.shape == (3, 4, 4, 512)
    assert maps.min() == 0  # after the ReLU
    assert maps.flags["C_CONTIGUOUS"]
    scale = maps.max()
    np.testing.assert_allclose(maps / scale, reference(pictures) / scale, atol=1e-5)
    vectors = dict(zip(SMALL, run(pictures), strict=True))
    np.testing.assert_allclose(vectors["spoc"], unit(maps.mean(axis=(1, 2))), atol=1e-5)
    np.testing.assert_allclose(vectors["mac"], unit(maps.max(axis=(1, 2))), atol=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_extractor_gives_its_map_in_any_batch_and_refuses_other_pixels(conv_weights, engine):
    extractor = load_extractor("vgg16-spoc", conv_weights, engine=engine)
    count = 18 if engine == "onnxruntime" else 2  # more than one batch of the fast engine
    pictures = np.resize(probe_pixels(224), (count, 224, 224, 3))
    maps = mapper_of(extractor)(pictures)
    assert maps.shape == (count, 14, 14, 512)
    np.testing.assert_allclose(unit(maps.mean(axis=(1, 2))), extractor.extract(pictures), atol=1e-5)
    with pytest.raises(BadQuery, match=r"must have shape \(n, 224, 224, 3\)"):
        mapper_of(extractor)(pixels(1, 64))


def test_the_published_weights_give_the_same_vectors_on_both_engines(conv_weights):
    names = ["vgg16-rmac", "vgg16-spoc", "vgg16-mac", "vgg16-gem"]
    one, other = (load_extractors(names, conv_weights, engine=engine) for engine in ENGINES)
    mine, theirs = one.extract(probe_pixels(224)), other.extract(probe_pixels(224))
    for name in names:
        np.testing.assert_allclose(mine[name], theirs[name], atol=1e-5)
        assert one.specs[name].differences(other.specs[name]) == []
        assert (one.specs[name].engine, other.specs[name].engine) == ENGINES


def test_weights_in_onnx_form_are_standard_operators_only(tensors):
    made = graph(tensors, SMALL)
    assert {node.domain for node in made.graph.node} == {""}
    assert [entry.version for entry in made.opset_import] == [17]
    assert [(one.name, one.type.tensor_type.shape.dim[1].dim_value) for one in made.graph.output] == [
        *((name, preset.dim) for name, preset in SMALL.items()),
        ("last_map", 512),
    ]


def test_the_resizing_keeps_brightness_and_equals_pillow_within_its_rounding():
    matrix = resizing(320, 224)
    np.testing.assert_allclose(matrix.sum(1), 1, atol=1e-6)
    picture = probe_pixels(320)[0]
    channel = picture[..., 0].astype(np.float32)
    pillow = np.asarray(Image.fromarray(picture).resize((224, 224), Image.Resampling.BILINEAR))[..., 0]
    assert np.abs(matrix @ channel @ matrix.T - pillow).max() < 1.5  # Pillow rounds twice, to whole numbers


@pytest.mark.parametrize(
    ("driver", "visible", "installed", "engine"),
    [
        (True, None, True, "tensorflow"),
        (True, "0", True, "tensorflow"),
        (True, "", True, "onnxruntime"),  # devices hidden
        (True, "-1", True, "onnxruntime"),
        (True, None, False, "onnxruntime"),  # no TensorFlow that could use the device
        (False, None, True, "onnxruntime"),
    ],
)
def test_tensorflow_computes_only_where_it_can_use_a_device(monkeypatch, tmp_path, driver, visible, installed, engine):
    monkeypatch.setattr(devices, "NVIDIA_DRIVER", tmp_path if driver else tmp_path / "none")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    def version(name):
        if not installed:
            raise loading.importlib.metadata.PackageNotFoundError(name)
        return "2.21"

    monkeypatch.setattr(loading.importlib.metadata, "version", version)
    assert default_engine() == engine


def test_an_engine_that_does_not_fit_is_refused(conv_weights, monkeypatch):
    with pytest.raises(BadQuery, match=r"no engine named 'torch'. Choose from onnxruntime, tensorflow"):
        load_extractor("vgg16-rmac", conv_weights, engine="torch")
    with pytest.raises(BadQuery, match=r"keras:MobileNetV2 runs on tensorflow only. Leave --engine out"):
        load_extractor("keras:MobileNetV2", engine="onnxruntime")
    with pytest.raises(BadQuery, match=r"vgg16-rmac@int8 runs on onnxruntime only"):
        load_extractor("vgg16-rmac@int8", conv_weights, engine="tensorflow")
    monkeypatch.setitem(__import__("sys").modules, "tensorflow", None)
    tensorflow_engine._imported.cache_clear()
    with pytest.raises(MissingExtra, match=r"tensorflow is not installed. Type: .*imgsearch-kit\[tensorflow\]"):
        load_extractor("vgg16-rmac", conv_weights, engine="tensorflow")


def test_two_scales_of_the_published_weights_equal_tensorflow(conv_weights):
    one, other = (load_extractor("vgg16-rmac-ms", conv_weights, engine=engine) for engine in ENGINES)
    np.testing.assert_allclose(one.extract(probe_pixels(320)), other.extract(probe_pixels(320)), atol=1e-5)
    assert dataclasses.replace(one.spec, engine="tensorflow") == other.spec
    assert one.spec.dim == PRESETS["vgg16-rmac-ms"].dim
