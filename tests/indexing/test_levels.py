"""The level of the folder that gives the labels: kept, followed, changed without extraction."""

from __future__ import annotations

import json
import sys

import pytest

from imgsearch_kit import Gallery, cli
from imgsearch_kit.errors import BadQuery, IndexingInterrupted
from imgsearch_kit.index import create_index, new_passport
from imgsearch_kit.indexing import levels
from imgsearch_kit.indexing.folder import index_folder
from tests.index.conftest import ANYWHERE
from tests.small_extractor import QuarterColours, paint

DEEP = {"cats/2024-05/0.png": "red", "cats/2024-06/1.png": (250, 9, 9), "dogs/2024-05/2.png": "blue"}
DEEP |= {"dogs/2024-06/3.png": (9, 9, 250), "dogs/4.png": (40, 9, 200), "5.png": "green"}
MONTHS = {"cats/2024-05/0.png": "2024-05", "cats/2024-06/1.png": "2024-06", "dogs/2024-05/2.png": "2024-05"}
MONTHS |= {"dogs/2024-06/3.png": "2024-06", "dogs/4.png": "dogs", "5.png": None}
FIRST = {name: None if name == "5.png" else name[:4] for name in MONTHS}


@pytest.fixture
def folder(tmp_path):
    for name, colour in DEEP.items():
        paint(tmp_path / "deep" / name, colour)
    return tmp_path / "deep"


@pytest.fixture(params=ANYWHERE)
def address(request):
    with ANYWHERE[request.param](request) as address:
        yield address


def run(folder, address, extracted=0, **options):
    """The labels after a run, and its counts; some pictures are extracted, and the two probe pictures."""
    extractor, method = QuarterColours(), {"method": "flat"} if address.startswith("http") else {}
    with Gallery.from_folder(folder, address, extractor, progress=False, **options, **method) as gallery:
        assert sum(extractor.calls) == extracted + 2
        return {record.id: record.label for record in gallery.records()}, gallery.report.counts()


def test_a_level_is_kept_followed_and_changed_without_extraction(folder, address):
    assert run(folder, address, extracted=6) == (MONTHS, {"added": 6})
    assert run(folder, address, label_level=1) == (FIRST, {"relabelled": 4, "unchanged": 2})
    assert run(folder, address) == (FIRST, {"unchanged": 6})
    with Gallery.open(address, QuarterColours()) as gallery:
        assert gallery.passport.label_levels == {"": [1]}
        assert ("label level", "1") in gallery.passport.rows()
        assert gallery.add(folder, label_level=2, progress=False).counts() == {"relabelled": 5, "unchanged": 1}
        assert gallery.labels() == {"2024-05": 2, "2024-06": 2}
        assert gallery.index.read_passport().label_levels == {"": [2]}
    assert run(folder, address, label_level=-1) == (MONTHS, {"relabelled": 1, "unchanged": 5})
    with Gallery.open(address, QuarterColours()) as gallery:
        assert "label_levels" not in gallery.passport.to_json()


def test_a_new_index_takes_new_files_at_its_level(folder, tmp_path):
    address = f"local:{tmp_path / 'a.db'}"
    assert run(folder, address, 6, label_level=1) == (FIRST, {"added": 6})
    paint(folder / "birds/may/7.png", "yellow")
    (folder / "cats/2024-05/0.png").rename(folder / "dogs/2024-06/0.png")
    labels, counts = run(folder, address, 1)
    assert counts == {"added": 1, "moved": 1, "unchanged": 5}
    assert (labels["birds/may/7.png"], labels["dogs/2024-06/0.png"]) == ("birds", "dogs")


def test_labels_of_the_user_stay_and_labels_of_missing_files_follow(folder, tmp_path):
    address = f"local:{tmp_path / 'a.db'}"
    run(folder, address, 6, labels={"dogs/4.png": "own", "dogs/2024-05/2.png": None})
    (folder / "cats/2024-06/1.png").unlink()
    labels, counts = run(folder, address, label_level=1)
    assert labels == FIRST | {"dogs/4.png": "own", "dogs/2024-05/2.png": None}
    assert counts == {"relabelled": 2, "unchanged": 3, "vanished": 1}
    labels, _ = run(folder, address, label_level=2, prune=True)
    assert labels["dogs/4.png"] == "own"


