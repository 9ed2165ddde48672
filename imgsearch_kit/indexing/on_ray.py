"""Extraction on the nodes of a Ray cluster: actors hold the engine and read the files, one process writes the index."""

from __future__ import annotations

import logging
import math
import os
import re
import socket
from collections import defaultdict
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from imgsearch_kit import errors
from imgsearch_kit.errors import BadQuery, KitError, MissingExtra, ServerUnavailable, UnreadableImage, sanitised
from imgsearch_kit.extractors import Extractor
from imgsearch_kit.images import FoundImage, Hashed, Loaded, load_many
from imgsearch_kit.indexing.commits import vectors_or_errors
from imgsearch_kit.indexing.known import Known
from imgsearch_kit.indexing.loading import Load
from imgsearch_kit.records import Vectors

MEMBERS = "auto"  # the cluster that this machine belongs to
HERE = "local"  # Ray's own word for a cluster that is started here and ends with the run
OBJECT_STORE = 256 << 20  # bytes of such a cluster's shared memory; Ray would take 30 % of the machine's
ROWS = 32  # pictures of one call of an actor
TASK_AT_MOST = 256  # files of one task at most, which is what the death of a node does again
KNOWN_AT_MOST = 64  # hashes sent with a file; of bitmaps of one size there may be a million

Columns = dict[str, np.ndarray]


