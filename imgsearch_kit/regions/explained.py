"""Why a query and a hit match: the places of both that make their cosine, and boxes to search for, over a gallery."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.extractors.base import PRESETS, Mapper, mapper_of
from imgsearch_kit.extractors.int8 import INT8
from imgsearch_kit.query import GivenQuery, QueryReader
from imgsearch_kit.records import IndexPassport
from imgsearch_kit.regions.shares import EXACT_POOLINGS, occlusion, shares
from imgsearch_kit.regions.suggested import SuggestedBoxes, energy_boxes
from imgsearch_kit.reports import Report
from imgsearch_kit.vectors import Floats

if TYPE_CHECKING:
    from imgsearch_kit.gallery import Gallery

EXACT, APPROXIMATE, OCCLUSION, NONE = "exact", "approximate", "occlusion", ""
NO_MAP = "The extractor {name} has no convolution map that the kit can read, so {what}."


@dataclass(frozen=True, slots=True)
class Explanation(Report):
    """How much each place of a query and of a hit contributes to their cosine.

    ``query`` and ``hit`` are ``(h, w)`` float64 over the whole picture, or the box, rows from the top. Where ``exact``,
    each sums to ``cosine``; of vectors with several parts (input sides, layers), that of the first. ``way`` is
    "exact", "approximate" or "occlusion", where the values are what the cosine falls by when the place is covered.
    ``note`` says in words what the values are.
    """

    query: Floats
    hit: Floats
    cosine: float
    exact: bool
    way: str
    note: str

    def title(self) -> str:
        """The cosine, and what the values are."""
        return f"Cosine {self.cosine:.4f}. {self.note}"


def way_of(passport: IndexPassport) -> tuple[str, str]:
    """How matches of an index can be explained, and a sentence: "exact", "approximate", "occlusion", or "" for not.

    Nothing is loaded: its extractor's name decides.
    """
    spec = passport.spec
    preset = PRESETS.get(spec.name.removesuffix(INT8)) if spec else None
    if preset is None:
        name = spec.name if spec else "of this index"
        return NONE, NO_MAP.format(name=name, what="a match cannot be explained")
    if passport.baked:
        return NONE, f"The ranking {passport.baked.spec} is baked into the index, so a match cannot be explained."
    if preset.pooling == "none":
        return OCCLUSION, "What the cosine falls by when the place is covered; this takes about a hundred extractions."
    if len(preset.sides) * len(preset.layers) > 1:
        return APPROXIMATE, f"Shares of one part of the vectors: {preset.layer} at {preset.side} pixels."
    if preset.pooling == "spoc":
        return EXACT, "Exact shares of the cosine by position."
    if preset.pooling in EXACT_POOLINGS:
        return EXACT, "Exact shares of the cosine by region; within a region they lie at its maxima."
    return APPROXIMATE, f"Approximate shares of the cosine: the pooling {preset.pooling} is no sum over positions."


def explaining(
    gallery: Gallery,
    hit: str,
    picture: Any = None,
    id: str | None = None,  # noqa: A002 (the field's name)
    box: Sequence[float] | None = None,
) -> Generator[float, None, Explanation]:
    """Yields the share that is done, and returns the explanation, as ``Gallery.explain`` describes it."""
    way, note = way_of(gallery.passport)
    if way == NONE:
        raise BadQuery(note)
    reader = QueryReader(gallery)
    query, shown = reader.pixels(GivenQuery.of(picture, id, box)), reader.pixels(GivenQuery.of(None, hit))
    if way == OCCLUSION:
        one, other, cosine = yield from occlusion(gallery.extractor.extract, query, shown)
        return Explanation(one, other, cosine, False, way, note)
    mapper = mapper_of(gallery.extractor)
    spec = gallery.extractor.spec
    if mapper is None:
        raise BadQuery(NO_MAP.format(name=spec.name, what="a match cannot be explained"))
    maps = mapper(np.concatenate([query, shown]))
    one, other = shares(maps[0], maps[1], spec.pooling)
    return Explanation(one, other, float(one.sum()), way == EXACT, way, note)


def suggested_boxes(gallery: Gallery, picture: Any, id: str | None) -> SuggestedBoxes:  # noqa: A002 (the field's name)
    """The answer to ``Gallery.suggest_boxes``."""
    mapper: Mapper | None = mapper_of(gallery.extractor)
    if mapper is None:
        return SuggestedBoxes((), NO_MAP.format(name=gallery.extractor.spec.name, what="no box is suggested"))
    found = energy_boxes(mapper(QueryReader(gallery).pixels(GivenQuery.of(picture, id)))[0])
    return SuggestedBoxes(tuple(found), "" if found else "No part of the picture stands out.")
