"""How a tab's script and its server speak: what a script sends with an event, and work that tells its progress."""

from __future__ import annotations

import inspect
import itertools
import logging
import queue
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from importlib.resources import files
from typing import Any, TypeVar

import gradio as gr

from imgsearch_kit import ui

log = logging.getLogger("imgsearch_kit")

Done = TypeVar("Done")
TabHandler = Callable[[Any], Any]  # of what the script sent
UNFORESEEN = "{} failed with an unexpected error; see the server's log."
PRIVATE: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "trigger_mode": "multiple"}


def tab_view(name: str) -> gr.HTML:
    """The place of a tab, drawn by the script ``name.js`` of this folder.

    Gradio runs what a template renders as code, so the template is constant, and the script draws all values as text.
    """
    script = ui.script(files(__package__).joinpath(f"{name}.js").read_text("utf-8"))
    return gr.HTML(js_on_load=script, elem_id=name, html_template="<div></div>", apply_default_css=False)


def wire(
    view: gr.HTML, name: str, handler: TabHandler, what: str, output: gr.HTML | None = None, **options: Any
) -> Any:
    """Answers the event that a script triggers by a name, into ``output``, by default the view itself.

    A generator answers several times. Where the handler fails with an error that nobody foresaw, which the server logs,
    the script is told ``{"kind": "failed", "event": name, "error": "WHAT failed ..."}``. ``options`` are Gradio's.
    """
    to = output or view
    failures = itertools.count()  # a second failure is another value, or the script would not see it

    def failed() -> dict[str, Any]:
        return {"kind": "failed", "event": name, "error": UNFORESEEN.format(what), "count": next(failures)}

    if inspect.isgeneratorfunction(handler):  # may be cancelled, which Gradio at times takes for a failure
        return getattr(view, name)(answering_often(handler, failed), None, to, **PRIVATE, **options)
    wired = getattr(view, name)(answering(handler), None, to, **PRIVATE, **options)
    wired.failure(failed, outputs=to, show_progress="hidden", api_visibility="private")
    return wired


def answering(handler: Callable[[Any], dict[str, Any]]) -> Callable[[gr.EventData], dict[str, Any]]:
    """A handler of what the script sends with an event."""

    def handle(event: gr.EventData) -> dict[str, Any]:
        return handler(event._data)

    return handle


def answering_often(
    handler: Callable[[Any], Iterator[dict[str, Any]]], failed: Callable[[], dict[str, Any]]
) -> Callable[[gr.EventData], Iterator[dict[str, Any]]]:
    """The same for a handler that answers several times, and with ``failed()`` where it fails."""

    def handle(event: gr.EventData) -> Iterator[dict[str, Any]]:
        try:
            yield from handler(event._data)
        except Exception:
            log.exception("A call failed")
            yield failed()

    return handle


def sent_text(given: Any, name: str) -> str:
    """A text that the script sent; "" where a forged event has none."""
    value = given.get(name) if isinstance(given, Mapping) else None
    return value if isinstance(value, str) else ""


def telling(said: Mapping[str, Any], steps: Generator[float, None, Done]) -> Generator[dict[str, Any], None, Done]:
    """Yields ``said`` with the share that is ``done``, again and again, and returns the result of the steps."""
    while True:
        try:
            yield {**said, "done": round(next(steps), 2)}
        except StopIteration as end:
            return end.value


class Stopped(Exception):
    """Nobody waits for the work any more."""


def working(work: Callable[[Callable[[Any], object]], Done]) -> Generator[Any, None, Done]:
    """Yields what ``work`` tells while it runs, and returns its result; closing it ends the work.

    ``work`` gets a function to tell by, mostly the share that is done, in which it ends once the generator was closed.
    """
    told: queue.Queue[Any] = queue.Queue()
    stopped = threading.Event()
    found: list[Done] = []
    failed: list[BaseException] = []

    def tell(share: Any) -> None:
        if stopped.is_set():
            raise Stopped
        told.put(share)

    def run() -> None:
        try:
            found.append(work(tell))
        except BaseException as error:
            failed.append(error)
        finally:
            told.put(None)

    threading.Thread(target=run, daemon=True).start()
    try:
        while (share := told.get()) is not None:
            yield share
    finally:
        stopped.set()
    if failed:
        raise failed[0]
    return found[0]
