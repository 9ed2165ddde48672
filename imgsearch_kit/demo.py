"""The sample pictures as a gallery: what `imgsearch demo` and `gradio_app.py` show."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from imgsearch_kit.datasets import sample_pictures
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.indexing.extractor import bring_weights


def sample_gallery(folder: Path, say: Callable[[str], None]) -> Gallery:
    """The gallery of the sample pictures, which are made and indexed below ``folder`` if they are not there yet.

    ``say`` is called with a sentence before every step that takes time.
    """
    pictures = sample_pictures(folder / "pictures")
    bring_weights(say)
    say(f"Indexing the sample pictures in {pictures}")
    return Gallery.from_folder(pictures, f"local:{folder / 'imgsearch.db'}", moved_root=True)
