"""The whole page: its frame, its style, and its tabs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from imgsearch_kit import ui
from imgsearch_kit.app.api import add_endpoint
from imgsearch_kit.app.blocks import WordedBlocks
from imgsearch_kit.app.frame import Frame
from imgsearch_kit.app.standing import standing
from imgsearch_kit.app.tabs.compare import compare_tab
from imgsearch_kit.app.tabs.evaluate import evaluate_tab
from imgsearch_kit.app.tabs.index import index_tab
from imgsearch_kit.app.tabs.map import map_tab
from imgsearch_kit.app.tabs.search import search_tab
from imgsearch_kit.gallery import Gallery

PLAIN = Frame()
UPLOADS_KEPT = 3600  # seconds; uploads are checked at this interval, and deleted at this age
HEAD = """<a class="skip" href="#search">Skip to results</a>
<header class="kit top"><div class="named"><h1></h1><p class="status" role="status"></p></div>
<nav aria-label="Tabs"></nav><button type="button" class="theme"></button>
<details class="help"><summary>Help</summary><div>
<p><b>Search</b> finds the indexed pictures that look most like yours. Drop a picture anywhere, or paste one.</p>
<p><b>Evaluate</b> says how often the neighbours of the indexed pictures share their class.</p>
<p><b>Compare</b> puts several answers to your picture side by side, and lets you judge them without their names.</p>
<p><b>Map</b> shows all pictures at once, alike ones near each other.</p>
<p><b>Index</b> says what is indexed, from where, and which files could not be read.</p>
<p>Programs ask at <a href="docs">docs</a>.</p></div></details></header>
<details class="about" hidden><summary>About</summary><div></div></details>"""
STYLE = Path(__file__).with_name("page.css")
SCRIPT, RAIL = Path(__file__).with_name("frame.js"), Path(__file__).with_name("rail.js")
BARE: dict[str, Any] = {"apply_default_css": False}


def build(gallery: Gallery, frame: Frame = PLAIN, others: Sequence[Gallery] = ()) -> gr.Blocks:
    """The page of a gallery in its frame, not yet launched; ``others`` are galleries to compare it with.

    The style is part of the page, not of ``launch``, so that the page always looks the same when launched or mounted.
    """
    with WordedBlocks(title=frame.title, analytics_enabled=False, delete_cache=(UPLOADS_KEPT, UPLOADS_KEPT)) as page:
        style = f"<style>{ui.style()}{STYLE.read_text('utf-8')}</style>"
        script = ui.script(SCRIPT.read_text("utf-8"))
        own: dict[str, Any] = {"title": frame.title, "about": frame.about}
        head = gr.HTML(html_template=style + HEAD, js_on_load=script, elem_id="head", **own, **BARE)
        page.load(lambda: standing(gallery)["line"], outputs=head, show_progress="hidden", api_visibility="private")
        gr.HTML(html_template="<div></div>", js_on_load=ui.script(RAIL.read_text("utf-8")), elem_id="rail", **BARE)
        search_tab(gallery, page, originals=frame.allow_originals)
        evaluate_tab(gallery, read_only=frame.read_only)
        compare_tab(gallery, others)
        map_tab(gallery)
        index_tab(gallery, frame)
        add_endpoint(gallery)
    return page
