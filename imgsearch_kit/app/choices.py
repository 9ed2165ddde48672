"""What is learned in the background of an index and of the rankings that a visitor can choose."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace

from imgsearch_kit.errors import KitError
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.inspection.calibration import Calibrated, Calibration
from imgsearch_kit.inspection.novelty import Novelty
from imgsearch_kit.ranking.choices import RankChoice, rank_choices

log = logging.getLogger(__name__)

AS_INDEXED = "as indexed"  # stands for the empty SPEC, because an empty choice would be none
OTHER = "Your own SPEC, step by step from left to right."
LABELLED = 100  # with fewer pictures a percentage would say little
LARGE = 100_000  # with more pictures it takes ten minutes and more on two cores, too long while a page is served
LARGE_RANKED = 20_000  # the same, where each picture is ranked anew
NICE = 10  # how much learning yields to searches


def spec_of(choice: str | None) -> str:
    """The rank SPEC of a choice, "" for the order of the index."""
    choice = (choice or "").strip()
    return "" if choice == AS_INDEXED else choice


def explained(choice: str | None, choices: Sequence[RankChoice]) -> str:
    """A short explanation of a choice."""
    return next((each.what for each in choices if each.spec == spec_of(choice)), OTHER)


class BackgroundLearning:
    """What is learned of a gallery as it is now, in the background, so that no search waits for it.

    It is a calibration and the P@4 of each ranking to choose, and the model by which searches tell that nothing looks
    like their picture. All of it is kept in the cache, and so learned once a generation of the index.
    """

    def __init__(self, gallery: Gallery):
        self.gallery = gallery
        self._generation = -1
        self._calibrated: dict[str, Calibrated | str] = {}  # by SPEC; a string says why there is none
        self._novelty: Novelty | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Starts to learn what is not known of the index as it is now; returns at once."""
        generation = self.gallery.passport.generation
        with self._lock:
            if self._generation == generation or (self._thread and self._thread.is_alive()):
                return
            self._thread = threading.Thread(target=self._learn, args=(generation,), daemon=True)
            self._thread.start()

    def wait(self, seconds: float | None = None) -> bool:
        """Waits until what was started has been learned, and returns whether it has."""
        if self._thread:
            self._thread.join(seconds)
        return not (self._thread and self._thread.is_alive())

    def calibration(self, rank: str = "") -> Calibration | None:
        """The calibration of the scores under a rank SPEC, if it is known; learning starts if it has not."""
        self.start()
        found = self._known().get(rank)
        return found.calibration if isinstance(found, Calibrated) else None

    def unknown(self, rank: str = "") -> str:
        """Why there are no percentages under a rank SPEC, in a sentence; "" where there are."""
        known, specs = self._known(), [choice.spec for choice in self.choices()]
        if rank not in specs:
            return "There are no percentages under a SPEC of your own: they are learned for the rankings of the list."
        found = known.get(rank, "Percentages are being learned and will appear.")
        return found if isinstance(found, str) else ""

    def novelty(self) -> Novelty | None:
        """How often "Nothing here looks like this" errs on this index; None where it is never said, or not known."""
        return self._novelty if self._generation == self.gallery.passport.generation else None

    def choices(self) -> list[RankChoice]:
        """The rankings to choose, with what is known of them."""
        known = self._known()
        return [_with(choice, known.get(choice.spec)) for choice in rank_choices(self.gallery.passport, self._own)]

    @property
    def _own(self) -> str | None:
        return self.gallery.rank or None

    def _known(self) -> dict[str, Calibrated | str]:
        return self._calibrated if self._generation == self.gallery.passport.generation else {}

    def learning(self) -> bool:
        """Whether it is being learned."""
        return self._thread is not None and self._thread.is_alive()

    def _learn(self, generation: int) -> None:
        _yield_to_others()
        self._calibrated, self._novelty, self._generation = {}, None, generation
        specs = [choice.spec for choice in rank_choices(self.gallery.passport, self._own)]
        refused = self._refused()
        try:
            self._calibrated.update(dict.fromkeys(specs, refused) if refused else {})
            if not refused:
                self._one("")
                self._novelty = self._learned_novelty()
            for spec in specs if not refused else ():
                if spec and self.gallery.passport.generation == generation:
                    self._one(spec)
        finally:
            if self.gallery.passport.generation != generation:  # it was written to meanwhile: `start` starts again
                self._generation = -1

    def _refused(self) -> str:
        """Why nothing is learned of this index, "" where something is."""
        labels = self.gallery.labels()
        if (labelled := sum(labels.values())) < LABELLED or len(labels) < 2:
            many = f"{labelled:,} picture{'' if labelled == 1 else 's'} of {len(labels)} classes"
            return f"There are no percentages: {many} have a label, and {LABELLED} of 2 classes are needed."
        if labelled > LARGE:
            return f"There are no percentages: to learn them from more than {LARGE:,} pictures takes too long."
        return ""

    def _one(self, spec: str) -> None:
        if spec and self.gallery.passport.count > LARGE_RANKED:
            self._calibrated[spec] = (
                f"There are no percentages under this ranking: to rank each of more than {LARGE_RANKED:,} pictures "
                "takes too long."
            )
            return
        try:
            self._calibrated[spec] = self.gallery.calibration(rank=spec, progress=False)
        except KitError as error:
            self._calibrated[spec] = f"There are no percentages under this ranking. {error}"
            log.warning("The scores under %s are not calibrated: %s", spec or "the plain ranking", error)

    def _learned_novelty(self) -> Novelty | None:
        try:
            return self.gallery.novelty(progress=False)
        except KitError as error:
            log.info("No search will say that nothing looks like its picture: %s", error)
            return None


def _yield_to_others() -> None:
    """Lets searches go before what this thread computes, where the system has priorities of single threads."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


def _with(choice: RankChoice, known: Calibrated | str | None) -> RankChoice:
    if isinstance(known, Calibrated):
        return replace(choice, precision=known.precision)
    return replace(choice, unknown=known or "")
