"""A query picture as a person gives it in Python: a path, bytes, an open file, a PIL picture or an array of pixels.

A search that is repeated gives the pixels of the earlier one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from imgsearch_kit.errors import BadQuery, without_secrets, without_stop
from imgsearch_kit.records import Pixels


@dataclass(frozen=True, slots=True)
class SeenPicture:
    """A query picture of an earlier search: its ``(side, side, 3)`` uint8 pixels, as the network saw them.

    They are of its box alone, if it had one. ``about`` is what that search's ``Results.query`` said of it.
    """

    pixels: Pixels
    about: Mapping[str, Any]


Picture = str | os.PathLike[str] | bytes | IO[bytes] | Image.Image | npt.NDArray[np.uint8] | SeenPicture

TAKEN = "a path, bytes, a file opened for reading bytes, a PIL picture or an array of pixels"
_SHAPES = "uint8 of shape (height, width), (height, width, 3) for RGB or (height, width, 4) for RGBA"


def picture_given(given: Any) -> tuple[Path | bytes | Image.Image, str | None]:
    """What ``load`` takes for a picture that was given, and the name of its file without its folder, if it has one.

    An open file is read from its beginning. An array is uint8: grey ``(h, w)`` or ``(h, w, 1)``, RGB ``(h, w, 3)`` or
    RGBA ``(h, w, 4)``.

    :raises BadQuery: when it is of another type, an array of another shape or dtype, without pixels, or the address of
        a web page.
    """
    if isinstance(given, str | os.PathLike):
        path = _path(given)
        return path, path.name or str(path)  # never the folder: the page shows it
    if isinstance(given, bytes | bytearray | memoryview):
        return bytes(given), None
    if isinstance(given, Image.Image):
        _check_size(*given.size)
        return given, None
    if hasattr(given, "read"):
        return _content(given)
    if hasattr(given, "__array__"):
        return _picture(np.asarray(given)), None
    kind = type(given).__name__
    if isinstance(given, Mapping) and "path" in given:  # as Gradio hands files over
        raise BadQuery(f"The picture is a {kind}, not {TAKEN}. Give the path in it: picture['path'].")
    if isinstance(given_id := getattr(given, "id", None), str):
        raise BadQuery(f"The picture is a {kind}, not {TAKEN}. Search for an indexed picture with id={given_id!r}.")
    raise BadQuery(f"The picture is a {kind}; give {TAKEN}.")


def _path(given: str | os.PathLike[Any]) -> Path:
    text = os.fsdecode(given)
    if re.match("[a-z][a-z0-9+.-]+://|https?:/|data:", text, re.IGNORECASE):  # a Path keeps one slash of two
        raise BadQuery(
            f"{without_secrets(text)[:80]!r} is an address, not a file here. Download the picture, and give its path."
        )
    return Path(text)


def _content(file: Any) -> tuple[bytes, str | None]:
    """The bytes of an open file, and its name."""
    name = getattr(file, "name", None)
    try:
        if getattr(file, "seekable", bool)():
            file.seek(0)
        data = file.read()
    except (OSError, ValueError) as error:  # closed, or opened for writing
        raise BadQuery(f"The open file cannot be read: {without_stop(error)}. Give its path.") from error
    if not isinstance(data, bytes):
        raise BadQuery(f"The open file gives {type(data).__name__}, not bytes. Open it with open(path, 'rb').")
    return data, Path(name).name if isinstance(name, str) else None


def _picture(array: npt.NDArray[Any]) -> Image.Image:
    """The picture of an array of pixels."""
    shape = array.shape[:2] if array.ndim == 3 and array.shape[2] == 1 else array.shape
    if array.dtype != np.uint8 or not (len(shape) == 2 or (len(shape) == 3 and shape[2] in (3, 4))):
        hint = (
            " Turn values of 0 .. 1 into bytes with (255 * array).astype('uint8')." if array.dtype.kind == "f" else ""
        )
        raise BadQuery(f"The array is {array.dtype} of shape {array.shape}; a picture is {_SHAPES}.{hint}")
    _check_size(shape[1], shape[0])
    return Image.fromarray(np.ascontiguousarray(array.reshape(shape)))


def _check_size(width: int, height: int) -> None:
    if not width or not height:
        raise BadQuery(f"The picture of {width} x {height} has no pixels. Give another one.")
