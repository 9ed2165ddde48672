"""Packs a gallery as a hosted Space: the page with its index, small pictures, int8 network and the kit's own wheel."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from imgsearch_kit.errors import KitError, UnreadableImage
from imgsearch_kit.images import thumbnail_bytes
from imgsearch_kit.indexing.selected import PICTURES_FOLDER, write_selected
from imgsearch_kit.outputs import GENERATOR
from imgsearch_kit.progress import progress_bar
from imgsearch_kit.records import Failure, ImageRecord
from imgsearch_kit.share.contents import PackContents
from imgsearch_kit.share.folder import MARK, check_site_folder, kept_files, site_folder
from imgsearch_kit.share.learned import ARTEFACTS_FOLDER, write_learned
from imgsearch_kit.share.report import PackReport, part_sizes
from imgsearch_kit.share.wheel import requirements, write_wheel

if TYPE_CHECKING:
    from imgsearch_kit.gallery import Gallery

SPACE_SIDE, SPACE_QUALITY = 512, 80  # of the pictures; they stand for the originals, which are never packed
NETWORK_FILE, INDEX_FILE = "network.onnx", "index.db"
FRONT = """---
title: {title}
emoji: 🔎
colorFrom: indigo
colorTo: gray
sdk: gradio
sdk_version: {gradio}
python_version: "3.12"
app_file: app.py
suggested_hardware: cpu-basic
short_description: Search pictures by a picture
pinned: false
---

{about}

To start it here: `python -m pip install -r requirements.txt`, then `python app.py`. The pictures and the network's
weights have licences of their own.
"""

# The wheel is unpacked instead of installed, because a Space builds its environment before it has the other files.
PROGRAM = '''"""The page of this Space: a search over the pictures that were packed with it."""

import sys
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
unpacked = tempfile.TemporaryDirectory(prefix="imgsearch-kit-")  # removed at the end of the program
with zipfile.ZipFile(HERE / "{wheel}") as wheel:
    wheel.extractall(unpacked.name)
sys.path.insert(0, unpacked.name)

from imgsearch_kit import Gallery
from imgsearch_kit.app.hosted import serve_hosted

if __name__ == "__main__":
    place = {{"root": HERE / "{pictures}", "weights": HERE / "{network}"}}
    options = {{"artefacts": HERE / "{artefacts}", "title": {title!r}, "read_only": True}}
    serve_hosted(lambda: Gallery.open(f"local:{{HERE / '{index}'}}", **place), **options)
'''


def pack_space(
    gallery: Gallery,
    contents: PackContents,
    folder: Path,
    *,
    title: str | None = None,
    say: Callable[[str], None] = lambda sentence: None,
    progress: bool | None = None,
) -> PackReport:
    """Writes the folder of a Space whose contents were listed; it runs from that folder alone.

    Index and network of a Space are one int8 extractor: of a float gallery the pictures are extracted again.

    :raises BadQuery: when the folder holds anything but an earlier Space, or the extractor has no int8 form.
    :raises UnreadableImage: when not one picture can be read.
    """
    check_site_folder(folder, "space")
    say("Extracting what has no int8 vector yet")
    packed, failed = gallery.quantised(progress=progress)
    try:
        with site_folder(folder, "space") as made:
            chosen = _without(contents, failed)
            records, ids, unread = _write_pictures(gallery, chosen, made / PICTURES_FOLDER, progress)
            write_selected(packed.index, ids, records, made / INDEX_FILE)
            (made / NETWORK_FILE).write_bytes(packed.network())
            say("Learning what scores mean, and the map")
            without = _write_artefacts(made, (packed, gallery), ids, records, progress)
            _write_program(made, title or "Image search", len(records))
            parts, kept = part_sizes(made), kept_files(made, folder)
    finally:
        if packed is not gallery:
            packed.close()
    name = packed.passport.spec.name if packed.passport.spec else ""
    classes = len({record.label for record in records if record.label})
    start = f"To start it: python -m pip install -r {folder}/requirements.txt && python {folder}/app.py"
    return PackReport(folder, len(records), classes, name, parts, without, [*failed, *unread], start, kept)


def _write_artefacts(
    made: Path, sources: Sequence[Gallery], ids: Sequence[str], records: Sequence[ImageRecord], progress: bool | None
) -> list[str]:
    """Writes what is learned of the Space's index, as it is opened there; what it lacks, in sentences."""
    source_id = dict(zip([record.id for record in records], ids, strict=True))
    with type(sources[0]).open(f"local:{made / INDEX_FILE}") as space:
        in_order = [source_id[record.id] for record in space.records()]
        return write_learned(space, sources, in_order, made / ARTEFACTS_FOLDER, progress)


def _without(contents: PackContents, failed: Sequence[Failure]) -> list[tuple[ImageRecord, str]]:
    gone = {failure.path for failure in failed}
    pairs = zip(contents.records, contents.names, strict=True)
    return [(record, name) for record, name in pairs if record.id not in gone]


def _write_pictures(
    gallery: Gallery, chosen: Sequence[tuple[ImageRecord, str]], folder: Path, progress: bool | None
) -> tuple[list[ImageRecord], list[str], list[Failure]]:
    """Writes the small pictures; the records as the Space has them, their ids here, and what could not be read."""
    folder.mkdir()
    ids: list[str] = []
    records, failed = [], []
    drawn = _drawn(gallery, [record for record, _ in chosen])
    bar = progress_bar("pictures", "picture", len(chosen), drawn, shown=progress)
    for (record, name), content in zip(chosen, bar, strict=True):
        if isinstance(content, Failure):
            failed.append(content)
            continue
        path = folder / f"{len(ids) // 1000:03}/{len(ids):06}.webp"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        ids.append(record.id)
        records.append(
            ImageRecord(
                name,
                record.label,
                hashlib.sha256(content).hexdigest(),
                record.width,
                record.height,
                size=len(content),
                path=path.relative_to(folder).as_posix(),
            )
        )
    if not records:
        raise UnreadableImage(f"Not one of the pictures can be read; the first: {failed[0].reason}")
    return records, ids, failed


def _drawn(gallery: Gallery, records: Sequence[ImageRecord]) -> Iterator[bytes | Failure]:
    def one(record: ImageRecord) -> bytes | Failure:
        try:
            source = gallery.original(record)
            return thumbnail_bytes(source, SPACE_SIDE, quality=SPACE_QUALITY, max_pixels=gallery.max_pixels)
        except KitError as error:
            return Failure(record.id, str(error))

    with ThreadPoolExecutor(2, thread_name_prefix="thumbnail") as pool:
        yield from pool.map(one, records)


def _write_program(folder: Path, title: str, count: int) -> None:
    about = f"{count:,} pictures, packed by imgsearch-kit {metadata.version('imgsearch-kit')}."
    front = FRONT.format(title=json.dumps(title), gradio=metadata.version("gradio"), about=about)
    (folder / "README.md").write_text(front, "utf-8")
    wheel = write_wheel(folder).name
    names = {"pictures": PICTURES_FOLDER, "network": NETWORK_FILE, "index": INDEX_FILE, "wheel": wheel}
    names["artefacts"] = ARTEFACTS_FOLDER
    (folder / "app.py").write_text(PROGRAM.format(title=title, **names), "utf-8")
    (folder / "requirements.txt").write_text("\n".join([*requirements("app", "heic"), ""]), "utf-8")
    (folder / MARK).write_text(json.dumps({"generator": GENERATOR, "kind": "space", "title": title}), "utf-8")
