"""The index of a folder at an address: made, brought up to date, or rebuilt."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imgsearch_kit.extractors import Extractor
from imgsearch_kit.extractors.weights import Say
from imgsearch_kit.images import MAX_PIXELS, find_images
from imgsearch_kit.index import Address, open_index
from imgsearch_kit.index.base import VectorIndex
from imgsearch_kit.indexing.folder import IndexReport, check_has_pictures, index_folder
from imgsearch_kit.indexing.labels import labels_of
from imgsearch_kit.indexing.open import extractor_to_rebuild, open_to_fill

Labels = Path | str | Mapping[str, str | None] | None


def index_at(
    address: str | Address,
    folder: Path,
    extractor: str | Extractor | None = None,
    *,
    weights: Path | None = None,
    method: str | None = None,
    rebuild: bool = False,
    labels: Labels = None,
    max_pixels: int = MAX_PIXELS,
    say: Say | None = None,
    **options: Any,
) -> tuple[VectorIndex, Extractor, IndexReport]:
    """The index at an address with the pictures of a folder in it, its extractor, and a report of what was done.

    ``rebuild`` extracts all pictures again while the old index keeps serving. The folder is searched once, before a
    network is loaded or an index is made. ``options`` are those of ``index_folder``.

    :raises BadQuery: when the folder has no picture.
    :raises IndexMismatch: when the index there was made by another extractor or method, or from another folder.
    """
    address = Address.parse(address)
    found = find_images(folder)
    check_has_pictures(found, folder)
    options |= {"found": found, "labels": None if labels is None else labels_of(labels), "max_pixels": max_pixels}
    if rebuild:
        from imgsearch_kit.indexing.rebuild import rebuild_index_of

        loaded = extractor_to_rebuild(address, extractor, weights, say=say)
        report = rebuild_index_of(folder, address, loaded, method=method, **options)
        return open_index(address), loaded, report
    index, loaded = open_to_fill(address, extractor, weights, method=method, say=say)
    try:
        return index, loaded, index_folder(folder, index, loaded, **options)
    except BaseException:
        index.close()
        raise
