"""An index as one .npz archive of plain arrays, for the import of vectors made elsewhere and for export."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from imgsearch_kit.errors import BadQuery, IndexDamaged, IndexMismatch, IndexUnwritable, without_stop
from imgsearch_kit.files import write_whole
from imgsearch_kit.index import sqlite
from imgsearch_kit.index.base import NORM_TOLERANCE, check_add
from imgsearch_kit.index.local import LocalIndex
from imgsearch_kit.index.stored import read_passport
from imgsearch_kit.records import FORMAT_VERSION, Failure, ImageRecord, IndexPassport, Vectors

STRINGS = {"labels": "label", "sha256": "sha256"}  # array name -> field of ImageRecord
PATHS = {"paths": "path"}  # where one differs from the id
TIMES = {"mtimes": "mtime", "ctimes": "ctime"}
NUMBERS = {"widths": "width", "heights": "height", "sizes": "size", "inodes": "inode", **TIMES}


def write_archive(
    path: Path,
    records: Sequence[ImageRecord],
    vectors: Vectors,
    passport: IndexPassport,
    failures: Sequence[Failure],
    learned: bytes = b"",
) -> None:
    """Writes an index as an archive, atomically.

    :raises IndexUnwritable: when the file cannot be written; an earlier file at ``path`` is then unchanged.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with write_whole(path) as whole:
            save_arrays(whole, records, vectors, passport, failures, learned)
    except OSError as error:
        raise IndexUnwritable(
            f"The archive {path} could not be written: {error.strerror or error}. An earlier file there is unchanged. "
            "Free some disk space, make the folder writable, or give another address."
        ) from error


def save_arrays(
    path: Path,
    records: Sequence[ImageRecord],
    vectors: Vectors,
    passport: IndexPassport,
    failures: Sequence[Failure] | None = None,
    learned: bytes = b"",
) -> None:
    """Writes an index as arrays that ``numpy.load`` reads without pickle.

    ``ids``, ``labels`` ("" for none) and ``sha256`` are strings, ``vectors`` is ``(n, dim)`` float32; rows keep the
    records' order. ``widths``, ``heights``, ``mtimes``, ``sizes``, ``inodes``, ``ctimes`` and ``passport`` (JSON) go
    with them, ``paths`` where one is not the id, and as bytes in ``learned`` what a baked ranking has learned. An
    archive that is an index has ``failures`` (JSON) too, and an export has none (None): so the two can be told apart.

    :raises OSError: when the file cannot be written.
    """
    arrays: dict[str, Any] = {"ids": np.array([record.id for record in records], dtype=np.str_), "vectors": vectors}
    for name, field in STRINGS.items():
        arrays[name] = np.array([getattr(record, field) or "" for record in records], dtype=np.str_)
    for name, field in NUMBERS.items():
        kind = np.float64 if name in TIMES else np.int64
        arrays[name] = np.array([getattr(record, field) for record in records], dtype=kind)
    if any(record.path for record in records):
        arrays["paths"] = np.array([record.path for record in records], dtype=np.str_)
    arrays["passport"] = np.array(json.dumps(passport.to_json() | {"format": FORMAT_VERSION}))
    if failures is not None:
        arrays["failures"] = np.array(json.dumps([[f.path, f.reason, f.size, f.mtime] for f in failures]))
    if learned:
        arrays["learned"] = np.frombuffer(learned, np.uint8)
    with path.open("wb") as file:
        np.savez(file, **arrays)
        file.flush()
        os.fsync(file.fileno())


