"""An index of some records of another one under names of their own, without a word on where they came from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from imgsearch_kit.index import Address, building, new_passport
from imgsearch_kit.index.base import TAKEN_AT_ONCE, VectorIndex
from imgsearch_kit.records import ImageRecord

PICTURES_FOLDER = "pictures"  # the folder that the new index names as its root, below the folder where it is opened


def write_selected(source: VectorIndex, ids: Sequence[str], records: Sequence[ImageRecord], path: Path) -> None:
    """Writes the vectors of ``ids`` to a new local index, each under the record at the same place.

    The extractor, its probes and the default ranking are those of ``source``; folders and failures are left out.

    :raises IndexUnwritable: when the file cannot be written.
    """
    passport = source.read_passport()
    new = new_passport(passport.spec, dim=passport.dim, probes=passport.probes, roots={"": PICTURES_FOLDER})
    with building(Address.parse(f"local:{path}"), new.amended(rank=passport.rank)) as made:
        for start in range(0, len(ids), TAKEN_AT_ONCE):
            some = slice(start, start + TAKEN_AT_ONCE)
            vectors = dict(zip(sorted(ids[some]), source.vectors(list(ids[some])), strict=True))
            ordered = [vectors[id_] for id_ in ids[some]]
            made.add(list(records[some]), np.stack(ordered))
        made.flush()
