"""The engine ONNX Runtime: a graph of VGG16 in a session of its own, on the processor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgsearch_kit.extractors.joint import Batched
from imgsearch_kit.records import Pixels, Vectors

if TYPE_CHECKING:
    import onnxruntime as ort

_ERRORS_ONLY = 3


def session(model: bytes | str) -> ort.InferenceSession:
    """A session of a serialised model or a model's file, on the processor; threads may share it."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run_graph(model: bytes | str) -> Batched:
    """What the graph gives for one batch of pixels: one ``(n, dim)`` float32 array per output, in the graph's order."""
    made = session(model)
    (pixels_in,) = made.get_inputs()

    def run(pixels: Pixels) -> list[Vectors]:
        return made.run(None, {pixels_in.name: pixels})

    return run
