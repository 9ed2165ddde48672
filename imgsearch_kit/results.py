"""What a search found: hits in rank order, whether anything looks like the query, and how it shows itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imgsearch_kit.records import Pixels
from imgsearch_kit.reports import Report, Table


@dataclass(frozen=True, slots=True)
class Hit:
    """One neighbour: ``rank`` from 1, ``score`` its cosine in [-1, 1]; ``path`` as in ``ImageRecord``."""

    rank: int
    id: str
    label: str | None
    score: float
    sha256: str = ""
    path: str = ""

    def to_json(self) -> dict[str, Any]:
        """The hit as plain JSON values; ``path`` only where it differs from the id."""
        found = {"rank": self.rank, "id": self.id, "label": self.label, "score": self.score}
        return found | ({"path": self.path} if self.path else {})


def _name_of(query: Mapping[str, Any]) -> str:
    """A query in words: its id or file, whether it is a box, and how many pictures are marked."""
    several = query.get("queries")
    name = f"{len(several)} pictures" if several else query.get("id") or query.get("file") or "a picture"
    words = [f"a box of {name}" if "box" in query else name]
    words += [f"{len(query[mark])} marked {mark}" for mark in ("plus", "minus") if mark in query]
    return ", ".join(words)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether anything indexed is ``like`` the query, as a model tells that was learned with whole classes held out.

    ``closest`` is the cosine of the nearest record, ``usual`` the one that 95 % of the indexed pictures have to another
    one. ``why`` is the sentence of what decided, "" where something is like the query.
    """

    like: bool
    closest: float
    usual: float
    why: str = ""

    def sentence(self) -> str:
        """That nothing looks like the query, and why; "" where something does."""
        return "" if self.like else f"Nothing here looks like this. {self.why}"

    def to_json(self) -> dict[str, Any]:
        """The verdict as plain JSON values."""
        return {"like": self.like, "closest": self.closest, "usual": self.usual}


@dataclass(frozen=True, slots=True)
class Results(Report):
    """The hits of one search in rank order, and separately the query picture's own records.

    ``own`` are ids of the same picture (same id, same sha256, or cosine above 0.9999); ``own_hits`` are the same with
    their cosines, as hits of rank 0. ``ms`` holds the time taken in
    milliseconds under "load" (of the network), "extract" and "search". ``query`` describes the query: its "id" or
    "file", and "sha256"; where they were given its "box", and the ids of the pictures marked "plus" and "minus". Of
    several queries, "queries" describes each.
    ``verdict`` is None where none can be given: for a query that is indexed, among some labels
    only, with an approximate method, and of an index that none was learned of (``imgsearch health`` learns it).
    ``picture`` gives the thumbnail file of an id, so that Jupyter can show the hits. ``asked`` are the arguments of
    the search as plain JSON values, but the queries; of each query ``seen`` has the ``(side, side, 3)`` pixels that the
    network saw, None where the stored vector was taken.
    """

    query: Mapping[str, Any]
    hits: tuple[Hit, ...]
    own: tuple[str, ...] = ()
    method: str = "exact"
    note: str = ""
    ms: Mapping[str, float] = field(default_factory=dict)
    own_hits: tuple[Hit, ...] = field(default=(), repr=False)
    picture: Callable[[str], Path] | None = field(default=None, repr=False, compare=False)
    verdict: Verdict | None = None
    asked: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    seen: tuple[Pixels | None, ...] = field(default=(), repr=False, compare=False)

    def cautions(self) -> Sequence[str]:
        """That nothing looks like the query, where that is so."""
        return [self.verdict.sentence()] if self.verdict else []

    def title(self) -> str:
        """The number of neighbours, the query and the method."""
        name = _name_of(self.query)
        count = f"{len(self.hits)} neighbour{'s' if len(self.hits) > 1 else ''}" if self.hits else "no hits"
        return f"{count} of {name}, {self.method}" + (f" ({self.note})" if self.note else "")

    def tables(self) -> Sequence[Table]:
        """The query's own records, and the hits: rank, score, label and id."""
        own = Table([(id_,) for id_ in self.own], title="the query itself is indexed", picture=self.picture)
        hits = [(hit.rank, hit.score, hit.label or "-", hit.id) for hit in self.hits]
        return [*([own] if self.own else []), Table(hits, picture=self.picture)]

    def frame(self) -> Iterable[Mapping[str, Any]]:
        """The rows of ``to_dataframe``, one a hit: rank, id, label, score, sha256, and path where it is not the id."""
        unused = () if any(hit.path for hit in self.hits) else ("path",)
        return ({name: v for name, v in dataclasses.asdict(hit).items() if name not in unused} for hit in self.hits)

    def columns(self) -> Sequence[str]:
        """The columns of ``to_dataframe`` where there is no hit."""
        return ("rank", "id", "label", "score", "sha256")

    def to_json(self) -> dict[str, Any]:
        """The document of ``imgsearch search --json``."""
        return {
            "query": dict(self.query),
            "method": self.method,
            "note": self.note,
            "hits": [hit.to_json() for hit in self.hits],
            "own": list(self.own),
            "verdict": self.verdict.to_json() if self.verdict else None,
            "ms": dict(self.ms),
        }
