"""A folder into an index: resumed, repeated, moved, changed, pruned, relabelled, interrupted."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest

from imgsearch_kit.errors import BadQuery, IndexingInterrupted, IndexMismatch
from imgsearch_kit.index import create_index, new_passport, open_index
from imgsearch_kit.indexing.commits import COMMITTED_AT_ONCE
from imgsearch_kit.indexing.folder import index_folder
from imgsearch_kit.records import Refused
from tests.small_extractor import QuarterColours, paint


@pytest.fixture
def extractor():
    return QuarterColours()


@pytest.fixture
def index(extractor):
    with create_index("memory:", new_passport(extractor.spec)) as made:
        yield made


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "pictures"
    paint(root / "red" / "a.png", "red")
    paint(root / "red" / "b.png", (250, 5, 5))
    paint(root / "blue" / "c.png", "blue")
    paint(root / "loose.png", "green")
    return root


def labels_of(index):
    return {record.id: record.label for record in index.records()}


def test_ids_are_paths_and_labels_are_folder_names(folder, index, extractor):
    report = index_folder(folder, index, extractor)
    assert report.counts() == {"added": 4}
    assert labels_of(index) == {"blue/c.png": "blue", "loose.png": None, "red/a.png": "red", "red/b.png": "red"}
    record = index.records(["red/a.png"])[0]
    assert (record.width, record.height, record.size) == (32, 24, (folder / "red/a.png").stat().st_size)
    assert index.passport.root == str(folder.resolve())


def test_a_second_run_extracts_nothing(folder, index, extractor):
    index_folder(folder, index, extractor)
    generation, extractor.calls = index.passport.generation, []
    assert index_folder(folder, index, extractor).counts() == {"unchanged": 4}
    assert extractor.calls == []
    assert index.passport.generation == generation


def test_a_touched_file_is_unchanged_and_its_new_time_is_kept(folder, index, extractor):
    index_folder(folder, index, extractor)
    os.utime(folder / "red/a.png", (1_000_000_000, 1_000_000_000))
    extractor.calls = []
    assert index_folder(folder, index, extractor).counts() == {"unchanged": 4}
    assert extractor.calls == []
    assert index.records(["red/a.png"])[0].mtime == 1_000_000_000


def test_a_renamed_file_moves_without_extraction(folder, index, extractor):
    index_folder(folder, index, extractor)
    vector = index.vectors(["red/a.png"])
    (folder / "crimson").mkdir()
    (folder / "red/a.png").rename(folder / "crimson/z.png")
    extractor.calls = []
    assert index_folder(folder, index, extractor).counts() == {"moved": 1, "unchanged": 3}
    assert extractor.calls == []
    assert labels_of(index) == {"blue/c.png": "blue", "crimson/z.png": "crimson", "loose.png": None, "red/b.png": "red"}
    assert (index.vectors(["crimson/z.png"]) == vector).all()


def test_a_copied_file_is_added_because_the_first_is_still_there(folder, index, extractor):
    index_folder(folder, index, extractor)
    shutil.copy(folder / "red/a.png", folder / "red/copy.png")
    assert index_folder(folder, index, extractor).counts() == {"added": 1, "unchanged": 4}


def test_a_changed_file_is_replaced(folder, index, extractor):
    index_folder(folder, index, extractor)
    paint(folder / "red/a.png", "blue", size=(64, 64))
    assert index_folder(folder, index, extractor).counts() == {"updated": 1, "unchanged": 3}
    assert index.vectors(["red/a.png"]) @ index.vectors(["blue/c.png"]).T == pytest.approx(1)
    assert index.records(["red/a.png"])[0].width == 64


def test_a_vanished_file_is_counted_and_pruned_only_on_request(folder, index, extractor):
    index_folder(folder, index, extractor)
    (folder / "blue/c.png").unlink()
    assert index_folder(folder, index, extractor).counts() == {"vanished": 1, "unchanged": 3}
    assert len(index) == 4
    assert index_folder(folder, index, extractor, prune=True).counts() == {"removed": 1, "unchanged": 3}
    assert len(index) == 3


def test_pruning_an_empty_folder_is_refused(folder, index, extractor):
    index_folder(folder, index, extractor)
    shutil.rmtree(folder)
    folder.mkdir()
    with pytest.raises(BadQuery, match="no picture below"):
        index_folder(folder, index, extractor, prune=True)
    assert len(index) == 4


def test_a_folder_without_pictures_is_refused_and_leaves_no_trace(tmp_path, index, extractor):
    with pytest.raises(BadQuery, match="no picture below"):
        index_folder(tmp_path, index, extractor)
    assert index.passport.roots == {}


def test_bad_files_are_listed_each_run_and_the_rest_is_indexed(folder, index, extractor):
    (folder / "red/text.jpg").write_text("not a picture")
    (folder / "red/empty.png").write_bytes(b"")
    paint(folder / "red/black.png", "black")  # its vector is zero
    for run in ({"added": 4}, {"unchanged": 4}):
        report = index_folder(folder, index, extractor)
        assert report.counts() == run
        assert [f.path for f in report.failed] == ["red/black.png", "red/empty.png", "red/text.jpg"]
        assert "zero" in report.failed[0].reason
        assert index.failures() == report.failed
    for name in ("text.jpg", "empty.png", "black.png"):
        (folder / "red" / name).unlink()
    assert index_folder(folder, index, extractor).failed == []
    assert index.failures() == []


def test_a_file_that_becomes_unreadable_keeps_its_record_and_is_listed(folder, index, extractor):
    index_folder(folder, index, extractor)
    (folder / "red/a.png").write_bytes(b"broken")
    report = index_folder(folder, index, extractor, prune=True)
    assert [f.path for f in report.failed] == ["red/a.png"]
    assert len(index) == 4


def test_a_second_folder_needs_a_prefix(folder, index, extractor, tmp_path):
    index_folder(folder, index, extractor)
    other = tmp_path / "other"
    paint(other / "red/a.png", "yellow")
    with pytest.raises(IndexMismatch, match="--prefix NAME"):
        index_folder(other, index, extractor)
    assert index_folder(other, index, extractor, prefix="more").counts() == {"added": 1}
    assert labels_of(index)["more/red/a.png"] == "red"
    assert index.passport.roots == {"": str(folder.resolve()), "more": str(other.resolve())}


def test_pruning_touches_only_its_own_prefix(folder, index, extractor, tmp_path):
    other = tmp_path / "other"
    paint(other / "x.png", "yellow")
    paint(other / "y.png", "white")
    index_folder(folder, index, extractor)
    index_folder(other, index, extractor, prefix="more")
    (other / "x.png").unlink()
    (folder / "loose.png").unlink()
    assert index_folder(other, index, extractor, prefix="more", prune=True).counts() == {"removed": 1, "unchanged": 1}
    assert sorted(labels_of(index)) == ["blue/c.png", "loose.png", "more/y.png", "red/a.png", "red/b.png"]


def test_a_picture_at_the_root_of_a_prefixed_folder_has_no_label(folder, index, extractor, tmp_path):
    paint(tmp_path / "other" / "x.png", "yellow")
    index_folder(tmp_path / "other", index, extractor, prefix="more")
    assert labels_of(index) == {"more/x.png": None}
    os.utime(tmp_path / "other" / "x.png", (1, 1))
    index_folder(tmp_path / "other", index, extractor, prefix="more")
    assert labels_of(index) == {"more/x.png": None}


def test_a_folder_below_one_prefix_never_writes_over_a_longer_prefix(tmp_path, index, extractor):
    paint(tmp_path / "one" / "x.png", "red")
    paint(tmp_path / "two" / "c" / "x.png", "blue")
    index_folder(tmp_path / "one", index, extractor, prefix="a")
    index_folder(tmp_path / "two", index, extractor, prefix="a/b")
    paint(tmp_path / "one" / "b" / "c" / "x.png", "green")
    with pytest.raises(BadQuery, match="would begin with 'a/b'"):
        index_folder(tmp_path / "one", index, extractor, prefix="a")
    assert index.vectors(["a/b/c/x.png"]) @ np.tile([0, 0, 0.5], 4) == pytest.approx(1)


def test_paths_of_a_labels_file_that_match_nothing_are_listed(folder, index, extractor):
    report = index_folder(folder, index, extractor, labels={"red/a.png": "scarlet", "red/typo.png": "x"})
    assert [(f.path, f.reason) for f in report.failed] == [
        ("red/typo.png", "it is in the labels file, but no picture has this path")
    ]


@pytest.mark.parametrize("prefix", ["", "more"])
@pytest.mark.parametrize(
    ("paths", "hints"),
    [
        (
            ["red/a.png", "Red/B.PNG", "blue/c", "none.png"],
            ["Did you mean 'red/b.png'?", "Did you mean 'blue/c.png'?", ""],
        ),
        (["pictures/red/a.png", "pictures/d.png"], ["so leave 'pictures/' out of the paths"] * 2),
        (["a.png", "b.png"], ["begin the paths with 'red/'"] * 2),
    ],
    ids=["names", "too long", "too short"],
)
def test_paths_of_a_labels_file_that_match_nothing_are_told_what_they_seem_to_mean(
    folder, index, extractor, prefix, paths, hints
):
    report = index_folder(folder, index, extractor, prefix=prefix, labels=dict.fromkeys(paths, "x"))
    told = {f.path.removeprefix("more/"): f.reason.partition("no picture has this path")[2] for f in report.failed}
    assert list(told) == sorted(path for path in paths if path != "red/a.png")
    for path, hint in zip(paths[-len(hints) :], hints, strict=True):
        assert told[path].endswith(hint)
        assert bool(told[path]) == bool(hint)


@pytest.mark.parametrize("prefix", ["/abs", "a/../b", "a//b", "a/", ".", "..", "a/.", "a\\b", "\udcff"])
def test_a_prefix_is_a_plain_name(folder, index, extractor, prefix):
    with pytest.raises(BadQuery, match="must be a plain name"):
        index_folder(folder, index, extractor, prefix=prefix)


def test_a_prefix_that_is_a_folder_of_the_index_is_refused(folder, index, extractor, tmp_path):
    index_folder(folder, index, extractor)
    paint(tmp_path / "other" / "x.png", "yellow")
    with pytest.raises(BadQuery, match="already has a folder named 'red'"):
        index_folder(tmp_path / "other", index, extractor, prefix="red")


def test_a_folder_named_as_a_prefix_is_refused(folder, index, extractor, tmp_path):
    paint(tmp_path / "other" / "x.png", "yellow")
    index_folder(tmp_path / "other", index, extractor, prefix="red")
    with pytest.raises(BadQuery, match="would begin with 'red', a prefix"):
        index_folder(folder, index, extractor)


def test_a_folder_that_moved_is_accepted_when_said_so(folder, index, extractor, tmp_path):
    index_folder(folder, index, extractor)
    folder.rename(tmp_path / "new")
    with pytest.raises(IndexMismatch, match="has moved"):
        index_folder(tmp_path / "new", index, extractor)
    assert index_folder(tmp_path / "new", index, extractor, moved_root=True).counts() == {"unchanged": 4}
    assert index.passport.root == str(tmp_path / "new")


def test_labels_win_over_folder_names_and_stay(folder, index, extractor):
    index_folder(folder, index, extractor, labels={"loose.png": "meadow", "red/a.png": None})
    assert labels_of(index) == {"blue/c.png": "blue", "loose.png": "meadow", "red/a.png": None, "red/b.png": "red"}
    os.utime(folder / "loose.png", (1, 1))
    paint(folder / "red/a.png", "orange")
    index_folder(folder, index, extractor)
    assert labels_of(index)["loose.png"] == "meadow"
    assert labels_of(index)["red/a.png"] is None


def test_new_labels_for_unchanged_files_need_no_extraction(folder, index, extractor):
    index_folder(folder, index, extractor)
    extractor.calls = []
    report = index_folder(folder, index, extractor, labels={"loose.png": "meadow"})
    assert report.counts() == {"relabelled": 1, "unchanged": 3}
    assert extractor.calls == []
    assert labels_of(index)["loose.png"] == "meadow"


def test_batches_are_committed_as_they_come_and_an_interrupted_run_carries_on(tmp_path, index):
    for i in range(COMMITTED_AT_ONCE + 5):
        paint(tmp_path / "many" / f"{i:03}.png", (255, i, 0))

    class Interrupted(QuarterColours):
        def extract(self, pixels):
            if sum(self.calls) >= COMMITTED_AT_ONCE:
                raise KeyboardInterrupt
            return super().extract(pixels)

    with pytest.raises(IndexingInterrupted, match="interrupted") as stop:
        index_folder(tmp_path / "many", index, Interrupted())
    assert stop.value.report.counts() == {"added": COMMITTED_AT_ONCE}
    assert len(index) == COMMITTED_AT_ONCE
    extractor = QuarterColours()
    assert index_folder(tmp_path / "many", index, extractor).counts() == {"added": 5, "unchanged": COMMITTED_AT_ONCE}
    assert extractor.calls == [5]


def test_many_renames_in_one_run_keep_every_vector_with_its_picture(tmp_path, index, extractor):
    root = tmp_path / "many"
    colours = {f"{i:03}.png": (255, 3 * i, 255 - 3 * i) for i in range(2 * COMMITTED_AT_ONCE + 3)}
    for name, colour in colours.items():
        paint(root / name, colour)
    index_folder(root, index, extractor)
    before = {record.sha256: index.vectors([record.id])[0] for record in index.records()}
    names = sorted(colours)
    for name, other in zip(names, reversed(names), strict=True):
        (root / name).rename(root / f"moved-{other}")
    extractor.calls = []
    assert index_folder(root, index, extractor).counts() == {"moved": len(colours)}
    assert extractor.calls == []
    for record in index.records():
        assert record.id.startswith("moved-")
        assert (index.vectors([record.id])[0] == before[record.sha256]).all()


class Flawed(QuarterColours):
    """Gives NaN for green pictures, as a network of one's own may."""

    def extract(self, pixels):
        vectors = super().extract(pixels)
        vectors[vectors[:, 1] > 0.4] = np.nan
        return vectors


