"""What a run of indexing writes: stored vectors under new records, and extracted ones, each batch in one commit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.extractors import Extractor
from imgsearch_kit.extractors.joint import NETWORK_BATCH
from imgsearch_kit.images import FoundImage
from imgsearch_kit.index.arguments import check_vectors
from imgsearch_kit.index.base import VectorIndex
from imgsearch_kit.indexing.report import IndexReport
from imgsearch_kit.records import Failure, ImageRecord, Pixels, Vectors

P = TypeVar("P")

COMMITTED_AT_ONCE = 32  # pictures of one commit
SLICE = 8  # pictures of one call of the extractor, so that the bar moves; more on a device, which has larger batches


class Carried(NamedTuple):
    """A file whose record gets the vector of ``source``, and the number of the report that counts it."""

    record: ImageRecord
    counted: str
    image: FoundImage
    source: ImageRecord


class Waiting(NamedTuple):
    """A picture to be extracted, its record, and the number of the report that counts it."""

    record: ImageRecord
    counted: str
    pixels: Pixels


class Commits:
    """The pictures of one run that are not written yet; those that are, are counted in the report."""

    def __init__(self, index: VectorIndex, extractor: Extractor, report: IndexReport):
        self.now: dict[str, str | None] = {}  # the labels of all records of the index, by id
        self.carried: list[Carried] = []  # to be written with a vector that the index has
        self.waiting: list[Waiting] = []
        self.again: list[FoundImage] = []  # to be extracted, because that vector was replaced meanwhile
        self._index, self._extractor, self._report = index, extractor, report
        self._dim = index.passport.dim

    def commit(self, done: Callable[[int], object], *, rest: bool = False) -> None:
        """Commits stored vectors, and then extracted pictures, in whole batches; with ``rest`` all that there are.

        ``done`` gets how many pictures were extracted, again and again.
        """
        least = 1 if rest else max(COMMITTED_AT_ONCE, self._batch)
        while len(self.carried) >= least:
            batch, self.carried = self.carried[:COMMITTED_AT_ONCE], self.carried[COMMITTED_AT_ONCE:]
            self._carry(batch)
        if len(self.waiting) >= least:
            waiting, self.waiting = self.waiting, []
            self._add(*self._extract(waiting, done))

    def count(self, name: str) -> None:
        """Counts a picture in the number of the report with this name."""
        setattr(self._report, name, getattr(self._report, name) + 1)

    @property
    def _batch(self) -> int:
        """The batch of an extractor whose batches are larger than those of a processor, else 0."""
        batch = getattr(self._extractor, "batch", 0)
        return batch if batch > NETWORK_BATCH else 0

    def _carry(self, batch: Sequence[Carried]) -> None:
        """Writes records with the vectors of their sources; without those that an earlier commit has replaced."""
        stored, vectors = self._index.entries([each.source.id for each in batch])
        row = {(record.id, record.sha256): i for i, record in enumerate(stored)}
        there = [each for each in batch if (each.source.id, each.source.sha256) in row]
        self.again += [each.image for each in batch if (each.source.id, each.source.sha256) not in row]
        moved = [each.source.id for each in there if each.counted == "moved"]
        self._add(there, vectors[[row[each.source.id, each.source.sha256] for each in there]], moved)

    def _extract(self, batch: Sequence[Waiting], done: Callable[[int], object]) -> tuple[list[Waiting], Vectors]:
        """The pictures with a valid vector, and the vectors; an invalid row does not affect the others."""
        kept: list[Waiting] = []
        vectors: list[np.ndarray] = []
        at_once = max(SLICE, self._batch)
        for start in range(0, len(batch), at_once):
            part = batch[start : start + at_once]
            for each, vector in zip(part, vectors_or_errors(part, self._vectors), strict=True):
                if isinstance(vector, BadQuery):
                    self._fail(each.record, str(vector))
                else:
                    kept.append(each)
                    vectors.append(vector)
            done(len(part))
        return kept, np.array(vectors, np.float32).reshape(len(kept), self._dim)

    def _vectors(self, part: Sequence[Waiting]) -> Vectors:
        """The vectors of some pictures, checked here so that an extractor's invalid row costs one picture alone."""
        vectors = self._extractor.extract(np.stack([each.pixels for each in part]))
        return check_vectors(vectors, self._dim, [each.record.id for each in part])

    def _add(self, batch: Sequence[Carried | Waiting], vectors: Vectors, replaces: Sequence[str] = ()) -> None:
        """Writes records, and counts those that the index accepts."""
        by_id = {each.record.id: each for each in batch}
        for refused in self._index.add([each.record for each in batch], vectors, replaces=replaces):
            self._fail(by_id.pop(refused.id).record, refused.reason)
        for id_ in replaces:
            self.now.pop(id_, None)
        for id_, each in by_id.items():
            self.now[id_] = each.record.label
            self.count(each.counted)

    def _fail(self, record: ImageRecord, reason: str) -> None:
        self._report.failed.append(Failure(record.id, reason, record.size, record.mtime))


def vectors_or_errors(
    pictures: Sequence[P], vectors_of: Callable[[Sequence[P]], Vectors]
) -> list[np.ndarray | BadQuery]:
    """The vector of each picture, or the error that it alone raises; an invalid one does not affect the others."""
    if not pictures:
        return []
    try:
        return list(vectors_of(pictures))
    except BadQuery as error:
        if len(pictures) == 1:
            return [error]
    return [each for picture in pictures for each in vectors_or_errors([picture], vectors_of)]
