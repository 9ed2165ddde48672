"""A folder indexed by several processes, each a part of it: together they do what one plain run does."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from imgsearch_kit import Gallery, cli
from imgsearch_kit.errors import BadQuery, IndexUnwritable
from imgsearch_kit.index import create_index, new_passport, open_index
from imgsearch_kit.indexing.folder import index_folder
from imgsearch_kit.indexing.open import open_to_fill
from imgsearch_kit.indexing.parts import Part
from imgsearch_kit.records import Failure
from tests.index.conftest import remove_from_server
from tests.index.writing import start
from tests.indexing.test_file_identity import CHANGES, clip, fresh, held
from tests.small_extractor import QuarterColours, UpperColours, paint

__all__ = ["clip"]  # a fixture
PARTS = ["1/3", "2/3", "3/3"]


def colour(i):
    return (i * 37 % 251 + 1, i * 91 % 241 + 1, i * 151 % 239 + 1)


@pytest.fixture
def photos(tmp_path):
    """60 pictures of three classes, and six files that are none; each part has some of both."""
    root = tmp_path / "photos"
    for i in range(60):
        paint(root / f"class {i % 3}" / f"{i:03}.png", colour(i))
    for i in range(6):
        (root / "class 0" / f"broken {i}.png").write_bytes(b"no picture")
    assert all(any(f"class 0/broken {i}.png" in Part.parse(part) for i in range(6)) for part in PARTS)
    return root


def content(index):
    records, vectors = index.entries()
    return records, vectors.tolist(), index.failures(), index.passport.roots, index.passport.label_levels


def plain(root, **options):
    """What one run over the whole folder makes."""
    with create_index("memory:", new_passport(QuarterColours().spec)) as index:
        index_folder(root, index, QuarterColours(), progress=False, **options)
        return content(index)


def in_parts(root, index, parts=PARTS, **options):
    """The reports of runs one after the other."""
    return [index_folder(root, index, QuarterColours(), part=part, progress=False, **options) for part in parts]


@pytest.fixture
def index():
    with create_index("memory:", new_passport(QuarterColours().spec)) as made:
        yield made


# -- which file belongs to which part ----------------------------------------------------------------------------


def test_every_path_belongs_to_one_part_whatever_other_files_there_are():
    ids = [f"class {i % 7}/{i:05}.jpg" for i in range(8000)]
    parts = [Part(number, 4) for number in (1, 2, 3, 4)]
    shares = [sum(id_ in part for id_ in ids) for part in parts]
    assert sum(shares) == len(ids)
    assert all(abs(share - 2000) < 200 for share in shares)  # of a fair die the fifth standard deviation
    assert all(sum(id_ in part for part in parts) == 1 for id_ in ids)
    # Written down, because a later version must not move files to other parts of an index half done.
    assert [name for name in map("{}.png".format, "abcdefghij") if name in parts[0]] == ["d.png", "g.png"]


def test_both_unicode_forms_of_a_name_belong_to_the_same_part():
    assert all(("caf\u00e9.png" in Part(i, 50)) == ("cafe\u0301.png" in Part(i, 50)) for i in range(1, 51))


WRONG = ["0/4", "5/4", "a/b", "1/0", "1", "", "1/4/4", "-1/4", " 1/4", "\N{ARABIC-INDIC DIGIT ONE}/4", 1, "9" * 99]


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_no_part_is_refused(photos, wrong):
    with pytest.raises(BadQuery, match="A part is written I/N with I from 1 to N, as 1/4, 2/4, 3/4 and 4/4; it is"):
        Gallery.from_folder(photos, "memory:", QuarterColours(), part=wrong, progress=False)


@pytest.mark.parametrize("option", ["prune", "rebuild"])
def test_what_concerns_the_whole_index_is_refused(photos, tmp_path, option):
    with pytest.raises(BadQuery, match=f"--{option} cannot be combined with --part 2/3"):
        Gallery.from_folder(photos, f"local:{tmp_path / 'x.db'}", QuarterColours(), part="2/3", **{option: True})
    assert not (tmp_path / "x.db").exists()


def test_the_command_says_which_part_and_how_many_files(photos, tmp_path, monkeypatch, capsys, conv_weights):
    words = ["index", str(photos), "--index", str(tmp_path / "x.db"), "--weights", str(conv_weights), "--part"]
    for path in sorted(photos.rglob("*.png"))[6:]:
        path.unlink()
    count = len(list(photos.rglob("*.png")))
    monkeypatch.setattr(sys, "argv", ["imgsearch", *words, "0/3"])
    with pytest.raises(SystemExit, match="3"):
        cli.main()
    assert "A part is written I/N" in capsys.readouterr().err
    share = sum(path.relative_to(photos).as_posix() in Part(2, 3) for path in photos.rglob("*.png"))
    monkeypatch.setattr(sys, "argv", ["imgsearch", *words, "2/3"])
    with pytest.raises(SystemExit, match="0"):
        cli.main()
    assert f"part 2/3, {share} of {count} files: " in capsys.readouterr().out


# -- the same index ----------------------------------------------------------------------------------------------


def test_parts_one_after_the_other_make_the_index_of_one_run(photos, index):
    reports = in_parts(photos, index)
    assert content(index) == plain(photos)
    assert sum(report.added for report in reports) == 60
    assert sum(report.in_part for report in reports) == reports[0].in_folder == 66
    assert [report.to_json()["part"] for report in reports] == PARTS
    assert all(len(report.failed) > 0 for report in reports)
    assert [report.warnings for report in reports] == [[]] * 3
    again = in_parts(photos, index)
    assert sum(report.unchanged for report in again) == 60
    assert index_folder(photos, index, QuarterColours(), progress=False).counts() == {"unchanged": 60}


def test_an_added_file_moves_none_to_another_part(photos, index):
    in_parts(photos, index)
    paint(photos / "class 0" / "0000.png", (1, 2, 3))
    assert [report.counts().get("added", 0) for report in in_parts(photos, index)].count(1) == 1
    assert content(index) == plain(photos)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_whatever_was_renamed_across_parts_each_picture_has_its_own_vector(clip, index, change):
    in_parts(clip, index)
    change(clip)
    in_parts(clip, index)
    index_folder(clip, index, QuarterColours(), prune=True, progress=False)
    assert held(index) == fresh(clip)


def test_a_file_renamed_from_one_part_to_another_moves_in_one_step(photos, index):
    in_parts(photos, index)
    old = next(path for path in sorted(photos.rglob("0*.png")) if path.relative_to(photos).as_posix() in Part(1, 3))
    names = (f"{old.parent.name}/{i}.png" for i in range(99))
    id_ = next(name for name in names if name in Part(2, 3))
    old.rename(photos / id_)
    first, second, third = in_parts(photos, index)
    assert (first.moved, first.vanished) == (0, 1)  # as long as the second part has not run
    assert (second.moved, second.added, third.moved) == (1, 0, 0)
    assert content(index) == plain(photos)
    assert [report.vanished for report in in_parts(photos, index)] == [0, 0, 0]
    assert index.records([id_])


def test_equal_files_of_a_renamed_folder_move_each_to_its_own_name_also_in_parts_at_once(tmp_path, index, monkeypatch):
    root = tmp_path / "twins"
    for i in range(12):
        paint(root / "old" / f"{i}.png", (9, 8, 7))
    in_parts(root, index)
    (root / "old").rename(root / "new")
    real, others = index.records, PARTS[1:]

    def as_they_were(ids=None):
        """All records, as all parts see them that begin at once: before the first of them has moved any."""
        found = real(ids)
        if ids is None and others:
            in_parts(root, index, [others.pop()])
        return found

    monkeypatch.setattr(index, "records", as_they_were)
    in_parts(root, index, PARTS[:1])
    monkeypatch.undo()
    assert [record.id for record in index.records()] == sorted(f"new/{i}.png" for i in range(12))


def test_labels_of_a_file_and_of_a_folder_level_are_those_of_one_run(photos, index):
    labels = {"class 0/000.png": "odd one", "class 1/001.png": None, "gone.png": "x"}
    in_parts(photos, index, labels=labels, label_level=1)
    assert content(index) == plain(photos, labels=labels, label_level=1)
    assert [failure.path for failure in index.failures() if "labels file" in failure.reason] == ["gone.png"]


def test_another_label_level_needs_a_run_of_the_whole_folder(photos, index):
    in_parts(photos, index)
    before = content(index)
    words = r"--part cannot change the labels of indexed pictures from folder level -1 to 1: .* without --part"
    with pytest.raises(BadQuery, match=words):
        in_parts(photos, index, label_level=1)
    assert content(index) == before


# -- several writers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("times", [1, 2])
def test_failures_that_another_writer_notes_at_the_same_moment_are_kept(server_address, times):
    """Once and again: each time between the reading of the list and the writing of it."""
    others = [["b/1"], ["b/1", "b/2"]][:times]
    with (
        create_index(server_address, new_passport(None, dim=3, method="flat")) as one,
        open_index(server_address) as other,
    ):

        def of_one(path):
            if others:
                paths = others.pop(0)
                other.set_failures([Failure(each, "cut off") for each in paths], among=lambda path: path[0] == "b")
            return path[0] == "a"

        one.set_failures([Failure("a/0", "empty")])
        one.set_failures([Failure("a/1", "empty")], among=of_one)
        assert [failure.path for failure in one.failures()] == ["a/1", "b/1", "b/2"][: times + 1]


PART = """
from imgsearch_kit import Gallery
from tests.small_extractor import QuarterColours
print("ready", flush=True)
input()
with Gallery.from_folder(sys.argv[2], address, QuarterColours(), method=sys.argv[3], part=sys.argv[4]) as gallery:
    print(gallery.report.title())
