"""The head of the page's HTML: the owner's title and description in the place of Gradio's."""

from __future__ import annotations

import re
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from imgsearch_kit.app.frame import Frame

GRADIOS = re.compile(rb'<title>.*?</title>|<meta\s+(property="og:|name="(twitter:|description"))[^>]*>', re.DOTALL)


class OwnHead:
    """Rewrites the head of the HTML at ``/``, and passes everything else."""

    def __init__(self, app: ASGIApp, frame: Frame):
        self.app, self.head = app, frame.head().encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or scope["path"] != "/":
            await self.app(scope, receive, send)
            return
        start: dict[str, Any] = {}
        body = b""

        async def rewritten(message: Message) -> None:
            nonlocal body
            if message["type"] == "http.response.start":
                start.update(message)
                return
            body += message.get("body", b"")
            if message.get("more_body"):
                return
            whole = GRADIOS.sub(b"", body).replace(b"<head>", b"<head>" + self.head, 1)
            MutableHeaders(scope=start)["content-length"] = str(len(whole))
            await send(start)
            await send({"type": "http.response.body", "body": whole})

        await self.app(scope, receive, rewritten)
