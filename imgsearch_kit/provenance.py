"""Checks that an index and an extractor belong together: names, specs, dimensions and probe pictures."""

from __future__ import annotations

import logging

import numpy as np

from imgsearch_kit.errors import IndexMismatch
from imgsearch_kit.records import ExtractorSpec, IndexPassport, Vectors

PROBE_COSINE = 0.9999
# Engines round int8 codes differently: at least .9999 between ONNX Runtime, its web build and OpenVINO, with and
# without VNNI; 8-bit weights, which overflow without it, gave .93 to .99.
PROBE_COSINE_INT8 = 0.999

log = logging.getLogger("imgsearch_kit")


def check_name(passport: IndexPassport, name: str | None) -> None:
    """Compares an extractor's name, if given, with that of a passport, if it has one.

    :raises IndexMismatch: when they differ.
    """
    if passport.spec is not None and name not in (None, passport.spec.name):
        raise _mismatch(passport.spec.name, f"name: {passport.spec.name} != {name}")


def check_dim(passport: IndexPassport, spec: ExtractorSpec) -> None:
    """Compares the dimension of an extractor's vectors with that of the vectors in an index.

    :raises IndexMismatch: when they differ.
    """
    if spec.dim != passport.extracted:
        raise IndexMismatch(
            f"The index holds {passport.extracted}-d vectors, but {spec.name} makes {spec.dim}-d ones. "
            "Give the extractor that made the index."
        )


def check_extractor(passport: IndexPassport, spec: ExtractorSpec) -> None:
    """Compares an extractor with the one that made an index, or only the dimensions where that one is unknown.

    :raises IndexMismatch: when they differ; the message has both values of each field.
    """
    if passport.spec is None:
        check_dim(passport, spec)
    elif differences := passport.spec.differences(spec):
        raise _mismatch(passport.spec.name, "; ".join(differences))


def _mismatch(name: str, differences: str) -> IndexMismatch:
    return IndexMismatch(
        f"This index was made by {name}; the extractor given differs from it ({differences}). "
        "Vectors of two extractors cannot be mixed: use the index's extractor and weights, give another --index, or "
        "extract all pictures again: imgsearch index FOLDER --rebuild"
    )


def check_probes(passport: IndexPassport, vectors: Vectors, *, force: bool = False) -> None:
    """Compares the vectors ``(2, dim)`` that an extractor makes of the two probe pictures with those of an index.

    An index without stored probes is not checked. With ``force`` a difference is logged instead of raised.

    :raises IndexMismatch: when a cosine is below 0.9999 (0.999 for an int8 extractor), because the network,
        preprocessing or a library has changed.
    """
    if not len(passport.probes):
        return
    cosine = float(np.einsum("nd,nd->n", vectors, passport.probes).min())
    least = PROBE_COSINE_INT8 if passport.spec and passport.spec.name.endswith("@int8") else PROBE_COSINE
    if cosine >= least:
        return
    message = (
        f"The probe pictures' vectors have cosine {cosine:.6f} with those stored in the index (at least "
        f"{least} is expected), so the extractor's results have changed since the index was made. "
        "Install the libraries shown by `imgsearch info`, index again, or search all the same: search or serve with "
        "--force, in Python Gallery.open(ADDRESS, force=True)."
    )
    if not force:
        raise IndexMismatch(message)
    log.warning(message)
