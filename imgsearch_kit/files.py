"""Files that the kit keeps apart from an index: its cache folder, and what can be recomputed from an index.

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

FORMAT = 1  # of all artefacts; to be raised when the same parameters give another result
KEPT = 4  # artefacts of one name and index, each with other parameters

log = logging.getLogger("imgsearch_kit")


def cache_folder() -> Path:
    """The kit's cache folder, which may not exist yet: ``$IMGSEARCH_CACHE`` if set, else the user's cache folder."""
    return Path(os.environ.get("IMGSEARCH_CACHE") or platformdirs.user_cache_dir("imgsearch-kit"))


@contextmanager
def write_whole(path: Path) -> Iterator[Path]:
    """A temporary path to write to; on leaving the block, the file written there replaces ``path`` atomically.

    Nobody ever reads half a file, and after an error the old file is unchanged and nothing is left behind. The
    temporary file has the same name in another folder, so that libraries see the suffix; two writers do not disturb
    each other. A link stays a link, to the new file.

    :raises OSError: when the folder does not exist or cannot be written.
    """
    target = Path(os.path.realpath(path))
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".") as aside:
        whole = Path(aside, path.name)
        yield whole
        whole.replace(target)


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
    """The artefact of an index in its present generation: loaded from the cache if possible, else made and saved.

    ``name`` is a word with a suffix ("projection.npz"), ``parameters`` are the plain values that determine the result.
    When a new file is saved, those of earlier generations are deleted, and of this generation all but the four used
    last. If the cache cannot be written, the result is still returned. For an index without uuid nothing is cached,
    because it cannot be identified.
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
        except Exception as error:  # any damaged file can be made again
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
        log.warning("%s could not be saved: %s. It will be computed again next time.", path, error)
    return made


def _touch(path: Path) -> None:
    """Sets a file's time of last use to now, if the cache can be written."""
    with suppress(OSError):
        os.utime(path)


def _used(path: Path) -> float:
    """When a file was last used, in seconds since 1970; 0 when it has been deleted meanwhile."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
