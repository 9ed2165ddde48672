"""A box on a picture: left, top, right and bottom as fractions of the sides of the upright picture."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from imgsearch_kit.errors import BadQuery

Box = tuple[float, float, float, float]


def box_given(value: Any) -> Box:
    """A box from any collection of its four numbers.

    :raises BadQuery: when it is something else, or not 0 <= left < right <= 1 and 0 <= top < bottom <= 1.
    """
    given = list(value) if isinstance(value, Iterable) and not isinstance(value, str | bytes) else [value]
    if len(given) != 4 or not all(isinstance(part, int | float | np.number) for part in given):
        raise BadQuery(f"box must be four numbers: left, top, right, bottom; it is {value!r}.")
    left, top, right, bottom = map(float, given)
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise BadQuery(
            f"box is left {left:g}, top {top:g}, right {right:g}, bottom {bottom:g}: fractions of the picture's sides "
            "with 0 <= left < right <= 1 and 0 <= top < bottom <= 1 are needed."
        )
    return left, top, right, bottom


def parse_box(text: str) -> Box:
    """A box from a text such as "0.1,0.2,0.8,0.9".

    :raises BadQuery: when it is another text, or not 0 <= left < right <= 1 and 0 <= top < bottom <= 1.
    """
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != 4:
        raise BadQuery(f"box must be four numbers LEFT,TOP,RIGHT,BOTTOM such as 0.1,0.2,0.8,0.9; it is {text!r}.")
    return box_given(numbers)


def pixels_in(box: Box, width: int, height: int) -> tuple[int, int, int, int]:
    """The whole pixels of a box in a picture: (left, top, right, bottom), at least one a side.

    :raises BadQuery: when the box is smaller than a pixel.
    """
    left, top, right, bottom = box[0] * width, box[1] * height, box[2] * width, box[3] * height
    if right - left < 1 - 1e-6 or bottom - top < 1 - 1e-6:
        raise BadQuery(
            f"The box is {right - left:.2g} x {bottom - top:.2g} pixels of a picture of {width} x {height}. "
            "Draw one of at least a pixel a side."
        )
    x, y = math.floor(left + 0.5), math.floor(top + 0.5)
    return x, y, max(x + 1, math.floor(right + 0.5)), max(y + 1, math.floor(bottom + 0.5))
