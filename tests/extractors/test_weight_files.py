"""A small random network in every form of file: the same tensors, the same digest, refusals by layer and shape."""

from __future__ import annotations

import hashlib
import importlib.util
import zipfile

import numpy as np
import pytest

from imgsearch_kit.errors import BadQuery, WeightsNotFound
from imgsearch_kit.extractors import weight_files
from imgsearch_kit.extractors.tensorflow import tensorflow
from tests.conftest import require

SHAPES = {"block1_conv1": (3, 3, 3, 4), "block1_conv2": (3, 3, 4, 6), "fc1": (24, 5)}


@pytest.fixture(scope="module")
def network():
    """Two convolutions and a dense layer with VGG16's names, and a layer the kit has no use for."""
    tensorflow()
    import keras

    layers = keras.layers
    noise = {"kernel_initializer": "random_normal", "bias_initializer": "random_normal"}
    return keras.Sequential(
        [
            layers.Input((4, 4, 3)),
            layers.Conv2D(4, 3, padding="same", activation="relu", name="block1_conv1", **noise),
            layers.Conv2D(6, 3, padding="same", activation="relu", name="block1_conv2", **noise),
            layers.MaxPooling2D(2, name="block1_pool"),
            layers.Flatten(name="flatten"),
            layers.Dense(5, name="fc1", **noise),
            layers.Dense(2, name="predictions", **noise),
        ]
    )


@pytest.fixture(scope="module")
def tensors(network):
    return {layer: tuple(network.get_layer(layer).get_weights()) for layer in SHAPES}


def save_onnx(path, tensors, channels_last):
    """The network as exporters write it: tf2onnx (transposed back before the dense layer) or PyTorch (flat CHW)."""
    require(importlib.util.find_spec("onnx"), "onnx", "python -m pip install onnx")
    import onnx

    make, arrays = onnx.helper.make_node, {}
    nodes = [make("Transpose", ["pixels"], ["x0"], perm=[0, 3, 1, 2])]
    for i, layer in enumerate(["block1_conv1", "block1_conv2"]):
        arrays[f"W{i}"], arrays[f"b{i}"] = tensors[layer][0].transpose(3, 2, 0, 1), tensors[layer][1]
        nodes += [make("Conv", [f"x{i}", f"W{i}", f"b{i}"], [f"c{i}"]), make("Relu", [f"c{i}"], [f"x{i + 1}"])]
    nodes.append(make("MaxPool", ["x2"], ["p"], kernel_shape=[2, 2]))
    kernel, bias = tensors["fc1"]
    if channels_last:
        arrays |= {"W": kernel, "b": bias}
        nodes += [make("Transpose", ["p"], ["t"], perm=[0, 2, 3, 1]), make("Flatten", ["t"], ["f"])]
        nodes += [make("MatMul", ["f", "W"], ["m"]), make("Add", ["m", "b"], ["y"])]
    else:
        rows_in_chw_order = [(y * 2 + x) * 6 + c for c in range(6) for y in range(2) for x in range(2)]
        arrays |= {"W": kernel[rows_in_chw_order].T, "b": bias}
        nodes += [make("Flatten", ["p"], ["f"]), make("Gemm", ["f", "W", "b"], ["y"], transB=1)]
    values = [onnx.numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in arrays.items()]
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph(nodes, "network", [], [], values)), path)


def save(network, tensors, path):
    if path.name.startswith("chw"):
        save_onnx(path, tensors, channels_last=False)
    elif path.suffix == ".onnx":
        save_onnx(path, tensors, channels_last=True)
    elif path.suffix == ".npz":
        weight_files.write_npz(path, tensors, "a test")
    elif path.name == "unnamed.weights.h5":
        save_unnamed(network, path)
    elif path.name.endswith(".weights.h5"):
        network.save_weights(path)
    elif path.name == "old_weights.h5":
        save_old(path, tensors)
    else:
        network.save(path)
    return path


def save_old(path, tensors):
    """The layout of the files Keras published in 2016."""
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.encode() for layer in tensors]
        for layer, (kernel, bias) in tensors.items():
            group = file.create_group(layer)
            group.attrs["weight_names"] = [f"{layer}_W_1:0".encode(), f"{layer}_b_1:0".encode()]
            group[f"{layer}_W_1:0"], group[f"{layer}_b_1:0"] = kernel, bias


def save_unnamed(network, path):
    """As Keras 3 wrote weights at first: without the layers' names."""
    import h5py

    network.save_weights(path)
    with h5py.File(path, "r+") as file:
        file.visititems(lambda _, item: item.attrs.pop("name", None) and None)


