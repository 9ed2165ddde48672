"""The page for `python gradio_app.py` and hosted Spaces: over the index in $IMGSEARCH_INDEX, else sample pictures."""

import os
import sys
from pathlib import Path

from imgsearch_kit.app import serve
from imgsearch_kit.datasets import sample_pictures
from imgsearch_kit.errors import KitError
from imgsearch_kit.index import open_index
from imgsearch_kit.pipeline.indexing import index_folder
from imgsearch_kit.pipeline.opening import bring_weights, open_for_indexing
from imgsearch_kit.pipeline.searching import Searcher


def searcher() -> Searcher:
    """Over the index the environment names, else over the sample pictures, indexed now if they are not yet."""
    if address := os.environ.get("IMGSEARCH_INDEX"):
        return Searcher(open_index(address))
    pictures = sample_pictures(Path("demo/pictures"))
    bring_weights(print)
    index, extractor = open_for_indexing("local:demo/imgsearch.db", say=print)
    index_folder(pictures, index, extractor, moved_root=True)
    return Searcher(index, extractor)


if __name__ == "__main__":
    try:
        host = "0.0.0.0" if "SPACE_ID" in os.environ else "127.0.0.1"  # a Space is reached through its own proxy
        page = serve(searcher(), host=host, port=int(os.environ.get("GRADIO_SERVER_PORT", "7860")), block=False)
    except KitError as error:
        sys.exit(str(error))
    print(f"The page is at {page.url}", flush=True)
    page.wait()
