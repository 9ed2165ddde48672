"""Any network of ``keras.applications`` as an extractor: global average pooling of its last map."""

from __future__ import annotations

import contextlib
import difflib
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgsearch_kit.errors import BadQuery, WeightsNotFound, without_addresses
from imgsearch_kit.extractors import weight_files
from imgsearch_kit.extractors.joint import JointExtractor
from imgsearch_kit.extractors.keras_settings import keras, published_settings
from imgsearch_kit.extractors.tensorflow import ENGINE, tensorflow, traced
from imgsearch_kit.records import ExtractorSpec

if TYPE_CHECKING:
    import tensorflow as tf

PREFIX = "keras:"
# The input sides with which Keras's networks were trained, where it is not 224.
SIDES = {
    "InceptionV3": 299,
    "InceptionResNetV2": 299,
    "Xception": 299,
    "NASNetLarge": 331,
    "EfficientNetB1": 240,
    "EfficientNetB2": 260,
    "EfficientNetB3": 300,
    "EfficientNetB4": 380,
    "EfficientNetB5": 456,
    "EfficientNetB6": 528,
    "EfficientNetB7": 600,
    "EfficientNetV2B1": 240,
    "EfficientNetV2B2": 260,
    "EfficientNetV2B3": 300,
    "EfficientNetV2S": 384,
    "EfficientNetV2M": 480,
    "EfficientNetV2L": 480,
}


def load_application(name: str, given: Path | None, say: Callable[[str], None]) -> JointExtractor:
    """The extractor ``keras:NAME``, with the network's own ``preprocess_input`` and input side.

    ``given`` is a Keras weights file of the network without its top; without it Keras uses its cache or downloads.

    :raises BadQuery: when ``keras.applications`` has no network of that name; the message lists them.
    :raises WeightsNotFound: when the weights are missing or do not fit.
    """
    build = _application(name.removeprefix(PREFIX))
    module = sys.modules[build.__module__]
    side = SIDES.get(build.__name__, 224)
    model = _with_weights(build, side, given)
    layers = [layer for layer in model.layers if layer.weights]
    digest = weight_files.digest({layer.name: tuple(w.numpy() for w in layer.weights) for layer in layers})
    say(f"Weights of {name} from {given or 'Keras'} (sha256 of the tensors {digest[:12]}).")
    spec = ExtractorSpec(
        name=name,
        dim=model.output_shape[-1],
        layer=model.layers[-2].name,
        pooling="spoc",
        side=side,
        preprocessing=f"keras-{module.__name__.rpartition('.')[2]}",
        weights_digest=digest,
        engine=ENGINE,
    )

    def run(pixels: tf.Tensor) -> list[tf.Tensor]:
        with published_settings():
            return [model(module.preprocess_input(tensorflow().cast(pixels, "float32")), training=False)]

    return JointExtractor([spec], traced(run))


def input_side(name: str) -> int:
    """The input side of ``keras:NAME`` in pixels.

    :raises BadQuery: when ``keras.applications`` has no network of that name; the message lists them.
    """
    return SIDES.get(_application(name.removeprefix(PREFIX)).__name__, 224)


def _application(name: str) -> Any:
    applications = keras().applications
    names = [n for n in dir(applications) if n[0].isupper() and callable(getattr(applications, n))]
    if name not in names:
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"Did you mean {PREFIX}{close[0]}? " if close else ""
        raise BadQuery(f"keras.applications has no network named {name!r}. {hint}Choose from {', '.join(names)}.")
    return getattr(applications, name)


def _with_weights(build: Any, side: int, given: Path | None) -> Any:
    name = f"{PREFIX}{build.__name__}"
    shape = {"include_top": False, "input_shape": (side, side, 3), "pooling": "avg"}
    if given and not given.is_file():
        raise WeightsNotFound(f"There is no weights file at {given}. Check the path.")
    try:
        # Keras prints the progress of a download, and only warns when a file has no weights for a layer.
        with published_settings(), contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            model = build(weights=None if given else "imagenet", **shape)
            if given:
                model.load_weights(given)
    except Exception as error:  # Keras raises a bare Exception when a download fails, and many kinds for a file
        reason = without_addresses(str(error) or type(error).__name__).splitlines()[0]
        where = f"{given} does not contain the weights of" if given else "Keras could not download the weights of"
        raise WeightsNotFound(
            f"{where} {name} without its top ({reason}). Give such a file, as Keras saves it: --weights PATH"
        ) from error
    return model
