"""The values of every query under each candidate: an extractor's vectors in a ranking, leave-one-out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.evaluation.metrics import same_picture, score_queries
from imgsearch_kit.extractors.base import CONVOLUTIONAL
from imgsearch_kit.ranking import Ranking
from imgsearch_kit.records import Vectors
from imgsearch_kit.vectors import Floats, Ints, cosines

COMPARED_EXTRACTORS = tuple(CONVOLUTIONAL)  # all poolings, layers and sides; the default is the first
COMPARED_RANKINGS = (
    None,
    "krecip:20:6:0.3",
    "pca:128:0.5",
    "pca:128:0.5,dba:10:1,qe:10:1",
    "rca:192:15",
    "rca:192:15,dba:10:2,qe:10:2",
    "rca:192:15,krecip:20:6:0.3",
)
COMPARED_MEASURES = ("P@4", "mAP")
LEARNED = ("pca", "rca")  # steps that project each vector alone, so that several rankings can share them


@dataclass(frozen=True, slots=True)
class Candidate:
    """An extractor's name and a rank SPEC, None for the order of the cosines."""

    extractor: str
    rank: str | None

    @property
    def words(self) -> str:
        """Both in words."""
        return f"{self.extractor}, {self.rank or 'no ranking'}"


@dataclass(frozen=True)
class Trial:
    """Candidates and the P@4 and average precision of ``m`` queries under each, ``(candidates, m, 2)`` float64.

    ``impossible`` has the candidates that the vectors do not allow, each with the reason.
    """

    candidates: Sequence[Candidate]
    values: Floats
    impossible: Mapping[Candidate, str]


def try_candidates(
    vectors: Mapping[str, Vectors],
    classes: Ints,
    rankings: Sequence[str | None] = COMPARED_RANKINGS,
    *,
    done: Callable[[int], object] = bool,
) -> Trial:
    """The values of each picture that has another one of its class, under each extractor and ranking.

    ``vectors`` maps extractors to ``(n, dim)`` vectors of the same pictures, ``classes`` is ``(n,)``. Each picture is a
    query against all others, and has no part in its own answer (see ``Ranking``). ``done`` is called with 1 after each
    candidate.
    """
    values, tried, impossible = [], [], {}
    for extractor, rows in vectors.items():
        shared: dict[str, Vectors | BadQuery] = {"": rows}
        for rank in rankings:
            candidate = Candidate(extractor, rank)
            try:
                values.append(_values(rows, rank, classes, shared))
                tried.append(candidate)
            except BadQuery as error:
                impossible[candidate] = str(error)
            done(1)
    return Trial(tried, np.stack(values), impossible)


def _values(rows: Vectors, rank: str | None, classes: Ints, shared: dict[str, Vectors | BadQuery]) -> Floats:
    """The values of the queries ``(m, 2)`` under a ranking; ``shared`` keeps what its first steps make of the rows."""
    steps = rank.split(",") if rank else []
    count = next((i for i, step in enumerate(steps) if step.split(":")[0] not in LEARNED), len(steps))
    first, rest = ",".join(steps[:count]), ",".join(steps[count:])
    if first not in shared:
        try:
            shared[first] = Ranking.fit(first, rows).steps[-1].gallery
        except BadQuery as error:
            shared[first] = error
    projected = shared[first]
    if isinstance(projected, BadQuery):
        raise projected
    own = same_picture(np.arange(len(rows)), np.arange(len(rows)))
    scores = score_queries(_scorer(projected, rest, own), classes, classes, own, (4,))
    asked = scores.relevant > 0
    return np.stack([scores.values[name][asked] for name in COMPARED_MEASURES], axis=1)


def _scorer(rows: Vectors, rank: str, own: csr_array) -> Callable[[slice], Vectors]:
    if not rank:
        return cosines(rows, rows)
    ranking = Ranking.fit(rank, rows)
    return lambda part: ranking.scores(rows[part], own[part])
