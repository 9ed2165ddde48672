"""Every ranking step against a slow plain version, in which a query's own row is deleted, not masked."""

import sys

import numpy as np
import pytest
from scipy.sparse import csr_array

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.ranking import Ranking, parse_rank
from imgsearch_kit.ranking.baked import bakeable
from imgsearch_kit.ranking.expansion import DbaStep, QeStep
from imgsearch_kit.ranking.pca import PcaStep
from imgsearch_kit.ranking.rca import RcaStep
from imgsearch_kit.ranking.reciprocal import KrecipStep

N = 90


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def clustered(n=N, dim=12, seed=0):
    rng = np.random.default_rng(seed)
    return unit(rng.normal(size=(n, dim)) + 1.5 * rng.normal(size=(9, dim))[np.arange(n) % 9])


def itself(n=N):
    return csr_array(np.eye(n, dtype=bool))


# Spelling


def test_a_spec_is_read_from_left_to_right():
    assert parse_rank("pca:128:0.5, dba:10:1,qe:5:3,krecip:20:6:0.3") == (
        PcaStep(128, 0.5),
        DbaStep(10, 1),
        QeStep(5, 3),
        KrecipStep(20, 6, 0.3),
    )
    assert parse_rank("pca:64") == (PcaStep(64, 0),)
    assert parse_rank("rca:64:10") == (RcaStep(64, 10),)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("", "no ranking step ''"),
        ("pcs:3", r"no ranking step 'pcs:3'. The steps are pca:DIMS\[:POWER\], rca:DIMS:N, dba"),
        ("rca:64", "'rca:64' has 1 numbers"),
        ("qe:10", "'qe:10' has 1 numbers"),
        ("qe:ten:1", "'ten' in the ranking step 'qe:ten:1' is no int"),
        ("qe:1.5:1", "'1.5' in .* is no int"),
        ("dba:0:1", "0 in the ranking step 'dba:0:1' is not between 1 and inf"),
        ("qe:3:nan", "nan in .* is not between"),
        ("pca:3:2", "2 in .* is not between 0 and 1"),
        ("krecip:20:6:0.3,qe:3:1", "must be the last step"),
        ("dba:3:1,dba:3:1", "dba can be applied once"),
    ],
)
def test_a_misspelt_spec_is_refused(spec, message):
    with pytest.raises(BadQuery, match=message):
        parse_rank(spec)


# PCA


@pytest.mark.parametrize("dim", [12, 200])  # fewer dimensions than vectors, and more
@pytest.mark.parametrize("power", [0, 0.5, 1])
def test_pca_equals_a_singular_value_decomposition(power, dim):
    gallery, queries = clustered(dim=dim), clustered(20, dim=dim, seed=1)
    mean = gallery.mean(axis=0)
    _, singular, directions = np.linalg.svd(gallery - mean, full_matrices=False)
    deviation = singular[:5] / np.sqrt(N)
    plain = (
        unit((queries - mean) @ directions[:5].T / deviation**power)
        @ unit((gallery - mean) @ directions[:5].T / deviation**power).T
    )
    np.testing.assert_allclose(Ranking.fit(f"pca:5:{power}", gallery).scores(queries), plain, atol=1e-5)


@pytest.mark.parametrize(("spec", "eigh"), [("pca:20:0.5", "numpy.linalg.eigh"), ("rca:20:5", "scipy.linalg.eigh")])
def test_few_vectors_of_many_dimensions_are_decomposed_among_themselves(spec, eigh, monkeypatch):
    """By 4,096 dimensions it takes half a minute, whatever the number of pictures."""
    sides = []
    module, name = eigh.rsplit(".", 1)
    whole = getattr(sys.modules[module], name)
    monkeypatch.setattr(eigh, lambda *matrices: sides.append(len(matrices[0])) or whole(*matrices))
    Ranking.fit(spec, clustered(50, dim=500))
    assert sides
    assert set(sides) == {50}


