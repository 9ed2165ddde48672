"""Writes the map of an index, with its pictures' thumbnails, as one HTML file."""

from __future__ import annotations

import base64
import dataclasses
import functools
import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from PIL import Image

from imgsearch_kit.arguments import whole_number
from imgsearch_kit.errors import BadQuery, KitError
from imgsearch_kit.files import artefact, kept_artefact, kept_names
from imgsearch_kit.images import thumbnail
from imgsearch_kit.index.base import VectorIndex
from imgsearch_kit.inspection.neighbours import Nearest, leave_one_out
from imgsearch_kit.map.page import map_page
from imgsearch_kit.map.projection import Projection, project
from imgsearch_kit.outputs import check_output, write_output
from imgsearch_kit.progress import progress_bar
from imgsearch_kit.records import Failure, ImageRecord, IndexPassport, Vectors
from imgsearch_kit.reports import Framed, RunReport, plain

SIDE, QUALITY = 64, 50  # of the map's thumbnails: some 650 bytes each
INLINE = 20_000  # pictures up to which thumbnails are in the page; with more they are in a separate folder
LISTED = 10
MOST_MAPPED = 200_000  # pictures: their layout takes hours, and a browser has to hold them all
LARGEST_CELL, IN_CELL, CELL_HEIGHT = 1_000_000, 1_500, 640  # characters, of a thumbnail about; pixels
KEPT_MAP = "projection.npz"
DIGEST = "vectors.txt"  # of the vectors of a generation, which names their map
HAS_MAP = "map.txt"  # says that a generation has one


@dataclass(frozen=True)
class MapReport(RunReport):
    """A map that was written: its path, size in bytes, trustworthiness, and the pictures without thumbnail."""

    path: Path
    size: int
    projection: Projection
    folder: Path | None
    failed: list[Failure]

    def to_json(self) -> dict[str, Any]:
        """The document of ``imgsearch map --json``."""
        return {
            "path": str(self.path),
            "bytes": self.size,
            "thumbnails": str(self.folder) if self.folder else None,
            **self.projection.to_json(),
            "failed": plain(self.failed),
        }

    def title(self) -> str:
        """The path and size of the map."""
        beside = f", thumbnails in {self.folder}" if self.folder else ""
        return f"{self.path} ({self.size / 1e6:.1f} MB{beside})"

    def notes(self) -> Sequence[str]:
        """How far the map can be trusted."""
        return self.projection.notes()


def projection(
    index: VectorIndex, *, seed: int = 42, progress: bool | Callable[[float], object] | None = None
) -> Projection:
    """The index's pictures on a plane, from the cache if their vectors have not changed.

    ``progress`` is that of ``project``.

    :raises BadQuery: when the index is empty, or has more than 200,000 pictures.
    :raises MissingExtra: when umap-learn is not installed and there are more than a few pictures.
    """
    seed, passport = whole_number("seed", seed, 0), index.read_passport()
    _check_mapped(passport.count)
    vectors = functools.cache(index.vectors)  # read once, and only if something must be learned
    digest = _digest(passport, vectors)
    made = artefact(
        _whenever(passport),
        KEPT_MAP,
        {"seed": seed, "vectors": digest},
        lambda: project(vectors(), seed=seed, progress=progress),
        lambda made, path: made.save(path),
        Projection.load,
    )
    return _noted(passport, digest, made)


def _digest(passport: IndexPassport, vectors: Callable[[], Vectors]) -> str:
    """A digest of the vectors of an index in its present generation, computed once."""

    def made() -> str:
        return hashlib.blake2b(np.ascontiguousarray(vectors()).reshape(-1).data, digest_size=16).hexdigest()

    return artefact(passport, DIGEST, {}, made, _write, Path.read_text)


def _write(text: str, path: Path) -> None:
    path.write_text(text)


def _noted(passport: IndexPassport, digest: str, made: Projection) -> Projection:
    """The map, once it is noted in the cache that there is one of this generation."""
    artefact(passport, HAS_MAP, {}, lambda: digest, _write, Path.read_text)
    return made


def _whenever(passport: IndexPassport) -> IndexPassport:
    """The passport as a key of what the vectors alone determine: other labels are another generation."""
    return dataclasses.replace(passport, generation=0)


def _check_mapped(count: int) -> None:
    if count > MOST_MAPPED:
        raise BadQuery(
            f"A map has at most {MOST_MAPPED:,} pictures; this index has {count:,}, whose layout would take hours. "
            "Map a part: make an index of one sub-folder, or of pictures drawn from all."
        )


def kept_projection(index: VectorIndex, *, seed: int = 42) -> Projection | None:
    """The same if the cache has it, else None; once a generation the vectors are read to see if it still fits."""
    passport = index.read_passport()
    if KEPT_MAP not in kept_names(_whenever(passport)):
        return None
    digest = _digest(passport, index.vectors)
    made = kept_artefact(_whenever(passport), KEPT_MAP, {"seed": seed, "vectors": digest}, Projection.load)
    return made and _noted(passport, digest, made)


def keep_projection(index: VectorIndex, made: Projection) -> None:
    """Keeps a map of the index's pictures, in id order, that was not learned from it, as the one of its seed."""
    passport = index.read_passport()
    digest = _digest(passport, index.vectors)
    artefact(
        _whenever(passport),
        KEPT_MAP,
        {"seed": made.seed, "vectors": digest},
        lambda: made,
        lambda made, path: made.save(path),
        Projection.load,
    )
    _noted(passport, digest, made)


