"""The page on a port, with every security setting in one place."""

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
WAITING = 64  # searches in the queue before visitors are told to come back
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
    """The running page over an index; with ``block`` only after it was stopped.

    The network is loaded and checked first, so that the first visitor does not wait for it; where its weights are not
    here, indexed pictures can still be searched with, which the log says. The page listens on
    ``host``, the machine itself unless another is named. No folder is served: pictures travel inside the answers, and
    Gradio serves only what it keeps of uploads, at most an hour. Uploads end at 32 MB. ``share`` asks Gradio for a
    public link.

    :raises BadQuery: when ``share`` is asked for without ``auth``, or the port is taken.
    :raises IndexMismatch: when the extractor computes something else than when the index was made.
    """
    if share and not auth:
        raise BadQuery(
            "A public link shows the indexed pictures to all who have it. Give --auth USER:PASS with --share."
        )
    try:
        gallery.extractor  # noqa: B018 (loads and checks it)
    except (WeightsNotFound, BadQuery) as error:  # of an index whose extractor is not known, or not here
        log.warning("Only indexed pictures can be searched with, not others: %s", error)
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
            f"Nothing can listen on {host}, port {port} ({error}). Name another --port or --host."
        ) from error
    page = Page(url, share_url, blocks)
    if block:
        page.wait()
    return page
