"""The environment as Gradio sees it: without its own variables, and with no proxy between it and the page it starts."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.files import process_folder

UPLOADS = "GRADIO_TEMP_DIR"
KEPT_VARIABLES = ("GRADIO_ROOT_PATH",)  # where a reverse proxy has put the page; it opens nothing


def uploads_folder() -> Path:
    """The folder of this process's uploads, which only this user can read.

    :raises KitError: when no temporary folder can be written.
    """
    folder = process_folder() / "uploads"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


@contextmanager
def sheltered(host: str = "", *, past_all: bool = True) -> Iterator[None]:
    """The environment in which Gradio is imported, and a page is built and launched on ``host``; then it is as before.

    Gradio's own variables are hidden, because they can serve folders, let visitors edit the page's program, or stop the
    start with a word that is no number. Its folder for uploads is the kit's own, and stays so, because Gradio asks at
    every upload. Gradio asks its new page for a sign of life: past all proxies, or with ``past_all`` False only past
    those on the way to ``host``.

    :raises KitError: when no temporary folder can be written.
    """
    uploads = str(uploads_folder())
    changes: dict[str, str | None] = {name: None for name in os.environ if name.startswith("GRADIO_")}
    changes = {name: value for name, value in changes.items() if name not in KEPT_VARIABLES} | _direct(host, past_all)
    before = {name: os.environ.get(name) for name in changes}
    routes = sys.modules.get("gradio.routes")
    if routes:  # somebody imported Gradio earlier, and it took the folder of then
        routes.DEFAULT_TEMP_DIR = uploads  # type: ignore[attr-defined]
    _set(changes | {UPLOADS: uploads})
    try:
        yield
    finally:
        _set(before | {UPLOADS: uploads})


def check_proxies() -> None:
    """Checks that HTTPX can use the proxies and certificates in the environment, by which Gradio makes a public link.

    :raises BadQuery: when it cannot; the message does not repeat them, because a proxy's address may hold a password.
    """
    import httpx

    try:
        httpx.Client().close()
    except (ImportError, OSError, ValueError, httpx.InvalidURL):
        raise BadQuery(
            "A public link cannot be made: a proxy or certificate in HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, SSL_CERT_FILE "
            "or SSL_CERT_DIR cannot be used. Correct them (SOCKS needs: python -m pip install 'httpx[socks]'), or "
            "unset them."
        ) from None


def _direct(host: str, past_all: bool) -> dict[str, str | None]:
    """The variables that let HTTPX reach ``host`` without a proxy.

    HTTPX prepares every proxy it finds, also one it will not use; with "*" it looks for none.
    """
    if past_all:
        return {"NO_PROXY": "*", "no_proxy": "*", "SSL_CERT_FILE": None, "SSL_CERT_DIR": None}
    spared = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    spared = ",".join(filter(None, [spared, host]))
    return {"NO_PROXY": spared, "no_proxy": spared}


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
