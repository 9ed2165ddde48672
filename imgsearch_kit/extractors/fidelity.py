"""How near the vectors of an int8 network are to those of the float one, and the bounds that they must keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from imgsearch_kit.records import Vectors
from imgsearch_kit.reports import Report
from imgsearch_kit.vectors import Ints, blocks, cosines, first

COMPARED = 10  # neighbours compared
OVERLAP, PRECISION_LOSS = 0.95, 0.005


@dataclass(frozen=True, slots=True)
class Fidelity(Report):
    """How near int8 vectors are to float vectors of the same pictures.

    ``least`` and ``mean`` are cosines, ``overlap`` the share of the ten nearest pictures that both have, ``precision``
    and ``float_precision`` P@4 of both over the pictures whose label has at least one other picture (None: no labels).
    """

    pictures: int
    least: float
    mean: float
    overlap: float
    precision: float | None
    float_precision: float | None

    def title(self) -> str:
        """How near the vectors and their neighbours are."""
        return (
            f"On {self.pictures} pictures: cosine to float at least {self.least:.4f}, mean {self.mean:.4f}; "
            f"{self.overlap:.3f} of the {COMPARED} nearest pictures are the same."
        )

    def notes(self) -> Sequence[str]:
        """P@4 of both, where there are labels."""
        if self.precision is None or self.float_precision is None:
            return ()
        return (f"P@4 {self.precision:.4f} with int8, {self.float_precision:.4f} with float.",)

    def misses(self) -> list[str]:
        """The bounds that are missed, each with both values."""
        missed = [f"overlap {self.overlap:.3f} < {OVERLAP}"] if self.overlap < OVERLAP else []
        if self.precision is not None and self.float_precision is not None:
            loss = self.float_precision - self.precision
            missed += [f"loss of P@4 {loss:.4f} > {PRECISION_LOSS}"] if loss > PRECISION_LOSS else []
        return missed


def fidelity(exact: Vectors, quantised: Vectors, labels: list[str | None]) -> Fidelity:
    """Compares int8 vectors with float vectors of the same pictures, both ``(n, dim)`` of unit norm, n at least 2."""
    agreement = np.einsum("nd,nd->n", exact, quantised)
    neighbours = [_nearest(vectors, min(COMPARED, len(exact) - 1)) for vectors in (exact, quantised)]
    pairs = zip(*neighbours, strict=True)
    overlap = float(np.mean([len(set(a) & set(b)) / len(a) for a, b in pairs]))
    kinds = np.array([label or "" for label in labels])
    asked = [i for i, kind in enumerate(kinds) if kind and (kinds == kind).sum() > 1]
    precisions = [
        float((kinds[near[asked, :4]] == kinds[asked, None]).mean()) if asked else None for near in neighbours
    ]
    return Fidelity(len(exact), float(agreement.min()), float(agreement.mean()), overlap, precisions[1], precisions[0])


def _nearest(vectors: Vectors, k: int) -> Ints:
    """The rows of the ``k`` nearest other pictures of each picture, ``(n, k)``, nearest first."""
    found = []
    score = cosines(vectors, vectors)
    for rows in blocks(len(vectors), len(vectors)):
        scores = score(rows)
        scores[np.arange(len(scores)), np.arange(rows.start, rows.stop)] = -np.inf
        found.append(first(scores, k)[0])
    return np.concatenate(found)
