"""VGG16 against Keras's own, and the promises of an extractor on the published convolution weights."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.extractors import PRESETS, load_extractor, load_extractors, probe_pixels, vgg16, weight_files
from imgsearch_kit.extractors.base import mapper_of
from imgsearch_kit.extractors.joint import NETWORK_BATCH
from imgsearch_kit.extractors.loading import ENGINES
from imgsearch_kit.extractors.tensorflow import forward

POOLED = ["vgg16-rmac", "vgg16-spoc", "vgg16-mac", "vgg16-gem"]


@pytest.fixture(scope="module", params=ENGINES)
def joint(request, conv_weights):
    return load_extractors(POOLED, conv_weights, engine=request.param)


@pytest.fixture(scope="module")
def pixels():
    """21 pictures: the probes, their mirror images and shifts, and noise; more than one batch."""
    rng = np.random.default_rng(21)
    probes = probe_pixels(224)
    shifted = [np.roll(probes[i % 2], 20 * i, axis=i % 3 // 2) for i in range(1, 12)]
    noise = rng.integers(0, 256, (6, 224, 224, 3), dtype=np.uint8)
    return np.concatenate([probes, probes[:, :, ::-1], shifted, noise])


def keras_layer(model, layer, pixels):
    import keras

    inputs = keras.applications.vgg16.preprocess_input(pixels.astype(np.float32))
    return keras.Model(model.input, model.get_layer(layer).output).predict(inputs, verbose=0)


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("engine", ENGINES)
def test_fc1_equals_keras_from_the_same_file(random_vgg16, engine):
    model, path = random_vgg16
    said = []
    extractor = load_extractor("vgg16-fc1", path, engine=engine, say=said.append)
    pixels = probe_pixels(224)
    expected = unit(keras_layer(model, "fc1", pixels))
    np.testing.assert_allclose(extractor.extract(pixels), expected, atol=1e-6)
    last = keras_layer(model, "block5_conv3", pixels)
    np.testing.assert_allclose(mapper_of(extractor)(pixels), last, atol=1e-5 * last.max())

    layers = [layer for layer in model.layers if layer.weights][:14]  # 13 convolutions and fc1
    digest = weight_files.digest({layer.name: tuple(layer.get_weights()) for layer in layers})
    spec = extractor.spec
    assert (spec.name, spec.dim, spec.layer, spec.resampling) == ("vgg16-fc1", 4096, "fc1", "bicubic")
    assert spec.weights_digest == digest
    assert said == [f"Weights of vgg16 from the file given: {path} (sha256 of the tensors {digest[:12]})."]


@pytest.mark.parametrize("engine", ENGINES)
def test_the_convolution_map_equals_keras_and_the_whole_file_serves_for_it(random_vgg16, engine):
    model, path = random_vgg16
    pixels = probe_pixels(224)
    maps = keras_layer(model, "block5_conv3", pixels)
    vectors = load_extractors(["vgg16-spoc", "vgg16-mac"], path, engine=engine).extract(pixels)
    np.testing.assert_allclose(vectors["vgg16-spoc"], unit(maps.mean((1, 2))), atol=1e-6)
    np.testing.assert_allclose(vectors["vgg16-mac"], unit(maps.max((1, 2))), atol=1e-6)


def test_a_picture_gives_the_same_vector_alone_and_in_any_batch(joint, pixels):
    whole = joint.extract(pixels)
    for name in POOLED:
        assert whole[name].shape == (len(pixels), 512)
    for start, stop in [(0, 1), (20, 21), (3, 6), (0, NETWORK_BATCH), (2, 2 + NETWORK_BATCH)]:
        part = joint.extract(pixels[start:stop])
        for name in POOLED:
            np.testing.assert_allclose(part[name], whole[name][start:stop], atol=1e-5)
    backwards = joint.extract(pixels[::-1])
    np.testing.assert_allclose(backwards["vgg16-rmac"][::-1], whole["vgg16-rmac"], atol=1e-5)


def test_one_pass_gives_what_each_extractor_gives_alone(joint, pixels, conv_weights):
    together = joint.extract(pixels[:3])
    for name in POOLED:
        alone = load_extractor(name, conv_weights, engine=joint.specs[name].engine)
        np.testing.assert_allclose(alone.extract(pixels[:3]), together[name], atol=1e-6)
        assert alone.spec == joint.specs[name]


def test_no_picture_gives_no_vector(joint):
    assert joint.extract(np.zeros((0, 224, 224, 3), np.uint8))["vgg16-rmac"].shape == (0, 512)


def test_threads_get_their_own_answers(joint, pixels):
    expected = joint.extract(pixels)["vgg16-rmac"]
    slices = [slice(i % 20, i % 20 + 1 + i % 2) for i in range(24)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda part: joint.extract(pixels[part])["vgg16-rmac"], slices))
    for part, answer in zip(slices, answers, strict=True):
        np.testing.assert_allclose(answer, expected[part], atol=1e-5)


def test_the_same_pictures_moved_a_little_stay_near(joint, pixels):
    vectors = joint.extract(pixels)["vgg16-rmac"]
    mirrored = np.einsum("nd,nd->n", vectors[:2], vectors[2:4])
    assert mirrored.min() > vectors[0] @ vectors[1]  # a picture is nearer to its mirror image than to the other probe
    assert mirrored.min() > (vectors[:2] @ vectors[-6:].T).max()  # and than to noise


def test_colour_is_read_as_rgb(joint):
    red, blue = np.zeros((2, 1, 224, 224, 3), np.uint8)
    red[..., 0], blue[..., 2] = 255, 255
    swapped = joint.extract(np.concatenate([red, blue, red[..., ::-1]]))["vgg16-spoc"]
    np.testing.assert_allclose(swapped[1], swapped[2], atol=1e-6)
    assert swapped[0] @ swapped[1] < 0.99


def test_a_larger_side_makes_a_larger_map(conv_weights):
    preset = dataclasses.replace(PRESETS["vgg16-rmac"], side=320)
    tensors = weight_files.read(conv_weights, vgg16.NETWORKS["vgg16-conv"])
    traced = forward(tensors, [preset])
    (at_320,) = traced(probe_pixels(320))
    (at_224,) = traced(probe_pixels(224))
    near = np.einsum("nd,nd->n", unit(at_320.numpy()), unit(at_224.numpy()))
    assert near.min() > 0.8  # the same pictures, nearer to themselves than to each other
    assert near.min() > unit(at_320.numpy())[0] @ unit(at_224.numpy())[1]


def test_two_scales_are_two_vectors_of_equal_weight(joint, conv_weights):
    both = load_extractor("vgg16-rmac-ms", conv_weights)
    picture = probe_pixels(320)
    vectors = both.extract(picture)
    assert (both.spec.dim, both.spec.side, vectors.shape) == (1024, 320, (2, 1024))
    np.testing.assert_allclose(np.linalg.norm(vectors[:, :512], axis=1), np.sqrt(0.5), atol=1e-5)
    np.testing.assert_allclose(both.extract(picture[:1]), vectors[:1], atol=1e-5)
    tensors = weight_files.read(conv_weights, vgg16.NETWORKS["vgg16-conv"])
    (large,) = forward(tensors, [dataclasses.replace(PRESETS["vgg16-rmac"], side=320)])(picture)
    np.testing.assert_allclose(unit(vectors[:, :512]), unit(large.numpy()), atol=1e-4)
    small = np.stack([Image.fromarray(each).resize((224, 224), Image.Resampling.BILINEAR) for each in picture])
    same = np.einsum("nd,nd->n", unit(vectors[:, 512:]), joint.extract(small)["vgg16-rmac"])
    assert same.min() > 0.999  # TensorFlow's antialiased resizing is near Pillow's, not equal to it


def test_weights_that_give_nothing_are_noticed(tmp_path):
    nothing = {
        layer: (np.zeros(shape, np.float32), np.zeros(shape[-1], np.float32))
        for layer, shape in vgg16.NETWORKS["vgg16-conv"].items()
    }
    weight_files.write_npz(tmp_path / "zero.npz", nothing, "a test")
    extractor = load_extractor("vgg16-rmac", tmp_path / "zero.npz")
    with pytest.raises(BadQuery, match=r"vgg16-rmac makes no valid vector of row 0 of 2: its norm is 0.*weights"):
        extractor.extract(probe_pixels(224))


def test_pixels_of_another_side_are_refused(joint):
    with pytest.raises(BadQuery, match=r"shape \(n, 224, 224, 3\); these have \(2, 320, 320, 3\)"):
        joint.extract(probe_pixels(320))


def test_an_unknown_name_is_answered_with_the_names():
    with pytest.raises(BadQuery, match=r"no extractor named 'vgg16-rmca'. Did you mean vgg16-rmac") as caught:
        load_extractor("vgg16-rmca")
    assert all(name in str(caught.value) for name in [*PRESETS, "keras:NAME"])


@pytest.mark.parametrize("other", ["vgg16-fc1", "keras:MobileNetV2", "vgg16-rmac"])
def test_other_networks_cannot_share_a_pass(other):
    with pytest.raises(BadQuery, match=f"vgg16-rmac, {other} cannot be computed in one pass.*Load each separately"):
        load_extractors(["vgg16-rmac", other])
