"""The rankings that a visitor can choose, and the calibration of scores."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass

from imgsearch_kit.errors import KitError
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.inspection.calibration import Calibration

log = logging.getLogger(__name__)

AS_INDEXED = "as indexed"
RANKINGS = {  # by SPEC: the name, and what it does
    AS_INDEXED: ("As indexed", "By the cosine of the stored vectors."),
    "pca:128:0.5": ("PCA-whitened", "Directions in which all pictures are alike count less."),
    "pca:128:0.5,dba:10:1,qe:10:1": ("Whitened, with DBA + QE", "Every picture is averaged with its own neighbours."),
    "krecip:20:6:0.3": ("k-reciprocal", "Pictures that are each other's neighbours come first."),
}
OTHER = "Your own SPEC, step by step from left to right."

LABELLED = 100  # with fewer pictures the bound for "nothing like this" does not exist
LARGE = 50_000  # with more pictures it takes minutes on two cores, too long while a page is served


def spec_of(choice: str | None) -> str:
    """The rank SPEC of a choice, "" for the order of the index."""
    choice = (choice or "").strip()
    return "" if choice == AS_INDEXED else choice


def explained(choice: str | None) -> str:
    """A short explanation of a choice."""
    return RANKINGS.get(spec_of(choice) or AS_INDEXED, ("", OTHER))[1]


@dataclass(frozen=True)
class _Learned:
    generation: int
    calibration: Calibration | None


class BackgroundCalibration:
    """The calibration of a gallery as it is now, learned in the background so that no search waits for it."""

    def __init__(self, gallery: Gallery):
        self.gallery = gallery
        self._learned: _Learned | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def now(self) -> Calibration | None:
        """The calibration if it is known; else None, and its computation starts.

        It stays None for an index with fewer than 100 labelled pictures, with one class only, or with more than 50,000.
        """
        generation = self.gallery.passport.generation
        with self._lock:
            if self._learned and self._learned.generation == generation:
                return self._learned.calibration
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._learn, args=(generation,), daemon=True)
                self._thread.start()
        return None

    def learning(self) -> bool:
        """Whether it is being learned."""
        return self._thread is not None and self._thread.is_alive()

    def _learn(self, generation: int) -> None:
        learned = None
        try:
            labels = self.gallery.labels()
            if LABELLED <= sum(labels.values()) <= LARGE and len(labels) > 1:
                learned = self.gallery.calibration(progress=False).calibration
        except KitError as error:
            log.warning("The probabilities of scores are not shown: %s", error)
        if self.gallery.passport.generation == generation:  # else it was written to meanwhile, and `now` starts again
            self._learned = _Learned(generation, learned)
