"""A hosted Space: started from its folder alone, in an environment that has what its requirements name and no more."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import venv
import zipfile

import numpy as np
import pytest

from imgsearch_kit.app.choices import BackgroundLearning
from imgsearch_kit.app.tabs.map import MapTab
from imgsearch_kit.datasets import sample_pictures
from imgsearch_kit.extractors import load_extractor
from imgsearch_kit.files import take_artefacts
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.index import create_index, new_passport
from imgsearch_kit.map.over_index import keep_projection
from imgsearch_kit.map.projection import Projection
from imgsearch_kit.records import ImageRecord
from tests.small_extractor import paint

READY = 90  # seconds


@pytest.fixture(scope="module")
def gallery(tmp_path_factory, conv_weights):
    """Thirty sample pictures of three classes, by the float network."""
    everything = sample_pictures(tmp_path_factory.mktemp("samples") / "all")
    folder = everything.with_name("few")
    folder.mkdir()
    for subject in ("cat", "coffee", "rocket"):
        (everything / subject).rename(folder / subject)
    return Gallery.from_folder(folder, f"local:{folder.with_name('few.db')}", weights=conv_weights, progress=False)


@pytest.fixture(scope="module")
def space(gallery, tmp_path_factory):
    folder = tmp_path_factory.mktemp("packed") / "space"
    report = gallery.pack(folder, static=False, title='A "title": {x}', exclude_labels=["rocket"], progress=False)
    assert (report.pictures, report.classes, report.extractor) == (20, 2, "vgg16-rmac@int8")
    assert not report.failed
    return folder


def test_the_front_matter_is_what_a_space_wants(space):
    front = (space / "README.md").read_text().split("---\n")[1]
    assert re.search(
        r"^sdk: gradio\nsdk_version: 6\.\d+\.\d+\npython_version: \"3\.12\"\napp_file: app.py$", front, re.M
    )
    assert 'title: "A \\"title\\": {x}"' in front
    assert "suggested_hardware: cpu-basic" in front


def test_nothing_of_this_machine_and_no_original_is_packed(space, gallery):
    packed = {path: path.read_bytes() for path in space.rglob("*") if path.is_file()}
    hashes = {record.sha256 for record in gallery.records()}

    assert not hashes & {hashlib.sha256(data).hexdigest() for data in packed.values()}
    place = str(gallery.passport.root).encode()
    assert not [path for path, data in packed.items() if place in data]
    assert not [path for path, data in packed.items() if b"rocket" in data and path.suffix != ".whl"]
    assert "tensorflow" not in (space / "requirements.txt").read_text()


def test_an_anonymous_one_has_numbers_for_names(gallery, tmp_path):
    gallery.pack(tmp_path / "space", static=False, anonymous=True, progress=False)
    with Gallery.open(f"local:{tmp_path / 'space/index.db'}", root=tmp_path / "space/pictures") as packed:
        assert [record.id for record in packed.records()][:3] == ["1", "10", "11"]
        assert packed.thumbnail("1").stat().st_size > 500
    index = (tmp_path / "space/index.db").read_bytes()
    assert b"cat-original" not in index


PROGRAM = """import runpy
runpy.run_path("app.py", run_name="not main")
import imgsearch_kit; print(imgsearch_kit.__file__)"""


def test_the_program_runs_the_wheel_it_was_packed_with_and_leaves_nothing_behind(space, tmp_path):
    folder, temporary = shutil.copytree(space, tmp_path / "space"), tmp_path / "temporary"
    temporary.mkdir()
    with zipfile.ZipFile(folder / "imgsearch_kit-0.0.1-py3-none-any.whl", "w") as other:
        other.writestr("imgsearch_kit/__init__.py", "raise ValueError('of another version')")
    command = [sys.executable, "-c", PROGRAM]
    environment = os.environ | {"TMPDIR": str(temporary)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(temporary / "imgsearch-kit-"))
    assert list(temporary.iterdir()) == []


def test_the_wheel_is_one_that_pip_installs(space, tmp_path):
    (wheel,) = space.glob("*.whl")
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target", str(tmp_path), str(wheel)]
    subprocess.run(command, check=True, capture_output=True)
    assert (tmp_path / "imgsearch_kit/app/page.css").exists()
    assert (tmp_path / "imgsearch_kit/ui/grid.js").exists()
    with zipfile.ZipFile(wheel) as files:
        assert not [name for name in files.namelist() if "__pycache__" in name]


@pytest.fixture(scope="module")
def fresh(space, tmp_path_factory):
    """The Python of an environment with the requirements of the Space alone."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    command = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "-r",
        space / "requirements.txt",
    ]
    subprocess.run(command, check=True)
    return python


