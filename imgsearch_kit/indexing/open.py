"""Opens or makes an index to be filled with the pictures of a folder, and the extractor that fills it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgsearch_kit.classes import check_level
from imgsearch_kit.errors import IndexMismatch, IndexNotFound
from imgsearch_kit.extractors import Extractor
from imgsearch_kit.extractors.base import DEFAULT_PRESET, probe_vectors
from imgsearch_kit.extractors.loading import preset_dim
from imgsearch_kit.extractors.weights import Say
from imgsearch_kit.images import MAX_PIXELS, find_images
from imgsearch_kit.index import Address, check_creatable, create_index, new_passport, open_index
from imgsearch_kit.index.base import VectorIndex
from imgsearch_kit.indexing.baked import projected
from imgsearch_kit.indexing.extractor import Deferred, check_computes, extractor_of, load_named, sendable
from imgsearch_kit.provenance import check_name

if TYPE_CHECKING:
    from imgsearch_kit.indexing.report import IndexReport

Labels = Path | str | Mapping[str, str | None] | None


def index_at(
    address: str | Address,
    folder: Path,
    extractor: str | Extractor | None = None,
    *,
    weights: Path | None = None,
    engine: str | None = None,
    method: str | None = None,
    rebuild: bool = False,
    part: str | None = None,
    fetch: bool = False,
    labels: Labels = None,
    ray: str | None = None,
    max_pixels: int = MAX_PIXELS,
    say: Say | None = None,
    **options: Any,
) -> tuple[VectorIndex, Extractor | None, IndexReport]:
    """The index at an address with the pictures of a folder in it, its extractor if it was loaded, and what was done.

    ``rebuild`` extracts all anew while the old index keeps serving. ``part`` and ``options`` are those of
    ``index_folder``, ``ray`` is the address of a cluster that extracts (see ``over_ray``). The folder is walked once,
    before a network is loaded or an index made.

    :raises BadQuery: when the folder holds no picture.
    :raises IndexMismatch: when an index is there that was made by another extractor or method, or of another folder.
    """
    address = Address.parse(address)
    from imgsearch_kit.indexing.folder import index_folder
    from imgsearch_kit.indexing.labels import labels_of
    from imgsearch_kit.indexing.on_ray import check_ray, over_ray
    from imgsearch_kit.indexing.parts import part_given
    from imgsearch_kit.indexing.roots import check_has_pictures

    check_level(options.get("label_level"))
    part_given(part, prune=options.get("prune", False), rebuild=rebuild)
    if ray is not None:
        check_ray(ray)
    found = find_images(folder)
    check_has_pictures(found, folder)
    options |= {"found": found, "labels": None if labels is None else labels_of(labels), "max_pixels": max_pixels}
    if rebuild:
        from imgsearch_kit.indexing.rebuild import rebuild_index_of

        other = extractor_to_rebuild(address, extractor, weights, engine=engine, fetch=fetch, say=say)
        if ray is not None:
            passport = new_passport(other.spec, probes=probe_vectors(other))
            options["load"] = over_ray(ray, sendable(passport, extractor, other, weights, engine, fetch), max_pixels)
        report = rebuild_index_of(folder, address, other, method=method, **options)
        return open_index(address), other, report
    index, used = open_to_fill(address, extractor, weights, engine=engine, method=method, fetch=fetch, say=say)
    try:
        if ray is not None:
            sent = sendable(index.passport, extractor, used, weights, engine, fetch)
            options["load"] = over_ray(ray, sent, max_pixels)
        report = index_folder(folder, index, used, part=part, **options)
        loaded = used.loaded if isinstance(used, Deferred) else used
        return index, projected(index, loaded) if loaded and index.passport.baked else loaded, report
    except BaseException:
        index.close()
        raise


def open_to_fill(
    address: str | Address,
    extractor: str | Extractor | None = None,
    weights: Path | None = None,
    *,
    engine: str | None = None,
    method: str | None = None,
    fetch: bool = False,
    say: Say | None = None,
) -> tuple[VectorIndex, Extractor]:
    """The index at an address, created if there is none, and the extractor that fills it.

    ``extractor`` (a name or an object) and ``method`` may be left out: an existing index keeps its own, a new one
    gets ``vgg16-rmac`` and is exact.

    The extractor of an existing index is loaded at its first use.

    :raises IndexMismatch: when the index has another method, or was made by another extractor.
    """
    try:
        index = open_index(address)
    except IndexNotFound:
        try:
            return _new(address, extractor, weights, engine, method, fetch, say)
        except IndexMismatch:  # another process may have made one meanwhile
            index = open_index(address)
    try:
        if method not in (None, index.passport.method):
            raise IndexMismatch(
                f"The index at {index.address} has the method {index.passport.method}, not {method}. "
                "Leave --method out, or copy the index: imgsearch copy FROM TO --method SPEC"
            )
        index.check_writable()
        if index.passport.spec and not index.declared and (extractor is None or isinstance(extractor, str)):
            check_name(index.passport, extractor)
            return index, Deferred(index.passport, weights, engine, say, fetch)
        found = extractor_of(index, extractor, weights, engine=engine, say=say)
        check_computes(index, found)
    except BaseException:
        index.close()
        raise
    return index, found


def _new(
    address: str | Address,
    extractor: str | Extractor | None,
    weights: Path | None,
    engine: str | None,
    method: str | None,
    fetch: bool,
    say: Say | None,
) -> tuple[VectorIndex, Extractor]:
    """A new index, and the extractor that fills it.

    :raises IndexMismatch: when there is one.
    """
    if extractor is None or isinstance(extractor, str):
        name = extractor or DEFAULT_PRESET
        if dim := preset_dim(name):
            check_creatable(address, method or "exact", dim)  # before weights are loaded, or even downloaded
        extractor = load_named(name, weights, engine, say, fetch)
    passport = new_passport(extractor.spec, probes=probe_vectors(extractor), method=method or "exact")
    return create_index(address, passport), extractor


def extractor_to_rebuild(
    address: str | Address,
    extractor: str | Extractor | None = None,
    weights: Path | None = None,
    *,
    engine: str | None = None,
    fetch: bool = False,
    say: Say | None = None,
) -> Extractor:
    """The extractor for a rebuild: the one given, else that of the index's passport, else ``vgg16-rmac``.

    :raises IndexNotFound: when there is no index at ``address``.
    """
    if extractor is not None and not isinstance(extractor, str):
        return extractor
    with open_index(address) as index:
        index.check_replaceable()
        spec = index.passport.spec
    return load_named(extractor or (spec.name if spec else DEFAULT_PRESET), weights, engine, say, fetch)
