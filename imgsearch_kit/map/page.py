"""The map as one HTML file that needs no server and no network, and shows names as plain text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import numpy.typing as npt

from imgsearch_kit.errors import MissingExtra
from imgsearch_kit.files import lent_home
from imgsearch_kit.outputs import GENERATOR
from imgsearch_kit.plots.figure import colours
from imgsearch_kit.reports import html_text, visible

BOKEH_MARKERS = ("circle", "square", "triangle", "diamond", "inverted_triangle", "hex")
NO_PICTURE = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="  # one clear pixel

# A tooltip is in a shadow root, where the page's style sheet does not apply.
TOOLTIP = """
<div style="max-width: 220px; overflow-wrap: anywhere">
  <img src="@thumbnail" alt="" style="display: block; width: 128px; height: 128px; object-fit: contain; margin: auto">
  <div style="font-weight: bold">@label</div>
  <div>@id</div>
</div>
"""

TEMPLATE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="generator" content="$generator">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline';
 style-src 'unsafe-inline'; img-src data: file: 'self'; font-src data:">
<title>$title</title>
<style>$style</style>
</head>
<body>
<header><h1>$title</h1><p>$notes</p></header>
<main>
<div id="plot" role="img" aria-label="$alt"></div>
<aside>
<section>
<label for="search">Search by class or file name</label>
<input id="search" type="search" autocomplete="off">
<output id="found" class="count"></output>
</section>
<section id="classes">
<h2>Classes</h2>
<div><button id="all" type="button">Show all</button> <button id="none" type="button">Hide all</button></div>
<div class="scroll"><ul id="legend"></ul></div>
</section>
<section id="selection" aria-live="polite">
<h2 id="selected">Nothing selected</h2>
<p id="hint" class="hint">Click a picture to see its true neighbours, which may differ from those on the
map; draw around pictures with the lasso tool to list them.</p>
<div><button id="download" type="button" hidden>Download CSV</button></div>
<div class="scroll"><table><tbody id="rows"></tbody></table><p id="more" class="hint"></p></div>
</section>
</aside>
</main>
<script type="application/json" id="data">$data</script>
<script type="application/json" id="figure">$figure</script>
$bokeh
<script>$script</script>
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
    """The page, as HTML: the map, a panel to hide classes, search and list, and lines to a picture's true neighbours.

    ``positions`` is ``(n, 2)``. Each of ``thumbnails`` is the source of a picture (a data address, or one relative to
    the page) or None. ``neighbours`` ``(n, k)`` are the rows of each picture's nearest in rank order, -1 for none, with
    their ``cosines`` ``(n, k)``. ``notes`` say how far the map can be trusted.

    :raises MissingExtra: when bokeh is not installed.
    """
    try:
        with lent_home():
            from bokeh.resources import Resources
    except ImportError as error:
        raise MissingExtra("bokeh", "notebooks") from error
    names = sorted({label for label in labels if label is not None})
    shown: list[str | None] = [*names, None] if None in labels else [*names]
    number = {name: i for i, name in enumerate(shown)}
    class_of = [number[label] for label in labels]
    shades = [*colours(len(names)), "#8a8a8a"]
    counts = np.bincount(np.array(class_of, np.int64), minlength=len(number)).tolist()
    data = {
        "classes": [
            {
                "name": name or "no label",
                "colour": shades[i],
                "marker": BOKEH_MARKERS[i % len(BOKEH_MARKERS)],
                "count": counts[i],
            }
            for name, i in number.items()
        ],
        "classOf": class_of,
        "neighbours": [[row for row in rows if row >= 0] for rows in neighbours.tolist()],
        "cosines": [[round(c, 4) for c in row if c == c] for row in cosines.tolist()],
    }
    columns = {
        "x": positions[:, 0],
        "y": positions[:, 1],
        "id": list(ids),
        "label": [label or "" for label in labels],
        "thumbnail": [source or NO_PICTURE for source in thumbnails],
        "colour": [shades[c] for c in class_of],
        "marker": [_marker(c) for c in class_of],
        "alpha": np.full(len(ids), 0.8, np.float32),
    }
    beside = Path(__file__)
    return TEMPLATE.substitute(
        generator=GENERATOR,
        title=html_text(title),
        notes=html_text("; ".join(notes)),
        alt=html_text(f"Map of {len(ids)} pictures in {len(names)} classes. {'; '.join(notes)}"),
        style=beside.with_name("map.css").read_text(encoding="utf-8"),
        script=beside.with_name("map.js").read_text(encoding="utf-8"),
        data=_json(data),
        figure=_json(_figure(columns)),
        bokeh=Resources(mode="inline", components=["bokeh", "bokeh-gl"]).render_js(),
    )


def _marker(number: int) -> str:
    """The shape of the dots of a class."""
    return BOKEH_MARKERS[number % len(BOKEH_MARKERS)]


def _figure(columns: dict[str, Any]) -> dict[str, Any]:
    """The dots and the lines as Bokeh's JSON, to be drawn into #plot."""
    from bokeh.embed import json_item
    from bokeh.models import BooleanFilter, CDSView, ColumnDataSource, DataRange1d, HoverTool, LassoSelectTool, TapTool
    from bokeh.plotting import figure

    count, tooltip = len(columns["id"]), TOOLTIP
    for name in ("id", "label"):  # the exact ones are for the search and the CSV
        shown = list(map(visible, columns[name]))
        if shown != columns[name]:
            columns |= {f"shown_{name}": shown}
            tooltip = tooltip.replace(f"@{name}", f"@shown_{name}")
    size = float(np.clip(600 / max(count, 1) ** 0.5, 5, 14))
    across, down = DataRange1d(), DataRange1d()
    plot = figure(
        x_range=across,
        y_range=down,
        sizing_mode="stretch_both",
        output_backend="webgl",
        tools="pan,wheel_zoom,box_zoom,reset,save",
        active_scroll="wheel_zoom",
        match_aspect=True,
    )
    plot.toolbar.logo = None
    plot.axis.visible = plot.grid.visible = False
    lines = ColumnDataSource({"x0": [], "y0": [], "x1": [], "y1": []}, name="lines")
    not_hidden = BooleanFilter(booleans=[True] * count, name="visible")
    dots = plot.scatter(
        "x",
        "y",
        source=ColumnDataSource(columns, name="pictures"),
        view=CDSView(filter=not_hidden),
        size=size,
        marker="marker",
        color="colour",
        alpha="alpha",
        line_color=None,
        nonselection_fill_alpha=0.04,
    )
    ends = {axis: [float(columns[axis].min()), float(columns[axis].max())] for axis in "xy"}
    corners = plot.scatter(ends["x"], ends["y"], alpha=0)  # all there is to see, also when classes are hidden
    across.renderers = down.renderers = [corners]
    plot.segment("x0", "y0", "x1", "y1", source=lines, line_color="#1b2733", line_width=1.5)
    for end, wider in (("0", 10), ("1", 4)):  # a ring around the picture and smaller ones around its neighbours
        plot.scatter(f"x{end}", f"y{end}", source=lines, size=size + wider, fill_color=None, line_color="#1b2733")
    hover = HoverTool(renderers=[dots], tooltips=tooltip, limit=1)
    plot.add_tools(LassoSelectTool(renderers=[dots], continuous=False), TapTool(renderers=[dots]), hover)
    return dict(json_item(plot)) | {"target_id": "plot"}


def _json(value: Any) -> str:
    """JSON that cannot end the script element that contains it."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
