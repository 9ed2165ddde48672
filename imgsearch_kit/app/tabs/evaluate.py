"""The tab that says how often neighbours share their class, what would change that, and which labels are doubtful."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from typing import Any

from imgsearch_kit.app import cards
from imgsearch_kit.app.choices import AS_INDEXED, spec_of
from imgsearch_kit.app.guarding import told
from imgsearch_kit.app.kept import keep_json, kept_json
from imgsearch_kit.app.tabs.events import sent_text, tab_view, telling, wire, working
from imgsearch_kit.app.tabs.findings import NOT_LOOKED, Findings, findings_overview
from imgsearch_kit.app.tabs.judged import evaluation_document, examples_of, overview, plain_figures, worst_of
from imgsearch_kit.errors import BadQuery, KitError
from imgsearch_kit.evaluation.report import Evaluation
from imgsearch_kit.evaluation.what_if import MOST_RANKED, WhatIf
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.inspection.health import NEAR
from imgsearch_kit.ranking.choices import rank_choices
from imgsearch_kit.reports import visible

EVALUATED_AS = "judged.json"
CHANGED = "The index has changed since. Evaluate it again."
NOT_OFFERED = "This page evaluates the rankings of its list only. Choose one of them."
NO_CLASSES = (
    "These pictures have no classes, so there is nothing to evaluate: a neighbour is right when it has the class of "
    "the query. Put the pictures into a sub-folder for each class and index them again, or give a table: "
    "`imgsearch export -o labels.csv` writes one, you fill in its column label, and `imgsearch label labels.csv` "
    "reads it, or the tab Index where that may change the index."
)
Answers = Iterator[dict[str, Any]]


class EvaluateTab:
    """What the server answers to the tab's events over one gallery: plain values that the script draws as text."""

    def __init__(self, gallery: Gallery, *, read_only: bool = False):
        self.gallery, self.read_only = gallery, read_only
        self.findings = Findings(gallery)
        self._kept: tuple[tuple[str, int, str], WhatIf] | None = None  # of one ranking: it takes much memory

    def start(self, given: Any) -> dict[str, Any]:
        """The rankings to choose, and what is kept: an evaluation under the one that is asked for, and findings."""
        rank = sent_text(given, "rank") or self.gallery.rank or AS_INDEXED
        passport = self.gallery.index.read_passport()
        choices = rank_choices(passport, self.gallery.rank or None)
        kept, found = self.kept(spec_of(rank)), self.findings.kept()
        return {
            "kind": "start",
            "uuid": passport.uuid,
            "rank": rank,
            "rankings": [{"spec": each.spec or AS_INDEXED, "name": each.name, "about": each.what} for each in choices],
            "none": "" if len(self.gallery.labels()) else NO_CLASSES,
            "again": not (kept and self.read_only),
            "result": overview(kept) if kept else None,
            "findings": findings_overview(found) if found else None,
            "supposes": passport.count <= MOST_RANKED,
        }

    def kept(self, spec: str) -> dict[str, Any] | None:
        """The document of an evaluation of the index as it is now; None where there was none."""
        return kept_json(self.gallery.index.read_passport(), EVALUATED_AS, {"rank": spec})

    def evaluate(self, given: Any) -> Answers:
        """The share that is done, again and again, then the overview of what was found; it is kept."""
        rank = sent_text(given, "rank")
        spec = spec_of(rank)
        passport = self.gallery.index.read_passport()

        def steps() -> Generator[float, None, dict[str, Any]]:
            self._check_offered(spec)
            made = yield from working(lambda tell: evaluation_document(self._evaluation(spec, tell)))
            return {
                "result": overview(keep_json(passport, EVALUATED_AS, {"rank": spec}, made)),
                "again": not self.read_only,
            }

        yield from self._told({"kind": "evaluated", "rank": rank}, steps())

    def _check_offered(self, spec: str) -> None:
        """Checks that a visitor of a read-only page asks for a ranking of the list: any other would put one out.

        :raises BadQuery: otherwise.
        """
        choices = rank_choices(self.gallery.passport, self.gallery.rank or None)
        if self.read_only and spec not in {each.spec for each in choices}:
            raise BadQuery(NOT_OFFERED)

    def _evaluation(self, spec: str, tell: Callable[[float], object]) -> Evaluation:
        if self.gallery.passport.count > MOST_RANKED:
            return self.gallery.evaluate(rank=spec, progress=tell)
        return self._what_if(spec, tell).plain

    def _what_if(self, spec: str, tell: Callable[[float], object]) -> WhatIf:
        """The rankings under a SPEC, kept until the index changes or those under another SPEC are asked for."""
        passport = self.gallery.index.read_passport()
        of = passport.uuid, passport.generation, spec
        if self._kept is None or self._kept[0] != of:
            self._kept = None
            self._kept = of, self.gallery.what_if(rank=spec, progress=tell)
        return self._kept[1]

    def suppose(self, given: Any) -> Answers:
        """The figures if classes were merged or pictures left out: at once, and then again with their bounds.

        Where the rankings are not kept, the share of them that is done comes first.
        """
        spec, serial = spec_of(sent_text(given, "rank")), given.get("serial") if isinstance(given, Mapping) else None

        def steps() -> Generator[float, None, WhatIf]:
            self._check_offered(spec)
            return (yield from working(lambda tell: self._what_if(spec, tell)))

        said = {"kind": "supposed", "serial": serial}
        try:
            changes = self._changes(given)
            kept = yield from telling(said, steps())
            found = kept.evaluate(**changes)
            words = {"title": found.title(), "notes": [visible(note) for note in found.notes()]}
            yield said | words | {"figures": plain_figures(found, bounded=False), "bounded": False}
            yield said | words | {"figures": plain_figures(found), "bounded": True}
        except KitError as error:
            yield said | {"error": self._words(error)}

    def _changes(self, given: Any) -> dict[str, Any]:
        """The arguments of ``WhatIf.evaluate``, which checks the names in them."""
        asked = given if isinstance(given, Mapping) else {}
        merge, leave, near = asked.get("merge", []), asked.get("leave", []), asked.get("duplicates")
        if not isinstance(merge, list) or not all(isinstance(group, list) for group in merge):
            raise BadQuery("The classes to merge must be lists of names.")
        bounds = {"same": True, "near": NEAR}
        hubs = self.findings.hubs() if asked.get("hubs") is True else []
        if hubs is None:
            raise BadQuery(NOT_LOOKED)
        bound = bounds.get(near, False) if isinstance(near, str) else False
        return {"merge": merge, "exclude_labels": leave, "without": hubs, "group_duplicates": bound}

    def examine(self, given: Any) -> Answers:
        """The share that is done, again and again, then how many findings there are; they are kept."""

        def steps() -> Generator[float, None, dict[str, Any]]:
            found = yield from self.findings.look()
            return {"findings": findings_overview(found)}

        yield from self._told({"kind": "examined"}, steps())

    def opened(self, given: Any) -> dict[str, Any]:
        """The worst queries of a class, or queries of it that find another class, as pictures with their first hits."""
        label, found = sent_text(given, "class"), sent_text(given, "found")
        said = {"kind": "opened", "class": label, "found": found}
        document = self.kept(spec_of(sent_text(given, "rank")))
        if document is None:
            return said | {"error": CHANGED}
        queries = examples_of(document, label, found) if found else worst_of(document, label)
        ids = [each["id"] for query in queries for each in (query, *query["hits"])]
        thumbnails = cards.data_uris(self.gallery.thumbnail, ids)
        return said | {"queries": [_shown(query, label, thumbnails) for query in queries]}

    def _told(self, said: Mapping[str, Any], steps: Generator[float, None, dict[str, Any]]) -> Answers:
        """Tells the share that is done, and at last what the steps return, or a sentence on why they cannot."""
        try:
            yield {**said, "done": 0.0}
            made = yield from telling(said, steps)
        except KitError as error:
            yield {**said, "error": self._words(error)}
            return
        finally:
            steps.close()
        yield {**said, **made}

    def _words(self, error: KitError) -> str:
        return visible(told(error, self.gallery.index.address)[1])


