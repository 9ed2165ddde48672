"""The command `imgsearch`: parses, calls the kit, prints. Results go to stdout, progress and log to stderr."""

from __future__ import annotations

import logging
import os
import sys

from imgsearch_kit.cli import indexes, research, searching, upkeep  # each registers its commands
from imgsearch_kit.cli.base import EXIT_ERROR, EXIT_FAILURES, app
from imgsearch_kit.errors import KitError

__all__ = ["app", "indexes", "main", "research", "searching", "upkeep"]


def main() -> None:
    """Runs the command line; a KitError becomes one sentence on stderr and exit code 3."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("imgsearch_kit").setLevel(logging.INFO)
    try:
        app()
    except KitError as error:
        print(f"imgsearch: {error}", file=sys.stderr)
        sys.exit(EXIT_ERROR)
    except BrokenPipeError:  # `imgsearch ... | head` closed the pipe: not an error
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_FAILURES)
