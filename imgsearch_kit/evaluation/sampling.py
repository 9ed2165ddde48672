"""A sample of the queries of an experiment, drawn by class, so that its means estimate those of all queries."""

from __future__ import annotations

import dataclasses

import numpy as np

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.evaluation.protocol import Experiment
from imgsearch_kit.vectors import Ints


def allotted(sizes: Ints, count: int) -> Ints:
    """How many of ``count`` queries each class of the given sizes gets, ``(C,)``: one, and a share of the others.

    Shares are in proportion to the sizes less one, by largest remainder (of equal ones the first), and so never exceed
    a class. ``count`` is between the number of classes and that of all queries.
    """
    spare = sizes - 1
    shares = spare * (count - len(sizes)) / max(int(spare.sum()), 1)
    given = np.floor(shares).astype(np.int64)
    missing = count - len(sizes) - int(given.sum())
    given[np.argsort(given - shares, kind="stable")[:missing]] += 1
    return given + 1


def sampled_queries(experiment: Experiment, count: int, seed: int) -> Experiment:
    """The experiment with ``count`` of its queries, drawn at random within each class, and its whole gallery.

    Only queries with a relevant picture are drawn. In ``about``, "sampled_from" has their number by class before the
    drawing, and "skipped_lone" counts the others. When there are no more than ``count`` it is the experiment itself.

    :raises BadQuery: when there are more classes than ``count``.
    """
    classes, of_gallery = experiment.classes(experiment.queries), experiment.classes(experiment.gallery)
    query, row = experiment.junk.nonzero()
    same = classes[query] == of_gallery[row]
    relevant = np.bincount(of_gallery, minlength=len(experiment.labels))[classes]
    relevant = relevant - np.bincount(query[same], minlength=len(classes))
    able = np.flatnonzero(relevant > 0)
    if len(able) <= count:
        return experiment
    numbers, which, sizes = np.unique(classes[able], return_inverse=True, return_counts=True)
    if count < len(numbers):
        raise BadQuery(
            f"A sample of {count:,} queries leaves out some of {len(numbers):,} classes that have queries, so it says "
            f"nothing of them. Give --sample {len(numbers)} (in Python sample=) or more; classes of which "
            "ten or more are asked have bounds."
        )
    shuffled = np.random.default_rng(seed).permutation(len(able))
    order = shuffled[np.argsort(which[shuffled], kind="stable")]  # by class, at random within
    place = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    rows = np.sort(able[order[place < np.repeat(allotted(sizes, count), sizes)]])
    of_classes = {experiment.labels[c]: size for c, size in zip(numbers.tolist(), sizes.tolist(), strict=True)}
    lone = len(classes) - len(able)
    return dataclasses.replace(
        experiment,
        queries=[experiment.queries[row] for row in rows.tolist()],
        query_vectors=experiment.query_vectors[rows],
        junk=experiment.junk[rows],
        about={"skipped_lone": lone, **experiment.about, "sampled_from": of_classes},
    )
