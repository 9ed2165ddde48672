"""Finds the picture files below a folder."""

from __future__ import annotations

import os
import re
import stat
from collections import Counter, deque
from collections.abc import Set
from dataclasses import dataclass, field
from pathlib import Path

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.images.kinds import OTHER_FILES, PICTURES, SPECIAL_FILES, UNREADABLE_FILES, format_of, kind_by_name
from imgsearch_kit.records import Failure

# Kept by network disks, desktops and programs for their own thumbnails, caches and deleted files; in lower case.
SYSTEM_FOLDERS = frozenset(
    {"@eadir", "@tmp", "@recycle", "@recently-snapshot", "@__thumb", "#recycle", "#snapshot"}
    | {"$recycle.bin", "recycler", "recycled", "system volume information", "lost+found"}
    | {"__macosx", "network trash folder", "temporary items", "ipod photo cache", "__pycache__", "node_modules"}
)
SYSTEM_NAMES = re.compile(r"found\.\d{3}|.+\.lrdata")  # of a repaired disk, previews of Lightroom
PHOTOS_LIBRARY = ".photoslibrary"  # of Apple's Photos: ``originals`` or ``Masters`` beside copies of them
LIBRARY_COPIES = frozenset({"derivatives", "resources"})


@dataclass(frozen=True, slots=True)
class FoundImage:
    """A file that looks like a picture: ``id`` is its POSIX path below the root.

    ``size`` is in bytes, ``mtime`` and ``ctime`` in seconds since 1970; ``inode`` and
    ``ctime`` are as in ``ImageRecord``.
    """

    path: Path
    id: str
    size: int
    mtime: float
    inode: int
    ctime: float


@dataclass(frozen=True, slots=True)
class Found:
    """The pictures below a folder in id order, what could not be read, in path order, and what was left out.

    ``system`` has the paths below the folder of system folders, in order, ``passed_over`` how many files of which
    kind are no pictures or of a kind that the kit does not read.
    """

    images: list[FoundImage]
    unreadable: list[Failure]
    system: list[str] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)


def find_images(root: Path, *, within: Path | None = None) -> Found:
    """All pictures below ``root``, except hidden ones and those in system folders.

    A picture is known by its extension, and where that is missing or unknown (``photo.jpg?w=200``) by its first bytes;
    a file with the extension of another kind is only counted.

    Linked folders are followed, each real folder once; a folder's real path is preferred to a link to it. Unreadable
    folders, broken links and names that are not UTF-8 are reported, and links that lead out of ``within`` too.

    :raises BadQuery: when ``root`` is missing, not a folder, or cannot be read.
    """
    root, bounds = Path(root), within and Path(os.path.realpath(within))
    images: list[FoundImage] = []
    unreadable: list[Failure] = []
    system: list[str] = []
    passed_over: Counter[str] = Counter()
    folders, links = deque([root]), deque[Path]()
    seen: set[str] = set()
    while folders or links:
        folder = folders.popleft() if folders else links.popleft()
        real = os.path.realpath(folder)
        if real in seen:
            continue
        seen.add(real)
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            if folder == root:
                raise BadQuery(f"{root} cannot be read: {error.strerror}; give a folder of pictures") from error
            unreadable.append(Failure(_id(folder, root), f"The folder cannot be read: {error.strerror}"))
            continue
        names = {entry.name for entry in entries}
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if bounds and entry.is_symlink() and not Path(os.path.realpath(entry.path)).is_relative_to(bounds):
                unreadable.append(Failure(_id(Path(entry.path), root), "The link leads out of the folder"))
                continue
            found = _look_at(entry, root, names)
            if isinstance(found, FoundImage):
                images.append(found)
            elif isinstance(found, Failure):
                unreadable.append(found)
            elif isinstance(found, str):
                passed_over[found] += 1
            elif _is_system(found, root):
                system.append(_id(found, root))
            else:
                (links if entry.is_symlink() else folders).append(found)
    images.sort(key=lambda image: image.id)
    unreadable.sort(key=lambda failure: failure.path)
    return Found(images, unreadable, sorted(system), passed_over)


def _look_at(entry: os.DirEntry[str], root: Path, names: Set[str]) -> FoundImage | Failure | Path | str:
    """What a folder's entry is: a picture, a failure, a folder to search, or the kind of file that is passed over."""
    path = Path(entry.path)
    kind = kind_by_name(path.name)
    try:
        status = entry.stat()
    except OSError as error:
        if kind not in (PICTURES, None):
            return kind
        # A broken link without an extension may have been a folder.
        reason = "The link is broken" if entry.is_symlink() else f"The file cannot be read: {error.strerror}"
        return Failure(_id(path, root), reason)
    if stat.S_ISDIR(status.st_mode):
        return path
    if not stat.S_ISREG(status.st_mode):
        return SPECIAL_FILES
    kind = kind or _kind_by_first_bytes(path, names)
    if kind != PICTURES:
        return kind
    image_id = path.relative_to(root).as_posix()
    if image_id != _id(path, root):
        return Failure(_id(path, root), "The name is not UTF-8; rename it", status.st_size, status.st_mtime)
    inode = status.st_ino % 2**63  # an index holds signed integers, and some file systems use the highest bit
    return FoundImage(path, image_id, status.st_size, status.st_mtime, inode, status.st_ctime)


def _is_system(folder: Path, root: Path) -> bool:
    """Whether a folder below the root is kept by a system or program for itself."""
    name = folder.name.lower()
    above = (root.name, *folder.parent.relative_to(root).parts)
    in_library = any(each.lower().endswith(PHOTOS_LIBRARY) for each in above)
    return name in SYSTEM_FOLDERS or bool(SYSTEM_NAMES.fullmatch(name)) or (in_library and name in LIBRARY_COPIES)


def _kind_by_first_bytes(path: Path, names: Set[str]) -> str:
    """The kind of a regular file whose extension says nothing; ``names`` are those beside it."""
    if names & {f"{path.name}-wal", f"{path.name}-shm"}:  # a database in use; see ``kinds``
        return OTHER_FILES
    try:
        with path.open("rb") as file:
            return PICTURES if format_of(file.read(16)) else OTHER_FILES
    except OSError:
        return UNREADABLE_FILES


def _id(path: Path, root: Path) -> str:
    """A path below the root as an id that can always be printed and stored."""
    return path.relative_to(root).as_posix().encode("utf-8", "backslashreplace").decode()
