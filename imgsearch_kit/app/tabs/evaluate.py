"""The tab that says how often neighbours share their class: overall, per class, and by the worst queries."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from imgsearch_kit.app import cards
from imgsearch_kit.app.choices import AS_INDEXED, rank_choices, spec_of
from imgsearch_kit.app.guarding import told
from imgsearch_kit.app.tabs.events import sent_text, tab_view, telling, wire, working
from imgsearch_kit.errors import KitError
from imgsearch_kit.evaluation.mistakes import worst_queries
from imgsearch_kit.evaluation.report import Evaluation, estimate
from imgsearch_kit.files import artefact, kept_artefact
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.reports import visible

FIGURES = ("P@4", "mAP", "P@10")
WORST, HITS, PAIRS, EXAMPLES = 8, 5, 12, 8
KEPT_AS = "evaluation.json"
NO_CLASSES = (
    "These pictures have no classes, so there is nothing to evaluate: neighbours are right when they share the class "
    "of the query. A folder with a sub-folder for each class gives them, or a table: imgsearch label labels.csv."
)


def evaluation_document(evaluation: Evaluation) -> dict[str, Any]:
    """What the tab shows of an evaluation, as plain values that JSON can keep.

    ``figures`` are the means over all queries, ``classes`` those of each class with its worst queries, and ``pairs``
    the classes confused most, each with queries that show it. A query is its id, value and first hits.
    """
    worst: dict[str, list[dict[str, Any]]] = {}
    for query in worst_queries(evaluation, len(evaluation.queries)):
        if len(of_class := worst.setdefault(query.label, [])) < WORST:
            hits = [{"id": hit.id, "label": hit.label} for hit in query.hits[:HITS]]
            of_class.append({"id": query.id, "value": query.value, "hits": hits})
    columns = {name: evaluation.measures.index(name) for name in FIGURES}
    means, bounds = evaluation.chance.mean(axis=0), evaluation.intervals
    sizes = np.bincount(evaluation.strata).tolist()
    return {
        "title": evaluation.title(),
        "notes": [*evaluation.cautions(), *evaluation.notes()],
        "figures": {
            name: estimate(bounds.micro[column]) | {"chance": float(means[column])} for name, column in columns.items()
        },
        "classes": {
            evaluation.labels[c]: {
                "queries": sizes[row],
                "worst": worst[evaluation.labels[c]],
                "figures": {
                    name: estimate(bounds.per_class[row, column])
                    | {"chance": float(evaluation.class_chance[row, column])}
                    for name, column in columns.items()
                },
            }
            for row, c in enumerate(evaluation.scored_classes.tolist())
        },
        "pairs": [
            {
                "query": pair.query,
                "found": pair.retrieved,
                "share": pair.share,
                "examples": _examples(evaluation, pair.query, pair.retrieved),
            }
            for pair in evaluation.hardest_pairs(4, PAIRS)
        ],
    }


def _examples(evaluation: Evaluation, label: str, found: str) -> list[dict[str, Any]]:
    """Queries of one class that have a picture of another high among their hits, highest first: ids of both."""
    classes = {name: row for row, name in enumerate(evaluation.labels)}
    top = evaluation.scores.top[:, :4]
    meant = (evaluation.query_classes == classes[label])[:, None] & (top >= 0)
    rows, places = np.nonzero(meant & (evaluation.gallery_classes[top] == classes[found]))
    first = sorted(zip(places.tolist(), rows.tolist(), strict=True))
    shown: dict[str, dict[str, Any]] = {}
    for place, row in first:
        id_ = evaluation.queries[row]
        shown.setdefault(id_, {"id": id_, "hits": [{"id": evaluation.gallery[top[row, place]], "label": found}]})
    return list(shown.values())[:EXAMPLES]


class EvaluateTab:
    """What the server answers to the tab's events over one gallery: plain values that the script draws as text."""

    def __init__(self, gallery: Gallery, *, read_only: bool = False):
        self.gallery, self.read_only = gallery, read_only

    def start(self, given: Any) -> dict[str, Any]:
        """The rankings to choose, and what is kept of an evaluation under the one that is asked for."""
        rank = sent_text(given, "rank") or self.gallery.rank or AS_INDEXED
        choices = rank_choices(self.gallery.index.read_passport(), self.gallery.rank or None)
        said = {
            "kind": "start",
            "rank": rank,
            "rankings": [{"spec": each.spec or AS_INDEXED, "name": each.name, "about": each.what} for each in choices],
            "none": "" if len(self.gallery.labels()) else NO_CLASSES,
        }
        kept = self.kept(spec_of(rank))
        return said | {"again": not (kept and self.read_only), "result": overview(kept) if kept else None}

    def kept(self, spec: str) -> dict[str, Any] | None:
        """The document of an evaluation of the index as it is now; None where there was none."""
        return kept_artefact(self.gallery.index.read_passport(), KEPT_AS, {"rank": spec}, _read)

    def evaluate(self, given: Any) -> Iterator[dict[str, Any]]:
        """The share that is done, again and again, then the overview of what was found; it is kept."""
        rank = sent_text(given, "rank")
        spec = spec_of(rank)
        said = {"kind": "evaluated", "rank": rank}
        passport = self.gallery.index.read_passport()
        steps = working(lambda tell: evaluation_document(self.gallery.evaluate(rank=spec, progress=tell)))
        try:
            yield said | {"done": 0.0}
            made = yield from telling(said, steps)
        except KitError as error:
            yield said | {"error": visible(told(error, self.gallery.index.address)[1])}
            return
        finally:
            steps.close()
        artefact(passport, KEPT_AS, {"rank": spec}, lambda: made, _write, _read)
        yield said | {"result": overview(made), "again": not self.read_only}

    def opened(self, given: Any) -> dict[str, Any]:
        """The worst queries of a class, or examples of a confused pair, as pictures with their first hits."""
        label, found = sent_text(given, "class"), sent_text(given, "found")
        said = {"kind": "opened", "class": label, "found": found}
        document = self.kept(spec_of(sent_text(given, "rank")))
        if document is None:
            return said | {"error": "The index has changed since. Evaluate it again."}
        pairs = {(pair["query"], pair["found"]): pair["examples"] for pair in document["pairs"]}
        queries = pairs.get((label, found), []) if found else document["classes"].get(label, {}).get("worst", [])
        ids = [each["id"] for query in queries for each in (query, *query["hits"])]
        thumbnails = cards.data_uris(self.gallery.thumbnail, ids)
        return said | {"queries": [_shown(query, label, thumbnails) for query in queries]}


