"""What a step of a ranking is: spelled with numbers, fitted to a gallery, applied to queries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy.typing as npt

from imgsearch_kit.ranking.queries import Asked
from imgsearch_kit.records import Vectors

Arrays = Mapping[str, npt.NDArray[Any]]


class Fitted(Protocol):
    """A step that has learned from a gallery."""

    @property
    def gallery(self) -> Vectors:
        """The gallery as the step leaves it, ``(n, d)``."""

    def apply(self, asked: Asked) -> Asked:
        """The queries and the gallery as the step leaves them."""

    def arrays(self) -> Arrays:
        """What was learned, without the gallery that it was learned from."""


class Step(Protocol):
    """A step as it is spelled."""

    def fit(self, gallery: Vectors, *, spare: int = 1) -> Fitted:
        """Learns from a gallery ``(n, d)``, ready for queries that have up to ``spare`` rows of their own in it.

        :raises BadQuery: when the gallery is too small or too alike.
        """

    def restore(self, gallery: Vectors, arrays: Arrays) -> Fitted:
        """What ``fit`` made of the same gallery, from its ``arrays``.

        :raises KeyError: when one of them is missing.
        """
