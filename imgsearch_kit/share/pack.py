"""Packs a gallery as a site that needs no server: a visitor's browser embeds the picture and searches."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

import imgsearch_kit
from imgsearch_kit.errors import BadQuery, KitError, MissingExtra, UnreadableImage
from imgsearch_kit.extractors.base import probe_vectors
from imgsearch_kit.indexing.selected import vectors_of
from imgsearch_kit.outputs import GENERATOR
from imgsearch_kit.progress import progress_bar
from imgsearch_kit.provenance import PROBE_COSINE_INT8
from imgsearch_kit.query import OWN_COSINE
from imgsearch_kit.ranking.feedback import WEIGHTS
from imgsearch_kit.records import Failure, ImageRecord, IndexPassport
from imgsearch_kit.reports import visible
from imgsearch_kit.share import data
from imgsearch_kit.share.contents import PackContents
from imgsearch_kit.share.folder import MARK, check_site_folder, kept_files, site_folder
from imgsearch_kit.share.hosting import write_hosting
from imgsearch_kit.share.learned import placed
from imgsearch_kit.share.report import PackReport, part_sizes
from imgsearch_kit.share.runtime import BINARY, GLUE, SCRIPT, runtime_files

if TYPE_CHECKING:
    from imgsearch_kit.gallery import Gallery

THUMBNAIL_SIDE, THUMBNAIL_QUALITY = 160, 55  # some 2.4 kB each
FIRST_TILES = 18  # pictures to click on the first screen
PER_FOLDER = 1_000  # thumbnails in a folder
NETWORK = "model/network.onnx"


def pack_site(
    gallery: Gallery,
    contents: PackContents,
    folder: Path,
    *,
    title: str | None = None,
    runtime: Path | None = None,
    say: Callable[[str], None] = lambda sentence: None,
    progress: bool | None = None,
) -> PackReport:
    """Writes the site of a gallery whose contents were listed; ``runtime`` is a folder with onnxruntime-web's files.

    Vectors and network of a site are one int8 extractor: of a float gallery the pictures are extracted again.

    :raises BadQuery: when the folder holds anything but an earlier site, the extractor has no int8 form, or npm is
        not there.
    :raises ServerUnavailable: when npm cannot bring the runtime.
    :raises UnreadableImage: when not one picture can be read.
    """
    check_site_folder(folder, "site")
    scripts = runtime_files(runtime, say)
    packed, failed = gallery.quantised(progress=progress)
    try:
        with site_folder(folder, "site") as made:
            writer = _Site(packed, gallery, contents, made, progress, list(failed))
            writer.write(title, scripts)
            parts, kept = part_sizes(made), kept_files(made, folder)
    finally:
        if packed is not gallery:
            packed.close()
    extractor = packed.passport.spec.name if packed.passport.spec else ""
    classes = len({record.label for record in writer.records if record.label})
    start = f"To look at it: python -m http.server --directory {folder}"
    count, without = len(writer.records), writer.without
    return PackReport(folder, count, classes, extractor, parts, without, writer.failed, start, kept)


class _Site:
    """A site while it is written: the pictures that have both a thumbnail and a vector, in the order of ids."""

    def __init__(
        self,
        packed: Gallery,
        given: Gallery,
        contents: PackContents,
        folder: Path,
        progress: bool | None,
        failed: list[Failure],
    ):
        self.packed, self.given, self.folder, self.progress = packed, given, folder, progress
        self.contents = contents
        self.records: list[ImageRecord] = []
        self.names: list[str] = []
        self.failed = failed
        rank = f"Hits are ordered by plain cosine; {given.rank}, the gallery's own ranking, is not part of the site."
        self.without = [rank] if given.rank else []

    def write(self, title: str | None, scripts: dict[str, Path]) -> None:
        """Writes all files."""
        (self.folder / "data").mkdir()
        self._write_thumbnails()
        vectors = vectors_of(self.packed.index, [record.id for record in self.records])
        data.write_vectors(self.folder / "data/vectors.f16", vectors)
        k = data.write_neighbours(self.folder / "data/neighbours", vectors)
        self._write_pictures()
        described = self._described(title) | {
            "neighbours": {"k": k, "shard": data.SHARD},
            "parts": {"map": self._write_map(), "evaluation": self._write_evaluation()},
        }
        _write_code(self.folder, scripts)
        (self.folder / "model").mkdir()
        (self.folder / NETWORK).write_bytes(self.packed.network())
        described["files"] = {
            name: {"path": path, "size": (self.folder / path).stat().st_size}
            for name, path in {
                "runtime": f"runtime/{SCRIPT}",
                "glue": f"runtime/{GLUE}",
                "binary": f"runtime/{BINARY}",
                "network": NETWORK,
            }.items()
        }
        data.write_json_file(self.folder / MARK, described | {"version": data.digest_of(self.folder)})
        count = f"{len(self.records):,} pictures in {len(described['classes'])} classes"
        write_hosting(self.folder, described["title"], f"{count}, packed by imgsearch-kit {imgsearch_kit.__version__}.")

    def _write_thumbnails(self) -> None:
        """Writes the thumbnails, and keeps the records that have one and a vector."""
        unread = {failure.path for failure in self.failed}
        pairs = zip(self.contents.records, self.contents.names, strict=True)
        wanted = [(record, name) for record, name in pairs if record.id not in unread]
        small = self._small([record for record, _ in wanted])
        for (record, name), content in zip(
            wanted, progress_bar("thumbnails", "picture", len(wanted), small, shown=self.progress), strict=True
        ):
            if isinstance(content, Failure):
                self.failed.append(content)
                continue
            path = self.folder / thumbnail_path(len(self.records))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            self.records.append(record)
            self.names.append(visible(name))
        if not self.records:
            raise UnreadableImage(f"Not one of the pictures can be read; the first: {self.failed[0].reason}")

    def _small(self, records: Sequence[ImageRecord]) -> Iterator[bytes | Failure]:
        with ThreadPoolExecutor(2, thread_name_prefix="thumbnail") as pool:
            yield from pool.map(self._shrink, records)

    def _shrink(self, record: ImageRecord) -> bytes | Failure:
        try:
            with Image.open(self.given.thumbnail(record)) as image:
                picture = image.convert("RGB")
        except (KitError, OSError) as error:
            return Failure(record.id, str(error))
        picture.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
        file = io.BytesIO()
        picture.save(file, "WEBP", quality=THUMBNAIL_QUALITY, method=6)
        return file.getvalue()

    def _write_pictures(self) -> None:
        rows = {label: row for row, label in enumerate(self._classes())}
        classes = [rows.get(record.label or "", -1) for record in self.records]
        data.write_json_file(self.folder / "data/pictures.json", {"ids": self.names, "classes": classes})

    def _classes(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for label in sorted(record.label for record in self.records if record.label):
            counts[label] = counts.get(label, 0) + 1
        return counts

    def _described(self, title: str | None) -> dict[str, Any]:
        """What the page begins with."""
        spec = self.packed.passport.spec
        assert spec is not None
        probes = data.write_probes(self.folder / "data", spec.side, probe_vectors(self.packed.extractor))
        tiles = data.spread(len(self.records), FIRST_TILES)
        return {
            "generator": GENERATOR,
            "kind": "site",
            "kit": imgsearch_kit.__version__,
            "title": visible(title or f"{len(self.records):,} pictures"),
            "count": len(self.records),
            "classes": [{"name": visible(label), "count": count} for label, count in self._classes().items()],
            "extractor": {"output": spec.name, "dim": spec.dim, "side": spec.side, "resampling": spec.resampling},
            "weights": list(WEIGHTS),
            "own": {"row": OWN_COSINE, "given": PROBE_COSINE_INT8},  # a browser may decode a little differently
            "probes": {"least": PROBE_COSINE_INT8, "files": probes},
            "tiles": [{"row": row, "id": self.names[row], "label": self.records[row].label or ""} for row in tiles],
            "perFolder": PER_FOLDER,
            "passport": passport_part(self.packed.passport, len(self.records), anonymous=self.contents.anonymous),
        }

    def _write_map(self) -> bool:
        """Writes the positions of the map that is kept, else of one that is learned now."""
        try:
            found = placed(self.packed, self.given, [record.id for record in self.records], self.progress)
        except MissingExtra as error:
            self.without.append(f"The site has no map. {error}")
            return False
        data.write_positions(self.folder / "data/map.bin", found.positions)
        return True

    def _write_evaluation(self) -> bool:
        left_out = {record.label for record in self.packed.records()} - {record.label for record in self.records}
        excluded = sorted(label for label in left_out if label)
        try:
            found = self.packed.evaluate(rank="", exclude_labels=excluded, progress=self.progress)
        except BadQuery as error:
            self.without.append(f"The site has no evaluation. {error}")
            return False
        rows = {record.id: row for row, record in enumerate(self.records)}
        anonymous = self.contents.anonymous
        data.write_json_file(
            self.folder / "data/evaluation.json", data.evaluation_part(found, rows, anonymous=anonymous)
        )
        return True


def thumbnail_path(row: int) -> str:
    """Where the thumbnail of a row lies on a site."""
    return f"thumbnails/{row // PER_FOLDER}/{row}.webp"


def passport_part(passport: IndexPassport, count: int, *, anonymous: bool) -> list[list[str]]:
    """The passport for visitors of ``count`` pictures, as pairs of a name and a text, without any path.

    An anonymous site has no folder names either, and nothing that tells the index or how many pictures it has.
    """
    hidden = {"pictures", "label level"} | ({"folder", "learned", "uuid"} if anonymous else set())
    rows = [[name, visible(text)] for name, text in passport.rows(places=False) if name not in hidden]
    return [["pictures", f"{count:,}"], *rows]


def _write_code(folder: Path, scripts: dict[str, Path]) -> None:
    """Copies the page, its modules with those of ``ui``, and the runtime."""
    for package, place in (("imgsearch_kit.share.site", "code/share/site"), ("imgsearch_kit.ui", "code/ui")):
        (folder / place).mkdir(parents=True)
        for source in files(package).iterdir():
            if source.name.endswith((".js", ".css")):
                (folder / place / source.name).write_bytes(source.read_bytes())
    page = files("imgsearch_kit.share.site").joinpath("index.html")
    (folder / "index.html").write_bytes(page.read_bytes())
    (folder / "runtime").mkdir()
    for name, path in scripts.items():
        shutil.copyfile(path, folder / "runtime" / name)
