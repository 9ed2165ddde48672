"""Files that a visitor takes along: the receipt of a search, and a ZIP of original pictures."""

from __future__ import annotations

import io
import re
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from imgsearch_kit.app.choices import spec_of
from imgsearch_kit.app.guarding import told
from imgsearch_kit.app.request import MOST_HITS, SearchRequest
from imgsearch_kit.errors import BadQuery, KitError, UnreadableImage
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.images import shareable
from imgsearch_kit.records import ImageRecord
from imgsearch_kit.reports import json_text, visible

MOST_ORIGINALS = MOST_HITS
LARGEST_ARCHIVE = 1 << 30  # of original files in one archive
LONGEST_STEM = 60  # characters of a file's name that are kept
AGAIN = "saved again as a JPEG of quality 95, because its format cannot be freed of metadata otherwise"
UNINDEXED = "no longer indexed"


def receipt_answer(gallery: Gallery, uploads: Path, given: Any) -> dict[str, Any]:
    """The receipt of a search of the page as the text of its HTML file; an error is a sentence."""
    said = {"kind": "receipt", "serial": given.get("serial") if isinstance(given, Mapping) else None}
    try:
        asked = SearchRequest.read(given, uploads)
        results = asked.answered_by(gallery, spec_of(asked.rank))
        with tempfile.TemporaryDirectory() as folder:
            gallery.receipt(results, file := Path(folder, "receipt.html"))
            return said | {"page": file.read_text("utf-8")}
    except KitError as error:
        return said | {"error": visible(told(error, gallery.index.address)[1])}


def packed_originals(gallery: Gallery, ids: Sequence[str]) -> Iterator[bytes]:
    """The parts of a ZIP archive of indexed pictures without metadata; each picture is read when its part is wanted.

    Its ``pictures.json`` says for each id the name in the archive, the class, and what was done or is wrong.

    :raises BadQuery: when none of them is indexed, or they have more than a gigabyte together.
    """
    records = {record.id: record for record in gallery.records(list(dict.fromkeys(ids)))}
    if not records:
        raise BadQuery("None of these pictures is indexed.")
    if (size := sum(record.size for record in records.values())) > LARGEST_ARCHIVE:
        raise BadQuery(
            f"These pictures have {size / 2**20:,.0f} MB, more than {LARGEST_ARCHIVE >> 20:,}. Choose fewer."
        )
    return _archive(gallery, {id_: records.get(id_) for id_ in dict.fromkeys(ids)})


def _archive(gallery: Gallery, wanted: Mapping[str, ImageRecord | None]) -> Iterator[bytes]:
    stream = _Stream()
    listed: list[dict[str, Any]] = []
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:  # pictures are compressed already
        for number, (id_, record) in enumerate(wanted.items(), 1):
            about: dict[str, Any] = {"id": id_, "label": record and record.label, "file": None}
            try:
                if record is None:
                    raise UnreadableImage(UNINDEXED)
                found = shareable(gallery.original(record), max_pixels=gallery.max_pixels)
            except KitError as error:
                listed.append(about | {"note": told(error, gallery.index.address)[1]})
                continue
            about["file"] = name = _name(number, id_) + found.suffix
            archive.writestr(name, found.content)
            listed.append(about | {"note": AGAIN if found.again else "without metadata"})
            yield stream.taken()
        archive.writestr("pictures.json", json_text(listed))
    yield stream.taken()


def _name(number: int, id: str) -> str:  # noqa: A002 (the field's name)
    """A name in an archive, for any system: numbered, so no two are the same, and in no folder."""
    plain = re.sub(r"[^0-9A-Za-z_-]+", "-", PurePosixPath(id).stem)[:LONGEST_STEM].strip("-")
    return f"{number:03}-{plain}" if plain else f"{number:03}"


class _Stream(io.RawIOBase):
    """A file to write to, from which what was written is taken away."""

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: Any) -> int:
        """Keeps the bytes until they are taken."""
        self._written.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        """What was written since the last time."""
        written, self._written = b"".join(self._written), []
        return written
