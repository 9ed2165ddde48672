"""Loads an extractor by its name."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.extractors.base import PRESETS, Extractor, Preset
from imgsearch_kit.extractors.tensorflow import ENGINE, JointExtractor, SingleExtractor, forward
from imgsearch_kit.records import ExtractorSpec


def load_extractor(name: str, weights: Path | None = None, *, say: Callable[[str], None] | None = None) -> Extractor:
    """The extractor of that name: a preset, or ``keras:NAME`` for a network of ``keras.applications``.

    ``weights`` is a file with the weights; without it they come from the caches or Keras's download. ``say`` is called
    with one sentence about their source; by default the sentence is logged.

    :raises BadQuery: when there is no extractor of that name; the message lists them.
    :raises WeightsNotFound: when the weights are missing or wrong.
    """
    return SingleExtractor(load_extractors([name], weights, say=say))


def load_extractors(
    names: Sequence[str], weights: Path | None = None, *, say: Callable[[str], None] | None = None
) -> JointExtractor:
    """Several presets of one network and input side, computed in one pass over the pictures.

    :raises BadQuery: when a name is unknown, or the presets differ in network, input side or resampling.
    :raises WeightsNotFound: when the weights are missing or wrong.
    """
    say = say or logging.getLogger("imgsearch_kit").info
    if len(names) == 1 and names[0].startswith("keras:"):
        from imgsearch_kit.extractors.keras_net import load_application

        return load_application(names[0], weights, say)
    presets = {name: _preset(name) for name in names if not name.startswith("keras:")}
    inputs = {(preset.network, preset.side, preset.resampling) for preset in presets.values()}
    if len(presets) < len(names) or len(inputs) != 1:
        raise BadQuery(
            f"{', '.join(names)} cannot be computed in one pass: networks or inputs differ, or a name is given twice. "
            "Load each separately."
        )
    from imgsearch_kit.extractors.vgg16 import PREPROCESSING
    from imgsearch_kit.extractors.weights import load_weights

    tensors, digest = load_weights(next(iter(inputs))[0], weights, say)
    specs = [_spec(name, preset, PREPROCESSING, digest, ENGINE) for name, preset in presets.items()]
    return JointExtractor(specs, forward(tensors, list(presets.values())))


def is_extractor_name(name: str) -> bool:
    """Whether the kit itself can load an extractor by this name."""
    return name in PRESETS or name.startswith("keras:")


def preset_dim(name: str) -> int | None:
    """The dimension of a preset's vectors; None for a network that must be loaded to know it.

    :raises BadQuery: when there is no extractor of that name; the message lists them.
    """
    return None if name.startswith("keras:") else _preset(name).dim


def named_spec(name: str, dim: int) -> ExtractorSpec:
    """The spec of an extractor of ``dim``-d vectors from its name alone, without weights and engine.

    :raises BadQuery: when there is no extractor of that name; the message lists them.
    """
    if not name.startswith("keras:"):
        return _spec(name, _preset(name))
    from imgsearch_kit.extractors.keras_net import input_side

    return ExtractorSpec(name, dim, pooling="spoc", side=input_side(name))


def _spec(name: str, preset: Preset, preprocessing: str = "", digest: str = "", engine: str = "") -> ExtractorSpec:
    return ExtractorSpec(
        name=name,
        dim=preset.dim,
        layer=preset.layer,
        pooling=preset.pooling,
        side=preset.side,
        resampling=preset.resampling,
        preprocessing=preprocessing,
        weights_digest=digest,
        engine=engine,
    )


def _preset(name: str) -> Preset:
    if name in PRESETS:
        return PRESETS[name]
    close = difflib.get_close_matches(name, PRESETS, n=1)
    hint = f"Did you mean {close[0]}? " if close else ""
    raise BadQuery(
        f"There is no extractor named {name!r}. {hint}"
        f"Choose from {', '.join(PRESETS)}, or keras:NAME for a network of keras.applications."
    )
