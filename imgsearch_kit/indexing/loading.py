"""How a run of indexing gets its pictures, and a bad one among them that costs itself alone."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from imgsearch_kit.errors import BadQuery, UnreadableImage
from imgsearch_kit.images import FoundImage, Hashed, Loaded
from imgsearch_kit.indexing.known import Known
from imgsearch_kit.records import ExtractorSpec, Vectors

P = TypeVar("P")
# Each file, in any order, with its picture or the reason why there is none; one of known content may be hashed only.
Load = Callable[
    [Sequence[FoundImage], Known | None], Generator[tuple[Path, "Loaded | Hashed | UnreadableImage"], None, None]
]


class Computed:
    """In place of an extractor where a picture's ``pixels`` are its vector already, as another process made it."""

    def __init__(self, spec: ExtractorSpec):
        self.spec = spec

    def extract(self, pixels: Any) -> Vectors:
        """The ``(n, dim)`` float32 vectors given."""
        return cast(Vectors, pixels)


def vectors_or_errors(
    pictures: Sequence[P], vectors_of: Callable[[Sequence[P]], Vectors]
) -> list[np.ndarray | BadQuery]:
    """The vector of each picture, or the error that it alone raises; an invalid one does not affect the others."""
    if not pictures:
        return []
    try:
        return list(vectors_of(pictures))
    except BadQuery as error:
        if len(pictures) == 1:
            return [error]
    return [each for picture in pictures for each in vectors_or_errors([picture], vectors_of)]
