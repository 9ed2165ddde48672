"""Image search you can measure: neighbours of a picture, and how good they are per class.

Start with ``Gallery``. Each public name is loaded when it is first used, so that the import is fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imgsearch_kit.datasets import sample_pictures
    from imgsearch_kit.errors import KitError
    from imgsearch_kit.evaluation.report import Evaluation
    from imgsearch_kit.extractors import Extractor, load_extractor
    from imgsearch_kit.gallery import Gallery
    from imgsearch_kit.index import create_index, open_index
    from imgsearch_kit.index.base import VectorIndex
    from imgsearch_kit.indexing.report import IndexReport
    from imgsearch_kit.records import ExtractorSpec, ImageRecord
    from imgsearch_kit.results import Results

__version__ = "0.1.0"

__all__ = [
    "Evaluation",
    "Extractor",
    "ExtractorSpec",
    "Gallery",
    "ImageRecord",
    "IndexReport",
    "KitError",
    "Results",
    "VectorIndex",
    "create_index",
    "load_extractor",
    "open_index",
    "sample_pictures",
]

_HOMES = {  # the module of each public name
    "Evaluation": "evaluation.report",
    "Extractor": "extractors",
    "ExtractorSpec": "records",
    "Gallery": "gallery",
    "ImageRecord": "records",
    "IndexReport": "indexing.report",
    "KitError": "errors",
    "Results": "results",
    "VectorIndex": "index.base",
    "create_index": "index",
    "load_extractor": "extractors",
    "open_index": "index",
    "sample_pictures": "datasets",
}


def __getattr__(name: str) -> Any:
    """A public name, loaded now (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
