"""Simulates Elastiknn's hashing methods in memory: hash tokens, shared tokens, candidates.

The plugin turns a vector into tokens, counts for every document the tokens it shares with the query, scores the
``candidates`` documents with the highest counts exactly (at least one shared; ties by the document's place in its
segment) and returns the best of those. So a true neighbour is found when its place in the order of counts is
within ``candidates``, and one pass over the counts predicts the recall for every number of candidates.

Predictions are for one segment and one shard. The random numbers are the plugin's own (``java.util.Random(0)``), so
its hash functions are, too.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from imgsearch_kit.records import Vectors
from imgsearch_kit.vectors import Floats, Ints, blocks

METHODS = ("l2-lsh", "cosine-lsh", "permutation-lsh")
NEVER = np.inf  # the place of a document that shares no token with the query
MULTIPLIER, INCREMENT, BITS = 0x5DEECE66D, 0xB, 48  # of java.util.Random's generator, x -> x * MULTIPLIER + INCREMENT
FAR = 3  # the most coordinates in which a probed bucket may differ; others are never near
MIXER = 1_000_003  # joins a table's number and its hash values to one token

Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Simulation:
    """A gallery of vectors as an inverted index of one method's tokens.

    ``postings`` is sparse ``(T, n)``: token by gallery row. ``vocabulary`` is ``(T,)``, ascending.
    """

    method: str
    params: Mapping[str, int]
    dim: int
    vocabulary: Ints
    postings: csr_array

    @classmethod
    def of(cls, gallery: Vectors, method: str, params: Mapping[str, int]) -> Simulation:
        """Hashes ``(n, dim)`` unit vectors; ``params`` are those of the method's SPEC: L, k and w, L and k, or k."""
        vocabulary, tokens = np.unique(tokens_of(gallery, method, params), return_inverse=True)
        rows = np.repeat(np.arange(len(gallery)), tokens.size // len(gallery))
        ones = np.ones(tokens.size, np.int32)
        postings = csr_array((ones, (tokens.ravel(), rows)), shape=(len(vocabulary), len(gallery)))
        return cls(method, params, gallery.shape[1], vocabulary, postings)

    def counts(self, queries: Vectors, probes: int = 0) -> npt.NDArray[np.int32]:
        """How many tokens each query shares with each gallery row, ``(m, n)``."""
        tokens = tokens_of(queries, self.method, self.params, probes)
        column = np.minimum(np.searchsorted(self.vocabulary, tokens), len(self.vocabulary) - 1)
        row, place = np.nonzero(self.vocabulary[column] == tokens)
        known = csr_array(
            (np.ones(len(row), np.int32), (row, column[row, place])), shape=(len(queries), len(self.vocabulary))
        )
        return (known @ self.postings).toarray()

    def places(
        self, queries: Vectors, neighbours: Rows, *, probes: int = 0, weights: Floats | None = None
    ) -> tuple[Floats, float]:
        """The places of each query's true neighbours among its candidates, and the tokens visited per query.

        ``neighbours`` is ``(m, k)`` gallery rows; places are ``(m, k)``, from 1, infinite when no token is shared. With
        a sample of a larger gallery, ``weights`` ``(n,)`` says how many vectors each row represents.
        """
        n = self.postings.shape[1]
        each = np.ones(n) if weights is None else weights
        places = np.full(neighbours.shape, NEVER)
        visited = 0.0
        for rows in blocks(len(queries), n):
            counts = self.counts(queries[rows], probes)
            visited += float((counts * each).sum())
            for i, count in enumerate(counts, rows.start):
                mine = count[neighbours[i], None]
                before = (count > mine) | ((count == mine) & (np.arange(n) < neighbours[i][:, None]))
                places[i] = np.where(mine[:, 0] > 0, before @ each + 1, NEVER)
        return places, visited / len(queries)


def recall_at(places: Floats, candidates: int) -> float:
    """The predicted recall: the mean share of a query's true neighbours whose place is within ``candidates``."""
    return float((places <= candidates).mean())


def tokens_of(vectors: Vectors, method: str, params: Mapping[str, int], probes: int = 0) -> Ints:
    """The tokens of ``(n, dim)`` vectors, ``(n, T)`` int64; ``probes`` adds the further buckets of a query (L2 only).

    Permutation: Amato et al., "Large-Scale Image Retrieval with Elasticsearch" (SIGIR 2018): the ``k`` components of
    largest absolute value, with their signs. (The plugin also writes a count of each, from its rank, but does not read
    it back.) Cosine: random hyperplanes (Charikar 2002), ``k`` signs a table. L2: random
    projections cut in buckets of width ``w`` (Datar et al. 2004), ``k`` a table, multi-probe as in Lv et al. (2007).
    """
    if method == "permutation-lsh":
        largest = np.argpartition(-np.abs(vectors), params["k"] - 1, axis=1)[:, : params["k"]]
        return 2 * largest + (np.take_along_axis(vectors, largest, axis=1) < 0)
    L, k = params["L"], params["k"]
    normals, offsets = _drawn(vectors.shape[1] * L * k, L * k)
    projections = (vectors @ normals.reshape(L * k, -1).T).reshape(-1, L, k)
    if method == "cosine-lsh":
        return _mixed(np.arange(L), (projections > 0).astype(np.int64))
    w = params["w"]
    scaled = projections / w + offsets.reshape(L, k)  # offsets are drawn from [0, w), here in units of w
    buckets = np.floor(scaled).astype(np.int64)
    tokens = _mixed(np.arange(L), buckets)
    return np.hstack([tokens, _probed(scaled - buckets, buckets, probes)]) if probes else tokens


def _mixed(tables: Ints, values: Ints) -> Ints:
    """Table numbers and their ``k`` hash values, on the last axis, as one number each."""
    token = np.broadcast_to(tables, values.shape[:-1]).astype(np.int64)
    for column in range(values.shape[-1]):
        token = token * MIXER + values[..., column]  # may wrap around, which mixes just as well
    return token


def _probed(inside: Floats, buckets: Ints, probes: int) -> Ints:
    """The tokens of the ``L * probes`` buckets nearest to each query except its own, over all tables together.

    ``inside`` and ``buckets`` are ``(m, L, k)``: the position of a projection in its bucket, in [0, 1), and the bucket.
    """
    m, L, k = buckets.shape
    steps = np.array([step for step in itertools.product((-1, 0, 1), repeat=k) if 0 < np.count_nonzero(step) <= FAR])
    wanted = L * min(probes, len(steps))
    down, up = (np.float32(1) * (steps == step).T for step in (-1, 1))
    distance = inside @ down + (1 - inside) @ up  # (m, L, steps)
    nearest = np.argpartition(distance.reshape(m, -1), wanted - 1, axis=1)[:, :wanted]
    table, step = np.divmod(nearest, len(steps))
    return _mixed(table, np.take_along_axis(buckets, table[..., None], axis=1) + steps[step])


@lru_cache(maxsize=4)
def _drawn(normals: int, uniforms: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """The first normal numbers of ``java.util.Random(0)``, then the next uniform ones from [0, 1).

    As its documentation specifies: a linear congruential generator, doubles from two steps of it, and normal numbers
    in pairs by Marsaglia's polar method, in which a point outside the unit circle is drawn again.
    """
    size = int(normals * 2.6) // 4 * 4 + 1000  # 4 steps a point, of which pi / 4 serve: 2.55 steps a number
    states = _states(size + uniforms)
    high, low = (states[:size] >> np.uint64(BITS - bits) for bits in (26, 27))
    unit = ((high[0::2] << np.uint64(27)) + low[1::2]) * 2.0**-53
    points = (2 * unit - 1).reshape(-1, 2)
    square = (points**2).sum(axis=1)
    kept = np.flatnonzero((square > 0) & (square < 1))[: (normals + 1) // 2]
    radius = square[kept, None]
    drawn = (points[kept] * np.sqrt(-2 * np.log(radius) / radius)).ravel()[:normals]
    rest = states[4 * (int(kept[-1]) + 1) :][:uniforms] >> np.uint64(BITS - 24)
    return drawn.astype(np.float32), (rest * 2.0**-24).astype(np.float32)


def _states(count: int) -> npt.NDArray[np.uint64]:
    """The generator's first states for seed 0, made by doubling: the step of 2n is the step of n taken twice."""
    mask = (1 << BITS) - 1
    first = MULTIPLIER * MULTIPLIER + INCREMENT  # a seed is mixed with MULTIPLIER before the first step
    states = np.array([first & mask], np.uint64)
    factor, term = MULTIPLIER, INCREMENT
    while len(states) < count:
        states = np.concatenate([states, (states * np.uint64(factor) + np.uint64(term)) & np.uint64(mask)])
        factor, term = factor * factor & mask, (factor * term + term) & mask
    return states[:count]
