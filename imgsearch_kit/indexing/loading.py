"""How a run of indexing gets its pictures: read here, or by other processes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any, cast

from imgsearch_kit.errors import UnreadableImage
from imgsearch_kit.images import FoundImage, Hashed, Loaded
from imgsearch_kit.indexing.known import Known
from imgsearch_kit.records import ExtractorSpec, Vectors

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
