"""The search tab: a query picture and its neighbours."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.processing_utils import save_file_to_cache

from imgsearch_kit.app import cards
from imgsearch_kit.app.api import DEFAULT_K, MAX_K, answer
from imgsearch_kit.app.choices import AS_INDEXED, BackgroundLearning, explained, spec_of
from imgsearch_kit.app.words import hit_words, query_class, verdict_words
from imgsearch_kit.errors import KitError
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.inspection.calibration import Calibration
from imgsearch_kit.records import ImageRecord, Results
from imgsearch_kit.reports import data_uri

EXAMPLES = 8

IDLE = cards.empty_state("No picture yet", "Drop, paste or upload a picture, or click one of the examples.")
NOTHING_INDEXED = cards.empty_state(
    "Nothing is indexed yet", "Type `imgsearch index FOLDER` in a terminal, then reload."
)
BUSY = cards.status("Searching …", "busy")
RANKING = cards.status("Ranking … (the first time, it is learned from the whole index)", "busy")
CRASHED = cards.status("The search failed with an unexpected error; see the server's log.", "error")

ON_CLICK = """element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-id]');
  if (button) trigger('select', {id: button.dataset.id});
});"""

ON_DIALOG = """const dialog = () => element.querySelector('dialog');
watch('value', () => {
  if (!dialog()) return;
  dialog().addEventListener('close', () => { props.value = ''; });  // the same picture may be opened again
  dialog().showModal();
});
element.addEventListener('click', (event) => {
  const again = event.target.closest('[data-again]');
  if (again || event.target === dialog() || event.target.closest('[data-close]')) dialog().close();
  if (again) {
    trigger('select', {id: again.dataset.again});
    document.querySelector('#columns').scrollIntoView();  // closing went back to the hit
  }
});"""


@dataclass(frozen=True)
class TabState:
    """What one visitor sees: the file shown as the query, its id if it is an indexed picture, and the results.

    ``calibration`` gives the probability of a score; None where it is unknown.
    """

    picture: str | None = None
    id: str | None = None
    results: Results | None = None
    calibration: Calibration | None = None


class SearchTab:
    """The handlers of the page's events over one gallery; each returns values for the tab's outputs, in their order.

    The outputs are the query picture, the status line, the own records, the hits, and the ``TabState``.
    """

    def __init__(self, gallery: Gallery, uploads: str):
        self.gallery, self.uploads = gallery, Path(uploads).resolve()
        self.learning = BackgroundLearning(gallery)

    def loaded(self) -> tuple[Any, ...]:
        """The class filter, the examples and the welcome text, from the index as it is now."""
        self.learning.start()  # while the visitor chooses a picture
        labels, examples = list(self.gallery.labels()), {record.id: record for record in self.examples()}
        pictures = cards.data_uris(lambda id_: self.gallery.thumbnail(examples[id_]), examples)
        strip = cards.strip([*examples], pictures, names=False)
        return (
            gr.update(choices=labels, visible=bool(labels)),
            f'<p class="examples-title">Or try one of these</p>{strip}' if examples else "",
            IDLE if examples else NOTHING_INDEXED,
        )

    def examples(self) -> list[ImageRecord]:
        """The largest file of each of a few classes, evenly chosen; where there are no classes, any files, evenly."""
        largest: dict[str | None, ImageRecord] = {}
        records = self.gallery.records()
        flat = not any(record.label for record in records)
        for record in records:
            group = record.id if flat else record.label
            if record.size > largest.setdefault(group, record).size:
                largest[group] = record
        found = sorted(largest.values(), key=lambda record: record.id)
        count = min(EXAMPLES, len(found))
        return [found[i * len(found) // count] for i in range(count)]

    def picture(
        self, upload: dict[str, Any] | None, k: int, labels: list[str], rank: str | None, state: TabState
    ) -> tuple[Any, ...]:
        """Handles a picture that was dropped, pasted or uploaded, or removed."""
        if upload is None:
            return gr.skip(), "", "", "", TabState()
        path = Path(upload["path"]).resolve()
        if not path.is_relative_to(self.uploads):  # a forged request may name any file of the machine
            raise gr.Error("That file was not uploaded.")
        return self._answer(TabState(str(path)), k, labels, rank, state)

    def again(
        self, k: int, labels: list[str], rank: str | None, state: TabState, event: gr.EventData
    ) -> tuple[Any, ...]:
        """Makes an indexed picture the query: its stored vector is used, and its preview is shown."""
        id_ = str(event.id)
        try:
            # copied to the uploads, because only those are served
            picture = save_file_to_cache(self.gallery.preview(id_), str(self.uploads))
        except KitError:
            picture = None  # the file no longer exists, but its vector does; the search refuses an unknown id
        return self._answer(TabState(picture, id_), k, labels, rank, state)

    def options(self, k: int, labels: list[str], rank: str | None, state: TabState) -> tuple[Any, ...]:
        """Handles a change of the number of hits, the classes or the ranking."""
        if state.picture is None and state.id is None:
            return gr.skip(), "", "", gr.skip(), state
        return self._answer(state, k, labels, rank, state)

    def _answer(
        self, wanted: TabState, k: int, labels: list[str], rank: str | None, state: TabState
    ) -> tuple[Any, ...]:
        """The results of the wanted search; after an error, its message together with the earlier results."""
        spec = spec_of(rank)
        # An uploaded picture is shown already, and the visitor may have replaced it meanwhile.
        drawn = wanted.picture if wanted.id and wanted.id != state.id else gr.skip()
        try:
            if spec:
                self.gallery.ranked(spec)
        except KitError as error:  # keep the picture, so that it can be searched with another ranking
            waiting = dataclasses.replace(state, picture=wanted.picture, id=wanted.id)
            return drawn, self._refused(error, state), gr.skip(), gr.skip(), waiting
        try:
            results = answer(self.gallery, None if wanted.id else wanted.picture, wanted.id, k, labels, rank=spec)
        except KitError as error:
            return state.picture, self._refused(error, state), gr.skip(), gr.skip(), state
        own = results.own[:EXAMPLES]
        thumbnails = cards.data_uris(
            results.picture or self.gallery.thumbnail, [*own, *(hit.id for hit in results.hits)]
        )
        calibration = self.learning.calibration(spec)
        known = query_class(self.gallery, results)
        found = cards.hits(results, thumbnails, calibration, known) if results.hits else self._nothing(labels)
        found = cards.unlike(*verdict_words(results.verdict, self.learning.novelty())) + found
        state = dataclasses.replace(wanted, results=results, calibration=calibration)
        return drawn, self._line(results), cards.own(own, thumbnails), found, state

    @staticmethod
    def _refused(error: KitError, state: TabState) -> str:
        said = str(error)
        if state.results:
            said = f"{said.rstrip('.')}. The earlier results are still shown below."
        return cards.status(said, "error")

    def _nothing(self, labels: list[str]) -> str:
        if not len(self.gallery):
            return NOTHING_INDEXED
        return cards.empty_state("No neighbours", "No other picture of these classes is indexed." if labels else "")

    @staticmethod
    def _line(results: Results) -> str:
        extract, search = (results.ms.get(name, 0.0) for name in ("extract", "search"))
        found = cards.count(len(results.hits), "neighbour")
        words = [found, f"extraction {extract:.0f} ms", f"search {search:.1f} ms", results.method, results.note]
        return cards.status(" · ".join(filter(None, words)))

    def details(self, state: TabState, event: gr.EventData) -> str:
        """The dialog of a picture that was clicked."""
        try:
            record = self.gallery.record(str(event.id))
        except KitError:
            return ""  # deleted since it was shown
        hits = state.results.hits if state.results else ()
        hit = next((hit for hit in hits if hit.id == record.id), None)
        known = query_class(self.gallery, state.results) if state.results else None
        said = (
            hit_words(hit, known=known, calibration=state.calibration, verdict=state.results.verdict)
            if hit and state.results
            else None
        )
        return cards.details(record, hit, data_uri(self.gallery.preview, record.id), said)


def search_tab(gallery: Gallery, page: gr.Blocks) -> None:
    """Draws the tab into the open page and wires its events."""
    plain: dict[str, Any] = {"apply_default_css": False}
    state = gr.State(TabState())
    with gr.Row(elem_id="columns"):
        with gr.Column(scale=1, min_width=280, elem_id="ask"):
            query = gr.Image(
                label="Your picture",
                show_label=False,
                placeholder="# Drop a picture here\nor click to choose one",
                type="filepath",
                sources=["upload", "webcam", "clipboard"],
                elem_id="query",
                height=280,
                buttons=["fullscreen"],
                alt_text="The picture searched for",
            )
            tab = SearchTab(gallery, query.GRADIO_CACHE)
            k = gr.Slider(1, MAX_K, DEFAULT_K, step=1, label="Neighbours", elem_id="k")
            labels = gr.Dropdown(
                [],
                label="Only these classes",
                multiselect=True,
                num_choices_shown=1000,
                elem_id="classes",
                visible=False,
            )
            choices = tab.learning.choices()
            rank = gr.Dropdown(
                [(choice.name, choice.spec or AS_INDEXED) for choice in choices],
                value=choices[0].spec or AS_INDEXED,
                label="Ranking",
                info=choices[0].what,
                allow_custom_value=True,
                elem_id="rank",
            )
            gr.HTML(cards.RANK_HELP, elem_id="rank-help", **plain)
            examples = gr.HTML(js_on_load=ON_CLICK, elem_id="examples", **plain)
        with gr.Column(scale=3, min_width=320, elem_id="answers"):
            status = gr.HTML(elem_id="status", **plain)
            own = gr.HTML(js_on_load=ON_CLICK, elem_id="own", **plain)
            welcome = gr.HTML(elem_id="welcome", **plain)  # its style hides it once there are hits
            hits = gr.HTML(js_on_load=ON_CLICK, elem_id="hits", **plain)
            details = gr.HTML(js_on_load=ON_DIALOG, elem_id="details", **plain)

    outputs = [query, status, own, hits, state]
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    page.load(tab.loaded, outputs=[labels, examples, welcome], **quiet)

    def wire(triggers: list[Any], handler: Any, inputs: list[Any], busy: str = BUSY, **options: Any) -> None:
        gr.on(triggers, None, outputs=status, js=f"() => {busy!r}", **quiet)
        options |= {"trigger_mode": "always_last", "concurrency_id": "search", **quiet}
        gr.on(triggers, handler, inputs, outputs, **options).failure(lambda: CRASHED, outputs=status, **quiet)

    # Without preprocessing, because the kit's loader explains what is wrong with a file, and gr.Image does not.
    options = [k, labels, rank, state]
    wire([query.input], tab.picture, [query, *options], preprocess=False)
    wire([k.change, labels.change], tab.options, options)
    wire([rank.input], tab.options, options, RANKING)
    rank.input(lambda choice: gr.update(info=explained(choice, choices)), rank, rank, **quiet)
    wire([examples.select, details.select], tab.again, options)
    gr.on([hits.select, own.select], tab.details, [state], details, **quiet)
