"""The Gradio page: one file per tab, combined by ``build_app`` and started by ``serve``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imgsearch_kit.app.environment import sheltered
from imgsearch_kit.errors import MissingExtra
from imgsearch_kit.files import lend_matplotlib_folder

if TYPE_CHECKING:
    import gradio as gr

    from imgsearch_kit.app.serving import Page
    from imgsearch_kit.gallery import Gallery


def build_app(gallery: Gallery) -> gr.Blocks:
    """The page of a gallery, not yet launched; ``serve`` launches it with the kit's security settings.

    :raises MissingExtra: when gradio is not installed.
    """
    _require_gradio()
    from imgsearch_kit.app.page import build

    with sheltered():
        return build(gallery)


def serve(gallery: Gallery, **options: Any) -> Page:
    """The running page; ``imgsearch_kit.app.serving.launch_page`` describes the options.

    :raises MissingExtra: when gradio is not installed.
    :raises BadQuery: when a public link is requested without a password.
    """
    _require_gradio()
    from imgsearch_kit.app.serving import launch_page

    return launch_page(gallery, **options)


def _require_gradio() -> None:
    lend_matplotlib_folder()  # Gradio loads it too
    try:
        with sheltered():
            import gradio  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtra("gradio", "app") from error
