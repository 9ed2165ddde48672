"""Int8 graphs of VGG16: the ranges that they are made from, their digest, and the files that hold them."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imgsearch_kit.errors import BadQuery, WeightsNotFound
from imgsearch_kit.extractors import weight_files
from imgsearch_kit.extractors.base import Preset
from imgsearch_kit.extractors.vgg16 import CONVOLUTIONS
from imgsearch_kit.extractors.weight_files import Tensors
from imgsearch_kit.extractors.weights import Say, load_weights, weights_folder
from imgsearch_kit.files import write_whole
from imgsearch_kit.records import Pixels

FORM = 2  # of the graphs; to be raised when the same weights and ranges give other codes
KIT_RANGES = Path(__file__).with_name("int8_ranges.json")
INT8 = "@int8"  # after the name of a preset
RANGE_DIGITS = 3  # of a range, so that the same pictures give the same ranges on every machine
DIGEST_KEY, NAMES_KEY = "imgsearch.digest", "imgsearch.extractors"

log = logging.getLogger("imgsearch_kit")


@dataclass(frozen=True, slots=True)
class Ranges:
    """The largest activation of each convolution, by "SIDE/LAYER", for weights of a digest; an int8 graph's 255.

    ``weights`` is the sha256 of the tensors of the convolutions, in hex.
    """

    weights: str
    largest: Mapping[str, float]

    def of(self, presets: Mapping[str, Preset]) -> Mapping[str, float]:
        """Those that presets need.

        :raises BadQuery: when one is missing.
        """
        names = [f"{side}/{layer}" for preset in presets.values() for side in preset.sides for layer in CONVOLUTIONS]
        if missing := [name for name in names if name not in self.largest]:
            raise BadQuery(
                f"There is no range of activations for {', '.join(presets)}: {missing[0]} is missing. "
                "Make them: imgsearch weights quantise PRESET --calibrate FOLDER -o FILE.onnx"
            )
        return {name: self.largest[name] for name in dict.fromkeys(names)}


def kit_ranges() -> Ranges:
    """The ranges that the kit carries for VGG16's published weights, made from its sample pictures."""
    return Ranges(**json.loads(KIT_RANGES.read_text(encoding="utf-8")))


def measured_ranges(tensors: Tensors, presets: Mapping[str, Preset], batches: Iterable[Pixels]) -> Ranges:
    """The ranges over all pictures of ``batches``, to three digits.

    ``presets`` share one network and input side; each batch is ``(n, side, side, 3)`` uint8.
    """
    from imgsearch_kit.extractors.onnx_graph import PIXELS, ranging_graph
    from imgsearch_kit.extractors.onnxruntime import session

    made = session(ranging_graph(tensors, presets).SerializeToString())
    names = [output.name for output in made.get_outputs()]
    largest = np.zeros(len(names))
    for pixels in batches:
        largest = np.maximum(largest, [found.max() for found in made.run(None, {PIXELS: pixels})])
    rounded = {name: float(f"{value:.{RANGE_DIGITS}g}") for name, value in zip(names, largest, strict=True)}
    return Ranges(convolutions_digest(tensors), rounded)


def convolutions_digest(tensors: Tensors) -> str:
    """The sha256 of the tensors of VGG16's convolutions, in hex, whatever else the network has."""
    return weight_files.digest({layer: tensors[layer] for layer in CONVOLUTIONS})


def int8_digest(weights: str, ranges: Mapping[str, float]) -> str:
    """The sha256 of what decides an int8 graph: the digest of its weights, its ranges, and the form of the graph."""
    return hashlib.sha256(json.dumps([FORM, weights, dict(sorted(ranges.items()))]).encode()).hexdigest()


def check_weights(ranges: Ranges, tensors: Tensors) -> None:
    """Checks that ranges were measured with these weights.

    :raises WeightsNotFound: when they were measured with others; an int8 graph of both would compute nonsense.
    """
    if (found := convolutions_digest(tensors)) != ranges.weights:
        raise WeightsNotFound(
            f"The kit's ranges for int8 belong to VGG16's published weights ({ranges.weights[:12]}); these weights are "
            f"{found[:12]}. Make a file of their own: "
            "imgsearch weights quantise PRESET --weights PATH --calibrate FOLDER -o FILE.onnx"
        )


def int8_model(presets: Mapping[str, Preset], weights: Path | None, say: Say) -> tuple[bytes | str, str]:
    """The int8 graph of presets, as bytes or as the path of its file, and its digest.

    ``weights`` is a file of float weights, which are quantised with the kit's ranges, or an ``.onnx`` file that
    ``imgsearch weights quantise`` made. The graph of one preset stays in the kit's cache, so it is made once a machine.

    :raises WeightsNotFound: when the weights are missing, wrong, or not those that the ranges were measured with.
    """
    if weights is not None and (kept := read_int8(Path(weights), list(presets))):
        say(f"The int8 network of {', '.join(presets)} from {weights} (digest {kept[:12]}).")
        return str(weights), kept
    tensors, found = load_weights(next(iter(presets.values())).network, weights, say)
    ranges = kit_ranges()
    digest = int8_digest(found, ranges.of(presets))
    return _kept(presets, digest, lambda: int8_bytes(tensors, found, presets, ranges)[0]), digest


def int8_bytes(tensors: Tensors, weights: str, presets: Mapping[str, Preset], ranges: Ranges) -> tuple[bytes, str]:
    """The int8 graph of presets as the bytes of an ``.onnx`` file, and its digest; ``weights`` is that of the tensors.

    :raises WeightsNotFound: when the ranges were measured with other weights.
    :raises BadQuery: when a range is missing.
    """
    check_weights(ranges, tensors)
    needed = ranges.of(presets)
    digest = int8_digest(weights, needed)
    from imgsearch_kit.extractors.onnx_graph import graph

    made = graph(tensors, presets, needed)
    for key, value in ((NAMES_KEY, " ".join(presets)), (DIGEST_KEY, digest)):
        made.metadata_props.add(key=key, value=value)
    return made.SerializeToString(deterministic=True), digest


def read_int8(path: Path, names: list[str]) -> str | None:
    """The digest of a file that ``imgsearch weights quantise`` made; None for a file of another kind.

    :raises WeightsNotFound: when it was made for other presets than ``names``.
    """
    if path.suffix.lower() != ".onnx" or not path.is_file():
        return None
    from imgsearch_kit.extractors.onnxruntime import session

    try:
        noted = session(str(path)).get_modelmeta().custom_metadata_map
    except Exception:  # the reader of float weights says what is wrong
        return None
    if DIGEST_KEY not in noted:
        return None
    if noted[NAMES_KEY] != " ".join(names):
        raise WeightsNotFound(
            f"{path} holds {noted[NAMES_KEY]}, not {' '.join(names)}. Give the file of that extractor."
        )
    return noted[DIGEST_KEY]


def _kept(presets: Mapping[str, Preset], digest: str, make: Callable[[], bytes]) -> bytes | str:
    """The path of a graph in the kit's cache, made if it is not there; its bytes where the cache cannot be written."""
    if len(presets) > 1:
        return make()
    path = weights_folder() / f"{next(iter(presets))}-{digest[:12]}-map.onnx"  # earlier graphs had no map as an output
    if read_int8(path, list(presets)) == digest:
        return str(path)
    made = make()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with write_whole(path) as whole:
            whole.write_bytes(made)
    except OSError as error:
        log.info("%s could not be kept (%s); it is made again next time.", path, error.strerror or error)
        return made
    return str(path)
