"""The page as a program starts it that has no command line: by the environment, as hosted Spaces want it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from imgsearch_kit.errors import KitError
from imgsearch_kit.files import take_artefacts
from imgsearch_kit.gallery import Gallery


def serve_hosted(gallery: Callable[[], Gallery], *, artefacts: Path | None = None, **options: Any) -> None:
    """Serves the gallery that the function opens until the program is stopped; ``options`` are those of ``serve``.

    ``artefacts`` is a folder of what was learned of the index when it was packed, if there is one.

    The port is $GRADIO_SERVER_PORT, else 7860, the login $IMGSEARCH_AUTH as USER:PASS, and $IMGSEARCH_ADD_BELOW the
    folder below which pictures may be added. A Space (with $SPACE_ID) is
    reached through its own proxy by everybody who may see it; elsewhere the page is for this machine only. What cannot
    be done ends the program with a sentence.
    """
    chosen, auth = _port(), _login()
    hosted = "SPACE_ID" in os.environ
    host = "0.0.0.0" if hosted else "127.0.0.1"
    try:
        below = os.environ.get("IMGSEARCH_ADD_BELOW") or None
        ways: dict[str, Any] = {"host": host, "port": chosen, "auth": auth, "open": hosted, "add_below": below}
        opened = gallery()
        if artefacts is not None and artefacts.is_dir():
            take_artefacts(opened.passport, artefacts)
        page = opened.serve(block=False, **ways | options)
    except KitError as error:
        sys.exit(str(error))
    sys.stdout.write(f"The page is at {page.url}\n")
    sys.stdout.flush()
    page.wait()


def _port() -> int:
    given = os.environ.get("GRADIO_SERVER_PORT") or "7860"
    if not given.isdecimal() or not 1 <= int(given) <= 65535:
        sys.exit(f"GRADIO_SERVER_PORT must be a port from 1 to 65535; it is {given!r}.")
    return int(given)


def _login() -> tuple[str, str] | None:
    given = os.environ.get("IMGSEARCH_AUTH")
    if not given:
        return None
    name, colon, password = given.partition(":")
    if not (name and colon and password):
        sys.exit("IMGSEARCH_AUTH must be USER:PASS.")
    return name, password
