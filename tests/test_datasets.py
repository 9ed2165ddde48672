"""Sample pictures from the installed scikit-image, and Caltech-101 from a server on this machine."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tarfile
import threading
import traceback
import zipfile
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgsearch_kit.classes import folder_label
from imgsearch_kit.datasets import CALTECH101, VIEWS, Archive, caltech101, sample_pictures
from imgsearch_kit.errors import BadQuery, KitError, MissingExtra, ServerUnavailable
from imgsearch_kit.images import find_images


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- sample pictures -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    return sample_pictures(tmp_path_factory.mktemp("samples"))


def test_twenty_photographs_and_nine_views_of_each(samples):
    found = find_images(samples)
    assert found.unreadable == []
    assert len(found.images) == 200
    by_subject = Counter(folder_label(image.id) for image in found.images)
    assert by_subject.pop("motorcycle") == 20  # left and right are one subject
    assert len(by_subject) == 18
    assert set(by_subject.values()) == {10}
    views = Counter(image.path.stem.rpartition("-")[2] for image in found.images)
    assert views == dict.fromkeys(["original", *VIEWS], 20)
    assert len(VIEWS) == 9
    assert len(contents(samples)) == 200


def test_originals_are_the_files_that_scikit_image_carries(samples):
    import skimage

    data = Path(skimage.__file__).parent / "data"
    assert (samples / "cat" / "cat-original.png").read_bytes() == (data / "chelsea.png").read_bytes()
    assert (samples / "retina" / "retina-original.jpg").read_bytes() == (data / "retina.jpg").read_bytes()


def view(samples: Path, name: str) -> np.ndarray:
    """The cat (451 x 300) in one view, as floats."""
    suffix = "png" if name == "original" else "jpg"
    with Image.open(samples / "cat" / f"cat-{name}.{suffix}") as image:
        return np.asarray(image.convert("RGB"), np.float64)


def test_each_view_is_what_its_name_says(samples):
    original = view(samples, "original")
    assert original.shape == (300, 451, 3)
    np.testing.assert_allclose(view(samples, "crop"), original[45:255, 45:361], atol=60)
    np.testing.assert_allclose(view(samples, "flip")[:, ::-1].mean(), original.mean(), atol=1)
    assert np.abs(view(samples, "flip")[:, ::-1] - original).mean() < 4
    np.testing.assert_allclose(view(samples, "brightness").mean(), 0.55 * original.mean(), atol=1)
    assert np.abs(view(samples, "noise") - original).std() > 8
    assert (view(samples, "occlusion")[160:260, 240:370] == 128).mean() > 0.9
    assert np.abs(view(samples, "occlusion")[:140] - original[:140]).mean() < 4
    grey = view(samples, "grey")
    assert (grey == grey[..., :1]).all()
    assert np.abs(np.diff(view(samples, "blur"), axis=1)).mean() < 0.6 * np.abs(np.diff(original, axis=1)).mean()
    jpeg20, flip = (samples / "cat" / f"cat-{name}.jpg" for name in ("jpeg20", "flip"))
    assert jpeg20.stat().st_size < 0.5 * flip.stat().st_size
    rotation = view(samples, "rotation")
    assert rotation.shape[0] < 300
    assert all(rotation[y, x].max() > 20 for y in (0, -1) for x in (0, -1))  # no empty corner


def test_no_two_pictures_are_the_same(samples):
    assert len({hashlib.sha256(data).digest() for data in contents(samples).values()}) == 200
    # Not even the grey view of a grey photograph, by its pixels.
    with Image.open(samples / "moon" / "moon-original.png") as a, Image.open(samples / "moon" / "moon-grey.jpg") as b:
        assert np.abs(np.asarray(a.convert("L"), int) - np.asarray(b.convert("L"), int)).mean() > 10


def test_the_same_bytes_every_time(samples, tmp_path):
    assert contents(sample_pictures(tmp_path)) == contents(samples)


def test_a_complete_folder_is_left_alone(samples):
    before = {path: path.stat().st_mtime_ns for path in samples.rglob("*")}
    assert sample_pictures(samples) == samples
    assert {path: path.stat().st_mtime_ns for path in samples.rglob("*")} == before


def test_a_killed_run_is_completed_by_the_next(samples, tmp_path):
    folder = tmp_path / "demo"
    program = (
        "import os, signal, sys; from pathlib import Path; from imgsearch_kit.datasets import sample_pictures\n"
        "left, replace = iter(range(77)), Path.replace\n"
        "def die_at_last(path, target):\n"
        "    if next(left, None) is None: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return replace(path, target)\n"
        "Path.replace = die_at_last; sample_pictures(Path(sys.argv[1]))"
    )
    assert subprocess.run([sys.executable, "-c", program, str(folder)], timeout=60).returncode == -9
    assert len(find_images(folder).images) == 77
    whole = contents(samples)
    for name, data in contents(folder).items():
        assert any(part.startswith(".") for part in Path(name).parts) or data == whole[name]
    assert [image.id for image in find_images(sample_pictures(folder)).images] == sorted(whole)


def test_without_scikit_image_the_line_to_type_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "skimage", raising=False)
    with pytest.raises(MissingExtra, match=r"scikit-image is not installed. Type: .*imgsearch-kit\[samples\]"):
        sample_pictures(tmp_path / "demo")


def test_a_scikit_image_without_its_data_is_named(monkeypatch, tmp_path):
    (tmp_path / "skimage").mkdir()
    (tmp_path / "skimage" / "__init__.py").touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "skimage", raising=False)
    with pytest.raises(KitError, match=r"scikit-image at .* has no astronaut.png; install scikit-image 0.25 or 0.26"):
        sample_pictures(tmp_path / "demo")


# --- Caltech-101 -----------------------------------------------------------------------------------------------------

JPEG = io.BytesIO()
Image.new("RGB", (30, 20), (200, 30, 30)).save(JPEG, "JPEG")

PICTURES = {
    "101_ObjectCategories/ant/image_0001.jpg": JPEG.getvalue(),
    "101_ObjectCategories/ant/image_0002.jpg": JPEG.getvalue() + b"2",
    "101_ObjectCategories/car_side/image_0001.jpg": JPEG.getvalue() + b"3",
    "101_ObjectCategories/BACKGROUND_Google/image_0001.jpg": JPEG.getvalue() + b"4",
}
OTHERS = {
    "101_ObjectCategories/BACKGROUND_Google/tmp": b"left over",
    "101_ObjectCategories/ant/._image_0001.jpg": b"from a Mac",
    "101_ObjectCategories/../../../evil/image_0001.jpg": b"evil",
    "../evil.jpg": b"evil",
    "/evil/image_0001.jpg": b"evil",
}


def tar_gz(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("101_ObjectCategories/ant/image_0009.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    return file.getvalue()


def as_zip(inner: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as outer:
        outer.writestr("caltech-101/101_ObjectCategories.tar.gz", inner)
        outer.writestr("caltech-101/Annotations.tar", b"not needed")
        outer.writestr("__MACOSX/caltech-101/._101_ObjectCategories.tar.gz", b"from a Mac")
    return file.getvalue()


WHOLE = as_zip(tar_gz(PICTURES | OTHERS))
EXPECTED = {name.removeprefix("101_ObjectCategories/"): data for name, data in PICTURES.items()}


@contextmanager
def serving(content: bytes, *, ranges: bool = True, stop_after: int | None = None):
    """A server that sends ``content``, or lies about its length and stops; gives its address and what was asked."""
    asked: list[tuple[str | None, int]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path != "/caltech-101.zip":
                self.send_error(404)
                return
            wish = self.headers.get("Range") if ranges else None
            start = int(wish.removeprefix("bytes=").rstrip("-")) if wish else 0
            if start and start >= len(content):
                self.send_error(416)
                return
            rest = content[start:]
            self.send_response(206 if wish else 200)
            self.send_header("Content-Length", str(len(rest)))
            self.end_headers()
            self.wfile.write(rest[:stop_after])
            asked.append((self.headers.get("Range"), len(rest[:stop_after])))

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/caltech-101.zip", asked
    finally:
        server.shutdown()
        server.server_close()


def archive_at(address: str, sha256: str = hashlib.sha256(WHOLE).hexdigest()) -> Archive:
    return Archive(address, sha256, pictures=3)


NOWHERE = archive_at("http://127.0.0.1:9/caltech-101.zip")  # nothing listens at the discard port


def test_a_download_is_checked_unpacked_and_used_again(tmp_path):
    folder = tmp_path / "data" / "caltech101"
    with serving(WHOLE) as (address, asked):
        assert caltech101(folder, archive=archive_at(address)) == folder
        assert contents(tmp_path) == {f"data/caltech101/{name}": data for name, data in EXPECTED.items()}
        assert caltech101(folder, archive=archive_at(address)) == folder
        assert len(asked) == 1
    assert not any(path.is_symlink() for path in tmp_path.rglob("*"))
    assert [folder_label(image.id) for image in find_images(folder).images] == [
        "BACKGROUND_Google",
        "ant",
        "ant",
        "car_side",
    ]


def test_a_wrong_checksum_is_refused_and_nothing_stays(tmp_path):
    with (
        serving(WHOLE) as (address, _),
        pytest.raises(
            BadQuery, match=f"has the sha256 {hashlib.sha256(WHOLE).hexdigest()}, not {'0' * 64}, and was del"
        ),
    ):
        caltech101(tmp_path / "caltech101", archive=archive_at(address, "0" * 64))
    assert contents(tmp_path) == {}


def test_a_broken_download_goes_on_where_it_stopped(tmp_path):
    folder, half = tmp_path / "caltech101", len(WHOLE) // 2
    with (
        serving(WHOLE, stop_after=half) as (address, _),
        pytest.raises(ServerUnavailable, match=f"cannot be downloaded from {address}: IncompleteRead"),
    ):
        caltech101(folder, archive=archive_at(address))
    assert contents(tmp_path) == {"caltech-101.zip.part": WHOLE[:half]}
    with serving(WHOLE) as (address, asked):
        caltech101(folder, archive=archive_at(address))
    assert asked == [(f"bytes={half}-", len(WHOLE) - half)]
    assert contents(folder) == EXPECTED


def test_a_server_without_ranges_is_asked_for_all_again(tmp_path):
    (tmp_path / "caltech-101.zip.part").write_bytes(WHOLE[:100])
    with serving(WHOLE, ranges=False) as (address, asked):
        caltech101(tmp_path / "caltech101", archive=archive_at(address))
    assert asked == [("bytes=100-", len(WHOLE))]
    assert contents(tmp_path / "caltech101") == EXPECTED


def test_a_finished_download_that_was_not_unpacked_is_not_fetched_again(tmp_path):
    (tmp_path / "caltech-101.zip.part").write_bytes(WHOLE)
    with serving(WHOLE) as (address, asked):
        caltech101(tmp_path / "caltech101", archive=archive_at(address))
    assert asked == []
    assert contents(tmp_path) == {f"caltech101/{name}": data for name, data in EXPECTED.items()}


def test_offline_the_other_ways_are_named(tmp_path):
    with pytest.raises(
        ServerUnavailable,
        match=r"cannot be downloaded from http://127\.0\.0\.1:9/.*refused.*Get caltech-101\.zip.*sample pictures",
    ):
        caltech101(tmp_path / "caltech101", archive=NOWHERE)


def test_a_server_that_has_no_such_file_is_named(tmp_path):
    with (
        serving(WHOLE) as (address, _),
        pytest.raises(ServerUnavailable, match=r"cannot be downloaded.*HTTP Error 404"),
    ):
        caltech101(tmp_path / "caltech101", archive=archive_at(f"{address}.gone"))
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("content", [WHOLE, tar_gz(PICTURES | OTHERS)], ids=["zip", "tar.gz"])
def test_a_given_archive_is_unpacked_without_a_network(tmp_path, content):
    source = tmp_path / "archive"
    source.write_bytes(content)
    assert caltech101(tmp_path / "caltech101", source, archive=NOWHERE) == tmp_path / "caltech101"
    assert contents(tmp_path) == {"archive": content} | {f"caltech101/{name}": data for name, data in EXPECTED.items()}


@pytest.mark.parametrize("below", ["", "101_ObjectCategories", "caltech-101/101_ObjectCategories"])
def test_a_given_folder_is_used_where_it_is(tmp_path, below):
    for name, data in EXPECTED.items():
        path = tmp_path / "copy" / below / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    assert caltech101(tmp_path / "caltech101", tmp_path / "copy", archive=NOWHERE) == tmp_path / "copy" / below
    assert not (tmp_path / "caltech101").exists()


@pytest.mark.parametrize("missing", ["source", "folder"])
def test_an_incomplete_folder_is_refused_and_left_alone(tmp_path, missing):
    (tmp_path / "some" / "ant").mkdir(parents=True)
    (tmp_path / "some" / "ant" / "image_0001.jpg").write_bytes(JPEG.getvalue())
    folder, source = (tmp_path / "new", tmp_path / "some") if missing == "source" else (tmp_path / "some", None)
    with pytest.raises(BadQuery, match="some holds 1 of the 3 pictures of Caltech-101; remove it, or give another one"):
        caltech101(folder, source, archive=NOWHERE)
    assert contents(tmp_path) == {"some/ant/image_0001.jpg": JPEG.getvalue()}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"no archive", "cannot be unpacked"),
        (tar_gz(PICTURES)[:-200], "cannot be unpacked"),
        (as_zip(b"no archive"), "cannot be unpacked"),
        (as_zip(tar_gz(PICTURES)[:-200]), "cannot be unpacked"),
        (tar_gz(dict(list(PICTURES.items())[1:])), "holds 2 of the 3 pictures"),
        (tar_gz(OTHERS), "holds 0 of the 3 pictures"),
    ],
)
def test_a_bad_archive_is_refused_and_nothing_stays(tmp_path, content, reason):
    source = tmp_path / "archive"
    source.write_bytes(content)
    with pytest.raises(BadQuery, match=f"archive {reason}"):
        caltech101(tmp_path / "caltech101", source, archive=NOWHERE)
    assert contents(tmp_path) == {"archive": content}


def test_a_zip_of_something_else_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as other:
        other.writestr("notes.txt", "nothing")
    with pytest.raises(
        BadQuery, match=r"other\.zip holds no 101_ObjectCategories\.tar\.gz; it is not caltech-101\.zip"
    ):
        caltech101(tmp_path / "caltech101", tmp_path / "other.zip", archive=NOWHERE)


def test_a_source_that_is_missing_is_named(tmp_path):
    with pytest.raises(KitError, match=r"cannot be read or written: .*No such file.*gone\.zip"):
        caltech101(tmp_path / "caltech101", tmp_path / "gone.zip", archive=NOWHERE)


def test_what_a_killed_unpacking_left_is_cleared(tmp_path):
    (tmp_path / ".caltech101.part" / "101_ObjectCategories" / "ant").mkdir(parents=True)
    (tmp_path / ".caltech101.part" / "101_ObjectCategories" / "ant" / "image_0077.jpg").touch()
    source = tmp_path / "caltech-101.zip"
    source.write_bytes(WHOLE)
    assert contents(caltech101(tmp_path / "caltech101", source, archive=NOWHERE)) == EXPECTED
    assert {path.name for path in tmp_path.iterdir()} == {"caltech101", "caltech-101.zip"}


def test_progress_is_quiet_when_nobody_looks(tmp_path, capfd):
    with serving(WHOLE) as (address, _):
        caltech101(tmp_path / "caltech101", archive=archive_at(address))
    assert capfd.readouterr() == ("", "")


def test_the_published_pictures_are_all_there(caltech, tmp_path):
    assert caltech101(tmp_path / "unused", caltech) == caltech
    assert CALTECH101.pictures == 8677


@pytest.mark.parametrize(
    "proxy", ["http:/joe:sekret@127.0.0.1:9", "http://joe:sekret@127.0.0.1:sekret", "joe:sekret@x:9"]
)
def test_the_password_of_a_proxy_is_not_repeated(proxy, tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", proxy)
    with pytest.raises(ServerUnavailable, match="cannot be downloaded") as refused:
        caltech101(tmp_path / "c", archive=Archive("http://nowhere.example/x.zip", "0" * 64, 1))
    assert "sekret" not in "".join(traceback.format_exception(refused.value))
