"""Vectors on a plane: a UMAP map that can be saved, measures how far it can be trusted, and places new queries."""

from __future__ import annotations

import importlib.util
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.sparse.linalg import svds

from imgsearch_kit.errors import BadQuery, MissingExtra
from imgsearch_kit.files import lend_folder
from imgsearch_kit.progress import bar_options
from imgsearch_kit.records import Vectors
from imgsearch_kit.reports import Report
from imgsearch_kit.vectors import Floats, Ints, blocks, cosines, first, scored, unit

if TYPE_CHECKING:
    from imgsearch_kit.plots import Plot

COMPONENTS = 50
NEIGHBOURS = 15
MIN_DIST = 0.1
SMALL = 2 * NEIGHBOURS  # so few pictures are laid out by their first two principal components
UMAP_LOADED, NEAREST_FOUND = 0.1, 0.2  # shares of the work that are done then
LAID_OUT = 0.4, 0.95  # and before and after UMAP lays out
JUDGED = 20_000  # pictures whose neighbours are compared; of more, a random sample


@dataclass(frozen=True)
class Projection(Report):
    """A map of ``n`` pictures, with the data for placing a query on it.

    ``positions`` is ``(n, 2)`` float32. ``basis`` ``(c, dim)`` float32 holds the directions that shorten a vector, the
    rows of a unit matrix when it was short enough; ``points`` ``(n, c)`` float32 are the unit vectors laid out.
    ``trust`` and ``kept`` ``(n,)``, in [0, 1], say of each picture how far its ``k`` neighbours on the map can be
    trusted, and which share of its ``k`` true ones they are; NaN for pictures that were not judged. ``method`` is
    "umap" or, for few pictures, "pca". ``curve`` ``(2,)`` holds UMAP's a and b.
    """

    positions: Vectors
    basis: Vectors
    points: Vectors
    trust: Floats
    kept: Floats
    k: int
    method: str
    seed: int
    curve: Floats

    def place(self, queries: Vectors, *, epochs: int = 100) -> Vectors:
        """The places of queries on the map, ``(m, 2)`` float32, from ``(m, dim)`` float32 unit vectors.

        What UMAP's ``transform`` does, the map held fixed (McInnes, Healy and Melville 2018), without loading UMAP: a
        query starts at the mean of its nearest pictures, weighted by how near they are, and is then drawn to them and
        pushed off random others. Each query is placed alone, so neither the batch nor the time changes its place. On a
        map by principal components it stays at that mean.

        :raises BadQuery: when the shape is wrong.
        """
        if queries.ndim != 2 or queries.shape[1] != self.basis.shape[1]:
            raise BadQuery(
                f"Queries of shape {queries.shape} cannot be placed on a map of {self.basis.shape[1]}-d vectors. "
                "Use the extractor the index was made with."
            )
        distances = 1 - unit(queries @ self.basis.T) @ self.points.T
        places = np.zeros((len(queries), 2), np.float32)
        for row, far in enumerate(distances):
            nearest = np.argsort(far, kind="stable")[:NEIGHBOURS]
            weights = _memberships(np.maximum(far[nearest], 0).astype(np.float64))
            start = weights @ self.positions[nearest] / weights.sum()
            places[row] = start if self.method == "pca" else self._settle(start, nearest, weights, epochs)
        return places

    def _settle(self, place: Floats, nearest: Ints, weights: Floats, epochs: int) -> Floats:
        """The place of one query after UMAP's gradient descent (its layouts.py): attraction, and five pushes each."""
        rng = np.random.default_rng(self.seed)
        a, b = self.curve
        often = np.where(weights * epochs < weights.max(), 0, weights / weights.max())
        period = 1 / np.maximum(often, 1e-9)  # epochs from one turn of a neighbour to its next
        due = period.copy()
        for epoch in range(epochs):
            step = 0.25 * (1 - epoch / epochs)
            for i in np.flatnonzero(due <= epoch):
                away = place - self.positions[nearest[i]]
                square = away @ away
                if square > 0:
                    pull = -2 * a * b * square ** (b - 1) / (a * square**b + 1)
                    place = place + step * np.clip(pull * away, -4, 4)
                others = place - self.positions[rng.integers(len(self.positions), size=5)]
                squares = np.einsum("nd,nd->n", others, others)
                push = 2 * b / ((0.001 + squares) * (a * squares**b + 1))
                place = place + step * np.clip(push[:, None] * others, -4, 4).sum(axis=0)
                due[i] += period[i]
        return place

    def part(self, rows: Sequence[int]) -> Projection:
        """The same map with the pictures of some rows alone, in the order of ``rows``."""
        chosen = list(rows)
        some = {name: getattr(self, name)[chosen] for name in ("positions", "points", "trust", "kept")}
        return replace(self, **some)

    def notes(self) -> Sequence[str]:
        """How far the map can be trusted; shown on every map."""
        figures = self.to_json()
        lines = [f"{figures['pictures']:,} pictures laid out by {self.method.upper()}, seed {self.seed}"]
        if figures["trustworthiness"] is None:
            return [*lines, "too few pictures to measure how far it can be trusted"]
        return [
            *lines,
            f"trustworthiness at {self.k}: {figures['trustworthiness']:.3f}",
            f"of {self.k} true neighbours, {figures['kept']:.0%} are neighbours on the map",
        ]

    def plot(self, labels: Sequence[str | None]) -> Plot:
        """One dot per picture in the colour of its class; ``labels`` are in the order of the pictures.

        :raises BadQuery: when there is not one label per picture.
        :raises MissingExtra: when matplotlib is not installed.
        """
        from imgsearch_kit.plots import class_map

        if len(labels) != len(self.positions):
            raise BadQuery(f"There are {len(self.positions)} pictures and {len(labels)} labels. Give one for each.")
        return class_map(self.positions.astype(np.float64), labels, notes=self.notes())[0]

    def frame(self) -> Iterable[Mapping[str, Any]]:
        """The rows of ``to_dataframe``, one a picture, in the order of the vectors: x, y, trust and kept."""
        rows = zip(*self.positions.T.tolist(), self.trust.tolist(), self.kept.tolist(), strict=True)
        return (dict(zip(("x", "y", "trust", "kept"), row, strict=True)) for row in rows)

    def to_json(self) -> dict[str, Any]:
        """The figures of the map as a whole as plain JSON values; None where they are unknown."""
        judged = ~np.isnan(self.trust)
        return {
            "pictures": len(self.positions),
            "method": self.method,
            "seed": self.seed,
            "k": self.k,
            "judged": int(judged.sum()),
            "trustworthiness": float(self.trust[judged].mean()) if judged.any() else None,
            "kept": float(self.kept[judged].mean()) if judged.any() else None,
        }

    def save(self, path: Path) -> None:
        """Writes the projection as .npz, without pickle."""
        with path.open("wb") as file:  # numpy would add .npz to a path
            np.savez(file, allow_pickle=False, **{f.name: np.asarray(getattr(self, f.name)) for f in fields(self)})

    @classmethod
    def load(cls, path: Path) -> Projection:
        """The projection that ``save`` wrote; nothing in the file is executed."""
        with np.load(path, allow_pickle=False) as file:
            values = {f.name: file[f.name] for f in fields(cls)}
        return cls(**{name: value.item() if value.ndim == 0 else value for name, value in values.items()})


