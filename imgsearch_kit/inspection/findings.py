"""What was found in a collection: duplicates, hubs and orphans, suspected labels, and their effects on P@k."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imgsearch_kit.reports import Report, Table, more, plain
from imgsearch_kit.vectors import Ints

SHOWN = 10  # of each list


@dataclass(frozen=True)
class Suspect:
    """A picture whose neighbours are of another class: ``share`` of its ``k`` nearest have the label ``proposed``."""

    id: str
    label: str
    proposed: str
    share: float


@dataclass(frozen=True)
class Effect:
    """P@k for one treatment of a finding: ``precision`` is the mean over ``queries`` pictures, None without any."""

    name: str
    what: str
    queries: int
    precision: float | None


@dataclass(frozen=True)
class Health(Report):
    """What was found in ``n`` pictures, all lists of ids.

    ``duplicates`` are groups of equal files, ``near_duplicates`` groups linked by cosines of at least ``near`` that are
    not one such group alone; the largest first. ``occurrence`` ``(n,)`` counts in how many other pictures' ``k``
    nearest each picture of ``ids`` is; ``hubs`` pairs id and that count, most first; ``orphans`` are in none.
    ``skewness`` is that of the counts. ``suspects`` are in order of (-share, id). ``unhashed`` is the number of
    pictures without a hash: whether they are duplicates is unknown.
    """

    ids: Sequence[str]
    k: int
    near: float
    duplicates: list[list[str]]
    near_duplicates: list[list[str]]
    occurrence: Ints
    skewness: float
    hubs: list[tuple[str, int]]
    orphans: list[str]
    suspects: list[Suspect]
    effects: list[Effect]
    unhashed: int = 0

    def to_json(self) -> dict[str, Any]:
        """The document of ``imgsearch health --json``."""
        return {
            "pictures": len(self.ids),
            "k": self.k,
            "near": self.near,
            "note": " ".join(self.notes()),
            "duplicates": self.duplicates,
            "near_duplicates": self.near_duplicates,
            "skewness": self.skewness,
            "hubs": [{"id": name, "occurrence": count} for name, count in self.hubs],
            "orphans": self.orphans,
            "suspects": plain(self.suspects),
            "effects": [
                {"name": e.name, "what": e.what, "queries": e.queries, f"P@{self.k}": e.precision} for e in self.effects
            ],
        }

    def frame(self) -> Iterable[Mapping[str, Any]]:
        """The rows of ``to_dataframe``, one per picture: id, occurrence, hub, orphan, groups and suspected label.

        ``duplicates`` and ``near_duplicates`` number the picture's group from 0, -1 where it is in none; ``proposed``
        and ``share`` are None where the label is not suspected.
        """
        hubs, orphans = {name for name, _ in self.hubs}, set(self.orphans)
        equal, near = (
            {name: number for number, group in enumerate(groups) for name in group}
            for groups in (self.duplicates, self.near_duplicates)
        )
        suspects = {suspect.id: suspect for suspect in self.suspects}
        return (
            {
                "id": name,
                "occurrence": int(count),
                "hub": name in hubs,
                "orphan": name in orphans,
                "duplicates": equal.get(name, -1),
                "near_duplicates": near.get(name, -1),
                "proposed": suspects[name].proposed if name in suspects else None,
                "share": suspects[name].share if name in suspects else None,
            }
            for name, count in zip(self.ids, self.occurrence, strict=True)
        )

    def title(self) -> str:
        """How many pictures were examined."""
        return f"{len(self.ids):,} pictures"

    def tables(self) -> Sequence[Table]:
        """The findings, the first of each list, and their effects on P@k."""
        extra, near = (sum(len(group) - 1 for group in groups) for groups in (self.duplicates, self.near_duplicates))
        far = f"far more often among the {self.k} nearest than others (skewness {self.skewness:.2f})"
        within = f"groups (cosine at least {self.near:g})"
        duplicates = f"{extra} duplicates in {len(self.duplicates)} groups of equal files"
        duplicates = "duplicates are not known" if self.unhashed == len(self.ids) else duplicates
        found: dict[str, Iterable[str]] = {
            duplicates if self.unhashed < len(self.ids) else "duplicates are not known": map(
                " = ".join, self.duplicates
            ),
            f"{near} near-duplicates in {len(self.near_duplicates)} {within}": map(" ~ ".join, self.near_duplicates),
            f"{len(self.hubs)} hubs, {far}": (f"{id_}: among the nearest of {n} pictures" for id_, n in self.hubs),
            f"{len(self.orphans)} orphans, in no picture's {self.k} nearest": self.orphans,
            f"{len(self.suspects)} suspected labels": (
                f"{s.id}: {s.label}, but {s.share:.0%} of its neighbours are {s.proposed}" for s in self.suspects
            ),
        }
        effects = [(e.name, e.precision, e.queries, e.what) for e in self.effects if self.effects[0].queries]
        return [
            *(_listed(title, list(items)) for title, items in found.items()),
            Table(effects, ("", f"P@{self.k}", "queries", "")),
        ]

    def notes(self) -> Sequence[str]:
        """A note if duplicates are unknown."""
        if not self.unhashed:
            return []
        return [
            f"It is unknown whether {self.unhashed:,} of {len(self.ids):,} pictures are duplicates, because "
            "their index has no sha256 of them. Index their folder to find out."
        ]


def _listed(title: str, items: Sequence[str]) -> Table:
    """The first of a list below its title."""
    return Table([(item,) for item in (*items[:SHOWN], *more(len(items), SHOWN))], title=title)
