"""What rounds of feedback gain: a simulated user marks the ten pictures shown, and the query moves (Rocchio).

Each picture of a class of at least 41 is a query. In every round its ten nearest pictures that were not shown before
are shown, and the user marks those of the query's class plus and the others minus: all of them, or only the first of
each. This is the residual collection protocol: P@10 counts new pictures only. Beside it stands the unchanged query, on
the same pictures not shown yet, and after four rounds how many of the 40 pictures shown were right, against the first
40 of the unchanged query. No picture is its own answer; intervals are 95 %, differences paired by query.

    python benchmarks/feedback.py INDEX [--exclude-label LABEL...] [-o FILE]
"""

from __future__ import annotations

import argparse
import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from imgsearch_kit import Gallery
from imgsearch_kit.evaluation.intervals import intervals
from imgsearch_kit.ranking import Ranking
from imgsearch_kit.ranking.feedback import CLASSIC, WEIGHTS, rocchio
from imgsearch_kit.vectors import first

ROUNDS, SHOWN = 4, 10  # round 0 has no marks yet
BATCH = 512  # queries at a time
RCA = "rca:128:15"
RESULTS = Path(__file__).parent / "results" / "feedback.json"
SETTINGS: list[dict[str, Any]] = [
    {"rank": None, "weights": WEIGHTS, "marks": "all ten"},
    {"rank": None, "weights": WEIGHTS, "marks": "one of each"},
    {"rank": None, "weights": CLASSIC, "marks": "all ten"},
    {"rank": None, "weights": CLASSIC, "marks": "one of each"},
    {"rank": RCA, "weights": WEIGHTS, "marks": "all ten"},
]


def marked(right: np.ndarray, marks: str) -> tuple[np.ndarray, np.ndarray]:
    """The places marked plus and minus in one list of shown pictures, whose right ones are known."""
    plus, minus = np.flatnonzero(right), np.flatnonzero(~right)
    return (plus, minus) if marks == "all ten" else (plus[:1], minus[:1])


def rounds(ranking: Ranking, rows: np.ndarray, classes: np.ndarray, weights: Any, marks: str) -> dict[str, np.ndarray]:
    """Shares of right pictures among those shown, one row a query.

    ``feedback`` and ``unchanged`` are ``(b, ROUNDS)``, ``found`` and ``found unchanged`` ``(b, 1)``.
    """
    gallery, queries, n = ranking.gallery, ranking.gallery[rows], len(ranking.gallery)
    own = csr_array((np.ones(len(rows), bool), (np.arange(len(rows)), rows)), shape=(len(rows), n))
    plain = ranking.scores(queries, own)
    shown = np.zeros((len(rows), n), bool)
    plus: list[list[int]] = [[] for _ in rows]
    minus: list[list[int]] = [[] for _ in rows]
    shares: dict[str, list[np.ndarray]] = {"feedback": [], "unchanged": []}
    asked = queries
    for _ in range(ROUNDS):
        for name, scores in (("feedback", ranking.scores(asked, own)), ("unchanged", plain)):
            columns, _ = first(np.where(shown, -np.inf, scores), SHOWN)
            right = classes[columns] == classes[rows, None]
            shares[name].append(right.mean(axis=1))
            if name == "feedback":
                new, answers = columns, right
        np.put_along_axis(shown, new, True, axis=1)
        for i, found in enumerate(answers):
            for kept, places in zip((plus[i], minus[i]), marked(found, marks), strict=True):
                kept += new[i, places].tolist()
        moved = [rocchio(queries[i : i + 1], gallery[plus[i]], gallery[minus[i]], weights) for i in range(len(rows))]
        asked = np.concatenate(moved)
    whole, _ = first(plain, ROUNDS * SHOWN)
    found = {name: np.stack(values, axis=1) for name, values in shares.items()}
    scrolled = (classes[whole] == classes[rows, None]).mean(axis=1, keepdims=True)
    return {**found, "found": found["feedback"].mean(axis=1, keepdims=True), "found unchanged": scrolled}


def bounded(values: np.ndarray, classes: np.ndarray) -> list[dict[str, float]]:
    """The mean of each column with its interval."""
    _, compact = np.unique(classes, return_inverse=True)
    found = intervals(values.astype(np.float64), compact).micro
    return [dict(zip(("value", "low", "high"), (round(float(v), 4) for v in row), strict=True)) for row in found]


def measured(vectors: np.ndarray, classes: np.ndarray, setting: dict[str, Any]) -> dict[str, Any]:
    """The figures of one setting, over all queries of classes that are large enough."""
    ranking = Ranking.fit(setting["rank"], vectors) if setting["rank"] else Ranking(vectors, ())
    asking = np.flatnonzero(np.bincount(classes)[classes] > ROUNDS * SHOWN)
    batches = [asking[start : start + BATCH] for start in range(0, len(asking), BATCH)]
    parts = [rounds(ranking, rows, classes, setting["weights"], setting["marks"]) for rows in batches]
    values = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    values["gain"] = values["feedback"] - values["unchanged"]
    means = {name: bounded(value, classes[asking]) for name, value in values.items()}
    return {**setting, "queries": len(asking), **means}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("index", metavar="INDEX")
    parser.add_argument("--exclude-label", nargs="*", default=["BACKGROUND_Google"])
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    wish = parser.parse_args()
    with Gallery.open(wish.index) as gallery:
        records, passport = gallery.records(), gallery.passport.published()
        records = [record for record in records if record.label and record.label not in wish.exclude_label]
        vectors = gallery.vectors([record.id for record in records])
    _, classes = np.unique([record.label for record in records], return_inverse=True)
    rows = []
    for setting in SETTINGS:
        row = measured(vectors, classes, setting)
        rows.append(row)
        figures = [
            f"{f['value']:.3f} ({u['value']:.3f})" for f, u in zip(row["feedback"], row["unchanged"], strict=True)
        ]
        total = f"{row['found'][0]['value']:.3f} ({row['found unchanged'][0]['value']:.3f})"
        print(row["rank"] or "raw", row["weights"], row["marks"], *figures, "of 40:", total, sep="  ", flush=True)
    document = {"pictures": len(records), "date": datetime.date.today().isoformat(), "rows": rows, "passport": passport}
    wish.output.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
