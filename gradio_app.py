"""The page for `python gradio_app.py` and hosted Spaces: over the index in $IMGSEARCH_INDEX, else sample pictures."""

import os
from pathlib import Path

from imgsearch_kit import Gallery
from imgsearch_kit.app.hosted import serve_hosted
from imgsearch_kit.demo import sample_gallery


def gallery() -> Gallery:
    """Over the index the environment names, else over the sample pictures, indexed now if they are not yet."""
    if address := os.environ.get("IMGSEARCH_INDEX"):
        return Gallery.open(address)
    return sample_gallery(Path("demo"), print)


if __name__ == "__main__":
    serve_hosted(gallery)
