"""Decodes untrusted bytes to pixels, or gives the reason why it cannot; the only code that decodes."""

from __future__ import annotations

import functools
import hashlib
import io
import math
import stat
from collections import deque
from collections.abc import Container, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from imgsearch_kit.boxes import Box, pixels_in
from imgsearch_kit.errors import BadQuery, UnreadableImage
from imgsearch_kit.images.containers import without_metadata
from imgsearch_kit.images.jpeg_end import endings
from imgsearch_kit.images.kinds import format_of
from imgsearch_kit.images.reasons import reason_for
from imgsearch_kit.images.shielding import LIBTIFF_ERRORS, SHIELD
from imgsearch_kit.records import MAX_PIXELS, Pixels

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, slots=True)
class Loaded:
    """A decoded picture: ``pixels`` is ``(side, side, 3)`` uint8 RGB, the whole picture squashed to the square.

    ``width`` and ``height`` are the file's pixels as displayed, ``sha256`` (hex) and ``size`` are of its bytes ("" and
    0 for a picture that is no file).
    """

    pixels: Pixels
    width: int
    height: int
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Hashed:
    """A file that was read and not decoded, because its content is known: the sha256 (hex) of its bytes."""

    sha256: str


def load(
    source: Path | bytes | Image.Image,
    side: int,
    resampling: str = "bilinear",
    *,
    box: Box | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Loaded:
    """A picture's pixels, size and hash, all from one read of a file (or from its bytes, or from a PIL picture).

    The first frame, turned upright by its EXIF orientation, in RGB, resized with antialiasing. Transparency is composed
    on white. 16-bit values are scaled, and so are 32-bit integers within 0 .. 65,535 and floats within 0 .. 1; values
    outside those ranges are scaled from their own finite minimum and maximum. Colour profiles are not applied. Damage
    outside the pixels (in metadata, later frames, a missing end) does not matter, and a fourth channel that is zero
    everywhere is padding in a BMP, and in a TIFF that does not call it transparency.
    A large JPEG is decoded at a reduced scale of at least twice the side. With ``box`` the pixels are those of the box
    on the upright picture alone; the size is still the whole picture's.

    :raises UnreadableImage: when the file cannot be read, is no picture of an accepted format, is damaged or
        incomplete, or has more than ``max_pixels`` pixels.
    :raises BadQuery: when ``side`` is below 1, ``resampling`` is not a filter's name, or ``box`` is smaller than a
        pixel.
    """
    filters = {kernel.name.lower(): kernel for kernel in Image.Resampling}
    if resampling not in filters:
        raise BadQuery(f"There is no resampling filter {resampling!r}; the filters are {', '.join(filters)}")
    if side < 1:
        raise BadQuery(f"The side is {side} pixels; it must be at least 1")
    content = source if isinstance(source, Image.Image) else read_bytes(source)
    least = 1.0 if box is None else min(box[2] - box[0], box[3] - box[1])
    picture, (width, height) = decode(content, math.ceil(2 * side / least), max_pixels)
    if box is not None:
        pixels_in(box, width, height)  # refuses a box below a pixel of the file, before it was reduced
        picture = picture.crop(pixels_in(box, *picture.size))
    pixels = np.array(picture.resize((side, side), filters[resampling]))
    if isinstance(content, Image.Image):
        return Loaded(pixels, width, height, "", 0)
    return Loaded(pixels, width, height, hashlib.sha256(content).hexdigest(), len(content))


def load_pixels(
    source: Path | bytes, side: int, resampling: str = "bilinear", *, max_pixels: int = MAX_PIXELS
) -> Pixels:
    """The pixels of ``load``: ``(side, side, 3)`` uint8 RGB."""
    return load(source, side, resampling, max_pixels=max_pixels).pixels


def load_many(
    paths: Iterable[Path],
    side: int,
    resampling: str = "bilinear",
    *,
    threads: int = 2,
    ahead: int = 64,
    max_pixels: int = MAX_PIXELS,
    known: Container[str] = (),
) -> Generator[tuple[Path, Loaded | Hashed | UnreadableImage]]:
    """Each path with its loaded picture or the reason why there is none, in the order of the paths.

    A file whose sha256 is ``known`` is not decoded. Threads decode up to ``ahead`` pictures while the consumer works;
    they end when the iterator is closed.
    """

    def attempt(path: Path) -> Loaded | Hashed | UnreadableImage:
        try:
            data = read_bytes(path)
            if known and (sha256 := hashlib.sha256(data).hexdigest()) in known:
                return Hashed(sha256)
            return load(data, side, resampling, max_pixels=max_pixels)
        except UnreadableImage as error:
            return error

    pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
    window: deque[tuple[Path, Future[Loaded | Hashed | UnreadableImage]]] = deque()
    try:
        for path in paths:
            window.append((path, pool.submit(attempt, path)))
            if len(window) >= ahead:
                first, future = window.popleft()
                yield first, future.result()
        while window:
            first, future = window.popleft()
            yield first, future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def read_bytes(source: Path | bytes) -> bytes:
    """The bytes of a regular file, or those given.

    :raises UnreadableImage: when there is no such file, or it cannot be read.
    """
    if isinstance(source, bytes):
        return source
    try:
        if not stat.S_ISREG(source.stat().st_mode):  # a named pipe would never end
            raise UnreadableImage("It is a folder or device, not a file")
        return source.read_bytes()
    except OSError as error:
        raise UnreadableImage(f"The file cannot be read: {error.strerror}") from error
    except ValueError as error:  # a NUL in the path
        raise UnreadableImage(f"The file cannot be read: {error}") from error


def decode(source: bytes | Image.Image, draft: int, max_pixels: int) -> tuple[Image.Image, tuple[int, int]]:
    """The upright RGB picture, and its size as displayed; a JPEG may be reduced to at least ``draft`` pixels a side.

    :raises UnreadableImage: when the source is no valid picture of an accepted format, or it is too large.
    """
    try:
        with SHIELD:
            if isinstance(source, Image.Image):
                return _upright(source, max_pixels)
            return _opened(source, max_pixels, draft)
    except UnreadableImage:
        raise
    except Exception as error:  # Pillow raises nearly any exception on damaged files
        reason = (
            reason_for(source, error, _formats())
            if isinstance(source, bytes)
            else f"The PIL picture cannot be read: {error}"
        )
        raise UnreadableImage(reason) from error


def _opened(source: bytes, max_pixels: int, draft: int) -> tuple[Image.Image, tuple[int, int]]:
    """The picture in the bytes of a file; one whose end marker is missing has to be complete without it."""
    data = without_metadata(source)

    def of(content: bytes, draft: int | None = None) -> tuple[Image.Image, tuple[int, int]]:
        with Image.open(io.BytesIO(content), formats=_formats()) as image:
            return _upright(image, max_pixels, draft)

    try:
        return of(data, draft)
    except OSError:
        ended = endings(data) if format_of(data) == "JPEG" else []
        if len({hashlib.sha256(of(each)[0].tobytes()).digest() for each in ended}) != 1:
            raise
        return of(ended[0], draft)


def _upright(image: Image.Image, max_pixels: int, draft: int | None = None) -> tuple[Image.Image, tuple[int, int]]:
    width, height = image.size
    if width * height > max_pixels:
        raise UnreadableImage(_too_large(width, height, max_pixels))
    if draft is not None:
        image.draft("RGB", (draft, draft))
    errors = LIBTIFF_ERRORS.count
    image.load()
    if LIBTIFF_ERRORS.count > errors:
        raise OSError("its pixels cannot be unpacked")
    turn = _orientation(image)
    picture = _to_rgb(image)
    if turn in _UPRIGHT:
        picture = picture.transpose(_UPRIGHT[turn])
    return picture, (height, width) if turn in (5, 6, 7, 8) else (width, height)


def _too_large(width: int, height: int, max_pixels: int) -> str:
    return (
        f"It has {width} x {height} = {width * height / 1e6:,.1f} million pixels, more than the limit of "
        f"{max_pixels / 1e6:,.1f} million; raise max_pixels (--max-megapixels) if you trust the file"
    )


@functools.cache
def _formats() -> tuple[str, ...]:
    """The accepted formats, with HEIC when pillow-heif is installed."""
    try:
        import pillow_heif
    except ImportError:
        return FORMATS
    pillow_heif.register_heif_opener()
    return (*FORMATS, "HEIF")


def orientation_of(data: bytes) -> int:
    """How the picture in the bytes of a file is turned, as in EXIF: 1 for upright to 8."""
    try:
        with SHIELD, Image.open(io.BytesIO(without_metadata(data)), formats=_formats()) as image:
            turn = _orientation(image)
    except Exception:  # decoding it says what is wrong
        return 1
    return turn if turn in _UPRIGHT else 1


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(0x0112, 1))
    except Exception:  # damaged metadata does not spoil the picture
        return 1


