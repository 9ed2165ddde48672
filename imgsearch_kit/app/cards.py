"""Hits, pictures and details as plain values, which the page's script draws as text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from imgsearch_kit.inspection.calibration import Calibration
from imgsearch_kit.records import Hit, ImageRecord
from imgsearch_kit.reports import data_uri, visible

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


def hit_cards(
    hits: Iterable[Hit],
    thumbnails: Mapping[str, str],
    calibration: Calibration | None = None,
    known: str | None = None,
) -> list[dict[str, Any]]:
    """The hits in rank order; where the query's class is ``known`` each says whether it is ``right``.

    Else, with ``calibration``, each has in words the probability of its score.
    """
    return [
        card(hit.id, hit.label, thumbnails[hit.id])
        | {"rank": hit.rank, "score": hit.score}
        | ({"right": hit.label == known} if known else _chance(hit, calibration) if calibration else {})
        for hit in hits
    ]


def unlike(best: float, calibration: Calibration) -> str:
    """The sentence that no indexed picture is like the query."""
    return (
        f"Nothing like this is indexed. The best cosine is {best:.3f}; "
        f"only {calibration.unlike:.0%} of the indexed pictures have none above {calibration.bound:.3f}."
    )


def _chance(hit: Hit, calibration: Calibration) -> dict[str, str]:
    """The probability that a hit shares the query's class, in words, and with its bounds."""
    probability, low, high = map(_percent, calibration(hit.score))
    return {"chance": f"{probability} same class", "bounds": f"{probability} ({low} to {high})"}


def _percent(probability: float) -> str:
    """The percentage, at least 1 and at most 99, because certainty cannot be known."""
    return f"{min(max(probability, 0.01), 0.99):.0%}"


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
