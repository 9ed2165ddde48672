"""The nearest records on a server: its search options, and its hits in order of (-cosine, id)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.index.base import NO_APPROX
from imgsearch_kit.index.elastic import bodies
from imgsearch_kit.index.elastic.bodies import Json, SearchOptions
from imgsearch_kit.index.elastic.documents import Documents
from imgsearch_kit.index.elastic.methods import NO_TWIN
from imgsearch_kit.records import Approx, ImageRecord, Vectors

FEW = 100  # excluded ids up to which an LSH method drops them from its hits; with more, the search is exact

Row = list[tuple[float, ImageRecord]]  # the hits of one query: -cosine and record, in order
Ask = Callable[[Sequence[Json]], list[list[Json]]]  # bodies of searches to the hits of each


def search_options(
    documents: Documents, address: str, k: int, approx: Approx | None, labels: Sequence[str] | None, excluded: int
) -> tuple[SearchOptions, str]:
    """The search options without excluded ids, and why they differ from what the caller asked for ("" if they do not).

    :raises BadQuery: when the method or the server cannot do what ``approx`` says, or the index at ``address`` cannot
        answer exactly.
    """
    method, note = documents.method, ""
    kept = {} if labels is None else documents.label_filter(labels)
    if approx and not method.approximate:
        approx, note = None, NO_APPROX
    if approx and not method.native and (labels is not None or excluded > FEW):
        what = "a label filter" if labels is not None else f"{excluded} excluded pictures"
        approx, note = None, f"With {what} the method {method.name} would lose neighbours; the answers are exact."
    if approx:
        count, probes = bodies.candidates(method, approx, k)
        return SearchOptions(min(k, bodies.MOST), count, probes, **kept), note
    if not method.answers_exactly:
        raise BadQuery(
            f"The index at {address} was made with {NO_TWIN}, so it cannot search exactly. "
            "Search with --approx, or copy the index to a method that can."
        )
    return SearchOptions(min(k + 1, bodies.MOST), **kept), note


def nearest(
    documents: Documents, ask: Ask, queries: Vectors, k: int, options: SearchOptions, excluded: Sequence[Sequence[str]]
) -> list[Row]:
    """The first ``k`` hits of each query, without the ids in its list of ``excluded`` ones."""
    per_query = [_without(documents, options, each) for each in excluded]
    hits = ask([documents.search_body(query, one) for query, one in zip(queries, per_query, strict=True)])
    found = []
    for query, one, its_hits, out in zip(queries, per_query, hits, map(set, excluded), strict=True):
        row = _row(documents, its_hits, query, one)
        # Equal scores at the end of an exact answer: all of them are needed to order them by id.
        while one.candidates is None and k < len(row) == one.size < bodies.MOST and row[k - 1][0] == row[-1][0]:
            one = dataclasses.replace(one, size=min(4 * one.size, bodies.MOST))
            row = _row(documents, ask([documents.search_body(query, one)])[0], query, one)
        found.append([hit for hit in row if hit[1].id not in out][:k])
    return found


def _without(documents: Documents, options: SearchOptions, excluded: Sequence[str]) -> SearchOptions:
    if not excluded:
        return options
    if options.candidates is None or documents.method.native:
        return dataclasses.replace(options, without=tuple(documents.keys(excluded)))
    more = len(
        excluded
    )  # as many more candidates as may be dropped, so that the answer is that of an index without these ids
    size, candidates = min(options.size + more, bodies.MOST), min(options.candidates + more, bodies.MOST)
    return dataclasses.replace(options, size=size, candidates=candidates)


def _row(documents: Documents, hits: Sequence[Json], query: Vectors, options: SearchOptions) -> Row:
    cosines = [documents.cosine(hit, query, options) for hit in hits]
    negative = (-np.clip(cosines, -1, 1)).astype(np.float32).tolist()
    row = zip(negative, map(documents.record, hits), strict=True)
    return sorted(row, key=lambda hit: (hit[0], hit[1].id))
