"""Rankings baked into an index: the vectors of such a copy, and extractors that apply the ranking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from imgsearch_kit.errors import BadQuery, IndexMismatch
from imgsearch_kit.index.base import TAKEN_AT_ONCE, VectorIndex
from imgsearch_kit.ranking.baked import Learned, bake, bakeable
from imgsearch_kit.records import BakedRank, ExtractorSpec, ImageRecord, Pixels, Vectors

if TYPE_CHECKING:
    from imgsearch_kit.extractors import Extractor


class RankedContent:
    """The records of an index with the ``dim``-d vectors that a rank SPEC makes of their vectors.

    Learning needs memory for the vectors before and after; ``rca`` needs a few times as much.
    """

    def __init__(self, index: VectorIndex, rank: str):
        """Learns the ranking.

        :raises BadQuery: when a step cannot be baked, the vectors do not allow it, or a ranking is baked in already.
        """
        bakeable(rank)
        passport = index.passport
        if passport.baked:
            raise BadQuery(
                f"The index at {index.address} has {passport.baked.spec} baked in already. "
                "Copy the index it was learned from with both rankings in one: --rank SPEC,SPEC"
            )
        self._records = index.records()
        if not self._records:
            raise BadQuery(
                f"The index at {index.address} is empty, so {rank} cannot be learned from it. Add pictures first."
            )
        self.baked = BakedRank(rank, passport.uuid, passport.generation, len(self._records), passport.dim)
        learned, self._vectors = bake(self.baked, _vectors(index, self._records))
        self._learned = learned.to_bytes()
        self.dim = self._vectors.shape[1]
        self._row = {record.id: row for row, record in enumerate(self._records)}

    def __len__(self) -> int:
        return len(self._records)

    def records(self, ids: Sequence[str] | None = None) -> list[ImageRecord]:
        """As ``VectorIndex.records``."""
        return self._records if ids is None else [self._records[row] for row in self._rows(ids)]

    def vectors(self, ids: Sequence[str] | None = None) -> Vectors:
        """As ``VectorIndex.vectors``."""
        return self._vectors if ids is None else self._vectors[self._rows(ids)]

    def learned(self) -> bytes:
        """As ``VectorIndex.learned``."""
        return self._learned

    def _rows(self, ids: Sequence[str]) -> list[int]:
        return sorted(self._row[id_] for id_ in ids)


def _vectors(index: VectorIndex, records: Sequence[ImageRecord]) -> Vectors:
    """All vectors, read in batches, because an index that returns all at once may keep a copy of them."""
    vectors = np.empty((len(records), index.passport.dim), np.float32)
    for start in range(0, len(records), TAKEN_AT_ONCE):
        found = index.vectors([record.id for record in records[start : start + TAKEN_AT_ONCE]])
        if len(found) != len(vectors[start : start + TAKEN_AT_ONCE]):
            raise IndexMismatch(f"The index at {index.address} changed while it was read; copy again.")
        vectors[start : start + TAKEN_AT_ONCE] = found
    return vectors


class Projected:
    """An extractor (``own``) followed by a baked ranking; the spec is that of the extractor alone."""

    def __init__(self, own: Extractor, learned: Learned):
        self.own, self._learned = own, learned

    @property
    def spec(self) -> ExtractorSpec:
        """The spec of the extractor alone; its ``dim`` is not that of the vectors made here."""
        return self.own.spec

    def extract(self, pixels: Pixels) -> Vectors:
        """The unit vectors of pixels in the ranked space: ``(n, dims)``."""
        return self._learned.project(self.own.extract(pixels))


def projected(index: VectorIndex, extractor: Extractor) -> Extractor:
    """The extractor for an index: followed by its baked ranking, if it has one.

    :raises IndexDamaged: when what the ranking has learned is missing.
    """
    baked = None if isinstance(extractor, Projected) else index.passport.baked
    learned = Learned.of(baked, index.learned(), index.address) if baked else None
    return extractor if learned is None else Projected(extractor, learned)
