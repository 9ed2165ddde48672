"""Names as people type them and as disks store them: a Mac and Linux spell one name in two Unicode forms."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath

from imgsearch_kit.errors import BadQuery

MOST_SUGGESTED = 50_000  # pictures of an index whose ids are read to compare an unknown one with them: about a second


def has_other_forms(name: str) -> bool:
    """Whether a name may be spelt in another Unicode form; what is ASCII, or no text, is not."""
    return isinstance(name, str) and not name.isascii()


def normal(name: str) -> str:
    """The name in Unicode's normal form C, in which names are compared."""
    return unicodedata.normalize("NFC", name) if has_other_forms(name) else name


def alike(names: Iterable[str], stored: Iterable[str]) -> dict[str, str]:
    """The stored path that each of some paths means; paths that mean none are left out.

    A path may be wrong in its case, lack the suffix, or begin with folders above the indexed one. Of several, one of
    the same case comes first, then the first one, and below such folders the one that keeps most of them.
    """
    ends = {name: _ends(normal(name).casefold()) for name in names if isinstance(name, str)}  # or taken for an id
    wanted = {end for each in ends.values() for end in each}
    found = defaultdict(list)
    for path in stored:
        for form in wanted.intersection(_without_suffix(normal(path).casefold())):
            found[form].append(path)
    meant = {name: next((found[end] for end in each if end in found), []) for name, each in ends.items()}
    return {
        name: next((path for path in paths if path.startswith(name)), paths[0])
        for name, paths in meant.items()
        if paths
    }


def _ends(path: str) -> list[str]:
    """A path, and what of it is below each of its folders, the longest first."""
    return [path, *(path[at + 1 :] for at, letter in enumerate(path) if letter == "/" and path[at + 1 :])]


def _without_suffix(path: str) -> tuple[str, str]:
    """A path, and the path without its suffix."""
    return path, str(PurePosixPath(path).with_suffix("")) if path.strip("/.") else path


class Names:
    """Stored names (ids, prefixes), to which the names that people give are matched."""

    def __init__(self, stored: Iterable[str]):
        self._by_form: dict[str, list[str]] = defaultdict(list)
        for name in stored:
            self._by_form[normal(name)].append(name)

    def fitting(self, name: str) -> str | None:
        """The stored name that a name stands for: the same one, else the one with the same normal form, else None.

        :raises BadQuery: when it is none of them exactly, and several have its normal form.
        """
        found = self._by_form.get(normal(name), [])
        if name in found:
            return name
        if len(found) > 1:
            raise BadQuery(
                f"{name!r} fits {len(found)} names, which look alike and are spelt differently in Unicode: "
                f"{', '.join(map(ascii, sorted(found)))}. Rename one of them, or copy the id from `imgsearch export`."
            )
        return found[0] if found else None
