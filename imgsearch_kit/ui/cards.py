"""Pictures as the plain values that the grid draws, wherever it stands."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

from imgsearch_kit.reports import data_uri, visible

DRAWING_THREADS = 4  # a new thumbnail must be decoded first, and decoding releases the interpreter lock


def data_uris(picture: Callable[[str], Path], ids: Iterable[str]) -> dict[str, str]:
    """The pictures of several ids by id, made in parallel.

    They are part of the answer, so no folder of the machine is served and no path is shown.
    """
    wanted = list(dict.fromkeys(ids))
    with ThreadPoolExecutor(DRAWING_THREADS) as pool:
        return dict(zip(wanted, pool.map(lambda id_: data_uri(picture, id_), wanted), strict=True))


def card(id: str, label: str | None, thumbnail: str) -> dict[str, Any]:  # noqa: A002 (the field's name)
    """A picture to click: its exact ``id``, what people read of it, and its thumbnail as a data URI or ""."""
    shown = {"name": visible(id), "label": visible(label) if label else None, "file": visible(PurePosixPath(id).name)}
    return {"id": id, **shown, "thumbnail": thumbnail}
