"""Checks of the arguments that a person gives in Python."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from imgsearch_kit.errors import BadQuery

LARGEST_NUMBER = 2**63 - 1  # that fits numpy's integers
PADDED = 10_000  # places that arrays always have room for


def as_integer(value: Any) -> int | None:
    """A whole number, numpy's integers among them, as Python's ``int``; None of anything else, as of a bool."""
    try:
        return None if isinstance(value, bool | np.bool) else operator.index(value)
    except TypeError:
        return None


def whole_number(name: str, value: Any, least: int = 1, most: int = LARGEST_NUMBER) -> int:
    """A whole number, numpy's integers among them, as Python's ``int``.

    :raises BadQuery: when the value is no whole number (a bool is none), below ``least`` or above ``most``.
    """
    number = as_integer(value)
    if number is None or number < least:
        raise BadQuery(f"{name} must be a whole number of at least {least}; it is {value!r}.")
    if number > most:
        raise BadQuery(f"{name} must be a whole number of at most {most}; it is {value!r}.")
    return number


def places(k: int, count: int) -> int:
    """How many of ``k`` places arrays have for ``count`` pictures: above 10,000 none that must stay empty."""
    return min(k, max(count, PADDED))


def strings(name: str, value: Any) -> list[str]:
    """A list of strings, from any collection of them.

    :raises BadQuery: when it is something else, as one string is, which would be taken for its letters.
    """
    if isinstance(value, str):
        raise BadQuery(f"{name} must be a list of strings; it is the string {value!r}. Write [{value!r}].")
    wanted = list(value) if isinstance(value, Iterable) else None
    if wanted is None or not all(isinstance(each, str) for each in wanted):
        raise BadQuery(f"{name} must be a list of strings; it is {value!r}.")
    return wanted


def cosine_given(name: str, value: Any) -> float | None:
    """A cosine, numpy's numbers among them, as Python's ``float``; None stays None.

    :raises BadQuery: when the value is no number within -1 .. 1.
    """
    if value is None:
        return None
    if not isinstance(value, int | float | np.number) or not -1 <= value <= 1:
        raise BadQuery(f"{name} must be a cosine within -1 .. 1; it is {value!r}.")
    return float(value)


def path_given(name: str, value: Any, otherwise: str = "") -> Path:
    """The path of a file; ``otherwise`` says what else the argument takes.

    :raises BadQuery: when the value is no path.
    """
    if not isinstance(value, str | os.PathLike):
        raise BadQuery(f"{name} must be the path of a file{otherwise}; it is {value!r}.")
    return Path(value)
