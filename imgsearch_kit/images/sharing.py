"""Originals as they can be given away: pixels and colours, and nothing else that a camera or program wrote."""

from __future__ import annotations

import io
import re
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from imgsearch_kit.images.containers import PNG
from imgsearch_kit.images.decoding import decode, orientation_of, read_bytes
from imgsearch_kit.images.kinds import format_of
from imgsearch_kit.records import MAX_PIXELS

QUALITY_AGAIN = 95  # of a JPEG that is saved again
WHOLE_SIZE = 1 << 16  # pixels a side: nothing is decoded at a reduced scale
_OF_COLOURS = (b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"cICP", b"pHYs", b"acTL", b"fcTL", b"fdAT")
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)  # a marker that is no part of the coded pixels


@dataclass(frozen=True, slots=True)
class Shareable:
    """The bytes of a picture without metadata, and the suffix of their format; ``again`` if they had to be encoded."""

    content: bytes
    suffix: str
    again: bool


def shareable(path: Path, *, max_pixels: int = MAX_PIXELS) -> Shareable:
    """A picture file without EXIF, XMP, texts, thumbnails and whatever follows the pixels.

    The coded pixels, colour profile and orientation of a JPEG, PNG or WEBP are kept bit by bit. Other formats, animated
    WEBP, and what is damaged are decoded, and saved upright as a JPEG of quality 95 without profile.

    :raises UnreadableImage: when the file cannot be read, or has to be decoded and cannot be.
    """
    data = read_bytes(path)
    suffix, strip = {"JPEG": (".jpg", _jpeg), "PNG": (".png", _png), "WEBP": (".webp", _webp)}.get(
        format_of(data) or "", ("", None)
    )
    content = strip(data, orientation_of(data)) if strip else None
    if content is not None:
        return Shareable(content, suffix, again=False)
    picture, _ = decode(data, WHOLE_SIZE, max_pixels)
    picture.info.clear()
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=QUALITY_AGAIN)
    return Shareable(file.getvalue(), ".jpg", again=True)


def _exif(turn: int) -> bytes:
    """EXIF that has the orientation alone; empty for an upright picture."""
    return b"" if turn == 1 else struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, 0x0112, 3, 1, turn, 0, 0)


def _jpeg(data: bytes, turn: int) -> bytes | None:
    exif = _exif(turn) and b"Exif\0\0" + _exif(turn)
    kept: list[bytes] = [_segment(0xE1, exif)] if exif else []
    place = 2
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker == 0xFF:  # a filling byte
            place += 1
            continue
        if marker < 0xC0 or 0xD0 <= marker <= 0xD8 or 0xF0 <= marker <= 0xFD:
            return None
        if marker == 0xD9:
            break
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        content = data[place + 4 : end]
        if marker == 0xE0 and content[:5] == b"JFIF\0" and len(content) >= 14:
            kept.insert(0, _segment(marker, content[:12] + b"\0\0"))  # without its thumbnail
        elif not _says(marker) or content[:12] == b"ICC_PROFILE\0" or content[:5] == b"Adobe":
            kept.append(data[place:end])
        place = end
        if marker == 0xDA:
            found = _AFTER_SCAN.search(data, place)
            if not found:
                return None
            kept.append(data[place : found.start()])
            place = found.start()
    return b"".join([data[:2], *kept, b"\xff\xd9"]) if data[place : place + 2] == b"\xff\xd9" else None


def _says(marker: int) -> bool:
    """Whether a segment of a JPEG is a comment or an application's."""
    return 0xE0 <= marker <= 0xEF or marker == 0xFE


def _segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content


def _png(data: bytes, turn: int) -> bytes | None:
    kept, place = [PNG], len(PNG)
    while place + 12 <= len(data):
        end = place + 12 + int.from_bytes(data[place : place + 4], "big")
        kind = data[place + 4 : place + 8]
        if end > len(data):
            return None
        if kind in (b"IHDR", b"PLTE", b"IDAT", b"IEND", *_OF_COLOURS):
            kept.append(data[place:end])
        elif kind[:1].isupper():  # the pixels depend on it
            return None
        if kind == b"IHDR" and (exif := _exif(turn)):
            kept.append(struct.pack(">I4s", len(exif), b"eXIf") + exif + struct.pack(">I", zlib.crc32(b"eXIf" + exif)))
        if kind == b"IEND":
            return b"".join(kept)
        place = end
    return None


def _webp(data: bytes, turn: int) -> bytes | None:
    kept: list[bytes] = []
    place, whole = 12, int.from_bytes(data[4:8], "little") + 8
    while place + 8 <= min(whole, len(data)):
        kind, size = data[place : place + 4], int.from_bytes(data[place + 4 : place + 8], "little")
        end = place + 8 + size
        if end > len(data) or kind == b"ANMF":
            return None
        if kind == b"VP8X":
            flags = data[place + 8] & 0x30 | 8 * (turn != 1)  # of a profile, transparency and EXIF
            kept.append(data[place : place + 8] + bytes([flags]) + data[place + 9 : end])
        elif kind in (b"VP8 ", b"VP8L", b"ALPH", b"ICCP"):
            kept.append(data[place:end] + bytes(size % 2))
        place = end + size % 2
    if exif := _exif(turn):
        kept.append(b"EXIF" + len(exif).to_bytes(4, "little") + exif)
    body = b"WEBP" + b"".join(kept)
    return b"RIFF" + len(body).to_bytes(4, "little") + body if kept else None
