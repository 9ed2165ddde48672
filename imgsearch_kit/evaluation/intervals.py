"""Uncertainty of means: bootstrap intervals over queries and classes, and the paired comparison of two systems."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from imgsearch_kit.vectors import Floats, Ints

RESAMPLES = 9_999
LEVEL = 0.95
FEWEST_ASKED = 10  # of the queries of a class; fewer do not show how much the others differ
DRAWN = 1 << 22  # drawn numbers at a time: 32 MB


@dataclass(frozen=True)
class Intervals:
    """Means with their bounds: the last axis of every array is (value, low, high), bounds NaN where unknown.

    ``micro`` and ``macro`` are ``(M, 3)`` float64 for ``M`` measures, ``per_class`` is ``(C, M, 3)``.
    """

    micro: Floats
    macro: Floats
    per_class: Floats


def intervals(values: Floats, classes: Ints, *, resamples: int = RESAMPLES, seed: int = 0) -> Intervals:
    """Means of ``(m, M)`` values with 95 % percentile bootstrap bounds (Efron and Tibshirani 1993, chapter 13).

    ``classes`` is ``(m,)``: each query's class in [0, C), every class with at least one query. For the micro mean (over
    queries) and the mean of a class, queries are resampled within each class; for the macro mean (of class means),
    classes are. The gallery is fixed: the bounds show how much the mean depends on the queries, or on the classes.

    Percentile bounds exist for every sample; for equal values both bounds are that value, where BCa has none. A class
    of one query, or a single class, cannot be resampled: its bounds are NaN. Classes of one query are resampled
    together for the micro mean, because alone they would have no variance. The same seed gives the same bounds.
    """
    rng = np.random.default_rng(seed)
    sizes = np.bincount(classes)
    members = np.split(np.argsort(classes, kind="stable"), np.cumsum(sizes)[:-1])
    means = np.stack([values[rows].mean(axis=0) for rows in members])
    micro = np.zeros((resamples, values.shape[1]))
    per_class = []
    for rows, mean in zip(members, means, strict=True):
        drawn = _resampled_means(values[rows], resamples, rng)
        if len(rows) > 1:
            micro += drawn * (len(rows) / len(values))
        per_class.append(_bounded(mean, drawn, len(rows)))
    single = values[np.isin(classes, np.flatnonzero(sizes == 1))]
    if len(single):
        micro += _resampled_means(single, resamples, rng) * (len(single) / len(values))
    return Intervals(
        _bounded(values.mean(axis=0), micro, len(values)),
        _bounded(means.mean(axis=0), _resampled_means(means, resamples, rng), len(means)),
        np.stack(per_class),
    )


def sampled_intervals(
    values: Floats, classes: Ints, sizes: Ints, *, resamples: int = RESAMPLES, seed: int = 0
) -> Intervals:
    """The means of all queries, with 95 % bounds, from the ``(m, M)`` values of a sample drawn by class.

    ``classes`` ``(m,)`` is each query's class in [0, C), each with a query; ``sizes`` ``(C,)`` is how many queries the
    classes have in all. The micro mean weights classes by their sizes. The bounds say where the means of *all* queries
    lie: they become narrower as the sample grows, and meet when it has all of a class.

    The rescaled bootstrap of Rao and Wu (1988) for stratified samples without replacement: of the n queries of a class
    n - 1 are drawn with replacement, and their mean's distance from the class's mean is multiplied by sqrt(1 - n/N),
    so that its variance is the unbiased one, (1 - n/N) s²/n, also for n = 2. A class that is not asked whole has no
    bounds of its own from fewer than ten queries, nor where their values are equal: such bounds would hold its mean in
    half of the cases. For micro and macro means classes with one query of several are taken as one stratum
    ("collapsed", Cochran 1977, section 5A.12), whose variance contains that between these classes, so that bounds are
    rather too wide; a lone such class adds none.
    """
    rng = np.random.default_rng(seed)
    counts = np.bincount(classes)
    members = np.split(np.argsort(classes, kind="stable"), np.cumsum(counts)[:-1])
    means = np.stack([values[rows].mean(axis=0) for rows in members])
    micro, macro = np.zeros((2, resamples, values.shape[1]))
    per_class = []
    for rows, mean, size in zip(members, means, sizes.tolist(), strict=True):
        away = np.zeros_like(micro)
        if 1 < len(rows) < size:
            drawn = _resampled_means(values[rows], resamples, rng, len(rows) - 1)
            away = (drawn - mean) * np.sqrt(1 - len(rows) / size)
            micro += away * (size / sizes.sum())
            macro += away / len(sizes)
        found = _bounded(mean, mean + away, 2)
        if len(rows) < size:
            found[(len(rows) < FEWEST_ASKED) | (np.ptp(values[rows], axis=0) == 0), 1:] = np.nan
        per_class.append(found)
    single = np.flatnonzero((counts == 1) & (sizes > 1))
    if len(single) > 1:
        left = np.sqrt(1 - len(single) / sizes[single].sum())
        shares = sizes[single] / sizes[single].mean()
        both = np.concatenate([means[single], means[single] * shares[:, None], shares[:, None]], axis=1)
        drawn = _resampled_means(both, resamples, rng, len(single) - 1)
        plain, weighted = np.split(drawn[:, :-1], 2, axis=1)
        weighted = weighted / drawn[:, -1:] - np.average(means[single], axis=0, weights=shares)
        micro += weighted * left * (sizes[single].sum() / sizes.sum())
        macro += (plain - means[single].mean(axis=0)) * left * (len(single) / len(sizes))
    mean = np.average(means, axis=0, weights=sizes)
    known = 2 if len(values) > 1 else 1
    return Intervals(
        _bounded(mean, mean + micro, known),
        _bounded(means.mean(axis=0), means.mean(axis=0) + macro, known),
        np.stack(per_class),
    )


def _resampled_means(values: Floats, resamples: int, rng: np.random.Generator, drawn: int | None = None) -> Floats:
    """The means ``(resamples, M)`` of samples of ``drawn`` rows, by default ``n``, of ``n`` rows with replacement."""
    n, drawn = len(values), drawn or len(values)
    step = max(1, DRAWN // n)
    means = [np.empty((0, values.shape[1]))]
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        cells = rng.integers(n, size=(count, drawn)) + n * np.arange(count)[:, None]
        times_drawn = np.bincount(cells.ravel(), minlength=count * n).reshape(count, n)
        means.append(times_drawn @ values / drawn)
    return np.concatenate(means)


def _bounded(value: Floats, drawn: Floats, n: int) -> Floats:
    """(value, low, high) of each measure, ``(M, 3)``, from its resampled means."""
    tails = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    low, high = np.quantile(drawn, tails, axis=0) if n > 1 else np.full((2, len(value)), np.nan)
    return np.stack([value, low, high], axis=-1)


@dataclass(frozen=True)
class Comparison:
    """System A minus system B on the same queries.

    ``micro`` and ``macro`` are ``(M, 3)``: difference, low, high; ``micro_p`` and ``macro_p`` ``(M,)`` two-sided
    p-values of the randomisation test.
    """

    micro: Floats
    macro: Floats
    micro_p: Floats
    macro_p: Floats


def compare(
    a: Floats,
    b: Floats,
    classes: Ints,
    sizes: Ints | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """The paired difference of two systems from their ``(m, M)`` values of the same queries in the same order.

    Bounds are those of ``intervals`` over the differences. The p-value is Fisher's randomisation test (Smucker, Allan
    and Carterette 2007): how often the mean difference is at least as large when the two systems' values are swapped
    at random, query by query; the observed labelling counts as one of the draws, so p is never 0. ``sizes`` are those
    of ``sampled_intervals`` where the queries are a sample, whose bounds and weights are then used.
    """
    difference = a - b
    if sizes is None:
        found = intervals(difference, classes, resamples=resamples, seed=seed)
    else:
        found = sampled_intervals(difference, classes, sizes, resamples=resamples, seed=seed)
    counts = np.bincount(classes)
    whole = counts if sizes is None else sizes
    of_class = np.stack([whole / whole.sum(), np.full(len(counts), 1 / len(counts))])
    weights = (of_class / counts)[:, classes]  # micro, macro
    observed = np.abs(weights @ difference)
    extreme = np.zeros(observed.shape, np.int64)
    rng = np.random.default_rng(seed)
    step = max(1, DRAWN // len(classes))
    weighted = np.concatenate([difference * weight[:, None] for weight in weights], axis=1)
    for start in range(0, resamples, step):
        swaps = rng.choice(np.array([-1.0, 1.0]), size=(min(step, resamples - start), len(classes)))
        drawn = np.abs(swaps @ weighted).reshape(len(swaps), *observed.shape)
        extreme += (drawn >= observed - 1e-12).sum(axis=0)  # sums of the same numbers in another order are equal
    micro_p, macro_p = (extreme + 1) / (resamples + 1)
    return Comparison(found.micro, found.macro, micro_p, macro_p)


def estimate(row: Floats, keys: Sequence[str] = ("value", "low", "high")) -> dict[str, float | None]:
    """A mean and its bounds by name; NaN, which JSON does not know, as None."""
    return {key: None if np.isnan(number) else float(number) for key, number in zip(keys, row, strict=True)}
