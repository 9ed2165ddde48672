"""What a run of indexing did, in numbers of pictures, and what it left out."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from imgsearch_kit.records import Failure
from imgsearch_kit.reports import RunReport


@dataclass
class IndexReport(RunReport):
    """What one run of ``index_folder`` did, in numbers of pictures, and the files it could not read.

    ``warnings`` has a sentence for classes that cannot be meant. ``part`` is the part of the folder, "2/4", that the
    run did, with ``in_part`` of the ``in_folder`` picture files; "" for the whole folder.
    """

    added: int = 0
    updated: int = 0
    moved: int = 0
    unchanged: int = 0
    relabelled: int = 0
    removed: int = 0
    vanished: int = 0
    system_folders: int = 0
    passed_over: Counter[str] = field(default_factory=Counter)  # by kind
    failed: list[Failure] = field(default_factory=list)
    seconds: float = 0.0
    warnings: list[str] = field(default_factory=list)
    part: str = ""
    in_part: int = 0
    in_folder: int = 0

    def __iadd__(self, other: IndexReport) -> Self:
        for name in (each.name for each in dataclasses.fields(self)):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.warnings = other.warnings  # the later run has seen the whole index
        return self

    def counts(self) -> dict[str, int]:
        """The numbers that are not zero, by name."""
        names = ("added", "updated", "moved", "unchanged", "relabelled", "removed", "vanished")
        return {name: getattr(self, name) for name in names if getattr(self, name)}

    def title(self) -> str:
        """What was done, of which part, and how long it took."""
        done = (f"{count:,} {name}" for name, count in self.counts().items() if name != "vanished")
        share = f"part {self.part}, {self.in_part:,} of {self.in_folder:,} files: " if self.part else ""
        return f"{share}{', '.join(done) or 'nothing to do'} in {self.seconds:.1f} s"

    def to_json(self) -> dict[str, Any]:
        """The fields as plain JSON values, those about a part only where the run did one."""
        document = super().to_json()
        if not self.part:
            for name in ("part", "in_part", "in_folder"):
                del document[name]
        return document

    def notes(self) -> Sequence[str]:
        """What to do about indexed pictures without a file, and what was left out, if there is any."""
        left = f"system folders left out, such as @eaDir or $RECYCLE.BIN: {self.system_folders:,}"
        gone = f"{self.vanished:,} indexed pictures are no longer in the folder; --prune removes them from the index"
        over = f"files passed over: {kinds_text(self.passed_over)}"
        notes = [gone] * bool(self.vanished) + [left] * bool(self.system_folders) + [over] * bool(self.passed_over)
        return notes + self.warnings


def kinds_text(passed_over: Counter[str]) -> str:
    """How many files of which kind were passed over, the most first."""
    return ", ".join(f"{count:,} {kind}" for kind, count in passed_over.most_common())
