"""The Gradio page: one file a tab, joined by ``build_app`` and put on a port by ``serve``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imgsearch_kit.errors import MissingExtra

if TYPE_CHECKING:
    import gradio as gr

    from imgsearch_kit.app.serving import Page
    from imgsearch_kit.gallery import Gallery


def build_app(gallery: Gallery) -> gr.Blocks:
    """The page over an index, not yet launched; ``serve`` launches it with the kit's security settings.

    :raises MissingExtra: when gradio is not installed.
    """
    _require_gradio()
    from imgsearch_kit.app.page import build

    return build(gallery)


def serve(gallery: Gallery, **options: Any) -> Page:
    """The running page; ``imgsearch_kit.app.serving.launch_page`` says what the options are.

    :raises MissingExtra: when gradio is not installed.
    :raises BadQuery: when a public link is asked for without a password.
    """
    _require_gradio()
    from imgsearch_kit.app.serving import launch_page

    return launch_page(gallery, **options)


def _require_gradio() -> None:
    try:
        import gradio  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtra("gradio", "app") from error
