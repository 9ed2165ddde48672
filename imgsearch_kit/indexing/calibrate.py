"""Makes the int8 form of a preset, and compares it with the float one on pictures."""

from __future__ import annotations

import json
import tempfile
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from imgsearch_kit.classes import folder_label
from imgsearch_kit.datasets import sample_pictures
from imgsearch_kit.errors import BadQuery, KitError
from imgsearch_kit.extractors.base import Preset
from imgsearch_kit.extractors.fidelity import Fidelity, fidelity
from imgsearch_kit.extractors.int8 import INT8, int8_bytes, kit_ranges, measured_ranges
from imgsearch_kit.extractors.joint import NETWORK_BATCH, Batched
from imgsearch_kit.extractors.loading import preset_of
from imgsearch_kit.extractors.onnx_graph import graph
from imgsearch_kit.extractors.onnxruntime import GraphRun
from imgsearch_kit.extractors.weights import Say, load_weights
from imgsearch_kit.images import Loaded, find_images, load_many
from imgsearch_kit.outputs import check_output, write_output
from imgsearch_kit.records import Pixels, Vectors
from imgsearch_kit.vectors import unit

MOST_PICTURES = 500  # of a calibration folder, evenly spaced


def quantise(
    name: str,
    folder: Path | None = None,
    weights: Path | None = None,
    output: Path | None = None,
    *,
    force: bool = False,
    say: Say = print,
) -> Fidelity:
    """How near the int8 form of a preset is to float on the pictures of a folder, or on the kit's sample pictures.

    With ``folder`` the ranges of its activations are measured there, at most on 500 pictures evenly spaced; without it
    they are the kit's. ``output`` takes the form: ``.onnx`` the network, for ``--weights``; ``.json`` only the ranges.

    :raises BadQuery: when there is no such preset, no picture, or ``output`` has another suffix.
    :raises KitError: when a bound is missed and ``force`` is not given; nothing is written then. ``force`` also
        overwrites a file that the kit did not write.
    :raises WeightsNotFound: when the weights are missing, or are not those of the kit's ranges.
    """
    if output and output.suffix not in (".onnx", ".json"):
        raise BadQuery(f"The int8 form cannot be written to {output}. Name a file that ends in .onnx or .json.")
    if output:
        check_output(output, force=force)
    preset = preset_of(name)
    presets = {name.removesuffix(INT8) + INT8: preset}
    tensors, digest = load_weights(preset.network, weights, say)
    with ExitStack() as stack:
        shown = folder or sample_pictures(stack.enter_context(tempfile.TemporaryDirectory()))
        loaded, labels = _pictures(shown, preset)
        pixels = [np.stack(loaded[start : start + NETWORK_BATCH]) for start in range(0, len(loaded), NETWORK_BATCH)]
        ranges = measured_ranges(tensors, presets, pixels) if folder else kit_ranges()
        model, _ = int8_bytes(tensors, digest, presets, ranges)
        exact = _vectors(GraphRun(graph(tensors, presets).SerializeToString()), pixels)
        found = fidelity(exact, _vectors(GraphRun(model), pixels), labels)
    if (missed := found.misses()) and not force:
        raise KitError(
            f"The int8 form of {name} is too far from float ({'; '.join(missed)}). "
            "Calibrate with more pictures of your own (--calibrate FOLDER), or continue with --force."
        )
    if output:
        text = json.dumps({"weights": ranges.weights, "largest": dict(ranges.largest)}, indent=1) + "\n"
        with write_output(output, force=force) as whole:
            whole.write_bytes(model if output.suffix == ".onnx" else text.encode())
    return found


def _pictures(folder: Path, preset: Preset) -> tuple[list[Pixels], list[str | None]]:
    """The pixels and labels of pictures evenly spaced in the order of their ids; unreadable ones are left out."""
    images = find_images(Path(folder)).images
    rows = np.unique(np.linspace(0, max(len(images) - 1, 0), min(MOST_PICTURES, len(images))).round().astype(int))
    chosen = {images[row].path: folder_label(images[row].id) for row in rows}
    loaded = {
        path: each.pixels
        for path, each in load_many(chosen, preset.side, preset.resampling)
        if isinstance(each, Loaded)
    }
    if len(loaded) < 2:
        raise BadQuery(f"{folder} has {len(loaded)} readable pictures; at least 2 are needed. Give another folder.")
    return list(loaded.values()), [chosen[path] for path in loaded]


def _vectors(run: Batched, batches: list[Pixels]) -> Vectors:
    return unit(np.concatenate([run(pixels)[0] for pixels in batches]))
