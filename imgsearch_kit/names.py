"""Names as people type them and as disks store them: a Mac and Linux spell one name in two Unicode forms."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath

from imgsearch_kit.errors import BadQuery


def has_other_forms(name: str) -> bool:
    """Whether a name may be spelt in another Unicode form; what is ASCII, or no text, is not."""
    return isinstance(name, str) and not name.isascii()


def normal(name: str) -> str:
    """The name in Unicode's normal form C, in which names are compared."""
    return unicodedata.normalize("NFC", name) if has_other_forms(name) else name


def alike(name: str, stored: Iterable[str]) -> str | None:
    """The stored path that a path means; None where there is none.

    The path may be wrong in its case, lack the suffix, or begin with folders above the indexed one. Of several, one of
    the same case comes first, then the first one, and below such folders the one that keeps most of them.
    """
    if not isinstance(name, str):  # what a caller took for an id
        return None
    wanted = normal(name).casefold()
    forms = {known: _without_suffix(normal(known).casefold()) for known in stored}
    found = [known for known, written in forms.items() if wanted in written]
    if not found:
        below = [known for known, written in forms.items() if wanted.endswith(tuple(f"/{form}" for form in written))]
        return max(below, key=len, default=None)
    return next((known for known in found if known.startswith(name)), found[0])


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
