"""What a ranking has learned outlives its process, and belongs to the vectors it was learned from."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from imgsearch_kit.files import KEPT, artefact_folder
from imgsearch_kit.index import create_index, new_passport, open_index
from imgsearch_kit.ranking import Ranking
from imgsearch_kit.ranking.chain import kept_ranking
from imgsearch_kit.ranking.over_index import RankedGallery
from imgsearch_kit.records import Approx, ExtractorSpec, ImageRecord
from imgsearch_kit.vectors import unit

SPECS = [
    "pca:8:0.5",
    "rca:8:5",
    "dba:4:1",
    "qe:4:1",
    "krecip:8:4:0.3",
    "pca:10,rca:8:5,dba:4:1,qe:4:1,krecip:8:4:0.3",
]


def vectors(n=60, dim=16, seed=0):
    rng = np.random.default_rng(seed)
    return unit(rng.normal(size=(n, dim)) + 1.5 * rng.normal(size=(6, dim))[np.arange(n) % 6])


@pytest.fixture
def address(tmp_path):
    address = f"local:{tmp_path / 'a.db'}"
    with create_index(address, new_passport(ExtractorSpec("test", 16))) as index:
        index.add([ImageRecord(f"{i:02}", f"class {i % 6}") for i in range(60)], vectors())
    return address


@pytest.fixture
def learned(monkeypatch):
    """The specs that were learned, in order."""
    specs = []
    fit = Ranking.fit
    monkeypatch.setattr(Ranking, "fit", lambda spec, *given, **more: specs.append(spec) or fit(spec, *given, **more))
    return specs


def answer(address, spec, **wish):
    with open_index(address) as index:
        return RankedGallery(index, spec).search(vectors(1, seed=5), 12, None, ["03"], **wish)


def files(address):
    with open_index(address) as index:
        return sorted(artefact_folder(index.passport).iterdir())


@pytest.mark.parametrize("spec", SPECS)
def test_the_next_process_does_not_learn_again_and_answers_alike(address, spec, learned):
    """To learn takes 20 s of 9,144 vectors, and was done at every start."""
    first = answer(address, spec)
    assert learned == [spec]
    second = answer(address, spec)
    assert learned == [spec]
    assert second.ids.tolist() == first.ids.tolist()
    np.testing.assert_array_equal(second.scores, first.scores)


@pytest.mark.parametrize("spec", SPECS)
def test_what_is_saved_scores_a_picture_s_own_rows_alike(spec, tmp_path):
    gallery = vectors()
    ranking = Ranking.fit(spec, gallery, spare=2)
    ranking.save(tmp_path / "ranking.npz")
    again = Ranking.load(tmp_path / "ranking.npz", spec, gallery)
    own = csr_array(np.eye(60, dtype=bool))
    np.testing.assert_array_equal(again.scores(gallery, own), ranking.scores(gallery, own))


def test_a_changed_index_and_another_spec_learn_again(address, learned):
    answer(address, "pca:8:0.5")
    answer(address, "pca:8:0.4")
    with open_index(address) as index:
        index.delete(["59"])
    answer(address, "pca:8:0.5")
    assert learned == ["pca:8:0.5", "pca:8:0.4", "pca:8:0.5"]
    assert len(files(address)) == 1  # those of the earlier generation are gone


def test_two_files_of_one_uuid_and_generation_do_not_share_what_they_learned(address, learned):
    """As two copies of a file that went on by themselves."""
    with open_index(address) as index:
        passport = index.passport
    rankings = [kept_ranking(passport, "pca:8", vectors(seed=seed)) for seed in (0, 1)]
    assert len(learned) == 2
    assert not np.array_equal(*(ranking.scores(vectors(1, seed=5)) for ranking in rankings))


@pytest.mark.parametrize("damage", ["empty", "cut", "another", "flipped"])
def test_a_damaged_file_is_learned_again(address, damage, learned, tmp_path):
    spec = SPECS[-1]
    first = answer(address, spec)
    (file,) = files(address)
    whole = file.read_bytes()
    if damage == "another":
        Ranking.fit(spec, vectors(30)).save(file)
    else:
        middle = len(whole) // 2
        flipped = whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :]
        file.write_bytes({"empty": b"", "cut": whole[:middle], "flipped": flipped}[damage])
    learned.clear()
    np.testing.assert_array_equal(answer(address, spec).scores, first.scores)
    assert learned == [spec]
    answer(address, spec)
    assert learned == [spec]


def test_a_few_rankings_are_kept(address):
    for dims in range(2, 9):
        answer(address, f"pca:{dims}")
    assert len(files(address)) == KEPT


def test_a_ranking_says_that_it_is_not_approximate(address):
    assert answer(address, "qe:4:1").note == ""
    found = answer(address, "qe:4:1", approx=Approx(20))
    assert found.method == "exact, then qe:4:1"
    assert found.note.startswith("The ranking qe:4:1 compares the query with every picture, so the answer is exact")