def project(
    vectors: Vectors, *, seed: int = 42, progress: bool | Callable[[float], object] | None = None
) -> Projection:
    """The map of ``(n, dim)`` float32 unit vectors.

    UMAP by cosine over the 15 nearest pictures, which are found exactly. Vectors of more than 50 numbers are first
    shortened to 50: to their directions of largest variance about the origin, not about the mean, so that cosines keep
    their meaning, and normalised again. The same vectors and seed give the same map on the same machine.

    ``progress`` shows a bar while UMAP works; None: where standard error is a terminal. A function gets the share that
    is done, from 0 to 1; what it raises ends the work.

    Trust per picture is the term of trustworthiness (Venna and Kaski 2001) that it contributes, scaled to [0, 1].

    :raises BadQuery: when there are no vectors.
    :raises MissingExtra: when umap-learn is not installed (30 pictures and fewer do without).
    """
    n, dim = vectors.shape
    if not n:
        raise BadQuery("There are no vectors for a map. Index some pictures first: imgsearch index FOLDER")
    basis = np.eye(dim, dtype=np.float32)
    if dim > COMPONENTS and n > COMPONENTS:
        basis = np.ascontiguousarray(svds(vectors, COMPONENTS, rng=np.random.default_rng(seed))[2][::-1])
    points = unit(vectors @ basis.T)
    few = n <= SMALL
    curve = np.zeros(2)
    if few:
        positions = _principal(points)
    else:
        positions, curve = _umap(points, seed, progress)
    k = min(NEIGHBOURS, (n - 1) // 2)
    trust, kept = judge(vectors, positions, k, seed=seed)
    return Projection(positions, basis, points, trust, kept, k, "pca" if few else "umap", seed, curve)


def judge(vectors: Vectors, positions: Vectors, k: int, *, seed: int = 42) -> tuple[Floats, Floats]:
    """Trust and share of true neighbours kept of each picture, both ``(n,)`` in [0, 1], at ``k`` neighbours.

    ``vectors`` ``(n, dim)`` are unit vectors, true neighbours those by cosine; ``positions`` is ``(n, 2)``. Of more
    than 20,000 pictures a random sample is judged, against all; the others are NaN, and so are all when ``k`` is 0.
    """
    n = len(vectors)
    trust, kept = np.full(n, np.nan), np.full(n, np.nan)
    rows = np.arange(n)
    if n > JUDGED:
        rows = np.sort(np.random.default_rng(seed).choice(n, JUDGED, replace=False))
    worst = k * (2 * n - 3 * k - 1) / 2  # the largest sum of (rank - k) there can be
    places = positions.astype(np.float64)  # float32 is too coarse for the squares of near places
    for part, scores in scored(cosines(vectors[rows], vectors), len(rows) if k else 0, n):
        block = rows[part]
        far = np.square(places[block, None] - places).sum(axis=2)
        own = np.arange(len(block)), block
        scores[own], far[own] = -np.inf, np.inf
        near = first(-far, k)[0]
        similar = np.take_along_axis(scores, near, axis=1)
        ranks = 1 + np.stack([(scores > column[:, None]).sum(axis=1) for column in similar.T], axis=1)
        trust[block] = 1 - np.maximum(ranks - k, 0).sum(axis=1) / worst
        kept[block] = (ranks <= k).sum(axis=1) / k
    return trust, kept


def _principal(points: Vectors) -> Vectors:
    """The first two principal components, ``(n, 2)`` float32, zeros where there are fewer."""
    u, s, _ = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    positions = np.zeros((len(points), 2), np.float32)
    positions[:, : min(2, len(s))] = (u * s)[:, :2]
    return positions


def _umap(points: Vectors, seed: int, progress: bool | Callable[[float], object] | None) -> tuple[Vectors, Floats]:
    """Positions by UMAP, ``(n, 2)`` float32, and the a and b it used."""
    tell = progress if callable(progress) else lambda share: None
    umap = _library()
    tell(UMAP_LOADED)
    find_ab_params = umap.umap_.find_ab_params
    nearest, far = _nearest(points, NEIGHBOURS)
    tell(NEAREST_FOUND)
    a, b = find_ab_params(1.0, MIN_DIST)
    model = umap.UMAP(
        n_neighbors=NEIGHBOURS,
        metric="cosine",
        a=a,
        b=b,
        random_state=seed,
        n_jobs=1,
        precomputed_knn=(nearest, far),
        tqdm_kwds=bar_options("laying out", "epoch", _part(progress)),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that transform will not work, which is not used
        return np.asarray(model.fit_transform(points), np.float32), np.array([a, b])


def _part(progress: bool | Callable[[float], object] | None) -> bool | Callable[[float], object] | None:
    """The progress of laying out as that of the whole work."""
    low, high = LAID_OUT
    return (lambda share: progress(low + (high - low) * share)) if callable(progress) else progress


def _library() -> Any:
    """UMAP, imported without TensorFlow, which a part of it that is not used here would load: seconds, and log lines.

    :raises MissingExtra: when umap-learn is not installed.
    """
    lend_numba_folder()
    hidden = "tensorflow" not in sys.modules
    if hidden:
        sys.modules["tensorflow"] = None  # type: ignore[assignment]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that TensorFlow is not there
            import umap
    except ImportError as error:
        raise MissingExtra("umap-learn", "notebooks") from error
    finally:
        if hidden:
            del sys.modules["tensorflow"]
    return umap


def lend_numba_folder() -> None:
    """Numba keeps its machine code beside UMAP's, which another user than the one who installed it cannot write."""
    found = importlib.util.find_spec("umap")
    if found and found.origin:
        lend_folder("NUMBA_CACHE_DIR", Path(found.origin).parent / "__pycache__")


def _nearest(points: Vectors, k: int) -> tuple[npt.NDArray[np.int32], Vectors]:
    """The ``k`` nearest of each point, itself first as UMAP wants it: rows and cosine distances, both ``(n, k)``."""
    n = len(points)
    rows, far = np.empty((n, k), np.int32), np.empty((n, k), np.float32)
    for block in blocks(n, n):  # in float32, of which UMAP's result depends to the last bit
        distances = np.maximum(1 - points[block] @ points.T, 0)
        distances[np.arange(len(distances)), np.arange(n)[block]] = -1
        rows[block], near = first(-distances, k)
        far[block] = np.maximum(-near, 0)
    return rows, far


def _memberships(far: Floats) -> Floats:
    """UMAP's strengths of a new point's edges to its nearest, in (0, 1], from their ascending distances.

    They fall off exponentially, at the rate that makes them sum to log2 of their number.
    """
    if far[0] < 1e-6:
        return (far == far[0]).astype(np.float64)  # the picture itself: its own place
    low, high = 0.0, np.inf
    scale = 1.0
    for _ in range(64):
        total = np.exp(-far[1:] / scale).sum()
        low, high = (low, scale) if total > np.log2(NEIGHBOURS) else (scale, high)
        scale = 2 * scale if np.isinf(high) else (low + high) / 2
    return np.exp(-far / max(scale, 1e-3 * far.mean()))
