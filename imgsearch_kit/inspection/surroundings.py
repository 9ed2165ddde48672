"""How a picture lies among indexed ones: the numbers from which it is told whether its class is indexed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg

from imgsearch_kit.inspection.neighbours import nearest_others
from imgsearch_kit.records import Vectors
from imgsearch_kit.vectors import Bools, Floats, Ints, Scores, cosines, first, scored, unit

NEAREST = 10
MOST_AXES, MOST_DIRECTIONS = 512, 128
LEAST_SPREAD = 1e-9  # of an axis, relative to the first; less is rounding error
WITHIN_SHRINKAGE = 0.1  # of the covariance within classes towards a multiple of the identity

KINDS_OF_FEATURES = ("closest", "together", "crowd", "crowd", "classes", "between") * 2 + ("outside",) * 4


@dataclass(frozen=True)
class Surroundings:
    """Indexed pictures as ``features`` compares others with them.

    ``axes`` ``(d, a)`` are the principal directions of the vectors around their ``mean`` ``(d,)``, ``directions``
    ``(a, c)`` those of them that tell the classes apart, ``seen`` ``(n, c)`` the pictures in these, of unit norm.
    ``density`` and ``closest`` ``(n, 2)`` are the mean cosine of each picture's ten nearest others, and the first, as
    indexed and in these directions; ``centres`` and ``seen_centres``, ``(l, d)`` and ``(l, c)``, are unit vectors to
    the means of the classes. ``classes`` ``(n,)`` are numbers, -1 without a label.
    """

    mean: Floats
    axes: Floats
    directions: Floats
    seen: Vectors
    density: Floats
    closest: Scores
    centres: Vectors
    seen_centres: Vectors
    classes: Ints

    @classmethod
    def learn(cls, vectors: Vectors, classes: Ints, files: Ints, compared: Vectors | None = None) -> Surroundings:
        """Learns from vectors ``(n, d)``, at least eleven; pictures of the same number in ``files`` are copies.

        Where the only pictures to be ``compared`` ``(m, d)`` are known, density is learned of their nearest alone (NaN
        of others), which spares most of the work where these are few.

        The directions are those of relevant component analysis over the given classes: Bar-Hillel, Hertz, Shental and
        Weinshall, "Learning distance functions using equivalence relations" (2003).
        """
        mean = vectors.mean(axis=0, dtype=np.float64)
        centred = vectors - mean
        variances, axes = np.linalg.eigh(centred.T @ centred / len(vectors))
        several = max(1, np.count_nonzero(variances > LEAST_SPREAD * variances[-1]))
        axes = axes[:, ::-1][:, : min(several, MOST_AXES)]
        labelled = classes >= 0
        directions = _apart((centred @ axes)[labelled], classes[labelled])
        seen = unit(centred @ axes @ directions)
        apart = None if compared is None else unit((compared - mean) @ axes @ directions)
        others = [_nearest_others(*each, files) for each in ((vectors, compared), (seen, apart))]
        density = np.stack([near.mean(axis=1, dtype=np.float64) for near in others], axis=1)
        closest = np.stack([near[:, 0] for near in others], axis=1)
        centres, seen_centres = (unit(_means(v[labelled], classes[labelled])) for v in (vectors, seen))
        return cls(mean, axes, directions, seen, density, closest, centres, seen_centres, classes)

    def features(self, vectors: Vectors, rows: Ints, near: Scores) -> Floats:
        """The features ``(m, 16)`` of pictures ``(m, d)`` that are not among the indexed ones.

        ``rows`` and ``near`` ``(m, 10)`` are their nearest pictures and the cosines of these, as indexed. The features,
        of the kinds in ``KINDS_OF_FEATURES``, are for the vectors as indexed and in the directions of the classes: the
        first cosine, the mean of ten, how much less these are than the neighbours' own, the largest share of one class,
        and how much nearer one class is than the next; then the share of the norm on the first eighth, quarter and
        half of the axes, as in virtual-logit matching (Wang, Li, Feng and Zhang 2022), and the norm.
        """
        centred = vectors - self.mean
        along = centred @ self.axes
        norm = np.maximum(np.linalg.norm(centred, axis=1), LEAST_SPREAD)
        parts = [np.linalg.norm(along[:, : max(1, along.shape[1] // part)], axis=1) / norm for part in (8, 4, 2)]
        apart = unit(along @ self.directions)
        as_indexed = self._around(rows, near, 0), _gap(vectors, self.centres)
        in_directions = self._around(*nearest_of(apart, self.seen), 1), _gap(apart, self.seen_centres)
        return np.column_stack([*as_indexed, *in_directions, *parts, norm])

    def _around(self, rows: Ints, near: Scores, space: int) -> Floats:
        mean = near.mean(axis=1, dtype=np.float64)
        relative = mean - self.density[rows, space].mean(axis=1)
        of_first = near[:, 0] - self.closest[rows[:, 0], space]
        return np.column_stack([near[:, 0], mean, relative, of_first, self.together(rows) / NEAREST])

    def together(self, rows: Ints) -> Ints:
        """How many pictures of the most frequent class are in each row of ``(m, 10)``, ``(m,)``."""
        classes = self.classes[rows]
        equal: Bools = (classes[:, :, None] == classes[:, None]) & (classes >= 0)[:, None]
        return equal.sum(axis=2).max(axis=1)


def nearest_of(vectors: Vectors, indexed: Vectors) -> tuple[Ints, Scores]:
    """The rows of the ten nearest indexed pictures of each vector, and their cosines, both ``(m, 10)``."""
    parts = scored(cosines(vectors, indexed), len(vectors), len(indexed))
    found = [first(scores, NEAREST) for _, scores in parts]
    return np.concatenate([rows for rows, _ in found]), np.concatenate([near for _, near in found])


def _nearest_others(vectors: Vectors, compared: Vectors | None, files: Ints) -> Scores:
    """The cosines ``(n, 10)`` of each picture's nearest others, NaN of those that are nearest to none compared."""
    near = np.full((len(vectors), NEAREST), np.nan, np.float32)
    rows = np.arange(len(vectors)) if compared is None else np.unique(nearest_of(compared, vectors)[0])
    near[rows] = nearest_others(vectors, rows, NEAREST, files)[1]
    return near


def _apart(along: Floats, classes: Ints) -> Floats:
    """The directions ``(a, c)`` in which the means of classes vary most, relative to the pictures of one class."""
    means = _means(along, classes)
    rest = along - means[np.unique(classes, return_inverse=True)[1]]
    within = rest.T @ rest / len(along)
    spread = max(float(np.trace(within)) / len(within), LEAST_SPREAD)
    shrunk = (1 - WITHIN_SHRINKAGE) * within + WITHIN_SHRINKAGE * spread * np.eye(len(within))
    between = np.atleast_2d(np.cov(means.T))
    kept = min(len(means) - 1, len(within), MOST_DIRECTIONS)
    return scipy.linalg.eigh(between, shrunk)[1][:, ::-1][:, :kept]


def _means(vectors: Vectors | Floats, classes: Ints) -> Floats:
    """The mean of each class, in order of the numbers."""
    numbers, which, sizes = np.unique(classes, return_inverse=True, return_counts=True)
    sums = np.zeros((len(numbers), vectors.shape[1]))
    np.add.at(sums, which, vectors)
    return sums / sizes[:, None]


def _gap(vectors: Vectors, centres: Vectors) -> Floats:
    """How much nearer one class's mean is than the next one's, ``(m,)``."""
    near = np.sort(vectors.astype(np.float64) @ centres.T.astype(np.float64), axis=1)
    return near[:, -1] - near[:, -2]
