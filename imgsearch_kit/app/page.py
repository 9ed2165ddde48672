"""The whole page: its frame, its style, and its tabs."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

from imgsearch_kit import ui
from imgsearch_kit.app import cards
from imgsearch_kit.app.api import add_endpoint
from imgsearch_kit.app.tabs.search import search_tab
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.reports import visible

TITLE = "Image search"
UPLOADS_KEPT = 3600  # seconds; uploads are checked at this interval, and deleted at this age
DRAW_HEAD = "watch('value', () => { element.querySelector('.status').textContent = props.value; });"
STYLE = Path(__file__).with_name("page.css")


def build(gallery: Gallery) -> gr.Blocks:
    """The page of a gallery, not yet launched.

    The style is part of the page, not of ``launch``, so that the page always looks the same when launched or mounted.
    """
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(UPLOADS_KEPT, UPLOADS_KEPT)) as page:
        style = ui.style() + STYLE.read_text("utf-8")
        frame = f'<style>{style}</style><h1>{TITLE}</h1><p class="status" role="status"></p>'
        head = gr.HTML(html_template=frame, js_on_load=DRAW_HEAD, apply_default_css=False, elem_id="head")
        page.load(lambda: visible(index_line(gallery)), outputs=head, api_visibility="private")
        search_tab(gallery, page)
        add_endpoint(gallery)
    return page


def index_line(gallery: Gallery) -> str:
    """What is indexed, in one line."""
    passport, labels = gallery.index.read_passport(), gallery.labels()
    indexed = cards.count(passport.count, "picture") + (f" in {cards.count(len(labels), 'class')}" if labels else "")
    made_by = f"{passport.spec.name}, " if passport.spec else ""
    return f"{indexed} · {made_by}{passport.dim}-d vectors"
