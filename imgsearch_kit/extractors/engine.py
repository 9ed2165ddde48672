"""TensorFlow, imported only when something is extracted, without its start-up messages."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from types import ModuleType

ENGINE = "tensorflow"


_LOCK = threading.Lock()
_LOG_LINE = re.compile(rb"WARNING: All log messages before absl|[IW]\d{4} \d\d:\d\d:")


def tensorflow() -> ModuleType:
    """TensorFlow, imported without its start-up messages; safe to call from several threads."""
    with _LOCK:
        return _imported()


@functools.cache
def _imported() -> ModuleType:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _without_log_lines():
        import tensorflow as tf

        tf.zeros(1)  # the first operation finds the devices, and logs them
    return tf


@contextlib.contextmanager
def _without_log_lines() -> Iterator[None]:
    """Removes the C++ library's log lines from standard error; it prints some at every log level."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as caught:
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            caught.seek(0)
            for line in caught:
                if not _LOG_LINE.match(line):
                    os.write(2, line)
