"""One of N parts of a folder, so that N processes, on any machines, index it together."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any, Self

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.names import normal


@dataclass(frozen=True)
class Part:
    """Part ``number`` (from 1) of ``total`` parts of a folder's files.

    Every path belongs to one part by a hash of its id alone: on every machine the same one, whatever other files there
    are and in whichever order they are listed.
    """

    number: int
    total: int

    @classmethod
    def parse(cls, text: Any) -> Self:
        """The part that "2/4" is: the second of four.

        :raises BadQuery: when the text has another form, or there is no such part.
        """
        found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text) if isinstance(text, str) else None
        if found and 1 <= int(found[1]) <= int(found[2]):
            return cls(int(found[1]), int(found[2]))
        raise BadQuery(f"A part is written I/N with I from 1 to N, as 1/4, 2/4, 3/4 and 4/4; it is {text!r}.")

    def __contains__(self, id_: str) -> bool:
        name = normal(id_).encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(name, digest_size=8).digest()
        return int.from_bytes(digest) % self.total == self.number - 1

    def __str__(self) -> str:
        return f"{self.number}/{self.total}"


def part_given(part: str | None, *, prune: bool = False, rebuild: bool = False) -> Part | None:
    """The part that a run shall do, None for the whole folder.

    :raises BadQuery: when there is no such part, or it is combined with ``prune`` or ``rebuild``.
    """
    if part is None:
        return None
    parsed = Part.parse(part)
    if prune:
        raise BadQuery(
            f"--prune cannot be combined with --part {parsed}: a file that seems to be gone may have been renamed to a "
            "name of another part, which takes its vector from there. Run the command with --prune and without --part "
            "when all parts are done."
        )
    if rebuild:
        raise BadQuery(
            f"--rebuild cannot be combined with --part {parsed}: one process fills the new index and puts it in place "
            "of the old one. Rebuild without --part, or make another index by parts: --index NEW_ADDRESS"
        )
    return parsed
