"""The steps of a ranking, learned on one gallery, kept in the cache, and applied to its queries."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from imgsearch_kit.files import artefact
from imgsearch_kit.ranking.queries import Asked
from imgsearch_kit.ranking.spec import parse_rank
from imgsearch_kit.ranking.step import Fitted
from imgsearch_kit.records import IndexPassport, Vectors
from imgsearch_kit.vectors import Scores

OWN_ROWS = 8  # a query's own rows that database augmentation replaces exactly, where no more are needed


@dataclass(frozen=True)
class Ranking:
    """A rank SPEC for one gallery, learned from the gallery's vectors alone, without queries or labels.

    A query's own gallery rows (itself, its copies) have limited influence: PCA and RCA were learned with them, among
    all rows. Augmented sums that contain them are replaced, for this query, by the sums without them (exactly for up to
    ``spare`` own rows, one by default). Expansion skips them. In k-reciprocal sets they represent the query itself;
    the sets of rows after ``dba`` are those of the plain sums.
    """

    gallery: Vectors
    steps: tuple[Fitted, ...]

    @classmethod
    def fit(cls, spec: str, gallery: Vectors, *, spare: int = 1) -> Ranking:
        """Learns each step on the gallery ``(n, d)`` as the step before left it.

        :raises BadQuery: when the spec is wrong, or the gallery is too small or too uniform for ``pca`` or ``rca``.
        """
        steps: list[Fitted] = []
        given = gallery
        for step in parse_rank(spec):
            steps.append(step.fit(given, spare=spare))
            given = steps[-1].gallery
        return cls(gallery, tuple(steps))

    def scores(self, queries: Vectors, own: csr_array | None = None) -> Scores:
        """The scores of queries ``(b, d)`` against the gallery, ``(b, n)`` float32, higher is nearer.

        Cosines of the ranked vectors, or 1 minus the distance after ``krecip``; minus infinity at the rows that
        ``own``, sparse boolean ``(b, n)``, marks as the query's own.
        """
        shape = (len(queries), len(self.gallery))
        asked = Asked(queries, self.gallery, csr_array(shape, dtype=bool) if own is None else own)
        for step in self.steps:
            asked = step.apply(asked)
        return asked.scores()

    def save(self, path: Path) -> None:
        """Writes what was learned as .npz, without pickle and without the gallery it was learned from."""
        arrays = {f"{place}.{name}": a for place, step in enumerate(self.steps) for name, a in step.arrays().items()}
        with path.open("wb") as file:  # numpy would add .npz to a path
            np.savez(file, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: Path, spec: str, gallery: Vectors) -> Ranking:
        """The ranking with this spec over this gallery, from what ``save`` wrote.

        :raises ValueError: when what the file holds was learned from another number of vectors.
        :raises KeyError: when it holds something else.
        """
        steps: list[Fitted] = []
        given = gallery
        with np.load(path, allow_pickle=False) as file:
            for place, step in enumerate(parse_rank(spec)):
                prefix = f"{place}."
                mine = {name.removeprefix(prefix): file[name] for name in file.files if name.startswith(prefix)}
                steps.append(step.restore(given, mine))
                given = steps[-1].gallery
        if any(len(step.gallery) != len(gallery) for step in steps):
            raise ValueError(f"{path} was learned from another gallery than these {len(gallery)} vectors")
        return cls(gallery, tuple(steps))


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
