"""Searches repeated from their receipts, and what has changed since."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgsearch_kit.errors import BadQuery, KitError
from imgsearch_kit.evaluation.overlap import PERSISTENCE, rank_biased_overlap
from imgsearch_kit.images import SeenPicture
from imgsearch_kit.receipts.reading import Receipt, read_receipt, shortened
from imgsearch_kit.receipts.writing import passport_texts
from imgsearch_kit.records import Failure, IndexPassport
from imgsearch_kit.reports import RunReport, Table
from imgsearch_kit.results import Results

if TYPE_CHECKING:
    from imgsearch_kit.gallery import Gallery


@dataclass(frozen=True, slots=True)
class Replay:
    """One search that was repeated: the rank-biased ``overlap`` of its hits then and now, from 0 to 1.

    ``lost`` and ``new`` are ids of hits that it had then and has now, in their rank order. ``changed`` maps each field
    of the index's passport that has another value to both, then and now.
    """

    receipt: str
    overlap: float
    lost: tuple[str, ...]
    new: tuple[str, ...]
    changed: Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class Replays(RunReport):
    """Searches that were repeated, in the order they were given, and receipts that could not be (``failed``)."""

    replays: tuple[Replay, ...]
    failed: tuple[Failure, ...] = ()
    persistence: float = PERSISTENCE

    @property
    def least(self) -> float:
        """The smallest overlap, 0 if nothing was repeated."""
        return min((replay.overlap for replay in self.replays), default=0.0)

    def title(self) -> str:
        """How many searches were repeated, and the smallest overlap."""
        count = f"{len(self.replays):,} search{'' if len(self.replays) == 1 else 'es'} repeated"
        return f"{count}, smallest overlap {self.least:.4f}" if self.replays else count

    def tables(self) -> Sequence[Table]:
        """The searches, what was lost and what is new in each, what has changed of the index, and the failures."""
        rows = [(each.receipt, each.overlap, len(each.lost), len(each.new)) for each in self.replays]
        moved = [
            (each.receipt, word, id_)
            for each in self.replays
            for word, ids in (("lost", each.lost), ("new", each.new))
            for id_ in ids
        ]
        changes = {(name, *both): None for each in self.replays for name, both in each.changed.items()}
        return [
            *([Table(rows, ("receipt", "overlap", "lost", "new"))] if rows else []),
            *([Table(moved, title="Hits")] if moved else []),
            *([Table(list(changes), ("", "then", "now"), "Index")] if changes else []),
            *super().tables(),
        ]

    def notes(self) -> Sequence[str]:
        """What the overlap is."""
        words = f"Overlap: extrapolated rank-biased overlap of persistence {self.persistence:g}, 1 where nothing moved."
        return [words] if self.replays else []

    def frame(self) -> Iterable[Mapping[str, Any]]:
        """The rows of ``to_dataframe``, one a search: its receipt, overlap, and the numbers of hits lost and new."""
        return (
            {"receipt": each.receipt, "overlap": each.overlap, "lost": len(each.lost), "new": len(each.new)}
            for each in self.replays
        )


def replay(gallery: Gallery, receipts: Sequence[Path], pictures: Sequence[Path] = ()) -> Replays:
    """The searches of receipts, repeated on a gallery; ``pictures`` are original query files, known by their sha256.

    An original is searched for in place of the pixels in the receipt; without it these must fit the network.
    """
    originals = {hashlib.sha256(_content(path)).hexdigest(): path for path in pictures}
    done, failed = [], []
    for path in receipts:
        try:
            done.append(_compared(gallery, read_receipt(path), originals))
        except KitError as error:
            failed.append(Failure(str(path), shortened(str(error))))
    return Replays(tuple(done), tuple(failed))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadQuery(f"The picture {path} cannot be read: {error.strerror}. Give the file of a query.") from error


def _compared(gallery: Gallery, receipt: Receipt, originals: Mapping[str, Path]) -> Replay:
    found = _repeated(gallery, receipt, originals)
    now = tuple(hit.id for hit in found.hits)
    then_set, now_set = set(receipt.hits), set(now)
    return Replay(
        str(receipt.path),
        rank_biased_overlap(receipt.hits, now),
        tuple(id_ for id_ in receipt.hits if id_ not in now_set),
        tuple(id_ for id_ in now if id_ not in then_set),
        _changes(receipt.passport, gallery.passport),
    )


def _repeated(gallery: Gallery, receipt: Receipt, originals: Mapping[str, Path]) -> Results:
    """The answer to a receipt's search now."""
    asked, box = dict(receipt.asked), receipt.asked.get("box")
    pictures: list[Any] = []
    ids: list[str] = []
    for about, pixels in zip(receipt.queries, receipt.seen, strict=True):
        original = originals.get(about.get("sha256", ""))
        if pixels is None:
            ids.append(about["id"])
        elif original:
            pictures.append(original)
        else:
            _check_fits(gallery, about, len(pixels), receipt.resampling)
            pictures.append(SeenPicture(pixels, about))
            asked["box"] = None  # the pixels are of the box
    if box and any(pixels is None for pixels in receipt.seen):
        raise BadQuery(f"{receipt.path} has a box and no pixels of it, so no search of the kit wrote it.")
    return gallery.search(pictures or None, id=ids or None, **asked)


def _check_fits(gallery: Gallery, about: Mapping[str, Any], side: int, resampling: str) -> None:
    """Checks that the network of a gallery takes pixels as a receipt has them.

    :raises BadQuery: when it takes another number of them, or pictures scaled in another way.
    """
    spec = gallery.passport.spec or gallery.extractor.spec
    if side == spec.side and resampling in ("", spec.resampling):
        return
    name = about.get("file") or about.get("id") or "the query picture"
    raise BadQuery(
        f"The receipt has {side} x {side} pixels ({resampling or 'scaled in an unknown way'}) of {name}, and "
        f"{spec.name} takes {spec.side} x {spec.side} ({spec.resampling}). Give the original file with --picture FILE."
    )


def _changes(then: Mapping[str, str], passport: IndexPassport) -> dict[str, tuple[str, str]]:
    """The fields of a passport that another one has with another value, or not at all ("")."""
    now = {name: shortened(text) for name, text in passport_texts(passport.published()).items()}
    names = dict.fromkeys([*then, *now])
    return {name: (then.get(name, ""), now.get(name, "")) for name in names if then.get(name) != now.get(name)}
