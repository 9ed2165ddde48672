"""The tab that says what the index is, and where that is allowed changes it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from imgsearch_kit.app.changing import check_own_page
from imgsearch_kit.app.frame import Frame
from imgsearch_kit.app.guarding import told
from imgsearch_kit.app.index_changes import IndexChanges
from imgsearch_kit.app.passport_words import failure_words, folder_words, passport_words
from imgsearch_kit.app.standing import standing
from imgsearch_kit.app.tabs.events import PRIVATE, tab_view
from imgsearch_kit.errors import BadQuery, IndexUnwritable, KitError
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.reports import visible

CHANGES_ANSWERED = 8  # changes that are answered at once: one is made, the others are told so
KIND_NOTES = {
    "memory": "This index lives in memory: what is changed here is gone when the page stops.",
    "npz": "The archive is written anew as a whole after every change.",
    "local": "",
}
ON_SERVER = "This index lies on a server. The folders are those of the machine that serves this page."
CHANGE_CRASHED = "That failed with an unexpected error; see the server's log. What was committed is kept."


class IndexTab:
    """What the server says of the index over one gallery: plain values that the script draws as text."""

    def __init__(self, gallery: Gallery, changes: IndexChanges):
        self.gallery, self.changes = gallery, changes
        self._starts = itertools.count()  # the script sees an answer only if it differs from the one before

    def start(self, given: Any, *, own: bool = True) -> dict[str, Any]:
        """What the index is now, and what can be done with it.

        Who may change nothing, or is not of this page's ``own`` scripts, learns no folder of the machine.
        """
        open_ = self.changes.allowed and own
        try:
            about = self._about(places=open_)
            serial = next(self._starts)
            return {"kind": "start", "serial": serial, "changes": open_} | about | (self._changeable() if open_ else {})
        except KitError as error:
            words = str(error) if open_ else told(error, self.gallery.index.address)[1]
            return {"kind": "start", "changes": False, "error": visible(words)}

    def _about(self, *, places: bool) -> dict[str, Any]:
        failed = self.gallery.index.failures()
        return {
            "passport": passport_words(self.gallery, places=places),
            "failed": failure_words(failed, self.gallery.passport.roots, places=places),
            "failures": len(failed),
            "indexed": standing(self.gallery),
        }

    def _changeable(self) -> dict[str, Any]:
        """The folders, what runs, and in sentences why nothing is changed (``fixed``) or no folder read (``blind``)."""
        passport, below, writer = self.gallery.passport, self.changes.below, self.changes.writer
        shown = map(visible, folder_words(passport, self.gallery.root, places=True))
        fixed = blind = ""
        try:
            self.gallery.index.check_writable()
            blind = self._blind()
        except IndexUnwritable as error:
            fixed = str(error)
        return {
            "folders": list(zip(sorted(passport.roots), shown, strict=True)),
            "below": visible(str(below.root)) if below else "",
            "doing": writer.doing,
            "done": writer.done,
            "fixed": visible(fixed),
            "blind": visible(blind),
            "note": KIND_NOTES.get(self.gallery.index.address.partition(":")[0], ON_SERVER),
        }

    def _blind(self) -> str:
        try:
            self.gallery.extractor  # noqa: B018 (loads it)
        except KitError as error:
            return f"No folder can be read, because there is no network to extract with. {error}"
        return ""


def index_tab(gallery: Gallery, frame: Frame) -> None:
    """Draws the tab into the open page and wires its events; those that change exist only where they may."""
    view = tab_view("index")
    changes = IndexChanges(gallery, Path(view.GRADIO_CACHE).resolve(), frame)
    tab = IndexTab(gallery, changes)

    def refused(request: gr.Request) -> str:
        try:
            check_own_page(request.headers, login=frame.login)
        except BadQuery as error:
            return str(error)
        return ""

    def start(event: gr.EventData, request: gr.Request) -> dict[str, Any]:
        return tab.start(event._data, own=not refused(request))

    view.start(start, None, view, **PRIVATE)
    if not frame.changes:
        return

    def own(handler: Callable[[Any], Iterator[dict[str, Any]]]) -> Callable[..., Iterator[dict[str, Any]]]:
        """The handler for scripts of this page only."""

        def handle(event: gr.EventData, request: gr.Request) -> Iterator[dict[str, Any]]:
            if words := refused(request):
                yield {"kind": "done", "error": words}
            else:
                yield from handler(event._data)

        return handle

    changing: dict[str, Any] = {"concurrency_id": "index", "concurrency_limit": CHANGES_ANSWERED, **PRIVATE}
    handlers: dict[str, Callable[[Any], Iterator[dict[str, Any]]]] = {
        "grow": changes.add,
        "refresh": changes.refresh,
        "move": changes.move,
        "labels": lambda given: iter([changes.label(given)]),
        "folders": lambda given: iter([changes.folders(given)]),
    }
    events = [getattr(view, name)(own(handler), None, view, **changing) for name, handler in handlers.items()]
    for event in events:
        event.failure(lambda: {"kind": "done", "error": CHANGE_CRASHED}, None, view, api_visibility="private")
    view.stop(None, cancels=events, api_visibility="private")
