"""What the kit keeps on disk beside an index: its cache folder, and what can be made again from an index.

An artefact (a map, a calibration ...) stays in the cache until the index changes.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import platformdirs

from imgsearch_kit.records import IndexPassport

Made = TypeVar("Made")

FORMAT = 1  # of all artefacts; a kit that computes something else under the same parameters raises it
KEPT = 4  # artefacts of one name and index, with other parameters each

log = logging.getLogger("imgsearch_kit")


def cache_folder() -> Path:
    """The kit's cache folder, which may not exist yet: ``$IMGSEARCH_CACHE`` if set, else the user's cache folder."""
    return Path(os.environ.get("IMGSEARCH_CACHE") or platformdirs.user_cache_dir("imgsearch-kit"))


@contextmanager
def write_whole(path: Path) -> Iterator[Path]:
    """A path in the folder of ``path`` to write to; on leaving, what is there replaces ``path`` in one step.

    Nobody ever reads half a file, and an error leaves what lay at ``path``, and nothing else. The file's name is the
    same, so that its suffix tells a library what to write; two writers do not meet.

    :raises OSError: when the folder is not there or cannot be written.
    """
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as aside:
        whole = Path(aside, path.name)
        yield whole
        whole.replace(path)


def artefact_folder(passport: IndexPassport) -> Path:
    """The folder of an index's artefacts, which may not exist yet; deleting it loses nothing but time."""
    uuid = passport.uuid
    name = uuid if re.fullmatch(r"[0-9A-Za-z-]{1,64}", uuid) else hashlib.sha256(uuid.encode()).hexdigest()
    return cache_folder() / "artefacts" / name


def artefact(
    passport: IndexPassport,
    name: str,
    parameters: Mapping[str, Any],
    make: Callable[[], Made],
    save: Callable[[Made, Path], object],
    load: Callable[[Path], Made],
) -> Made:
    """The artefact of an index in its present generation: loaded if it is there and sound, else made and saved.

    ``name`` is a word with a suffix ("projection.npz"), ``parameters`` plain values that decide the outcome. When a new
    file is saved, those of earlier generations are deleted, and of this one all but the four used last. A cache that
    cannot be written costs time, not the result. An index without uuid cannot be told from another, so nothing of it is
    kept.
    """
    if not passport.uuid:
        return make()
    stem, suffix = Path(name).stem, Path(name).suffix
    decides = json.dumps([FORMAT, passport.count, dict(parameters)], sort_keys=True)
    key = hashlib.sha256(decides.encode()).hexdigest()[:12]
    folder = artefact_folder(passport)
    path = folder / f"{stem}-{passport.generation}-{key}{suffix}"
    if path.exists():
        try:
            made = load(path)
            _touch(path)
            return made
        except Exception as error:  # whatever is wrong with the file, it can be made again
            log.info("%s is damaged (%s) and is made again.", path, error)
    made = make()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with write_whole(path) as whole:
            save(made, whole)
        files = sorted(folder.glob(f"{stem}-*{suffix}"), key=_used, reverse=True)
        of_now = [file for file in files if file.name.startswith(f"{stem}-{passport.generation}-")]
        for old in set(files) - {path, *of_now[:KEPT]}:
            old.unlink(missing_ok=True)
    except OSError as error:
        log.warning("%s could not be kept: %s. It will be made again next time.", path, error)
    return made


def _touch(path: Path) -> None:
    """Notes that a file was used now, where the cache can be written."""
    with suppress(OSError):
        os.utime(path)


def _used(path: Path) -> float:
    """When a file was last used, in seconds since 1970; 0 when it has gone meanwhile."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