def test_it_runs_from_its_folder_alone_and_answers_as_the_gallery_does(space, fresh, gallery, tmp_path):
    alone, home = tmp_path / "alone", tmp_path / "home"
    shutil.copytree(space, alone)
    home.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "GRADIO_SERVER_PORT": str(port)}
    log = (tmp_path / "log").open("wb")
    process = subprocess.Popen([fresh, "app.py"], cwd=alone, env=environment, stdout=log, stderr=log)
    try:
        url, end = f"http://127.0.0.1:{port}", time.monotonic() + READY
        while True:
            try:
                urllib.request.urlopen(f"{url}/health", timeout=5).close()
                break
            except (OSError, http.client.HTTPException):
                assert process.poll() is None, (tmp_path / "log").read_text()
                assert time.monotonic() < end, (tmp_path / "log").read_text()
                time.sleep(0.2)
        query = next(record for record in gallery.records() if record.id.endswith("cat-blur.jpg"))
        found = asked(f"{url}/search", gallery.original(query).read_bytes())
        assert found["own"] == [query.id], "what was indexed is known again, though its file is not here"
        quantised, _ = gallery.quantised(progress=False)
        wanted = [hit for hit in quantised.search(id=query.id, k=15).hits if hit.label != "rocket"][:5]
        assert [hit["id"] for hit in found["hits"][:5]] == [hit.id for hit in wanted]
        assert [hit["score"] for hit in found["hits"][:5]] == pytest.approx([hit.score for hit in wanted], abs=1e-3)
        taken = {path.name for path in home.rglob("artefacts/*/*")}
        assert taken >= {path.name for path in (alone / "artefacts").iterdir()} > set()
        page = urllib.request.urlopen(url).read().decode()
        assert "{x}" in page
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
        log.close()


@pytest.fixture
def clustered(tmp_path, conv_weights):
    """A gallery of 240 pictures in 12 classes, by drawn vectors, and with a map of drawn places."""
    spec, rng = load_extractor("vgg16-rmac@int8", conv_weights).spec, np.random.default_rng(0)
    records = []
    for i in range(240):
        file = paint(tmp_path / f"pictures/c{i // 20:02}/{i:03}.png", (i, 97 * i % 256, 53 * i % 256), (8, 8))
        records.append(
            ImageRecord(f"c{i // 20:02}/{i:03}.png", f"c{i // 20:02}", str(i), path=None, size=file.stat().st_size)
        )
    vectors = np.repeat(rng.normal(size=(12, spec.dim)), 20, axis=0) + rng.normal(0, 1, (240, spec.dim))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    index = create_index("memory:", new_passport(spec, roots={"": str(tmp_path / "pictures")}))
    index.add(records, vectors)
    index.flush()
    places, ones = rng.normal(size=(240, 2)).astype(np.float32), np.ones(240)
    keep_projection(index, Projection(places, np.eye(spec.dim), vectors, ones, ones, 15, "umap", 42, np.ones(2)))
    return Gallery(index, weights=conv_weights)


def test_what_its_page_shows_is_learned_when_it_is_packed(clustered, tmp_path, monkeypatch):
    places = clustered.kept_projection().positions
    contents = clustered.packing(exclude_labels=["c03"], anonymous=True)
    clustered.pack(tmp_path / "space", static=False, contents=contents, progress=False)
    alone = (tmp_path / "space").rename(tmp_path / "alone")
    monkeypatch.setenv("IMGSEARCH_CACHE", str(tmp_path / "empty"))
    for work in ("inspection.over_index.calibrate", "inspection.verdicts.learn_novelty", "map.over_index.project"):
        monkeypatch.setattr(f"imgsearch_kit.{work}", learned_anew)

    with Gallery.open(f"local:{alone / 'index.db'}") as packed:
        take_artefacts(packed.passport, alone / "artefacts")
        learning = BackgroundLearning(packed)
        learning.start()
        assert learning.wait()
        assert [choice.unknown for choice in learning.choices()] == [""] * 4
        assert learning.calibration().queries == 220
        assert learning.novelty() is not None
        drawn = MapTab(packed, str(tmp_path)).start({})
        assert len(drawn["ids"]) == 220
        source = dict(zip(contents.names, [record.id for record in contents.records], strict=True))
        rows = {record.id: row for row, record in enumerate(clustered.records())}
        wanted = places[[rows[source[record.id]] for record in packed.records()]]
        np.testing.assert_array_equal(packed.kept_projection().positions, wanted)


def learned_anew(*args, **options):
    raise AssertionError("what was packed is learned anew")


def asked(url, picture):
    boundary = "part"
    part = 'Content-Disposition: form-data; name="image"; filename="a.jpg"\r\nContent-Type: image/jpeg'
    head = f"--{boundary}\r\n{part}\r\n\r\n"
    body = head.encode() + picture + f"\r\n--{boundary}--\r\n".encode()
    kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    with urllib.request.urlopen(urllib.request.Request(url, body, kind), timeout=60) as answer:
        return json.loads(answer.read())