def test_each_prefix_has_its_level_and_a_rebuild_and_a_copy_keep_them(folder, tmp_path):
    address = f"local:{tmp_path / 'a.db'}"
    run(folder, address, 6)
    more = {f"more/{name}": label for name, label in FIRST.items()}
    assert run(folder, address, 6, prefix="more", label_level=1)[0] == MONTHS | more
    run(folder, address, labels={"dogs/4.png": "own"})
    expected = MONTHS | more | {"dogs/4.png": "own"}
    assert run(folder, address, 12, rebuild=True)[0] == expected
    with Gallery.open(address) as gallery, gallery.copy_to(f"npz:{tmp_path / 'a.npz'}") as copied:
        assert copied.passport.label_levels == gallery.passport.label_levels == {"more": [1]}
        assert ("label level", "1 below more/") in copied.passport.rows()
    with_level = run(folder, address, 12, rebuild=True, label_level=1)[0]
    assert with_level == FIRST | more | {"dogs/4.png": "own"}


def test_an_interrupted_change_of_levels_is_completed_by_the_next_run(folder, monkeypatch):
    extractor = QuarterColours()
    with create_index("memory:", new_passport(extractor.spec)) as index:
        index_folder(folder, index, extractor)
        real = levels.relabel

        def half(index, labels):
            real(index, dict(list(labels.items())[:2]))
            raise KeyboardInterrupt

        monkeypatch.setattr(levels, "relabel", half)
        with pytest.raises(IndexingInterrupted):
            index_folder(folder, index, extractor, label_level=1)
        assert index.passport.label_levels == {"": [-1, 1]}
        monkeypatch.undo()
        index_folder(folder, index, extractor)
        assert {record.id: record.label for record in index.records()} == FIRST
        assert index.passport.label_levels == {"": [1]}


@pytest.mark.parametrize("level", [0, True, "1"])
def test_a_level_that_is_no_folder_is_refused_before_anything_is_made(folder, tmp_path, level):
    address = tmp_path / "a.db"
    with pytest.raises(BadQuery, match="label level must be a whole number"):
        run(folder, f"local:{address}", label_level=level)
    assert not address.exists()


def imgsearch(*words):
    """The exit code of a command."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["imgsearch", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
    return stop.value.code


def test_the_commands_warn_take_the_level_and_show_it(folder, tmp_path, monkeypatch, capsys):
    address = f"local:{tmp_path / 'a.db'}"
    with Gallery.from_folder(folder, address, QuarterColours(), progress=False) as gallery:
        advice = "Classes named like dates: 2 of 3 ('2024-05', '2024-06'), with 4 of 5 labelled pictures."
        command = "imgsearch index FOLDER --label-level 1"
        assert gallery.report.to_json()["warnings"] == gallery.report.warnings
        assert str(gallery.report).splitlines()[-1].startswith(advice)
        evaluated = gallery.evaluate(progress=False)
        for shown in (gallery.report._repr_html_(), evaluated._repr_html_()):
            assert command in shown
    assert imgsearch("evaluate", "--index", address) == 0
    above, title = capsys.readouterr().out.split("\n\n")[:2]
    assert above.startswith(advice)
    assert command in above
    assert title.startswith("4 queries")
    assert imgsearch("evaluate", "--index", address, "--json") == 0
    assert json.loads(capsys.readouterr().out)["warnings"] == [above]
    assert imgsearch("index", folder, "--index", address, "--label-level", "0") == 2
    assert "not 0" in capsys.readouterr().err
    assert imgsearch("index", folder, "--index", address, "--label-level", "1") == 0
    out = capsys.readouterr().out
    assert out.startswith("2 unchanged, 4 relabelled")
    assert "named like" not in out
    assert imgsearch("info", "--index", address) == 0
    assert "label level  1\n" in capsys.readouterr().out
    assert imgsearch("info", "--index", address, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["label_levels"], document["label_counts"]) == ({"": [1]}, {"cats": 2, "dogs": 3})
    assert imgsearch("evaluate", "--index", address, "--json") == 0
    assert json.loads(capsys.readouterr().out)["warnings"] == []


def test_an_evaluation_of_lone_pictures_says_what_to_type(tmp_path):
    for i in range(4):
        paint(tmp_path / "photos" / f"{'cats' if i < 2 else 'dogs'}/{i}/x.png", (250, 10 * i, 9))
    with Gallery.from_folder(tmp_path / "photos", "memory:", QuarterColours(), progress=False) as gallery:
        with pytest.raises(BadQuery, match=r"nothing to evaluate.*alone in their class.*--label-level 1 "):
            gallery.evaluate(progress=False)
        gallery.add(tmp_path / "photos", label_level=1, progress=False)
        assert len(gallery.evaluate(progress=False).queries) == 4
