"""The folder of a site or Space: written aside, then put in place of an earlier one, with all other files kept."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.outputs import GENERATOR

MARK = "site.json"  # its "generator" says that the kit wrote the folder, its "kind" what it is
WRITTEN = "packed-files.json"  # the paths of all files that the kit wrote, so that a new pack removes no others
# These are written once; then they belong to the owner of the site.
KEPT_BY_OWNER = ("README.md", ".github/workflows/pages.yml", ".nojekyll")

PackKind = Literal["site", "space"]


def check_site_folder(folder: Path, kind: PackKind) -> None:
    """Checks that a site or Space may be written to a folder: there is none, it is empty, or holds an earlier one.

    A hidden folder such as ``.git`` does not count.

    :raises BadQuery: when it is a file, holds something else or the other kind, or the list of its files is damaged.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise BadQuery(f"{folder} is a file. Name a folder for the site: -o FOLDER")
    others = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
    if not others:
        return
    mark = _document(folder / MARK)
    if not isinstance(mark, dict) or mark.get("generator") != GENERATOR:
        raise BadQuery(
            f"{folder} holds {sorted(others)[0]!r}, and imgsearch did not write a site there. "
            "Name an empty or new folder."
        )
    if (there := mark.get("kind")) != kind:
        raise BadQuery(
            f"{folder} holds a packed {there or 'folder'}, whose pictures and names would stay beside the new {kind}. "
            "Name an empty or new folder."
        )
    _written(folder)


def _document(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def _written(folder: Path) -> set[str]:
    """The paths of the files that an earlier pack wrote; a path from elsewhere must not lead out of the folder.

    :raises BadQuery: when the list is not there, or names something outside the folder.
    """
    if not (folder / MARK).exists():
        return set()
    names = _listed(_document(folder / WRITTEN))
    if not names or not all(isinstance(name, str) and _is_within(name) for name in names):
        raise BadQuery(
            f"{folder / WRITTEN}, the list of the files that imgsearch wrote there, is gone or damaged. "
            "Name an empty or new folder."
        )
    return set(names)


def _listed(document: Any) -> list[Any]:
    """The paths in a list of files: file names by folder; an earlier version wrote the paths alone. [] of neither."""
    if isinstance(document, list):
        return document
    folders = document if isinstance(document, dict) else {}
    if not all(isinstance(names, list) for names in folders.values()):
        return []
    return [f"{folder}/{name}" if folder else name for folder, names in folders.items() for name in names]


def _is_within(name: str) -> bool:
    """Whether a path leads to a file of a pack: below the folder, and hidden only where packs write hidden files."""
    path = PurePosixPath(name)
    plain = path.as_posix() == name and not path.is_absolute() and not {"\0", "\\"} & {*name}
    return plain and (name in KEPT_BY_OWNER or not any(part.startswith(".") for part in path.parts))


@contextmanager
def site_folder(folder: Path, kind: PackKind) -> Iterator[Path]:
    """A temporary folder to write a site or Space to; on leaving the block its files replace those of the earlier one.

    After an error in the block, or when a file cannot have its place, the earlier one is unchanged. Files in ``folder``
    that no pack wrote stay, and so do those that belong to the owner of the site.

    :raises BadQuery: when the folder may not be written (see ``check_site_folder``), or cannot be.
    """
    check_site_folder(folder, kind)
    new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".site-") as aside:
            made = Path(aside)
            yield made
            _put_in_place(made, folder)
    except OSError as error:
        raise BadQuery(f"{folder} cannot be written: {error.strerror or error}. Name another folder.") from error
    finally:
        if new and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def kept_files(made: Path, folder: Path) -> list[str]:
    """The owner's files in ``folder`` that stay although the new site in ``made`` has others in their place."""
    pairs = [(name, made / name, folder / name) for name in KEPT_BY_OWNER]
    return [
        name
        for name, ours, theirs in pairs
        if ours.is_file() and theirs.is_file() and ours.read_bytes() != theirs.read_bytes()
    ]


def _put_in_place(made: Path, folder: Path) -> None:
    """Moves the files of a new site into place, and removes those of the earlier one."""
    for path in sorted(made.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)  # web servers are other users
    earlier = _written(folder)
    files = {path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file()}
    files -= {name for name in KEPT_BY_OWNER if (folder / name).exists()}
    gone = earlier - files - {*KEPT_BY_OWNER}
    _check_places(folder, {*files, *gone, WRITTEN}, {*earlier, WRITTEN})
    if earlier:  # should this end half way, both lists are known
        _write_list(folder, files | earlier)
    for name in sorted(gone):
        (folder / name).unlink(missing_ok=True)
        _remove_empty(folder, (folder / name).parent)
    for place in sorted(folder / path.relative_to(made) for path in made.rglob("*") if path.is_dir()):
        if not place.exists():
            place.mkdir()
            place.chmod(0o755)
    for name in sorted(files, key=lambda name: (name == MARK, name)):
        (made / name).replace(folder / name)
    _write_list(folder, files)


def _check_places(folder: Path, names: Collection[str], earlier: Collection[str]) -> None:
    """Checks before any change that each file can have its place.

    :raises BadQuery: when a link, a folder, or a file that no pack wrote is there.
    """
    for name in sorted(names):
        for part in [PurePosixPath(name), *PurePosixPath(name).parents][:-1]:
            place, is_file = folder / part, part.as_posix() == name
            what = (
                "a link"
                if place.is_symlink()
                else "a folder"
                if is_file and place.is_dir()
                else "a file that imgsearch did not write"
                if place.is_file() and part.as_posix() not in earlier
                else ""
            )
            if what:
                raise BadQuery(f"{place} is {what}, and the site needs its place. Move it away, or name a new folder.")


def _remove_empty(folder: Path, place: Path) -> None:
    while place != folder and not any(place.iterdir()):
        place.rmdir()
        place = place.parent


def _write_list(folder: Path, names: Collection[str]) -> None:
    """Writes the names of the files by folder, which takes less than half of their paths."""
    folders: dict[str, list[str]] = {}
    for place, _, name in (name.rpartition("/") for name in sorted(names)):
        folders.setdefault(place, []).append(name)
    (folder / WRITTEN).write_text(json.dumps(folders, separators=(",", ":")), encoding="ascii")
