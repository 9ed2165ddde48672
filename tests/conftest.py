"""Fixtures every test may use, and the rule that in CI no test skips for a missing part."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

CALTECH = Path(__file__).resolve().parents[2] / "shared" / "data" / "caltech101"


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """Every test has a cache folder of its own, so none sees the user's files."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("IMGSEARCH_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def caltech():
    """The Caltech-101 folder, for tests that want real pictures in numbers."""
    if not CALTECH.is_dir():
        pytest.skip(f"Caltech-101 is not at {CALTECH}")
    return CALTECH


def require(present: object, what: str, command: str) -> None:
    """Skips with the command to type when a part is missing; with CI set a missing part is a failure."""
    if present:
        return
    message = f"{what} is missing. Type: {command}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)
