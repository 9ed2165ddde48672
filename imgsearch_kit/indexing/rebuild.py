"""Rebuilds an index from its folders with another extractor or method, while the old one keeps serving."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from imgsearch_kit.classes import check_level, folder_label
from imgsearch_kit.errors import BadQuery, IndexingInterrupted, IndexMismatch
from imgsearch_kit.extractors import Extractor
from imgsearch_kit.extractors.base import probe_vectors
from imgsearch_kit.images import MAX_PIXELS, Found, find_images
from imgsearch_kit.index import Address, building, new_passport, open_index
from imgsearch_kit.index.base import VectorIndex
from imgsearch_kit.index.stored import check_complete
from imgsearch_kit.indexing.folder import index_folder
from imgsearch_kit.indexing.labels import labels_by_id
from imgsearch_kit.indexing.loading import Load
from imgsearch_kit.indexing.report import IndexReport
from imgsearch_kit.indexing.roots import check_root, stored_prefix
from imgsearch_kit.names import Names


def rebuild_index_of(
    root: Path,
    address: str | Address,
    extractor: Extractor,
    *,
    found: Found | None = None,
    method: str | None = None,
    prefix: str = "",
    labels: Mapping[str, str | None] | None = None,
    label_level: int | None = None,
    prune: bool = False,
    moved_root: bool = False,
    load: Load | None = None,
    max_pixels: int = MAX_PIXELS,
    progress: bool | None = None,
) -> IndexReport:
    """Extracts all pictures of an index again, and replaces the index when the new one is complete and checked.

    All folders of the index are read, that of ``prefix`` at ``root``. Labels that the user gave are kept by id; those
    in ``labels`` (path below ``root`` to label) override them. ``label_level`` is that of ``prefix``. Without
    ``label_level`` and ``method`` the index keeps its own. Until the end the old index keeps serving, and an error
    leaves it unchanged.

    :raises IndexNotFound: when there is no index at ``address``.
    :raises IndexMismatch: when a ranking is baked in, the index was made from another folder, files of indexed pictures
        are missing and ``prune`` is not given, or the old index changed meanwhile.
    :raises BadQuery: when a folder cannot be read or has no picture, or no picture could be indexed.
    :raises IndexingInterrupted: on Ctrl-C, with an empty report: nothing of the new index is kept.
    """
    check_level(label_level)
    where = Address.parse(address)
    with open_index(where) as old:
        old.check_replaceable()
        before = old.passport
        if before.baked:
            raise IndexMismatch(
                f"The index at {old.address} has {before.baked.spec} baked in, which was learned from another index. "
                f"Rebuild that one, and copy it again with --rank {before.baked.spec}"
            )
        prefix = stored_prefix(before, prefix)
        if not moved_root:
            check_root(before.roots.get(prefix), root.resolve())
        folders = {**before.roots, prefix: str(root)}
        images = {
            each: found if found and each == prefix else find_images(Path(folder)) for each, folder in folders.items()
        }
        given, missing = _labels_and_missing(old, images)
    if missing and not prune:
        raise IndexMismatch(
            f"{len(missing)} pictures of the index at {old.address} are no longer in their folder, so they cannot be "
            f"extracted again; the first is {missing[0]!r}. Update the index without --rebuild, or use --prune "
            "to leave these pictures out."
        )
    given[prefix] |= labels_by_id(labels or {}, Names(image.id for image in images[prefix].images).fitting)
    levels = {each: before.levels_of(each)[-1] for each in folders} | ({prefix: label_level} if label_level else {})
    passport = new_passport(extractor.spec, probes=probe_vectors(extractor), method=method or before.method)
    if before.spec and before.spec.name == extractor.spec.name:  # a ranking suits one extractor
        passport = dataclasses.replace(passport, rank=before.rank)
    report = IndexReport(removed=len(missing))
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
                    label_level=levels[each],
                    load=load,
                    max_pixels=max_pixels,
                    prepare=False,  # its content moves to the file that is there
                    progress=progress,
                )
            except IndexingInterrupted:
                raise IndexingInterrupted(IndexReport()) from None
        if not report.added:
            raise BadQuery(
                f"None of the pictures could be indexed. The first failed because: {report.failed[0].reason}"
            )
        check_complete(new, report.added)
    if where.kind == "local" and passport.method != "exact":
        with open_index(where) as rebuilt:
            rebuilt.prepare(progress=progress)
    return report


def _labels_and_missing(
    index: VectorIndex, found: Mapping[str, Found]
) -> tuple[dict[str, dict[str, str | None]], list[str]]:
    """The labels that are not folder names, by prefix and by path below the folder; and the ids without a file."""
    records = {record.id: record for record in index.records()}
    given: dict[str, dict[str, str | None]] = {}
    levels_of = index.passport.levels_of
    for prefix, below in found.items():
        given[prefix] = {}
        for image in below.images:
            id_ = f"{prefix}/{image.id}" if prefix else image.id
            record = records.pop(id_, None)
            names = {folder_label(id_, prefix, level) for level in levels_of(prefix)}
            if record is not None and record.label not in names:
                given[prefix][image.id] = record.label
    return given, sorted(records)
