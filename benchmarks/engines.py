"""What each engine and int8 cost: milliseconds a picture, whole runs of indexing, and the start of a search.

In turn, in one run: batches of 16 and one picture at a time on TensorFlow, on ONNX Runtime, and with int8; indexing the
folder on each; and Keras's ``predict`` on one picture at a time, as the system this grows out of did, without its
request for each picture. Then fresh processes of ``imgsearch search FILE`` on an index of each, their seconds and
largest memory. Figures are medians, ratios those of one run.

    python benchmarks/engines.py FOLDER [--count 128] [--rounds 5] [--weights PATH] [-o FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rounds import measure
from throughput import copied, index, keras_model

from imgsearch_kit.extractors import load_extractor, vgg16
from imgsearch_kit.extractors.weights import available
from imgsearch_kit.images import find_images, load

RESULTS = Path(__file__).parent / "results" / "engines.json"
FLOAT, INT8 = "vgg16-rmac", "vgg16-rmac@int8"
WAYS = {"tensorflow": (FLOAT, "tensorflow"), "onnxruntime": (FLOAT, "onnxruntime"), "int8": (INT8, None)}
BATCH = 16
IMGSEARCH = [sys.executable, "-c", "from imgsearch_kit.cli import main; main()"]


def ways(folder: Path, weights: Path) -> dict[str, tuple[int, Callable[[], object]]]:
    """The things to time, with the number of pictures that each goes through."""
    extractors = {name: load_extractor(preset, weights, engine=engine) for name, (preset, engine) in WAYS.items()}
    paths = [image.path for image in find_images(folder).images]
    pixels = np.stack([load(path, 224, "bilinear").pixels for path in paths])
    model = keras_model(weights)
    inputs = pixels[..., ::-1].astype(np.float32) - np.array(vgg16.BGR_MEANS, np.float32)
    timed: dict[str, tuple[int, Callable[[], object]]] = {}
    for name, extractor in extractors.items():
        timed[f"{name}, batches of {BATCH}"] = len(pixels), lambda e=extractor: e.extract(pixels)  # type: ignore[misc]
        one = [pixels[i : i + 1] for i in range(BATCH)]
        timed[f"{name}, one by one"] = BATCH, lambda e=extractor, one=one: [e.extract(each) for each in one]  # type: ignore[misc]
        timed[f"{name}, indexing"] = len(pixels), lambda e=extractor: index(folder, e)  # type: ignore[misc]
    few = [inputs[i : i + 1] for i in range(BATCH)]
    timed["predict, one by one"] = len(few), lambda: [model.predict(each, verbose=0) for each in few]
    return timed


def search_of_a_fresh_process(address: str, picture: Path, weights: Path, engine: str | None) -> tuple[float, float]:
    """Seconds and largest megabytes of ``imgsearch search FILE``."""
    command = ["search", str(picture), "--index", address, "--weights", str(weights)]
    command += ["--engine", engine] if engine else []
    started = time.perf_counter()
    child = subprocess.Popen([*IMGSEARCH, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    assert status == 0, command
    return time.perf_counter() - started, usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def starts(folder: Path, place: Path, weights: Path, rounds: int) -> dict[str, Any]:
    """The medians of fresh processes that search an index of each engine, in turn."""
    addresses = {}
    for name, (preset, engine) in WAYS.items():
        addresses[name] = f"local:{place}/{name}.db"
        command = ["index", str(folder), "--index", addresses[name], "--extractor", preset, "--weights", str(weights)]
        command += ["--engine", engine] if engine else []
        subprocess.run([*IMGSEARCH, *command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    picture = find_images(folder).images[0].path
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in WAYS}
    for _ in range(rounds + 1):  # the first reads files from the disk
        for name, (_, engine) in WAYS.items():
            taken[name].append(search_of_a_fresh_process(addresses[name], picture, weights, engine))
    medians = {name: np.median(values[1:], axis=0) for name, values in taken.items()}
    return {name: {"seconds": round(float(s), 3), "megabytes": round(float(m))} for name, (s, m) in medians.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--weights", type=Path, default=next((f.path for f in available() if f.path), None))
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    wish = parser.parse_args()

    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as place:
        pictures = copied(wish.folder, wish.count, Path(place) / "pictures")
        # First, while this process is small: a child's largest memory counts what it had before it became imgsearch.
        started = starts(pictures, Path(place), wish.weights, wish.rounds)
        timed = ways(pictures, wish.weights)
        for _, way in timed.values():
            way()  # the first pass compiles
        taken = measure({name: way for name, (_, way) in timed.items()}, wish.rounds)
    counts = {name: count for name, (count, _) in timed.items()}
    ms = {name: float(np.median(values[:, 0])) * 1000 / counts[name] for name, values in taken.items()}
    ratios = {
        "int8_indexing_to_float": ms["onnxruntime, indexing"] / ms["int8, indexing"],
        "int8_indexing_to_tensorflow": ms["tensorflow, indexing"] / ms["int8, indexing"],
        "int8_indexing_to_predict": ms["predict, one by one"] / ms["int8, indexing"],
        "int8_indexing_of_the_bare_network": ms[f"int8, batches of {BATCH}"] / ms["int8, indexing"],
        "float_indexing_of_the_bare_network": ms[f"onnxruntime, batches of {BATCH}"] / ms["onnxruntime, indexing"],
    }
    for name, value in ms.items():
        print(f"{name:28}{value:9.1f} ms a picture")
    for name, value in ratios.items():
        print(f"{name:36}{value:7.2f}")
    for name, found in started.items():
        print(f"search FILE, {name:14}{found['seconds']:7.2f} s {found['megabytes']:6.0f} MB")
    document = {
        "pictures": wish.count,
        "folder": wish.folder.name,
        "rounds": wish.rounds,
        "ms_per_picture": {name: round(value, 2) for name, value in ms.items()},
        "ratios": {name: round(value, 3) for name, value in ratios.items()},
        "search_file": started,
        "seconds": {name: values[:, 0].round(3).tolist() for name, values in taken.items()},
        "machine": {"python": platform.python_version(), "cpus": os.cpu_count(), "load_before": round(load_before, 2)},
    }
    wish.output.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
