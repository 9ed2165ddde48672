"""What an index says of itself, in words: who made it and when, from which folders, and what is kept of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from imgsearch_kit.app.cards import count
from imgsearch_kit.files import kept_names
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.ranking.choices import rank_choices
from imgsearch_kit.records import Failure, IndexPassport, folder_name
from imgsearch_kit.reports import visible

PLACES_KEPT = {"local": "one file on this machine", "npz": "an .npz archive on this machine", "memory": "the memory"}
LEARNED_FILES = {
    "novelty.npz": "when nothing looks like a picture",
    "calibration.json": "what scores mean",
    "judged.json": "an evaluation",
    "map.txt": "the map",
}
FAILURES_SENT = 1_000


def passport_words(gallery: Gallery, *, places: bool = False) -> list[tuple[str, str]]:
    """The passport of an index as it is now, as pairs of a name and words; folders by name only, unless ``places``."""
    passport, (pictures, labels) = gallery.index.read_passport(), gallery.tally()
    spec, (kind, _, where) = passport.spec, gallery.index.address.partition(":")
    unlabelled = pictures - sum(labels.values())
    classes = f"{count(len(labels), 'class')}" + (f", and {unlabelled:,} without one" if unlabelled else "")
    made_by = spec and f"{spec.name}, {spec.side} × {spec.side} pixels" + f", by {spec.engine}" * bool(spec.engine)
    rows = [
        ("Pictures", f"{pictures:,}"),
        ("Classes", classes if labels else "none"),
        ("Extractor", made_by or "unknown"),
        ("Vectors", _vectors(passport)),
        *(("Folder", words) for words in folder_words(passport, gallery.root, places=places)),
        ("Made", _made(passport)),
        ("With", ", ".join(f"{name} {version}" for name, version in passport.libraries.items()) or "unknown"),
        ("Kept in", PLACES_KEPT.get(kind, "a server") + f": {where}" * (places and kind in ("local", "npz"))),
        ("Search", "exact" if passport.method == "exact" else f"exact, or approximate by {passport.method}"),
        ("Ranking", _ranking(passport, gallery.rank)),
        ("Learned of it", _learned(passport)),
        ("Identity", passport.uuid or "none"),
    ]
    return [(name, visible(words)) for name, words in rows]


def folder_words(passport: IndexPassport, root: Path | None, *, places: bool) -> list[str]:
    """Each folder of an index in order of the prefixes: its name, or its path where ``places`` may be shown."""
    folders = {prefix: str(root) if root and not prefix else folder for prefix, folder in passport.roots.items()}
    return [
        (folder if places else folder_name(folder)) + (f", as {prefix}/" if prefix else "")
        for prefix, folder in sorted(folders.items())
    ]


def failure_words(failed: Sequence[Failure], roots: Mapping[str, str], *, places: bool) -> list[tuple[str, str]]:
    """The first 1,000 files that could not be indexed, with the reasons; without folders, unless ``places``."""
    hidden = "|".join(re.escape(each) for each in sorted(roots.values(), key=len, reverse=True) if len(each) > 1)
    shown = [(each.path, each.reason) for each in failed[:FAILURES_SENT]]
    if hidden and not places:
        shown = [(path, re.sub(hidden, "…", reason)) for path, reason in shown]
    return [(visible(path), visible(reason)) for path, reason in shown]


def _vectors(passport: IndexPassport) -> str:
    if passport.baked:
        return f"{passport.dim} numbers each, of {passport.baked.dim} by {passport.baked.spec}, which is baked in"
    return f"{passport.dim:,} numbers each"


def _made(passport: IndexPassport) -> str:
    try:
        made = datetime.fromisoformat(passport.created).astimezone(UTC)
        when = f"{made.day} {made:%B %Y, %H:%M} UTC"
    except (ValueError, OverflowError):
        when = passport.created or "at an unknown time"
    changed = f"; changed {count(passport.generation, 'time')} since" if passport.generation else ""
    return when + changed


def _ranking(passport: IndexPassport, rank: str | None) -> str:
    if not rank:
        return "Plain: the order of the cosines"
    names = {choice.spec: choice.name for choice in rank_choices(passport, None)}
    return f"{names[rank]} ({rank})" if rank in names else rank


def _learned(passport: IndexPassport) -> str:
    kept = kept_names(passport)
    here = [words for name, words in LEARNED_FILES.items() if name in kept]
    missing = [words for name, words in LEARNED_FILES.items() if name not in kept]
    parts = [f"{', '.join(here)}"] * bool(here) + [f"not yet: {', '.join(missing)}"] * bool(missing)
    return "; ".join(parts)
