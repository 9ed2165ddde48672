"""A search as the page asks for it: untrusted values, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgsearch_kit.app.api import DEFAULT_K, MAX_K
from imgsearch_kit.errors import BadQuery
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.records import Approx
from imgsearch_kit.results import Results

MOST_HITS = 500  # hits that "Show more" may reach


@dataclass(frozen=True)
class SearchRequest:
    """What a visitor searches for; the address of the page carries the same values, but for ``picture`` and ``shown``.

    ``picture`` is an upload, ``id`` an indexed picture in its place, ``also`` further ones that are searched for
    together with it. ``shown`` is how many hits are on the page already when more are wanted.
    """

    picture: Path | None = None
    id: str | None = None
    k: int = DEFAULT_K
    classes: tuple[str, ...] = ()
    rank: str = ""
    box: Sequence[float] | None = None
    plus: tuple[str, ...] = ()
    minus: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    least: float | None = None
    distinct: float | None = None
    shown: int = 0

    @classmethod
    def read(cls, given: Any, uploads: Path) -> SearchRequest:
        """The search in a request of the page.

        :raises BadQuery: when a value has another type or is out of range, or the picture was not uploaded.
        """
        if not isinstance(given, Mapping):
            raise BadQuery("The request is no search.")
        k, shown = given.get("k", DEFAULT_K), given.get("shown", 0)
        if not _whole(k) or not 1 <= k <= (MOST_HITS if shown else MAX_K):
            raise BadQuery(f"The number of neighbours must be a whole number from 1 to {MAX_K}; it is {k!r:.40}.")
        if not _whole(shown) or not 0 <= shown <= MOST_HITS:
            raise BadQuery(f"The number of hits that are shown must lie within 0 .. {MOST_HITS}; it is {shown!r:.40}.")
        return cls(
            picture=None if given.get("id") or not given.get("picture") else uploaded(given["picture"], uploads),
            id=_text(given, "id") or None,
            k=k,
            classes=_texts(given, "classes"),
            rank=_text(given, "rank"),
            box=given.get("box"),
            plus=_texts(given, "plus"),
            minus=_texts(given, "minus"),
            also=_texts(given, "also"),
            least=given.get("least"),
            distinct=given.get("distinct"),
            shown=shown,
        )

    def answered_by(self, gallery: Gallery, rank: str, *, approx: Approx | None = None) -> Results:
        """The results of the gallery under a rank SPEC, or by the approximate method of the index.

        :raises BadQuery: when the gallery refuses the request.
        :raises UnreadableImage: when the picture cannot be decoded.
        """
        ids = [*([self.id] if self.id else []), *self.also]
        steering = {"box": self.box, "plus": self.plus, "minus": self.minus, "distinct": self.distinct}
        given: dict[str, Any] = {
            "k": self.k,
            "labels": list(self.classes) or None,
            "min_score": self.least,
            "rank": rank,
            "approx": approx,
            **steering,
        }
        return gallery.search(self.picture, id=ids[0] if len(ids) == 1 else ids or None, **given)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name) or ""
    if not isinstance(value, str):
        raise BadQuery(f"{name} must be a text; it is {value!r:.40}.")
    return value


def _texts(given: Mapping[str, Any], name: str) -> tuple[str, ...]:
    values = given.get(name) or []
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise BadQuery(f"{name} must be a list of texts; it is {values!r:.40}.")
    return tuple(values)


def uploaded(given: Any, uploads: Path) -> Path:
    """The file of an upload; a forged request may name any file of the machine.

    :raises BadQuery: when it was not uploaded, or is no longer there.
    """
    path = Path(given).resolve() if isinstance(given, str) and "\0" not in given else None
    if path is None or not path.is_relative_to(uploads):
        raise BadQuery("That file was not uploaded.")
    if not path.is_file():
        raise BadQuery("That file is no longer here: uploads are kept for an hour. Drop it again.")
    return path
