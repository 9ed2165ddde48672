"""Two evaluations of the same pictures, paired query by query."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.evaluation.intervals import Comparison, compare
from imgsearch_kit.names import Names
from imgsearch_kit.reports import Number, Report, Table, number

if TYPE_CHECKING:
    from imgsearch_kit.evaluation.report import Evaluation

DIGITS = 6  # of per-query values in a file, and so of a comparison with it


def paired(here: Evaluation, earlier: Evaluation | Mapping[str, Any]) -> tuple[dict[str, int], list[str], Comparison]:
    """The differences to an earlier evaluation, or to its document with per-query values.

    Returned are the numbers of queries in "common", only "here" and only "there", the measures of both, and their
    differences over the common queries, ``(M, 3)`` in the order of the measures.

    :raises BadQuery: when ``earlier`` has no per-query values, or they share no query or no measure.
    """
    rows, theirs = _per_query(earlier if isinstance(earlier, Mapping) else earlier.to_json(per_query=True))
    if wrong := [name for name, column in theirs.items() if column.shape != (len(rows),)]:
        raise BadQuery(
            f"The earlier evaluation has {len(rows)} different queries, but another number of values of {wrong[0]}. "
            "Write it again with: imgsearch evaluate --per-query -o FILE"
        )
    names_there, ours = Names(rows), set(here.queries)
    fits = ((row, name, names_there.fitting(name)) for row, name in enumerate(here.queries))
    partner = {row: other for row, name, other in fits if other is not None and (other == name or other not in ours)}
    common = list(partner)
    names = [name for name in here.measures if name in theirs]
    if not common or not names:
        raise BadQuery(
            f"The two evaluations share {len(common)} queries and {len(names)} measures. "
            "Compare evaluations of the same pictures with the same k."
        )
    there = [rows[name] for name in partner.values()]
    mine = np.stack([np.round(here.scores.values[name][common], DIGITS) for name in names], axis=1)
    other = np.stack([theirs[name][there] for name in names], axis=1)
    classes, strata = np.unique(here.strata[common], return_inverse=True)
    a_sample = here.is_sample or _is_sample(earlier)
    counts = {"common": len(common), "here": len(here.queries) - len(common), "there": len(rows) - len(common)}
    return counts, names, compare(mine, other, strata, here.sizes[classes] if a_sample else None, seed=here.seed)


def _is_sample(earlier: Evaluation | Mapping[str, Any]) -> bool:
    return "sampled_from" in earlier if isinstance(earlier, Mapping) else earlier.is_sample


def _per_query(document: Mapping[str, Any]) -> tuple[dict[str, int], dict[str, np.ndarray]]:
    """The row of each query in a document, and the values of each measure."""
    try:
        values = {name: np.asarray(each, np.float64) for name, each in document["per_query"]["values"].items()}
        return {name: row for row, name in enumerate(document["per_query"]["ids"])}, values
    except (KeyError, TypeError, ValueError, AttributeError):
        raise BadQuery(
            "The earlier evaluation has no per-query values. Write it with: imgsearch evaluate --per-query -o FILE"
        ) from None


class Compared(Report, dict[str, Any]):
    """The result of ``Evaluation.against``, as in the JSON document.

    "queries" has the numbers in "common", only "here" and only "there". "micro" and "macro" have the "difference",
    "low", "high" (None where unknown) and "p" of each measure.
    """

    def title(self) -> str:
        """The number of queries, in one line."""
        queries = self["queries"]
        alone = f" ({queries['here']:,} only here, {queries['there']:,} only there)"
        return f"Difference over {queries['common']:,} queries in common" + (
            alone if queries["here"] + queries["there"] else ""
        )

    def tables(self) -> Sequence[Table]:
        """The differences with bounds and p-values, one row per measure."""
        rows = [(row["measure"], *_signed(row["micro"]), *_signed(row["macro"])) for row in self.frame()]
        return [Table(rows, ("", "micro, 95 %", "p", "macro, 95 %", "p"))]

    def frame(self) -> Iterable[Mapping[str, Any]]:
        """The rows of ``to_dataframe``, one per measure: difference, low, high and p of micro and macro."""
        return ({"measure": name, "micro": row, "macro": self["macro"][name]} for name, row in self["micro"].items())

    def to_json(self) -> dict[str, Any]:
        """The same as a plain dict."""
        return dict(self)


def _signed(row: Mapping[str, Any]) -> tuple[Number, float]:
    """A difference with its bounds, ``+0.0189 [+0.0133, +0.0245]``, and its p-value."""
    return number(row["difference"], row["low"], row["high"], "+.4f"), row["p"]
