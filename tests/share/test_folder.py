"""Where a site or Space may be written, and what of an earlier one is removed, without packing any picture."""

from __future__ import annotations

import json

import pytest

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.share.folder import site_folder


def pack(folder, *names, kind="site"):
    """Writes some files as a packed site."""
    with site_folder(folder, kind) as made:
        for name in (*names, "site.json"):
            (made / name).parent.mkdir(parents=True, exist_ok=True)
            (made / name).write_text(json.dumps({"generator": "imgsearch-kit", "kind": kind, "of": names}))


def tree(folder):
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("earlier", "later"), [("space", "site"), ("site", "space")])
def test_the_other_kind_is_refused_and_nothing_changes(tmp_path, earlier, later):
    pack(tmp_path / "both", "index.db", "pictures/000/000000.webp", kind=earlier)
    (tmp_path / "both/pictures/holiday.jpg").write_text("mine")
    before = tree(tmp_path)
    with pytest.raises(BadQuery, match=rf"holds a packed {earlier}, whose pictures and names .* the new {later}\."):
        pack(tmp_path / "both", "thumbnails/0/0.webp", kind=later)
    assert tree(tmp_path) == before


def test_a_new_pack_removes_what_the_earlier_one_wrote_and_nothing_else(tmp_path):
    folder = tmp_path / "space"
    pack(folder, "imgsearch_kit-0.1.0.whl", "pictures/000/0.webp", "pictures/001/1.webp", "README.md", kind="space")
    (folder / "pictures/holiday.jpg").write_text("mine")
    (folder / "README.md").write_text("mine")
    for _ in range(2):
        pack(folder, "imgsearch_kit-0.2.0.whl", "pictures/000/0.webp", "README.md", kind="space")
    wanted = {"imgsearch_kit-0.2.0.whl", "pictures/000/0.webp", "pictures/holiday.jpg", "README.md", "site.json"}
    assert tree(folder).keys() == wanted | {"packed-files.json"}
    assert (folder / "README.md").read_text() == (folder / "pictures/holiday.jpg").read_text() == "mine"
    assert not (folder / "pictures/001").exists()


def test_the_list_of_an_earlier_version_is_understood_and_the_new_one_is_short(tmp_path):
    names = ["index.html", *(f"thumbnails/{i // 1000}/{i}.webp" for i in range(2000))]
    pack(tmp_path / "site", *names)
    listed, old = tmp_path / "site/packed-files.json", json.dumps([*names, "site.json"], indent=0)
    assert listed.stat().st_size < len(old) / 2
    listed.write_text(old)
    pack(tmp_path / "site", "index.html")
    assert tree(tmp_path / "site").keys() == {"index.html", "site.json", "packed-files.json"}


@pytest.mark.parametrize("blocked", ["link", "linked folder", "folder", "file"])
def test_a_place_that_is_taken_leaves_the_earlier_site_unchanged(tmp_path, blocked):
    folder, outside = tmp_path / "site", tmp_path / "outside"
    pack(folder, "data/map.bin", "thumbnails/0/0.webp")
    outside.mkdir()
    (outside / "0.webp").write_text("mine")
    taken = folder / ("thumbnails/0" if blocked == "linked folder" else "thumbnails/0/1.webp")
    if blocked == "linked folder":
        (taken / "0.webp").unlink()
        taken.rmdir()
        taken.symlink_to(outside)
    elif blocked == "link":
        taken.symlink_to(outside / "0.webp")
    elif blocked == "folder":
        taken.mkdir()
    else:
        taken.write_text("mine")
    before = tree(tmp_path)
    what = {"linked folder": "link", "file": "file that imgsearch did not write"}.get(blocked, blocked)
    with pytest.raises(BadQuery, match=rf"is a {what}, and the site needs its place\. Move it away"):
        pack(folder, "data/positions.bin", "thumbnails/0/0.webp", "thumbnails/0/1.webp")
    assert tree(tmp_path) == before
    assert taken.is_symlink() == ("link" in blocked)


@pytest.mark.parametrize(
    "names",
    [
        ["../mine"],
        ["/mine"],
        ["a/../../mine"],
        [".git/config"],
        [1],
        {"a": 1},
        {"..": ["mine"]},
        {"": ["/mine"]},
        {"a": [""]},
        {},
        None,
    ],
)
def test_a_list_that_leads_out_of_the_folder_is_refused(tmp_path, names):
    pack(tmp_path / "site", "data/map.bin")
    (tmp_path / "mine").write_text("mine")
    if names is None:
        (tmp_path / "site/packed-files.json").unlink()
    else:
        (tmp_path / "site/packed-files.json").write_text(json.dumps(names))
    before = tree(tmp_path)
    with pytest.raises(BadQuery, match=r"packed-files\.json, the list of the files .* is gone or damaged"):
        pack(tmp_path / "site", "data/map.bin")
    assert tree(tmp_path) == before
