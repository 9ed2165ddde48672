"""The record types that all modules share: pictures, passports, neighbours. Shapes are defined here.

Pixels are ``(n, side, side, 3)`` uint8 RGB. Vectors are ``(n, dim)`` float32, C-contiguous, rows of unit L2 norm.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.names import normal
from imgsearch_kit.reports import Report, Table

Maps = npt.NDArray[np.float32]  # (n, h, w, c): activations of a convolution after its ReLU
Pixels = npt.NDArray[np.uint8]
Vectors = npt.NDArray[np.float32]

FORMAT_VERSION = 2  # of an index; the first had no inode and ctime of a file
MAX_PIXELS = 178_000_000  # of one picture, by default

HOMES = ("home", "homes", "users", "documents and settings")  # folders of home folders
GROUPS = ("uni", "staff", "faculty", "students", "student", "guests", "guest")  # folders in these, as schools have them


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One indexed picture.

    ``id`` is the POSIX path below the indexed root (with the prefix, if one was given), ``label`` the name of the
    folder it is in (None at the root) or from a labels file, in Unicode's normal form C. ``sha256`` is of the file's
    bytes, in hex. ``width`` and ``height`` are pixels as displayed, ``mtime`` seconds since 1970, ``size`` bytes.
    ``path`` is the picture's path below the root if it is not the id, as with some pictures that the original system
    indexed. ``inode`` is the file's number on its file system, modulo 2**63, and ``ctime`` when its content, name or
    rights last changed, in seconds since 1970; both are 0 where they are unknown.
    """

    id: str
    label: str | None = None
    sha256: str = ""
    width: int = 0
    height: int = 0
    mtime: float = 0.0
    size: int = 0
    path: str = ""
    inode: int = 0
    ctime: float = 0.0

    def __post_init__(self) -> None:
        if self.label:
            object.__setattr__(self, "label", normal(self.label))  # one class has one name, whoever stored it


