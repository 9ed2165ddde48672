"""The map of synthetic classes: what it keeps of the neighbours, and where a query is placed."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.manifold import trustworthiness

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.map.projection import NEAREST_FOUND, SMALL, UMAP_LOADED, Projection, judge, project
from tests.users import BOUND_BY_MODES, unwritable


def classes(count, size, dim, seed=0, spread=1.2):
    """``count`` classes of ``size`` unit vectors about random centres, one class after the other."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(count, dim))
    vectors = np.repeat(centres, size, axis=0) + spread * rng.normal(size=(count * size, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def vectors():
    return classes(8, 20, 96)


@pytest.fixture(scope="module")
def projected(vectors):
    return project(vectors)


def test_classes_that_lie_apart_lie_apart_on_the_map(projected):
    middles = projected.positions.reshape(8, 20, 2).mean(axis=1)
    nearest = np.square(projected.positions[:, None] - middles).sum(axis=2).argmin(axis=1)
    assert (nearest == np.repeat(np.arange(8), 20)).mean() > 0.95
    assert projected.method == "umap"
    assert projected.points.shape == (160, 50)  # shortened from 96


def test_a_query_lands_among_its_class(vectors, projected):
    queries = classes(8, 5, 96, seed=1)
    places = projected.place(queries)
    found = np.square(places[:, None] - projected.positions).sum(axis=2).argmin(axis=1) // 20
    assert (found == np.repeat(np.arange(8), 5)).mean() > 0.9


def test_a_query_is_placed_as_near_to_umap_s_own_transform_as_that_is_to_itself_with_another_seed(projected):
    import umap

    a, b = projected.curve
    model = umap.UMAP(n_neighbors=15, metric="cosine", a=a, b=b, random_state=projected.seed, n_epochs=1)
    model.fit(projected.points)
    model.embedding_, model.n_epochs = projected.positions, None
    queries = classes(8, 5, 96, seed=2)
    short = queries @ projected.basis.T
    short = (short / np.linalg.norm(short, axis=1, keepdims=True)).astype(np.float32)

    def theirs(seed):
        model.transform_seed = seed
        return np.concatenate([model.transform(query[None]) for query in short])

    one, other = theirs(1), theirs(2)
    ours = projected.place(queries)
    assert np.linalg.norm(ours - one, axis=1).mean() < 1.5 * np.linalg.norm(other - one, axis=1).mean()


def test_a_query_alone_is_placed_as_in_any_batch_and_as_before(projected):
    queries = classes(8, 1, 96, seed=3)
    together = projected.place(queries)
    alone = np.concatenate([projected.place(query[None]) for query in queries[::-1]])[::-1]
    np.testing.assert_array_equal(together, alone)


def test_a_picture_of_the_map_is_placed_at_its_own_place(vectors, projected):
    apart = np.linalg.norm(projected.place(vectors[:20]) - projected.positions[:20], axis=1)
    assert np.median(apart) < 0.05 * np.ptp(projected.positions, axis=0).max()
    np.testing.assert_allclose(projected.place(vectors[:20], epochs=0), projected.positions[:20], rtol=1e-5)


def test_the_same_seed_gives_the_same_map(vectors, projected):
    np.testing.assert_array_equal(project(vectors).positions, projected.positions)
    assert not np.array_equal(project(vectors, seed=1).positions, projected.positions)


def test_it_survives_a_file_from_which_nothing_is_executed(projected, tmp_path):
    projected.save(tmp_path / "projection")
    again = Projection.load(tmp_path / "projection")
    queries = classes(2, 2, 96, seed=4)
    np.testing.assert_array_equal(again.place(queries), projected.place(queries))
    assert again.lines() == projected.lines()
    assert (again.seed, again.k, again.method) == (42, 15, "umap")
    with np.load(tmp_path / "projection", allow_pickle=False) as file:
        assert all(file[name].dtype != object for name in file.files)


def test_placing_loads_no_umap(projected, tmp_path):
    projected.save(tmp_path / "p.npz")
    code = (
        "import sys, numpy, pathlib; from imgsearch_kit.map.projection import Projection;"
        f"p = Projection.load(pathlib.Path({str(tmp_path / 'p.npz')!r}));"
        "p.place(numpy.eye(1, 96, dtype='float32')); print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"umap", "tensorflow", "numba"} & set(loaded)


def test_laying_out_loads_no_tensorflow_and_shows_a_bar_where_it_can_be_seen():
    code = (
        "import sys, numpy; from imgsearch_kit.map.projection import project;"
        "vectors = numpy.random.default_rng(0).normal(size=(40, 8)).astype('float32');"
        "vectors /= numpy.linalg.norm(vectors, axis=1, keepdims=True);"
        "project(vectors); print('quiet', file=sys.stderr); project(vectors, progress=True);"
        "print('tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    before, _, after = done.stderr.partition("quiet\n")
    assert before == ""
    assert "laying out: 100%" in after


def test_a_function_is_told_the_share_before_umap_lays_out_and_ends_the_work():
    shares = []

    def tell(share):
        shares.append(share)
        if len(shares) == 2:
            raise KeyError("nobody waits")

    with pytest.raises(KeyError, match="nobody waits"):
        project(classes(2, 20, 8), progress=tell)
    assert shares == [UMAP_LOADED, NEAREST_FOUND]  # it did not come to the laying out


def test_the_map_is_a_table_of_places_and_trust(projected):
    table = projected.to_dataframe()
    assert table[["x", "y"]].to_numpy() == pytest.approx(projected.positions)
    assert table["trust"].mean() == pytest.approx(projected.to_json()["trustworthiness"])
    assert all(line in projected._repr_html_() for line in projected.lines())


def test_the_map_draws_itself_with_the_classes_it_is_given(projected):
    labels = ["even" if row % 2 == 0 else "odd" for row in range(len(projected.positions))]
    figure = projected.plot(labels)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["1 even", "2 odd"]
    assert figure.axes[0].get_title() == "; ".join(projected.notes())
    with pytest.raises(BadQuery, match=f"There are {len(labels)} pictures and 1 labels. Give one for each."):
        projected.plot(["even"])


@pytest.mark.parametrize("k", [1, 5, 15])
def test_trust_is_scikit_learn_s_trustworthiness(vectors, projected, k):
    for positions in (projected.positions, np.random.default_rng(0).normal(size=(160, 2)).astype(np.float32)):
        trust, _ = judge(vectors, positions, k)
        expected = trustworthiness(vectors, positions, n_neighbors=k, metric="cosine")
        assert trust.mean() == pytest.approx(expected, abs=1e-4)  # equal but for cosines that tie in float32
        assert 0 <= trust.min() <= trust.max() <= 1


def test_the_share_of_kept_neighbours_by_hand():
    """Five directions 10 degrees apart; on the map the first and the last have changed places."""
    angles = np.radians([0, 10, 21, 33, 46])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    line = np.stack([[4, 1.1, 2, 2.9, 0], np.zeros(5)], axis=1).astype(np.float32)
    trust, kept = judge(vectors, line, 1)
    # Nearest on the line to 0, 1, 3, 4 are 3, 2, 2, 1; truly they are 1, 0, 2, 3. (2 lies midway, so it is not asked.)
    assert kept[[0, 1, 3, 4]].tolist() == [0, 0, 1, 0]
    assert trust[0] == pytest.approx(1 - (3 - 1) / 3)  # its neighbour on the map has rank 3, at worst it had rank 4
    same, all_kept = judge(vectors, np.stack([angles, np.zeros(5)], axis=1).astype(np.float32), 2)
    assert same.tolist() == [1] * 5
    assert all_kept.tolist() == [1] * 5


def test_near_places_far_from_the_origin_are_told_apart():
    rng = np.random.default_rng(0)
    vectors = classes(1, 60, 8)
    positions = rng.normal(size=(60, 2)) * 1e-3
    near, far = (judge(vectors, (positions + shift).astype(np.float32), 5)[1] for shift in (0, 50))
    assert near.mean() == pytest.approx(far.mean(), abs=0.05)


@pytest.mark.parametrize("n", [1, 2, 3, 5, SMALL])
def test_few_pictures_are_laid_out_by_principal_components(n):
    vectors = classes(1, n, 96)
    found = project(vectors)
    assert (found.method, found.positions.shape) == ("pca", (n, 2))
    assert np.isfinite(found.positions).all()
    assert np.isfinite(found.place(vectors[:1])).all()
    assert ("too few" in found.lines()[-1]) == (n < 3)


def test_short_vectors_are_not_shortened():
    found = project(classes(2, 10, 12))
    np.testing.assert_allclose(found.points, classes(2, 10, 12), atol=1e-6)


def test_equal_pictures_do_not_break_the_map():
    found = project(np.repeat(classes(1, 2, 16), 30, axis=0))
    assert np.isfinite(found.positions).all()
    assert np.isfinite(found.place(classes(1, 1, 16))).all()


def test_it_says_how_far_to_trust_it(projected):
    figures = projected.to_json()
    assert figures["pictures"] == figures["judged"] == 160
    assert 0.8 < figures["trustworthiness"] <= 1
    assert projected.lines()[1] == f"trustworthiness at 15: {figures['trustworthiness']:.3f}"


def test_of_very_many_pictures_a_sample_is_judged(vectors, projected, monkeypatch):
    monkeypatch.setattr("imgsearch_kit.map.projection.JUDGED", 40)
    trust, kept = judge(vectors, projected.positions, 15)
    assert np.isfinite(trust).sum() == np.isfinite(kept).sum() == 40


def test_what_has_no_place_is_refused(projected):
    with pytest.raises(BadQuery, match=r"shape \(1, 7\) cannot be placed on a map of 96-d"):
        projected.place(np.zeros((1, 7), np.float32))
    with pytest.raises(BadQuery, match="no vectors"):
        project(np.zeros((0, 96), np.float32))


def test_umap_loads_for_a_user_who_may_write_neither_beside_it_nor_at_home(tmp_path):
    for name in ("umap", "pynndescent"):
        found = Path(importlib.util.find_spec(name).origin).parent
        shutil.copytree(found, tmp_path / "site" / name, ignore=shutil.ignore_patterns("__pycache__"))
        unwritable(tmp_path / "site" / name)
    program = "from imgsearch_kit.map.projection import lend_numba_folder; lend_numba_folder(); import umap, sys; "
    program += "print(umap.__file__)"
    environment = os.environ | {"HOME": str(unwritable(tmp_path / "home")), "NUMBA_CACHE_DIR": ""}
    environment |= {"PYTHONPATH": f"{Path(__file__).parents[2]}:{tmp_path / 'site'}", "XDG_CACHE_HOME": ""}
    command = [*BOUND_BY_MODES, sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout.startswith(str(tmp_path)), done.stderr
