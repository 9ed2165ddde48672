"""The health of an index, and the calibration of its scores, from its stored vectors."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from imgsearch_kit.arguments import places, whole_number
from imgsearch_kit.errors import BadQuery
from imgsearch_kit.files import artefact
from imgsearch_kit.index.base import VectorIndex
from imgsearch_kit.inspection.calibration import Calibration, Reliability, calibrate, reliability
from imgsearch_kit.inspection.health import NEAR, Health, examine
from imgsearch_kit.inspection.neighbours import leave_one_out
from imgsearch_kit.progress import progress_bar
from imgsearch_kit.records import Vectors
from imgsearch_kit.reports import Report, Table
from imgsearch_kit.vectors import Bools

if TYPE_CHECKING:
    from imgsearch_kit.plots import Plot


def health(index: VectorIndex, *, k: int = 10, near: float = NEAR, progress: bool | None = None) -> Health:
    """Duplicates, hubs and orphans, and suspected labels of an index, with their effects on P@k.

    :raises BadQuery: when the index is empty, or ``k`` or ``near`` is out of range.
    """
    k = whole_number("k", k)
    records, vectors = index.entries()
    labels, hashes = [record.label for record in records], [record.sha256 for record in records]
    ids = [record.id for record in records]
    with progress_bar("examining", "img", len(ids), shown=progress) as bar:
        return examine(ids, vectors, labels, hashes, k=places(k, len(ids)), near=near, done=bar.update)


@dataclass(frozen=True)
class Calibrated(Report):
    """A calibration learned from all labelled pictures, and how well one learned from half of them fits the others."""

    calibration: Calibration
    held_out: Reliability

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Calibrated:
        """What ``to_json`` wrote."""
        return cls(Calibration.from_json(plain["calibration"]), Reliability.from_json(plain["held_out"]))

    def title(self) -> str:
        """What the calibration was learned from."""
        return self.calibration.title()

    def tables(self) -> Sequence[Table]:
        """The table of the calibration."""
        return self.calibration.tables()

    def notes(self) -> Sequence[str]:
        """The notes of the calibration, and its expected error."""
        error = f"{self.held_out.error:.3f}"
        return [
            *self.calibration.notes(),
            f"When learned from half of the pictures, its mean error is {error} on the others.",
        ]

    def plot(self) -> Plot:
        """The curve of the calibration; ``held_out.plot()`` shows how one fits other pictures.

        :raises MissingExtra: when matplotlib is not installed.
        """
        return self.calibration.plot()

    def frame(self) -> Iterable[Mapping[str, Any]]:
        """The rows of ``to_dataframe``: those of the calibration."""
        return self.calibration.frame()


def calibration(index: VectorIndex, *, k: int = 10, seed: int = 0, progress: bool | None = None) -> Calibrated:
    """The calibration of an index, learned leave-one-out from the first ``k`` hits of its labelled pictures.

    A picture's copies (same sha256) are not among its hits, as in a search. The result is cached.

    :raises BadQuery: when fewer than four pictures have a label.
    """
    k, seed = whole_number("k", k), whole_number("seed", seed, 0)
    return artefact(
        index.read_passport(),
        "calibration.json",
        {"k": k, "seed": seed},
        lambda: _calibration(index, k, seed, progress),
        lambda made, path: path.write_text(json.dumps(made.to_json()), encoding="utf-8"),
        lambda path: Calibrated.from_json(json.loads(path.read_text(encoding="utf-8"))),
    )


def _calibration(index: VectorIndex, k: int, seed: int, progress: bool | None) -> Calibrated:
    records, vectors = index.entries()
    labelled = np.flatnonzero([record.label is not None for record in records])
    if len(labelled) < 4:
        raise BadQuery(
            f"{len(labelled)} of {len(records)} pictures have a label; at least 4 are needed for a calibration. "
            "Labels are folder names; `imgsearch label CSV` sets them."
        )
    vectors, k = vectors[labelled], places(k, len(labelled))
    classes = np.unique([str(records[row].label) for row in labelled], return_inverse=True)[1]
    files = np.unique([records[row].sha256 or f"row {row}" for row in labelled], return_inverse=True)[1]

    def hits(rows: npt.NDArray[np.int64]) -> tuple[Vectors, Bools]:
        nearest = leave_one_out(vectors[rows], k, files[rows], done=bar.update)
        return nearest.cosines, classes[rows][nearest.rows] == classes[rows][:, None]

    shuffled = np.random.default_rng(seed).permutation(len(labelled))
    half, other = np.sort(shuffled[::2]), np.sort(shuffled[1::2])  # neither sees the other's pictures
    with progress_bar("calibrating", "img", 2 * len(labelled), shown=progress) as bar:
        learned = calibrate(*hits(half), seed=seed)
        held_out = reliability(learned, *hits(other), seed=seed)
        return Calibrated(calibrate(*hits(np.arange(len(labelled))), seed=seed), held_out)
