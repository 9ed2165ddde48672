"""VGG16's presets as one ONNX graph of standard operators: uint8 pixels in, one row of unit norm per preset out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx  # slow to import: this module is imported where a graph is made

from imgsearch_kit.extractors.base import Preset
from imgsearch_kit.extractors.onnxruntime import LAST_MAP
from imgsearch_kit.extractors.vgg16 import BGR_MEANS, BLOCK_OF, BLOCKS, CONVOLUTIONS, GEM_P, LAST, rmac_regions
from imgsearch_kit.extractors.weight_files import Tensors

Largest = Mapping[str, float]  # activation of each convolution, by "SIDE/LAYER"
OPSET = 17
PIXELS = "pixels"
FLOAT = onnx.TensorProto.FLOAT
CHANNELS = BLOCKS[-1][0]
# 7 bits: two products of 255 and 64 fit the 16 bits in which processors without VNNI add them.
_WEIGHT_STEPS = 64


def graph(tensors: Tensors, presets: Mapping[str, Preset], ranges: Largest | None = None) -> onnx.ModelProto:
    """The graph of presets of one network and input side: outputs by preset name, ``(n, dim)`` float32 of unit norm.

    Its input ``pixels`` is ``(n, side, side, 3)`` uint8 RGB. With ``ranges`` the convolutions compute in int8, in QDQ
    form: ``ranges`` has the largest activation of each convolution by "SIDE/LAYER", which 255 steps reach; weights are
    -64 to 64 steps of a size for each output channel (see ``_WEIGHT_STEPS``). One output more, ``last_map``, is the map
    of block5_conv3 at the presets' own side, ``(n, 512, side / 16, side / 16)`` after its ReLU.
    """
    made = _Graph(ranges)
    maps = _maps(made, tensors, presets)
    for name, preset in presets.items():
        made.outputs.append(made.add("Identity", _vector(made, tensors, preset, maps), output=name))
    side = next(iter(presets.values())).side
    made.outputs.append(made.add("Identity", _decoded(made, maps[side, LAST]), output=LAST_MAP))
    shapes: dict[str, Sequence[int]] = {name: [preset.dim] for name, preset in presets.items()}
    return made.model(shapes | {LAST_MAP: [CHANNELS, side >> 4, side >> 4]}, side)


def ranging_graph(tensors: Tensors, presets: Mapping[str, Preset]) -> onnx.ModelProto:
    """The float graph that gives, instead of vectors, the largest activation of every convolution for each picture.

    Outputs by "SIDE/LAYER", each ``(n,)`` float32.
    """
    made = _Graph(None)
    _maps(made, tensors, presets)
    for name, activations in made.activations.items():
        made.outputs.append(made.add("ReduceMax", activations, output=name, axes=[1, 2, 3], keepdims=0))
    return made.model(dict.fromkeys(made.activations, ()), next(iter(presets.values())).side)


def _sides(presets: Mapping[str, Preset]) -> list[int]:
    return sorted({side for preset in presets.values() for side in preset.sides}, reverse=True)


@dataclass
class _Graph:
    """Nodes and constants as they are added; every tensor has a name of its own."""

    ranges: Largest | None
    nodes: list[Any] = field(default_factory=list)
    constants: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    outputs: list[str] = field(default_factory=list)
    activations: dict[str, str] = field(default_factory=dict)

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Adds a node and returns the name of its output."""
        output = output or f"{operator}_{len(self.nodes)}"
        self.nodes.append(onnx.helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def constant(self, name: str, value: Any, dtype: Any = np.float32) -> str:
        """Adds a constant once and returns its name."""
        self.constants.setdefault(name, np.asarray(value, dtype))
        return name

    def model(self, shapes: Mapping[str, Sequence[int]], side: int) -> onnx.ModelProto:
        """The finished model; ``shapes`` are those of its outputs without the number of pictures."""
        value, kind = onnx.helper.make_tensor_value_info, onnx.TensorProto
        made = onnx.helper.make_graph(
            self.nodes,
            "vgg16",
            [value(PIXELS, kind.UINT8, ["n", side, side, 3])],
            [value(name, kind.FLOAT, ["n", *shapes[name]]) for name in self.outputs],
            [onnx.numpy_helper.from_array(array, name) for name, array in self.constants.items()],
        )
        return onnx.helper.make_model(
            made, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=8, producer_name="imgsearch-kit"
        )


# -- the network -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Map:
    """A convolution's output: the name of its tensor, and with int8 that of its codes, its scale and its zero."""

    name: str
    codes: str = ""
    scale: float = 0.0
    zero: int = 0


def _maps(made: _Graph, tensors: Tensors, presets: Mapping[str, Preset]) -> dict[tuple[int, str], _Map]:
    """The maps that the presets pool, after their ReLU, by input side and layer."""
    whole = next(iter(presets.values())).side
    picture = made.add("Transpose", made.add("Cast", PIXELS, to=FLOAT), perm=[0, 3, 1, 2])
    picture = made.add("Sub", picture, made.constant("means", np.reshape(BGR_MEANS[::-1], (1, 3, 1, 1))))
    maps: dict[tuple[int, str], _Map] = {}
    for side in _sides(presets):
        image = picture if side == whole else _resized(made, picture, whole, side)
        maps |= {(side, layer): found for layer, found in _convolved(made, tensors, image, side).items()}
    return maps


def _resized(made: _Graph, picture: str, whole: int, side: int) -> str:
    """The picture at another side: two products with the matrix of an antialiased bilinear resizing."""
    matrix = resizing(whole, side)
    rows = made.add("MatMul", made.constant(f"to_{side}", matrix), picture)
    return made.add("MatMul", rows, made.constant(f"to_{side}_transposed", matrix.T))


def resizing(before: int, after: int) -> npt.NDArray[np.float32]:
    """The matrix ``(after, before)`` of an antialiased bilinear resizing, its rows of sum 1 (a triangle filter)."""
    step = before / after
    centres = (np.arange(after)[:, None] + 0.5) * step
    weights = np.maximum(0, 1 - np.abs(np.arange(before) + 0.5 - centres) / max(step, 1.0))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


def _convolved(made: _Graph, tensors: Tensors, image: str, side: int) -> dict[str, _Map]:
    found: dict[str, _Map] = {}
    flow = _Map(image)
    if made.ranges is not None:
        means = np.asarray(BGR_MEANS)
        flow = _coded(made, image, f"{side}/pixels", -float(means.max()), 255 - float(means.min()))
    for layer in CONVOLUTIONS:
        if layer.endswith("conv1") and layer != "block1_conv1":
            flow = _halved(made, flow, f"{side}/{layer}/pooled")
        flow = found[layer] = _convolution(made, tensors, flow, layer, side)
    return found


def _convolution(made: _Graph, tensors: Tensors, flow: _Map, layer: str, side: int) -> _Map:
    kernel, bias = tensors[layer]
    kernel = kernel.transpose(3, 2, 0, 1)  # HWIO to OIHW
    if layer == "block1_conv1":
        kernel = kernel[:, ::-1]  # pixels are RGB, the kernel's channels BGR
    same: dict[str, Any] = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    name = f"{side}/{layer}"
    if made.ranges is None:
        parts = made.constant(f"{layer}/kernel", kernel), made.constant(f"{layer}/bias", bias)
        made.activations[name] = made.add("Relu", made.add("Conv", flow.name, *parts, **same))
        return _Map(made.activations[name])
    codes, steps = _steps(kernel, axis=0)
    kernel_codes = made.constant(f"{layer}/kernel", codes, np.int8)
    weights = made.add("DequantizeLinear", kernel_codes, made.constant(f"{layer}/steps", steps), axis=0)
    units = (steps * np.float32(flow.scale)).astype(np.float32)
    sums = made.constant(f"{name}/bias", np.rint(bias / units).clip(-(2**31), 2**31 - 1), np.int32)
    shift = made.add("DequantizeLinear", sums, made.constant(f"{name}/units", units), axis=0)
    # No Relu: codes that start at 0 cut off what is negative.
    return _coded(made, made.add("Conv", _decoded(made, flow), weights, shift, **same), name, 0.0, made.ranges[name])


def _steps(kernel: npt.NDArray[Any], axis: int) -> tuple[npt.NDArray[Any], npt.NDArray[np.float32]]:
    """A kernel in whole steps from -64 to 64, and the size of the steps of each output channel, those on ``axis``."""
    others = tuple(i for i in range(kernel.ndim) if i != axis)
    steps = np.abs(kernel).max(axis=others, keepdims=True) / _WEIGHT_STEPS
    steps = np.maximum(steps, np.finfo(np.float32).tiny).astype(np.float32)
    return np.rint(kernel / steps), steps.ravel()


def _halved(made: _Graph, flow: _Map, name: str) -> _Map:
    pooled = made.add("MaxPool", _decoded(made, flow), kernel_shape=[2, 2], strides=[2, 2])
    return _quantised(made, pooled, flow.scale, flow.zero, name) if flow.codes else _Map(pooled)


def _coded(made: _Graph, tensor: str, name: str, low: float, high: float) -> _Map:
    scale = float(np.float32((high - low) / 255))
    return _quantised(made, tensor, scale, round(-low / scale), name)


def _quantised(made: _Graph, tensor: str, scale: float, zero: int, name: str) -> _Map:
    parts = made.constant(f"{name}/scale", scale), made.constant(f"{name}/zero", zero, np.uint8)
    codes = made.add("QuantizeLinear", tensor, *parts)
    return _Map(name, codes, scale, zero)


def _decoded(made: _Graph, flow: _Map) -> str:
    """The values of a map: with int8 from its codes, anew for each reader, so that engines can join them with it."""
    if not flow.codes:
        return flow.name
    return made.add("DequantizeLinear", flow.codes, f"{flow.name}/scale", f"{flow.name}/zero")


# -- poolings ----------------------------------------------------------------------------------------------------------


def _vector(made: _Graph, tensors: Tensors, preset: Preset, maps: Mapping[tuple[int, str], _Map]) -> str:
    """A preset's unit vectors: its parts, each of unit norm times its weight, one after the other."""
    parts = []
    for side in preset.sides:
        for layer, weight in preset.layers.items():
            if layer == "fc1":
                part = _unit(made, _fc1(made, tensors, maps[side, LAST]))
            else:
                cells = side >> (BLOCK_OF[layer] - 1)
                part = _unit(made, _pooled(made, preset.pooling, _decoded(made, maps[side, layer]), cells))
            parts.append(part if weight == 1 else made.add("Mul", part, made.constant(f"weight_{weight}", weight)))
    return parts[0] if len(parts) == 1 else _unit(made, made.add("Concat", *parts, axis=1))


def _unit(made: _Graph, rows: str) -> str:
    return made.add("LpNormalization", rows, axis=1, p=2)


def _pooled(made: _Graph, pooling: str, maps: str, cells: int) -> str:
    if pooling == "rmac":
        return _rmac(made, maps, cells)
    if pooling == "gem":
        floor, power = made.constant("gem_floor", 1e-6), made.constant("gem_power", GEM_P)
        mean = made.add("GlobalAveragePool", made.add("Pow", made.add("Max", maps, floor), power))
        return made.add("Flatten", made.add("Pow", mean, made.constant("gem_root", 1 / GEM_P)))
    return made.add("Flatten", made.add({"spoc": "GlobalAveragePool", "mac": "GlobalMaxPool"}[pooling], maps))


def _rmac(made: _Graph, maps: str, cells: int) -> str:
    axes = made.constant("slice_axes", [2, 3], np.int64)
    regions = []
    for top, left, size in rmac_regions(cells):
        start = made.constant(f"at_{top}_{left}", [top, left], np.int64)
        stop = made.constant(f"at_{top + size}_{left + size}", [top + size, left + size], np.int64)
        region = made.add("GlobalMaxPool", made.add("Slice", maps, start, stop, axes))
        regions.append(_unit(made, made.add("Flatten", region)))
    return made.add("Sum", *regions)


def _fc1(made: _Graph, tensors: Tensors, flow: _Map) -> str:
    """The first fully connected layer after its ReLU; with int8 its result is float, so it needs no range."""
    kernel, bias = tensors["fc1"]
    # Keras flattens a map as (h, w, c), the graph as (c, h, w).
    kernel = kernel.reshape(7, 7, -1, kernel.shape[1]).transpose(2, 0, 1, 3).reshape(kernel.shape)
    pooled = _halved(made, flow, "fc1/pooled")
    flat = made.add("Flatten", _decoded(made, pooled))
    shift = made.constant("fc1/bias", bias)
    if not flow.codes:
        return made.add("Relu", made.add("Gemm", flat, made.constant("fc1/kernel", kernel), shift))
    codes = _quantised(made, flat, flow.scale, flow.zero, "fc1/flat").codes
    kernel_codes, steps = _steps(kernel, axis=1)
    # Written out: engines join the decoded form with the Relu, and then decode the kernel at every call.
    sums = made.add("MatMulInteger", codes, made.constant("fc1/kernel", kernel_codes, np.int8), "fc1/flat/zero")
    product = made.add("Mul", made.add("Cast", sums, to=FLOAT), made.constant("fc1/units", steps * flow.scale))
    return made.add("Relu", made.add("Add", product, shift))
