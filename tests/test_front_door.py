"""The public names: what README shows runs, the import is light, and one's own network is a class of two members."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import imgsearch_kit
from imgsearch_kit import Gallery
from imgsearch_kit.datasets import sample_pictures
from tests.small_extractor import QuarterColours, paint

ROOT = Path(__file__).resolve().parents[1]
BLOCKS = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)


def block(word):
    """README's Python block that has a word in it."""
    return next(each for each in BLOCKS if word in each)


@pytest.fixture
def photos(tmp_path):
    """Three classes of painted pictures."""
    for i in range(12):
        paint(tmp_path / f"photos/red/{i}.png", (200, 10 * i, 0))
        paint(tmp_path / f"photos/green/{i}.png", (0, 200, 10 * i))
        paint(tmp_path / f"photos/blue/{i}.png", (10 * i, 0, 200))
    return tmp_path / "photos"


def test_every_public_name_is_loaded_when_it_is_asked_for():
    assert 10 <= len(imgsearch_kit.__all__) <= 14
    for name in imgsearch_kit.__all__:
        assert getattr(imgsearch_kit, name).__name__.lower() == name.lower()
    assert set(imgsearch_kit.__all__) <= set(dir(imgsearch_kit))
    with pytest.raises(AttributeError, match="no attribute 'Searcher'"):
        imgsearch_kit.Searcher  # noqa: B018


def test_the_import_loads_no_feature():
    code = "import sys, imgsearch_kit; print(*[n for n in sys.modules if n.startswith('imgsearch_kit')])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert loaded == ["imgsearch_kit"]


def test_a_type_checker_knows_the_public_names(tmp_path):
    (tmp_path / "use.py").write_text(
        "from imgsearch_kit import Gallery\nreveal_type(Gallery.open('x').search(id='y'))\n"
    )
    done = subprocess.run([sys.executable, "-m", "mypy", "use.py"], cwd=tmp_path, capture_output=True, text=True)
    assert 'Revealed type is "imgsearch_kit.results.Results"' in done.stdout, done.stdout
    assert (Path(imgsearch_kit.__file__).parent / "py.typed").exists()


def test_the_python_of_readme_runs_up_to_the_page(tmp_path, monkeypatch, conv_weights):
    """Folder, query and server are put in; what it says about a server goes to a file here."""
    monkeypatch.setenv("IMGSEARCH_CACHE", str(conv_weights.parents[1]))
    monkeypatch.chdir(tmp_path)
    pictures = sample_pictures(tmp_path / "all")
    for subject in ("cat", "coffee", "coins", "rocket"):
        (tmp_path / "photos").mkdir(exist_ok=True)
        (pictures / subject).rename(tmp_path / "photos" / subject)
    (tmp_path / "query.jpg").write_bytes((tmp_path / "photos/cat/cat-flip.jpg").read_bytes())
    text = block("gallery.serve()").replace("pca:128:0.5,qe:10:1", "pca:8:0.5,qe:3:1")
    text = re.sub(r"gallery.copy_to\(.*\)", 'gallery.copy_to("local:copy.db")', text)
    text = re.sub(r"^(fast.recall|gallery.serve)\(.*$", "", text, flags=re.M)
    names: dict[str, object] = {}
    exec(text, names)
    gallery = names["gallery"]
    assert len(gallery) == 40
    assert (tmp_path / "map.html").stat().st_size > 50_000
    assert names["fast"].report.copied == 40
    assert gallery.report.added == 40
    assert Gallery.from_folder("photos").report.counts() == {"unchanged": 40}


def test_a_numpy_function_is_an_extractor_too(photos, tmp_path):
    address = f"local:{tmp_path / 'quarters.db'}"
    with Gallery.from_folder(photos, address, QuarterColours(), progress=False) as gallery:
        assert [hit.id for hit in gallery.search(photos / "red/0.png", k=2).hits] == ["red/1.png", "red/2.png"]
    with Gallery.open(address, QuarterColours()) as gallery:
        assert gallery.search(photos / "blue/3.png", k=1).hits[0].label == "blue"
        assert np.array_equal(
            gallery.vectors(["red/0.png"]), gallery.extractor.extract(np.full((1, 8, 8, 3), (200, 0, 0), np.uint8))
        )
    with Gallery.open(address) as gallery:
        assert gallery.search(id="red/0.png", k=1).hits[0].id == "red/1.png"
        with pytest.raises(imgsearch_kit.KitError, match=r"'quarters', a custom extractor.*extractor=OBJECT"):
            gallery.search(photos / "red/0.png")


