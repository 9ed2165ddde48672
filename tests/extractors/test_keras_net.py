"""Networks of keras.applications as extractors."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from imgsearch_kit.errors import BadQuery, WeightsNotFound
from imgsearch_kit.extractors import load_extractor, probe_pixels
from imgsearch_kit.extractors.keras_net import SIDES
from imgsearch_kit.extractors.tensorflow import tensorflow


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    """Keras has an empty cache (it reads KERAS_HOME only once) and reaches nothing."""
    tensorflow()
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path))
    monkeypatch.setattr("urllib.request._opener", None)  # it keeps the proxies it was made with, for every later test
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """MobileNetV2 without its top, with random weights, and the file it was saved in."""
    tensorflow()
    import keras

    model = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(224, 224, 3), pooling="avg")
    path = tmp_path_factory.mktemp("net") / "mobilenet.weights.h5"
    model.save_weights(path)
    return model, path


def test_vectors_equal_the_networks_own_pooled_output(small):
    import keras

    model, path = small
    said = []
    extractor = load_extractor("keras:MobileNetV2", path, say=said.append)
    pixels = probe_pixels(224)
    inputs = keras.applications.mobilenet_v2.preprocess_input(pixels.astype(np.float32))
    expected = model.predict(inputs, verbose=0)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(extractor.extract(pixels), expected, atol=1e-5)
    spec = extractor.spec
    assert (spec.name, spec.dim, spec.side, spec.pooling) == ("keras:MobileNetV2", 1280, 224, "spoc")
    assert spec.preprocessing == "keras-mobilenet_v2"
    assert said == [f"Weights of keras:MobileNetV2 from {path} (sha256 of the tensors {spec.weights_digest[:12]})."]


def test_the_digest_follows_the_weights_not_the_file(small, tmp_path):
    model, path = small
    model.save(tmp_path / "again.keras")
    first = load_extractor("keras:MobileNetV2", path).spec
    assert load_extractor("keras:MobileNetV2", tmp_path / "again.keras").spec == first
    weights = model.get_weights()
    model.set_weights([weights[0] + 1, *weights[1:]])
    model.save_weights(tmp_path / "other.weights.h5")
    model.set_weights(weights)
    assert load_extractor("keras:MobileNetV2", tmp_path / "other.weights.h5").spec.differences(first) != []


def test_weights_of_another_network_are_refused(small):
    with pytest.raises(WeightsNotFound, match=r"mobilenet.weights.h5 does not contain the weights of keras:MobileNet "):
        load_extractor("keras:MobileNet", small[1])
    with pytest.raises(WeightsNotFound, match=r"There is no weights file at .*absent.h5"):
        load_extractor("keras:MobileNet", small[1].parent / "absent.h5")


@pytest.mark.parametrize("group", ["layers", "layers/conv2d_7", "layers/batch_normalization_3/vars"])
def test_a_file_that_lacks_a_layer_is_refused_and_not_half_loaded(small, tmp_path, group):
    import h5py

    path = tmp_path / "less.weights.h5"
    path.write_bytes(small[1].read_bytes())
    with h5py.File(path, "r+") as file:
        del file[group]
    with pytest.raises(WeightsNotFound, match=r"less.weights.h5 does not contain the weights of keras:MobileNetV2"):
        load_extractor("keras:MobileNetV2", path)


def test_without_weights_the_error_says_what_to_give():
    with pytest.raises(
        WeightsNotFound, match=r"Keras could not download the weights of keras:MobileNetV3Small .*--weights"
    ):
        load_extractor("keras:MobileNetV3Small")


def test_an_unknown_network_is_answered_with_the_names():
    with pytest.raises(BadQuery, match=r"'ResNet51'. Did you mean keras:ResNet50.* ConvNeXtBase, .*VGG16, .*Xception"):
        load_extractor("keras:ResNet51")


def test_input_sides_are_those_the_networks_were_trained_at():
    """Keras names the side when a network with its top is asked for at another one; MobileNetV3 takes any."""
    tensorflow()
    import keras

    names = [n for n in dir(keras.applications) if n[0].isupper() and not n.startswith("MobileNetV3")]
    assert set(SIDES) < set(names)
    for name in names:
        with pytest.raises(ValueError, match=r"\(\d+, \d+, 3\)") as caught:
            getattr(keras.applications, name)(include_top=True, weights="imagenet", input_shape=(17, 17, 3))
        assert f"({SIDES.get(name, 224)}, {SIDES.get(name, 224)}, 3)" in re.sub("None, ", "", str(caught.value))


PROGRAM = """
import sys, numpy
from pathlib import Path
from imgsearch_kit import KitError
from imgsearch_kit.extractors import load_extractor, probe_pixels
try:
    numpy.save(sys.argv[2], load_extractor("keras:MobileNetV2", Path(sys.argv[1])).extract(probe_pixels(224)))
except KitError as error:
    sys.exit(str(error))
"""


def extracted_by_a_process(small, folder, settings, **variables):
    """The vectors of the probe pictures where Keras finds these settings, or what was said instead."""
    (folder / "keras.json").write_text(settings)
    command = [sys.executable, "-c", PROGRAM, str(small[1]), str(folder / "vectors.npy")]
    environment = os.environ | {"KERAS_HOME": str(folder)} | variables
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, timeout=300, check=False)
    return done.stderr if done.returncode else np.load(folder / "vectors.npy")


@pytest.fixture(scope="module")
def usual(small):
    return load_extractor("keras:MobileNetV2", small[1]).extract(probe_pixels(224))


def test_vectors_are_the_same_whatever_keras_reads(small, usual, tmp_path):
    settings = {"image_data_format": "channels_first", "floatx": "float16", "backend": "torch", "epsilon": 0.5}
    variables = {
        "KERAS_BACKEND": "jax",
        "KERAS_MAX_EPOCHS": "none",
        "TF_USE_LEGACY_KERAS": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }
    found = extracted_by_a_process(small, tmp_path, json.dumps(settings), **variables)
    np.testing.assert_allclose(found, usual, atol=1e-5)


def test_a_settings_file_that_stops_keras_is_named(small, tmp_path):
    said = extracted_by_a_process(small, tmp_path, json.dumps({"floatx": "float8"}))
    assert re.search(
        r"^Keras cannot be loaded \(Invalid `floatx`.*\)\. Correct or delete .*/keras\.json\.$", said, re.M
    )


def test_vectors_are_the_same_whatever_the_program_has_set(small, usual):
    import keras

    before = keras.config.floatx(), keras.config.image_data_format(), keras.config.dtype_policy()
    try:
        keras.config.set_floatx("float16")
        keras.config.set_image_data_format("channels_first")
        keras.config.set_dtype_policy("mixed_float16")
        found = load_extractor("keras:MobileNetV2", small[1]).extract(probe_pixels(224))
        assert (keras.config.floatx(), keras.config.image_data_format()) == ("float16", "channels_first")
        assert keras.config.dtype_policy().name == "mixed_float16"
    finally:
        keras.config.set_floatx(before[0])
        keras.config.set_image_data_format(before[1])
        keras.config.set_dtype_policy(before[2])
    np.testing.assert_allclose(found, usual, atol=1e-5)


def test_keras_on_another_backend_is_refused(monkeypatch):
    tensorflow()
    import keras

    monkeypatch.setattr(keras.config, "backend", lambda: "torch")
    with pytest.raises(BadQuery, match=r"loaded with the backend torch .* Set KERAS_BACKEND=tensorflow before"):
        load_extractor("keras:MobileNetV2")
