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


class _LibtiffErrors(threading.local):
    """How many errors libtiff has reported in this thread.

    It goes on after most of them, with whatever was in the memory for pixels, and Pillow does not hear of it.
    """

    count = 0


LIBTIFF_ERRORS = _LibtiffErrors()
_Handler = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)


def _count_error(*_: object) -> None:
    LIBTIFF_ERRORS.count += 1


_COUNT_ERROR = _Handler(_count_error)  # kept, because libtiff holds no reference to it


def _listen_to_libtiff() -> None:
    """Has libtiff's errors counted; by itself, it writes these and its warnings to standard error."""
    with contextlib.suppress(AttributeError, OSError):  # where it is linked in another way
        pillow = ctypes.CDLL(_imaging.__file__)
        for name, handler in (("TIFFSetErrorHandler", _COUNT_ERROR), ("TIFFSetWarningHandler", None)):
            function = getattr(pillow, name)
            function.argtypes, function.restype = [ctypes.c_void_p], ctypes.c_void_p
            function(handler and ctypes.cast(handler, ctypes.c_void_p))


_listen_to_libtiff()

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
