"""Caches what a ranking has learned, so that later processes do not learn it again."""

from __future__ import annotations

import hashlib

import numpy as np

from imgsearch_kit.files import artefact
from imgsearch_kit.ranking.chain import Ranking
from imgsearch_kit.records import IndexPassport, Vectors

OWN_ROWS = 8  # a query's own rows that database augmentation replaces exactly, where no more are needed


def kept_ranking(passport: IndexPassport, spec: str, gallery: Vectors, *, spare: int = OWN_ROWS) -> Ranking:
    """A rank SPEC over ``(n, d)`` vectors of an index, of all its records or of some: from the cache, else learned.

    The key includes the vectors, so the same records of the same generation get the same ranking. Queries may have up
    to ``spare`` own rows, at least eight.

    :raises BadQuery: when the SPEC is wrong, or the vectors do not allow it.
    """
    spare = max(spare, OWN_ROWS)
    digest = hashlib.blake2b(np.ascontiguousarray(gallery).reshape(-1).data, digest_size=16)
    return artefact(
        passport,
        "ranking.npz",
        {"spec": spec, "spare": spare, "vectors": digest.hexdigest()},
        lambda: Ranking.fit(spec, gallery, spare=spare),
        Ranking.save,
        lambda path: Ranking.load(path, spec, gallery),
    )
