"""The arrays of an .npz archive, written and read with one block of vectors at a time in memory."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
import numpy.typing as npt
from numpy.lib.npyio import NpzFile

from imgsearch_kit.errors import BadQuery, IndexDamaged, IndexMismatch, without_stop
from imgsearch_kit.index.arguments import NORM_TOLERANCE, check_ids, check_vectors
from imgsearch_kit.index.stored import read_passport
from imgsearch_kit.records import FORMAT_VERSION, Failure, ImageRecord, IndexPassport, Vectors

STRINGS = {"labels": "label", "sha256": "sha256"}  # array name -> field of ImageRecord
PATHS = {"paths": "path"}  # where one differs from the id
TIMES = {"mtimes": "mtime", "ctimes": "ctime"}
NUMBERS = {"widths": "width", "heights": "height", "sizes": "size", "inodes": "inode", **TIMES}
SMALL_ARRAYS = {"ids", "passport", "failures", "learned", *STRINGS, *NUMBERS, *PATHS}  # all but the vectors
READ_AT_ONCE = 4096  # rows


def save_arrays(
    path: Path,
    records: Sequence[ImageRecord],
    vectors: Iterable[Vectors],
    passport: IndexPassport,
    failures: Sequence[Failure] | None = None,
    learned: bytes = b"",
) -> None:
    """Writes an index as arrays that ``numpy.load`` reads without pickle.

    ``vectors`` are those of the records, in their order, in blocks of any number of rows, of which one at a time is in
    memory. In the file ``ids``, ``labels`` ("" for none) and ``sha256`` are strings, ``vectors`` is ``(n, dim)``
    float32. ``widths``, ``heights``, ``mtimes``, ``sizes``, ``inodes``, ``ctimes`` and ``passport`` (JSON) go
    with them, ``paths`` where one is not the id, and as bytes in ``learned`` what a baked ranking has learned. An
    archive that is an index has ``failures`` (JSON) too, and an export has none (None): so the two can be told apart.

    :raises IndexMismatch: when there is another number of vectors than of records.
    :raises OSError: when the file cannot be written.
    """
    with path.open("wb") as file:
        with zipfile.ZipFile(file, "w") as archive:
            for name, array in _columns(records, passport, failures, learned):
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)
            with archive.open("vectors.npy", "w", force_zip64=True) as member:
                _write_vectors(member, vectors, (len(records), passport.dim))
        file.flush()
        os.fsync(file.fileno())


def _columns(
    records: Sequence[ImageRecord], passport: IndexPassport, failures: Sequence[Failure] | None, learned: bytes
) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """The arrays of an archive but the vectors, by name, one at a time."""
    yield "ids", np.array([record.id for record in records], dtype=np.str_)
    for name, field in STRINGS.items():
        yield name, np.array([getattr(record, field) or "" for record in records], dtype=np.str_)
    for name, field in NUMBERS.items():
        kind = np.float64 if name in TIMES else np.int64
        yield name, np.array([getattr(record, field) for record in records], dtype=kind)
    if any(record.path for record in records):
        yield "paths", np.array([record.path for record in records], dtype=np.str_)
    yield "passport", np.array(json.dumps(passport.to_json() | {"format": FORMAT_VERSION}))
    if failures is not None:
        yield "failures", np.array(json.dumps([[f.path, f.reason, f.size, f.mtime] for f in failures]))
    if learned:
        yield "learned", np.frombuffer(learned, np.uint8)


def _write_vectors(member: IO[bytes], vectors: Iterable[Vectors], shape: tuple[int, int]) -> None:
    """Writes blocks of rows as one array of the given shape."""
    np.lib.format.write_array_header_1_0(member, {"descr": "<f4", "fortran_order": False, "shape": shape})
    rows = 0
    for block in vectors:
        member.write(np.ascontiguousarray(block, "<f4").data)
        rows += block.size // shape[1]
    if rows != shape[0]:
        raise IndexMismatch(f"There are {shape[0]} records but {rows} vectors: the index changed. Write it again.")


class StoredArrays:
    """The content of an open archive, checked: ``blocks`` reads the vectors, everything else is in memory."""

    def __init__(self, path: Path, archive: NpzFile):
        """Reads all arrays of known names but the vectors.

        :raises IndexMismatch: when ``ids`` or ``vectors`` are not there, or the passport is of another program.
        :raises BadQuery: when arrays disagree in length or have another type, or an id is empty or given twice.
        """
        self._path, self._archive = path, archive
        assert archive.zip is not None
        named = {name.removesuffix(".npy") for name in archive.zip.namelist() if name.endswith(".npy")}
        with _readable(path):
            self._arrays = {name: _array(archive, name) for name in sorted(SMALL_ARRAYS & named)}
        known = {*self._arrays, *({"vectors"} & named)}
        if not {"ids", "vectors"} <= known:
            raise IndexMismatch(
                f"The archive {path} has the arrays {sorted(known) or 'of no known name'}; an index needs ids and "
                "vectors."
            )
        self._ids = self._arrays["ids"]
        if self._ids.ndim != 1 or self._ids.dtype.kind != "U":
            raise BadQuery(
                f"ids in {path} are {self._ids.dtype} of shape {self._ids.shape}; they must be one row of strings "
                "(dtype str)."
            )
        self._columns = self._checked_columns()
        check_ids(self._ids.tolist())

    @classmethod
    @contextmanager
    def opened(cls, path: Path) -> Iterator[Self]:
        """The content of the archive ``path``.

        :raises IndexDamaged: when it cannot be read as an archive of plain arrays; else as the class does.
        """
        with _readable(path):
            archive = np.load(path, allow_pickle=False)
            if not isinstance(archive, NpzFile):
                raise ValueError("it holds one array without a name")
        with archive:
            yield cls(path, archive)

    def _checked_columns(self) -> dict[str, npt.NDArray[Any]]:
        """The values of the records, by field, after a check of all arrays."""
        with _readable(self._path), self._member() as member:
            self._shape, self._fortran, self._dtype = _header(member)
        if len(self._shape) != 2 or not self._shape[1] or self._dtype.kind != "f":
            raise BadQuery(
                f"vectors in {self._path} are {self._dtype} of shape {self._shape}; they must be (n, dim) floats."
            )
        given = {name: field for name, field in (STRINGS | NUMBERS | PATHS).items() if name in self._arrays}
        rows = {"vectors": self._shape[0]}
        rows |= {name: len(self._arrays[name]) for name in given if self._arrays[name].ndim}
        for name, count in rows.items():
            if count != len(self._ids):
                raise BadQuery(f"{name} in {self._path} has {count} rows, ids has {len(self._ids)}. Give one per id.")
        return {field: _column(self._path, name, self._arrays[name]) for name, field in given.items()}

    @property
    def learned(self) -> bytes:
        """What a baked ranking has learned, b"" where there is none."""
        return self._arrays["learned"].tobytes() if "learned" in self._arrays else b""

    def failures(self) -> list[Failure]:
        """The files that could not be indexed."""
        given = self._json("failures") or []
        with _readable(self._path):
            return [Failure(*each) for each in given]

    def passport(self) -> IndexPassport:
        """The passport; of an archive made elsewhere one without an extractor, and with a uuid made from the content.

        :raises IndexMismatch: when it is of another program, or says another number of dimensions.
        :raises VersionMismatch: when a newer kit wrote it.
        """
        plain = self._json("passport")
        if plain is None:
            content = hashlib.sha256(self._ids.tobytes())
            for _, vectors in self.blocks():
                content.update(vectors.data)
            return IndexPassport(str(uuid.UUID(bytes=content.digest()[:16])), None, self._shape[1])
        if not isinstance(plain, dict) or not all(type(plain.get(name)) is int for name in ("format", "dim")):
            raise IndexMismatch(
                f"The passport in {self._path} is of another program. Leave this array out of the archive."
            )
        passport = read_passport(f"npz:{self._path}", plain)
        if passport.dim != self._shape[1]:
            raise IndexMismatch(
                f"The passport in {self._path} says {passport.dim} dimensions, the vectors have {self._shape[1]}. "
                "Write the archive again from its index."
            )
        return replace(passport, method="exact")  # an archive has no other, whatever its source had

    def _json(self, name: str) -> Any:
        """The value of an array that holds one JSON text; None when the archive has no such array."""
        try:
            return json.loads(str(self._arrays[name])) if name in self._arrays else None
        except ValueError as error:
            raise IndexDamaged(f"The {name} in {self._path} is not JSON: {error}. Write the archive again.") from error

    def blocks(self) -> Iterator[tuple[list[ImageRecord], Vectors]]:
        """The records in the order of the archive with their unit vectors ``(b, dim)``, some thousands at a time.

        :raises BadQuery: at the end, when a row is zero or not finite.
        :raises IndexDamaged: when the vectors cannot be read.
        """
        wrong, first = 0, ""
        for rows, given in self._raw_blocks():
            vectors, bad = _unit(given)
            if len(bad) and not wrong:
                first = str(self._ids[rows][bad[0]])
            wrong += len(bad)
            if not wrong:
                records = self._records(rows)
                yield records, check_vectors(vectors, self._shape[1], self._ids[rows].tolist())
        if wrong:
            raise BadQuery(
                f"{wrong} of {self._shape[0]} vectors in {self._path} are zero or not finite; the first is that of "
                f"{first!r}. Leave these pictures out, or compute their vectors again."
            )

    def _member(self) -> IO[bytes]:
        assert self._archive.zip is not None
        return self._archive.zip.open("vectors.npy")

    def _records(self, rows: slice) -> list[ImageRecord]:
        fields = "id", *self._columns
        columns = [column[rows].tolist() for column in (self._ids, *self._columns.values())]
        records = [ImageRecord(**dict(zip(fields, row, strict=True))) for row in zip(*columns, strict=True)]
        return [replace(record, label=None) if record.label == "" else record for record in records]

    def _raw_blocks(self) -> Iterator[tuple[slice, npt.NDArray[Any]]]:
        """Slices of rows with their vectors as they are in the file."""
        n, dim = self._shape
        slices = (slice(start, min(start + READ_AT_ONCE, n)) for start in range(0, n, READ_AT_ONCE))
        if self._fortran:  # a row is scattered over the whole of it
            with _readable(self._path):
                whole = self._archive["vectors"]
            yield from ((rows, whole[rows]) for rows in slices)
            return
        with self._member() as member:
            with _readable(self._path):
                _header(member)
            for rows in slices:
                with _readable(self._path):
                    wanted = (rows.stop - rows.start) * dim * self._dtype.itemsize
                    content = member.read(wanted)
                    if len(content) != wanted:
                        raise EOFError("the vectors end early")
                yield rows, np.frombuffer(content, self._dtype).reshape(-1, dim)
            with _readable(self._path):
                member.read(1)  # at its end the sum of its bytes is checked


def _array(archive: NpzFile, name: str) -> npt.NDArray[Any]:
    found = archive[name]
    if not isinstance(found, np.ndarray):  # numpy gives the bytes of what is none
        raise ValueError(f"{name} is no array")
    return found


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Translates the errors of a file that is no archive, or a damaged one."""
    try:
        yield
    except Exception as error:  # damage may look like encryption, another compression, or more than fits in memory
        raise IndexDamaged(
            f"{path} cannot be read as an .npz archive of plain arrays: {without_stop(error)}. Save it with "
            "numpy.savez(path, ids=numpy.array(ids, dtype=str), vectors=vectors)."
        ) from error


