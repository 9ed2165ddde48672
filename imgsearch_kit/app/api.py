"""The ``/search`` endpoint, and the answer it shares with the page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import gradio as gr

from imgsearch_kit.app.blocks import picture_field
from imgsearch_kit.app.guarding import told
from imgsearch_kit.errors import BadQuery, KitError
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.results import Results

DEFAULT_K, MAX_K = 10, 50


def answer(
    gallery: Gallery,
    picture: str | IO[bytes] | None = None,
    id: str | None = None,  # noqa: A002 (the field's name)
    k: int = DEFAULT_K,
    labels: Sequence[str] | None = None,
    min_score: float | None = None,
    rank: str | None = None,
    **steering: Any,
) -> Results:
    """The results for an uploaded file (its path, or opened) or an indexed id, for the page and every route.

    :raises BadQuery: when ``k`` is outside 1 to 50, or the gallery refuses the request.
    :raises UnreadableImage: when the file cannot be decoded.
    """
    if not isinstance(k, int) or not 1 <= k <= MAX_K:
        raise BadQuery(f"k must be a whole number between 1 and {MAX_K}; it is {k!r}.")
    if bool(picture) == bool(id):
        raise BadQuery("Give either a picture or the id of an indexed one.")
    image = Path(picture) if isinstance(picture, str) and picture else picture or None
    return gallery.search(image, id=id or None, k=k, labels=labels or None, min_score=min_score, rank=rank, **steering)


def add_endpoint(gallery: Gallery) -> None:
    """Adds ``/search``, which returns the document of ``imgsearch search --json``."""

    def search(
        image: str | None = None,
        k: int = DEFAULT_K,
        labels: list[str] | None = None,
        min_score: float | None = None,
        id: str | None = None,  # noqa: A002 (the argument's name in Gallery.search)
        rank: str | None = None,
    ) -> dict[str, Any]:
        """The nearest indexed pictures of an uploaded one, or of an indexed id, as `imgsearch search --json` prints."""
        try:
            return answer(gallery, image, id, k, labels, min_score, rank).to_json()
        except KitError as error:
            raise gr.Error(told(error, gallery.index.address)[1], print_exception=False) from error

    inputs = [
        picture_field("image"),
        gr.Number(DEFAULT_K, precision=0, minimum=1, maximum=MAX_K, label="k", visible=False),
        gr.Dropdown([], value=None, multiselect=True, allow_custom_value=True, label="labels", visible=False),
        gr.Number(None, minimum=-1, maximum=1, label="min_score", visible=False),
        gr.Textbox(None, label="id", visible=False),
        gr.Textbox(None, label="rank", visible=False),
    ]
    document = gr.JSON(label="results", visible=False)
    gr.Button(visible=False).click(search, inputs, document, api_name="search", concurrency_id="search")
