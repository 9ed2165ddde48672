"""Hits, pictures and details as plain values, which the page's script draws as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from imgsearch_kit.app.words import HitWords
from imgsearch_kit.records import ImageRecord
from imgsearch_kit.reports import visible
from imgsearch_kit.results import Hit
from imgsearch_kit.ui.cards import card as card
from imgsearch_kit.ui.cards import data_uris as data_uris


def count(number: int, noun: str) -> str:
    """A number with its noun: ``1 picture``, ``1,234 pictures``, ``3 classes``."""
    plural = noun + ("es" if noun.endswith("s") else "s")
    return f"{number:,} {noun if number == 1 else plural}"


def hit_cards(hits: Iterable[Hit], thumbnails: Mapping[str, str], said: Iterable[HitWords]) -> list[dict[str, Any]]:
    """The hits in rank order, with what is ``said`` of each: ``right`` or not, or words on its ``chance``."""
    return [
        card(hit.id, hit.label, thumbnails[hit.id])
        | {"rank": hit.rank, "score": hit.score, "meaning": visible(words.long)}
        | ({"chance": words.short} if words.right is None else {"right": words.right})
        for hit, words in zip(hits, said, strict=True)
    ]


def details(record: ImageRecord, preview: str) -> dict[str, Any]:
    """What is known of a picture without a search: a card with its ``path`` below the root, preview and facts."""
    facts = {
        "Class": visible(record.label or "none"),
        "Size": f"{record.width} × {record.height} pixels" if record.width else "unknown",
        "Path": visible(record.path or record.id),
        "File": _file(record),
        "SHA-256": f"{record.sha256[:16]}…" if record.sha256 else "unknown",
    }
    about = {"path": record.path or record.id, "exact": record.label, "preview": preview, "facts": list(facts.items())}
    return card(record.id, record.label, "") | about


def _file(record: ImageRecord) -> str:
    if not record.size:
        return "unknown"
    try:
        changed = datetime.fromtimestamp(record.mtime, UTC).date().isoformat() if record.mtime else "at an unknown time"
    except (OverflowError, ValueError, OSError):  # not in seconds, or no number
        changed = "at an unknown time"
    return f"{_bytes(record.size)}, changed {changed}"


def _bytes(size: int) -> str:
    for unit, divisor in (("MB", 1e6), ("kB", 1e3)):
        if size >= divisor:
            return f"{size / divisor:,.1f} {unit}"
    return f"{size} bytes"
