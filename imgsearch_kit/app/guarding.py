"""What stands before every route of ``rest``: the login, a limit of requests at once, and errors in words."""

from __future__ import annotations

import base64
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from imgsearch_kit.errors import BadQuery, IndexNotFound, KitError, ServerUnavailable, UnreadableImage, WeightsNotFound

log = logging.getLogger("imgsearch_kit")

MAX_BODY = 33 << 20  # bytes of one request: a picture of 32 MB, and what stands around it
WAITING = 64  # requests or events that wait; further ones are refused, so that they cannot fill memory and disk
VALUE_SHOWN = 60  # characters of a wrong value that its refusal repeats
PICTURE_MISSING = "No picture came. Send it as the file `image` of a multipart form."
OWNERS: dict[type[KitError], str] = {  # what the owner of the page can mend
    IndexNotFound: "The index is gone: it was deleted or moved while this page was served.",
    ServerUnavailable: "The server of the index does not answer now. Search again in a moment.",
    WeightsNotFound: "New pictures cannot be searched for here, only indexed ones: the network's weights are missing.",
}
OTHERWISE = "The index cannot answer now; the log of this server says why."

Handler = Callable[[Request], Awaitable[Response]]


class Guard:
    """Answers requests about the index at ``address``, which no answer names.

    ``auth``, a name and a password, is asked for before a body is read.
    """

    def __init__(self, address: str, auth: tuple[str, str] | None = None):
        self.address, self.auth = address, auth
        self._requests = 0

    def route_class(self) -> type[APIRoute]:
        """The class of routes behind this guard, for ``APIRouter``: no route of the router can be without it."""
        guard = self

        class Guarded(APIRoute):
            def get_route_handler(self) -> Any:
                handler = super().get_route_handler()

                async def guarded(request: Request) -> Response:
                    return await guard.answer(request, handler)

                return guarded

        return Guarded

    async def answer(self, request: Request, handler: Handler) -> Response:
        """The handler's response, or a refusal: ``{"detail": "a sentence"}`` with its status."""
        if self.auth and not (self._logged_in(request) or self._named_in(request)):
            words = "Give the name and the password of this page, as HTTP Basic authentication."
            raise HTTPException(401, words, {"WWW-Authenticate": 'Basic realm="imgsearch", charset="UTF-8"'})
        try:
            with self._place():
                return await handler(request)
        except RequestValidationError as error:
            wrong = error.errors()
            if any(each["loc"][-1] == "image" for each in wrong):
                return _refusal(400, PICTURE_MISSING)
            return _refusal(422, _wrong(wrong[0]))
        except KitError as error:
            return _refusal(*told(error, self.address))

    def _named_in(self, request: Request) -> bool:
        """Whether the request has the login in its head; Starlette's own class reads ASCII passwords only."""
        scheme, _, coded = request.headers.get("authorization", "").partition(" ")
        try:
            given = base64.b64decode(coded, validate=True) if scheme.lower() == "basic" else b""
        except ValueError:  # not base64, not ASCII
            return False
        return secrets.compare_digest(given, ":".join(self.auth or ()).encode())

    @staticmethod
    def _logged_in(request: Request) -> bool:
        """Whether the browser has logged in to the page; other sites' scripts may not use that."""
        if request.headers.get("sec-fetch-site") == "cross-site":
            return False
        names = [f"access-token-{request.app.cookie_id}", f"access-token-unsecure-{request.app.cookie_id}"]
        return any(request.cookies.get(name) in request.app.tokens for name in names)

    @contextmanager
    def _place(self) -> Iterator[None]:
        if self._requests >= WAITING:
            raise HTTPException(503, "Too many searches wait. Try again in a few seconds.", {"Retry-After": "5"})
        self._requests += 1  # one event loop runs all requests
        try:
            yield
        finally:
            self._requests -= 1


def told(error: KitError, address: str) -> tuple[int, str]:
    """The status and the sentence that a visitor gets for an error; what only the owner can mend goes to the log.

    ``address`` is that of the index, which may name a folder of this machine.
    """
    if isinstance(error, UnreadableImage):
        return 415, str(error).partition("; raise max_pixels")[0]
    if isinstance(error, BadQuery) and address not in str(error):
        return 422, str(error)
    log.warning("A request could not be answered: %s", error)
    return 503, next((words for kind, words in OWNERS.items() if isinstance(error, kind)), OTHERWISE)


def _refusal(status: int, words: str) -> Response:
    return JSONResponse({"detail": words}, status)


def _wrong(error: dict[str, Any]) -> str:
    """A sentence on one argument that does not fit the description of its route."""
    name, given = ".".join(map(str, error["loc"][1:])) or "The request", error.get("input")
    shown = repr(given)
    shown = shown if len(shown) <= VALUE_SHOWN else f"{shown[:VALUE_SHOWN]} ..."
    return f"{name}: {error['msg']}" + ("." if given is None else f"; it is {shown}.")