@dataclass(frozen=True, slots=True)
class Failure:
    """A file or folder that could not be read: its path as an id, the reason, and its size and mtime at that time."""

    path: str
    reason: str
    size: int = 0
    mtime: float = 0.0

    def to_json(self) -> dict[str, str]:
        """Path and reason, as in every JSON document."""
        return {"path": self.path, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Refused:
    """A record that an index refused, with the reason."""

    id: str
    reason: str

    @property
    def path(self) -> str:
        """The id, under the name ``path`` that failures have."""
        return self.id

    def to_json(self) -> dict[str, str]:
        """Path and reason, as in every JSON document."""
        return {"path": self.id, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class ExtractorSpec:
    """Everything that determines an extractor's vectors; vectors are comparable only when their specs are equal.

    ``side`` is the input side in pixels, ``weights_digest`` the sha256 of the tensors used, as float32 in Keras layer
    order, and ``engine`` the library that computes ("onnxruntime", "numpy", ...). Two engines make comparable vectors
    when they pass the probes, so ``engine`` only says which one it was.
    """

    name: str
    dim: int
    layer: str = ""
    pooling: str = ""
    side: int = 224
    resampling: str = "bilinear"
    preprocessing: str = ""
    weights_digest: str = ""
    engine: str = ""

    def differences(self, other: ExtractorSpec) -> list[str]:
        """The fields but ``engine`` in which two specs differ, each as ``name: mine != theirs``, in field order."""
        names = [field.name for field in dataclasses.fields(self) if field.name != "engine"]
        pairs = ((name, getattr(self, name), getattr(other, name)) for name in names)
        return [f"{name}: {mine} != {theirs}" for name, mine, theirs in pairs if mine != theirs]


@dataclass(frozen=True, slots=True)
class BakedRank:
    """A ranking that is baked into an index's vectors: its SPEC, and the index that it was learned from.

    ``dim`` is the dimension of that index, and so of an extractor's vectors before the ranking.
    """

    spec: str
    uuid: str
    generation: int
    count: int
    dim: int

    def rows(self, dim: int) -> list[tuple[str, str]]:
        """The rows of a passport with ``dim``-d vectors, as pairs of a name and a text."""
        learned = f"from {self.count:,} pictures, generation {self.generation} of {self.uuid}"
        return [("ranking", f"{self.spec}, baked in: {self.dim}-d to {dim}-d"), ("learned", learned)]


def folder_name(folder: str) -> str:
    """The last part of a path of any system; for a home folder, which is named like its person, "home folder"."""
    folder, own = folder.rstrip("/\\"), os.path.expanduser("~").rstrip("/\\")  # noqa: PTH111 (never raises)
    *_, group, above, name = ["", "", *re.split(r"[/\\]+", folder.lower())]
    of_group = group in HOMES and (above in GROUPS or above == name[:1])  # /home/staff/anna, /home/a/anna
    if above in HOMES or of_group or folder == "/root" or (folder and folder == own):
        return "home folder"
    return re.split(r"[/\\]", folder)[-1]


@dataclass(frozen=True)
class IndexPassport(Report):
    """The passport of an index: who made its vectors, from which folders, and its present state.

    ``roots`` maps each prefix ("" for none) to the folder of its ids. ``probes`` is ``(2, dim)``: the vectors of the
    two generated probe pictures when the index was made, empty for vectors made elsewhere. ``generation`` grows with
    every committed change, ``count`` is the number of records. ``spec`` is None when unknown. Where a ranking is
    ``baked`` in, ``dim`` is the dimension of the stored vectors, after the ranking; the probes are before it.
    ``label_levels`` has the prefixes whose labels are not the names of the immediate folders (see ``levels_of``).
    ``rank`` is the SPEC of the ranking that answers have by default, "" for none.
    """

    uuid: str
    spec: ExtractorSpec | None
    dim: int
    generation: int = 0
    count: int = 0
    created: str = ""
    roots: Mapping[str, str] = field(default_factory=dict)
    libraries: Mapping[str, str] = field(default_factory=dict)
    probes: Vectors = field(default_factory=lambda: np.zeros((0, 0), np.float32), compare=False)
    method: str = "exact"
    baked: BakedRank | None = None
    label_levels: Mapping[str, Sequence[int]] = field(default_factory=dict)
    rank: str = ""
    format: int = FORMAT_VERSION

    @property
    def root(self) -> str | None:
        """The folder of the ids that have no prefix."""
        return self.roots.get("")

    @property
    def extracted(self) -> int:
        """The dimension of the vectors that an extractor makes for this index."""
        return self.baked.dim if self.baked else self.dim

    def amended(self, **fields: Any) -> IndexPassport:
        """The passport with other values of the given fields, or of the given prefixes; None keeps what is there."""
        given = {name: value for name, value in fields.items() if value is not None}
        for name in given.keys() & {"roots", "label_levels"}:
            given[name] = {**getattr(self, name), **given[name]}
        if "label_levels" in given:
            given["label_levels"] = {prefix: each for prefix, each in given["label_levels"].items() if each != [-1]}
        return dataclasses.replace(self, **given)

    def levels_of(self, prefix: str) -> list[int]:
        """The levels of the folders that give the labels of a prefix: one, and before it those not yet left behind.

        1 is the first folder below the root, -1 the folder that a file lies in.
        """
        return list(self.label_levels.get(prefix, [-1]))

    def prefix_of(self, id: str) -> str:  # noqa: A002 (the field's name)
        """The prefix an id was indexed under: the longest one of ``roots`` that it starts with, else ""."""
        return max((prefix for prefix in self.roots if prefix and id.startswith(prefix + "/")), key=len, default="")

    def file_of(self, id: str, root: Path | None = None) -> Path:  # noqa: A002 (the field's name)
        """The file of an id: below its prefix's folder, or below ``root`` if the pictures have moved.

        :raises BadQuery: when the folder is unknown, or the id points out of it.
        """
        prefix = self.prefix_of(id)
        folder = self.roots.get(prefix) if root is None or prefix else str(root)
        if folder is None:
            raise BadQuery(f"The folder of the picture {id!r} is unknown. Give it with --root FOLDER.")
        below = PurePosixPath(id[len(prefix) + 1 :] if prefix else id)
        if below.is_absolute() or ".." in below.parts:
            raise BadQuery(f"The id {id!r} points out of the indexed folder, so its picture is not opened.")
        return Path(folder, *below.parts)

    def rows(self, *, places: bool = True) -> list[tuple[str, str]]:
        """The fields as pairs of a name and a text; without ``places``, folders are shown by name only."""
        spec = self.spec
        folders = [(prefix, folder if places else folder_name(folder)) for prefix, folder in self.roots.items()]
        made_by = f"{spec.name}, {spec.dim}-d, side {spec.side}" if spec else f"unknown, {self.extracted}-d"
        return [
            ("pictures", f"{self.count:,}, generation {self.generation}"),
            ("extractor", made_by),
            ("weights", spec.weights_digest if spec else "unknown"),
            *(self.baked.rows(self.dim) if self.baked else []),
            ("method", self.method),
            *([("default ranking", self.rank)] if self.rank else []),
            *(("folder", f"{folder}{f' as {prefix}/' if prefix else ''}") for prefix, folder in folders),
            *(
                ("label level", f"{levels[-1]}{f' below {prefix}/' if prefix else ''}")
                for prefix, levels in self.label_levels.items()
            ),
            ("created", self.created or "unknown"),
            ("made with", ", ".join(f"{name} {version}" for name, version in self.libraries.items()) or "unknown"),
            ("uuid", self.uuid),
        ]

    def tables(self) -> Sequence[Table]:
        """The fields, with folder names instead of paths, because notebooks are shared."""
        return [Table(self.rows(places=False), title="Index passport")]

    def frame(self) -> Iterable[Mapping[str, Any]]:
        """The row of ``to_dataframe``: the fields, without the probe vectors."""
        return [self.to_json(probes=False)]

    def to_json(self, *, probes: bool = True) -> dict[str, Any]:
        """The passport as plain JSON values; ``probes=False`` leaves the probe vectors out."""
        spec = dataclasses.asdict(self.spec) if self.spec else None
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        plain |= {"spec": spec, "root": self.root, "roots": dict(self.roots), "libraries": dict(self.libraries)}
        plain["probes"] = self.probes.tolist()
        del plain["baked"], plain["label_levels"]
        if not self.rank:
            del plain["rank"]
        if self.label_levels:
            plain["label_levels"] = {prefix: list(levels) for prefix, levels in self.label_levels.items()}
        if self.baked:
            plain["baked"] = dataclasses.asdict(self.baked)
        if not probes:
            del plain["probes"]
        return plain

    def published(self) -> dict[str, Any]:
        """The passport for publication with a figure: ``data`` has the folders' names instead of their paths."""
        plain = self.to_json(probes=False)
        del plain["root"], plain["roots"]
        return plain | {"data": sorted(set(map(folder_name, self.roots.values())))}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> IndexPassport:
        """The passport that ``to_json`` wrote; keys of later formats are ignored.

        :raises LookupError, TypeError, ValueError, AttributeError: when a value is missing or cannot be, as a format
            below 1, or probes that are no vectors of the extractor's dimension.
        """
        known = {f.name for f in dataclasses.fields(cls)}
        values = {name: value for name, value in plain.items() if name in known}
        if values.get("spec") is not None:
            spec_fields = {f.name for f in dataclasses.fields(ExtractorSpec)}
            values["spec"] = ExtractorSpec(**{k: v for k, v in values["spec"].items() if k in spec_fields})
        if values.get("baked") is not None:
            values["baked"] = BakedRank(**values["baked"])
        with np.errstate(over="ignore"):
            probes = np.asarray(values.pop("probes", []), np.float32)
        passport = cls(**values)
        for record in filter(None, (passport, passport.spec, passport.baked)):
            _check_fields(record)
        for name in ("format", "dim"):
            if plain[name] < 1:
                raise ValueError(f"{name} is {plain[name]}, below 1")
        for texts in (passport.roots, passport.libraries):
            if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
                raise TypeError(f"{texts!r} is no mapping of texts")
        if not isinstance(passport.label_levels, dict) or not all(map(_are_levels, passport.label_levels.values())):
            raise TypeError(f"{passport.label_levels!r} is no mapping to lists of folder levels")
        return dataclasses.replace(passport, probes=probes.reshape(-1, passport.extracted)) if probes.size else passport


def _are_levels(levels: Any) -> bool:
    return isinstance(levels, list) and bool(levels) and all(type(level) is int and level for level in levels)


def _check_fields(record: Any) -> None:
    """Checks the texts and whole numbers of a record that was read from JSON.

    :raises TypeError: when one has another type, or a number takes more than 64 bits.
    """
    for field_ in dataclasses.fields(record):
        value: Any = getattr(record, field_.name)
        kind = type(value).__name__
        if field_.type in ("str", "int") and (kind != field_.type or (kind == "int" and not -(2**63) < value < 2**63)):
            raise TypeError(f"{field_.name} is {value!r:.80}, not {field_.type}")


@dataclass(frozen=True, slots=True)
class Approx:
    """A request for approximate search with the index's method; None means the method's default.

    ``candidates`` is how many vectors (per segment, on a server) are scored exactly, ``probes`` how many further
    buckets L2-LSH searches.
    """

    candidates: int | None = None
    probes: int | None = None

    def __post_init__(self) -> None:
        for name in ("candidates", "probes"):  # numpy's integers, which no request can hold
            if isinstance(value := getattr(self, name), np.integer):
                object.__setattr__(self, name, int(value))


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The answer of an index to ``m`` queries: ``(m, k)`` arrays in order of (-score, id).

    ``ids`` holds strings, "" where a row is short; ``scores`` float32 cosines in [-1, 1], NaN where a row is short.
    ``method`` is the method that was used, ``note`` says why it is not the requested one ("" if it is). In the answer
    of an index, ``records`` holds the record of every hit, by id, at no cost beyond the search.
    """

    ids: npt.NDArray[np.str_]
    scores: npt.NDArray[np.float32]
    method: str = "exact"
    note: str = ""
    records: Mapping[str, ImageRecord] = field(default_factory=dict, repr=False, compare=False)