def write_map(
    index: VectorIndex,
    path: Path,
    *,
    root: Path | None = None,
    seed: int = 42,
    title: str | None = None,
    force: bool = False,
    progress: bool | None = None,
) -> MapReport:
    """Writes the map of an index as one HTML file, above 20,000 pictures with a folder of thumbnails next to it.

    ``root`` is the pictures' folder if it has moved. A picture that cannot be read is on the map without its thumbnail,
    and reported. The page is written atomically; with ``force`` also over a file that the kit did not write, but never
    over an index.

    :raises BadQuery: when the index is empty, or the file cannot be written or is one that the kit did not write.
    :raises MissingExtra: when umap-learn is not installed and there are more than a few pictures.
    """
    check_output(path, force=force)
    content = _Content.of(index, seed, progress)
    failed: list[Failure] = []
    small = content.thumbnails(root, failed, progress)
    folder = path.with_name(f"{path.stem}_thumbnails") if len(content.records) > INLINE else None
    with write_output(path, force=force) as whole:
        whole.write_text(content.page(_inline(small) if folder is None else _beside(small, folder), title), "utf-8")
        size = whole.stat().st_size
    return MapReport(path, size, content.placed, folder, failed)


def framed_map(
    index: VectorIndex,
    *,
    root: Path | None = None,
    seed: int = 42,
    title: str | None = None,
    progress: bool | None = None,
) -> Framed:
    """The same map in a notebook cell; without thumbnails where it would take more than 1 MB with them.

    :raises BadQuery: when the index is empty, or has more than 200,000 pictures.
    :raises MissingExtra: when umap-learn is not installed and there are more than a few pictures.
    """
    content = _Content.of(index, seed, progress)
    page = content.page([None] * len(content.records), title)
    if len(page) + IN_CELL * len(content.records) <= LARGEST_CELL:
        page = content.page(_inline(content.thumbnails(root, [], progress)), title)
    return Framed(page, content.title(title), CELL_HEIGHT, scripts=True)


@dataclass(frozen=True)
class _Content:
    """What is on the map of an index."""

    passport: IndexPassport
    records: Sequence[ImageRecord]
    placed: Projection
    nearest: Nearest

    @classmethod
    def of(cls, index: VectorIndex, seed: int, progress: bool | None) -> _Content:
        passport = index.read_passport()
        _check_mapped(passport.count)
        records, vectors = index.entries()
        if not records:
            raise BadQuery(
                "The index is empty, so there is nothing to map. Index some pictures: imgsearch index FOLDER"
            )
        return cls(passport, records, projection(index, seed=seed, progress=progress), leave_one_out(vectors, LISTED))

    def title(self, given: str | None) -> str:
        made_by = self.passport.spec.name if self.passport.spec else "an unknown extractor"
        return given or f"{len(self.records):,} pictures by {made_by}"

    def thumbnails(self, root: Path | None, failed: list[Failure], progress: bool | None) -> Iterable[bytes | None]:
        made = _small_thumbnails(self.records, self.passport, root, failed)
        return progress_bar("thumbnails", "picture", len(self.records), made, shown=progress)

    def page(self, sources: Sequence[str | None], title: str | None) -> str:
        return map_page(
            self.placed.positions,
            [record.id for record in self.records],
            [record.label for record in self.records],
            sources,
            self.nearest.rows,
            self.nearest.cosines,
            title=self.title(title),
            notes=self.placed.notes(),
        )


def _small_thumbnails(
    records: Sequence[ImageRecord], passport: IndexPassport, root: Path | None, failed: list[Failure]
) -> Iterator[bytes | None]:
    """Each record's picture as a small WEBP, or None with a reason in ``failed``."""

    def shrink(record: ImageRecord) -> bytes | Failure:
        try:
            with Image.open(thumbnail(passport.file_of(record.path or record.id, root), record.sha256)) as image:
                picture = image.convert("RGB")
        except (KitError, OSError) as error:
            return Failure(record.id, str(error))
        picture.thumbnail((SIDE, SIDE))
        file = io.BytesIO()
        picture.save(file, "WEBP", quality=QUALITY)
        return file.getvalue()

    with ThreadPoolExecutor(2, thread_name_prefix="thumbnail") as pool:
        for made in pool.map(shrink, records):
            if isinstance(made, Failure):
                failed.append(made)
            yield None if isinstance(made, Failure) else made


def _inline(pictures: Iterable[bytes | None]) -> list[str | None]:
    """Pictures as data addresses."""
    return [f"data:image/webp;base64,{base64.b64encode(data).decode()}" if data else None for data in pictures]


def _beside(pictures: Iterable[bytes | None], folder: Path) -> list[str | None]:
    """Pictures as files of a folder, and their addresses relative to the page.

    Named by their content, so that an earlier map which shares the folder stays right.
    """
    sources: list[str | None] = []
    for data in pictures:
        digest = hashlib.sha256(data or b"").hexdigest()
        place = Path(folder.name, digest[:2], f"{digest}.webp")
        if data:
            file = folder.parent / place
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        sources.append(quote(place.as_posix()) if data else None)
    return sources