def test_pca_never_learns_from_the_queries():
    gallery, queries = clustered(), clustered(20, seed=1)
    ranking = Ranking.fit("pca:5:0.5", gallery)
    alone = ranking.scores(queries[:1])
    np.testing.assert_allclose(ranking.scores(queries)[:1], alone, atol=1e-6)


def test_pca_to_more_directions_than_there_are_is_refused():
    flat = unit(np.column_stack([clustered(dim=3), np.zeros((N, 5))]))
    with pytest.raises(BadQuery, match="PCA to 4 dimensions: these 90 vectors of 8 vary in only 3"):
        Ranking.fit("pca:4", flat)
    with pytest.raises(BadQuery, match="vary in only 0"):
        Ranking.fit("pca:1", np.repeat(clustered(1), 4, axis=0))


# RCA


def slow_rca(gallery, nearest, dims):
    """Whitens by the covariance of neighbours' differences, then takes the directions of most variance."""
    differences = np.array([gallery[i] - gallery[j] for i, row in enumerate(nearest) for j in row], dtype=np.float64)
    within = differences.T @ differences / len(differences)
    within = 0.6 * within + 0.4 * np.trace(within) / len(within) * np.eye(len(within))
    values, turn = np.linalg.eigh(within)
    whiten = turn @ np.diag(values**-0.5) @ turn.T
    mean = gallery.mean(axis=0, dtype=np.float64)
    _, _, directions = np.linalg.svd((gallery - mean) @ whiten, full_matrices=False)
    return lambda vectors: unit((vectors - mean) @ whiten @ directions[:dims].T)


def nearest_others(vectors, n):
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -np.inf)
    return np.argsort(-cosines, axis=1, kind="stable")[:, :n]


@pytest.mark.parametrize("empty", [0, 188])  # dimensions more; with them there are fewer vectors than dimensions
def test_rca_equals_whitening_by_the_differences_of_neighbours_twice(empty):
    gallery, queries = (np.pad(vectors, ((0, 0), (0, empty))) for vectors in (clustered(), clustered(20, seed=1)))
    once = slow_rca(gallery, nearest_others(gallery, 6), 5)
    augmented = slow_augmented(once(gallery), 6, 1)
    twice = slow_rca(gallery, nearest_others(augmented, 6), 5)
    plain = twice(queries) @ twice(gallery).T
    np.testing.assert_allclose(Ranking.fit("rca:5:6", gallery).scores(queries), plain, atol=1e-5)


def test_rca_finds_what_neighbours_share_where_pca_takes_what_is_loud():
    rng = np.random.default_rng(0)
    classes = np.arange(300) % 6
    told = 0.8 * np.eye(6)[classes] + 0.05 * rng.normal(size=(300, 6))
    loud = rng.normal(size=(300, 40)) * np.geomspace(0.5, 0.05, 40)  # says nothing of the class
    gallery = unit(np.column_stack([told, loud]))

    def precision(spec):
        hits = np.argsort(-Ranking.fit(spec, gallery).scores(gallery, itself(len(gallery))), axis=1)[:, :4]
        return np.mean(classes[hits] == classes[:, None])

    raw = np.mean(classes[nearest_others(gallery, 4)] == classes[:, None])
    assert precision("rca:5:10") > 0.99
    assert max(raw, *(precision(spec) for spec in ("pca:5:1", "pca:10:0", "pca:10:1"))) < 0.93


def test_rca_of_too_few_vectors_or_directions_is_refused():
    with pytest.raises(BadQuery, match="RCA over 90 neighbours needs more than these 90 vectors"):
        Ranking.fit("rca:3:90", clustered())
    flat = unit(np.column_stack([clustered(dim=3), np.zeros((N, 5))]))
    with pytest.raises(BadQuery, match="RCA to 4 dimensions: these 90 vectors of 8 vary in only 3"):
        Ranking.fit("rca:4:5", flat)
    with pytest.raises(BadQuery, match="vary in only 0"):
        Ranking.fit("rca:1:2", np.repeat(clustered(1), 4, axis=0))


# Expansion and augmentation