class ArchiveIndex(LocalIndex):
    """An index read into memory from an .npz archive, and written back by ``flush`` and ``close`` when changed.

    So ``add`` is durable after ``flush``, unlike on the other backends. An archive made elsewhere needs only the
    arrays ``ids`` and ``vectors``: any float dtype is cast to float32, rows that are not of unit norm are divided by
    their norm, and the passport has no extractor (``spec`` None) and a uuid made from the content. Changes that
    another process makes to the file later are not seen.
    """

    _has_graph = False
    _file: Path
    _written: int  # the generation that the file holds
    _state: tuple[int, int, int] | None  # of the file, when it was last read or written

    @classmethod
    def create(cls, path: Path, passport: IndexPassport) -> Self:
        """A new, empty index, and its archive.

        :raises IndexMismatch: when there is a file already.
        :raises IndexUnwritable: when it cannot be written.
        """
        sqlite.check_place(path)
        if path.exists():
            raise IndexMismatch(f"There is a file at npz:{path} already. Open it, delete it, or give another address.")
        index = cls._holding(path, passport, [], np.zeros((0, passport.dim), np.float32), [])
        try:
            index.claim()
            index._write()
        except BaseException:
            index.close()
            raise
        return index

    @classmethod
    def open(cls, path: Path) -> Self:
        """The index in the archive ``path``.

        :raises IndexNotFound: when there is no such file.
        :raises IndexDamaged: when it cannot be read as an archive of plain arrays.
        :raises IndexMismatch: when the arrays ``ids`` and ``vectors`` are not in it.
        :raises BadQuery: when arrays disagree in length, an id is empty or given twice, or a row is zero or not finite.
        :raises VersionMismatch: when a newer kit wrote it.
        """
        sqlite.check_place(path)
        state = _state(path)
        if state is None:
            raise sqlite.not_found(f"npz:{path}")
        arrays = _load(path)
        records, vectors = _rows(path, arrays)
        failures = [Failure(*each) for each in _json(path, arrays, "failures") or []]
        learned = arrays["learned"].tobytes() if "learned" in arrays else b""
        index = cls._holding(path, _passport(path, arrays, vectors), records, vectors, failures, learned)
        index._state = state
        return index

    @classmethod
    def _holding(
        cls,
        path: Path,
        passport: IndexPassport,
        records: Sequence[ImageRecord],
        vectors: Vectors,
        failures: Sequence[Failure],
        learned: bytes = b"",
    ) -> Self:
        database = sqlite.connect(None)
        sqlite.create_tables(database, passport)
        sqlite.insert(database, list(zip(records, vectors, strict=True)))
        sqlite.insert_failures(database, failures)
        sqlite.set_learned(database, learned)
        index = cls(database, sqlite.passport(database, f"npz:{path}"), path)
        index.address = f"npz:{path}"
        index._file = path
        index._written = passport.generation
        index._state = None
        return index

    def flush(self) -> None:
        """Writes the archive, if the index has changed since it was last written, and releases the writer lock."""
        with self._lock:
            if self._passport.generation != self._written:
                self._write()
            super().flush()

    def close(self) -> None:
        """Writes the archive if it has changed, and releases the writer lock."""
        try:
            if self._database is not None:
                self.flush()
        finally:
            super().close()

    def _write(self) -> None:
        passport = self._passport
        write_archive(self._file, self.records(), self.vectors(), passport, self.failures(), self.learned())
        self._written, self._state = passport.generation, _state(self._file)

    def claim(self) -> None:
        """As ``LocalIndex.claim``.

        :raises IndexUnwritable: also when the file has changed since it was read.
        """
        super().claim()
        if _state(self._file) != self._state:
            self._release()
            raise IndexUnwritable(
                f"The archive {self._file} was changed by another process after it was opened. Open it again."
            )


def _state(path: Path) -> tuple[int, int, int] | None:
    """What identifies a version of a file; None when there is no file."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _load(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The archive's arrays of known names."""
    known = {"ids", "vectors", "passport", "failures", "learned", *STRINGS, *NUMBERS, *PATHS}
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files if name in known}
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise IndexDamaged(
            f"{path} cannot be read as an .npz archive of plain arrays: {without_stop(error)}. Save it with "
            "numpy.savez(path, ids=numpy.array(ids, dtype=str), vectors=vectors)."
        ) from error


def _json(path: Path, arrays: Mapping[str, npt.NDArray[Any]], name: str) -> Any:
    """The value of an array that holds one JSON text; None when the archive has no such array."""
    try:
        return json.loads(str(arrays[name])) if name in arrays else None
    except ValueError as error:
        raise IndexDamaged(f"The {name} in {path} is not JSON: {error}. Write the archive again.") from error


