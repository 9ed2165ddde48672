"""Reads weight files: the Keras, NumPy and ONNX formats of one network, checked layer by layer."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from imgsearch_kit.errors import BadQuery, KitError, WeightsNotFound
from imgsearch_kit.files import write_whole

Tensors = dict[str, tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]  # layer -> kernel, bias
Shapes = Mapping[str, tuple[int, ...]]  # layer -> shape of the kernel, in Keras's order and layout (HWIO, in x out)


def read(path: Path, shapes: Shapes) -> Tensors:
    """The kernels and biases of the layers in ``shapes``, in that order, as C-contiguous float32.

    The suffix gives the format: Keras ``.h5`` (whole model or weights only, old or new), ``.weights.h5``, ``.keras``,
    ``.npz`` with arrays ``LAYER/kernel`` and ``LAYER/bias``, ``.onnx`` (layers in graph order, with any names).

    :raises WeightsNotFound: when the file is absent, damaged, or a layer is missing or has another shape.
    :raises BadQuery: when the suffix is none of these.
    """
    readers = {".h5": _read_h5, ".keras": _read_keras, ".npz": _read_npz, ".onnx": _read_onnx}
    form = path.suffix.lower()
    if form not in readers:
        raise BadQuery(f"Weights cannot be read from {path.name!r}. Give a file that ends in {', '.join(readers)}.")
    if not path.is_file():
        raise WeightsNotFound(f"There is no weights file at {path}. Check the path.")
    try:
        found = readers[form](path, shapes)
    except KitError:
        raise
    except Exception as error:  # each format's library has its own errors for a damaged file
        raise WeightsNotFound(
            f"{path} cannot be read as weights ({_first_line(error)}): it is incomplete, damaged, or of another kind. "
            "Download it again, or give another file: --weights PATH"
        ) from error
    return {layer: _checked(path, layer, shape, found.get(layer, [])) for layer, shape in shapes.items()}


def digest(tensors: Tensors) -> str:
    """The sha256 of the tensors, in hex: kernel and bias of each layer in order, as little-endian float32."""
    sha = hashlib.sha256()
    for pair in tensors.values():
        for tensor in pair:
            sha.update(np.ascontiguousarray(tensor, "<f4").data)
    return sha.hexdigest()


def write_npz(path: Path, tensors: Tensors, source: str) -> None:
    """Writes the tensors and their source atomically as an ``.npz`` that ``read`` accepts."""
    arrays: dict[str, Any] = {"source": np.array(source)}
    for layer, (kernel, bias) in tensors.items():
        arrays |= {f"{layer}/kernel": kernel, f"{layer}/bias": bias}
    with write_whole(path) as whole:
        np.savez(whole, **arrays)


def _checked(path: Path, layer: str, shape: tuple[int, ...], found: list[Any]) -> Any:
    wanted = [shape, shape[-1:]]
    shapes = [np.shape(tensor) for tensor in found]
    if shapes != wanted:
        holds = " and ".join(map(str, shapes)) or "no such layer"
        raise WeightsNotFound(
            f"{path} does not contain this network: layer {layer} needs a kernel and a bias of shapes "
            f"{wanted[0]} and {wanted[1]}; the file has {holds}. Give the weights of Keras's VGG16: --weights PATH"
        )
    tensors = tuple(np.ascontiguousarray(tensor, np.float32) for tensor in found)
    if not all(np.isfinite(tensor).all() for tensor in tensors):
        raise WeightsNotFound(f"{path} is damaged: layer {layer} has values that are not finite. Download it again.")
    return tensors


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:160]


def _read_npz(path: Path, shapes: Shapes) -> dict[str, list[Any]]:
    with np.load(path, allow_pickle=False) as file:
        names = {layer: (f"{layer}/kernel", f"{layer}/bias") for layer in shapes}
        return {layer: [file[name] for name in pair if name in file] for layer, pair in names.items()}


def _read_h5(path: Path, shapes: Shapes) -> dict[str, list[Any]]:
    import h5py

    with h5py.File(path) as file:
        return _h5_layers(file, shapes)


def _read_keras(path: Path, shapes: Shapes) -> dict[str, list[Any]]:
    import h5py

    with zipfile.ZipFile(path) as archive, archive.open("model.weights.h5") as member, h5py.File(member) as file:
        return _h5_layers(file, shapes)


def _h5_layers(file: Any, shapes: Shapes) -> dict[str, list[Any]]:
    """Both of Keras's layouts: groups that list their ``weight_names``, and ``vars`` groups numbered from 0."""
    layers: dict[str, list[Any]] = {}
    # Before Keras 3.8 a vars group had no layer name, only the layer's class and its number among layers of that class.
    convolutions = [layer for layer, shape in shapes.items() if len(shape) == 4]
    dense = [layer for layer, shape in shapes.items() if len(shape) == 2]
    unnamed = _numbered("conv2d", convolutions) | _numbered("dense", dense)

    def visit(name: str, item: Any) -> None:
        group = name.split("/")
        if "weight_names" in item.attrs:
            layer, keys = group[-1], [_text(key) for key in item.attrs["weight_names"]]
        elif group[-1] == "vars" and len(group) > 1:
            layer, keys = _text(item.attrs.get("name", unnamed.get(group[-2], ""))), sorted(item, key=int)
        else:
            return
        if layer in shapes and keys:
            layers[layer] = [np.asarray(item[key]) for key in keys]

    file.visititems(visit)
    return layers


def _numbered(kind: str, layers: list[str]) -> dict[str, str]:
    return {kind if i == 0 else f"{kind}_{i}": layer for i, layer in enumerate(layers)}


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _read_onnx(path: Path, shapes: Shapes) -> dict[str, list[Any]]:
    """Layers in graph order: convolutions from OIHW to HWIO, and the first dense layer with its rows in HWC order."""
    import onnx

    graph = onnx.load(path).graph
    arrays = {tensor.name: tensor for tensor in graph.initializer}
    convolutions = iter([layer for layer, shape in shapes.items() if len(shape) == 4])
    dense = iter([layer for layer, shape in shapes.items() if len(shape) == 2])
    layers: dict[str, list[Any]] = {}
    last: list[Any] = []
    channels_last = False
    for node in graph.node:
        held = [onnx.numpy_helper.to_array(arrays[name]) for name in node.input if name in arrays]
        channels_last |= node.op_type == "Transpose" and bool(layers)
        if node.op_type == "Conv" and (layer := next(convolutions, "")):
            last = layers[layer] = [held[0].transpose(2, 3, 1, 0), *held[1:]]
            channels = held[0].shape[0]
        elif node.op_type in ("MatMul", "Gemm") and (layer := next(dense, "")):
            kernel = held[0].T if any(a.name == "transB" and a.i for a in node.attribute) else held[0]
            if not channels_last:
                kernel = kernel.reshape(channels, -1, kernel.shape[1]).swapaxes(0, 1).reshape(kernel.shape)
            last = layers[layer] = [kernel, *held[1:]]
        elif node.op_type == "Add" and len(last) == 1:  # MatMul's bias is a separate node
            last += held
    return layers
