"""What all backends do alike with what they have stored: passports, failures, and checks before a replacement."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from imgsearch_kit.errors import IndexDamaged, IndexMismatch, VersionMismatch
from imgsearch_kit.index.base import VectorIndex
from imgsearch_kit.records import FORMAT_VERSION, Failure, IndexPassport


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


def replaced_failures(
    stored: Sequence[Failure], failures: Sequence[Failure], among: Callable[[str], bool] | None
) -> list[Failure]:
    """The list that ``set_failures`` makes of the stored one, in path order, of each path the last."""
    kept = [] if among is None else [failure for failure in stored if not among(failure.path)]
    latest = {failure.path: failure for failure in [*kept, *failures]}
    return sorted(latest.values(), key=lambda failure: failure.path)


def rebuilt_otherwise(address: str) -> IndexMismatch:
    """The error for an open index whose vectors have been replaced, the same for every backend."""
    return IndexMismatch(
        f"The index at {address} has been rebuilt with another extractor or ranking since it was opened. Open it again."
    )


def check_complete(new: VectorIndex, count: int) -> None:
    """Checks that a new index has all its records, before it is put at its address.

    :raises IndexMismatch: when records are missing or too many.
    """
    if len(new) != count:
        raise IndexMismatch(
            f"The new index for {new.address} has {len(new)} records instead of {count}, so the old one stays "
            "in use. Build it again."
        )


def check_unchanged(address: str, before: int, now: int) -> None:
    """Checks that an index still has the generation that it had when the building of its replacement began.

    :raises IndexMismatch: when it has another generation.
    """
    if now != before:
        raise IndexMismatch(
            f"The index at {address} changed while its replacement was being built (generation {before}, now {now}), "
            "so it was not replaced. Start again."
        )
