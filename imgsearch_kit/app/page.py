"""The whole page: its frame, its style, and its tabs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from imgsearch_kit import ui
from imgsearch_kit.app.api import add_endpoint
from imgsearch_kit.app.blocks import WordedBlocks
from imgsearch_kit.app.frame import Frame
from imgsearch_kit.app.standing import standing
from imgsearch_kit.app.tabs.search import search_tab
from imgsearch_kit.gallery import Gallery

PLAIN = Frame()
UPLOADS_KEPT = 3600  # seconds; uploads are checked at this interval, and deleted at this age
HEAD = """<h1></h1><p class="status" role="status"></p>
<details class="about" hidden><summary>About</summary><div></div></details>"""
DRAW_HEAD = """const of = (selector) => element.querySelector(selector);
of('h1').textContent = props.title;
of('.about').hidden = !props.about;
of('.about div').innerHTML = props.about;  // without scripts, as frame.py makes it
watch('value', () => { of('.status').textContent = props.value; });"""
STYLE = Path(__file__).with_name("page.css")


def build(gallery: Gallery, frame: Frame = PLAIN) -> gr.Blocks:
    """The page of a gallery in its frame, not yet launched.

    The style is part of the page, not of ``launch``, so that the page always looks the same when launched or mounted.
    """
    with WordedBlocks(title=frame.title, analytics_enabled=False, delete_cache=(UPLOADS_KEPT, UPLOADS_KEPT)) as page:
        style = f"<style>{ui.style()}{STYLE.read_text('utf-8')}</style>"
        own: dict[str, Any] = {"title": frame.title, "about": frame.about, "apply_default_css": False}
        head = gr.HTML(html_template=style + HEAD, js_on_load=DRAW_HEAD, elem_id="head", **own)
        page.load(lambda: standing(gallery)["line"], outputs=head, api_visibility="private")
        search_tab(gallery, page, originals=frame.allow_originals)
        add_endpoint(gallery)
    return page
