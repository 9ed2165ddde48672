"""Downloads a file, and resumes where an earlier download stopped."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path

from imgsearch_kit.progress import progress_bar


def download(address: str, path: Path) -> None:
    """Downloads the file at an address to ``path``, with a bar; what is there already is resumed, not checked.

    :raises OSError: when the server cannot be reached or refuses, or the file cannot be written.
    :raises http.client.HTTPException: when the connection ends early.
    """
    have = path.stat().st_size if path.exists() else 0
    headers = {"User-Agent": "imgsearch-kit", "Range": f"bytes={have}-"}
    try:
        answer = urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=60)
    except urllib.error.HTTPError as error:
        if have and error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # the earlier download is complete
        raise
    with answer:
        if answer.status != HTTPStatus.PARTIAL_CONTENT:
            have = 0
        total = have + answer.length if answer.length is not None else None
        with (
            path.open("ab" if have else "wb") as file,
            progress_bar(path.stem, "B", total, initial=have, unit_scale=True) as bar,
        ):
            while block := answer.read(1 << 20):
                bar.update(file.write(block))
        if answer.length:
            raise http.client.IncompleteRead(b"", answer.length)
