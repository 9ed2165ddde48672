"""How much two rankings of one query agree."""

from __future__ import annotations

from collections.abc import Sequence

PERSISTENCE = 0.9  # of the reader, who looks at ten places on average


def rank_biased_overlap(first: Sequence[str], second: Sequence[str], persistence: float = PERSISTENCE) -> float:
    """The extrapolated rank-biased overlap of two rankings, from 0 (nothing in common) to 1.

    At every depth it looks at the share that both have so far; a depth counts ``persistence`` times as much as the one
    before it. Beyond their ends the rankings are taken to agree as they did up to there, so a ranking that is the
    beginning of the other has 1. Two empty ones have 1, an empty one and another 0. No ranking names an item twice.

    Webber, Moffat and Zobel: A similarity measure for indefinite rankings. TOIS 28(4), 2010, equation 32.
    """
    short, long = sorted((first, second), key=len)
    ends, last = len(short), len(long)
    if not ends:
        return 0.0 if last else 1.0
    common: list[int] = []  # in the first d of both
    seen: set[str] = set()
    for d in range(1, last + 1):
        new = [long[d - 1], *short[d - 1 : d]]
        both = len(new) == 2 and new[0] == new[1]
        common.append((common[-1] if common else 0) + sum(item in seen for item in new) + both)
        seen.update(new)
    p, at_end, at_last = persistence, common[ends - 1], common[-1]
    agreed = sum(x / d * p**d for d, x in enumerate(common, 1))
    agreed += sum(at_end * (d - ends) / (ends * d) * p**d for d in range(ends + 1, last + 1))
    found = (1 - p) / p * agreed + ((at_last - at_end) / last + at_end / ends) * p**last
    return round(found, 12)  # so that equal rankings have 1 exactly
