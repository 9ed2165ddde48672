"""The folders of an index to which several writers add, each with its own open index."""

from __future__ import annotations

import pytest

from imgsearch_kit.errors import BadQuery, IndexMismatch, IndexUnwritable
from imgsearch_kit.images import find_images
from imgsearch_kit.index import create_index, new_passport, open_index
from imgsearch_kit.indexing.folder import index_folder
from tests.index.conftest import ANYWHERE
from tests.small_extractor import QuarterColours, paint


@pytest.fixture
def folder(tmp_path):
    """Gives a folder of a name, with two pictures."""

    def painted(name):
        paint(tmp_path / name / "red.png", "red")
        paint(tmp_path / name / "blue.png", "blue")
        return tmp_path / name

    return painted


def index_at(address):
    method = {"method": "flat"} if address.startswith("http") else {}
    return create_index(address, new_passport(QuarterColours().spec, **method))


@pytest.fixture(params=["local", "server"])
def two(request, folder):
    """Two writers of one index that holds a folder; both have read its passport."""
    with ANYWHERE[request.param](request) as address, index_at(address) as one:
        index_folder(folder("first"), one, QuarterColours())
        with open_index(address) as other:
            assert list(other.passport.roots) == [""]
            yield one, other


def test_a_folder_that_another_has_added_since_stays_and_so_do_its_pictures(two, folder):
    one, other = two
    index_folder(folder("page"), one, QuarterColours(), prefix="page")
    index_folder(folder("cli"), other, QuarterColours(), prefix="cli")
    assert set(one.read_passport().roots) == {"", "page", "cli"}
    report = index_folder(folder("first"), other, QuarterColours(), prune=True)
    assert report.counts() == {"unchanged": 2}
    assert len(one) == 6


def test_a_folder_that_another_adds_while_files_are_found_stays(two, folder):
    one, other = two
    found = find_images(folder("cli"))
    index_folder(folder("page"), one, QuarterColours(), prefix="page")
    index_folder(folder("cli"), other, QuarterColours(), prefix="cli", found=found)
    assert set(one.read_passport().roots) == {"", "page", "cli"}
    assert index_folder(folder("first"), one, QuarterColours(), prune=True).counts() == {"unchanged": 2}


def test_pruning_by_one_that_does_not_know_a_new_folder_spares_it(two, folder):
    one, other = two
    index_folder(folder("page"), one, QuarterColours(), prefix="page")
    assert index_folder(folder("first"), other, QuarterColours(), prune=True).counts() == {"unchanged": 2}
    assert len(one) == 4


def test_pruning_spares_a_folder_that_another_adds_before_the_records_are_read(two, folder, monkeypatch):
    one, other = two
    records, page = other.records, folder("page")

    def after_another(ids=None):
        if "page" not in one.passport.roots:
            index_folder(page, one, QuarterColours(), prefix="page")
        return records(ids)

    monkeypatch.setattr(other, "records", after_another)
    assert index_folder(folder("first"), other, QuarterColours(), prune=True).counts() == {"unchanged": 2}
    assert len(one) == 4


def test_a_prefix_that_another_has_taken_since_is_refused(two, folder):
    one, other = two
    index_folder(folder("page"), one, QuarterColours(), prefix="more")
    with pytest.raises(IndexMismatch, match=r"holds the pictures of .*page, not of .*cli"):
        index_folder(folder("cli"), other, QuarterColours(), prefix="more")
    paint(folder("first") / "more" / "x.png", "green")
    with pytest.raises(BadQuery, match="would begin with 'more'"):
        index_folder(folder("first"), other, QuarterColours())
    assert list(other.passport.roots) == ["", "more"]


def test_label_levels_of_two_writers_are_kept(two):
    for index, levels in zip(two, ({"page": [1]}, {"cli": [2]}), strict=True):
        index.amend(label_levels=levels)
        index.flush()
    one, other = two
    assert one.read_passport().label_levels == {"page": [1], "cli": [2]}
    one.amend(label_levels={"cli": [-1]})
    assert other.read_passport().label_levels == {"page": [1]}


def test_an_archive_that_another_has_changed_is_not_written_over(tmp_path, folder):
    with index_at(f"npz:{tmp_path / 'index'}") as one:
        index_folder(folder("first"), one, QuarterColours())
        with open_index(one.address) as other:
            index_folder(folder("page"), one, QuarterColours(), prefix="page")
            one.flush()
            with pytest.raises(IndexUnwritable, match="changed by another process"):
                index_folder(folder("cli"), other, QuarterColours(), prefix="cli")
        with open_index(one.address) as again:
            assert list(again.passport.roots) == ["", "page"]


@pytest.mark.parametrize("address", ["memory:", "npz:{}/index"])
def test_one_index_takes_folders_one_after_the_other(address, tmp_path, folder):
    with index_at(address.format(tmp_path)) as index:
        for prefix in ("", "page", "cli"):
            index_folder(folder(prefix or "first"), index, QuarterColours(), prefix=prefix)
        assert set(index.passport.roots) == {"", "page", "cli"}
        assert index_folder(folder("first"), index, QuarterColours(), prune=True).counts() == {"unchanged": 2}
