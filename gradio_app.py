"""The page for `python gradio_app.py` and hosted Spaces: over the index in $IMGSEARCH_INDEX, else sample pictures."""

import os
import sys
from pathlib import Path

from imgsearch_kit import Gallery, KitError
from imgsearch_kit.demo import sample_gallery


def gallery() -> Gallery:
    """Over the index the environment names, else over the sample pictures, indexed now if they are not yet."""
    if address := os.environ.get("IMGSEARCH_INDEX"):
        return Gallery.open(address)
    return sample_gallery(Path("demo"), print)


def port() -> int:
    """The port in $GRADIO_SERVER_PORT, else 7860."""
    given = os.environ.get("GRADIO_SERVER_PORT") or "7860"
    if not given.isdecimal() or not 1 <= int(given) <= 65535:
        sys.exit(f"GRADIO_SERVER_PORT must be a port from 1 to 65535; it is {given!r}.")
    return int(given)


def login() -> tuple[str, str] | None:
    """The name and the password in $IMGSEARCH_AUTH, as USER:PASS; None where it is not set."""
    given = os.environ.get("IMGSEARCH_AUTH")
    if not given:
        return None
    name, colon, password = given.partition(":")
    if not (name and colon and password):
        sys.exit("IMGSEARCH_AUTH must be USER:PASS.")
    return name, password


if __name__ == "__main__":
    chosen, auth = port(), login()
    hosted = "SPACE_ID" in os.environ  # a Space is reached through its own proxy, by everybody who may see it
    try:
        host = "0.0.0.0" if hosted else "127.0.0.1"
        below = os.environ.get("IMGSEARCH_ADD_BELOW") or None
        page = gallery().serve(host=host, port=chosen, auth=auth, open=hosted, add_below=below, block=False)
    except KitError as error:
        sys.exit(str(error))
    print(f"The page is at {page.url}", flush=True)
    page.wait()
