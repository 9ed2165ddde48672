"""Where the kit keeps what it can make or fetch again: weights, thumbnails, maps."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """The kit's cache folder, which may not exist yet: ``$IMGSEARCH_CACHE`` if set, else the user's cache folder."""
    return Path(os.environ.get("IMGSEARCH_CACHE") or platformdirs.user_cache_dir("imgsearch-kit"))
