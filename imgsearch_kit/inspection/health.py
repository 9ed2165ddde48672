"""Examines a labelled collection: duplicates, hubs and orphans, suspected labels, and their effects on P@k."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.evaluation.metrics import measures, near_duplicates
from imgsearch_kit.inspection.findings import Effect, Health, Suspect
from imgsearch_kit.inspection.neighbours import Nearest, leave_one_out
from imgsearch_kit.records import Vectors
from imgsearch_kit.vectors import Bools, Ints

NEAR = 0.98
AGREEMENT = 0.8
WIDER = 50  # places ranked beyond k, so that leaving pictures out seldom needs a second ranking


def examine(
    ids: Sequence[str],
    vectors: Vectors,
    labels: Sequence[str | None],
    sha256s: Sequence[str],
    *,
    k: int = 10,
    near: float = NEAR,
    agreement: float = AGREEMENT,
    done: Callable[[int], object] = lambda rows: None,
) -> Health:
    """The findings in ``n`` pictures: ``vectors`` is ``(n, dim)``, everything in id order; "" is an unknown hash.

    - Duplicates have equal hashes. Near-duplicates are the connected components of "cosine at least ``near``", so two
      pictures of a group may be less similar than that, linked through others.
    - Occurrence, after Radovanović, Nanopoulos and Ivanović, "Hubs in Space" (2010): a hub is more than two standard
      deviations above the mean (which is k); an orphan (their antihub) occurs nowhere. Only the picture itself is left
      out of its neighbours.
    - A label is suspected when at least ``agreement`` of the ``k`` nearest have one other label; near-duplicates have
      no vote, and neither have pictures without a label.
    - P@k is the mean over all labelled pictures whose class has another member, for each of the ``effects``.

    All cosines are computed once, in blocks: about 200 MB are needed in addition to ``vectors``, for any ``n``.
    ``done`` is called with the number of pictures of each finished block.

    :raises BadQuery: when there is no picture, the lists differ in length, or ``k`` or a bound is out of range.
    """
    _check(len(ids), len(vectors), len(labels), len(sha256s), k, near, agreement)
    n = len(ids)
    names, classes = class_numbers(labels)
    files = file_numbers(sha256s)
    wide = leave_one_out(vectors, k + WIDER, done=done)
    groups = connected_components(_close(vectors, wide, near) + _linked(files), directed=False)[1]
    alone = leave_one_out(vectors, k, wider=wide)
    without_files = leave_one_out(vectors, k, files, wider=wide)
    without_groups = leave_one_out(vectors, k, groups, wider=wide)
    occurrence = np.bincount(alone.rows[alone.rows >= 0], minlength=n)
    hub_rows = np.flatnonzero(occurrence > occurrence.mean() + 2 * occurrence.std())
    hub_rows = hub_rows[np.argsort(-occurrence[hub_rows], kind="stable")]
    orphan = occurrence == 0
    without_hubs = leave_one_out(vectors, k, barred=np.isin(np.arange(n), hub_rows), wider=wide)
    voted, share = _vote(without_groups, classes, k)
    suspect = (classes >= 0) & (voted >= 0) & (voted != classes) & (share >= agreement)
    relabelled = np.where(suspect, voted, classes)

    exact = _grouped(files, ids)
    linked = f"nor are pictures linked by cosines of at least {near:g}"
    optimistic = (
        "suspected labels replaced by their neighbours' vote, which is optimistic: these neighbours are the hits"
    )
    effects = [
        _effect("as it is", "every picture is a query against all others", alone, classes),
        _effect("duplicates grouped", "equal files are no hits of each other", without_files, classes),
        _effect("near-duplicates grouped", linked, without_groups, classes),
        _effect("hubs left out", "hubs are queries, but no hits", without_hubs, classes),
        _effect("orphans alone", "only orphans are queries", alone, classes, orphan),
        _effect("orphans left out", "orphans are no queries", alone, classes, ~orphan),
        _effect("labels as voted", optimistic, alone, relabelled),
    ]
    suspects = [
        Suspect(ids[i], names[classes[i]], names[voted[i]], float(share[i])) for i in np.flatnonzero(suspect).tolist()
    ]
    return Health(
        ids=ids,
        k=k,
        near=near,
        duplicates=exact,
        near_duplicates=[group for group in _grouped(groups, ids) if group not in exact],
        occurrence=occurrence,
        skewness=_skewness(occurrence),
        hubs=[(ids[row], int(occurrence[row])) for row in hub_rows.tolist()],
        orphans=[ids[row] for row in np.flatnonzero(orphan).tolist()],
        suspects=sorted(suspects, key=lambda s: (-s.share, s.id)),
        effects=effects,
        unhashed=sum(not sha256 for sha256 in sha256s),
    )


def _check(ids: int, vectors: int, labels: int, hashes: int, k: int, near: float, agreement: float) -> None:
    """Checks the lengths of the lists and the settings of ``examine``."""
    if not ids:
        raise BadQuery("There are no pictures to examine. Index some first: imgsearch index FOLDER")
    if not ids == vectors == labels == hashes:
        lengths = f"{ids} ids, {vectors} vectors, {labels} labels and {hashes} hashes"
        raise BadQuery(f"There are {lengths}. Give one of each per picture.")
    if k < 1 or not 0 < near <= 1 or not 0.5 < agreement <= 1:
        raise BadQuery(
            f"k is {k}, near {near} and agreement {agreement}; they must be at least 1, in (0, 1] and in (0.5, 1]."
        )


def class_numbers(labels: Sequence[str | None]) -> tuple[list[str], Ints]:
    """The sorted names of classes, and each picture's number in them, -1 without a label."""
    names = sorted({label for label in labels if label is not None})
    numbers = {name: number for number, name in enumerate(names)}
    return names, np.array([-1 if label is None else numbers[label] for label in labels], np.int64)


