"""The protocol of a ranking step: fitted to a gallery, then applied to queries."""

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
        """The gallery after the step, ``(n, d)``."""

    def apply(self, asked: Asked) -> Asked:
        """The queries and the gallery after the step."""

    def arrays(self) -> Arrays:
        """What was learned, without the gallery that it was learned from."""


class Step(Protocol):
    """A step with its parameters, not fitted yet."""

    def fit(self, gallery: Vectors, *, spare: int = 1) -> Fitted:
        """The step fitted to a gallery ``(n, d)``, for queries that have up to ``spare`` own rows in it.

        :raises BadQuery: when the gallery is too small or too uniform.
        """

    def restore(self, gallery: Vectors, arrays: Arrays) -> Fitted:
        """What ``fit`` made of the same gallery, from its ``arrays``.

        :raises KeyError: when one of them is missing.
        """
