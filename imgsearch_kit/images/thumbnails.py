"""Small copies of pictures without metadata, cached by the hash of the original."""

from __future__ import annotations

import hashlib
import io
import os
import re
from pathlib import Path

from PIL import Image

from imgsearch_kit.errors import BadQuery, KitError, UnreadableImage
from imgsearch_kit.files import cache_folder, kept_folder, process_folder, write_whole
from imgsearch_kit.images.decoding import decode, read_bytes
from imgsearch_kit.records import MAX_PIXELS

THUMBNAIL = 256
PREVIEW = 1024
EFFORT = 2  # of WEBP's encoder, 0 to 6: half the time of its default of 4, for files that are 2 % larger


def thumbnail(
    source: Path | bytes,
    sha256: str,
    size: int = THUMBNAIL,
    *,
    folder: Path | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Path:
    """The path of a WEBP whose longer side is at most ``size`` pixels: upright, on white, without any metadata.

    It is made once and stored in ``folder`` under the picture's hash; without one in ``thumbnails`` in the cache
    folder, or in the process's own temporary folder where nothing can be kept there. It is made again where that file
    is empty or cut short. A picture is never enlarged. Several threads or processes may request the same one.

    :raises UnreadableImage: when there is no thumbnail yet and the source cannot be decoded, or has changed.
    :raises BadQuery: when ``sha256`` is not 64 hexadecimal digits or ``size`` is not within 1 .. 16,383 (WEBP's limit).
    :raises KitError: when the folder cannot be written.
    """
    if not re.fullmatch("[0-9a-f]{64}", sha256):
        raise BadQuery(f"{sha256!r} is not a sha256; it must be 64 hexadecimal digits")
    if not 1 <= size <= 16_383:
        raise BadQuery(f"The size is {size} pixels; it must be within 1 .. 16383")
    name = f"{sha256}-{size}.webp"
    path = (folder or cache_folder() / "thumbnails") / name
    if _is_whole(path):
        return path
    if folder is None:
        path = kept_folder("thumbnails") / name
        if _is_whole(path):
            return path
    data = read_bytes(source)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise UnreadableImage("The file has changed since it was indexed; index its folder again")
    picture = _small(data, size, max_pixels)
    try:
        return _saved(picture, path)
    except OSError as error:
        if folder is not None:
            raise KitError(
                f"{folder} cannot be written: {error.strerror or error}; set IMGSEARCH_CACHE to a writable folder"
            ) from error
    return _saved(picture, process_folder() / "thumbnails" / name)  # the cache's disk is full


def thumbnail_bytes(
    source: Path | bytes | Image.Image, size: int, *, quality: int = 85, max_pixels: int = MAX_PIXELS
) -> bytes:
    """The same WEBP in memory, for a picture that nothing of shall be kept; ``quality`` from 1 to 100.

    :raises UnreadableImage: when the source cannot be decoded.
    """
    made = io.BytesIO()
    content = source if isinstance(source, Image.Image) else read_bytes(source)
    _small(content, size, max_pixels).save(made, "WEBP", quality=quality, method=EFFORT)
    return made.getvalue()


def _small(data: bytes | Image.Image, size: int, max_pixels: int) -> Image.Image:
    """The picture at a size, without metadata."""
    picture, _ = decode(data, 2 * size, max_pixels)
    picture.thumbnail((size, size), Image.Resampling.LANCZOS)
    picture.info.clear()
    return picture


def _saved(picture: Image.Image, path: Path) -> Path:
    """The path, once the picture is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_whole(path) as whole:
        picture.save(whole, "WEBP", quality=85, method=EFFORT)
        with whole.open("rb+") as file:
            os.fsync(file.fileno())  # else a power cut may leave a file of the right length, with zeros in it
    return path


def _is_whole(path: Path) -> bool:
    """Whether a file begins as a WEBP does, has the length that it says, and does not end in many zeros.

    A full disk may leave an empty one, a power cut one of zeros from some place on. That of a plain picture ends in
    zeros too, a tenth of it at most.
    """
    try:
        data = path.read_bytes()
    except OSError:
        return False
    right = data[:4] + data[8:12] == b"RIFFWEBP" and int.from_bytes(data[4:8], "little") + 8 == len(data)
    return right and any(data[-len(data) // 4 :])
