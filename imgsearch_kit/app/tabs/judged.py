"""What the evaluate tab shows of an evaluation, as plain values that JSON can keep, and the queries behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from imgsearch_kit.evaluation.intervals import estimate, intervals
from imgsearch_kit.evaluation.report import Evaluation
from imgsearch_kit.reports import visible

FIGURES = ("P@4", "mAP", "P@10")
CONFUSED = 4  # the first places whose classes are counted
HITS, WORST, EXAMPLES = 5, 8, 24  # hits beside a query, and queries shown of a class, and of a pair of classes

ShownQuery = dict[str, Any]  # the "id" of a picture, its "value" or None, and its "hits": each an "id" and a "label"


def evaluation_document(evaluation: Evaluation) -> dict[str, Any]:
    """What the tab shows of an evaluation in which each picture was a query against all others.

    ``figures`` are the means over all queries, ``classes`` those of each class, and ``cells`` count the classes of the
    first four hits: [row of the query's class in ``labels``, row of the class found, how many]. ``seen`` has what
    ``worst_of`` and ``examples_of`` read.
    """
    columns = {name: evaluation.measures.index(name) for name in FIGURES}
    bounds, sizes = evaluation.intervals, np.bincount(evaluation.strata).tolist()
    counts = evaluation.confusion(CONFUSED).counts
    rows, found = np.nonzero(counts)
    cells = zip(evaluation.scored_classes[rows].tolist(), found.tolist(), counts[rows, found].tolist(), strict=True)
    gallery = {id_: row for row, id_ in enumerate(evaluation.gallery)}
    return {
        "title": evaluation.title(),
        "notes": [*evaluation.cautions(), *evaluation.notes()],
        "figures": plain_figures(evaluation),
        "labels": list(evaluation.labels),
        "classes": {
            evaluation.labels[c]: {
                "queries": sizes[row],
                "figures": {
                    name: estimate(bounds.per_class[row, column])
                    | {"chance": float(evaluation.class_chance[row, column])}
                    for name, column in columns.items()
                },
            }
            for row, c in enumerate(evaluation.scored_classes.tolist())
        },
        "cells": [list(cell) for cell in cells],
        "seen": {
            "ids": list(evaluation.gallery),
            "classes": evaluation.gallery_classes.tolist(),
            "queries": [gallery[id_] for id_ in evaluation.queries],
            "values": evaluation.scores.values["mAP"].round(6).tolist(),
            "top": evaluation.scores.top[:, :HITS].tolist(),
        },
    }


def plain_figures(evaluation: Evaluation, *, bounded: bool = True) -> dict[str, dict[str, float | None]]:
    """The means over all queries by measure: "value", "chance", and, if ``bounded``, which takes a second, bounds."""
    columns = [evaluation.measures.index(name) for name in FIGURES]
    values, chances = evaluation.values[:, columns], evaluation.chance[:, columns].mean(axis=0)
    unknown = np.full((len(FIGURES), 2), np.nan)
    table = np.column_stack([values.mean(axis=0), unknown])
    if bounded:
        table = intervals(values, evaluation.strata, seed=evaluation.seed).micro
    return {
        name: estimate(row) | {"chance": float(chance)}
        for name, row, chance in zip(FIGURES, table, chances, strict=True)
    }


def overview(document: Mapping[str, Any]) -> dict[str, Any]:
    """A document without its queries, which are sent when they are asked for, and with names as people read them."""
    classes = [
        {"exact": label, "name": visible(label), "queries": each["queries"], "figures": each["figures"]}
        for label, each in document["classes"].items()
    ]
    return {"title": document["title"], "notes": [visible(note) for note in document["notes"]]} | {
        "figures": document["figures"],
        "classes": classes,
        "labels": [{"exact": label, "name": visible(label)} for label in document["labels"]],
        "cells": document["cells"],
    }


def worst_of(document: Mapping[str, Any], label: str) -> list[ShownQuery]:
    """The queries of a class with the worst average precision, worst first, with their first hits."""
    seen, rows = document["seen"], _asked(document, label)
    worst = sorted(rows, key=lambda row: seen["values"][row])[:WORST]
    return [_query(document, row, seen["top"][row]) | {"value": seen["values"][row]} for row in worst]


def examples_of(document: Mapping[str, Any], label: str, found: str) -> list[ShownQuery]:
    """Queries of a class that have a picture of a class among their first four hits, each with the first of these.

    Those where it stands highest come first.
    """
    seen, number = document["seen"], {name: row for row, name in enumerate(document["labels"])}.get(found)
    places = []
    for row in _asked(document, label):
        of_class = [place for place, hit in enumerate(_top(document, row)) if seen["classes"][hit] == number]
        places += [(of_class[0], row)] if of_class else []
    return [_query(document, row, seen["top"][row][place : place + 1]) for place, row in sorted(places)[:EXAMPLES]]


def _asked(document: Mapping[str, Any], label: str) -> list[int]:
    """The rows of the queries of a class."""
    seen, labels = document["seen"], document["labels"]
    return [row for row, of in enumerate(seen["queries"]) if labels[seen["classes"][of]] == label]


def _top(document: Mapping[str, Any], row: int) -> list[int]:
    top: list[int] = document["seen"]["top"][row]
    return [hit for hit in top[:CONFUSED] if hit >= 0]


def _query(document: Mapping[str, Any], row: int, hits: list[int]) -> ShownQuery:
    seen, labels = document["seen"], document["labels"]
    shown = [{"id": seen["ids"][hit], "label": labels[seen["classes"][hit]]} for hit in hits if hit >= 0]
    return {"id": seen["ids"][seen["queries"][row]], "value": None, "hits": shown}
