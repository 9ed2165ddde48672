"""The engine ONNX Runtime: a graph of VGG16 in a session of its own, on the processor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from imgsearch_kit.records import Maps, Pixels, Vectors

if TYPE_CHECKING:
    import onnxruntime as ort

    from imgsearch_kit.extractors.base import Mapper

LAST_MAP = "last_map"  # the output of a graph that is its last convolution's map, (n, c, h, w)
_ERRORS_ONLY = 3


def session(model: bytes | str) -> ort.InferenceSession:
    """A session of a serialised model or a model's file, on the processor; threads may share it."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class GraphRun:
    """A graph in a session: called with one batch of pixels, one ``(n, dim)`` float32 array per extractor.

    ``mapper`` gives the last convolution's map of a batch, ``(n, h, w, c)``; None where the graph has no such output.
    """

    def __init__(self, model: bytes | str):
        self._session = session(model)
        (self._pixels,) = (given.name for given in self._session.get_inputs())
        names = [output.name for output in self._session.get_outputs()]
        self._vectors = [name for name in names if name != LAST_MAP]
        self.mapper: Mapper | None = self._maps if LAST_MAP in names else None

    def __call__(self, pixels: Pixels) -> list[Vectors]:
        """The vectors of a batch, one array per extractor in the graph's order."""
        return self._session.run(self._vectors, {self._pixels: pixels})

    def _maps(self, pixels: Pixels) -> Maps:
        (found,) = self._session.run([LAST_MAP], {self._pixels: pixels})
        return np.ascontiguousarray(found.transpose(0, 2, 3, 1))