def test_an_invalid_row_of_an_extractor_costs_one_picture(folder, index):
    report = index_folder(folder, index, Flawed())
    assert report.counts() == {"added": 3}
    assert [failure.path for failure in report.failed] == ["loose.png"]
    assert "not finite with unit norm" in report.failed[0].reason


def test_what_the_index_refuses_is_not_counted_as_added(folder, index, extractor, monkeypatch):
    add = index.add
    monkeypatch.setattr(
        index,
        "add",
        lambda records, vectors, **more: [*add(records[1:], vectors[1:], **more), Refused(records[0].id, "no")],
    )
    assert index_folder(folder, index, extractor).counts() == {"added": 3}
    assert len(index) == 3


def test_an_extractor_that_fails_leaves_the_index_to_other_writers(folder, tmp_path):
    class Broken(QuarterColours):
        def extract(self, pixels):
            if self.calls:
                raise RuntimeError("the network is gone")
            return super().extract(pixels)

    address, broken = f"local:{tmp_path / 'a.db'}", Broken()
    for i in range(COMMITTED_AT_ONCE):
        paint(folder / "red" / f"{i}.png", (200, i % 250, 0))
    with create_index(address, new_passport(broken.spec)) as index, open_index(address) as other:
        with pytest.raises(RuntimeError, match="the network is gone"):
            index_folder(folder, index, broken)
        assert index_folder(folder, other, QuarterColours()).failed == []


