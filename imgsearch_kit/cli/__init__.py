"""The command `imgsearch`: parses, calls the kit, prints. Results go to stdout, progress and log to stderr."""

from imgsearch_kit.cli import indexes, research, searching, sharing, upkeep  # each registers its commands
from imgsearch_kit.cli.base import app, main

__all__ = ["app", "indexes", "main", "research", "searching", "sharing", "upkeep"]
