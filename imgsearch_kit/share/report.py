"""What was packed: the pictures, the parts and what they take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgsearch_kit.records import Failure
from imgsearch_kit.reports import RunReport, Table, plain


@dataclass(frozen=True)
class PackReport(RunReport):
    """A site or Space that was written: its folder, the bytes of its parts, and the pictures that are not on it.

    ``pictures`` and ``classes`` are how many it shows, ``without`` says which parts it lacks and why, and ``start`` how
    to see it. ``kept`` are the files of an earlier pack that belong to the owner now, and no longer fit the new one.
    """

    path: Path
    pictures: int
    classes: int
    extractor: str
    parts: dict[str, int]
    without: list[str]
    failed: list[Failure]
    start: str
    kept: Sequence[str] = ()

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(self.parts.values())

    def to_json(self) -> dict[str, Any]:
        """The document of ``imgsearch pack --json``."""
        return {
            "path": str(self.path),
            "pictures": self.pictures,
            "classes": self.classes,
            "extractor": self.extractor,
            "bytes": self.size,
            "parts": self.parts,
            "without": self.without,
            "kept": list(self.kept),
            "failed": plain(self.failed),
        }

    def title(self) -> str:
        """The folder, and how large it is."""
        return f"{self.path}: {self.pictures:,} pictures by {self.extractor}, {self.size / 1e6:.1f} MB"

    def tables(self) -> Sequence[Table]:
        """What each part takes, and the failures."""
        rows = [(name, f"{size / 1e6:.2f} MB") for name, size in self.parts.items()]
        return [Table(rows), *super().tables()]

    def notes(self) -> Sequence[str]:
        """What the site lacks, what is kept, and how to look at it."""
        kept = (
            f"{name} is yours and stays as it is; the new one would be another. Delete it and pack again to have that."
            for name in self.kept
        )
        return (*self.without, *kept, self.start)


def part_sizes(folder: Path) -> dict[str, int]:
    """The bytes of each part of a folder that was packed; "page" is all that lies in no folder."""
    sizes: dict[str, int] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        part = path.relative_to(folder).parts[0]
        name = part if (folder / part).is_dir() and not part.startswith(".") else "page"
        sizes[name] = sizes.get(name, 0) + path.stat().st_size
    return sizes
