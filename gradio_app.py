"""The page for `python gradio_app.py` and hosted Spaces: over the index in $IMGSEARCH_INDEX, else sample pictures."""

import os
import sys
from pathlib import Path

from imgsearch_kit import Gallery, KitError
from imgsearch_kit.demo import sample_gallery


def gallery() -> Gallery:
    """Over the index the environment names, else over the sample pictures, indexed now if they are not yet."""
    if address := os.environ.get("IMGSEARCH_INDEX"):
        return Gallery.open(address)
    return sample_gallery(Path("demo"), print)


if __name__ == "__main__":
    try:
        host = "0.0.0.0" if "SPACE_ID" in os.environ else "127.0.0.1"  # a Space is reached through its own proxy
        page = gallery().serve(host=host, port=int(os.environ.get("GRADIO_SERVER_PORT", "7860")), block=False)
    except KitError as error:
        sys.exit(str(error))
    print(f"The page is at {page.url}", flush=True)
    page.wait()