"""


def at_once(address, root, method):
    """What processes for all parts print, and their errors; none begins before all are ready."""
    processes = [start(PART, address, root, method, part, stdin=subprocess.PIPE) for part in PARTS]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    return [process.communicate(timeout=120) for process in processes]


def test_three_processes_at_once_make_the_index_of_one_run(photos, server_address):
    """The first makes it, the others open it; all write records, and all have failures to note."""
    said = at_once(server_address, photos, "flat")
    assert all(f"part {part}, " in out for part, (out, _) in zip(PARTS, said, strict=True)), said
    with open_index(server_address) as index:
        assert content(index) == plain(photos)
    (photos / "class 0").rename(photos / "class 9")  # every picture in it now belongs to whichever part
    paint(photos / "class 1" / "001.png", (77, 1, 1))
    at_once(server_address, photos, "flat")
    with open_index(server_address) as index:
        assert content(index) == plain(photos)


def test_parts_at_once_into_one_file_are_refused_in_words_and_those_after_it_are_not(photos, tmp_path):
    where = f"local:{tmp_path / 'x.db'}"
    with Gallery.from_folder(photos, where, QuarterColours(), part="1/3", progress=False) as gallery:
        gallery.index.claim()  # as while its run lasts
        words = "Another process is writing .* Several processes can write at once only to an index on a server"
        with pytest.raises(IndexUnwritable, match=words):
            Gallery.from_folder(photos, where, QuarterColours(), part="2/3", progress=False)
    for part in PARTS[1:]:
        Gallery.from_folder(photos, where, QuarterColours(), part=part, progress=False).close()
    with open_index(where) as index:
        assert content(index) == plain(photos)


def test_an_index_that_another_process_makes_meanwhile_is_opened(server_address, monkeypatch):
    """Between the look for it and its making."""
    from imgsearch_kit.indexing import open as opening

    def slow(extractor):
        create_index(server_address, new_passport(QuarterColours().spec, method="flat")).close()
        return np.zeros((0, 12), np.float32)

    monkeypatch.setattr(opening, "probe_vectors", slow)
    index, _ = open_to_fill(server_address, QuarterColours(), method="flat")
    assert index.address == server_address
    index.close()
    remove_from_server(server_address)
    with pytest.raises(Exception, match="This index was made by quarters; the extractor given differs from it"):
        open_to_fill(server_address, UpperColours(), method="flat")
