"""The folder of a site: written aside, then put in place of an earlier site, with whatever else lies there kept."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.outputs import GENERATOR

MARK = "site.json"  # its "generator" says that the kit wrote the folder
KEPT_BY_OWNER = ("README.md", ".github/workflows/pages.yml")  # written once; then they belong to the owner of the site


def check_site_folder(folder: Path) -> None:
    """Checks that a site may be written to a folder: there is none, it is empty, or it holds an earlier site.

    A hidden folder such as ``.git`` does not count.

    :raises BadQuery: when it is a file, or holds something else.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise BadQuery(f"{folder} is a file. Name a folder for the site: -o FOLDER")
    others = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
    if others and not _is_site(folder):
        raise BadQuery(
            f"{folder} holds {sorted(others)[0]!r}, and imgsearch did not write a site there. "
            "Name an empty or new folder."
        )


def _is_site(folder: Path) -> bool:
    try:
        return bool(json.loads((folder / MARK).read_text("utf-8"))["generator"] == GENERATOR)
    except (OSError, ValueError, LookupError, TypeError):
        return False


@contextmanager
def site_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder to write a site to; on leaving the block its files replace those of the site in ``folder``.

    After an error the earlier site is unchanged. What else lies in ``folder`` stays, and so do the files that belong to
    the owner.

    :raises BadQuery: when the folder may not be written (see ``check_site_folder``), or cannot be.
    """
    check_site_folder(folder)
    new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".site-") as aside:
            made = Path(aside)
            yield made
            for path in sorted(made.rglob("*")):
                path.chmod(0o755 if path.is_dir() else 0o644)  # web servers are other users
            for path in sorted(made.iterdir(), key=lambda path: path.name == MARK):
                _replace(path, folder)
    except OSError as error:
        raise BadQuery(f"{folder} cannot be written: {error.strerror or error}. Name another folder.") from error
    finally:
        if new and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _replace(made: Path, folder: Path) -> None:
    """Moves one file or folder of a new site into place."""
    target = folder / made.name
    if made.name.startswith(".") and made.is_dir():  # .github has other files, too
        for path in (path for path in made.rglob("*") if path.is_file()):
            _place(path, target / path.relative_to(made))
    elif made.is_dir():
        shutil.rmtree(target, ignore_errors=True)
        made.rename(target)
    else:
        _place(made, target)


def _place(made: Path, target: Path) -> None:
    if target.exists() and any(target.as_posix().endswith(f"/{name}") for name in KEPT_BY_OWNER):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    made.replace(target)
