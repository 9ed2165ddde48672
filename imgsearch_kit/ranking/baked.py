"""A ranking baked into a gallery's vectors, and what it has learned, to be applied to queries."""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from dataclasses import dataclass

import numpy as np

from imgsearch_kit.errors import BadQuery, IndexDamaged, without_stop
from imgsearch_kit.ranking.expansion import DbaStep
from imgsearch_kit.ranking.pca import Components, PcaStep
from imgsearch_kit.ranking.rca import RcaStep
from imgsearch_kit.ranking.spec import parse_rank
from imgsearch_kit.records import BakedRank, Vectors


@dataclass(frozen=True)
class Learned:
    """The projections that a baked ranking has learned, in order, and from which index."""

    baked: BakedRank
    projections: tuple[Components, ...]

    def project(self, vectors: Vectors) -> Vectors:
        """An extractor's vectors ``(m, d)`` projected as the gallery's were: ``(m, dims)``, unit norm."""
        for projection in self.projections:
            vectors = projection.project(vectors)
        return vectors

    def to_bytes(self) -> bytes:
        """An .npz archive: ``passport`` (JSON), ``mean_0`` ``(d,)``, ``components_0`` ``(d, dims)``, ``mean_1`` ..."""
        arrays = {"passport": np.array(json.dumps(dataclasses.asdict(self.baked)))}
        for i, projection in enumerate(self.projections):
            arrays |= {f"mean_{i}": projection.mean, f"components_{i}": projection.directions}
        file = io.BytesIO()
        np.savez(file, allow_pickle=False, **arrays)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, stored: bytes) -> Learned:
        """What ``to_bytes`` wrote.

        :raises IndexDamaged: when it cannot be read.
        """
        try:
            with np.load(io.BytesIO(stored), allow_pickle=False) as archive:
                baked = BakedRank(**json.loads(str(archive["passport"])))
                count = sum(isinstance(step, PcaStep | RcaStep) for step in parse_rank(baked.spec))
                pairs = [(archive[f"mean_{i}"], archive[f"components_{i}"]) for i in range(count)]
        except (OSError, ValueError, EOFError, TypeError, KeyError, zipfile.BadZipFile) as error:
            raise IndexDamaged(
                f"What the index's ranking has learned cannot be read: {without_stop(error)}. "
                "Copy the index from its source again."
            ) from error
        return cls(baked, tuple(Components(*pair) for pair in pairs))

    @classmethod
    def of(cls, baked: BakedRank | None, stored: bytes, address: str) -> Learned | None:
        """What the ranking that is ``baked`` into the index at ``address`` has learned; None where none is.

        :raises IndexDamaged: when it cannot be read, or belongs to another index.
        """
        if baked is None:
            return None
        learned = cls.from_bytes(stored)
        if learned.baked != baked:
            raise IndexDamaged(
                f"The index at {address} has a ranking {learned.baked.spec} learned from the index "
                f"{learned.baked.uuid}, but its passport says {baked.spec} from {baked.uuid}. Copy it from its source "
                "again."
            )
        return learned


def bake(baked: BakedRank, gallery: Vectors) -> tuple[Learned, Vectors]:
    """What ``baked.spec`` learns from a gallery ``(n, d)``, and the projected vectors ``(n, dims)``.

    :raises BadQuery: when a step cannot be baked, or the gallery does not vary in enough directions.
    """
    projections: list[Components] = []
    for step in bakeable(baked.spec):
        fitted = step.fit(gallery)
        projections.append(fitted.components)
        gallery = fitted.gallery
    return Learned(baked, tuple(projections)), gallery


def bakeable(spec: str) -> list[PcaStep | RcaStep]:
    """The steps of a rank SPEC, if each of them transforms single vectors.

    :raises BadQuery: when it is wrong, or a step needs other pictures, or works on queries or scores.
    """
    steps = []
    for text, step in zip(spec.split(","), parse_rank(spec), strict=True):
        if not isinstance(step, PcaStep | RcaStep):
            works = "sums each picture with others" if isinstance(step, DbaStep) else "works on queries"
            raise BadQuery(
                f"{text.strip()} {works}, so it cannot be baked into an index: "
                "give it to search or evaluate with --rank."
            )
        steps.append(step)
    return steps