def slow_sum(vector, others, n, alpha):
    cosines = others @ vector
    near = np.argsort(-cosines, kind="stable")[: n - 1]
    return unit(vector + sum((max(cosines[i], 0) ** alpha) * others[i] for i in near))


def slow_augmented(gallery, n, alpha):
    return np.stack([slow_sum(gallery[i], np.delete(gallery, i, axis=0), n, alpha) for i in range(len(gallery))])


@pytest.mark.parametrize("alpha", [0, 1, 3])
def test_expansion_and_augmentation_of_new_queries(alpha):
    gallery, queries = clustered(), clustered(20, seed=1)
    augmented = slow_augmented(gallery, 4, alpha)
    expanded = np.stack([slow_sum(query, augmented, 6, alpha) for query in queries])
    ranking = Ranking.fit(f"dba:4:{alpha},qe:6:{alpha}", gallery)
    np.testing.assert_allclose(ranking.scores(queries), expanded @ augmented.T, atol=1e-5)


def test_steps_apply_in_the_order_they_are_written():
    gallery, queries = clustered(), clustered(20, seed=1)
    expanded = np.stack([slow_sum(query, gallery, 6, 1) for query in queries])
    scores = Ranking.fit("qe:6:1,dba:4:1", gallery).scores(queries)
    np.testing.assert_allclose(scores, expanded @ slow_augmented(gallery, 4, 1).T, atol=1e-5)


@pytest.mark.parametrize("copies", [0, 2])
def test_leave_one_out_equals_a_gallery_without_the_query_and_its_copies(copies):
    gallery = clustered()
    own = np.eye(N, dtype=bool)
    for i in range(0, N, 10):
        for copy in range(1, copies + 1):
            gallery[i + copy] = gallery[i]
            own[[i, i + copy], [i + copy, i]] = True
    scores = Ranking.fit("dba:4:1,qe:6:1", gallery, spare=1 + copies).scores(gallery, csr_array(own))
    for i in range(N):
        rest = slow_augmented(gallery[~own[i]], 4, 1)
        np.testing.assert_allclose(scores[i][~own[i]], rest @ slow_sum(gallery[i], rest, 6, 1), atol=1e-5)
        assert np.isneginf(scores[i][own[i]]).all()


def test_pca_after_augmentation_projects_the_replaced_sums_too():
    gallery = clustered()
    first = Ranking.fit("dba:4:1", gallery)
    ranking = Ranking.fit("dba:4:1,pca:6:0.5", gallery)
    pca = ranking.steps[1].components
    scores = ranking.scores(gallery, itself())
    for i in (0, 17, 89):
        rest = slow_augmented(np.delete(gallery, i, axis=0), 4, 1)
        expected = pca.project(rest) @ pca.project(gallery[[i]])[0]
        np.testing.assert_allclose(np.delete(scores[i], i), expected, atol=1e-5)
    assert first.scores(gallery[:1]).shape == (1, N)


def test_n_larger_than_the_gallery_takes_all_of_it():
    gallery = clustered(4)
    scores = Ranking.fit("dba:50:1,qe:50:1", gallery).scores(gallery, itself(4))
    rest = slow_augmented(gallery[1:], 50, 1)
    np.testing.assert_allclose(scores[0, 1:], rest @ slow_sum(gallery[0], rest, 50, 1), atol=1e-5)


@pytest.mark.parametrize("spec", ["dba:4:1", "pca:5:0.5, dba:4:1"])
def test_sums_cannot_be_baked_into_an_index(spec):
    words = "^dba:4:1 sums each picture with others, so it cannot be baked into an index: give it to search or evaluate"
    with pytest.raises(BadQuery, match=words):
        bakeable(spec)


# k-reciprocal encoding, as the paper writes it, with sets