def _shown(query: Mapping[str, Any], label: str, thumbnails: Mapping[str, str]) -> dict[str, Any]:
    hits: Iterable[Mapping[str, Any]] = query["hits"]
    return cards.card(query["id"], label, thumbnails[query["id"]]) | {
        "value": query["value"],
        "hits": [
            cards.card(hit["id"], hit["label"], thumbnails[hit["id"]]) | {"right": hit["label"] == label}
            for hit in hits
        ],
    }


def evaluate_tab(gallery: Gallery, *, read_only: bool = False) -> None:
    """Draws the tab into the open page and wires its events."""
    view = tab_view("evaluate")
    tab = EvaluateTab(gallery, read_only=read_only)
    one: dict[str, Any] = {"concurrency_id": "evaluate", "concurrency_limit": 1}
    wire(view, "start", tab.start, "Opening the tab")
    evaluating = wire(view, "evaluate", tab.evaluate, "The evaluation", **one)
    examining = wire(view, "examine", tab.examine, "Looking for findings", **one)
    supposing = wire(view, "suppose", tab.suppose, "This", **one)
    view.stop(None, cancels=[evaluating, examining, supposing], api_visibility="private")
    wire(view, "opened", tab.opened, "Looking for the pictures")
    wire(view, "finding", tab.findings.shown, "Looking for the pictures")