FILES = [
    "model.h5",
    "old_weights.h5",
    "new.weights.h5",
    "unnamed.weights.h5",
    "model.keras",
    "arrays.npz",
    "hwc.onnx",
    "chw.onnx",
]


@pytest.mark.parametrize("name", FILES)
def test_every_form_gives_the_same_tensors_and_the_same_digest(network, tensors, tmp_path, name):
    read = weight_files.read(save(network, tensors, tmp_path / name), SHAPES)
    assert list(read) == list(SHAPES)
    for layer, pair in tensors.items():
        for found, expected in zip(read[layer], pair, strict=True):
            np.testing.assert_array_equal(found, expected)
            assert found.dtype == np.float32
            assert found.flags.c_contiguous
    assert weight_files.digest(read) == weight_files.digest(tensors)


def test_the_digest_is_of_kernels_and_biases_in_layer_order(tensors):
    in_order = b"".join(tensor.astype("<f4").tobytes() for layer in SHAPES for tensor in tensors[layer])
    assert weight_files.digest(tensors) == hashlib.sha256(in_order).hexdigest()


def test_fewer_layers_than_the_file_has_can_be_read(network, tensors, tmp_path):
    first = {"block1_conv1": SHAPES["block1_conv1"]}
    for name in FILES:
        read = weight_files.read(save(network, tensors, tmp_path / name), first)
        np.testing.assert_array_equal(read["block1_conv1"][0], tensors["block1_conv1"][0])


@pytest.mark.parametrize("name", FILES)
def test_a_wrong_shape_is_refused_by_layer_with_both_shapes(network, tensors, tmp_path, name):
    path = save(network, tensors, tmp_path / name)
    with pytest.raises(WeightsNotFound, match=r"block1_conv2 needs .* \(3, 3, 4, 8\) and \(8,\); .* \(3, 3, 4, 6\)"):
        weight_files.read(path, SHAPES | {"block1_conv2": (3, 3, 4, 8)})


@pytest.mark.parametrize("name", [name for name in FILES if not name.endswith(".onnx")])  # onnx layers have no names
def test_a_missing_layer_is_refused_by_name(network, tensors, tmp_path, name):
    path = save(network, tensors, tmp_path / name)
    with pytest.raises(WeightsNotFound, match=r"layer block9_conv9 needs .* the file has no such layer"):
        weight_files.read(path, SHAPES | {"block9_conv9": (1, 1, 6, 6)})


def test_an_onnx_network_with_too_few_layers_is_refused(network, tensors, tmp_path):
    path = save(network, tensors, tmp_path / "hwc.onnx")
    with pytest.raises(WeightsNotFound, match=r"layer block1_conv3 needs .* the file has no such layer"):
        weight_files.read(path, SHAPES | {"block1_conv3": (3, 3, 6, 6)})


@pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_short_is_refused(network, tensors, tmp_path, name, share):
    path = save(network, tensors, tmp_path / name)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(WeightsNotFound, match=f"{name} (cannot be read as weights|does not contain this network)"):
        weight_files.read(path, SHAPES)


def test_a_file_of_another_kind_is_refused(tmp_path):
    for name in FILES:
        (tmp_path / name).write_text("<html>404 not found</html>" * 100)
        with pytest.raises(WeightsNotFound, match=f"{name} cannot be read as weights"):
            weight_files.read(tmp_path / name, SHAPES)
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(WeightsNotFound, match=r"model.keras cannot be read as weights .*model.weights.h5"):
        weight_files.read(tmp_path / "model.keras", SHAPES)


def test_values_that_are_not_finite_are_refused_by_layer(tensors, tmp_path):
    broken = tensors | {"fc1": (tensors["fc1"][0], np.full(5, np.nan, np.float32))}
    weight_files.write_npz(tmp_path / "a.npz", broken, "a test")
    with pytest.raises(WeightsNotFound, match="layer fc1 has values that are not finite"):
        weight_files.read(tmp_path / "a.npz", SHAPES)


def test_unknown_suffix_and_absent_file(tmp_path):
    with pytest.raises(BadQuery, match=r"'net.pth'. Give a file that ends in .h5, .keras, .npz, .onnx"):
        weight_files.read(tmp_path / "net.pth", SHAPES)
    with pytest.raises(WeightsNotFound, match=r"There is no weights file at .*absent.npz"):
        weight_files.read(tmp_path / "absent.npz", SHAPES)


def test_an_npz_is_written_whole_with_its_source_and_nothing_beside_it(tensors, tmp_path):
    weight_files.write_npz(tmp_path / "a.npz", tensors, "a test")
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        assert str(file["source"]) == "a test"
