"""The map as one HTML file that needs no server and no network, and shows names as plain text."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import numpy.typing as npt

from imgsearch_kit import ui
from imgsearch_kit.map.points import MapScale, kept_on_map, map_points
from imgsearch_kit.outputs import GENERATOR
from imgsearch_kit.reports import html_text

TEMPLATE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="generator" content="$generator">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src '$digest';
 style-src 'unsafe-inline'; img-src data: file: 'self'">
<title>$title</title>
<style>$style</style>
</head>
<body>
<header><h1>$title</h1><p>$notes</p></header>
<main class="kit" id="map"></main>
<script type="application/json" id="data">$data</script>
<script type="module">$script</script>
</body>
</html>
""")


def map_page(
    positions: npt.NDArray[np.float32],
    ids: Sequence[str],
    labels: Sequence[str | None],
    thumbnails: Sequence[str | None],
    neighbours: npt.NDArray[np.int64],
    cosines: npt.NDArray[np.float32],
    *,
    title: str = "Map of pictures",
    notes: Sequence[str] = (),
) -> str:
    """The page, as HTML: the map to search, to select from, and to compare with a picture's true neighbours.

    ``positions`` is ``(n, 2)``. Each of ``thumbnails`` is the source of a picture (a data address, or one relative to
    the page) or None. ``neighbours`` ``(n, k)`` are the rows of each picture's nearest in rank order, -1 for none, with
    their ``cosines`` ``(n, k)``. ``notes`` say how far the map can be trusted.
    """
    kept = kept_on_map(positions, positions, neighbours, [[row] for row in range(len(ids))])
    there = neighbours >= 0
    data = map_points(MapScale.of(positions).scaled(positions), ids, labels) | {
        "thumbnails": list(thumbnails),
        "near": _rows(neighbours, there),
        "cosines": _rows(cosines.astype(np.float64).round(4), there),
        "kept": _rows(kept.astype(int), there),
    }
    script = ui.script(Path(__file__).with_name("map.js").read_text(encoding="utf-8"))
    return TEMPLATE.substitute(
        generator=GENERATOR,
        title=html_text(title),
        notes=html_text("; ".join(notes)),
        style=ui.style() + Path(__file__).with_name("map.css").read_text(encoding="utf-8"),
        script=script,
        digest="sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        data=_json(data),
    )


def _rows(values: npt.NDArray[Any], there: npt.NDArray[np.bool]) -> list[list[Any]]:
    """Rows of values without those that are not there."""
    return [row[known].tolist() for row, known in zip(values, there, strict=True)]


def _json(value: Any) -> str:
    """JSON that cannot end the script element that contains it."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
