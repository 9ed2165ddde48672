"""Search of an index with a ranking, which is learned once from all its vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array

from imgsearch_kit.index.base import VectorIndex
from imgsearch_kit.ranking.chain import kept_ranking
from imgsearch_kit.records import Approx, Neighbours, Vectors
from imgsearch_kit.vectors import first

NOT_APPROXIMATE = "The ranking {rank} compares the query with every picture, so the answer is exact, not approximate."


class RankedGallery:
    """All records of an index in one generation, under a rank SPEC; threads may share it."""

    def __init__(self, index: VectorIndex, rank: str):
        """Learns the ranking, or loads it from the cache.

        :raises BadQuery: when the SPEC is wrong, or the vectors do not allow it.
        """
        passport = index.read_passport()
        self.generation = passport.generation
        self.rank = rank
        records, vectors = index.entries()
        self._records = {record.id: record for record in records}
        self._ids = np.array([record.id for record in records], dtype=object)
        self._labels = np.array([record.label for record in records], dtype=object)
        self._ranking = kept_ranking(passport, rank, vectors)

    def search(
        self,
        vector: Vectors,
        k: int,
        labels: Sequence[str] | None,
        own: Sequence[str],
        *,
        exclude: Sequence[str] = (),
        approx: Approx | None = None,
    ) -> Neighbours:
        """The ``k`` best records for one query ``(1, dim)``, without those of ``own``: ``(1, k)`` by (-score, id).

        ``own`` are the query itself, ``exclude`` further records that are left out and no part of it.

        Scores are cosines of the ranked vectors, or 1 minus the distance after ``krecip``. A ranking is exact; with
        ``approx`` the note says that it was not used.
        """
        mine = np.isin(self._ids, list(own))
        scores = self._ranking.scores(vector, csr_array(mine[None]))[0]
        allowed = ~mine & ~np.isin(self._ids, list(exclude))
        if labels is not None:
            allowed &= np.isin(self._labels, list(labels))
        columns, best = first(np.where(allowed, scores, -np.inf)[None], k)
        there = np.isfinite(best)  # rows are in id order, so ties go by id
        ids = self._ids[columns[there]]
        return Neighbours(
            ids[None].astype(str),
            best[there][None],
            f"exact, then {self.rank}",
            NOT_APPROXIMATE.format(rank=self.rank) if approx else "",
            {id_: self._records[id_] for id_ in ids},
        )
