"""The bytes of a picture without what carries no pixels: texts, profiles, indexes of more pictures, what lies behind.

Decoders refuse a sound picture for damage in these. The first picture and its orientation are kept. Bytes that are no
such format or end inside the pixels are given as they are, so that the decoder says what is wrong.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

PNG = b"\x89PNG\r\n\x1a\n"
MOST_TEXT = 2**20  # bytes of an inflated text; Pillow refuses more


def without_metadata(data: bytes) -> bytes:
    """The bytes of a picture of any format without what carries no pixels.

    :raises OSError: when pixels have another checksum than the file says, which decoders do not notice.
    """
    rewriters = {PNG[:4]: _png, b"GIF8": _gif, b"RIFF": _webp, **dict.fromkeys(TIFF_FORMS, _tiff)}
    rewrite = rewriters.get(data[:4], _jpeg if data[:2] == b"\xff\xd8" else _avif if data[4:8] == b"ftyp" else None)
    return data if rewrite is None else rewrite(data) or data


def _png(data: bytes) -> bytes | None:
    parts, place = [PNG], len(PNG)
    while place + 12 <= len(data) and data[place + 4 : place + 8] != b"IEND":
        end = place + 12 + int.from_bytes(data[place : place + 4], "big")
        kind, whole = data[place + 4 : place + 8], data[place:end]
        if kind[:1].isupper() or kind == b"tRNS":  # critical chunks and transparency
            if end > len(data):
                return None
            if kind == b"IDAT" and not _is_sound(whole):
                raise OSError("wrong checksum of the pixels")
            parts.append(whole)
        elif end <= len(data) and _has_orientation(kind, whole):
            parts.append(whole)
        place = end
    return b"".join([*parts, b"\0\0\0\0IEND\xaeB`\x82"])


def _is_sound(chunk: bytes) -> bool:
    """Whether a chunk of a PNG has the checksum that it says."""
    return zlib.crc32(memoryview(chunk)[4:-4]) == int.from_bytes(chunk[-4:], "big")


def _has_orientation(kind: bytes, chunk: bytes) -> bool:
    """Whether a chunk of a PNG is sound EXIF, of its own kind or in a text as ImageMagick writes it."""
    if kind not in (b"eXIf", b"tEXt", b"zTXt") or not _is_sound(chunk):
        return False
    keyword, _, text = chunk[8:-4].partition(b"\0")
    if kind == b"zTXt" and keyword == b"Raw profile type exif":
        inflating = zlib.decompressobj()
        try:
            return text[:1] == b"\0" and len(inflating.decompress(text[1:], MOST_TEXT)) < MOST_TEXT
        except zlib.error:
            return False
    return kind == b"eXIf" or keyword == b"Raw profile type exif"


def _jpeg(data: bytes) -> bytes | None:
    parts, place = [data[:2]], 2
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        if marker == 0xDA:  # the scans follow
            return b"".join([*parts, data[place:]])
        if marker < 0xC0 or 0xD0 <= marker <= 0xD9:  # has no length
            return None
        content = data[place + 4 : end]
        wanted = (
            (content[:5] == b"JFIF\0" and len(content) >= 14)
            or (content[:6] == b"Exif\0\0" and marker == 0xE1)
            or (content[:5] == b"Adobe" and len(content) >= 12)
        )
        if not (0xE0 <= marker <= 0xEF or marker == 0xFE) or wanted:  # applications' segments and comments
            parts.append(data[place:end])
        place = end
    return None


def _gif(data: bytes) -> bytes | None:
    def colours(flags: int) -> int:
        return 3 * 2 << (flags & 7) if flags & 0x80 else 0

    def after_blocks(place: int) -> int:
        while data[place]:
            place += 1 + data[place]
        return place + 1

    try:
        place = 13 + colours(data[10])
        parts = [data[:place]]
        while data[place] == 0x21:
            end = after_blocks(place + 2)
            if data[place + 1 : place + 3] == b"\xf9\x04":  # transparency
                parts.append(data[place:end])
            place = end
        end = after_blocks(place + 11 + colours(data[place + 9]))
    except IndexError:
        return None
    return b"".join([*parts, data[place:end], b";"]) if data[place] == 0x2C else None


def _webp(data: bytes) -> bytes | None:
    parts: list[bytes] = []
    place, animated = 12, False
    while place + 8 <= len(data):
        kind, size = data[place : place + 4], int.from_bytes(data[place + 4 : place + 8], "little")
        end = place + 8 + size
        whole = data[place:end] + bytes(size % 2)
        if end > len(data):
            return None if kind in (b"VP8 ", b"VP8L", b"ALPH", b"VP8X") else _riff(parts)
        if kind in (b"VP8 ", b"VP8L", b"ALPH", b"VP8X", b"ANIM", b"EXIF") or (kind == b"ANMF" and not animated):
            parts.append(whole)
        animated |= kind == b"ANMF"
        place = end + size % 2
    return _riff(parts)


def _riff(chunks: list[bytes]) -> bytes:
    """A WEBP file of these chunks; where the first lists what others there are, it lists these."""
    exif = any(chunk[:4] == b"EXIF" for chunk in chunks)
    if chunks and chunks[0][:4] == b"VP8X":
        flags = chunks[0][8] & 0x12 | 8 * exif  # of transparency and animation
        chunks = [chunks[0][:8] + bytes([flags]) + chunks[0][9:], *chunks[1:]]
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def _avif(data: bytes) -> bytes | None:
    """EXIF under a name that no decoder knows: these formats tell the orientation elsewhere."""
    meta = _box(data, b"meta", 0, len(data))
    items = _box(data, b"iinf", meta[0] + 4, meta[1]) if meta else None
    if items is None:
        return None
    start, end = items
    return data[:start] + data[start:end].replace(b"Exif", b"none") + data[end:]


def _box(data: bytes, kind: bytes, start: int, end: int) -> tuple[int, int] | None:
    """Where the content of the first box of a kind begins and ends."""
    while start + 8 <= end:
        size = int.from_bytes(data[start : start + 4], "big")
        if size < 8:
            return None
        if data[start + 4 : start + 8] == kind:
            return start + 8, min(start + size, end)
        start += size
    return None


# Of the pixels: their size, kind, places and packing; the orientation; the colours of a palette.
_TIFF_TAGS = {*range(256, 260), 262, 266, 273, 274, *range(277, 280), 284, 292, 293, 317, 320, *range(322, 326)}
_TIFF_TAGS |= {332, 338, 339, 347, *range(512, 522), *range(529, 533), 50674}


@dataclass(frozen=True)
class TiffForm:
    """How one of the four kinds of TIFF writes its numbers."""

    order: str
    big: bool

    def unpack(self, form: str, data: bytes, place: int) -> tuple[int, ...]:
        """The numbers at a place; ``N`` stands for a count or an offset.

        :raises struct.error: when they lie outside.
        """
        if place > len(data):  # and perhaps beyond what Python can address
            raise struct.error(f"byte {place} is outside")
        return struct.unpack_from(self.order + form.replace("N", "Q" if self.big else "I"), data, place)


TIFF_FORMS = {
    b"II*\0": TiffForm("<", False),
    b"MM\0*": TiffForm(">", False),
    b"II+\0": TiffForm("<", True),
    b"MM\0+": TiffForm(">", True),
}


def tiff_entries(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The tags of the first picture of a TIFF, each with the bytes of its entry.

    :raises struct.error: when they lie outside the file.
    """
    form = TIFF_FORMS[data[:4]]
    (place,) = form.unpack("N", data, 8 if form.big else 4)
    (count,) = form.unpack("Q" if form.big else "H", data, place)
    place, size = (place + 8, 20) if form.big else (place + 2, 12)
    for start in range(place, place + count * size, size):
        (tag,) = form.unpack("H", data, start)
        yield tag, data[start : start + size]


def _tiff(data: bytes) -> bytes | None:
    """The directory of the first picture is written anew where it is, so that no byte changes its place."""
    form = TIFF_FORMS[data[:4]]
    try:
        (place,) = form.unpack("N", data, 8 if form.big else 4)
        kept = [entry for tag, entry in tiff_entries(data) if tag in _TIFF_TAGS]
    except struct.error:
        return None
    number, count = ("Q", "Q") if form.big else ("I", "H")
    directory = struct.pack(form.order + count, len(kept)) + b"".join(kept) + struct.pack(form.order + number, 0)
    return data[:place] + directory + data[place + len(directory) :]