def _to_rgb(image: Image.Image) -> Image.Image:
    """The picture in RGB: wide grey values scaled, transparency on white."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _scaled(image).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    clear = image.convert("RGBA")
    if _pads_with_alpha(image) and not clear.getchannel("A").getextrema()[1]:
        return clear.convert("RGB")
    picture = Image.new("RGB", image.size, "white")
    picture.paste(clear, mask=clear.getchannel("A"))
    return picture


def _pads_with_alpha(image: Image.Image) -> bool:
    """Whether programs leave the alpha of such a file zero: a BMP, or a TIFF that does not say what the channel is."""
    return image.format in ("BMP", "DIB") or (image.format == "TIFF" and 338 not in getattr(image, "tag_v2", {}))


def _scaled(image: Image.Image) -> Image.Image:
    """An 8-bit grey picture from 12-, 16- or 32-bit or float values; NaN becomes black."""
    values = np.asarray(image)
    tags = getattr(image, "tag_v2", {})  # a TIFF's
    low, high = 0.0, 1.0 if image.mode == "F" else 4095.0 if tags.get(0x0102) == (12,) else 65535.0
    finite = values[np.isfinite(values)]
    if finite.size and (finite.min() < low or finite.max() > high):
        low, high = float(finite.min()), float(finite.max())
    grey = values.astype(np.float64)
    grey -= low
    grey *= 255 / ((high - low) or 1)
    np.nan_to_num(grey, copy=False, nan=0)
    if tags.get(0x0106) == 0:  # zero is white
        grey = 255 - grey
    if "transparency" in image.info:
        grey[values == image.info["transparency"]] = 255
    return Image.fromarray(np.rint(grey.clip(0, 255)).astype(np.uint8))
