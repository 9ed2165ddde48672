"""What is packed and what is not, where it is written, and what is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgsearch_kit.errors import BadQuery, UnreadableImage
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.index import create_index, new_passport
from imgsearch_kit.indexing.folder import index_folder
from imgsearch_kit.indexing.selected import write_selected
from imgsearch_kit.reports import visible
from imgsearch_kit.share.data import digest_of, evaluation_part
from tests.share.conftest import EXIF_PLACE, HOSTILE
from tests.small_extractor import QuarterColours, paint

LABEL = HOSTILE.replace("/", "")


def documents(folder):
    return {path.name: json.loads(path.read_text()) for path in (folder / "site.json", *folder.glob("data/*.json"))}


def test_the_parts_say_what_the_gallery_says(site, gallery):
    folder, report = site
    assert report.pictures == 24
    assert report.classes == 3
    assert report.failed == []
    sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    del sizes["packed-files.json"]
    assert report.size == sum(sizes.values())
    packed, _ = gallery.quantised()
    vectors = packed.vectors()
    stored = np.frombuffer((folder / "data/vectors.f16").read_bytes(), "<f2").reshape(24, 512)
    assert np.abs(stored - vectors).max() < 1e-3
    nearest = np.frombuffer((folder / "data/neighbours/0.bin").read_bytes()[: 24 * 23 * 4], "<u4").reshape(24, 23)
    ids = [record.id for record in packed.records()]
    for row in (0, 7, 23):
        answer = packed.index.search(vectors[row : row + 1], 23, exclude=[[ids[row]]]).ids[0].tolist()
        assert [ids[near] for near in nearest[row]] == answer
    evaluation = packed.evaluate().to_json()
    told = documents(folder)["evaluation.json"]
    assert told["figures"]["P@4"]["value"] == pytest.approx(evaluation["micro"]["P@4"]["value"], abs=1e-4)
    assert {each["name"]: each["queries"] for each in told["classes"]} == {
        label: each["queries"] for label, each in evaluation["per_class"].items()
    }
    packed.close()


def test_no_original_no_path_and_no_metadata_is_on_the_site(site, photographs):
    folder, _ = site
    content = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert EXIF_PLACE.encode() in (photographs / "cat/with-place.jpg").read_bytes()
    assert EXIF_PLACE.encode() not in content
    assert str(photographs.parent).encode() not in content
    for path in folder.rglob("*.webp"):
        with Image.open(path) as image:
            assert max(image.size) <= 160
            assert not image.getexif()


def test_an_anonymous_site_has_numbers_and_without_classes_that_are_excluded(gallery, runtime, tmp_path):
    listed = gallery.packing(exclude_labels=[LABEL], anonymous=True)
    assert listed.classes == {"cat": 11, "coffee": 10}
    assert "3 of excluded classes are left out" in str(listed)
    gallery.pack(tmp_path / "site", exclude_labels=[LABEL], anonymous=True, runtime=runtime, progress=False)
    texts = [path.read_text() for path in (tmp_path / "site").rglob("*.json")] + [
        (tmp_path / "site/README.md").read_text()
    ]
    assert documents(tmp_path / "site")["pictures.json"]["ids"] == [str(number) for number in range(1, 22)]
    uuids = [row[1] for row in gallery.quantised()[0].passport.rows() if row[0] == "uuid"]
    passport = dict(documents(tmp_path / "site")["site.json"]["passport"])
    assert passport["pictures"] == "21"
    assert documents(tmp_path / "site")["evaluation.json"]["title"] == "21 queries of 2 classes against 21 pictures"
    for text in texts:
        assert not [uuid for uuid in (*uuids, gallery.passport.uuid) if uuid in text]
        assert "original" not in text
        assert "hurt" not in text
        assert "photographs" not in text


@pytest.mark.parametrize("anonymous", [True, False])
def test_a_warning_that_names_folders_is_not_on_an_anonymous_site(gallery, anonymous):
    found = gallery.evaluate(rank="")
    found = replace(found, about=dict(found.about) | {"warnings": ["The folders have 2 names (Anna, Bert)."]})
    part = evaluation_part(found, {}, anonymous=anonymous)
    assert ("Anna" in json.dumps(part)) is not anonymous


def test_a_new_site_takes_the_place_of_an_earlier_one_and_leaves_the_owners_files(site, gallery, runtime, tmp_path):
    folder = shutil.copytree(site[0], tmp_path / "site")
    (folder / ".git").mkdir()
    (folder / ".git/config").write_text("mine")
    (folder / "README.md").write_text("mine")
    (folder / "CNAME").write_text("mine")
    (folder / "thumbnails/0/99.webp").write_text("of an earlier site")
    listed = json.loads((folder / "packed-files.json").read_text())
    listed["thumbnails/0"].append("99.webp")
    (folder / "packed-files.json").write_text(json.dumps(listed))
    (folder / "thumbnails/holiday.jpg").write_text("mine")
    report = gallery.pack(folder, runtime=runtime, title="Another: title", progress=False)
    assert report.to_json()["kept"] == ["README.md"]
    assert "README.md is yours and stays as it is" in str(report)
    assert "pages.yml" not in str(report)
    assert [
        (folder / name).read_text() for name in (".git/config", "README.md", "CNAME", "thumbnails/holiday.jpg")
    ] == ["mine"] * 4
    assert not (folder / "thumbnails/0/99.webp").exists()
    assert documents(folder)["site.json"]["title"] == "Another: title"
    assert not list(folder.glob(".site-*"))


def test_the_version_changes_with_a_label_and_only_with_a_change(
    site, float_index, conv_weights, gallery, runtime, tmp_path
):
    shutil.copyfile(float_index, tmp_path / "index.db")
    versions = [documents(site[0])["site.json"]["version"]]
    with Gallery.open(f"local:{tmp_path / 'index.db'}", weights=conv_weights, root=gallery.root) as copied:
        for label in ("cat", "crimson"):
            copied.label({"cat/with-place.jpg": label})
            copied.pack(tmp_path / "site", runtime=runtime, progress=False)
            versions.append(documents(tmp_path / "site")["site.json"]["version"])
    assert versions[0] == versions[1] != versions[2]


@pytest.mark.parametrize("part", ["data/map.bin", "data/evaluation.json", "code/share/site/page.js"])
def test_the_version_changes_with_any_file(tmp_path, part):
    path = tmp_path / part
    path.parent.mkdir(parents=True)
    path.write_text("one")
    before = digest_of(tmp_path)
    assert digest_of(tmp_path) == before
    path.write_text("two")
    assert digest_of(tmp_path) != before


@pytest.mark.parametrize("made", ["file", "folder", "other_site"])
def test_nothing_that_the_kit_did_not_write_is_replaced(gallery, tmp_path, made):
    target = tmp_path / "target"
    if made == "file":
        target.write_text("mine")
    else:
        target.mkdir()
        (target / ("notes.txt" if made == "folder" else "site.json")).write_text('{"generator": "another"}')
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(BadQuery, match=r"target (is a file|holds '(notes.txt|site.json)', and imgsearch did not)"):
        gallery.pack(target)
    assert sorted(tmp_path.rglob("*")) == before


def test_hosts_find_what_they_want(gallery, site):
    from ruamel.yaml import YAML

    front = (site[0] / "README.md").read_text().split("---")[1]
    said = YAML(typ="safe").load(front)
    assert said["sdk"] == "static"
    assert said["title"] == "24 pictures"
    assert said["custom_headers"]["cross-origin-embedder-policy"] == "require-corp"
    workflow = YAML(typ="safe").load((site[0] / ".github/workflows/pages.yml").read_text())
    assert "actions/upload-pages-artifact" in str(workflow["jobs"])
    assert (site[0] / ".nojekyll").exists()


def test_what_no_browser_can_compute_is_refused(tmp_path, conv_weights):
    paint(tmp_path / "pictures/red/a.png", "red")
    extractor = QuarterColours()
    index = create_index("memory:", new_passport(extractor.spec))
    index_folder(tmp_path / "pictures", index, extractor, progress=False)
    with pytest.raises(BadQuery, match=r"made by quarters, which has no int8 form .* imgsearch index FOLDER"):
        Gallery(index, extractor).packing()


def test_a_gallery_whose_pictures_are_gone_is_refused(float_index, conv_weights, tmp_path):
    with Gallery.open(f"local:{float_index}", weights=conv_weights, root=tmp_path) as gone:
        with pytest.raises(BadQuery, match=r"needs thumbnails .* none of them can be found\. .* --root FOLDER"):
            gone.packing()
        with pytest.raises(BadQuery, match="none of them can be found"):
            gone.pack(tmp_path / "site")
        assert not (tmp_path / "site").exists()
        with pytest.raises(UnreadableImage, match=r"extracted again by vgg16-rmac@int8, and none of 24 can be read"):
            gone.quantised()


def test_only_new_pictures_are_extracted_again(photographs, conv_weights, tmp_path):
    folder = tmp_path / "pictures"
    shutil.copytree(photographs / "cat", folder / "cat")
    address = f"local:{tmp_path / 'index.db'}"
    with Gallery.from_folder(folder, address, weights=conv_weights, fetch=False, progress=False) as gallery:
        gallery.quantised()[0].close()
        (folder / "cat/with-place.jpg").unlink()
        paint(folder / "new/red.png", "red")
        gallery.add(folder, prune=True, progress=False)
        gallery.label({"new/red.png": "crimson"})
        shutil.rmtree(folder / "cat")  # what is extracted already needs no file
        twin, failed = gallery.quantised()
        assert failed == []
        assert [record.id for record in twin.records()] == [record.id for record in gallery.records()]
        assert twin.record("new/red.png").label == "crimson"
        twin.close()


def test_the_command_lists_what_will_be_shown_and_writes_nothing_unasked(float_index, tmp_path):
    imgsearch = str(Path(sys.executable).with_name("imgsearch"))
    command = [imgsearch, "pack", "--static", "-o", str(tmp_path / "site")]
    done = subprocess.run([*command, "--index", f"local:{float_index}"], capture_output=True, text=True, input="")
    assert done.returncode == 2
    assert "Everyone who can open the site will see 24 pictures in 3 classes" in done.stderr
    assert "coffee" in done.stderr
    assert "--yes is needed without a terminal" in done.stderr
    assert not (tmp_path / "site").exists()


def test_the_json_of_the_command_has_all_names_that_were_listed(float_index, conv_weights, gallery, runtime, tmp_path):
    command = [
        Path(sys.executable).with_name("imgsearch"),
        "pack",
        "--static",
        "-o",
        tmp_path / "site",
        "--yes",
        "--json",
    ]
    options = ["--index", f"local:{float_index}", "--weights", conv_weights, "--runtime", runtime]
    done = subprocess.run([*map(str, [*command, *options])], capture_output=True, text=True, check=True)
    assert "... and 4 more (--json lists all)" in done.stderr
    assert json.loads(done.stdout)["contents"]["names"] == [record.id for record in gallery.records()]


def test_what_was_listed_is_packed_though_pictures_came_since(float_index, conv_weights, gallery, runtime, tmp_path):
    shutil.copyfile(float_index, tmp_path / "index.db")
    paint(tmp_path / "more/secret.png", "red")
    with Gallery.open(f"local:{tmp_path / 'index.db'}", weights=conv_weights, root=gallery.root) as copied:
        listed = copied.packing()
        copied.add(tmp_path / "more", prefix="more", progress=False)
        with pytest.raises(BadQuery, match=r"contents says already .* to packing\(\)"):
            copied.pack(tmp_path / "site", contents=listed, anonymous=True)
        report = copied.pack(tmp_path / "site", contents=listed, runtime=runtime, progress=False)
    assert report.pictures == 24
    assert documents(tmp_path / "site")["pictures.json"]["ids"] == [visible(name) for name in listed.names]


@pytest.mark.parametrize("static", [True, False])
def test_a_picture_that_was_removed_since_is_said(float_index, conv_weights, gallery, runtime, tmp_path, static):
    shutil.copyfile(float_index, tmp_path / "index.db")
    with Gallery.open(f"local:{tmp_path / 'index.db'}", weights=conv_weights, root=gallery.root) as copied:
        listed = copied.packing()
        copied.index.delete(["cat/with-place.jpg"])
        options = {"runtime": runtime} if static else {}
        with pytest.raises(BadQuery, match=r"1 of 24 pictures were removed from the index meanwhile\. Pack again\."):
            copied.pack(tmp_path / "site", static=static, contents=listed, progress=False, **options)
    assert not (tmp_path / "site").exists()


def test_a_picture_removed_while_the_site_is_written_is_said(
    gallery, photographs, conv_weights, runtime, tmp_path, monkeypatch
):
    packed, _ = gallery.quantised()
    records = packed.records()
    write_selected(packed.index, [record.id for record in records], records, tmp_path / "index.db")
    packed.close()
    project = Gallery.projection

    def removing(self, **options):
        found = project(self, **options)
        self.index.delete(["cat/with-place.jpg"])
        return found

    monkeypatch.setattr(Gallery, "projection", removing)
    opened = Gallery.open(f"local:{tmp_path / 'index.db'}", weights=conv_weights, root=photographs)
    with (
        opened,
        pytest.raises(BadQuery, match=r"1 of 24 pictures were removed from the index meanwhile\. Pack again\."),
    ):
        opened.pack(tmp_path / "site", runtime=runtime, progress=False)
    assert not (tmp_path / "site").exists()
