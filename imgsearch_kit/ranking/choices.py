"""The rankings that a person can choose by plain names, without writing a SPEC."""

from __future__ import annotations

from dataclasses import dataclass

from imgsearch_kit.records import IndexPassport

DIMS = (128, 64, 32, 16, 8, 4)  # of the components; the largest that the index has a few pictures each for
PICTURES_EACH, PICTURES_EACH_FOR_RCA = 4, 8


@dataclass(frozen=True)
class RankChoice:
    """A ranking to choose, by a plain ``name``; ``what`` it does is said in a sentence.

    ``spec`` is "" for the order of the index. ``precision`` is its P@4 on this index once it is known, and
    ``unknown`` why there is neither that nor a percentage under it, "" where there is or no reason is known yet.
    """

    name: str
    spec: str
    what: str
    precision: float | None = None
    unknown: str = ""

    def label(self) -> str:
        """The name, with its P@4 beside it once it is known."""
        return self.name if self.precision is None else f"{self.name} · P@4 {self.precision:.2f}"


def rank_choices(passport: IndexPassport, own: str | None = None) -> list[RankChoice]:
    """The rankings that fit an index; ``own``, the SPEC that its gallery ranks by, comes first."""
    fits = [dims for dims in DIMS if dims <= min(passport.dim, passport.count // PICTURES_EACH)]
    large = bool(fits) and passport.count >= PICTURES_EACH_FOR_RCA * DIMS[0] and passport.dim >= DIMS[0]
    even = f"rca:{DIMS[0]}:15" if large else f"pca:{fits[0]}:0.5" if fits else ""
    found = [RankChoice("Plain", "", "By the cosine of the stored vectors.")]
    if even:
        alike = "near neighbours" if large else "all pictures"
        found.append(RankChoice("Balanced", even, f"Directions in which {alike} differ as much as others count less."))
    helped = ",".join(filter(None, (even, "dba:10:1,qe:10:1")))
    found.append(RankChoice("Neighbours help", helped, "Every picture is averaged with its own neighbours."))
    mutual = "Pictures that are each other's neighbours come first."
    found.append(RankChoice("Mutual neighbours", "krecip:20:6:0.3", mutual))
    if own and own not in [choice.spec for choice in found]:
        found.append(RankChoice("This index's own", own, "The ranking that was chosen for this index."))
    return sorted(found, key=lambda choice: choice.spec != (own or ""))
