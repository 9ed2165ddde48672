"""A picture, or the id of one, to its neighbours with their records."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from imgsearch_kit.errors import BadQuery, UnreadableImage
from imgsearch_kit.extractors import Extractor
from imgsearch_kit.images import MAX_PIXELS, PREVIEW, THUMBNAIL, load, thumbnail
from imgsearch_kit.index.base import VectorIndex
from imgsearch_kit.indexing.baked import projected
from imgsearch_kit.provenance import check_extractor, check_name, check_probes, load_for, picture_path
from imgsearch_kit.ranking import parse_rank
from imgsearch_kit.ranking.over_index import RankedGallery
from imgsearch_kit.records import Approx, Hit, ImageRecord, IndexPassport, Results, Vectors

OWN_COSINE = 0.9999
RECENT = 16  # query pictures whose vectors are kept
RANKINGS = 4  # learned rankings that are kept; each holds the index's vectors at least once


class Searcher:
    """Joins an index, the extractor that made it and its pictures; threads may share one.

    The extractor is loaded when a picture is first searched for, or by ``ready``; a search by id needs none. ``root``
    is where the pictures lie when they have moved, ``force`` goes on when the probe pictures come out differently.
    ``rank`` is a SPEC that re-ranks every answer that names none (see ``imgsearch_kit.ranking``). Pictures of more
    than ``max_pixels`` are refused.
    """

    def __init__(
        self,
        index: VectorIndex,
        extractor: Extractor | None = None,
        *,
        name: str | None = None,
        weights: Path | None = None,
        root: Path | None = None,
        force: bool = False,
        rank: str | None = None,
        max_pixels: int = MAX_PIXELS,
    ):
        check_name(index.passport, name)  # also where no search needs the extractor
        if extractor is not None:
            check_extractor(index.passport, extractor.spec)
            extractor = projected(index, extractor)
        self.index, self.root, self.max_pixels = index, root, max_pixels
        self._extractor, self._name, self._weights, self._force = extractor, name, weights, force
        if rank is not None:
            parse_rank(rank)  # a misspelt one is told now, not at the first search
        self.rank = rank
        self._ranked: dict[str, RankedGallery] = {}  # by SPEC
        self._recent: dict[str, Vectors] = {}  # by sha256
        self._checked = False
        self._labels: tuple[int, list[str]] | None = None  # of a generation
        self._lock = threading.Lock()
        self._learning = threading.Lock()  # its own, so that plain searches go on meanwhile

    @property
    def passport(self) -> IndexPassport:
        """The index's passport, as of now."""
        return self.index.passport

    @property
    def labels(self) -> list[str]:
        """The labels of the index, sorted."""
        generation = self.passport.generation
        if self._labels is None or self._labels[0] != generation:
            labels = {record.label for record in self.index.records() if record.label is not None}
            self._labels = generation, sorted(labels)
        return self._labels[1]

    def ready(self) -> Extractor:
        """The extractor, loaded, and checked once against the index's probe pictures.

        :raises IndexMismatch: when it is not the one that made the index, or computes something else than it did then.
        """
        with self._lock:
            if self._extractor is None:
                self._extractor = load_for(self.index, self._name, self._weights)
            if not self._checked:
                check_probes(self.passport, self._extractor, force=self._force)
                self._checked = True
            return self._extractor

    def search(
        self,
        image: Path | str | bytes | None = None,
        *,
        id: str | None = None,  # noqa: A002 (the field's name)
        k: int = 10,
        labels: Sequence[str] | None = None,
        min_score: float | None = None,
        approx: Approx | None = None,
        rank: str | None = None,
    ) -> Results:
        """The ``k`` nearest records of a picture (a path or its bytes) or of an indexed id, best first.

        The query's own records (same id, same sha256, or cosine above 0.9999) are named in
        ``own`` and never among the hits. ``labels`` keeps hits of these labels, ``min_score`` those of at least this
        cosine. ``rank`` is a SPEC in place of the searcher's own, "" for the order of the index.

        :raises BadQuery: when both or neither of ``image`` and ``id`` are given, the id or a label is unknown, or the
            SPEC is misspelt or not possible on this index.
        :raises UnreadableImage: when the picture cannot be decoded.
        """
        if (image is None) == (id is None):
            raise BadQuery("Give either a picture or the id of an indexed one.")
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise BadQuery(f"k must be a whole number of at least 1; it is {k!r}.")
        if isinstance(labels, str):
            raise BadQuery(f"labels must be a list of strings; it is the string {labels!r}. Write [{labels!r}].")
        if min_score is not None and not -1 <= min_score <= 1:
            raise BadQuery(f"min_score must be a cosine within -1 .. 1; it is {min_score!r}.")
        image = Path(image) if isinstance(image, str) else image
        rank = (self.rank or "") if rank is None else rank
        if rank:
            parse_rank(rank)  # before the picture is extracted
        if labels and (unknown := sorted(set(labels) - set(self.labels))):
            raise BadQuery(f"No indexed picture has the label {unknown[0]!r}. `imgsearch info` lists the labels.")
        started = time.perf_counter()
        query, vector = self._of_id(id) if id is not None else self._of_picture(image)  # type: ignore[arg-type]
        extracted = time.perf_counter()
        own, hits, method, note = self._apart(query, vector, k, labels, approx)
        if rank:
            hits, method = self._reranked(rank, vector, k, labels, own)
        hits = [hit for hit in hits if min_score is None or hit.score >= min_score][:k]
        ms = {"extract": (extracted - started) * 1e3, "search": (time.perf_counter() - extracted) * 1e3}
        rounded = {name: round(t, 3) for name, t in ms.items()}
        return Results(query, tuple(hits), tuple(own), method, note, rounded, self.thumbnail)

    def _of_id(self, id_: str) -> tuple[dict[str, Any], Vectors]:
        record = self.record(id_)
        return {"id": id_, "label": record.label, "sha256": record.sha256}, self.index.vectors([id_])

    def _of_picture(self, image: Path | bytes) -> tuple[dict[str, Any], Vectors]:
        spec = self.passport.spec or self.ready().spec
        name = (
            (image.name or str(image)) if isinstance(image, Path) else None
        )  # never the whole path: the page shows it
        try:  # before the network is loaded, so that a bad picture is told at once
            loaded = load(image, spec.side, spec.resampling, max_pixels=self.max_pixels)
        except UnreadableImage as error:
            raise UnreadableImage(f"{name}: {error}" if name else str(error)) from error
        size = {"width": loaded.width, "height": loaded.height}
        extractor = self.ready()
        vector = self._recent.pop(loaded.sha256, None)
        if vector is None:
            vector = extractor.extract(loaded.pixels[None])
        self._recent[loaded.sha256] = vector  # the latest last: another k or label costs no extraction
        for old in list(self._recent)[:-RECENT]:
            self._recent.pop(old, None)
        return {"file": name, "sha256": loaded.sha256, **size}, vector

    def _apart(
        self, query: dict[str, Any], vector: Vectors, k: int, labels: Sequence[str] | None, approx: Approx | None
    ) -> tuple[list[str], list[Hit], str, str]:
        """The query's own ids, and at least ``k`` other hits where there are as many."""
        own: list[str] = []
        while True:
            spare = 8  # room for the query's own records; with more of them, they are excluded and it asks again
            found = self.index.search(vector, k + spare, approx=approx, labels=labels, exclude=[own])
            ids = [id_ for id_ in found.ids[0].tolist() if id_]
            records = {record.id: record for record in self.index.records(ids)}
            hits: list[Hit] = []
            mine: list[str] = []
            for id_, score in zip(ids, found.scores[0].tolist(), strict=False):
                record = records[id_]
                same = id_ == query.get("id") or record.sha256 == query["sha256"] != "" or score > OWN_COSINE
                if same:
                    mine.append(id_)
                else:
                    hits.append(Hit(len(hits) + 1, id_, record.label, score, record.sha256))
            own += mine
            if len(hits) >= k or not mine or len(ids) < k + spare:
                return own, hits, found.method, found.note

    def _reranked(
        self, rank: str, vector: Vectors, k: int, labels: Sequence[str] | None, own: Sequence[str]
    ) -> tuple[list[Hit], str]:
        """The hits under a ranking."""
        found = self.ranked(rank).search(vector, k, labels, own)
        ids = found.ids[0].tolist()
        records = {record.id: record for record in self.index.records(ids)}
        scores = found.scores[0].tolist()
        return [
            Hit(rank, id_, records[id_].label, score, records[id_].sha256)
            for rank, (id_, score) in enumerate(zip(ids, scores, strict=True), 1)
        ], found.method

    def ranked(self, rank: str) -> RankedGallery:
        """The index under a rank SPEC: learned once, and again when the index has changed.

        :raises BadQuery: when the SPEC is misspelt, or the vectors do not allow it.
        """
        with self._learning:
            ranked = self._ranked.pop(rank, None)
            if ranked is None or ranked.generation != self.passport.generation:
                ranked = RankedGallery(self.index, rank)
            self._ranked[rank] = ranked  # the latest last
            for old in list(self._ranked)[:-RANKINGS]:
                del self._ranked[old]
            return ranked

    def record(self, id: str) -> ImageRecord:  # noqa: A002 (the field's name)
        """The record of an id.

        :raises BadQuery: when the index has none.
        """
        records = self.index.records([id])
        if not records:
            raise BadQuery(f"The index has no picture with the id {id!r}. Ids are paths below the indexed folder.")
        return records[0]

    def thumbnail(self, id: str) -> Path:  # noqa: A002
        """A WEBP file of an indexed picture, at most 256 pixels a side, without metadata.

        :raises UnreadableImage: when the original is not where the passport (or ``root``) says, or cannot be decoded.
        """
        return self._picture(id, THUMBNAIL)

    def preview(self, id: str) -> Path:  # noqa: A002
        """The same at 1,024 pixels."""
        return self._picture(id, PREVIEW)

    def _picture(self, id_: str, size: int) -> Path:
        record, path = self.record(id_), picture_path(self.passport, id_, self.root)
        if not path.is_file():
            raise UnreadableImage(
                f"The picture {id_!r} is not where it was when it was indexed. Index its folder again, "
                "or say with --root FOLDER where the pictures are now."
            )
        return thumbnail(
            path, record.sha256 or hashlib.sha256(path.read_bytes()).hexdigest(), size, max_pixels=self.max_pixels
        )
