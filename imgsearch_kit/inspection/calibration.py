"""Calibration of cosines: the probability that a hit has the query's class, and when nothing similar is indexed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.evaluation.intervals import LEVEL
from imgsearch_kit.reports import Report, Table, number
from imgsearch_kit.vectors import Bools, Floats

if TYPE_CHECKING:
    from imgsearch_kit.plots import Plot

GRID = 128
CURVES = 400  # that bounds are percentiles of
UNLIKE = 0.01


@dataclass(frozen=True)
class Calibration(Report):
    """The calibration of cosines on one index, learned from its own pictures.

    ``grid`` ``(G,)`` holds ascending cosines; ``probability``, ``low`` and ``high`` ``(G,)`` the probability there that
    a hit shares the query's class, with 95 % bounds, none of them decreasing. ``k`` is how many hits of each of
    ``queries`` pictures they were learned from. ``bound`` is the cosine below which a best hit means that nothing
    similar is indexed: a picture like the indexed ones is below it with a probability of at most ``unlike``.
    """

    grid: Floats
    probability: Floats
    low: Floats
    high: Floats
    k: int
    queries: int
    bound: float
    unlike: float = UNLIKE

    def __call__(self, cosines: npt.ArrayLike) -> Floats:
        """(probability, low, high) on a new last axis, each linear between grid points and constant beyond the ends.

        No hit was seen below ``grid[0]``, so there the true probability may be lower.
        """
        x = np.asarray(cosines, np.float64)
        return np.stack([np.interp(x, self.grid, y) for y in (self.probability, self.low, self.high)], axis=-1)

    def cosine_for(self, probability: float) -> float | None:
        """The smallest grid cosine at which hits share the class with at least this probability, or None."""
        enough = np.flatnonzero(self.probability >= probability)
        return float(self.grid[enough[0]]) if len(enough) else None

    def nothing_alike(self, best: float) -> bool:
        """Whether a query whose best hit has cosine ``best`` is less similar than indexed pictures are to another."""
        return bool(best < self.bound)

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Calibration:
        """The calibration that ``to_json`` wrote; further keys are ignored."""
        return cls(**_arrays(cls, plain))

    def title(self) -> str:
        """What it was learned from."""
        return (
            "A hit shares the query's class with probability ... from a cosine of ... "
            f"(learned from the first {self.k} hits of {self.queries} pictures)"
        )

    def tables(self) -> Sequence[Table]:
        """The cosines from which a hit shares the class with given probabilities."""
        rows = [(share, self.cosine_for(share)) for share in (0.5, 0.8, 0.9, 0.95, 0.99)]
        steps = [(number(p, form=".0%"), number(cosine, form=".3f") or "never seen") for p, cosine in rows]
        return [Table(steps, ("same class", "from a cosine of"))]

    def notes(self) -> Sequence[str]:
        """When nothing similar is indexed."""
        return [
            f"Nothing similar is indexed when the best hit is below {self.bound:.3f} "
            f"({self.unlike:.0%} of the indexed pictures are that far from all others)."
        ]

    def frame(self) -> Iterable[Mapping[str, Any]]:
        """The rows of ``to_dataframe``, one a grid point: cosine, probability, low and high."""
        columns = (self.grid, self.probability, self.low, self.high)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return (dict(zip(("cosine", "probability", "low", "high"), row, strict=True)) for row in rows)

    def plot(self) -> Plot:
        """The probability of the same class over the cosine, with its interval and the bound for "nothing alike".

        :raises MissingExtra: when matplotlib is not installed.
        """
        from imgsearch_kit.plots import calibration_curve

        return calibration_curve(self.grid, self.probability, self.low, self.high, bound=self.bound)[0]


def calibrate(
    cosines: npt.NDArray[np.floating],
    same: Bools,
    *,
    weights: Floats | None = None,
    unlike: float = UNLIKE,
    resamples: int = CURVES,
    seed: int = 0,
) -> Calibration:
    """The calibration from the hits of pictures whose class is known (leave-one-out).

    ``cosines`` ``(m, k)`` are those of each query's first ``k`` hits in rank order, NaN where there are fewer; ``same``
    ``(m, k)`` says which share the query's class. Only these pairs, not all ``m * m``, are used, because only hits are
    shown to a user; nearly all other pairs are of two classes. Pictures that are alone in their class are included,
    although none of their hits is right. ``weights`` ``(m,)``, 1 each if None, weight queries (with 1 / class size all
    classes have equal weight).

    The probability is the isotonic regression of ``same`` on the cosine (Zadrozny and Elkan 2002), with one right pair
    added at the lowest and one wrong pair at the highest cosine so that it is never 0 or 1. Bounds are percentiles of
    the regressions of resampled queries (their hits depend on each other, so whole queries are drawn).
    The bound for "nothing alike" is the conformal quantile of the nearest neighbours' cosines: the
    floor(unlike * (m + 1))-th smallest, -1 if that is none (Vovk, Gammerman and Shafer 2005, chapter 2).

    :raises BadQuery: when shapes differ, or no query has a hit.
    """
    if cosines.ndim != 2 or cosines.shape != same.shape:
        raise BadQuery(f"Cosines of shape {cosines.shape} and classes of shape {same.shape} differ. Give (m, k) each.")
    m, k = cosines.shape
    if weights is not None and weights.shape != (m,):
        raise BadQuery(f"There are {m} queries and weights of shape {weights.shape}. Give one weight per query.")
    query, place = np.nonzero(~np.isnan(cosines))
    if not len(query):
        raise BadQuery("There are no hits to learn from. Index at least two labelled pictures.")
    x = cosines[query, place].astype(np.float64)
    order = np.argsort(x, kind="stable")
    x, y, query = x[order], same[query, place][order].astype(np.float64), query[order]
    weight: Floats = np.ones(m) if weights is None else weights / weights.mean()
    grid = np.unique(np.quantile(x, np.linspace(0, 1, GRID)))
    probability = _isotonic(x, y, weight[query], grid)
    rng = np.random.default_rng(seed)
    times_drawn = rng.multinomial(m, np.full(m, 1 / m), size=resamples)
    curves = np.stack([_isotonic(x, y, (times * weight)[query], grid) for times in times_drawn])
    low, high = np.quantile(curves, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    nearest = np.sort(cosines[:, 0][~np.isnan(cosines[:, 0])].astype(np.float64))
    rank = int(unlike * (len(nearest) + 1))
    return Calibration(
        grid,
        probability,
        np.minimum(low, probability),
        np.maximum(high, probability),
        k=k,
        queries=m,
        bound=float(nearest[rank - 1]) if rank else -1.0,
        unlike=unlike,
    )


def _isotonic(x: Floats, y: Floats, weights: Floats, grid: Floats) -> Floats:
    """The isotonic regression of ``y`` on ascending ``x``, at the cosines of the grid; equal cosines get one value."""
    values, first = np.unique(x, return_index=True)
    total = np.add.reduceat(weights, first)
    right = np.add.reduceat(weights * y, first)
    total[0], right[0] = total[0] + 1, right[0] + 1
    total[-1] += 1
    used = total > 0
    fitted = isotonic_regression(right[used] / total[used], weights=total[used]).x
    return np.interp(grid, values[used], fitted)


@dataclass(frozen=True)
class Reliability(Report):
    """Predicted against observed, in the ``B`` bins of predicted probability that have hits; all arrays are ``(B,)``.

    ``predicted`` is the mean prediction in a bin, ``observed`` the share of its hits that share the class, ``low`` and
    ``high`` its 95 % bounds, ``counts`` its hits. ``error`` is the expected calibration error: the mean distance of
    predicted and observed, weighted by counts, in [0, 1].
    """

    predicted: Floats
    observed: Floats
    low: Floats
    high: Floats
    counts: npt.NDArray[np.int64]
    error: float

    def notes(self) -> Sequence[str]:
        """The expected calibration error."""
        return [f"Predicted and observed are {self.error:.3f} apart on average."]

    def tables(self) -> Sequence[Table]:
        """Predicted and observed with its bounds, one row per bin."""
        bins = zip(self.predicted, self.observed, self.low, self.high, self.counts.tolist(), strict=True)
        rows = [(predicted, number(*observed), hits) for predicted, *observed, hits in bins]
        return [Table(rows, ("predicted", "observed, 95 %", "hits"))]

    def plot(self) -> Plot:
        """Observed against predicted, one point per bin.

        :raises MissingExtra: when matplotlib is not installed.
        """
        from imgsearch_kit.plots import reliability_diagram

        counts = self.counts.astype(np.float64)
        return reliability_diagram(self.predicted, self.observed, self.low, self.high, counts, error=self.error)[0]

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Reliability:
        """What ``to_json`` wrote; further keys are ignored."""
        return cls(**_arrays(cls, plain))


def reliability(
    calibration: Calibration,
    cosines: npt.NDArray[np.floating],
    same: Bools,
    *,
    bins: int = 10,
    resamples: int = CURVES,
    seed: int = 0,
) -> Reliability:
    """How well a calibration fits other hits: ``bins`` bins of equal width in [0, 1], without empty ones.

    ``cosines`` and ``same`` are ``(m, k)`` as for ``calibrate``. Expected calibration error as in Naeini, Cooper and
    Hauskrecht (2015). Bounds are percentiles over resampled queries.
    """
    query, place = np.nonzero(~np.isnan(cosines))
    p = calibration(cosines[query, place])[:, 0]
    y = same[query, place].astype(np.float64)
    numbers, bin_of = np.unique(np.minimum((p * bins).astype(np.int64), bins - 1), return_inverse=True)
    counts = np.bincount(bin_of)
    predicted, observed = (np.bincount(bin_of, values) / counts for values in (p, y))
    cells = len(cosines), len(numbers)
    flat = query * cells[1] + bin_of
    hits = np.bincount(flat, minlength=cells[0] * cells[1]).reshape(cells)
    right = np.bincount(flat, y, minlength=cells[0] * cells[1]).reshape(cells)
    times = np.random.default_rng(seed).multinomial(len(cosines), np.full(len(cosines), 1 / len(cosines)), resamples)
    with np.errstate(invalid="ignore"):
        shares = (times @ right) / (times @ hits)
    low, high = np.nanquantile(shares, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    error = float(np.abs(predicted - observed) @ counts / counts.sum())
    return Reliability(predicted, observed, low, high, counts, error)


@dataclass(frozen=True)
class Calibrated(Report):
    """A calibration learned from all labelled pictures, and how well one learned from half of them fits the others.

    ``precision`` is the mean P@4 of the same rankings, each picture against all others but its copies; None when fewer
    than four hits were looked at, or no picture shares its label. ``rank`` is the SPEC they were ranked by, or None.
    """

    calibration: Calibration
    held_out: Reliability
    precision: float | None = None
    rank: str | None = None

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Calibrated:
        """What ``to_json`` wrote."""
        parts = Calibration.from_json(plain["calibration"]), Reliability.from_json(plain["held_out"])
        return cls(*parts, plain.get("precision"), plain.get("rank"))

    def title(self) -> str:
        """What the calibration was learned from."""
        return self.calibration.title()

    def tables(self) -> Sequence[Table]:
        """The table of the calibration."""
        return self.calibration.tables()

    def notes(self) -> Sequence[str]:
        """The notes of the calibration, and its expected error."""
        error = f"{self.held_out.error:.3f}"
        return [
            *self.calibration.notes(),
            f"When learned from half of the pictures, its mean error is {error} on the others.",
        ]

    def plot(self) -> Plot:
        """The curve of the calibration; ``held_out.plot()`` shows how one fits other pictures.

        :raises MissingExtra: when matplotlib is not installed.
        """
        return self.calibration.plot()

    def frame(self) -> Iterable[Mapping[str, Any]]:
        """The rows of ``to_dataframe``: those of the calibration."""
        return self.calibration.frame()


def _arrays(kind: type[Calibration | Reliability], plain: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a record from plain values, lists as arrays."""
    fields = {f.name: plain[f.name] for f in dataclasses.fields(kind) if f.name in plain}
    return {name: np.asarray(value) if isinstance(value, list) else value for name, value in fields.items()}
