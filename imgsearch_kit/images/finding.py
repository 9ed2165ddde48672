"""Finds the picture files below a folder."""

from __future__ import annotations

import os
import re
import stat
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.records import Failure

# Kept by network disks and desktops for their own thumbnails and deleted files; compared in lower case.
SYSTEM_FOLDERS = frozenset(
    {"@eadir", "@tmp", "@recycle", "@recently-snapshot", "#recycle", "#snapshot", "$recycle.bin", "recycler"}
    | {"system volume information", "lost+found", "__macosx"}
)
SUFFIXES = re.compile(r"\.(jpe?g|jpe|jfif|png|webp|gif|bmp|dib|tiff?|avif|hei[cf])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FoundImage:
    """A file that looks like a picture: ``id`` is its POSIX path below the root, ``label`` its folder's name.

    ``label`` is None at the root. ``size`` is in bytes, ``mtime`` and ``ctime`` in seconds since 1970; ``inode`` and
    ``ctime`` are as in ``ImageRecord``.
    """

    path: Path
    id: str
    label: str | None
    size: int
    mtime: float
    inode: int
    ctime: float


@dataclass(frozen=True, slots=True)
class Found:
    """The pictures below a folder in id order, what could not be read, in path order, and the folders left out.

    ``system`` has the paths below the folder of ``SYSTEM_FOLDERS``, in order.
    """

    images: list[FoundImage]
    unreadable: list[Failure]
    system: list[str] = field(default_factory=list)


def find_images(root: Path) -> Found:
    """All files below ``root`` whose extension is a picture's, except hidden ones and those in system folders.

    Linked folders are followed, each real folder once; a folder's real path is preferred to a link to it. Unreadable
    folders, broken links and names that are not UTF-8 are reported.

    :raises BadQuery: when ``root`` is missing, not a folder, or cannot be read.
    """
    root = Path(root)
    images: list[FoundImage] = []
    unreadable: list[Failure] = []
    system: list[str] = []
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
        for entry in entries:
            if entry.name.startswith("."):
                continue
            found = _look_at(entry, root)
            if isinstance(found, FoundImage):
                images.append(found)
            elif isinstance(found, Failure):
                unreadable.append(found)
            elif found is not None and entry.name.lower() in SYSTEM_FOLDERS:
                system.append(_id(found, root))
            elif found is not None:
                (links if entry.is_symlink() else folders).append(found)
    return Found(
        sorted(images, key=lambda image: image.id), sorted(unreadable, key=lambda failure: failure.path), sorted(system)
    )


def _look_at(entry: os.DirEntry[str], root: Path) -> FoundImage | Failure | Path | None:
    """The kind of a folder's entry: a picture, a failure, a folder to search, or None for other files."""
    path = Path(entry.path)
    picture = SUFFIXES.fullmatch(path.suffix)
    try:
        status = entry.stat()
    except OSError as error:
        # A broken link without an extension may have been a folder.
        reason = "The link is broken" if entry.is_symlink() else f"The file cannot be read: {error.strerror}"
        return Failure(_id(path, root), reason) if picture or not path.suffix else None
    if stat.S_ISDIR(status.st_mode):
        return path
    if not picture or not stat.S_ISREG(status.st_mode):
        return None
    image_id = path.relative_to(root).as_posix()
    if image_id != _id(path, root):
        return Failure(_id(path, root), "The name is not UTF-8; rename it", status.st_size, status.st_mtime)
    label = path.parent.name if path.parent != root else None
    inode = status.st_ino % 2**63  # an index holds signed integers, and some file systems use the highest bit
    return FoundImage(path, image_id, label, status.st_size, status.st_mtime, inode, status.st_ctime)


def _id(path: Path, root: Path) -> str:
    """A path below the root as an id that can always be printed and stored."""
    return path.relative_to(root).as_posix().encode("utf-8", "backslashreplace").decode()