def file_numbers(sha256s: Sequence[str]) -> Ints:
    """A number for each picture, equal for equal hashes; an unknown hash equals no other."""
    names = [sha256 or f"row {row}" for row, sha256 in enumerate(sha256s)]
    return np.unique(names, return_inverse=True)[1]


def _close(vectors: Vectors, wide: Nearest, near: float) -> csr_array:
    """A sparse boolean ``(n, n)`` that links pictures with a cosine of at least ``near``, from the nearest of each.

    Pictures whose places do not suffice for these are compared with all others again.
    """
    n = len(vectors)
    row, place = np.nonzero(wide.cosines >= near)
    close = csr_array((np.ones(len(row), bool), (row, wide.rows[row, place])), shape=(n, n))
    if not len(full := np.flatnonzero(wide.cosines[:, -1] >= near)):
        return close
    more_close = coo_array(near_duplicates(vectors[full], vectors, near))
    return close + csr_array((more_close.data, (full[more_close.row], more_close.col)), shape=(n, n))


def _linked(numbers: Ints) -> csr_array:
    """A sparse boolean ``(n, n)`` that links each picture to the first one of its number."""
    _, first, which = np.unique(numbers, return_index=True, return_inverse=True)
    n = len(numbers)
    return csr_array((np.ones(n, bool), (np.arange(n), first[which])), shape=(n, n))


def _grouped(numbers: Ints, ids: Sequence[str]) -> list[list[str]]:
    """The ids of every number that several pictures have, largest group first, then by first id."""
    order = np.argsort(numbers, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1)
    return sorted(([ids[row] for row in rows] for rows in parts if len(rows) > 1), key=lambda g: (-len(g), g[0]))


def _vote(nearest: Nearest, classes: Ints, k: int) -> tuple[Ints, npt.NDArray[np.float64]]:
    """The most frequent class among each picture's ``k`` nearest (the lowest number in a tie), and its share of k.

    -1 and 0 where no neighbour has a label.
    """
    neighbours = np.where(nearest.rows >= 0, classes[nearest.rows], -1)
    row, place = np.nonzero(neighbours >= 0)
    shape = len(classes), max(int(classes.max()) + 1, 1)
    votes = csr_array(coo_array((np.ones(len(row), np.int64), (row, neighbours[row, place])), shape=shape))
    most = votes.max(axis=1).toarray().ravel()
    return np.where(most > 0, votes.argmax(axis=1).ravel(), -1), most / k


def _effect(name: str, what: str, nearest: Nearest, classes: Ints, asking: Bools | None = None) -> Effect:
    """The mean P@k of the labelled pictures whose class has another member, only of those ``asking`` if given."""
    labelled, k = classes >= 0, nearest.rows.shape[1]
    same_class_and_group = np.unique(np.stack([classes, nearest.groups]), axis=1, return_inverse=True)[1]
    relevant = _members(classes + 1, ~nearest.barred) - _members(same_class_and_group, ~nearest.barred)
    row, place = np.nonzero((nearest.rows >= 0) & (classes[nearest.rows] == classes[:, None]) & labelled[:, None])
    values = measures(row, place + 1, np.where(labelled, relevant, 0), (k,))[f"P@{k}"]
    values = values[~np.isnan(values) & (True if asking is None else asking)]
    return Effect(name, what, len(values), float(values.mean()) if len(values) else None)


def _members(numbers: Ints, chosen: Bools) -> Ints:
    """How many of the chosen pictures have each picture's number, ``(n,)``."""
    return np.bincount(numbers[chosen], minlength=numbers.max() + 1)[numbers]


def _skewness(values: Ints) -> float:
    """The skewness of some numbers, 0 where they are equal."""
    from scipy.stats import skew  # slow to import

    return float(skew(values)) if values.std() > 0 else 0.0
