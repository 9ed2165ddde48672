"""Data sets to start with: generated views of free photographs, and Caltech-101."""

from __future__ import annotations

import functools
import hashlib
import http.client
import importlib.util
import io
import math
import re
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from imgsearch_kit.download import download
from imgsearch_kit.errors import BadQuery, KitError, MissingExtra, ServerUnavailable
from imgsearch_kit.files import write_whole

# --- sample pictures -------------------------------------------------------------------------------------------------

SUBJECTS = {
    "astronaut": ["astronaut.png"],
    "brick": ["brick.png"],
    "cameraman": ["camera.png"],
    "cat": ["chelsea.png"],
    "cell": ["cell.png"],
    "clock": ["clock_motion.png"],
    "coffee": ["coffee.png"],
    "coins": ["coins.png"],
    "galaxies": ["hubble_deep_field.jpg"],
    "grass": ["grass.png"],
    "gravel": ["gravel.png"],
    "handwriting": ["text.png"],
    "moon": ["moon.png"],
    "motorcycle": ["motorcycle_left.png", "motorcycle_right.png"],
    "page": ["page.png"],
    "retina": ["retina.jpg"],
    "rocket": ["rocket.jpg"],
    "tissue": ["ihc.png"],
    "vessels": ["microaneurysms.png"],
}
"""Each subject's photographs among the files of the scikit-image wheel; its drawings and patterns are left out."""

VIEW_SIDE = 640


def _part(picture: Image.Image, left: float, top: float, right: float, bottom: float) -> tuple[int, int, int, int]:
    """The box of a picture between fractions of its width and height."""
    width, height = picture.size
    return round(left * width), round(top * height), round(right * width), round(bottom * height)


def _rotation(picture: Image.Image) -> Image.Image:
    """Turned by 15 degrees, and cropped to the largest part without empty corners, in the same proportions."""
    aspect = max(picture.size) / min(picture.size)
    margin = (1 - 1 / (math.cos(math.radians(15)) + aspect * math.sin(math.radians(15)))) / 2
    turned = picture.rotate(15, Image.Resampling.BICUBIC)
    return turned.crop(_part(picture, margin, margin, 1 - margin, 1 - margin))


def _noise(picture: Image.Image) -> Image.Image:
    values = np.asarray(picture, np.float32)
    noise = np.random.default_rng(0).normal(0, 20, values.shape)
    return Image.fromarray(np.rint((values + noise).clip(0, 255)).astype(np.uint8))


def _occlusion(picture: Image.Image) -> Image.Image:
    covered = picture.copy()
    covered.paste((128, 128, 128), _part(picture, 0.5, 0.5, 0.85, 0.9))
    return covered


VIEWS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "crop": lambda picture: picture.crop(_part(picture, 0.1, 0.15, 0.8, 0.85)),
    "rotation": _rotation,
    "jpeg20": lambda picture: picture,
    "blur": lambda picture: picture.filter(ImageFilter.GaussianBlur(max(picture.size) / 150)),
    "brightness": lambda picture: ImageEnhance.Brightness(picture).enhance(0.55),
    # Contrast is stretched too, or the view of a grey photograph would be that photograph.
    "grey": lambda picture: ImageOps.autocontrast(picture.convert("L"), cutoff=3).convert("RGB"),
    "noise": _noise,
    "flip": ImageOps.mirror,
    "occlusion": _occlusion,
}
"""The nine generated views of a photograph by name; each maps an RGB picture to an RGB picture, always the same."""


def sample_pictures(folder: Path | str) -> Path:
    """The folder with 200 sample pictures: 20 photographs of 19 subjects, each with nine generated views.

    A picture is in the folder of its subject and is named after its view: ``cat/cat-original.png``,
    ``cat/cat-flip.jpg``. The photographs come from the installed scikit-image, all of them free of known copyright
    restrictions. Existing files are kept, so that the next run completes an interrupted one.

    :raises MissingExtra: when scikit-image is not installed.
    :raises KitError: when the installed scikit-image lacks a photograph.
    """
    source, folder = _skimage_data(), Path(folder)
    for subject, names in SUBJECTS.items():
        (folder / subject).mkdir(parents=True, exist_ok=True)
        for name in names:
            photograph = source / name
            if not photograph.is_file():
                raise KitError(
                    f"scikit-image at {source} has no {name}; install scikit-image 0.25 or 0.26 from a wheel"
                )
            stem = subject if len(names) == 1 else photograph.stem.replace("_", "-")
            original = folder / subject / f"{stem}-original{photograph.suffix}"
            _write_once(original, photograph.read_bytes)
            for view in VIEWS:
                _write_once(folder / subject / f"{stem}-{view}.jpg", functools.partial(_view, photograph, view))
    return folder


def _skimage_data() -> Path:
    """The data folder of the installed scikit-image, found without importing it."""
    spec = importlib.util.find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtra("scikit-image", "samples")
    return Path(spec.submodule_search_locations[0]) / "data"


