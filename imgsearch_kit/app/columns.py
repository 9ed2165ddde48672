"""The columns that can be compared: rankings, an approximate method with its candidates, and other indexes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from imgsearch_kit.app.cards import count
from imgsearch_kit.app.choices import AS_INDEXED, spec_of
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.ranking.choices import rank_choices
from imgsearch_kit.records import Approx

LOSSLESS = ("exact", "flat")  # the methods that lose no neighbour
COLUMN_CANDIDATES = (20, 100, 500)  # of an approximate method, a column each
APPROXIMATE = "Scores only {} exactly: faster on large indexes, and may miss neighbours."


@dataclass(frozen=True)
class Column:
    """One way to answer: by a gallery under a rank SPEC, or by the approximate method of its index.

    ``key`` stands for it in requests; people read its ``name`` and what it is ``about``.
    """

    key: str
    name: str
    about: str
    gallery: Gallery
    rank: str = ""
    approx: Approx | None = None


def comparable(gallery: Gallery, others: Sequence[Gallery] = ()) -> list[Column]:
    """The columns of a gallery, its plain ranking or its own first, and then those of other galleries."""
    choices = rank_choices(gallery.index.read_passport(), gallery.rank or None)
    columns = [Column(each.spec or AS_INDEXED, each.name, each.what, gallery, each.spec) for each in choices]
    columns[1:1] = _approximate("approximate", gallery)
    taken = {each.name for each in columns}
    for number, other in enumerate(others):
        name = _distinct(_name_beside(gallery, other), taken)
        key, rank = f"index {number}", other.rank or ""
        columns += [Column(key, name, _about(other), other, rank), *_approximate(key, other, f"{name}, ")]
        taken.add(name)
    return columns


def column_of(key: str, columns: Sequence[Column]) -> Column:
    """The column of a key; any other key is a SPEC that ranks the first gallery."""
    own = Column(key, key, "", columns[0].gallery, spec_of(key))
    return next((each for each in columns if each.key == key), own)


def _approximate(key: str, gallery: Gallery, before: str = "") -> list[Column]:
    method, size = gallery.passport.method.partition(":")[0], gallery.passport.count
    if method in LOSSLESS:
        return []
    return [
        Column(
            f"{key}:{each}",
            f"{before}{method}, {each} candidates",
            APPROXIMATE.format(count(each, "picture")),
            gallery,
            approx=Approx(each),
        )
        for each in [each for each in COLUMN_CANDIDATES if each < size] or COLUMN_CANDIDATES[:1]
    ]


def _name_beside(gallery: Gallery, other: Gallery) -> str:
    """What sets an index apart: its extractor or, where that is the same, its method. Never its address."""
    mine, its = gallery.passport, other.passport
    if its.spec and its.spec != mine.spec:
        return its.spec.name
    method = its.method.partition(":")[0]
    return "Another index" if its.method == mine.method else f"Index with {method}"


def _distinct(name: str, taken: set[str]) -> str:
    number = 2
    found = name
    while found in taken:
        found, number = f"{name} ({number})", number + 1
    return found


def _about(gallery: Gallery) -> str:
    passport = gallery.passport
    made_by = f"{passport.spec.name}, " if passport.spec else ""
    ranked = f", ranked by {gallery.rank}" if gallery.rank else ""
    return f"Another index: {count(passport.count, 'picture')}, {made_by}{passport.dim}-d vectors{ranked}."
