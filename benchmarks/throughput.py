"""How fast a folder is indexed, against the network alone and against one ``model.predict`` a picture.

The same convolution layers with the same weights, in the same run: ``index_folder`` from file to committed vector; the
bare network (a traced Keras model, no pooling) on batches of 16 and of 32 pictures that are in memory; Keras's
``predict`` on one picture at a time, as the system this grows out of did. And one picture at a time through the
extractor, which is what a query waits for. The ways take turns, each round begins with another, and each figure is a
median over the rounds. Peak memory is that of a process of its own which indexes the pictures.

    python benchmarks/throughput.py FOLDER [--count 256] [--rounds 5] [--weights PATH] [--memory-count 256] [-o FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rounds import measure

from imgsearch_kit.classes import folder_label
from imgsearch_kit.extractors import Extractor, load_extractor, vgg16, weight_files
from imgsearch_kit.extractors.tensorflow import tensorflow
from imgsearch_kit.extractors.weights import available
from imgsearch_kit.images import find_images, load
from imgsearch_kit.index import create_index, new_passport
from imgsearch_kit.indexing.folder import index_folder

RESULTS = Path(__file__).parent / "results" / "throughput.json"
EXTRACTOR = "vgg16-rmac"
INDEXING, BARE16, BARE32, PREDICT = "index_folder", "bare, batches of 16", "bare, batches of 32", "predict, one by one"
QUERY = "extract, one by one"


def index(folder: Path, extractor: Extractor) -> None:
    """Indexes the folder into a new local index, which is deleted."""
    with (
        tempfile.TemporaryDirectory() as place,
        create_index(f"local:{place}/index.db", new_passport(extractor.spec)) as made,
    ):
        report = index_folder(folder, made, extractor, progress=False)
    assert not report.failed, report.failed


def keras_model(weights: Path) -> Any:
    """Keras's VGG16 up to block5_conv3, with the weights of the extractor."""
    tensorflow()
    import keras

    model = keras.applications.VGG16(include_top=False, weights=None, input_shape=(224, 224, 3))
    for layer, pair in weight_files.read(weights, vgg16.NETWORKS["vgg16-conv"]).items():
        model.get_layer(layer).set_weights(pair)
    return keras.Model(model.input, model.get_layer("block5_conv3").output)


def ways(folder: Path, extractor: Extractor, model: Any) -> dict[str, Callable[[], object]]:
    """The things to time, each of which goes through all pictures once."""
    tf = tensorflow()
    spec = extractor.spec
    pixels = np.stack([load(image.path, spec.side, spec.resampling).pixels for image in find_images(folder).images])
    inputs = pixels[..., ::-1].astype(np.float32) - np.array(vgg16.BGR_MEANS, np.float32)
    bare = tf.function(lambda batch: model(batch, training=False))
    one_by_one = [inputs[i : i + 1] for i in range(len(inputs))]

    def batches(size: int) -> None:
        for start in range(0, len(inputs), size):
            bare(tf.constant(inputs[start : start + size])).numpy()

    return {
        INDEXING: lambda: index(folder, extractor),
        BARE16: lambda: batches(16),
        BARE32: lambda: batches(32),
        PREDICT: lambda: [model.predict(one, verbose=0) for one in one_by_one],
        QUERY: lambda: [extractor.extract(pixels[i : i + 1]) for i in range(len(pixels))],
    }


def copied(folder: Path, count: int, to: Path) -> Path:
    """A folder with ``count`` of the pictures, evenly spread, in folders of the same names."""
    found = [image for image in find_images(folder).images if folder_label(image.id) != "BACKGROUND_Google"]
    chosen = np.linspace(0, len(found), min(count, len(found)), endpoint=False).astype(int)
    for image in (found[i] for i in chosen):
        (to / image.id).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(image.path, to / image.id)
    return to


def peak_memory(folder: Path, weights: Path) -> int:
    """The largest resident size, in bytes, of a process that does nothing but index the folder."""
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import throughput as t, resource; "
        f"t.index(t.Path({str(folder)!r}), t.load_extractor(t.EXTRACTOR, t.Path({str(weights)!r}))); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True)
    return int(done.stdout) * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--weights", type=Path, default=next((f.path for f in available() if f.path), None))
    parser.add_argument("--memory-count", type=int, help="pictures for the peak memory; the same number if not given")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    wish = parser.parse_args()

    load_before = os.getloadavg()[0]  # of a calm machine it is near 0; otherwise trust the CPU seconds only
    with tempfile.TemporaryDirectory() as place:
        pictures = copied(wish.folder, wish.count, Path(place) / "pictures")
        many = copied(wish.folder, wish.memory_count or wish.count, Path(place) / "many")
        memory = peak_memory(many, wish.weights)
        indexed = len(find_images(many).images)
        timed = ways(pictures, load_extractor(EXTRACTOR, wish.weights), keras_model(wish.weights))
        for way in timed.values():
            way()  # the first pass compiles
        taken = measure(timed, wish.rounds)
        count = len(find_images(pictures).images)

    rates = {name: count / np.median(values, axis=0) for name, values in taken.items()}
    print(f"{'':24}{'pictures/s':>12}{'a CPU second':>14}")
    for name, (wall, cpu) in rates.items():
        print(f"{name:24}{wall:12.2f}{cpu:14.2f}")
    wall, cpu = ({name: float(values[i]) for name, values in rates.items()} for i in (0, 1))
    ratios = {
        "indexing_to_predict": wall[INDEXING] / wall[PREDICT],
        "indexing_to_bare": wall[INDEXING] / max(wall[BARE16], wall[BARE32]),
        "indexing_to_predict_cpu": cpu[INDEXING] / cpu[PREDICT],
        "indexing_to_bare_cpu": cpu[INDEXING] / max(cpu[BARE16], cpu[BARE32]),
    }
    print(f"\nIndexing is {ratios['indexing_to_predict']:.2f} times predict one by one (target: 1.9)")
    print(f"and {ratios['indexing_to_bare']:.1%} of the bare network's better batch rate (target: 90 %).")
    print(f"Peak memory {memory / 1e9:.2f} GB for {indexed} pictures; a query takes {1000 / wall[QUERY]:.0f} ms.")

    document = {
        "pictures": count,
        "folder": wish.folder.name,
        "extractor": EXTRACTOR,
        "rounds": wish.rounds,
        "pictures_per_second": {name: round(value, 3) for name, value in wall.items()},
        "pictures_per_cpu_second": {name: round(value, 3) for name, value in cpu.items()},
        "ratios": {name: round(value, 4) for name, value in ratios.items()},
        "seconds": {name: values[:, 0].round(3).tolist() for name, values in taken.items()},
        "cpu_seconds": {name: values[:, 1].round(3).tolist() for name, values in taken.items()},
        "peak_memory_bytes": memory,
        "peak_memory_pictures": indexed,
        "machine": {
            "python": platform.python_version(),
            "tensorflow": tensorflow().__version__,
            "cpus": os.cpu_count(),
            "load_before": round(load_before, 2),
        },
    }
    wish.output.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
