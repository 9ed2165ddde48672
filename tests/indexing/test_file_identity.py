"""Files that were renumbered, swapped, restored or copied with their times kept: each has its own vector afterwards."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import uuid

import numpy as np
import pytest

from imgsearch_kit import Gallery
from imgsearch_kit.index import create_index, new_passport, open_index
from imgsearch_kit.indexing import folder as indexing
from imgsearch_kit.indexing.commits import COMMITTED_AT_ONCE
from imgsearch_kit.indexing.copy import copy
from imgsearch_kit.indexing.folder import index_folder
from tests.index import first_format
from tests.index.conftest import remove_from_server
from tests.small_extractor import QuarterColours, paint

THEN = 1_600_000_000
COLOURS = [(250, 10, 10), (200, 60, 10), (10, 250, 10), (10, 200, 60), (10, 10, 250), (60, 10, 200)]


def frame(path, colour):
    """A picture of the same size and time as all others here, as an archive or a frame extractor leaves them."""
    paint(path, colour)
    os.utime(path, (THEN, THEN))
    return path


@pytest.fixture
def clip(tmp_path):
    root = tmp_path / "clip"
    for i, colour in enumerate(COLOURS):
        frame(root / f"{i:03}.bmp", colour)
    assert len({path.stat().st_size for path in root.iterdir()}) == 1
    return root


# -- what people do to a folder ----------------------------------------------------------------------------------


def renumbered_down(root):
    (root / "000.bmp").unlink()
    for i in range(1, 6):
        (root / f"{i:03}.bmp").rename(root / f"{i - 1:03}.bmp")


def renumbered_up(root):
    for i in reversed(range(6)):
        (root / f"{i:03}.bmp").rename(root / f"{i + 1:03}.bmp")
    frame(root / "000.bmp", (90, 90, 200))


def reversed_order(root):
    for i in range(6):
        (root / f"{i:03}.bmp").rename(root / f"{i}.tmp")
    for i in range(6):
        (root / f"{i}.tmp").rename(root / f"{5 - i:03}.bmp")


def swapped(root):
    (root / "000.bmp").rename(root / "tmp")
    (root / "004.bmp").rename(root / "000.bmp")
    (root / "tmp").rename(root / "004.bmp")


def chained(root):
    (root / "005.bmp").rename(root / "new.bmp")
    (root / "004.bmp").rename(root / "005.bmp")
    (root / "003.bmp").rename(root / "004.bmp")


def copied_over(root):
    subprocess.run(["cp", "-p", root / "004.bmp", root / "000.bmp"], check=True)


def moved_over(root):
    (root / "004.bmp").replace(root / "000.bmp")


def written_over(root):
    frame(root / "000.bmp", (5, 5, 5))


def replaced(root):
    frame(root / "x.bmp", (90, 90, 200)).replace(root / "000.bmp")


def other_version_restored(root):
    """A backup holds another picture under the name, of the same size and time."""
    backup = frame(root.parent / "backup" / "000.bmp", (90, 90, 200)).parent
    subprocess.run(["tar", "-C", backup, "-cf", root.parent / "a.tar", "."], check=True)
    subprocess.run(["tar", "-C", root, "-xpf", root.parent / "a.tar"], check=True)


def case_changed(root):
    """Two names swap their case."""
    (root / "000.bmp").rename(root / "A.bmp")
    (root / "004.bmp").rename(root / "a.bmp")


def linked_elsewhere(root):
    (root / "000.bmp").unlink()
    (root / "000.bmp").symlink_to("004.bmp")


def hard_linked_elsewhere(root):
    (root / "000.bmp").unlink()
    (root / "000.bmp").hardlink_to(root / "004.bmp")


CHANGES = [
    renumbered_down,
    renumbered_up,
    reversed_order,
    swapped,
    chained,
    copied_over,
    moved_over,
    written_over,
    replaced,
    other_version_restored,
    case_changed,
    linked_elsewhere,
    hard_linked_elsewhere,
]


def fresh(root):
    """What an index that is made now holds of each picture: its hash and its vector."""
    with create_index("memory:", new_passport(QuarterColours().spec)) as index:
        index_folder(root, index, QuarterColours())
        return held(index)


def held(index):
    records, vectors = index.entries()
    return {record.id: (record.sha256, *vector.round(5)) for record, vector in zip(records, vectors, strict=True)}


def bring_up_to_date(root, index, **options):
    """The counts of a run, the ids that were read, and how many pictures were extracted."""
    extractor, read = QuarterColours(), []
    with pytest.MonkeyPatch.context() as patch:
        real = indexing.load_many
        patch.setattr(indexing, "load_many", lambda paths, **more: read.extend(paths) or real(paths, **more))
        report = index_folder(root, index, extractor, progress=False, **options)
    assert report.failed == []
    return report.counts(), sorted(path.relative_to(root).as_posix() for path in read), sum(extractor.calls)


@pytest.fixture
def index():
    with create_index("memory:", new_passport(QuarterColours().spec)) as made:
        yield made


@pytest.mark.parametrize("prune", [False, True], ids=["kept", "pruned"])
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_every_picture_has_its_own_vector_whatever_was_done_with_its_time_kept(clip, index, change, prune):
    bring_up_to_date(clip, index)
    change(clip)
    counts, *_ = bring_up_to_date(clip, index, prune=prune)
    now, vanished = fresh(clip), {"vanished": counts["vanished"]} if "vanished" in counts else {}
    assert {id_: value for id_, value in held(index).items() if id_ in now} == now
    assert len(index) == len(now) + sum(vanished.values())
    assert not (prune and vanished)
    assert bring_up_to_date(clip, index, prune=prune)[0] == {**vanished, "unchanged": len(now)}


@pytest.fixture(params=["local", "npz", "elasticsearch_8"])
def address(request, tmp_path):
    if request.param in ("local", "npz"):
        yield f"{request.param}:{tmp_path / 'pictures'}"
        return
    address = f"{request.getfixturevalue(request.param)}/test-{uuid.uuid4().hex[:12]}"
    yield address
    remove_from_server(address)


def method_at(address):
    return "flat" if address.startswith("http") else "exact"


@pytest.mark.parametrize("change", [renumbered_down, copied_over], ids=lambda change: change.__name__)
def test_so_it_is_in_every_kind_of_index(clip, address, change):
    with create_index(address, new_passport(QuarterColours().spec, method=method_at(address))) as index:
        bring_up_to_date(clip, index)
    change(clip)
    with open_index(address) as index:
        bring_up_to_date(clip, index, prune=True)
        assert held(index) == fresh(clip)
    with open_index(address) as index:
        generation = index.passport.generation
        assert bring_up_to_date(clip, index, prune=True)[0] == {"unchanged": len(index)}
        assert index.passport.generation == generation


def test_known_content_is_not_extracted_again(clip, index):
    bring_up_to_date(clip, index)
    reversed_order(clip)
    assert bring_up_to_date(clip, index)[::2] == ({"updated": 6}, 0)
    copied_over(clip)
    shutil.copy2(clip / "001.bmp", clip / "copy.bmp")
    assert bring_up_to_date(clip, index)[::2] == ({"added": 1, "updated": 1, "unchanged": 5}, 0)
    assert held(index) == fresh(clip)


def test_of_very_many_renumbered_frames_each_has_its_own_vector(tmp_path, index):
    """Of more than one commit, so that some vectors to keep have been replaced when their turn comes."""
    root, count = tmp_path / "many", 3 * COMMITTED_AT_ONCE + 5
    for i in range(count):
        frame(root / f"{i:03}.bmp", (255, 2 * i, 255 - 2 * i))
    bring_up_to_date(root, index)
    for i in reversed(range(count)):
        (root / f"{i:03}.bmp").rename(root / f"{i + 1:03}.bmp")
    frame(root / "000.bmp", (7, 7, 7))
    counts, _, extracted = bring_up_to_date(root, index)
    assert counts == {"added": 1, "updated": count}
    assert extracted <= 1 + count // COMMITTED_AT_ONCE
    assert held(index) == fresh(root)


@pytest.fixture
def photos(tmp_path):
    """Pictures that no other equals in size and time, as photographs are."""
    root = tmp_path / "photos"
    for i, colour in enumerate(COLOURS):
        os.utime(paint(root / "day" / f"{i}.png", colour, (40 + i, 30)), (THEN + i, THEN + i))
    return root


PHOTOS = [f"day/{i}.png" for i in range(6)]


def test_photographs_are_read_again_only_when_the_file_system_says_so(photos, index):
    bring_up_to_date(photos, index)
    assert bring_up_to_date(photos, index) == ({"unchanged": 6}, [], 0)
    (photos / "day/3.png").chmod(0o600)
    assert bring_up_to_date(photos, index) == ({"unchanged": 6}, ["day/3.png"], 0)
    assert bring_up_to_date(photos, index) == ({"unchanged": 6}, [], 0)
    (photos / "day").rename(photos / "night")
    assert bring_up_to_date(photos, index)[::2] == ({"moved": 6}, 0)


def test_a_restored_backup_is_read_once_and_nothing_is_extracted(photos, index):
    bring_up_to_date(photos, index)
    subprocess.run(["tar", "-C", photos, "-cf", photos.parent / "a.tar", "."], check=True)
    shutil.rmtree(photos)
    photos.mkdir()
    subprocess.run(["tar", "-C", photos, "-xpf", photos.parent / "a.tar"], check=True)
    assert bring_up_to_date(photos, index) == ({"unchanged": 6}, PHOTOS, 0)
    assert bring_up_to_date(photos, index) == ({"unchanged": 6}, [], 0)


def test_a_folder_that_was_copied_elsewhere_is_read_once(photos, index, tmp_path):
    bring_up_to_date(photos, index)
    shutil.copytree(photos, tmp_path / "new")
    assert bring_up_to_date(tmp_path / "new", index, moved_root=True) == ({"unchanged": 6}, PHOTOS, 0)
    assert bring_up_to_date(tmp_path / "new", index) == ({"unchanged": 6}, [], 0)


def test_inodes_of_a_network_share_that_change_cost_a_read(photos, index, monkeypatch):
    bring_up_to_date(photos, index)
    real = indexing.find_images

    def mounted_again(root):
        found = real(root)
        images = [dataclasses.replace(image, inode=image.inode + 10**6) for image in found.images]
        return dataclasses.replace(found, images=images)

    monkeypatch.setattr(indexing, "find_images", mounted_again)
    assert bring_up_to_date(photos, index) == ({"unchanged": 6}, PHOTOS, 0)
    assert bring_up_to_date(photos, index) == ({"unchanged": 6}, [], 0)


def test_where_the_file_system_shows_no_renaming_equal_size_and_time_are_read(clip, index, monkeypatch):
    """As on some that make up inodes and keep no ctime."""
    real = indexing.find_images

    def mute(root):
        found = real(root)
        images = [dataclasses.replace(image, inode=0, ctime=0.0) for image in found.images]
        return dataclasses.replace(found, images=images)

    monkeypatch.setattr(indexing, "find_images", mute)
    bring_up_to_date(clip, index)
    renumbered_down(clip)
    assert bring_up_to_date(clip, index, prune=True)[0] == {"updated": 5, "removed": 1}
    assert held(index) == fresh(clip)


def test_two_paths_of_one_file_are_two_pictures_that_need_no_reading(photos, index):
    (photos / "day/hard.png").hardlink_to(photos / "day/0.png")
    (photos / "day/soft.png").symlink_to("0.png")
    assert bring_up_to_date(photos, index)[0] == {"added": 8}
    assert bring_up_to_date(photos, index) == ({"unchanged": 8}, [], 0)
    frame(photos / "day/0.png", (1, 2, 3))
    assert bring_up_to_date(photos, index)[::2] == ({"updated": 3, "unchanged": 5}, 3)
    assert held(index) == fresh(photos)


def test_pictures_swapped_between_two_folders_of_an_index(clip, index, tmp_path):
    other = tmp_path / "other"
    frame(other / "x.bmp", (90, 90, 200))
    bring_up_to_date(clip, index)
    bring_up_to_date(other, index, prefix="more")
    (other / "x.bmp").rename(tmp_path / "tmp")
    (clip / "000.bmp").rename(other / "x.bmp")
    (tmp_path / "tmp").rename(clip / "000.bmp")
    assert bring_up_to_date(clip, index)[0] == {"updated": 1, "unchanged": 5}
    assert bring_up_to_date(other, index, prefix="more", prune=True)[0] == {"updated": 1}
    expected = fresh(clip) | {f"more/{id_}": value for id_, value in fresh(other).items()}
    assert held(index) == expected


def test_a_label_given_stays_with_its_path(clip, index):
    bring_up_to_date(clip, index, labels={"000.bmp": "red", "004.bmp": "blue"})
    swapped(clip)
    assert bring_up_to_date(clip, index)[0] == {"updated": 2, "unchanged": 4}
    assert {record.label for record in index.records(["000.bmp"])} == {"red"}
    assert bring_up_to_date(clip, index, labels={"000.bmp": "blue"})[::2] == ({"relabelled": 1, "unchanged": 5}, 0)
    assert {record.label for record in index.records(["000.bmp"])} == {"blue"}


def test_a_renumbered_picture_has_its_own_thumbnail(clip, index):
    gallery = Gallery(index, QuarterColours())
    bring_up_to_date(clip, index)
    before = {i: gallery.thumbnail(f"{i:03}.bmp").read_bytes() for i in range(6)}
    renumbered_down(clip)
    bring_up_to_date(clip, index, prune=True)
    for i in range(5):
        assert gallery.thumbnail(f"{i:03}.bmp").read_bytes() == before[i + 1]
        assert set(gallery.search(clip / f"{i:03}.bmp", k=2).own) == {f"{i:03}.bmp"}


def test_a_vector_that_another_writer_removes_meanwhile_is_extracted(photos, index, monkeypatch):
    bring_up_to_date(photos, index)
    (photos / "day").rename(photos / "night")
    real = index.entries

    def robbed(ids=None):
        monkeypatch.undo()
        index.delete(["day/0.png"])
        return real(ids)

    monkeypatch.setattr(index, "entries", robbed)
    assert bring_up_to_date(photos, index)[::2] == ({"added": 1, "moved": 5}, 1)
    assert held(index) == fresh(photos)


# -- indexes that do not hold what the file system said ----------------------------------------------------------


def first_format_in_a_file(path, *content):
    first_format.write_local(path, *content)
    return f"local:{path}"


def first_format_in_an_archive(path, *content):
    first_format.write_archive(path.with_suffix(".npz"), *content)
    return f"npz:{path.with_suffix('.npz')}"


def archive_made_elsewhere(path, records, vectors, **arrays):
    given = {name: [getattr(record, field) or "" for record in records] for name, field in arrays.items()}
    np.savez(path, ids=[r.id for r in records], labels=[r.label or "" for r in records], vectors=vectors, **given)
    return f"npz:{path}"


def archive_with_hashes(path, records, vectors, _):
    return archive_made_elsewhere(path.with_suffix(".npz"), records, vectors, sha256="sha256")


def archive_with_times(path, records, vectors, _):
    return archive_made_elsewhere(path.with_suffix(".npz"), records, vectors, mtimes="mtime", sizes="size")


WITHOUT = [first_format_in_a_file, first_format_in_an_archive, archive_with_hashes, archive_with_times]


@pytest.mark.parametrize("make", WITHOUT)
def test_an_index_without_inodes_reads_once_and_extracts_nothing(photos, index, tmp_path, make):
    bring_up_to_date(photos, index)
    address = make(tmp_path / "old.db", *index.entries(), index.passport)
    with open_index(address) as old:
        assert bring_up_to_date(photos, old) == ({"unchanged": 6}, PHOTOS, 0)
    with open_index(address) as old:
        assert bring_up_to_date(photos, old) == ({"unchanged": 6}, [], 0)
        assert old.records() == index.records()
        assert held(old) == held(index)


@pytest.mark.parametrize("make", WITHOUT)
def test_frames_renumbered_before_such_an_index_was_opened_have_their_own_vectors(clip, index, tmp_path, make):
    bring_up_to_date(clip, index)
    address = make(tmp_path / "old.db", *index.entries(), index.passport)
    renumbered_down(clip)
    with open_index(address) as old:
        bring_up_to_date(clip, old, prune=True)
        assert held(old) == fresh(clip)


def test_on_a_server_an_index_of_the_first_format_reads_once_and_extracts_nothing(photos, index, elasticsearch):
    address = f"{elasticsearch}/test-{uuid.uuid4().hex[:12]}"
    bring_up_to_date(photos, index)
    try:
        first_format.write_elastic(address, *index.entries(), index.passport)
        with open_index(address) as old:
            assert bring_up_to_date(photos, old) == ({"unchanged": 6}, PHOTOS, 0)
        with open_index(address) as old:
            assert bring_up_to_date(photos, old) == ({"unchanged": 6}, [], 0)
            assert old.records() == index.records()
    finally:
        remove_from_server(address)


def test_a_copy_knows_what_its_source_knew(photos, index, tmp_path, address):
    with create_index(f"local:{tmp_path / 'source.db'}", new_passport(QuarterColours().spec)) as source:
        bring_up_to_date(photos, source)
    copy(f"local:{tmp_path / 'source.db'}", address, method=None)
    with open_index(address) as made:
        assert bring_up_to_date(photos, made) == ({"unchanged": 6}, [], 0)


# -- times that no calendar has ----------------------------------------------------------------------------------


@pytest.mark.parametrize("mtime", [-1, 0, 2**32, 2**33])
def test_pictures_of_any_time_are_indexed_and_unchanged(photos, index, mtime):
    os.utime(photos / "day/0.png", (mtime, mtime))
    bring_up_to_date(photos, index)
    assert bring_up_to_date(photos, index) == ({"unchanged": 6}, [], 0)
