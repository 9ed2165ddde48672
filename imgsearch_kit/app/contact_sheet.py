"""A picture of the whole index, for those who link to the page: typical pictures of it, side by side."""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageOps

from imgsearch_kit.app.tiles import Shown
from imgsearch_kit.errors import KitError
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.records import ImageRecord

SHEET = 600, 315  # pixels, the form in which other sites show a picture of a page
GRIDS = (6, 3), (4, 2), (3, 1), (2, 1), (1, 1)  # columns and rows
COLOURS = 128  # of the file, which is a third as large as with all


def contact_sheet(pictures: Sequence[Path]) -> bytes:
    """A PNG file of 600 × 315 pixels with at most 18 of the pictures, each cut to fill its place; b"" without any."""
    columns, rows = next((grid for grid in GRIDS if grid[0] * grid[1] <= len(pictures)), (0, 0))
    if not columns:
        return b""
    sheet = Image.new("RGB", SHEET)
    width, height = SHEET[0] // columns, SHEET[1] // rows
    for place, path in enumerate(pictures[: columns * rows]):
        with Image.open(path) as picture:
            fitted = ImageOps.fit(picture.convert("RGB"), (width, height))
        sheet.paste(fitted, (place % columns * width, place // columns * height))
    written = io.BytesIO()
    sheet.quantize(COLOURS).save(written, "PNG", optimize=True)
    return written.getvalue()


class IndexPicture:
    """The contact sheet of a gallery as it is now, made once a generation; threads may share one."""

    def __init__(self, gallery: Gallery):
        self.gallery, self._shown = gallery, Shown(gallery)
        self._lock = threading.Lock()
        self._made: tuple[int, bytes] | None = None

    def now(self) -> bytes:
        """The PNG file, b"" where nothing is indexed or no picture is where it was."""
        generation = self.gallery.index.read_passport().generation
        with self._lock:
            if self._made is None or self._made[0] != generation:
                _, typical = self._shown.now()
                self._made = generation, contact_sheet([path for record in typical for path in self._thumbnail(record)])
            return self._made[1]

    def _thumbnail(self, record: ImageRecord) -> list[Path]:
        try:
            return [self.gallery.thumbnail(record)]
        except KitError:  # its file is gone
            return []