def _view(photograph: Path, view: str) -> bytes:
    with Image.open(photograph) as image:
        picture = image.convert("RGB")
    picture.thumbnail((VIEW_SIDE, VIEW_SIDE), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    VIEWS[view](picture).save(file, "JPEG", quality=20 if view == "jpeg20" else 90)
    return file.getvalue()


def _write_once(path: Path, content: Callable[[], bytes]) -> None:
    """Writes a file atomically, if it does not exist yet."""
    if path.exists():
        return
    with write_whole(path) as whole:
        whole.write_bytes(content())


# --- Caltech-101 -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Archive:
    """A data set to download: its address, the sha256 of the file there, and how many pictures it holds."""

    address: str
    sha256: str
    pictures: int


CALTECH101 = Archive(
    "https://data.caltech.edu/records/mzrjq-6wc02/files/caltech-101.zip",
    "331234750fc7f77520e50d9565e8b6907b03565e30320da1401130db08c61f91",
    8677,
)
"""Caltech-101 (Fei-Fei Li, Fergus, Perona 2004; CaltechDATA record D1.20086, CC BY 4.0), 137 MB.

``pictures`` leaves out ``BACKGROUND_Google``, 467 pictures without a common subject.
"""

BACKGROUND = "BACKGROUND_Google"
_INNER = "101_ObjectCategories"


def caltech101(folder: Path, source: Path | None = None, *, archive: Archive = CALTECH101) -> Path:
    """The folder with Caltech-101, one folder per class: ``folder``, or ``source`` when that is such a folder.

    A complete ``folder`` is used as it is. Otherwise the archive is unpacked into it: ``source`` when given
    (caltech-101.zip or 101_ObjectCategories.tar.gz), else a download, which resumes an interrupted one.
    The folder is created atomically.

    :raises ServerUnavailable: when the download fails.
    :raises BadQuery: when a checksum or the number of pictures is wrong, the source is no archive of this data set, or
        ``folder`` holds something else.
    :raises KitError: when the files cannot be written.
    """
    if source is not None and source.is_dir():
        inner = next((path for path in (source / "caltech-101" / _INNER, source / _INNER) if path.is_dir()), source)
        return _complete(inner, archive)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        return _complete(folder, archive)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if source is not None:
            _unpack(source, folder, archive)
        else:
            part = folder.parent / "caltech-101.zip.part"
            _download(archive, part)
            _unpack(part, folder, archive)
            part.unlink()
    except OSError as error:
        raise KitError(f"Caltech-101 cannot be read or written: {error}; check the path and the free space") from error
    return folder


def _complete(folder: Path, archive: Archive, shown_as: Path | None = None) -> Path:
    """The folder, if all pictures are in it; otherwise an error whose message names ``shown_as``."""
    count = sum(1 for path in folder.glob("*/image_*.jpg") if path.parent.name != BACKGROUND)
    if count != archive.pictures:
        raise BadQuery(
            f"{shown_as or folder} holds {count:,} of the {archive.pictures:,} pictures of Caltech-101; "
            "remove it, or give another one"
        )
    return folder


def _download(archive: Archive, path: Path) -> None:
    """Downloads the archive to ``path``, resuming an earlier download, and checks it."""
    try:
        download(archive.address, path)
    except (ValueError, http.client.InvalidURL):  # both repeat the address of a proxy, which may have a password
        raise ServerUnavailable(
            f"Caltech-101 cannot be downloaded from {archive.address}: the address of a proxy in the environment "
            "cannot be read. Correct https_proxy"
        ) from None
    except (OSError, http.client.HTTPException) as error:
        raise ServerUnavailable(
            f"Caltech-101 cannot be downloaded from {archive.address}: {error}. Get caltech-101.zip in another way "
            "and give its path as the source, or start with the sample pictures, which need no network"
        ) from error
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != archive.sha256:
        path.unlink()
        raise BadQuery(
            f"The download from {archive.address} has the sha256 {found}, not {archive.sha256}, and was deleted; "
            "try again, or give the path of a good caltech-101.zip as the source"
        )


def _unpack(source: Path, folder: Path, archive: Archive) -> None:
    """Unpacks the pictures to a temporary folder, and renames it to ``folder`` when all are unpacked."""
    aside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        if zipfile.is_zipfile(source):
            with zipfile.ZipFile(source) as outer:
                inner = next((name for name in outer.namelist() if name.endswith(f"/{_INNER}.tar.gz")), None)
                if inner is None:
                    raise BadQuery(f"{source} holds no {_INNER}.tar.gz; it is not caltech-101.zip")
                with outer.open(inner) as stream, tarfile.open(fileobj=stream, mode="r|gz") as tar:
                    tar.extractall(aside, _pictures(tar), filter="data")
        else:
            with tarfile.open(source, "r|*") as tar:
                tar.extractall(aside, _pictures(tar), filter="data")
        _complete(aside / _INNER, archive, shown_as=source)
        (aside / _INNER).replace(folder)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise BadQuery(f"{source} cannot be unpacked: {error}; download the archive again") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _pictures(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The picture files of an archive; nothing else in it is written."""
    for member in tar:
        if member.isreg() and re.fullmatch(rf"(\./)?{_INNER}/\w[\w-]*/image_\d+\.jpg", member.name):
            yield member
