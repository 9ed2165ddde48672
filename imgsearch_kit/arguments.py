"""Checks of the arguments that a person gives in Python."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from imgsearch_kit.errors import BadQuery


def whole_number(name: str, value: Any, least: int = 1) -> int:
    """A whole number, numpy's integers among them, as Python's ``int``.

    :raises BadQuery: when the value is no whole number (a bool is none), or below ``least``.
    """
    try:
        number = None if isinstance(value, bool | np.bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None or number < least:
        raise BadQuery(f"{name} must be a whole number of at least {least}; it is {value!r}.")
    return number
