"""Gradio's page and file field, changed where Gradio answers a wrong call with ``{"error": null}``."""

from __future__ import annotations

import logging
from typing import Any

import gradio as gr
from fastapi import Request, Response
from fastapi.responses import JSONResponse

log = logging.getLogger("imgsearch_kit")

CALLS_BY_NAME = "/gradio_api/call/v2/"
FAILED = "The server failed at this with an unexpected error; its log says why."
MISNAMED = "There is no such call, or no such argument of it. GET /gradio_api/info describes the calls."


class WordedBlocks(gr.Blocks):
    """A page whose calls are refused, or fail, in words."""

    async def preprocess_data(self, block_fn: Any, *arguments: Any, **options: Any) -> Any:
        """The arguments of a call as its function takes them."""
        try:
            return await super().preprocess_data(block_fn, *arguments, **options)
        except gr.Error:
            raise
        except Exception as error:  # too few, of another type, or a file that was not uploaded
            names = ", ".join(getattr(each, "label", None) or "(state)" for each in block_fn.inputs)
            words = f"The values of this call do not fit. It takes {names}, in this order; a file is uploaded first."
            raise gr.Error(words, print_exception=False) from error

    async def process_api(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        """The answer to a call."""
        try:
            return await super().process_api(*arguments, **options)
        except gr.Error:
            raise
        except Exception as error:
            log.exception("A call failed")
            raise gr.Error(FAILED, visible=False, print_exception=False) from error  # the page has words of its own


def picture_field(label: str) -> gr.File:
    """A hidden field for the file of a picture, whose description has a picture as the example, not Gradio's PDF.

    Not a class of its own, because Gradio writes a file beside the module of every component's class.
    """
    field = gr.File(label=label, visible=False)
    example = {"path": "query.jpg", "meta": {"_type": "gradio.FileData"}}
    field.example_payload = lambda: example  # type: ignore[method-assign]
    return field


async def misnamed(request: Request, error: Exception) -> Response:
    """The answer to a call by name whose name, or that of an argument, is not there; other errors go on."""
    if not request.url.path.startswith(CALLS_BY_NAME):
        raise error
    return JSONResponse({"detail": MISNAMED}, 422)