def test_a_second_folder_is_added_and_labels_are_given(photos, tmp_path):
    paint(tmp_path / "more/grey/0.png", (120, 120, 120))
    with Gallery.from_folder(photos, "memory:", QuarterColours(), progress=False) as gallery:
        assert gallery.add(tmp_path / "more", prefix="more").counts() == {"added": 1}
        assert gallery.labels() == {"blue": 12, "green": 12, "grey": 1, "red": 12}
        assert gallery.label({"more/grey/0.png": "red"}).relabelled == 1
        assert gallery.labels()["red"] == 13
        assert gallery.export(tmp_path / "records.csv") == 37
        assert repr(gallery) == "<Gallery of 37 pictures at memory:>"


def test_loading_is_not_counted_as_extraction(photos, tmp_path):
    with Gallery.from_folder(photos, "memory:", QuarterColours(), progress=False) as gallery:
        assert set(gallery.search(photos / "red/0.png").ms) == {"load", "extract", "search"}
        assert gallery.search(id="red/0.png").ms["extract"] == 0


def test_a_ranking_beside_approx_is_exact_and_says_so(photos):
    with Gallery.from_folder(photos, "memory:", QuarterColours(), progress=False) as gallery:
        found = gallery.search(id="red/0.png", k=3, approx=True, rank="qe:3:0")
        assert found.method == "exact, then qe:3:0"
        assert "so the answer is exact, not approximate" in found.note


def test_a_gallery_that_stays_open_keeps_no_other_writer_out(photos, tmp_path):
    """As in a notebook, which is left open while a command is typed in a terminal."""
    address = f"local:{tmp_path / 'a.db'}"
    gallery = Gallery.from_folder(photos, address, QuarterColours(), progress=False)
    for label in ("mine", "yours"):
        with Gallery.open(address) as other:
            assert other.label({"red/0.png": label}).relabelled == 1
        assert gallery.records(["red/0.png"])[0].label == label
    assert gallery.label({"red/1.png": "mine"}).relabelled == 1


def test_a_copy_answers_with_ones_own_extractor_and_is_not_made_in_memory(photos, tmp_path):
    with Gallery.from_folder(photos, "memory:", QuarterColours(), progress=False) as gallery:
        with gallery.copy_to(f"local:{tmp_path / 'copy.db'}", progress=False) as copy:
            assert copy.report.copied == 36
            assert copy.search(photos / "red/0.png", k=1).hits[0].id == "red/1.png"
        with pytest.raises(imgsearch_kit.KitError, match="A copy in memory ends with the copying"):
            gallery.copy_to("memory:")


def test_an_evaluation_can_leave_the_ranking_of_the_gallery_out(photos):
    with Gallery.from_folder(photos, "memory:", QuarterColours(), progress=False) as made:
        gallery = Gallery(made.index, rank="pca:2")
        assert gallery.evaluate(ks=[3], progress=False).about["rank"] == "pca:2"
        assert gallery.evaluate(ks=[3], rank="", progress=False).about["rank"] is None


def test_a_sample_reaches_from_the_first_picture_to_the_last(photos):
    with Gallery.from_folder(photos, "memory:", QuarterColours(), progress=False) as gallery:
        shown = [row[1] for row in gallery.sample(20).rows]
        assert (len(set(shown)), shown[0]) == (20, "blue/0.png")
        assert shown[-1].startswith("red/")
        assert len(gallery.sample(100).rows) == 36


def test_a_rebuild_brings_missing_weights_too(photos, tmp_path, monkeypatch, conv_weights):
    """They arrive where the kit looks for them, as from the package index."""
    cache = tmp_path / "cache" / "weights"
    monkeypatch.setenv("IMGSEARCH_CACHE", str(cache.parent))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))

    def bring(say):
        cache.mkdir(parents=True)
        (cache / conv_weights.name).symlink_to(conv_weights)

    monkeypatch.setattr("imgsearch_kit.indexing.extractor.bring_weights", bring)
    address = f"local:{tmp_path / 'a.db'}"
    Gallery.from_folder(photos, address, QuarterColours(), progress=False).close()
    with Gallery.from_folder(photos, address, "vgg16-mac", rebuild=True, progress=False) as gallery:
        assert (gallery.passport.spec.name, len(gallery)) == ("vgg16-mac", 36)
