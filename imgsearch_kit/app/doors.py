"""Who may reach the page: addresses of this machine, and web sites whose scripts may call its routes."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from fastapi import FastAPI
from gradio.route_utils import CustomCORSMiddleware
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from imgsearch_kit.app.frame import Frame
from imgsearch_kit.app.own_head import OwnHead
from imgsearch_kit.errors import BadQuery

ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:\d{1,5})?|https?://\[[0-9a-f:]+\](:\d{1,5})?")
OUTSIDE = ("192.0.2.1", 9)  # no machine has this address; asking for the way to it sends nothing


def check_origin(origin: str) -> str:
    """An origin as browsers send it: scheme, host, and port if it is not the usual one.

    :raises BadQuery: when it is none.
    """
    given = origin.strip().lower().rstrip("/")
    if not ORIGIN.fullmatch(given):
        raise BadQuery(f"{origin!r} is no origin of a web site. Write it as https://example.org or http://host:8000.")
    return given


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on ``host``; False for a name that is not known."""
    try:
        found = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        return False
    return all(ipaddress.ip_address(str(place[0]).partition("%")[0]).is_loopback for *_, place in found)


def address_for_others(host: str, port: int) -> str | None:
    """The address by which other machines may reach a server that listens on ``host``; None where they cannot."""
    if is_loopback(host):
        return None
    plain = host.strip("[]")
    if plain in ("0.0.0.0", "::"):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(OUTSIDE)
                plain = probe.getsockname()[0]
            except OSError:  # no network
                plain = socket.gethostname()
    return f"http://[{plain}]:{port}/" if ":" in plain else f"http://{plain}:{port}/"


def own_middleware(origins: Sequence[str], frame: Frame) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """A lifespan that puts what stands around Gradio's server in place, before it answers anything.

    Gradio lets every web site read the answers of a page that is not on this machine, with the visitor's login; here
    no site may, but ``origins`` without a login of the browser's.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        gradios: Any = CustomCORSMiddleware
        kept = [each for each in app.user_middleware if each.cls is not gradios]
        inner = [Middleware(OwnHead, frame=frame)]  # inside of what compresses
        if origins:
            methods, headers = ["GET", "POST"], ["authorization", "content-type"]
            options: dict[str, Any] = {"allow_origins": [*origins], "allow_methods": methods, "allow_headers": headers}
            inner.append(Middleware(CORSMiddleware, **options))
        app.user_middleware = [*kept, *inner]
        app.middleware_stack = app.build_middleware_stack()
        yield

    return lifespan