def ray_library() -> Any:
    """Ray with Ray Data, its usage statistics off.

    :raises MissingExtra: when it is not installed.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # else it writes errors that are none to standard error
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtra("ray", "ray") from error
    return ray


def check_ray(address: str) -> None:
    """Checks what can be checked before any work: that Ray is installed, and that something answers at the address.

    :raises BadQuery: when the address has no known form.
    :raises MissingExtra: when Ray is not installed.
    :raises ServerUnavailable: when nothing answers there, for which Ray itself would wait for minutes.
    """
    form = re.fullmatch(r"([\w.-]+|\[[\da-fA-F:]+\]):(\d{1,5})", address)
    if address not in (HERE, MEMBERS) and not form:
        raise BadQuery(f"A Ray cluster is {MEMBERS}, {HERE} or HOST:PORT; it is {sanitised(address)!r}.")
    if ray_library().is_initialized() or not form:
        return
    try:
        socket.create_connection((form[1].strip("[]"), int(form[2])), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise _unavailable(address, error) from error


def over_ray(address: str, extractor: Extractor, max_pixels: int) -> Load:
    """What loads pictures together with their vectors, for ``index_folder``: on the nodes of a Ray cluster.

    ``address`` is that of the cluster, "HOST:PORT"; "auto" is the one that this machine belongs to, "local" one that
    is started here for the time of the run. A cluster that this process has joined already is used as it is.
    ``extractor`` is pickled and sent to the actors: one for each GPU, or for each node where the cluster has none.

    All nodes see the files at the same path and have the kit installed. A node that dies costs the work it had in
    hand, which others do again.

    What it raises at once is that of ``check_ray``.
    """
    check_ray(address)

    def load(
        images: Sequence[FoundImage], known: Known | None
    ) -> Generator[tuple[Path, Loaded | Hashed | UnreadableImage]]:
        if not images:
            return
        with _cluster(address) as ray:
            for columns in _mapped(ray, _rows(images, known), extractor, max_pixels):
                for number, item in _items(columns):
                    yield images[number].path, item

    return load


class ExtractingActor:
    """One process on a node: reads files and gives their vectors, by an extractor that it keeps."""

    def __init__(self, extractor: Extractor, max_pixels: int):
        self._extractor, self._max_pixels = extractor, max_pixels

    def __call__(self, rows: Columns) -> Columns:
        """The hash, size in pixels and vector of each file, or the reason why it has none.

        A file of known content has neither size nor vector. An error of the kit that ends the run is returned with its
        kind, because Ray would bring its text alone.
        """
        try:
            read, vectors = self._read(rows)
        except KitError as error:
            read = [error] * len(rows["number"])
            vectors = np.zeros((len(read), self._extractor.spec.dim), np.float32)
        refused = [item if isinstance(item, KitError) else None for item in read]
        return {
            "number": rows["number"],
            "sha256": np.array([getattr(item, "sha256", "") for item in read]),
            "width": np.array([getattr(item, "width", 0) for item in read]),
            "height": np.array([getattr(item, "height", 0) for item in read]),
            "error": np.array(["" if error is None else type(error).__name__ for error in refused]),
            "reason": np.array(["" if error is None else str(error) for error in refused]),
            "vector": vectors,
        }

    def _read(self, rows: Columns) -> tuple[list[Loaded | Hashed | KitError], Vectors]:
        spec = self._extractor.spec
        paths = [Path(os.fsdecode(path)) for path in rows["path"]]
        known = {sha256 for hashes in rows["known"] for sha256 in hashes.split()}
        options: dict[str, Any] = {"max_pixels": self._max_pixels, "known": known}
        read: list[Loaded | Hashed | KitError] = [
            item for _, item in load_many(paths, spec.side, spec.resampling, **options)
        ]
        vectors = np.zeros((len(read), spec.dim), np.float32)
        loaded = [(row, item.pixels) for row, item in enumerate(read) if isinstance(item, Loaded)]
        pixels = [each for _, each in loaded]
        made = vectors_or_errors(pixels, lambda some: self._extractor.extract(np.stack(some)))
        for (row, _), vector in zip(loaded, made, strict=True):
            if isinstance(vector, BadQuery):
                read[row] = UnreadableImage(str(vector))
            else:
                vectors[row] = vector
        return read, vectors


def _rows(images: Sequence[FoundImage], known: Known | None) -> list[dict[str, Any]]:
    """What an actor gets of each file: its number, its path in bytes, and the hashes known of files of its size."""
    hashes: Mapping[int, list[str]] = _hashes_by_size(known) if known else {}
    return [
        {
            "number": number,
            "path": os.fsencode(image.path.absolute()),  # the folder's name need not be UTF-8
            "known": " ".join(hashes.get(image.size, [])[:KNOWN_AT_MOST]),
        }
        for number, image in enumerate(images)
    ]


def _hashes_by_size(known: Known) -> Mapping[int, list[str]]:
    hashes: dict[int, list[str]] = defaultdict(list)
    for record in known.records.values():
        if record.sha256 in known.contents:
            hashes[record.size].append(record.sha256)
    return hashes


def _items(columns: Columns) -> Iterator[tuple[int, Loaded | Hashed | UnreadableImage]]:
    """The results of an actor as those of ``load_many``, whose ``pixels`` is a vector, by the number of the file.

    :raises KitError: that an actor met and that is not of one picture.
    """
    for number, sha256, width, height, error, reason, vector in zip(*columns.values(), strict=True):
        if error:
            kind = getattr(errors, str(error), KitError)
            raised = kind.__new__(kind, str(reason))  # not all kinds are made from their message
            if not isinstance(raised, UnreadableImage):
                raise raised
            yield int(number), raised
        elif not width:
            yield int(number), Hashed(str(sha256))
        else:
            yield int(number), Loaded(vector, int(width), int(height), str(sha256), 0)


def _mapped(ray: Any, rows: list[dict[str, Any]], extractor: Extractor, max_pixels: int) -> Iterator[Columns]:
    """The results of the actors, in whatever order they end."""
    gpus = int(ray.cluster_resources().get("GPU", 0))
    nodes = sum(node["Alive"] and node["Resources"].get("CPU", 0) >= 1 for node in ray.nodes())
    actors = gpus or max(nodes, 1)
    ray.data.DataContext.get_current().enable_progress_bars = False
    size = min(TASK_AT_MOST, max(ROWS, len(rows) // (4 * actors)))
    dataset = ray.data.from_items(rows, override_num_blocks=math.ceil(len(rows) / size)).map_batches(
        ExtractingActor,
        fn_constructor_args=(extractor, max_pixels),
        batch_size=ROWS,
        compute=ray.data.ActorPoolStrategy(size=min(actors, math.ceil(len(rows) / size))),
        num_gpus=1 if gpus else None,
    )
    names = ("number", "sha256", "width", "height", "error", "reason", "vector")
    for columns in dataset.iter_batches(batch_size=None, batch_format="numpy"):
        yield {name: columns[name] for name in names}


@contextmanager
def _cluster(address: str) -> Iterator[Any]:
    """Ray, connected to a cluster; one that this process joined before stays joined.

    :raises ServerUnavailable: when the cluster cannot be joined, or ends.
    """
    ray = ray_library()
    if joined := not ray.is_initialized():
        bounded = {"object_store_memory": OBJECT_STORE, "include_dashboard": False} if address == HERE else {}
        try:
            ray.init(address, log_to_driver=False, logging_level="ERROR", **bounded)
        except Exception as error:  # Ray raises its base class too, as for a node that is slow to start
            raise _unavailable(address, error) from error
        logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        yield ray
    except ray.exceptions.RayError as error:
        raise _unavailable(address, error) from error
    finally:
        if joined:
            ray.shutdown()


def _unavailable(address: str, error: Exception) -> ServerUnavailable:
    first = str(error).strip().partition("\n")[0]
    return ServerUnavailable(f"The Ray cluster {sanitised(address)!r} cannot be used: {sanitised(first)}")