def overview(document: Mapping[str, Any]) -> dict[str, Any]:
    """A document without its queries, which are sent when a class is opened, and with names as people read them."""
    classes = [
        {"exact": label, "name": visible(label), "queries": each["queries"], "figures": each["figures"]}
        for label, each in document["classes"].items()
    ]
    pairs = [
        {"class": pair["query"], "found": pair["found"], "share": pair["share"]}
        | {"name": visible(pair["query"]), "other": visible(pair["found"])}
        for pair in document["pairs"]
    ]
    notes = [visible(note) for note in document["notes"]]
    return {"title": document["title"], "notes": notes, "figures": document["figures"]} | {
        "classes": classes,
        "pairs": pairs,
    }


def _shown(query: Mapping[str, Any], label: str, thumbnails: Mapping[str, str]) -> dict[str, Any]:
    hits: Iterable[Mapping[str, Any]] = query["hits"]
    return cards.card(query["id"], label, thumbnails[query["id"]]) | {
        "value": query.get("value"),
        "hits": [
            cards.card(hit["id"], hit["label"], thumbnails[hit["id"]]) | {"right": hit["label"] == label}
            for hit in hits
        ],
    }


def _write(document: Mapping[str, Any], path: Path) -> None:
    path.write_text(json.dumps(document), "utf-8")


def _read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return document


def evaluate_tab(gallery: Gallery, *, read_only: bool = False) -> None:
    """Draws the tab into the open page and wires its events."""
    view = tab_view("evaluate")
    tab = EvaluateTab(gallery, read_only=read_only)
    wire(view, "start", tab.start, "Opening the tab")
    one: dict[str, Any] = {"concurrency_id": "evaluate", "concurrency_limit": 1}
    evaluating = wire(view, "evaluate", tab.evaluate, "The evaluation", **one)
    view.stop(None, cancels=[evaluating], api_visibility="private")
    wire(view, "opened", tab.opened, "Looking for the pictures")
