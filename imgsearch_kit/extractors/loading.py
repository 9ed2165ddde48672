"""Loads an extractor by its name, on the engine that suits the machine."""

from __future__ import annotations

import difflib
import importlib.metadata
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.extractors.base import PRESETS, Extractor, Preset
from imgsearch_kit.extractors.devices import device_batch, device_present, free_megabytes
from imgsearch_kit.extractors.int8 import INT8
from imgsearch_kit.extractors.joint import NETWORK_BATCH, JointExtractor, SingleExtractor
from imgsearch_kit.records import ExtractorSpec

ONNXRUNTIME, TENSORFLOW = ENGINES = ("onnxruntime", "tensorflow")


def load_extractor(
    name: str, weights: Path | None = None, *, engine: str | None = None, say: Callable[[str], None] | None = None
) -> Extractor:
    """The extractor of that name: a preset, ``PRESET@int8``, or ``keras:NAME`` for a network of ``keras.applications``.

    ``weights`` is a file with the weights; without it they come from the caches or Keras's download. ``engine`` is
    "onnxruntime" or "tensorflow"; without it the one that is fast here (``default_engine``). ``say`` is called with
    one sentence about the source of the weights; by default the sentence is logged.

    :raises BadQuery: when there is no extractor of that name, the message lists them, or the engine does not have it.
    :raises WeightsNotFound: when the weights are missing or wrong.
    :raises MissingExtra: when the engine is not installed.
    """
    return SingleExtractor(load_extractors([name], weights, engine=engine, say=say))


def load_extractors(
    names: Sequence[str],
    weights: Path | None = None,
    *,
    engine: str | None = None,
    say: Callable[[str], None] | None = None,
) -> JointExtractor:
    """Several presets of one network and input side, computed in one pass over the pictures.

    :raises BadQuery: when a name is unknown, or the presets differ in network, input side, resampling or precision.
    :raises WeightsNotFound: when the weights are missing or wrong.
    :raises MissingExtra: when the engine is not installed.
    """
    say = say or logging.getLogger("imgsearch_kit").info
    if engine not in (None, *ENGINES):
        raise BadQuery(f"There is no engine named {engine!r}. Choose from {', '.join(ENGINES)}.")
    if len(names) == 1 and names[0].startswith("keras:"):
        return _application(names[0], weights, engine, say)
    presets = {name: preset_of(name) for name in names if not name.startswith("keras:")}
    inputs = {(p.network, p.side, p.resampling, name.endswith(INT8)) for name, p in presets.items()}
    if len(presets) < len(names) or len(inputs) != 1:
        raise BadQuery(
            f"{', '.join(names)} cannot be computed in one pass: networks or inputs differ, or a name is given twice. "
            "Load each separately."
        )
    from imgsearch_kit.extractors.weights import load_weights

    if names[0].endswith(INT8):
        return _quantised(presets, weights, engine, say)
    tensors, digest = load_weights(next(iter(inputs))[0], weights, say)
    specs = _specs(presets, digest, engine or default_engine())
    if specs[0].engine == TENSORFLOW:
        from imgsearch_kit.extractors.tensorflow import forward, last_maps, traced

        on_device = default_engine() == TENSORFLOW
        batch = device_batch(free_megabytes(), specs[0].side) if on_device else NETWORK_BATCH
        batched = traced(forward(tensors, list(presets.values())))
        return JointExtractor(specs, batched, last_maps(tensors), batch=batch)
    from imgsearch_kit.extractors.onnx_graph import graph
    from imgsearch_kit.extractors.onnxruntime import GraphRun

    model = graph(tensors, presets).SerializeToString()
    del tensors  # the session makes two copies of them, which is much at once
    run = GraphRun(model)
    return JointExtractor(specs, run, run.mapper)


def default_engine() -> str:
    """TensorFlow where an NVIDIA device and a TensorFlow for it are present, else ONNX Runtime; nothing is loaded.

    ``CUDA_VISIBLE_DEVICES`` hides devices, as it does for TensorFlow.
    """
    if not device_present():
        return ONNXRUNTIME
    try:
        importlib.metadata.version(TENSORFLOW)  # tensorflow-cpu, which cannot use the device, is another distribution
    except importlib.metadata.PackageNotFoundError:
        return ONNXRUNTIME
    return TENSORFLOW


def _quantised(
    presets: Mapping[str, Preset], weights: Path | None, engine: str | None, say: Callable[[str], None]
) -> JointExtractor:
    from imgsearch_kit.extractors.int8 import int8_model
    from imgsearch_kit.extractors.onnxruntime import GraphRun

    if engine == TENSORFLOW:
        raise BadQuery(f"{next(iter(presets))} runs on {ONNXRUNTIME} only. Leave --engine out.")
    model, digest = int8_model(presets, weights, say)
    run = GraphRun(model)
    return JointExtractor(_specs(presets, digest, ONNXRUNTIME), run, run.mapper)


def _application(name: str, weights: Path | None, engine: str | None, say: Callable[[str], None]) -> JointExtractor:
    if engine == ONNXRUNTIME:
        raise BadQuery(f"{name} runs on {TENSORFLOW} only. Leave --engine out.")
    from imgsearch_kit.extractors.keras_net import load_application

    return load_application(name, weights, say)


def _specs(presets: Mapping[str, Preset], digest: str, engine: str) -> list[ExtractorSpec]:
    from imgsearch_kit.extractors.vgg16 import PREPROCESSING

    return [_spec(name, preset, PREPROCESSING, digest, engine) for name, preset in presets.items()]


def is_extractor_name(name: str) -> bool:
    """Whether the kit itself can load an extractor by this name."""
    return name.removesuffix(INT8) in PRESETS or name.startswith("keras:")


def preset_dim(name: str) -> int | None:
    """The dimension of a preset's vectors; None for a network that must be loaded to know it.

    :raises BadQuery: when there is no extractor of that name; the message lists them.
    """
    return None if name.startswith("keras:") else preset_of(name).dim


def named_spec(name: str, dim: int) -> ExtractorSpec:
    """The spec of an extractor of ``dim``-d vectors from its name alone, without weights and engine.

    :raises BadQuery: when there is no extractor of that name; the message lists them.
    """
    if not name.startswith("keras:"):
        return _spec(name, preset_of(name))
    from imgsearch_kit.extractors.keras_net import input_side

    return ExtractorSpec(name, dim, pooling="spoc", side=input_side(name))


def _spec(name: str, preset: Preset, preprocessing: str = "", digest: str = "", engine: str = "") -> ExtractorSpec:
    return ExtractorSpec(
        name=name,
        dim=preset.dim,
        layer="+".join(layer if weight == 1 else f"{weight:g}*{layer}" for layer, weight in preset.layers.items()),
        pooling=preset.pooling,
        side=preset.side,
        resampling=preset.resampling,
        preprocessing=preprocessing,
        weights_digest=digest,
        engine=engine,
    )


def preset_of(name: str) -> Preset:
    """The preset of a name, with or without ``@int8``.

    :raises BadQuery: when there is none; the message lists them.
    """
    if (base := name.removesuffix(INT8)) in PRESETS:
        return PRESETS[base]
    close = difflib.get_close_matches(name, PRESETS, n=1)
    hint = f"Did you mean {close[0]}? " if close else ""
    raise BadQuery(
        f"There is no extractor named {name!r}. {hint}"
        f"Choose from {', '.join(PRESETS)}, each also with {INT8}, or keras:NAME for a network of keras.applications."
    )
