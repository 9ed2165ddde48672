"""Results, details and examples as HTML strings."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from imgsearch_kit.app.words import HitWords, hit_words
from imgsearch_kit.inspection.calibration import Calibration
from imgsearch_kit.records import Hit, ImageRecord, Results
from imgsearch_kit.reports import data_uri, exact_attribute, html_text

RANK_HELP = """<details><summary>Advanced: another ranking</summary><p>Type a SPEC into the field above and press
Enter: steps joined by commas, each <code>pca:DIMS:POWER</code>, <code>rca:DIMS:N</code>, <code>dba:N:ALPHA</code>,
<code>qe:N:ALPHA</code> or,
at the end, <code>krecip:K1:K2:LAMBDA</code>. For example <code>pca:64:0.5,qe:5:1</code>.</p></details>"""

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


def status(text: str, kind: str = "done") -> str:
    """One line with the state of the search; ``kind`` is "done", "busy" or "error"."""
    role = "alert" if kind == "error" else "status"
    return f'<p class="status {kind}" role="{role}">{_words(text)}</p>'


def empty_state(headline: str, text: str) -> str:
    """The text in place of hits when there are none."""
    return f'<div class="empty"><h3>{html_text(headline)}</h3><p>{_words(text)}</p></div>'


def _words(text: str) -> str:
    """A sentence as HTML; text between backticks becomes code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", html_text(text))


def hits(
    results: Results,
    thumbnails: Mapping[str, str],
    calibration: Calibration | None = None,
    known: str | None = None,
) -> str:
    """The hits of a search as buttons in rank order, with what is said of each; ``known`` is the query's class."""
    said = [hit_words(hit, known=known, calibration=calibration, verdict=results.verdict) for hit in results.hits]
    cards = (_hit(hit, thumbnails[hit.id], each) for hit, each in zip(results.hits, said, strict=True))
    return f'<ol class="hits" aria-label="Neighbours, {html_text(results.method)}">{"".join(cards)}</ol>'


def unlike(sentence: str, errs: str) -> str:
    """The note that no indexed picture is like the query, and how often that errs; "" without a sentence."""
    if not sentence:
        return ""
    return f'<p class="unlike" role="note" title="{html_text(errs)}"><strong>{html_text(sentence)}</strong></p>'


def _hit(hit: Hit, thumbnail: str, said: HitWords) -> str:
    kind, label = ("label", hit.label) if hit.label else ("label file", PurePosixPath(hit.id).name)
    chance = f'<span class="chance" title="{html_text(said.long)}">{said.short}</span>' if said.short else ""
    return (
        f'<li><button type="button" class="card" data-id="{exact_attribute(hit.id)}" title="{html_text(hit.id)}">'
        f"{_picture(thumbnail, hit.id)}"
        f'<span class="line"><span class="rank" aria-label="rank {hit.rank}">{hit.rank}</span>'
        f'<span class="{kind}">{html_text(label)}</span>'
        f'<span class="score" aria-label="score {hit.score:.3f}">{hit.score:.3f}</span></span>{chance}'
        f'<span class="bar" aria-hidden="true"><i style="width:{max(hit.score, 0):.1%}"></i></span>'
        "</button></li>"
    )


def own(ids: Sequence[str], thumbnails: Mapping[str, str]) -> str:
    """The query picture's own records, which are not among the hits; "" when it is not in the index."""
    if not ids:
        return ""
    verb = "is" if len(ids) == 1 else f"is {len(ids)} times"
    return f'<div class="own"><p>This picture {verb} in the index:</p>{strip(ids, thumbnails)}</div>'


def strip(ids: Sequence[str], thumbnails: Mapping[str, str], *, names: bool = True) -> str:
    """A row of small pictures to click, with their ids beside them if ``names``."""
    buttons = (
        f'<button type="button" class="small" data-id="{exact_attribute(id_)}" title="{html_text(id_)}">'
        f"{_picture(thumbnails.get(id_, ''), id_)}{f'<span>{html_text(id_)}</span>' if names else ''}</button>"
        for id_ in ids
    )
    return '<div class="strip">' + "".join(buttons) + "</div>"


def _picture(uri: str, name: str) -> str:
    if not uri:
        return '<span class="gone">The file no longer exists</span>'
    return f'<img src="{uri}" alt="{html_text(name)}" decoding="async">'


def details(record: ImageRecord, hit: Hit | None, preview: str, said: HitWords | None = None) -> str:
    """A dialog with everything known about one picture, and the button that searches with it."""
    facts = {
        "Class": record.label or "none",
        **({"Rank": str(hit.rank), "Score": f"{hit.score:.4f}"} if hit else {}),
        **({"Meaning": said.long} if said and said.long else {}),
        "Size": f"{record.width} × {record.height} pixels" if record.width else "unknown",
        "File": _file(record),
        "SHA-256": f"{record.sha256[:16]}…" if record.sha256 else "unknown",
    }
    rows = "".join(f"<dt>{name}</dt><dd>{html_text(value)}</dd>" for name, value in facts.items())
    return (
        f'<dialog class="details" aria-label="Details of {html_text(record.id)}">'
        '<button type="button" class="close" data-close aria-label="Close">×</button>'
        f'<div class="preview">{_picture(preview, record.id)}</div>'
        f'<div class="facts"><h3>{html_text(record.id)}</h3><dl>{rows}</dl>'
        f'<button type="button" class="again" data-again="{exact_attribute(record.id)}">Search with this one</button>'
        "</div></dialog>"
    )


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
