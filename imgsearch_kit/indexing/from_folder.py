"""A folder and an address to an index of its pictures: made, brought up to date, or built anew."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imgsearch_kit.extractors import Extractor
from imgsearch_kit.extractors.weights import Say
from imgsearch_kit.images import MAX_PIXELS, find_images
from imgsearch_kit.index import Address, open_index
from imgsearch_kit.index.base import VectorIndex
from imgsearch_kit.indexing.baked import projected
from imgsearch_kit.indexing.folder import IndexReport, check_has_pictures, index_folder
from imgsearch_kit.indexing.labels import labels_of
from imgsearch_kit.indexing.open import Deferred, extractor_to_rebuild, open_to_fill

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
) -> tuple[VectorIndex, Extractor | None, IndexReport]:
    """The index at an address with the pictures of a folder in it, its extractor if it was loaded, and what was done.

    ``rebuild`` extracts all anew while the old index keeps serving. The folder is walked once, before a network is
    loaded or an index made. ``options`` are those of ``index_folder``.

    :raises BadQuery: when the folder holds no picture.
    :raises IndexMismatch: when an index is there that was made by another extractor or method, or of another folder.
    """
    address = Address.parse(address)
    found = find_images(folder)
    check_has_pictures(found, folder)
    options |= {"found": found, "labels": None if labels is None else labels_of(labels), "max_pixels": max_pixels}
    if rebuild:
        from imgsearch_kit.indexing.rebuild import rebuild_index_of

        other = extractor_to_rebuild(address, extractor, weights, say=say)
        report = rebuild_index_of(folder, address, other, method=method, **options)
        return open_index(address), other, report
    index, used = open_to_fill(address, extractor, weights, method=method, say=say)
    try:
        report = index_folder(folder, index, used, **options)
        loaded = used.loaded if isinstance(used, Deferred) else used
        return index, loaded and projected(index, loaded), report
    except BaseException:
        index.close()
        raise