def slow_reciprocal(gallery, k1, k2, weight, query=None):
    """Final distances of the gallery to itself, or of one outside query to it."""
    n = len(gallery)
    cosines = gallery @ gallery.T
    order = [[i, *(j for j in np.argsort(-cosines[i], kind="stable") if j != i)] for i in range(n)]

    def mutual(i, k):
        return {j for j in order[i][: k + 1] if i in order[j][: k + 1]}

    def expand(members):
        grown = set(members)
        for j in members - {"query"}:
            half = mutual(j, round(k1 / 2))
            if len(half & members) > 2 / 3 * len(half):
                grown |= half
        return grown

    def encode(members, cosine):
        raw = {j: np.exp(cosine(j) - 1) for j in members}
        return {j: value / sum(raw.values()) for j, value in raw.items()}

    def mean(codes):
        keys = set().union(*codes)
        return {j: sum(code.get(j, 0) for code in codes) / len(codes) for j in keys}

    def jaccard(a, b):
        keys = set(a) | set(b)
        low = sum(min(a.get(j, 0), b.get(j, 0)) for j in keys)
        return 1 - low / sum(max(a.get(j, 0), b.get(j, 0)) for j in keys)

    codes = [encode(expand(mutual(i, k1)), lambda j, i=i: 1 if j == i else cosines[i, j]) for i in range(n)]
    means = [mean([codes[j] for j in order[i][:k2]]) for i in range(n)]
    if query is None:
        final = [
            [(1 - weight) * jaccard(means[i], means[j]) + weight * (1 - cosines[i, j]) for j in range(n)]
            for i in range(n)
        ]
        return np.array(final)
    own = gallery @ query
    near = np.argsort(-own, kind="stable").tolist()
    members = {j for j in near[:k1] if own[j] >= cosines[j, order[j][k1]]} | {"query"}
    code = encode(expand(members), lambda j: 1 if j == "query" else own[j])
    code = mean([code, *(codes[j] for j in near[: k2 - 1])])
    return np.array([(1 - weight) * jaccard(code, means[j]) + weight * (1 - own[j]) for j in range(n)])


@pytest.mark.parametrize(("k1", "k2", "weight"), [(8, 4, 0.3), (5, 1, 0), (20, 6, 0.7)])
def test_k_reciprocal_equals_the_paper_s_sets(k1, k2, weight):
    gallery = clustered()
    scores = Ranking.fit(f"krecip:{k1}:{k2}:{weight}", gallery).scores(gallery, itself())
    expected = 1 - slow_reciprocal(gallery, k1, k2, weight)
    away = ~np.eye(N, dtype=bool)
    np.testing.assert_allclose(scores[away], expected[away], atol=1e-5)
    assert np.isneginf(scores[~away]).all()


def test_k_reciprocal_of_a_new_query_joins_it_with_the_gallery_alone():
    gallery, queries = clustered(), clustered(10, seed=1)
    ranking = Ranking.fit("krecip:8:4:0.3", gallery)
    scores = ranking.scores(queries)
    for query, row in zip(queries, scores, strict=True):
        np.testing.assert_allclose(row, 1 - slow_reciprocal(gallery, 8, 4, 0.3, query), atol=1e-5)
    np.testing.assert_allclose(ranking.scores(queries[3:4])[0], scores[3], atol=1e-6)


def test_k_reciprocal_with_fewer_pictures_than_k1():
    gallery = clustered(5)
    scores = Ranking.fit("krecip:20:6:0.3", gallery).scores(gallery, itself(5))
    assert np.isfinite(scores[~np.eye(5, dtype=bool)]).all()


# Blocks


@pytest.mark.parametrize("spec", ["pca:6:0.5,dba:4:1,qe:6:1", "dba:3:1,krecip:8:4:0.3"])
def test_scores_do_not_depend_on_how_queries_are_grouped(spec, monkeypatch):
    gallery = clustered()
    whole = Ranking.fit(spec, gallery).scores(gallery, itself())
    monkeypatch.setattr("imgsearch_kit.vectors.CELLS", 7 * N)
    ranking = Ranking.fit(spec, gallery)
    parts = [ranking.scores(gallery[i : i + 4], itself()[i : i + 4]) for i in range(0, N, 4)]
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-6)
