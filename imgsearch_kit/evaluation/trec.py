"""Rankings and relevance in TREC's text formats, for trec_eval and other tools."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

import numpy as np
from scipy.sparse import csr_array

from imgsearch_kit.evaluation.metrics import rank
from imgsearch_kit.vectors import Ints, Scorer, blocks


def trec_files(stem: Path | str) -> tuple[Path, Path]:
    """The files of a run and of its relevant pictures, STEM.run and STEM.qrels."""
    return Path(f"{stem}.run"), Path(f"{stem}.qrels")


def run_lines(
    score: Scorer,
    queries: Sequence[str],
    gallery: Sequence[str],
    junk: csr_array,
    *,
    depth: int | None = None,
    tag: str = "imgsearch",
) -> Iterator[str]:
    """The lines of a run: ``query Q0 picture rank score tag``, the first ``depth`` pictures of each query, all if None.

    Junk is left out. The score is not the cosine but decreases by one per rank, so that tools that order ties otherwise
    than by id see the same order. Ids are written by ``trec_id``.
    """
    names = [trec_id(name) for name in gallery]
    for rows in blocks(len(queries), len(gallery)):
        order, scores = rank(score(rows), junk[rows])
        for row, columns in enumerate(np.where(np.isfinite(scores), order, -1)):
            ranked = columns[columns >= 0][:depth].tolist()
            query = trec_id(queries[rows.start + row])
            for place, column in enumerate(ranked, start=1):
                yield f"{query} Q0 {names[column]} {place} {len(ranked) - place + 1} {tag}\n"


def qrels_lines(
    queries: Sequence[str],
    gallery: Sequence[str],
    query_classes: Ints,
    gallery_classes: Ints,
    junk: csr_array,
) -> Iterator[str]:
    """The lines of the relevant pictures of each query, ``query 0 picture 1``; other pictures are not relevant."""
    names = [trec_id(name) for name in gallery]
    for row, query in enumerate(queries):
        relevant = gallery_classes == query_classes[row]
        relevant[junk[[row]].nonzero()[1]] = False
        for column in np.flatnonzero(relevant).tolist():
            yield f"{trec_id(query)} 0 {names[column]} 1\n"


def trec_id(name: str) -> str:
    """An id without white space, which separates the columns, or control characters: ``two%20words``."""
    return re.sub(r"[\s%\x00-\x1f\x7f-\x9f]", lambda found: quote(found[0]), name)
