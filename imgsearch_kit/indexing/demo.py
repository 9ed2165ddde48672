"""The sample pictures, indexed and ready to be searched: what `imgsearch demo` and `gradio_app.py` show."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from imgsearch_kit.datasets import sample_pictures
from imgsearch_kit.gallery import Searcher
from imgsearch_kit.indexing.folder import IndexReport, index_folder
from imgsearch_kit.provenance import bring_weights, open_for_indexing


def demo_searcher(folder: Path, say: Callable[[str], None]) -> tuple[Searcher, IndexReport]:
    """A searcher over the sample pictures, which are made and indexed below ``folder`` where they are not yet.

    ``say`` gets a sentence on every step that takes time.
    """
    pictures = sample_pictures(folder / "pictures")
    bring_weights(say)
    index, extractor = open_for_indexing(f"local:{folder / 'imgsearch.db'}", say=say)
    say(f"Indexing the sample pictures in {pictures}")
    report = index_folder(pictures, index, extractor, moved_root=True)
    return Searcher(index, extractor), report
