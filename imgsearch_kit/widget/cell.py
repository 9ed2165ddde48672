"""The search as a widget: drop a picture into the cell, and have its neighbours, marks and basket as Python values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.resources import files
from typing import TYPE_CHECKING, Any, cast

from imgsearch_kit import ui
from imgsearch_kit.errors import BadQuery, KitError, MissingExtra
from imgsearch_kit.reports import visible
from imgsearch_kit.results import Results
from imgsearch_kit.widget.drawing import DroppedPicture, drawn_answer, drawn_choices, drawn_ids
from imgsearch_kit.widget.frozen import frozen
from imgsearch_kit.widget.plane import MapAnswers

try:
    import anywidget
    import traitlets
except ModuleNotFoundError as error:
    raise MissingExtra("anywidget", "notebooks") from error

if TYPE_CHECKING:
    from imgsearch_kit.gallery import Gallery
    from imgsearch_kit.images import Picture

MOST_IN_CELL = 50  # hits
LARGEST_UPLOAD = 200_000_000  # bytes
ASKED = ("query", "marks", "box", "classes", "rank", "k")  # the traits that are a search


def _file(name: str) -> str:
    return files(__package__).joinpath(name).read_text("utf-8")


def _unmarked() -> dict[str, list[str]]:
    return {"plus": [], "minus": []}


class GalleryWidget(anywidget.AnyWidget):
    """A search of a gallery in a notebook cell; every trait can be observed, and set from Python.

    ``query`` is ``{"id": ID}`` of an indexed picture, ``{"file": NAME}`` of one that was dropped or given to
    ``search``, or None. ``marks`` are the ids of pictures "plus" and "minus", ``box`` four fractions of the upright
    query or None, ``classes`` the labels that hits may have ([] for all), ``rank`` a SPEC ("" for the order of the
    index), ``k`` the number of hits, 1 to 50. Setting one of these searches anew; another query has no marks and no
    box, unless they are set together with it. ``basket`` are ids that were kept, ``selection``
    those that were selected on the map, with its lasso. ``hits`` is a pandas table of the
    answer (rank, id, label, score, sha256), and ``results`` the answer itself, None before the first one. ``error``
    says what was wrong with the last search, "" for nothing; then ``hits`` are still those of the search before.
    """

    _esm = ui.script(_file("widget.js"))
    _css = ui.style() + _file("widget.css")

    query = traitlets.Dict(default_value=None, allow_none=True).tag(sync=True)
    marks = traitlets.Dict(
        key_trait=traitlets.Enum(("plus", "minus")),
        value_trait=traitlets.List(traitlets.Unicode()),
        default_value=_unmarked(),
    ).tag(sync=True)
    box: Any = traitlets.List(default_value=None, allow_none=True).tag(sync=True)
    classes = traitlets.List(traitlets.Unicode()).tag(sync=True)
    rank = traitlets.Unicode("").tag(sync=True)
    k = traitlets.Int(10, min=1, max=MOST_IN_CELL).tag(sync=True)
    basket = traitlets.List(traitlets.Unicode()).tag(sync=True)
    selection = traitlets.List(traitlets.Unicode()).tag(sync=True)
    error = traitlets.Unicode("").tag(sync=True)
    hits = traitlets.Any()
    results = traitlets.Any(None)
    _choices = traitlets.Dict().tag(sync=True)  # what can be chosen
    _shown = traitlets.Dict().tag(sync=True)  # the answer as it is drawn
    _kept: Any = traitlets.List().tag(sync=True)  # the basket as it is drawn

    def __init__(self, gallery: Gallery, **chosen: Any):
        self.gallery = gallery
        self._given: DroppedPicture | None = None
        self._upload: list[bytes] | None = None  # the parts of a picture that is on its way
        self._asked: dict[str, Any] = {}
        self._settling = False
        self._map = MapAnswers(gallery)
        super().__init__(_choices=drawn_choices(gallery))
        self._set(
            {"rank": gallery.rank or ""} | ({"rank": chosen.pop("rank")} if chosen.get("rank") is not None else {})
        )
        self.hits = Results({}, ()).to_dataframe()
        self._asked = self._request()
        self.on_msg(self._receive)
        self.observe(self._search_anew, names=list(ASKED))
        self.observe(self._draw_basket, names="basket")
        if (first := chosen.pop("id", None)) is not None:
            self.search(first, **chosen)
        else:
            self._set(chosen)

    def search(self, id: str | None = None, *, picture: Picture | None = None, **chosen: Any) -> Results:  # noqa: A002
        """Searches for an indexed picture by its ``id``, or for a ``picture``, and shows the answer in the cell.

        ``chosen`` are other traits of the search: ``marks``, ``box``, ``classes``, ``rank`` and ``k``.

        :raises BadQuery: when neither or both are given, or the gallery refuses the search.
        :raises UnreadableImage: when the picture cannot be decoded.
        """
        if (id is None) == (picture is None):
            raise BadQuery("Give either the id of an indexed picture or picture=.")
        if picture is not None:
            self._given = DroppedPicture.of(picture)
        query = {"id": id} if id is not None else {"file": self._given.name if self._given else ""}
        self._set({"query": query, "marks": _unmarked(), "box": None} | chosen)
        self._ask()
        return cast(Results, self.results)

    def _set(self, chosen: Mapping[str, Any]) -> None:
        """Sets traits without searching, all of them or, where one is wrong, none."""
        if unknown := chosen.keys() - set(ASKED):
            raise BadQuery(f"{', '.join(sorted(unknown))} is no part of a search. It has: {', '.join(ASKED)}.")
        before = self._request()
        self._settling = True
        try:
            with self.hold_sync():
                for name, value in chosen.items():
                    setattr(self, name, value)
        except traitlets.TraitError as error:
            for name in chosen:
                setattr(self, name, before[name])
            raise BadQuery(f"A value has another type or range: {error}") from error
        finally:
            self._settling = False

    def _request(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ASKED}

    def _search_anew(self, change: Any) -> None:
        """Answers when a trait of the search was set; several at once are one search."""
        if self._settling or self._request() == self._asked:
            return
        if change.name == "query" and all(getattr(self, name) == self._asked[name] for name in ("marks", "box")):
            self._set({"marks": _unmarked(), "box": None})
        with suppress(KitError):  # `error` says it, in the cell and to Python
            self._ask()

    def _ask(self) -> None:
        request = self._request()
        self._asked = request
        try:
            found = self._found(request)
        except KitError as error:
            self.error = visible(str(error))
            self._shown = {**self._shown, "serial": self._shown.get("serial", 0) + 1}
            raise
        self.error = ""
        self.results = found
        if found is not None:
            self.hits = found.to_dataframe()
        drawn = drawn_answer(self.gallery, found, request["marks"], self._given) if found else {}
        self._shown = drawn | {"serial": self._shown.get("serial", 0) + 1}

    def _found(self, request: Mapping[str, Any]) -> Results | None:
        query, marks = request["query"], request["marks"]
        if query is None:
            return None
        options: dict[str, Any] = {
            "k": request["k"],
            "labels": request["classes"] or None,
            "rank": request["rank"],
            "box": request["box"],
            "plus": marks.get("plus", ()),
            "minus": marks.get("minus", ()),
        }
        if "id" in query:
            return self.gallery.search(id=query["id"], **options)
        if self._given is None or query.get("file") != self._given.name:
            raise BadQuery("There is no such picture here. Drop it into the cell, or give it to search(picture=).")
        return self.gallery.search(self._given.source(), **options)

    def _draw_basket(self, _: Any) -> None:
        self._kept = drawn_ids(self.gallery, self.basket)

    # -- what the cell says -----------------------------------------------------------------------------------------

    def _receive(self, _: Any, said: Any, buffers: Sequence[Any]) -> None:
        """Answers a question on the map, or takes a part of a dropped picture: one message may not be large."""
        if isinstance(said, Mapping) and said.get("kind") in ("map", "near", "thumbnails"):
            self.send(self._map.answer(said))
        if not isinstance(said, Mapping) or said.get("kind") != "picture" or not buffers:
            return
        if said.get("part") == 0:
            self._upload = []
        if self._upload is None:  # too large; the rest of it is passed over
            return
        self._upload.append(bytes(buffers[0]))
        if sum(map(len, self._upload)) > LARGEST_UPLOAD:
            self._upload = None
            self.error = f"The picture has more than {LARGEST_UPLOAD // 1_000_000} MB."
        elif said.get("last"):
            data, self._upload = b"".join(self._upload), None
            self._given = DroppedPicture(data, visible(str(said.get("name") or "picture"))[:200])
            self._set({"query": {"file": self._given.name}, "marks": _unmarked(), "box": None})
            with suppress(KitError):  # `error` says it
                self._ask()

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """The widget, and its frozen twin for where a notebook is only read."""
        bundle = super()._repr_mimebundle_(**options)
        if bundle is None:
            return None
        data, about = bundle
        return {**data, "text/html": frozen(self.gallery, self.results)}, about
