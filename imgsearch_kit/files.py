"""Files that the kit keeps apart from an index: its cache folder, and what can be recomputed from an index.

An artefact (a map, a calibration ...) stays in the cache until the index changes. What cannot be kept there, because
the folder cannot be written, lies in a temporary folder of the process.
"""

from __future__ import annotations

import atexit
import functools
import hashlib
import json
import logging
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import platformdirs

from imgsearch_kit.errors import KitError
from imgsearch_kit.records import IndexPassport

Made = TypeVar("Made")

FORMAT = 1  # of all artefacts; to be raised when the same parameters give another result
KEPT = 5  # artefacts of one name and index, each with other parameters: the page offers up to five rankings

NOWHERE = Path(os.devnull)  # stands for the home of a user without one: nothing is below it, and nothing can be made

log = logging.getLogger("imgsearch_kit")


def home_folder() -> Path:
    """The user's home folder; for a user without one a path below which nothing can be."""
    try:
        home = Path.home()
    except RuntimeError:
        return NOWHERE
    return home if home.is_absolute() else NOWHERE


def cache_folder() -> Path:
    """The kit's cache folder, which may not exist yet: ``$IMGSEARCH_CACHE`` if set, else the user's cache folder.

    For a user without a home folder it is a path below which nothing can be.
    """
    if given := os.environ.get("IMGSEARCH_CACHE"):
        return Path(given)
    return usual_folder(platformdirs.user_cache_dir, "imgsearch-kit")


def usual_folder(ask: Callable[[str], str], program: str) -> Path:
    """The folder that one of platformdirs's functions gives a program, or where there is no home one below nowhere."""
    folder = NOWHERE
    with suppress(RuntimeError):
        folder = Path(ask(program))
    return folder if folder.is_absolute() and folder != NOWHERE else NOWHERE / program


def is_there(path: Path) -> bool:
    """Whether a file is there; one in a folder that belongs to somebody else and hides it is not."""
    try:
        return path.is_file()
    except OSError:
        return False


def writable(folder: Path) -> bool:
    """Whether files can be written in a folder, which may not exist yet."""
    there = next((path for path in (folder, *folder.parents) if os.path.exists(path)), NOWHERE)  # noqa: PTH110 (never raises)
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def kept_folder(name: str) -> Path:
    """A folder, which may not exist yet, for what is worth keeping and can be made again.

    It is ``name`` in the cache folder. Where that cannot be written, the log says so once, and it is one in the
    process's own temporary folder.

    :raises KitError: when there is no temporary folder either.
    """
    folder = cache_folder() / name
    if writable(folder):
        return folder
    _say_unkept(cache_folder())
    return process_folder() / name


def _once(work: Callable[..., Made]) -> Callable[..., Made]:
    """``work`` that is done once for each of its arguments; threads that ask together wait for the first of them."""
    cached, lock = functools.cache(work), threading.Lock()

    @functools.wraps(work)
    def waiting(*given: Any) -> Made:
        with lock:
            return cached(*given)

    return waiting


@_once
def _say_unkept(folder: Path) -> None:
    why = "There is no home folder to cache in" if NOWHERE in folder.parents else f"{folder} cannot be written"
    log.warning("%s, so thumbnails are made again each time. Set IMGSEARCH_CACHE to a writable folder.", why)


@_once
def process_folder() -> Path:
    """A temporary folder that only this user can read, deleted when the process ends.

    :raises KitError: when no temporary folder can be written.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix="imgsearch-"))
    except OSError as error:
        raise KitError(
            f"No temporary folder can be written ({error.strerror or error}). Set TMPDIR to a folder of your own."
        ) from error
    atexit.register(_remove, folder, os.getpid())
    return folder


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # a forked process does not own it
        shutil.rmtree(folder, ignore_errors=True)


def lend_matplotlib_folder() -> None:
    """Gives Matplotlib a folder, without which it warns, or does not load where there is no home."""
    lend_folder("MPLCONFIGDIR", usual_folder(platformdirs.user_config_dir, "matplotlib"))


def lend_folder(variable: str, usual: Path) -> None:
    """Gives a library a folder to write to, by its environment variable, where it would have none.

    It would write to the folder in ``variable``, if that is set, and else to ``usual``.
    """
    if not writable(Path(os.environ.get(variable) or usual)):
        os.environ[variable] = str(kept_folder(variable.lower()))


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
    When a new file is saved, those of earlier generations are deleted, and of this generation all but the five used
    last. If the cache cannot be written, the result is still returned. For an index without uuid nothing is cached,
    because it cannot be identified.
    """
    if not passport.uuid:
        return make()
    kept = kept_artefact(passport, name, parameters, load)
    if kept is not None:
        return kept
    made = make()
    path = _artefact_path(passport, name, parameters)
    folder, stem, suffix = path.parent, Path(name).stem, Path(name).suffix
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with write_whole(path) as whole:
            save(made, whole)
        files = sorted(folder.glob(f"{stem}-*{suffix}"), key=_used, reverse=True)
        of_now = [file for file in files if file.name.startswith(f"{stem}-{passport.generation}-")]
        for old in set(files) - {path, *of_now[:KEPT]}:
            old.unlink(missing_ok=True)
    except OSError as error:
        log.warning(
            "%s could not be saved: %s. It will be computed again next time. Set IMGSEARCH_CACHE to a writable folder.",
            path,
            error,
        )
    return made


def kept_artefact(
    passport: IndexPassport, name: str, parameters: Mapping[str, Any], load: Callable[[Path], Made]
) -> Made | None:
    """The artefact of an index in its present generation if the cache has it, else None; nothing is computed."""
    path = _artefact_path(passport, name, parameters)
    if not passport.uuid or not is_there(path):
        return None
    try:
        made = load(path)
    except Exception as error:  # any damaged file can be made again
        log.info("%s is damaged (%s).", path, error)
        return None
    _touch(path)
    return made


def take_artefacts(passport: IndexPassport, folder: Path) -> None:
    """Copies artefacts that came with an index, in a folder of their own, to the cache, where it does not have them.

    Where the cache cannot be written they are made again.
    """
    place = artefact_folder(passport)
    try:
        place.mkdir(parents=True, exist_ok=True)
        for path in sorted(folder.iterdir()):
            if not (place / path.name).exists():
                with write_whole(place / path.name) as whole:
                    shutil.copyfile(path, whole)
    except OSError as error:
        log.warning("What came with the index could not be taken to %s: %s. It will be computed again.", place, error)


def kept_names(passport: IndexPassport) -> set[str]:
    """The names, as "projection.npz", of the artefacts that the cache has of an index in its present generation."""
    if not passport.uuid:
        return set()
    mark = f"-{passport.generation}-"
    with suppress(OSError):
        files = [path for path in artefact_folder(passport).iterdir() if mark in path.stem]
        return {f"{path.stem.rpartition(mark)[0]}{path.suffix}" for path in files}
    return set()


def _artefact_path(passport: IndexPassport, name: str, parameters: Mapping[str, Any]) -> Path:
    decides = json.dumps([FORMAT, passport.count, dict(parameters)], sort_keys=True)
    key = hashlib.sha256(decides.encode()).hexdigest()[:12]
    return artefact_folder(passport) / f"{Path(name).stem}-{passport.generation}-{key}{Path(name).suffix}"


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
