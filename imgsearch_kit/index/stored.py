"""The passport of an index as a backend has stored it: read, and refused where it is damaged or of a newer kit."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from imgsearch_kit.errors import IndexDamaged, VersionMismatch
from imgsearch_kit.records import FORMAT_VERSION, IndexPassport


def read_passport(
    address: str, stored: Any, make: Callable[[Any], IndexPassport] = IndexPassport.from_json
) -> IndexPassport:
    """The passport that ``make`` reads from JSON, which is given as a text or as values.

    :raises VersionMismatch: when a newer kit wrote it.
    :raises IndexDamaged: when it is no JSON, or ``make`` cannot read it.
    """
    try:
        plain = json.loads(stored) if isinstance(stored, str) else stored
        if type(version := plain["format"]) is int and version > FORMAT_VERSION:
            raise newer_format(address, version)
        return make(plain)
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise IndexDamaged(
            f"The passport of the index at {address} cannot be read: {error!r:.200}. "
            "Restore the index from a backup, or delete it and index the pictures again."
        ) from error


def newer_format(address: str, version: int) -> VersionMismatch:
    """The error for an index of a format this kit does not know."""
    return VersionMismatch(
        f"The index at {address} has format {version}; this kit reads formats 1 to {FORMAT_VERSION}. "
        "Install the newer kit (python -m pip install -U imgsearch-kit), or index the pictures again."
    )
