"""An index of some records of another one under names of their own, without a word on where they came from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.index import Address, building, new_passport
from imgsearch_kit.index.base import TAKEN_AT_ONCE, VectorIndex
from imgsearch_kit.records import ImageRecord, Vectors

PICTURES_FOLDER = "pictures"  # the folder that the new index names as its root, below the folder where it is opened


def vectors_of(source: VectorIndex, ids: Sequence[str]) -> Vectors:
    """The ``(n, dim)`` float32 vectors of some pictures, all of which are indexed, in id order.

    :raises BadQuery: when some are no longer in the index.
    """
    vectors = source.vectors(list(ids))
    check_still_indexed(len(ids), len(vectors))
    return vectors


def check_still_indexed(listed: int, found: int) -> None:
    """Checks that all pictures that were listed have been found; the rows of others would shift.

    :raises BadQuery: when they were not.
    """
    if found < listed:
        raise BadQuery(f"{listed - found:,} of {listed:,} pictures were removed from the index meanwhile. Pack again.")


def write_selected(source: VectorIndex, ids: Sequence[str], records: Sequence[ImageRecord], path: Path) -> None:
    """Writes the vectors of ``ids`` to a new local index, each under the record at the same place.

    The extractor, its probes and the default ranking are those of ``source``; folders and failures are left out.

    :raises BadQuery: when some are no longer in the index.
    :raises IndexUnwritable: when the file cannot be written.
    """
    passport = source.read_passport()
    new = new_passport(passport.spec, dim=passport.dim, probes=passport.probes, roots={"": PICTURES_FOLDER})
    with building(Address.parse(f"local:{path}"), new.amended(rank=passport.rank)) as made:
        for start in range(0, len(ids), TAKEN_AT_ONCE):
            some = slice(start, start + TAKEN_AT_ONCE)
            vectors = dict(zip(sorted(ids[some]), vectors_of(source, ids[some]), strict=True))
            ordered = [vectors[id_] for id_ in ids[some]]
            made.add(list(records[some]), np.stack(ordered))
        made.flush()
