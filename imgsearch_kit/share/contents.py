"""What a site will show to everyone who can open it: chosen, and listed for its owner before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from imgsearch_kit.arguments import strings
from imgsearch_kit.errors import BadQuery, KitError
from imgsearch_kit.names import normal
from imgsearch_kit.records import ImageRecord
from imgsearch_kit.reports import Report, Table, more, visible

LISTED_NAMES = 20  # as text; the JSON document has all


@dataclass(frozen=True)
class PackContents(Report):
    """The pictures of a site, in id order, with the names and classes by which it shows them.

    ``records`` are the pictures, ``names`` their names on the site: ids, or numbers from 1 for an ``anonymous`` site.
    ``excluded`` is how many pictures were left out by their class.
    """

    records: Sequence[ImageRecord]
    names: Sequence[str]
    anonymous: bool
    excluded: int

    @property
    def classes(self) -> dict[str, int]:
        """How many pictures each class has, in order of the classes."""
        counts: dict[str, int] = {}
        for label in sorted(record.label for record in self.records if record.label):
            counts[label] = counts.get(label, 0) + 1
        return counts

    def title(self) -> str:
        """How much there is to see."""
        count, classes = len(self.records), len(self.classes)
        left_out = f"; {self.excluded:,} of excluded classes are left out" if self.excluded else ""
        pictures = f"{count:,} {'picture' if count == 1 else 'pictures'}"
        return (
            f"Everyone who can open the site will see {pictures} in {classes:,} "
            f"{'class' if classes == 1 else 'classes'}{left_out}"
        )

    def tables(self) -> Sequence[Table]:
        """The classes, and the first names."""
        names = [(visible(name),) for name in self.names[:LISTED_NAMES]]
        names += [(line,) for line in more(len(self.names), LISTED_NAMES)]
        classes = [Table(list(self.classes.items()), title="Classes")] if self.classes else []
        return [*classes, Table(names, title="Names of pictures")]

    def notes(self) -> Sequence[str]:
        """What is shown of each picture."""
        shown = "a number" if self.anonymous else "its name"
        hint = "" if self.anonymous else " --anonymous gives numbers in place of names."
        return (
            f"Of each picture: a thumbnail without metadata, {shown}, its class, and its vector. Originals and the "
            f"folders of this machine are not part of the site.{hint}",
        )

    def to_json(self) -> dict[str, Any]:
        """The classes with their counts, and all names."""
        return {
            "pictures": len(self.records),
            "classes": self.classes,
            "names": list(self.names),
            "anonymous": self.anonymous,
            "excluded": self.excluded,
        }


def pack_contents(
    records: Sequence[ImageRecord],
    file_of: Callable[[ImageRecord], object],
    *,
    exclude_labels: Sequence[str] = (),
    anonymous: bool = False,
) -> PackContents:
    """The contents of a site of these records, which are in id order; ``file_of`` raises where a picture is gone.

    :raises BadQuery: when there is no such label, no picture is left, or the first pictures are all gone.
    """
    labels = {record.label for record in records}
    excluded = {normal(label) for label in strings("exclude_labels", exclude_labels)}
    if unknown := sorted(excluded - labels):
        raise BadQuery(f"No indexed picture has the label {unknown[0]!r}. `imgsearch info` lists the labels.")
    kept = [record for record in records if record.label not in excluded]
    if not kept:
        raise BadQuery("No picture is left to pack. Index some, or exclude fewer labels.")
    _check_there(kept, file_of)
    names = [str(number) for number in range(1, len(kept) + 1)] if anonymous else [record.id for record in kept]
    return PackContents(kept, names, anonymous, len(records) - len(kept))


def _check_there(records: Sequence[ImageRecord], file_of: Callable[[ImageRecord], object]) -> None:
    """Checks that some picture is where it was, before minutes are spent on all."""
    reason = ""
    for record in records[:: max(1, len(records) // 100)]:
        try:
            file_of(record)
            return
        except KitError as error:
            reason = reason or str(error)
    raise BadQuery(f"A site needs thumbnails of the pictures, and none of them can be found. {reason}")
