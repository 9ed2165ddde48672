"""Parses a rank SPEC: steps with numbers, separated by commas, applied from left to right."""

from __future__ import annotations

import math
from collections.abc import Callable

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.ranking.expansion import DbaStep, QeStep
from imgsearch_kit.ranking.pca import PcaStep
from imgsearch_kit.ranking.rca import RcaStep
from imgsearch_kit.ranking.reciprocal import KrecipStep
from imgsearch_kit.ranking.step import Step

STEPS = "pca:DIMS[:POWER], rca:DIMS:N, dba:N:ALPHA, qe:N:ALPHA, krecip:K1:K2:LAMBDA"


# The step, and of each number its type, least and largest value.
KINDS: dict[str, tuple[Callable[..., Step], list[tuple[type[int] | type[float], float, float]]]] = {
    "pca": (PcaStep, [(int, 1, math.inf), (float, 0, 1)]),
    "rca": (RcaStep, [(int, 1, math.inf), (int, 1, math.inf)]),
    "dba": (DbaStep, [(int, 1, math.inf), (float, 0, math.inf)]),
    "qe": (QeStep, [(int, 1, math.inf), (float, 0, math.inf)]),
    "krecip": (KrecipStep, [(int, 2, math.inf), (int, 1, math.inf), (float, 0, 1)]),
}


def parse_rank(spec: str) -> tuple[Step, ...]:
    """The steps of a rank SPEC, e.g. ``pca:128:0.5,dba:10:1,qe:10:1``.

    :raises BadQuery: when a step is unknown, has too few or too many numbers or one out of range, ``krecip`` is not
        the last or ``dba`` comes twice.
    """
    steps = tuple(_step(part.strip()) for part in spec.split(","))
    if any(isinstance(step, KrecipStep) for step in steps[:-1]):
        raise BadQuery(f"krecip gives scores, not vectors, so it must be the last step; got {spec!r}. Move it there.")
    if sum(isinstance(step, DbaStep) for step in steps) > 1:
        raise BadQuery(f"dba can be applied once; got {spec!r}. Leave one out.")
    return steps


def _step(text: str) -> Step:
    name, *numbers = text.split(":")
    if name not in KINDS:
        raise BadQuery(f"There is no ranking step {text!r}. The steps are {STEPS}, joined by commas.")
    kind, ranges = KINDS[name]
    if len(numbers) != len(ranges) and not (name == "pca" and len(numbers) == 1):
        raise BadQuery(f"The ranking step {text!r} has {len(numbers)} numbers. Write {STEPS}.")
    values = []
    for number, (convert, least, most) in zip(numbers, ranges, strict=False):
        try:
            value = convert(number)
        except ValueError:
            raise BadQuery(
                f"{number!r} in the ranking step {text!r} is no {convert.__name__}. Write {STEPS}."
            ) from None
        if not least <= value <= most or value == math.inf:
            raise BadQuery(f"{number} in the ranking step {text!r} is not between {least} and {most}. Write {STEPS}.")
        values.append(value)
    return kind(*values)
