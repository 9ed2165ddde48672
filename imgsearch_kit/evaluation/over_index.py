"""Evaluation of an index from its stored vectors and labels, and TREC files."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from imgsearch_kit.arguments import whole_number
from imgsearch_kit.classes import doubts, folders_of
from imgsearch_kit.errors import BadQuery, IndexMismatch
from imgsearch_kit.evaluation.metrics import score_queries
from imgsearch_kit.evaluation.protocol import MOST_PAIRS, Experiment, Side, check_options, make_experiment
from imgsearch_kit.evaluation.report import Evaluation
from imgsearch_kit.evaluation.sampling import sampled_queries
from imgsearch_kit.evaluation.trec import qrels_lines, run_lines, trec_files
from imgsearch_kit.evaluation.what_if import MOST_RANKED, WhatIf
from imgsearch_kit.index.base import VectorIndex
from imgsearch_kit.outputs import check_output, write_output
from imgsearch_kit.progress import counted_progress
from imgsearch_kit.ranking import Ranking
from imgsearch_kit.ranking.baked import Learned
from imgsearch_kit.ranking.chain import kept_ranking
from imgsearch_kit.records import IndexPassport
from imgsearch_kit.vectors import Scorer

KS = (1, 4, 10)
DEPTH = 1_000  # places of each ranking in a TREC run


def evaluate(
    index: VectorIndex,
    *,
    ks: int | Sequence[int] = KS,
    exclude_labels: Sequence[str] = (),
    queries: VectorIndex | None = None,
    split: Path | str | None = None,
    group_duplicates: bool | float = False,
    rank: str | None = None,
    sample: int | None = None,
    trec: Path | str | None = None,
    force: bool = False,
    seed: int = 0,
    progress: bool | Callable[[float], object] | None = None,
) -> Evaluation:
    """How often the pictures' neighbours share their label: per query, per class and overall, with intervals.

    P@k, nDCG@k and recall@k are given for each of ``ks``, one or several; ``seed`` is that of the intervals; the other
    arguments are those of ``read_experiment``. Queries that are alone in their class are left out and counted.
    ``sample`` is how many queries to ask at most: they are drawn at random within each class, by ``seed``, against the
    whole gallery, and the means and bounds are those of all queries (``sampled_intervals``). ``trec``
    is the stem of two files to write, STEM.run with the rankings of 1,000 places and STEM.qrels with the relevant
    pictures; with ``force`` also over files that the kit did not write, but never over an index. ``progress`` may be a
    function that gets the share that is done, from 0 to 1; what it raises ends the work.

    :raises BadQuery: when there is nothing to evaluate, an argument is wrong, a sample has fewer queries than there
        are classes, or a file cannot be written or is one that the kit did not write.
    :raises IndexMismatch: when ``queries`` was not made by the extractor of ``index``.
    """
    ks, seed = _checked_ks(ks), whole_number("seed", seed, 0)
    sample = None if sample is None else whole_number("sample", sample)
    if trec is not None:
        check_trec(trec, force=force)
    experiment, passport = read_experiment(
        index,
        exclude_labels=exclude_labels,
        queries=queries,
        split=split,
        group_duplicates=group_duplicates,
        rank=rank,
    )
    if sample is None:
        _check_feasible(len(experiment.queries), len(experiment.gallery))
    ranking = _ranking(experiment, passport)
    if sample is not None:
        experiment = sampled_queries(experiment, sample, seed)
    score = experiment.scorer(ranking)
    classes = experiment.classes(experiment.queries), experiment.classes(experiment.gallery)
    with counted_progress("evaluating", "query", len(experiment.queries), progress) as done:
        scores = score_queries(score, *classes, experiment.junk, ks, done=done)
    found = Evaluation(
        queries=[record.id for record in experiment.queries],
        gallery=[record.id for record in experiment.gallery],
        labels=experiment.labels,
        query_classes=classes[0],
        gallery_classes=classes[1],
        scores=scores,
        ks=ks,
        about=experiment.about,
        seed=seed,
    ).answerable()
    if trec is not None:
        write_trec(experiment, score, trec, force=force)
    return found


def what_if(
    index: VectorIndex,
    *,
    ks: int | Sequence[int] = KS,
    rank: str | None = None,
    seed: int = 0,
    progress: bool | Callable[[float], object] | None = None,
) -> WhatIf:
    """The rankings of an evaluation, kept in memory, to judge at once with classes merged or pictures left out.

    Arguments are those of ``evaluate``. ``n`` labelled pictures need ``2 n²`` bytes.

    :raises BadQuery: when there is nothing to evaluate, an argument is wrong, or there are more than 16,384 pictures.
    """
    ks, seed = _checked_ks(ks), whole_number("seed", seed, 0)
    experiment, passport = read_experiment(index, rank=rank)
    n = len(experiment.gallery)
    if n > MOST_RANKED:
        raise BadQuery(
            f"There are {n:,} labelled pictures; what-if keeps all rankings, of at most {MOST_RANKED:,}. Change the "
            "labels of a copy of the index and evaluate that."
        )
    with counted_progress("evaluating", "query", n, progress) as done:
        return WhatIf(experiment, _ranking(experiment, passport), ks, seed=seed, done=done)


def read_experiment(
    index: VectorIndex,
    *,
    exclude_labels: Sequence[str] = (),
    queries: VectorIndex | None = None,
    split: Path | str | None = None,
    group_duplicates: bool | float = False,
    rank: str | None = None,
) -> tuple[Experiment, IndexPassport]:
    """The queries and the gallery of an evaluation of an index, and its passport when they were read.

    ``queries`` is another index whose pictures are the queries (projected by the ranking that is baked into ``index``,
    if there is one); the other arguments are those of ``make_experiment``.

    :raises BadQuery: when no labelled picture is left on either side, an argument is wrong, or an index changes.
    :raises IndexMismatch: when ``queries`` was not made by the extractor of ``index``.
    """
    check_options(queries, split, group_duplicates, rank)
    gallery, passport = _read_side(index)
    about: dict[str, Any] = {"passport": passport.published()}
    asking, of_queries = None, passport
    if queries is not None:
        _check_same_extractor(index, queries)
        asking, of_queries = _read_side(queries)
        if passport.baked and passport.baked != of_queries.baked:
            learned = Learned.of(passport.baked, index.learned(), index.address)
            assert learned is not None
            asking = Side(asking.records, learned.project(asking.vectors))
        about["queries_passport"] = of_queries.published()
    experiment = make_experiment(
        gallery, asking, exclude_labels=exclude_labels, split=split, group_duplicates=group_duplicates, rank=rank
    )
    sides = ((of_queries, experiment.queries), (passport, experiment.gallery))
    pictures = {  # of vectors made elsewhere no folder can be indexed
        record.id: (folders_of(record.id, of.prefix_of(record.id)) if of.roots else (), record.label)
        for of, records in sides
        for record in records
    }
    about["warnings"] = doubts(pictures.values())
    return dataclasses.replace(experiment, about=dict(experiment.about) | about), passport


def _read_side(index: VectorIndex) -> tuple[Side, IndexPassport]:
    """All records and vectors of an index, and its passport.

    :raises BadQuery: when it changes meanwhile.
    """
    passport = index.read_passport()
    side = Side(*index.entries())
    if index.read_passport().generation != passport.generation:
        raise BadQuery(f"{index.address} changed while it was read. Evaluate it when indexing has finished.")
    return side, passport


def _ranking(experiment: Experiment, passport: IndexPassport) -> Ranking | None:
    """The ranking of an experiment, None where it has none; what it learns is cached."""
    if experiment.rank is None:
        return None
    return kept_ranking(passport, experiment.rank, experiment.gallery_vectors, spare=experiment.most_junk)


def check_trec(stem: Path | str, *, force: bool = False) -> tuple[Path, Path]:
    """The TREC files of a stem, STEM.run and STEM.qrels, after ``check_output`` of both.

    :raises BadQuery: as ``check_output`` does.
    """
    files = trec_files(stem)
    for file in files:
        check_output(file, force=force)
    return files


def write_trec(
    experiment: Experiment, score: Scorer, stem: Path | str, *, depth: int | None = DEPTH, force: bool = False
) -> None:
    """Writes an experiment in TREC form: STEM.run with its rankings, STEM.qrels with the relevant pictures.

    Of each ranking the first ``depth`` places are written, all if None.

    :raises BadQuery: when a file cannot be written, or without ``force`` is one that the kit did not write.
    """
    run, qrels = check_trec(stem, force=force)
    queries, gallery = ([record.id for record in side] for side in (experiment.queries, experiment.gallery))
    with write_output(run, force=force) as ranked, write_output(qrels, force=force) as relevant:
        with ranked.open("w", encoding="utf-8") as file:
            file.writelines(run_lines(score, queries, gallery, experiment.junk, depth=depth))
        with relevant.open("w", encoding="utf-8") as file:
            classes = experiment.classes(experiment.queries), experiment.classes(experiment.gallery)
            file.writelines(qrels_lines(queries, gallery, *classes, experiment.junk))


def _check_feasible(queries: int, gallery: int) -> None:
    if queries * gallery > MOST_PAIRS:
        raise BadQuery(
            f"To ask {queries:,} pictures about {gallery:,} would take many hours. Ask a sample, whose means estimate "
            f"those of all: --sample 5000 (in Python sample=5000); --sample {queries} asks them all."
        )


def _checked_ks(ks: int | Iterable[int]) -> tuple[int, ...]:
    several = ks if isinstance(ks, Iterable) and not isinstance(ks, str) else [ks]
    if not (checked := {whole_number("k", k) for k in several}):
        raise BadQuery("ks must be whole numbers of at least 1; got none.")
    return tuple(sorted(checked))


def _check_same_extractor(gallery_index: VectorIndex, queries_index: VectorIndex) -> None:
    gallery, queries = gallery_index.passport, queries_index.passport
    differences = [f"dim: {queries.extracted} != {gallery.extracted}"] if queries.extracted != gallery.extracted else []
    if gallery.spec and queries.spec:
        differences = queries.spec.differences(gallery.spec)
        if gallery_index.declared or queries_index.declared:  # only the name of one is known
            differences = [each for each in differences if each.startswith(("name:", "dim:"))]
    elif gallery.spec or queries.spec:
        which = "queries" if gallery.spec else "gallery"
        differences.append(f"the extractor of the {which} is unknown")
    if queries.baked and queries.baked != gallery.baked:
        differences.append(f"ranking: {queries.baked.spec} of another index is baked into the queries")
    if differences:
        raise IndexMismatch(
            f"The queries' vectors and the gallery's cannot be compared ({'; '.join(differences)}). "
            "Index both folders with the same extractor and weights."
        )
