"""The kit that runs here as a wheel, for places that cannot install it from a package registry."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

import imgsearch_kit

PACKAGE = "imgsearch_kit"
WHEEL_TEXT = "Wheel-Version: 1.0\nGenerator: imgsearch-kit\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
UNWANTED = ("__pycache__",)


def write_wheel(folder: Path) -> Path:
    """The path of a wheel of the kit below a folder; the format is that of packaging.python.org's specification.

    :raises PackageNotFoundError: when the kit runs without having been installed.
    """
    about = metadata.distribution("imgsearch-kit")
    stem = f"{PACKAGE}-{imgsearch_kit.__version__}"
    package = Path(imgsearch_kit.__file__).parent
    files = {
        f"{PACKAGE}/{path.relative_to(package).as_posix()}": path.read_bytes()
        for path in sorted(package.rglob("*"))
        if path.is_file() and not set(UNWANTED) & set(path.parts)
    }
    files |= {
        f"{stem}.dist-info/{name}": (about.read_text(name) or "").encode() for name in ("METADATA", "entry_points.txt")
    }
    files[f"{stem}.dist-info/WHEEL"] = WHEEL_TEXT.encode()
    record = f"{stem}.dist-info/RECORD"
    lines = [f"{name},sha256={_digest(data)},{len(data)}" for name, data in files.items()]
    files[record] = "\n".join([*lines, f"{record},,", ""]).encode()
    path = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, data in files.items():
            wheel.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)  # without times: equal wheels are equal
    return path


def requirements(*extras: str) -> list[str]:
    """What the kit needs with some extras, one requirement a line, in order."""
    found = []
    for line in metadata.requires("imgsearch-kit") or []:
        each = Requirement(line)
        if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in extras):
            each.marker = None
            found.append(str(each))
    return sorted(found)


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
