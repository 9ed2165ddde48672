"""What the evaluate tab shows of a gallery's health: findings to look at, and labels to correct."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any

from imgsearch_kit.app import cards
from imgsearch_kit.app.kept import keep_json, kept_json
from imgsearch_kit.app.tabs.events import sent_text, working
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.records import IndexPassport
from imgsearch_kit.reports import visible

KEPT_AS = "findings.json"
FINDINGS_SHOWN = 12  # findings that are shown, and further ones by a button
OF_GROUP = 12  # pictures of a group
FINDINGS = ("duplicates", "near_duplicates", "hubs", "orphans", "suspects")
NOT_LOOKED = "Nothing was looked for since the index changed. Look for findings first."


class Findings:
    """The health of a gallery, kept until its index changes, and its findings as pictures."""

    def __init__(self, gallery: Gallery):
        self.gallery = gallery

    def kept(self) -> dict[str, Any] | None:
        """The document of ``Gallery.health``; None where it was not looked for since the index changed."""
        return kept_json(self.gallery.index.read_passport(), KEPT_AS, {})

    def look(self) -> Generator[float, None, dict[str, Any]]:
        """Yields the share that is done, and returns the document, which is kept; closing it ends the work."""
        passport: IndexPassport = self.gallery.index.read_passport()
        made = yield from working(lambda tell: self.gallery.health(progress=tell).to_json())
        return keep_json(passport, KEPT_AS, {}, made)

    def hubs(self) -> list[str] | None:
        """The ids of the hubs; None where they are not known."""
        found = self.kept()
        return None if found is None else [hub["id"] for hub in found["hubs"]]

    def shown(self, given: Any) -> dict[str, Any]:
        """The next findings of a kind, after the first ``start``: pictures, words, and a label to accept or None."""
        kind, start = sent_text(given, "finding"), given.get("start") if isinstance(given, Mapping) else None
        found, start = self.kept(), start if isinstance(start, int) and start > 0 else 0
        said = {"kind": "finding", "finding": kind, "start": start}
        if found is None or kind not in FINDINGS:
            return said | {"error": NOT_LOOKED}
        some = [_of[kind](each, found["k"]) for each in found[kind][start : start + FINDINGS_SHOWN]]
        ids = [id_ for each in some for id_ in each["ids"][:OF_GROUP]]
        records = {record.id: record for record in self.gallery.records(ids)}
        thumbnails = cards.data_uris(lambda id_: self.gallery.thumbnail(records[id_]), records)
        for each in some:
            there = [records[id_] for id_ in each["ids"][:OF_GROUP] if id_ in records]
            each["cards"] = [cards.card(record.id, record.label, thumbnails[record.id]) for record in there]
            if (hidden := len(each.pop("ids")) - OF_GROUP) > 0:
                each["words"] += f", {hidden} of them not shown"
        return said | {"total": len(found[kind]), "items": some}


def findings_overview(document: Mapping[str, Any]) -> dict[str, Any]:
    """How many findings of each kind there are, and what they do to P@k."""
    precision = {each["name"]: each[f"P@{document['k']}"] for each in document["effects"]}
    return {
        "k": document["k"],
        "near": document["near"],
        "counts": {kind: len(document[kind]) for kind in FINDINGS},
        "note": visible(document["note"]),
        "precision": precision,
    }


def _group(ids: list[str], k: int) -> dict[str, Any]:
    return {"ids": ids, "words": cards.count(len(ids), "picture"), "accept": None}


def _hub(hub: Mapping[str, Any], k: int) -> dict[str, Any]:
    words = f"among the {k} nearest of {cards.count(hub['occurrence'], 'picture')}"
    return {"ids": [hub["id"]], "words": words, "accept": None}


def _orphan(id_: str, k: int) -> dict[str, Any]:
    return {"ids": [id_], "words": f"among the {k} nearest of no picture", "accept": None}


def _suspect(suspect: Mapping[str, Any], k: int) -> dict[str, Any]:
    words = f"{suspect['share']:.0%} of its {k} neighbours are {visible(suspect['proposed'])}"
    accept = {"id": suspect["id"], "label": suspect["proposed"], "name": visible(suspect["proposed"])}
    return {"ids": [suspect["id"]], "words": words, "accept": accept}


_of: dict[str, Callable[[Any, int], dict[str, Any]]] = dict(
    zip(FINDINGS, (_group, _group, _hub, _orphan, _suspect), strict=True)
)
