"""Starts the page on a port, with all security settings in one place."""

from __future__ import annotations

import io
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from imgsearch_kit.app.blocks import misnamed
from imgsearch_kit.app.doors import address_for_others, check_origin, is_loopback, own_middleware
from imgsearch_kit.app.environment import check_proxies, sheltered
from imgsearch_kit.app.frame import frame_of
from imgsearch_kit.app.guarding import MAX_BODY, WAITING
from imgsearch_kit.app.page import build
from imgsearch_kit.app.rest import rest_routes
from imgsearch_kit.arguments import whole_number
from imgsearch_kit.errors import BadQuery, WeightsNotFound
from imgsearch_kit.gallery import Gallery

log = logging.getLogger("imgsearch_kit")

MAX_UPLOAD = "32mb"
SEARCHES_AT_ONCE = 2
# Gradio keeps the last answers of so many visits and calls, each its own copy, although the page asks for none of them.
VISITS_KEPT = 100

FONT = gr.themes.utils.fonts.LocalFont("IBM Plex Sans", (400, 700))  # its 600 lacks most letters
THEME = gr.themes.Default(primary_hue="indigo", font=(FONT, "system-ui", "sans-serif"))


SECURE: dict[str, Any] = {
    "max_file_size": MAX_UPLOAD,
    "prevent_thread_lock": True,
    "quiet": True,
    "ssr_mode": False,
    "mcp_server": False,
    "enable_monitoring": False,
    "run_history": False,
    "footer_links": ["api"],
}
NOT_SHARED = (
    "The page is not shared: there is no tunnel to gradio.live (no connection to it, or its program is not here and "
    "cannot be downloaded). The page is served on this machine all the same."
)


@dataclass(frozen=True)
class Page:
    """A running page: its address here, the public one if it is shared, and how to stop it.

    ``others_url`` is the address for other machines; None where it listens to this machine alone.
    """

    url: str
    share_url: str | None
    blocks: gr.Blocks
    others_url: str | None = None

    def close(self) -> None:
        """Stops the server."""
        self.blocks.close(verbose=False)

    def wait(self) -> None:
        """Returns when the server was stopped, by Ctrl-C, a signal to end, or ``close``."""
        try:
            with _ended_by_signals():
                while self.blocks.is_running:
                    time.sleep(0.2)
        except KeyboardInterrupt:
            self.close()


def launch_page(
    gallery: Gallery,
    *,
    host: str = "127.0.0.1",
    port: int = 7860,
    auth: tuple[str, str] | None = None,
    open: bool = False,  # noqa: A002 (as on the command line)
    share: bool = False,
    cors: Sequence[str] = (),
    compare: Sequence[Gallery] = (),
    block: bool = True,
    **frame: Any,
) -> Page:
    """The running page of a gallery; with ``block`` it returns only after the page was stopped.

    The network is loaded and checked first, so that the first visitor does not wait for it. If its weights are missing,
    only indexed pictures can be the query, and the log says so. The page listens on ``host``, by default only on this
    machine; on an address that other machines reach, it asks for the name and password ``auth``, or is ``open`` to all.
    No folder is served: pictures are part of the answers, and Gradio serves uploads only, for at most an hour.
    Uploads are limited to 32 MB. ``share`` asks Gradio for a public link; where there is none, the log says so.
    ``cors`` are origins of web sites whose scripts may call the routes. ``compare`` are other galleries of the same
    pictures, which the tab Compare offers as columns. ``frame`` are the options of ``frame_of``: ``title``, ``about``,
    ``favicon``, ``read_only``, ``allow_originals`` and ``add_below``. The page changes the index (folders below
    ``add_below``, labels) behind a login, and without one on this machine alone.

    :raises BadQuery: when ``share`` or another ``host`` than this machine is given without ``auth``, the host, the port
        or an origin cannot be used, a file of the frame cannot be read, or all could change the index.
    :raises IndexMismatch: when the extractor's results have changed since the index was made.
    """
    if share and not auth:
        raise BadQuery(
            "A public link shows the indexed pictures to everyone who has it. Give --auth USER:PASS with --share."
        )
    port = whole_number("port", port, most=65_535)
    name = _listenable(host, port)
    if not (auth or open or is_loopback(name)):
        raise BadQuery(
            f"On {host} every machine that reaches this one could search and see the pictures, without a login. "
            "Give --auth USER:PASS, or --open if that is meant."
        )
    around, origins = frame_of(**frame), [check_origin(each) for each in cors]
    trusted = bool(auth) or (is_loopback(name) and not open)
    if around.add_below and not trusted:
        raise BadQuery(
            "Everybody who reaches this page could add folders to the index. Give --auth USER:PASS, or leave out "
            "--add-below."
        )
    around = replace(around, changes=trusted and not around.read_only, login=bool(auth))
    if share:
        check_proxies()
    for each in (gallery, *compare):
        try:
            each.extractor  # noqa: B018 (loads and checks it)
        except (WeightsNotFound, BadQuery) as error:  # the extractor is unknown, or its weights are missing
            log.warning("Only indexed pictures can be used as queries, no others: %s", error)
    try:
        with sheltered(name.strip("[]"), past_all=not share), redirect_stdout(io.StringIO()):
            blocks = build(gallery, around, compare)
            blocks.queue(max_size=WAITING, default_concurrency_limit=SEARCHES_AT_ONCE)
            _, url, share_url = blocks.launch(
                server_name=name,
                server_port=port,
                share=share,
                auth=auth,
                theme=THEME,
                favicon_path=around.icon,
                state_session_capacity=VISITS_KEPT,
                app_kwargs={
                    "routes": rest_routes(gallery, auth, around),
                    "openapi_url": None,  # rest has its own, behind the login
                    "max_body_size": MAX_BODY,
                    "lifespan": own_middleware(origins, around if not auth else around.unsaid()),
                    "exception_handlers": {TypeError: misnamed, KeyError: misnamed},
                },
                **SECURE,
            )
    except OSError as error:
        reason = error.strerror or "the server did not start; the port may be in use on 127.0.0.1"
        raise _deaf(host, port, reason) from error
    if share and not share_url:
        log.warning("%s", NOT_SHARED)
    url = url.replace("//[::]:", "//[::1]:")  # a browser cannot open the address that stands for all
    page = Page(url, share_url, blocks, address_for_others(name, port))
    if block:
        page.wait()
    return page


def _listenable(host: str, port: int) -> str:
    """The host as Gradio takes it, an IPv6 address in brackets; Gradio itself does not see that a port is taken there.

    :raises BadQuery: when this machine has no such address, or the port is in use.
    """
    plain = host[1:-1] if host[:1] == "[" and host[-1:] == "]" else host
    try:
        places = socket.getaddrinfo(plain, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, place in places:
            with socket.socket(family, kind, protocol) as probe:
                if os.name == "posix":  # as servers do; on Windows it would take a port in use
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(place)
    except (OSError, UnicodeError) as error:
        raise _deaf(host, port, getattr(error, "strerror", None) or str(error)) from error
    return f"[{plain}]" if ":" in plain else plain


def _deaf(host: str, port: int, reason: str) -> BadQuery:
    return BadQuery(f"The page cannot listen on {host}, port {port} ({reason}). Give another --port or --host.")


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """A signal to end, which by default kills at once, is as Ctrl-C: uploads are deleted."""
    names = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        names = []  # only the main thread may
    names = [name for name in names if signal.getsignal(name) == signal.SIG_DFL]  # nohup has it ignored
    for name in names:
        signal.signal(name, signal.default_int_handler)
    try:
        yield
    finally:
        for name in names:
            signal.signal(name, signal.SIG_DFL)
