"""The page as `python gradio_app.py` starts it, on photographs and with the real network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from imgsearch_kit import datasets
from imgsearch_kit.extractors import load_extractor
from imgsearch_kit.index import create_index, new_passport
from imgsearch_kit.indexing.folder import index_folder
from tests.app.conftest import free_port
from tests.app.test_page import ALL_DRAWN, drop, hits

APP = Path(__file__).resolve().parents[2] / "gradio_app.py"


@pytest.fixture
def photographs(tmp_path, monkeypatch):
    """Two subjects of the sample pictures, ten views each."""
    monkeypatch.setattr(datasets, "SUBJECTS", {name: datasets.SUBJECTS[name] for name in ("cat", "coffee")})
    return datasets.sample_pictures(tmp_path / "pictures")


@pytest.fixture
def start(own_cache):
    """Starts gradio_app.py and gives what it prints, line by line."""
    started = []

    def run(**environment):
        process = subprocess.Popen(
            [sys.executable, str(APP)],
            env=os.environ | {"GRADIO_SERVER_PORT": str(free_port())} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.terminate()
        process.communicate(timeout=60)


def test_a_part_of_a_photograph_finds_its_other_views(start, visit, photographs, conv_weights, own_cache, tmp_path):
    (own_cache / "weights").mkdir(exist_ok=True)
    shutil.copy(conv_weights, own_cache / "weights" / "vgg16-conv.npz")
    address = f"local:{tmp_path / 'imgsearch.db'}"
    extractor = load_extractor("vgg16-rmac", conv_weights)
    with create_index(address, new_passport(extractor.spec)) as index:
        index_folder(photographs, index, extractor, progress=False)
    coffee = Image.open(photographs / "coffee/coffee-original.png")
    part = coffee.crop((60, 40, 500, 380))
    part.save(tmp_path / "mine.png")

    process = start(IMGSEARCH_INDEX=address)
    line = process.stdout.readline()
    assert line.startswith("The page is at http://127.0.0.1:"), line + process.stderr.read()
    page = visit(line.split()[-1])
    drop(page, tmp_path / "mine.png")
    page.locator("#hits .kit-card").first.wait_for()
    assert page.locator("#hits .label").all_inner_texts()[:8] == ["coffee"] * 8
    assert page.locator("#own").inner_text() == ""
    page.wait_for_function(ALL_DRAWN)

    page.get_by_role("button", name="Crop", exact=True).click()
    page.get_by_role("button", name="1. suggested box").click()
    page.locator(".search:not(.busy) .kit-box").wait_for()
    assert hits(page)[0].startswith("coffee/")
    page.locator("#hits [data-id]").first.click()
    page.get_by_role("button", name="Why these match").click()
    page.get_by_text("Exact shares of the cosine by region").wait_for()
    drawn = page.locator("dialog .kit-heat").evaluate_all(
        """(all) => all.map((c) => c.getContext('2d').getImageData(0, 0, c.width, c.height).data
          .some((value, i) => i % 4 === 3 && value > 150))"""
    )
    assert drawn == [True, True]


def test_an_index_that_is_not_there_is_said_and_nothing_starts(start, tmp_path):
    process = start(IMGSEARCH_INDEX=f"local:{tmp_path / 'nowhere.db'}")
    printed, said = process.communicate(timeout=120)
    assert process.returncode == 1
    assert printed == ""
    assert "nowhere.db" in said
    assert "Traceback" not in said