def _header(member: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """The shape of an array, whether it is in Fortran order, and its dtype."""
    if np.lib.format.read_magic(member) == (1, 0):
        return np.lib.format.read_array_header_1_0(member)
    return np.lib.format.read_array_header_2_0(member)


def _column(path: Path, name: str, column: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """One column, of the type that a record holds; whole numbers and truth values are labels by their text.

    :raises BadQuery: when the column has another shape or type, or a number that is not finite or not whole.
    """
    kind, found = column.dtype.kind, f"{name} in {path} are {column.dtype} of shape {column.shape}"
    if column.ndim != 1:
        raise BadQuery(f"{found}; they must be one row, with one value per id.")
    if name in NUMBERS:
        if kind not in "iuf" or not np.isfinite(column).all():
            raise BadQuery(f"{found}; they must be finite numbers. Write 0 where one is unknown.")
        if name in TIMES:
            return column.astype(np.float64)
        if (column != np.trunc(column)).any() or (np.abs(column.astype(np.float64)) >= 2**63).any():
            raise BadQuery(f"{found}; they must be whole numbers below 2**63. Write 0 where one is unknown.")
        return column.astype(np.int64)
    if kind == "S":
        try:
            return np.char.decode(column, "utf-8")
        except UnicodeDecodeError as error:
            raise BadQuery(f"{found}, and are not UTF-8: {error}. Write them as strings (dtype str).") from error
    if kind == "U" or (name == "labels" and kind in "iub"):
        return column.astype(np.str_, copy=False)
    raise BadQuery(f"{found}; they must be strings (dtype str){' or whole numbers' if name == 'labels' else ''}.")


def _unit(vectors: npt.NDArray[np.floating[Any]]) -> tuple[Vectors, npt.NDArray[np.intp]]:
    """The rows as float32 of unit norm, and which of them cannot be because they are zero or not finite.

    Those that have unit norm within the kit's tolerance keep every bit.
    """
    with np.errstate(over="ignore"):  # becomes infinite, which is not finite
        unit = np.ascontiguousarray(vectors, dtype=np.float32)
    norms = np.linalg.norm(unit.astype(np.float64), axis=1)
    good = (norms > 0) & np.isfinite(norms)
    off = good & (np.abs(norms - 1) > NORM_TOLERANCE)
    if off.any():
        unit = unit.copy()  # the bytes that were read are not ours to change
        unit[off] = unit[off] / norms[off, None]
    return unit, np.flatnonzero(~good)
