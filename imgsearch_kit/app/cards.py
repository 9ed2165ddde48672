"""Hits, pictures and details as plain values, which the page's script draws as text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from imgsearch_kit.app.words import HitWords
from imgsearch_kit.records import ImageRecord
from imgsearch_kit.reports import data_uri, visible
from imgsearch_kit.results import Hit

DRAWING_THREADS = 4  # a new thumbnail must be decoded first, and decoding releases the interpreter lock


def data_uris(picture: Callable[[str], Path], ids: Iterable[str]) -> dict[str, str]:
    """The pictures of several ids by id, made in parallel.

    They are part of the answer, so no folder of the machine is served and no path is shown.
    """
    wanted = list(dict.fromkeys(ids))
    with ThreadPoolExecutor(DRAWING_THREADS) as pool:
        return dict(zip(wanted, pool.map(lambda id_: data_uri(picture, id_), wanted), strict=True))


def count(number: int, noun: str) -> str:
    """A number with its noun: ``1 picture``, ``1,234 pictures``, ``3 classes``."""
    plural = noun + ("es" if noun.endswith("s") else "s")
    return f"{number:,} {noun if number == 1 else plural}"


def card(id: str, label: str | None, thumbnail: str) -> dict[str, Any]:  # noqa: A002 (the field's name)
    """A picture to click: its exact ``id``, what people read of it, and its thumbnail as a data URI or ""."""
    shown = {"name": visible(id), "label": visible(label) if label else None, "file": visible(PurePosixPath(id).name)}
    return {"id": id, **shown, "thumbnail": thumbnail}


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
