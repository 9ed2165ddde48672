"""The data folder of a site: names, vectors, neighbours, map and evaluation, in parts that a browser fetches."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from imgsearch_kit.evaluation.intervals import estimate
from imgsearch_kit.evaluation.mistakes import worst_queries
from imgsearch_kit.evaluation.report import Evaluation
from imgsearch_kit.extractors.base import probe_pixels
from imgsearch_kit.inspection.neighbours import leave_one_out
from imgsearch_kit.map.points import MapScale
from imgsearch_kit.records import Vectors
from imgsearch_kit.reports import visible

KNOWN_NEIGHBOURS = 50  # neighbours of each picture that need no vectors
SHARD = 256  # pictures in a file of neighbours: some 80 kB
MEASURES = ("P@4", "mAP", "P@10")
WORST_SHOWN, HITS_SHOWN = 6, 5
MAP_STEPS = 65_535
PROBE_DIGITS = 6  # of the values of a probe's vector


def write_json_file(path: Path, document: Any) -> None:
    """Writes a document for a browser, without spaces; characters that are no text are escaped."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, allow_nan=False, separators=(",", ":")), encoding="ascii")


def write_vectors(path: Path, vectors: Vectors) -> None:
    """Writes ``(n, dim)`` unit vectors as little-endian 16-bit floats, row by row."""
    path.write_bytes(vectors.astype("<f2").tobytes())


def write_neighbours(folder: Path, vectors: Vectors) -> int:
    """Writes the nearest other rows of each row of ``(n, dim)``, in files of 256 rows, and returns how many each has.

    A file has first the rows, ``(256, k)`` uint32, then their cosines as ``(256, k)`` int16 in steps of 1 / 32,767.
    """
    folder.mkdir(parents=True, exist_ok=True)
    k = min(KNOWN_NEIGHBOURS, len(vectors) - 1)
    found = leave_one_out(vectors, k)
    for start in range(0, len(vectors) if k else 0, SHARD):
        rows, cosines = found.rows[start : start + SHARD], found.cosines[start : start + SHARD]
        steps = np.rint(np.clip(cosines, -1, 1) * 32_767)
        (folder / f"{start // SHARD}.bin").write_bytes(rows.astype("<u4").tobytes() + steps.astype("<i2").tobytes())
    return k


def write_positions(path: Path, positions: Vectors) -> None:
    """Writes ``(n, 2)`` positions within the unit square, as uint16 pairs from its lower left corner.

    The few that lie farthest out are drawn at its edge.
    """
    within = np.clip(MapScale.of(positions).scaled(positions), 0, 1)
    path.write_bytes(np.rint(within * MAP_STEPS).astype("<u2").tobytes())


def evaluation_part(evaluation: Evaluation, row_of: Mapping[str, int], *, anonymous: bool) -> dict[str, Any]:
    """What a site shows of an evaluation: the means, and of each class its figures and worst queries.

    ``row_of`` gives the row of each picture on the site; others are left out. A query is its row, and those of its
    first hits. How much was excluded is not said, nor, if ``anonymous``, are warnings, which name folders.
    """
    unsaid = {"excluded", "exclude_labels"} | ({"warnings"} if anonymous else set())
    evaluation = replace(evaluation, about={key: said for key, said in evaluation.about.items() if key not in unsaid})
    worst: dict[str, list[list[int]]] = {}
    for query in worst_queries(evaluation, len(evaluation.queries)):
        rows = [row_of[id_] for id_ in (query.id, *(hit.id for hit in query.hits[:HITS_SHOWN])) if id_ in row_of]
        if len(of_class := worst.setdefault(query.label, [])) < WORST_SHOWN and query.id in row_of:
            of_class.append(rows)
    columns = {name: evaluation.measures.index(name) for name in MEASURES}
    sizes, chances = np.bincount(evaluation.strata).tolist(), evaluation.chance.mean(axis=0)
    means, per_class = evaluation.intervals.micro, evaluation.intervals.per_class
    return {
        "title": visible(evaluation.title()),
        "notes": [visible(note) for note in (*evaluation.cautions(), *evaluation.notes())],
        "figures": {
            name: _rounded(estimate(means[column]) | {"chance": float(chances[column])})
            for name, column in columns.items()
        },
        "classes": [
            {
                "name": visible(evaluation.labels[c]),
                "queries": sizes[row],
                "figures": {
                    name: _rounded(
                        estimate(per_class[row, column]) | {"chance": float(evaluation.class_chance[row, column])}
                    )
                    for name, column in columns.items()
                },
                "worst": worst.get(evaluation.labels[c], []),
            }
            for row, c in enumerate(evaluation.scored_classes.tolist())
        ],
    }


def _rounded(figures: Mapping[str, float | None]) -> dict[str, float | None]:
    return {name: value if value is None else round(value, 4) for name, value in figures.items()}


def write_probes(folder: Path, side: int, vectors: Vectors) -> list[str]:
    """Writes the probe pictures as PNG files, with their ``(2, dim)`` vectors, and returns the files' names."""
    names: list[str] = []
    for number, pixels in enumerate(probe_pixels(side), start=1):
        names.append(f"probe-{number}.png")
        Image.fromarray(pixels).save(folder / names[-1], optimize=True)
    write_json_file(folder / "probes.json", {"vectors": vectors.round(PROBE_DIGITS).tolist()})
    return names


def digest_of(folder: Path) -> str:
    """The version of a site: 12 hexadecimal digits that change with the bytes or the name of any of its files.

    A browser fetches each file under the version, so that it never mixes a new file with one that it kept.
    """
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(path.relative_to(folder).as_posix().encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]


def spread(count: int, wanted: int) -> Sequence[int]:
    """Rows spread evenly over ``count`` ones."""
    wanted = min(wanted, count)
    return [row * count // wanted for row in range(wanted)]