def _rows(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> tuple[list[ImageRecord], Vectors]:
    """The records and unit vectors of an archive, after a check of its arrays."""
    if not {"ids", "vectors"} <= set(arrays):
        raise IndexMismatch(
            f"The archive {path} has the arrays {sorted(arrays) or 'of no known name'}; an index needs ids and vectors."
        )
    ids, vectors = arrays["ids"], arrays["vectors"]
    if ids.ndim != 1 or ids.dtype.kind != "U":
        raise BadQuery(
            f"ids in {path} are {ids.dtype} of shape {ids.shape}; they must be one row of strings (dtype str)."
        )
    if vectors.ndim != 2 or vectors.dtype.kind != "f":
        raise BadQuery(f"vectors in {path} are {vectors.dtype} of shape {vectors.shape}; they must be (n, dim) floats.")
    for name in ("vectors", *STRINGS, *NUMBERS, *PATHS):
        if name in arrays and arrays[name].ndim and len(arrays[name]) != len(ids):
            raise BadQuery(f"{name} in {path} has {len(arrays[name])} rows, ids has {len(ids)}. Give one per id.")
    given = {name: field for name, field in (STRINGS | NUMBERS | PATHS).items() if name in arrays}
    values = [_values(path, name, arrays[name]) for name in given]
    records = [
        ImageRecord(**dict(zip(("id", *given.values()), row, strict=True)))
        for row in zip(ids.tolist(), *values, strict=True)
    ]
    records = [replace(record, label=record.label or None) for record in records]
    return records, check_add(records, _unit(vectors, ids, path), vectors.shape[1])


def _values(path: Path, name: str, column: npt.NDArray[Any]) -> list[Any]:
    """The values of one column as a record holds them; whole numbers and truth values are labels by their text.

    :raises BadQuery: when the column has another shape or type, or a number that is not finite or not whole.
    """
    kind, found = column.dtype.kind, f"{name} in {path} are {column.dtype} of shape {column.shape}"
    if column.ndim != 1:
        raise BadQuery(f"{found}; they must be one row, with one value per id.")
    if name in NUMBERS:
        if kind not in "iuf" or not np.isfinite(column).all():
            raise BadQuery(f"{found}; they must be finite numbers. Write 0 where one is unknown.")
        if name in TIMES:
            return column.astype(np.float64).tolist()
        if (column != np.trunc(column)).any() or (np.abs(column.astype(np.float64)) >= 2**63).any():
            raise BadQuery(f"{found}; they must be whole numbers below 2**63. Write 0 where one is unknown.")
        return column.astype(np.int64).tolist()
    if kind == "S":
        try:
            return [value.decode() for value in column.tolist()]
        except UnicodeDecodeError as error:
            raise BadQuery(f"{found}, and are not UTF-8: {error}. Write them as strings (dtype str).") from error
    if kind == "U" or (name == "labels" and kind in "iub"):
        return column.astype(np.str_).tolist()
    raise BadQuery(f"{found}; they must be strings (dtype str){' or whole numbers' if name == 'labels' else ''}.")


def _unit(vectors: npt.NDArray[np.floating[Any]], ids: npt.NDArray[np.str_], path: Path) -> Vectors:
    """The rows as float32 of unit norm; those that have it within the kit's tolerance keep every bit."""
    with np.errstate(over="ignore"):  # becomes infinite, which is refused below
        unit = np.ascontiguousarray(vectors, dtype=np.float32)
    norms = np.linalg.norm(unit.astype(np.float64), axis=1)
    wrong = np.flatnonzero(~((norms > 0) & np.isfinite(norms)))
    if len(wrong):
        raise BadQuery(
            f"{len(wrong)} of {len(unit)} vectors in {path} are zero or not finite; the first is that of "
            f"{str(ids[wrong[0]])!r}. Leave these pictures out, or compute their vectors again."
        )
    off = np.abs(norms - 1) > NORM_TOLERANCE
    unit[off] = unit[off] / norms[off, None]
    return unit


def _passport(path: Path, arrays: Mapping[str, npt.NDArray[Any]], vectors: Vectors) -> IndexPassport:
    plain = _json(path, arrays, "passport")
    if plain is None:
        content = hashlib.sha256(arrays["ids"].tobytes() + vectors.tobytes())
        return IndexPassport(str(uuid.UUID(bytes=content.digest()[:16])), None, vectors.shape[1])
    if not isinstance(plain, dict) or not all(type(plain.get(name)) is int for name in ("format", "dim")):
        raise IndexMismatch(f"The passport in {path} is of another program. Leave this array out of the archive.")
    passport = read_passport(f"npz:{path}", plain)
    if passport.dim != vectors.shape[1]:
        raise IndexMismatch(
            f"The passport in {path} says {passport.dim} dimensions, the vectors have {vectors.shape[1]}. "
            "Write the archive again from its index."
        )
    return replace(passport, method="exact")  # an archive has no other, whatever its source had
