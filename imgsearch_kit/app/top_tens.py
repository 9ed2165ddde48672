"""In whose top ten a picture is: its reverse neighbours."""

from __future__ import annotations

import threading

import numpy as np

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.inspection.neighbours import leave_one_out
from imgsearch_kit.records import ImageRecord
from imgsearch_kit.vectors import Ints

TEN = 10
MOST_WITH_TOP_TENS = 50_000  # pictures; the first question of more waits minutes for its answer


class TopTens:
    """The ten nearest of every picture of a gallery, found at the first question; threads may share one."""

    def __init__(self, gallery: Gallery):
        self.gallery = gallery
        self._lock = threading.Lock()
        self._generation = -1
        self._records: list[ImageRecord] = []
        self._rows: Ints = np.zeros((0, TEN), np.int64)

    def containing(self, id: str) -> list[ImageRecord]:  # noqa: A002 (the field's name)
        """The records that have a picture among their ten nearest others, in whose top ten it is higher first.

        :raises BadQuery: when the index has no such picture, or more than 50,000.
        """
        record = self.gallery.record(id)
        with self._lock:
            self._learn()
            records, rows = self._records, self._rows
        there, places = np.nonzero(rows == next(i for i, each in enumerate(records) if each.id == record.id))
        return [records[row] for row in there[np.argsort(places, kind="stable")]]

    def _learn(self) -> None:
        generation = self.gallery.index.read_passport().generation
        if generation == self._generation:
            return
        if len(self.gallery) > MOST_WITH_TOP_TENS:
            raise BadQuery(
                f"There are {len(self.gallery):,} pictures; this is found among {MOST_WITH_TOP_TENS:,} at most."
            )
        self._records, vectors = self.gallery.index.entries()
        self._rows = leave_one_out(vectors, min(TEN, max(len(vectors) - 1, 1))).rows
        self._generation = generation
