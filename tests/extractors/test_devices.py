"""How many pictures go through a device at once: by its free memory, as its driver's tool says it."""

from __future__ import annotations

import numpy as np
import pytest

from imgsearch_kit.extractors.devices import device_batch, free_megabytes
from imgsearch_kit.index import create_index, new_passport
from imgsearch_kit.indexing.folder import index_folder
from tests.small_extractor import QuarterColours, paint


@pytest.mark.parametrize(
    ("megabytes", "side", "batch"),
    [
        (None, 224, 32),
        (0, 224, 16),
        (4_000, 224, 16),
        (7_000, 224, 32),
        (16_000, 224, 64),
        (80_000, 224, 128),
        (80_000, 320, 128),
        (16_000, 320, 32),
    ],
)
def test_half_the_free_memory_is_taken(megabytes, side, batch):
    assert device_batch(megabytes, side) == batch


@pytest.mark.parametrize(
    ("said", "free"), [("81559\n7000\n", 7000), ("", None), ("[N/A]\n", None), ("exit 9", None), (None, None)]
)
def test_the_drivers_tool_is_asked(monkeypatch, tmp_path, said, free):
    monkeypatch.setenv("PATH", str(tmp_path))
    if said is not None:
        tool = tmp_path / "nvidia-smi"
        tool.write_text(f"#!/bin/sh\n{said}\n" if said.startswith("exit") else f"#!/bin/sh\nprintf '{said}'\n")
        tool.chmod(0o755)
    assert free_megabytes() == free


def test_an_extractor_with_large_batches_gets_large_batches(tmp_path):
    for i in range(70):
        paint(tmp_path / f"{i:02}.png", (i + 1, 200 - i, 90))
    extractor = QuarterColours()
    extractor.batch = 64
    with create_index("memory:", new_passport(extractor.spec)) as index:
        index_folder(tmp_path, index, extractor, progress=False)
        assert extractor.calls == [64, 6]
        assert len(index) == 70
        np.testing.assert_allclose(np.linalg.norm(index.vectors(), axis=1), 1, atol=1e-6)
