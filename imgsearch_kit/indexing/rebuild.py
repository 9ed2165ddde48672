"""An index made anew from its folders by another extractor or method, while the old one serves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from imgsearch_kit.errors import BadQuery, IndexingInterrupted, IndexMismatch
from imgsearch_kit.extractors import Extractor
from imgsearch_kit.extractors.base import probe_vectors
from imgsearch_kit.images import MAX_PIXELS, Found, find_images
from imgsearch_kit.index import Address, building, new_passport, open_index
from imgsearch_kit.index.base import VectorIndex, check_complete
from imgsearch_kit.indexing.folder import IndexReport, check_root, folder_label, index_folder


def rebuild_index_of(
    root: Path,
    address: str | Address,
    extractor: Extractor,
    *,
    found: Found | None = None,
    method: str | None = None,
    prefix: str = "",
    labels: Mapping[str, str | None] | None = None,
    prune: bool = False,
    moved_root: bool = False,
    max_pixels: int = MAX_PIXELS,
    progress: bool | None = None,
) -> IndexReport:
    """Extracts all pictures of an index anew, and puts the new index in its place once it is whole and checked.

    All folders of the index are read, that of ``prefix`` at ``root``. Labels that a person gave are carried over by id;
    those in ``labels`` (path below ``root`` to label) come first. Without ``method`` the index keeps its own. Until the
    end the old index serves as it is, and whatever goes wrong leaves it so.

    :raises IndexNotFound: when nothing is at ``address``.
    :raises IndexMismatch: when a ranking is baked in, a folder is another than the index was made from, pictures of the
        index are gone from it and ``prune`` does not say to leave them out, or the old index changed meanwhile.
    :raises BadQuery: when a folder cannot be read or holds no picture, or no picture could be indexed.
    :raises IndexingInterrupted: on Ctrl-C, with an empty report: nothing of the new index is kept.
    """
    where = Address.parse(address)
    with open_index(where) as old:
        old.check_replaceable()
        before = old.passport
        if before.baked:
            raise IndexMismatch(
                f"The index at {old.address} has {before.baked.spec} baked in, which was learned from another index. "
                f"Rebuild that one, and copy it again with --rank {before.baked.spec}"
            )
        if not moved_root:
            check_root(before.roots.get(prefix), root.resolve())
        folders = {**before.roots, prefix: str(root)}
        images = {
            each: found if found and each == prefix else find_images(Path(folder)) for each, folder in folders.items()
        }
        given, gone = _labels_and_gone(old, images)
    if gone and not prune:
        raise IndexMismatch(
            f"{len(gone)} pictures of the index at {old.address} are gone from their folder, the first of them "
            f"{gone[0]!r}, so they cannot be extracted anew. Bring the index up to date without --rebuild, or "
            "leave them out with --prune."
        )
    given[prefix] |= labels or {}
    passport = new_passport(extractor.spec, probes=probe_vectors(extractor), method=method or before.method)
    report = IndexReport(removed=len(gone))
    with building(where, passport, unchanged=before.generation) as new:
        for each, folder in folders.items():
            try:
                report += index_folder(
                    Path(folder),
                    new,
                    extractor,
                    found=images[each],
                    prefix=each,
                    labels=given[each],
                    max_pixels=max_pixels,
                    progress=progress,
                )
            except IndexingInterrupted:
                raise IndexingInterrupted(IndexReport()) from None
        if not report.added:
            raise BadQuery(f"None of the pictures could be indexed; the first: {report.failed[0].reason}")
        check_complete(new, report.added)
    return report


def _labels_and_gone(
    index: VectorIndex, found: Mapping[str, Found]
) -> tuple[dict[str, dict[str, str | None]], list[str]]:
    """By prefix, the labels that are not the folders' names by path below the folder; and the ids without a file."""
    records = {record.id: record for record in index.records()}
    given: dict[str, dict[str, str | None]] = {}
    for prefix, below in found.items():
        given[prefix] = {}
        for image in below.images:
            id_ = f"{prefix}/{image.id}" if prefix else image.id
            record = records.pop(id_, None)
            if record is not None and record.label != folder_label(id_, prefix):
                given[prefix][image.id] = record.label
    return given, sorted(records)
