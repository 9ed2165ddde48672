"""What an answer means, in words: whether anything is like the query, and how often such hits are right."""

from __future__ import annotations

from dataclasses import dataclass

from imgsearch_kit.errors import KitError
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.inspection.calibration import Calibration
from imgsearch_kit.inspection.novelty import Novelty
from imgsearch_kit.results import Hit, Results, Verdict


@dataclass(frozen=True)
class HitWords:
    """What is said of a hit: ``short`` on its card, ``long`` in a sentence; both "" where nothing can be.

    ``right`` says whether it has the query's class, None where that is not known.
    """

    short: str = ""
    long: str = ""
    right: bool | None = None


def in_ten(probability: float) -> str:
    """A probability as people count: "8 in 10"."""
    tenths = round(probability * 10)
    return "fewer than 1 in 10" if tenths < 1 else "more than 9 in 10" if tenths > 9 else f"{tenths} in 10"


def hit_words(
    hit: Hit, *, known: str | None, calibration: Calibration | None = None, verdict: Verdict | None = None
) -> HitWords:
    """What is said of a hit: right or wrong where the query's class is ``known``, else how often such hits are right.

    That is conditional on the query being of an indexed class, so it is not said where nothing is like the query.
    """
    if known is not None and hit.label is not None:
        if hit.label == known:
            return HitWords("right", f"Its class is the query's, {known}.", True)
        return HitWords("wrong", f"Its class is {hit.label}, and the query's is {known}.", False)
    if known is not None or calibration is None or hit.label is None or (verdict and not verdict.like):
        return HitWords()
    often = in_ten(calibration(hit.score)[0])
    return HitWords(f"{often} share the class", f"Of queries of an indexed class, {often} such hits share it.")


def query_class(gallery: Gallery, results: Results) -> str | None:
    """The class of a query that is indexed, None where it is not or has no label."""
    if "label" in results.query:
        return results.query["label"]
    found = {hit.id: hit.label for hit in results.own_hits}  # without a further request on a server
    try:
        labels = {found[id_] if id_ in found else gallery.record(id_).label for id_ in results.own[:8]}
    except KitError:  # deleted since
        return None
    return labels.pop() if len(labels) == 1 else None


def verdict_words(verdict: Verdict | None, novelty: Novelty | None = None) -> tuple[str, str]:
    """What stands above the hits where nothing is like the query: the sentence, and how often it errs; else "", ""."""
    if verdict is None or verdict.like:
        return "", ""
    return verdict.sentence(), error_words(novelty) if novelty else ""


def error_words(novelty: Novelty) -> str:
    """How often "Nothing here looks like this" errs on this index."""
    missed, alarms = in_ten(1 - novelty.found), f"{novelty.false_alarms:.0%}"
    return (
        f"Learned with whole classes held out: of pictures whose class is not indexed it misses {missed}, and of "
        f"others it is said wrongly of {alarms}."
    )
