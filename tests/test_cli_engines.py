"""Engines and int8 in the terminal: real processes on an index of each."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from tests.small_extractor import paint
from tests.test_cli import run


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("engines")
    for i in range(4):
        paint(folder / f"pictures/{'warm' if i % 2 else 'cold'}/{i}.png", (200, 40 * i, 255 - 40 * i))
    return folder


def loaded(folder, *args):
    """What a command printed on standard output, and whether it imported TensorFlow."""
    seen = f"import sys\nfrom imgsearch_kit.cli import main\nsys.argv = {['imgsearch', *map(str, args)]!r}\n"
    seen += "try:\n    main()\nfinally:\n    print('tensorflow' in sys.modules, file=sys.stderr)\n"
    done = subprocess.run([sys.executable, "-c", seen], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr.splitlines()[-1] == "True"


def test_either_engine_searches_what_the_other_has_indexed(pictures, conv_weights):
    run("index", "pictures", "--weights", conv_weights, "--engine", "tensorflow", cwd=pictures)
    passport = json.loads(run("info", "--json", cwd=pictures).stdout)
    assert passport["spec"]["engine"] == "tensorflow"
    hits = []
    for engine in ("onnxruntime", "tensorflow"):
        command = ("search", "pictures/warm/1.png", "--weights", conv_weights, "--engine", engine, "--json")
        printed, with_tensorflow = loaded(pictures, *command)
        assert with_tensorflow == (engine == "tensorflow")
        hits.append([(hit["id"], round(hit["score"], 4)) for hit in json.loads(printed)["hits"]])
    assert hits[0] == hits[1]


def test_int8_is_another_extractor_whose_index_is_found_again(pictures, conv_weights):
    here = ("--index", "local:int8.db", "--weights", conv_weights)
    run("index", "pictures", "--extractor", "vgg16-rmac@int8", *here, cwd=pictures)
    printed, with_tensorflow = loaded(pictures, "search", "pictures/warm/1.png", *here, "--json")
    assert not with_tensorflow
    found = json.loads(printed)
    assert found["own"] == ["warm/1.png"]
    assert sorted(hit["id"] for hit in found["hits"]) == ["cold/0.png", "cold/2.png", "warm/3.png"]
    refused = run("index", "pictures", "--extractor", "vgg16-rmac", *here, cwd=pictures, code=3)
    assert "name: vgg16-rmac@int8 != vgg16-rmac" in refused.stderr


def test_calibrating_prints_how_near_int8_is_and_writes_the_network(pictures, conv_weights):
    command = ("weights", "quantise", "vgg16-rmac", "--calibrate", "pictures", "--weights", conv_weights)
    said = run(*command, "-o", "mine.onnx", "--force", cwd=pictures).stdout
    assert re.match(r"On 4 pictures: cosine to float at least 0\.9\d+, mean 0\.9\d+; 1\.000 of the 10 nearest", said)
    assert "P@4" in said
    mine = ("--index", "local:mine.db", "--weights", "mine.onnx")
    run("index", "pictures", "--extractor", "vgg16-rmac@int8", *mine, cwd=pictures)
    other = run("search", "pictures/warm/1.png", *mine[:2], "--weights", conv_weights, cwd=pictures, code=3)
    assert "weights_digest" in other.stderr
    assert "unknown" not in run("search", "pictures/warm/1.png", *mine, cwd=pictures).stdout


def test_an_engine_that_is_none_is_refused(pictures, conv_weights):
    command = ("index", "pictures", "--index", "local:none.db", "--weights", conv_weights, "--engine", "torch")
    assert "no engine named 'torch'. Choose from onnxruntime, tensorflow" in run(*command, cwd=pictures, code=3).stderr


def test_a_search_imports_nothing_that_only_learning_needs(pictures, conv_weights):
    run("index", "pictures", "--index", "local:quick.db", "--weights", conv_weights, cwd=pictures)
    command = [
        "imgsearch",
        "search",
        "pictures/warm/1.png",
        "--index",
        "local:quick.db",
        "--weights",
        str(conv_weights),
    ]
    seen = f"import sys\nfrom imgsearch_kit.cli import main\nsys.argv = {command!r}\n"
    seen += "try:\n    main()\nfinally:\n    print(*sys.modules, file=sys.stderr)\n"
    done = subprocess.run([sys.executable, "-c", seen], capture_output=True, text=True, cwd=pictures, check=True)
    assert not {"scipy.stats", "scipy.optimize"} & set(done.stderr.splitlines()[-1].split())
