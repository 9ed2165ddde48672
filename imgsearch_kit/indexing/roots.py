"""Which folders an index holds, and the prefixes that keep their ids apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from imgsearch_kit.errors import BadQuery, IndexMismatch
from imgsearch_kit.images import Found, FoundImage
from imgsearch_kit.index.base import VectorIndex
from imgsearch_kit.indexing.report import kinds_text
from imgsearch_kit.names import Names, normal
from imgsearch_kit.records import IndexPassport


def stored_prefix(passport: IndexPassport, prefix: str) -> str:
    """The prefix in the Unicode form in which an index has it, or will have it."""
    return Names(passport.roots).fitting(prefix) or normal(prefix)


def check_has_pictures(found: Found, root: Path) -> None:
    """Checks that a folder has pictures.

    :raises BadQuery: when ``root`` has none.
    """
    if not found.images:
        over = f" (files passed over: {kinds_text(found.passed_over)})" if found.passed_over else ""
        raise BadQuery(f"There is no picture below {root} that the kit can read{over}. Give another folder.")


def with_prefix(prefix: str, path: str) -> str:
    """The id of a path below a folder."""
    return f"{prefix}/{path}" if prefix else path


def check_root(before: str | None, root: Path) -> None:
    """Checks that a folder is the one that an index was made from.

    :raises IndexMismatch: when ``before`` is another one.
    """
    if before not in (None, str(root)):
        raise IndexMismatch(
            f"This index holds the pictures of {before}, not of {root}. Add a second folder with --prefix NAME, "
            f"or use --root {root} if the folder has moved."
        )


def claim_root(index: VectorIndex, root: Path, prefix: str, images: Sequence[FoundImage], moved_root: bool) -> None:
    """Writes the folder into the passport, after a check that its ids cannot be confused with another folder's.

    The index's passport has been read since another could write.
    """
    if prefix and (set(prefix.split("/")) & {"", ".", ".."} or "\\" in prefix or not prefix.isprintable()):
        raise BadQuery(f"The prefix {prefix!r} must be a plain name such as holidays or 2024/may.")
    before = index.passport.roots.get(prefix)
    if not moved_root:
        check_root(before, root)
    taken_by_other = before is None and prefix and any(r.id.startswith(prefix + "/") for r in index.records())
    if taken_by_other and prefix not in index.read_passport().roots:  # another part may just have begun
        raise BadQuery(f"The index already has a folder named {prefix!r} below another root. Choose another --prefix.")
    others = index.passport.amended(roots={prefix: ""})
    taken = {others.prefix_of(image.id) for image in images} - {prefix}
    if taken:
        raise BadQuery(
            f"{root} has a folder whose ids would begin with {min(taken)!r}, a prefix of this index already. "
            "Choose another --prefix NAME."
        )
    if before != str(root):
        index.amend(roots={prefix: str(root)})
