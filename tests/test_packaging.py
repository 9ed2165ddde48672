"""The files that install the kit agree with pyproject.toml."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from tests.conftest import require

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
UNLOCKED = {"ray"}  # extras of an environment of their own
LOCKED = [lines for extra, lines in PROJECT["optional-dependencies"].items() if extra not in UNLOCKED]
ALL = PROJECT["dependencies"] + [line for lines in LOCKED for line in lines]


def lock() -> dict[str, set[Version]]:
    pinned: dict[str, set[Version]] = {}
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        requirement = Requirement(line)
        (specifier,) = requirement.specifier
        pinned.setdefault(requirement.name.lower(), set()).add(Version(specifier.version))
    return pinned


@pytest.mark.parametrize("line", ALL)
def test_the_lock_holds_a_version_inside_every_range(line):
    requirement = Requirement(line)
    for version in lock()[requirement.name.lower()]:
        assert version in requirement.specifier, f"{requirement} is locked at {version}"


def test_the_lock_names_no_host_and_no_file():
    text = (ROOT / "requirements.lock").read_text()
    assert not re.search(r"://|--|^-|@ |file:", text, re.M)


def test_the_lock_holds_the_client_that_speaks_to_servers_8_and_9():
    assert all(version.major == 8 for version in lock()["elasticsearch"])


def test_environment_yml_installs_the_project_with_a_python_it_supports():
    lines = [line.strip() for line in (ROOT / "environment.yml").read_text().splitlines()]
    python = next(line for line in lines if line.startswith("- python=")).split("=")[1]
    assert Version(python) in SpecifierSet(PROJECT["requires-python"])
    install = next(line for line in lines if line.startswith("- -e"))
    extras = set(re.search(r"\[(.*)\]", install)[1].split(","))
    assert {"app", "notebooks", "samples"} <= extras <= set(PROJECT["optional-dependencies"])
    packages = [line for line in lines if line.startswith("- ") and not line.startswith(("- -e", "- python=", "- pip"))]
    assert packages == ["- conda-forge"], "pyproject.toml alone names packages"


def test_the_version_is_written_once_per_place():
    from imgsearch_kit import __version__

    assert __version__ == PROJECT["version"]
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_make_shows_its_help():
    text = subprocess.run(["make", "-C", ROOT], capture_output=True, text=True, check=True).stdout
    for target in ("help", "setup", "demo", "test", "lint", "clean"):
        assert f"make {target} " in text


def test_no_file_names_a_registry_or_a_secret_place():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    assert "uv.lock" not in listed


def test_the_wheel_holds_what_the_page_is_drawn_with(tmp_path):
    require(importlib.util.find_spec("hatchling"), "hatchling", "python -m pip install hatchling")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    held = zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist()
    listed = subprocess.run(["git", "ls-files", "imgsearch_kit"], cwd=ROOT, capture_output=True, text=True, check=True)
    files = listed.stdout.split()
    assert {"imgsearch_kit/ui/grid.js", "imgsearch_kit/ui/ui.css", "imgsearch_kit/app/tabs/search.js"} <= set(files)
    assert set(files) <= set(held)
