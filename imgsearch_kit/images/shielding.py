"""Decoding that no global switch of Pillow changes, and that writes nothing to the terminal."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import re
import threading
import warnings

from PIL import Image, ImageFile, _imaging

# Pillow logs problems in files; without a handler the log would go to the terminal.
logging.getLogger("PIL").addHandler(logging.NullHandler())


def _silence_libtiff() -> None:
    """Makes libtiff, which writes to standard error itself, keep silent about files."""
    with contextlib.suppress(AttributeError, OSError):  # where it is linked in another way
        pillow = ctypes.CDLL(_imaging.__file__)
        for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
            handler = getattr(pillow, name)
            handler.argtypes, handler.restype = [ctypes.c_void_p], ctypes.c_void_p
            handler(None)


_silence_libtiff()


# As ``warnings.filterwarnings`` would make it, but once.
_IGNORED = ("ignore", None, Warning, re.compile(r"(PIL|pillow_heif)\."), 0)


class _Shield:
    """Sets Pillow's global switches while any thread decodes, and has Python ignore Pillow's warnings meanwhile.

    The number of pixels is the kit's to limit, a file cut short is refused, and a warning about metadata is neither
    shown nor, where a program has made warnings errors, raised.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.inside = 0
        self.outer: tuple[int | None, bool] = (None, False)

    def __enter__(self) -> None:
        with self.lock:
            if self.inside == 0:
                self.outer = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
                Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = None, False
                warnings.filters.insert(0, _IGNORED)  # type: ignore[attr-defined]
            self.inside += 1

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.inside -= 1
            if self.inside == 0:
                Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = self.outer
                with contextlib.suppress(ValueError):  # another thread has set all filters back
                    warnings.filters.remove(_IGNORED)  # type: ignore[attr-defined]


SHIELD = _Shield()
