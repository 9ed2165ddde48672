"""Standard output and error as they may be: closed, full, a pipe that nobody reads, or not UTF-8."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Callable
from typing import Any

from imgsearch_kit.errors import KitError, sanitised
from imgsearch_kit.reports import visible


class PipeClosed(Exception):
    """Nobody reads standard output any more, as after `imgsearch ... | head -1`."""


def prepare() -> None:
    """Makes the standard streams safe to print to: closed ones, full ones, and any text.

    A closed stream becomes the null device, so that no file is opened under its number, where a library's message
    would be written into it. What an encoding lacks is written as an escape.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, number)
            if null != number:
                os.close(null)
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))
    sys.stdout = _guarded(sys.stdout, _stop)
    sys.stderr = _guarded(sys.stderr, lambda error: None)


def lines(text: str) -> str:
    """Lines of text for people, with what a terminal would obey written as escapes."""
    return "\n".join(map(visible, text.split("\n")))


class Formatter(logging.Formatter):
    """Log messages for people."""

    def format(self, record: logging.LogRecord) -> str:
        """The message, without the secrets of an address, and with what a terminal would obey written as escapes."""
        return lines(sanitised(super().format(record)))


class Guarded(io.FileIO):
    """The file of a standard stream; when it cannot be written, the rest is dropped and ``failed`` may raise."""

    def __init__(self, stream: Any, failed: Callable[[OSError], None]):
        super().__init__(stream.fileno(), "wb", closefd=False)
        self._stream = stream  # which may close its file when nobody holds it any more
        self._failed, self._dropping = failed, False

    def write(self, data: Any, /) -> int:
        """Writes, or drops."""
        if not self._dropping:
            try:
                return super().write(data)
            except OSError as error:
                self._dropping = True
                self._failed(error)
        return len(data)


def _guarded(stream: Any, failed: Callable[[OSError], None]) -> Any:
    """A stream over a ``Guarded`` file; one that is no plain file, such as a console of Windows, is left as it is."""
    buffer = getattr(stream, "buffer", None)
    if type(getattr(buffer, "raw", buffer)) is not io.FileIO:
        return stream
    file = io.BufferedWriter(Guarded(stream, failed))
    at_once = stream.line_buffering or stream.write_through
    return io.TextIOWrapper(file, stream.encoding, "backslashreplace", line_buffering=at_once)


def _stop(error: OSError) -> None:
    if isinstance(error, BrokenPipeError):
        raise PipeClosed from error
    raise KitError(
        f"The result cannot be written to standard output: {error.strerror}. Make room, or write it elsewhere."
    ) from error
