"""Writes the map of an index, with its pictures' thumbnails, as one HTML file."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from PIL import Image

from imgsearch_kit.arguments import whole_number
from imgsearch_kit.errors import BadQuery, KitError
from imgsearch_kit.files import artefact, kept_artefact
from imgsearch_kit.images import thumbnail
from imgsearch_kit.index.base import VectorIndex
from imgsearch_kit.inspection.neighbours import leave_one_out
from imgsearch_kit.map.page import map_page
from imgsearch_kit.map.projection import Projection, project
from imgsearch_kit.outputs import check_output, write_output
from imgsearch_kit.progress import progress_bar
from imgsearch_kit.records import Failure, ImageRecord, IndexPassport
from imgsearch_kit.reports import RunReport, plain

SIDE, QUALITY = 64, 50  # of the map's thumbnails: some 650 bytes each
INLINE = 20_000  # pictures up to which thumbnails are in the page; with more they are in a separate folder
LISTED = 10
KEPT_MAP = "projection.npz"


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
    """The index's pictures on a plane, from the cache if the index has not changed.

    ``progress`` is that of ``project``.

    :raises BadQuery: when the index is empty.
    :raises MissingExtra: when umap-learn is not installed and there are more than a few pictures.
    """
    seed = whole_number("seed", seed, 0)
    return artefact(
        index.read_passport(),
        KEPT_MAP,
        {"seed": seed},
        lambda: project(index.vectors(), seed=seed, progress=progress),
        lambda made, path: made.save(path),
        Projection.load,
    )


def kept_projection(index: VectorIndex, *, seed: int = 42) -> Projection | None:
    """The same if the cache has it, else None."""
    return kept_artefact(index.read_passport(), KEPT_MAP, {"seed": seed}, Projection.load)


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
    passport, (records, vectors) = index.read_passport(), index.entries()
    if not records:
        raise BadQuery("The index is empty, so there is nothing to map. Index some pictures: imgsearch index FOLDER")
    placed = projection(index, seed=seed, progress=progress)
    nearest = leave_one_out(vectors, LISTED)
    failed: list[Failure] = []
    made = _small_thumbnails(records, passport, root, failed)
    small = progress_bar("thumbnails", "picture", len(records), made, shown=progress)
    folder = path.with_name(f"{path.stem}_thumbnails") if len(records) > INLINE else None
    with write_output(path, force=force) as whole:
        sources = _inline(small) if folder is None else _beside(small, folder)
        page = map_page(
            placed.positions,
            [record.id for record in records],
            [record.label for record in records],
            sources,
            nearest.rows,
            nearest.cosines,
            title=title
            or f"{len(records):,} pictures by {passport.spec.name if passport.spec else 'an unknown extractor'}",
            notes=placed.notes(),
        )
        whole.write_text(page, encoding="utf-8")
        size = whole.stat().st_size
    return MapReport(path, size, placed, folder, failed)


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