def test_folders_of_a_network_disk_are_no_classes_and_are_reported(folder, index, extractor):
    paint(folder / "red" / "@eaDir" / "a.png" / "SYNOPHOTO_THUMB_SM.png", "red")
    report = index_folder(folder, index, extractor)
    assert report.added == 4
    assert "system folders left out, such as @eaDir or $RECYCLE.BIN: 1" in str(report)


def test_files_that_were_passed_over_are_counted_in_the_report(folder, index, extractor, tmp_path):
    for name in ("a.cr2", "b.cr2", "clip.mp4", "notes.txt", "c.txt", "d.txt"):
        (folder / "red" / name).write_bytes(b"x")
    shutil.copy(folder / "red/a.png", folder / "red/a.png?size=large")
    report = index_folder(folder, index, extractor)
    assert report.counts() == {"added": 5}
    assert report.to_json()["passed_over"] == {"other files": 3, "camera RAW pictures": 2, "videos": 1}
    assert "files passed over: 3 other files, 2 camera RAW pictures, 1 videos" in str(report)
    assert "red/a.png?size=large" in labels_of(index)
    only = tmp_path / "only"
    only.mkdir()
    (only / "a.nef").write_bytes(b"x")
    with pytest.raises(BadQuery, match=r"that the kit can read \(files passed over: 1 camera RAW pictures\)\. Give"):
        index_folder(only, index, extractor, prefix="only")
