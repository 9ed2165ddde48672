"""An index's stored vectors and labels to an evaluation, and to TREC files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.evaluation.metrics import score_queries
from imgsearch_kit.evaluation.protocol import Trial, make_trial
from imgsearch_kit.evaluation.report import Evaluation
from imgsearch_kit.evaluation.trec import qrels_lines, run_lines
from imgsearch_kit.files import write_whole
from imgsearch_kit.index.base import VectorIndex
from imgsearch_kit.progress import progress_bar

KS = (1, 4, 10)


def evaluate(
    index: VectorIndex,
    *,
    ks: Sequence[int] = KS,
    exclude_labels: Sequence[str] = (),
    queries: VectorIndex | None = None,
    split: Path | None = None,
    group_duplicates: bool | float = False,
    rank: str | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> Evaluation:
    """How well the pictures' neighbours share their label: per query, per class and overall, with intervals.

    P@k, nDCG@k and recall@k are given for each of ``ks``, ``seed`` draws the intervals; the other arguments are those
    of ``make_trial``. Queries with nothing to find, alone in their class, are left out and counted.

    :raises BadQuery: when there is nothing to evaluate, or an argument is wrong.
    :raises IndexMismatch: when ``queries`` was not made by the extractor of ``index``.
    """
    ks = _checked_ks(ks)
    trial = make_trial(
        index,
        exclude_labels=exclude_labels,
        queries=queries,
        split=split,
        group_duplicates=group_duplicates,
        rank=rank,
    )
    query_classes, gallery_classes = trial.classes(trial.queries), trial.classes(trial.gallery)
    with progress_bar("evaluating", "query", len(trial.queries), shown=progress) as bar:
        scores = score_queries(trial.scorer(), query_classes, gallery_classes, trial.junk, ks, done=bar.update)
    kept = np.flatnonzero(scores.relevant)
    if not len(kept):
        raise BadQuery(
            f"None of {len(trial.queries)} labelled pictures has another one of its label to find, so there is nothing "
            "to evaluate. Index more pictures per label, or correct the labels with `imgsearch label`."
        )
    return Evaluation(
        queries=[trial.queries[row].id for row in kept.tolist()],
        gallery=[record.id for record in trial.gallery],
        labels=trial.labels,
        query_classes=query_classes[kept],
        gallery_classes=gallery_classes,
        scores=scores.take(kept),
        ks=ks,
        about={"skipped_lone": len(trial.queries) - len(kept)} | trial.about,
        seed=seed,
    )


def write_trec(trial: Trial, run: Path, qrels: Path, *, depth: int | None = 1_000) -> None:
    """Writes a trial in TREC form: its rankings, of ``depth`` places (all if None), and its relevant pictures.

    :raises BadQuery: when a file cannot be written.
    """
    queries, gallery = ([record.id for record in side] for side in (trial.queries, trial.gallery))
    try:
        with write_whole(run) as whole, whole.open("w", encoding="utf-8") as file:
            file.writelines(run_lines(trial.scorer(), queries, gallery, trial.junk, depth=depth))
        with write_whole(qrels) as whole, whole.open("w", encoding="utf-8") as file:
            classes = trial.classes(trial.queries), trial.classes(trial.gallery)
            file.writelines(qrels_lines(queries, gallery, *classes, trial.junk))
    except OSError as error:
        raise BadQuery(f"The TREC files {run} and {qrels} cannot be written: {error}. Name another place.") from error


def _checked_ks(ks: Sequence[int]) -> tuple[int, ...]:
    wrong = [k for k in ks if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1]
    if wrong or not ks:
        raise BadQuery(f"k must be whole numbers of at least 1; got {', '.join(map(repr, wrong)) or 'none'}.")
    return tuple(sorted({int(k) for k in ks}))
