"""A small HTTP proxy that passes requests on to a server, or answers in its place: with faults, or from a recording."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    body: bytes


@dataclass(frozen=True)
class Reply:
    """What the proxy answers; ``mark`` is Elasticsearch's own header, by which the client knows it."""

    status: int = 200
    body: bytes = b""
    kind: str = "application/json"
    mark: bool = True


class Cut(Exception):
    """Raised in place of an answer, it closes the connection."""


def pass_on(request: Request) -> None:
    """No answer of the proxy's own."""


class Proxy:
    """Listens on loopback while entered. ``answer`` is asked first; where it says None, ``upstream`` answers.

    ``seen`` holds the requests in their order. With ``certificate`` (a PEM file with its key) it speaks TLS.
    """

    def __init__(self, upstream: str = "", *, certificate: Path | None = None):
        self.answer: Callable[[Request], Reply | None] = pass_on
        self.seen: list[Request] = []
        self._upstream = urlsplit(upstream)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self._server.server_port}"

    def forward(self, request: Request) -> Reply:
        """The upstream's answer."""
        connection = http.client.HTTPConnection(self._upstream.hostname or "", self._upstream.port, timeout=120)
        try:
            kind = "application/x-ndjson" if request.path.partition("?")[0].endswith(("_bulk", "_msearch")) else ""
            headers = {"content-type": kind or "application/json"} if request.body else {}
            connection.request(request.method, request.path, request.body or None, headers)
            response = connection.getresponse()
            return Reply(response.status, response.read(), response.headers.get("content-type", "application/json"))
        finally:
            connection.close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # else each answer waits 40 ms between its head and its body

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                request = Request(self.command, self.path, body)
                proxy.seen.append(request)
                try:
                    reply = proxy.answer(request) or proxy.forward(request)
                except Cut:
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                try:
                    self._say(reply)
                except ConnectionError:  # who asked has stopped waiting
                    self.close_connection = True

            def _say(self, reply: Reply) -> None:
                self.send_response(reply.status)
                self.send_header("content-type", reply.kind)
                self.send_header("content-length", str(len(reply.body)))
                if reply.mark:
                    self.send_header("x-elastic-product", "Elasticsearch")
                self.end_headers()
                self.wfile.write(reply.body)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve  # noqa: N815

            def log_message(self, *args: object) -> None:
                pass

        return Handler

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
