"""The head of the page's HTML: the owner's title, description and picture in the place of Gradio's."""

from __future__ import annotations

import re
from typing import Any

import httpx
from fastapi import Request
from gradio.route_utils import get_root_url
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from imgsearch_kit.app.frame import Frame

INDEX_PICTURE = "/index.png"
GRADIOS = re.compile(rb'<title>.*?</title>|<meta\s+(property="og:|name="(twitter:|description"))[^>]*>', re.DOTALL)


class OwnHead:
    """Rewrites the head of the HTML at ``/``, and passes everything else.

    Without a login the head names a picture of the index, by the whole address that other sites need.
    """

    def __init__(self, app: ASGIApp, frame: Frame):
        self.app, self.frame = app, frame

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or scope["path"] != "/":
            await self.app(scope, receive, send)
            return
        start: dict[str, Any] = {}
        body, head = b"", self.frame.head("" if self.frame.login else _picture(scope)).encode()

        async def rewritten(message: Message) -> None:
            nonlocal body
            if message["type"] == "http.response.start":
                start.update(message)
                return
            body += message.get("body", b"")
            if message.get("more_body"):
                return
            whole = GRADIOS.sub(b"", body).replace(b"<head>", b"<head>" + head, 1)
            MutableHeaders(scope=start)["content-length"] = str(len(whole))
            await send(start)
            await send({"type": "http.response.body", "body": whole})

        await self.app(scope, receive, rewritten)


def _picture(scope: Scope) -> str:
    """The address of the picture, as the request reached the page; "" where the request names no host."""
    try:
        return f"{get_root_url(Request(scope), '/', getattr(scope.get('app'), 'root_path', ''))}{INDEX_PICTURE}"
    except (ValueError, httpx.InvalidURL):
        return ""
