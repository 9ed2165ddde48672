"""Starts the page on a port, with all security settings in one place."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

import gradio as gr

from imgsearch_kit.app.page import build
from imgsearch_kit.errors import BadQuery, WeightsNotFound
from imgsearch_kit.gallery import Gallery

log = logging.getLogger("imgsearch_kit")

MAX_UPLOAD = "32mb"
WAITING = 64  # searches in the queue; further ones are refused
SEARCHES_AT_ONCE = 2

FONT = gr.themes.utils.fonts.LocalFont("IBM Plex Sans", (400, 700))  # its 600 lacks most letters
THEME = gr.themes.Default(primary_hue="indigo", font=(FONT, "system-ui", "sans-serif"))


@dataclass(frozen=True)
class Page:
    """A running page: its local address, the public one if it is shared, and how to stop it."""

    url: str
    share_url: str | None
    blocks: gr.Blocks

    def close(self) -> None:
        """Stops the server."""
        self.blocks.close(verbose=False)

    def wait(self) -> None:
        """Returns when the server was stopped, by Ctrl-C or ``close``."""
        try:
            while self.blocks.is_running:
                time.sleep(0.2)
        except KeyboardInterrupt:
            self.close()


def launch_page(
    gallery: Gallery,
    *,
    host: str = "127.0.0.1",
    port: int = 7860,
    share: bool = False,
    auth: tuple[str, str] | None = None,
    block: bool = True,
) -> Page:
    """The running page of a gallery; with ``block`` it returns only after the page was stopped.

    The network is loaded and checked first, so that the first visitor does not wait for it. If its weights are missing,
    only indexed pictures can be the query, and the log says so. The page listens on ``host``, by default only on this
    machine. No folder is served: pictures are part of the answers, and Gradio serves uploads only, for at most an hour.
    Uploads are limited to 32 MB. ``share`` asks Gradio for a public link.

    :raises BadQuery: when ``share`` is given without ``auth``, or the port is in use.
    :raises IndexMismatch: when the extractor's results have changed since the index was made.
    """
    if share and not auth:
        raise BadQuery(
            "A public link shows the indexed pictures to everyone who has it. Give --auth USER:PASS with --share."
        )
    try:
        gallery.extractor  # noqa: B018 (loads and checks it)
    except (WeightsNotFound, BadQuery) as error:  # the extractor is unknown, or its weights are missing
        log.warning("Only indexed pictures can be used as queries, no others: %s", error)
    blocks = build(gallery)
    blocks.queue(max_size=WAITING, default_concurrency_limit=SEARCHES_AT_ONCE)
    try:
        _, url, share_url = blocks.launch(
            server_name=host,
            server_port=port,
            share=share,
            auth=auth,
            theme=THEME,
            max_file_size=MAX_UPLOAD,
            prevent_thread_lock=True,
            quiet=True,
            ssr_mode=False,
            mcp_server=False,
            enable_monitoring=False,
            run_history=False,
            footer_links=["api"],
        )
    except OSError as error:
        raise BadQuery(
            f"The page cannot listen on {host}, port {port} ({error}). Give another --port or --host."
        ) from error
    page = Page(url, share_url, blocks)
    if block:
        page.wait()
    return page
