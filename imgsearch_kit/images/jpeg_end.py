"""Whether a JPEG whose end marker is missing has all its pixels."""

from __future__ import annotations

import re

END = b"\xff\xd9"
_MARKER = re.compile(rb"\xff([\xc0-\xcf\xda-\xfe])", re.DOTALL)  # with a length; not inside the coded pixels
# What may follow the coded pixels: nothing, which decoders read as zeros, and other bits; 255 would begin a marker.
_FOLLOWING = (b"", b"\x55" * 999, b"\xaa" * 999, b"\xdb\x6d\xb6" * 333, b"\xfe\xfd\xfb\xf7" * 250)


def endings(data: bytes) -> list[bytes]:
    """A JPEG without its end marker, ended in several ways; an empty list where whole scans are missing.

    All show the same where no pixel is missing: a decoder fills what is missing from the bytes that follow.
    """
    data = data.rstrip(b"\0")  # padding would be read as pixels
    if data.endswith(b"\xff"):
        data = data[:-1]
    scan = _last_scan(data)
    if scan is None:
        return []
    restarts = re.findall(rb"\xff([\xd0-\xd7])", data[scan:])
    following = restarts[-1][0] + 1 if restarts else 0
    markers = [bytes([0xFF, 0xD0 + (following + i) % 8]) for i in range(8)]
    return [data + bits + b"".join(marker + bits for marker in markers if bits) + END for bits in _FOLLOWING]


def _last_scan(data: bytes) -> int | None:
    """The place of the last scan, if with it every coefficient of every component has come in full precision."""
    awaited: set[tuple[int, int]] | None = None  # component and number of the coefficient
    scan, place = None, 2
    while found := _MARKER.search(data, place):
        start = found.end()
        place = start + int.from_bytes(data[start : start + 2], "big")
        if place > len(data):
            return None
        marker, content = found[1][0], data[start + 2 : place]
        if marker == 0xDA:
            scan, count = place, content[0]
            first, last, precision = content[-3:]
            if awaited is not None and not precision & 15:
                awaited -= {(c, k) for c in content[1 : 1 + 2 * count : 2] for k in range(first, last + 1)}
        elif marker < 0xD0 and marker not in (0xC4, 0xC8, 0xCC):  # a frame's head
            awaited = {(component, k) for component in content[6::3] for k in range(64)}
    return scan if awaited is not None and not awaited else None
