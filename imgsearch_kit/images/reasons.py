"""Says in a sentence why bytes are no picture that the kit reads."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence

from PIL import UnidentifiedImageError

from imgsearch_kit.images.containers import TIFF_FORMS, tiff_entries
from imgsearch_kit.images.kinds import format_of

_NOT_PICTURES = (
    (rb"%PDF", "a PDF document"),
    (rb"%!PS|\xc5\xd0\xd3\xc6", "an EPS or PostScript drawing"),
    (rb"8BPS", "a Photoshop document"),
    (rb"PK\x03\x04", "a ZIP archive or office document"),
    (rb"(?i:\s*(<\?xml[^>]*>)?\s*(<!--.*?-->\s*)?(<!DOCTYPE svg[^>]*>\s*)?<svg)", "an SVG drawing"),
    (rb"(?i:\s*(<!doctype html|<html))", "a web page"),
    (rb"\xff\xfe|\xfe\xff|[^\x00-\x08\x0e-\x1a\x1c-\x1f]+\Z", "text"),
)
_COMPRESSIONS = {33003: "JPEG 2000", 33005: "JPEG 2000", 34712: "JPEG 2000", 34887: "LERC", 34892: "lossy DNG"}
_COMPRESSIONS |= {50001: "WEBP", 50002: "JPEG XL", 52546: "JPEG XL"}
_READ_COMPRESSIONS = {*range(1, 9), 32771, 32773, 32809, 32946, 34676, 34677, 34925, 50000}
_NUMBERS = {2: " signed", 3: " float", 5: " complex", 6: " complex float"}
_COLOURS = {3: " palette", 5: " CMYK", 8: " CIELAB", 9: " ICCLAB", 10: " ITULAB", 32803: " raw", 34892: " raw"}
_COLOURS |= {32844: " LogL", 32845: " LogLuv"}


def reason_for(data: bytes, error: Exception, formats: Sequence[str]) -> str:
    """The reason why bytes, for which the decoder raised an error, are not a picture, as a message."""
    if not data:
        return "The file is empty (0 bytes); copy or download it again"
    form = format_of(data)
    if form == "HEIC" and "HEIF" not in formats:
        return "HEIC pictures need one more package. Type: python -m pip install pillow-heif"
    if form is None:
        for pattern, name in _NOT_PICTURES:
            if re.match(pattern, data[:1024], re.DOTALL):
                return f"It is {name}, not a picture; the accepted formats are {', '.join(formats)}"
        return f"It is not a picture of an accepted format ({', '.join(formats)})"
    if isinstance(error, MemoryError):
        return f"There is not enough memory to decode this {form} picture"
    if form == "TIFF" and (kind := _unsupported_tiff(data, unidentified=isinstance(error, UnidentifiedImageError))):
        return f"{kind} is not supported; convert it, for example to PNG"
    if isinstance(error, UnidentifiedImageError) or not str(error):
        return f"The {form} file is damaged or cut short; copy or download it again"
    cut = "cut short" if "truncated" in str(error) else "damaged"
    return f"The {form} file is {cut} ({error}); copy or download it again"


def _unsupported_tiff(data: bytes, *, unidentified: bool) -> str | None:
    """The kind of a TIFF that Pillow cannot read though all its pixels are there, such as ``A 3 x 32-bit float TIFF``.

    ``unidentified`` says that its tags alone made Pillow refuse it.
    """
    try:
        tags = {tag: _numbers(data, entry) for tag, entry in tiff_entries(data)}
    except (struct.error, KeyError):
        return None
    places, lengths = tags.get(273) or tags.get(324, ()), tags.get(279) or tags.get(325, ())
    ends = [place + length for place, length in zip(places, lengths, strict=False)]
    if not (ends and max(ends) <= len(data) and all(tags.get(256, (0,))) and all(tags.get(257, (0,)))):
        return None
    compression = (tags.get(259) or (1,))[0]
    if compression not in _READ_COMPRESSIONS:
        return f"A TIFF with the compression {compression} ({_COMPRESSIONS.get(compression, 'unknown')})"
    if not unidentified:
        return None
    samples, bits = (tags.get(277) or (1,))[0], tags.get(258) or (1,)
    numbers, colours = _NUMBERS.get((tags.get(339) or (1,))[0], ""), _COLOURS.get((tags.get(262) or (1,))[0], "")
    return f"A {samples} x {'/'.join(map(str, dict.fromkeys(bits[:8])))}-bit{numbers}{colours} TIFF"


def _numbers(data: bytes, entry: bytes) -> tuple[int, ...]:
    """The whole numbers of a TIFF's entry, at most as many as the file can hold; none for other values.

    :raises struct.error: when they lie outside the file.
    """
    form = TIFF_FORMS[data[:4]]
    kind, count = form.unpack("HN", entry, 2)
    letter = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q"}.get(kind)
    if letter is None or count > len(data):
        return ()
    numbers, place = f"{count}{letter}", 12 if form.big else 8
    if struct.calcsize("<" + numbers) <= len(entry) - place:
        return form.unpack(numbers, entry, place)
    return form.unpack(numbers, data, *form.unpack("N", entry, place))
