"""Thumbnails: what is seen, what must not come through, and many who ask at once."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from imgsearch_kit.errors import BadQuery, KitError, UnreadableImage
from imgsearch_kit.files import cache_folder, process_folder
from imgsearch_kit.images import PREVIEW, THUMBNAIL, thumbnail, thumbnails

RED, BLUE = (255, 0, 0), (0, 0, 255)


def encoded(image: Image.Image, form: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def red_and_blue(width: int, height: int) -> Image.Image:
    """Red to the left, blue to the right."""
    image = Image.new("RGB", (width, height), RED)
    image.paste(BLUE, (width // 2, 0, width, height))
    return image


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def drawn(data: bytes, size: int = THUMBNAIL, **options) -> Image.Image:
    with Image.open(thumbnail(data, sha256(data), size, **options)) as image:
        assert image.format == "WEBP"
        image.load()
        return image


@pytest.mark.parametrize(
    ("width", "height", "size", "expected"),
    [
        (600, 300, THUMBNAIL, (256, 128)),
        (300, 600, THUMBNAIL, (128, 256)),
        (3000, 1500, PREVIEW, (1024, 512)),
        (40, 20, THUMBNAIL, (40, 20)),  # never enlarged
        (4000, 3, THUMBNAIL, (256, 1)),
    ],
)
def test_the_longer_side_fits_and_the_shape_stays(width, height, size, expected):
    image = drawn(encoded(red_and_blue(width, height), "JPEG"), size)
    assert image.size == expected
    y = image.height // 2
    np.testing.assert_allclose(image.getpixel((image.width // 8, y)), RED, atol=12)
    np.testing.assert_allclose(image.getpixel((image.width * 7 // 8, y)), BLUE, atol=12)


def test_nothing_but_pixels_comes_through():
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "SECRETCAM"
    exif[ExifTags.Base.Orientation] = 6
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (48.0, 51.0, 30.0)
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/">SECRETPLACE</x:xmpmeta>'
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = encoded(red_and_blue(600, 300), "JPEG", exif=exif, xmp=xmp, icc_profile=profile, comment=b"SECRETNOTE")
    assert data.count(b"SECRET") == 3
    path = thumbnail(data, sha256(data))
    stored = path.read_bytes()
    for mark in (b"SECRET", b"EXIF", b"Exif", b"XMP ", b"ICCP", b"xmpmeta"):
        assert mark not in stored
    with Image.open(path) as image:
        assert not image.getexif()
        assert image.info.keys() <= {"loop", "background", "timestamp", "duration"}
        assert image.size == (128, 256)  # upright: red above, blue below
        np.testing.assert_allclose(image.getpixel((64, 32)), RED, atol=12)
        np.testing.assert_allclose(image.getpixel((64, 224)), BLUE, atol=12)


@pytest.mark.parametrize("mode", ["RGBA", "I;16", "CMYK", "P", "1"])
def test_any_kind_of_picture_has_a_thumbnail(mode):
    data = encoded(Image.new(mode, (20, 10)), "TIFF" if mode == "CMYK" else "PNG")
    expected = {"RGBA": 255, "CMYK": 255}.get(mode, 0)  # clear and inkless are white, the others black
    np.testing.assert_allclose(np.asarray(drawn(data)), expected, atol=2)


def test_it_is_made_once_and_found_again_without_the_source(tmp_path):
    data = encoded(red_and_blue(40, 20), "PNG")
    source = tmp_path / "a.png"
    source.write_bytes(data)
    path = thumbnail(source, sha256(data))
    assert path == cache_folder() / "thumbnails" / f"{sha256(data)}-256.webp"
    first = path.stat()
    source.unlink()
    assert thumbnail(source, sha256(data)) == path
    assert path.stat().st_mtime_ns == first.st_mtime_ns
    assert names(path.parent) == [path.name]  # nothing left over


DAMAGE = [lambda whole: b"", lambda whole: whole[:-7], lambda whole: bytes(len(whole))]
DAMAGE += [
    lambda whole: whole[: len(whole) // 2].ljust(len(whole), b"\0"),
    lambda whole: whole[:12].ljust(len(whole), b"\0"),
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_an_empty_or_damaged_one_is_made_again(damage):
    """As a full disk or a power cut leaves it."""
    data = encoded(red_and_blue(40, 20), "PNG")
    path = thumbnail(data, sha256(data))
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert thumbnail(data, sha256(data)) == path
    assert path.read_bytes() == whole


@pytest.mark.parametrize("side", [1, 16, 256, 1024])
def test_one_of_a_plain_picture_is_whole(side):
    data = encoded(Image.new("RGB", (side, side), (10, 200, 30)), "PNG")
    made = thumbnail(data, sha256(data), PREVIEW).stat()
    kept = thumbnail(b"", sha256(data), PREVIEW).stat()  # when it was last read may differ
    assert (kept.st_ino, kept.st_mtime_ns, kept.st_size) == (made.st_ino, made.st_mtime_ns, made.st_size)


def test_sizes_and_folders_are_kept_apart(tmp_path):
    data = encoded(red_and_blue(2000, 1000), "JPEG")
    assert drawn(data, THUMBNAIL).size == (256, 128)
    assert drawn(data, PREVIEW).size == (1024, 512)
    assert drawn(data, 64, folder=tmp_path / "other" / "place").size == (64, 32)
    assert names(tmp_path / "other" / "place") == [f"{sha256(data)}-64.webp"]


def test_a_file_that_is_another_picture_now_is_not_shown_under_the_old_hash():
    data = encoded(red_and_blue(40, 20), "PNG")
    with pytest.raises(UnreadableImage, match="has changed since it was indexed; index its folder again"):
        thumbnail(data, "0" * 64)
    assert not (cache_folder() / "thumbnails").exists()


def test_what_is_no_picture_has_no_thumbnail():
    with pytest.raises(UnreadableImage, match="It is text, not a picture"):
        thumbnail(b"some text", sha256(b"some text"))
    data = encoded(red_and_blue(40, 20), "PNG")
    with pytest.raises(UnreadableImage, match=r"more than the limit of 0\.0 million"):
        thumbnail(data, sha256(data), max_pixels=799)


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "A" * 64, "a" * 63, "a" * 64 + "\n", "/" + "a" * 63])
def test_only_a_hash_becomes_a_file_name(name):
    with pytest.raises(BadQuery, match="is not a sha256; it must be 64 hexadecimal digits"):
        thumbnail(b"", name)


@pytest.mark.parametrize("size", [0, -1, 20_000])
def test_a_size_that_webp_cannot_hold_is_refused(size):
    with pytest.raises(BadQuery, match=f"The size is {size} pixels; it must be within 1 .. 16383"):
        thumbnail(b"", "a" * 64, size)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    data = encoded(red_and_blue(40, 20), "PNG")
    with pytest.raises(KitError, match=r"file cannot be written: .*; set IMGSEARCH_CACHE to a writable folder"):
        thumbnail(data, sha256(data), folder=tmp_path / "file")


@pytest.mark.parametrize("lost", ["below_a_file", "disk_full", "no_home"])
def test_what_cannot_be_kept_is_drawn_once_a_process(lost, tmp_path, monkeypatch, caplog):
    (tmp_path / "file").touch()
    monkeypatch.setenv("IMGSEARCH_CACHE", str(tmp_path / ("file/cache" if lost == "below_a_file" else "cache")))
    data = encoded(red_and_blue(40, 20), "PNG")
    if lost == "no_home":
        monkeypatch.delenv("IMGSEARCH_CACHE")
        monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: f"~/.cache/{name}")
    if lost == "disk_full":
        monkeypatch.setattr(thumbnails, "write_whole", full_below(cache_folder(), thumbnails.write_whole))
    path = thumbnail(data, sha256(data))
    assert path.is_relative_to(process_folder())
    with Image.open(path) as image:
        assert (image.size, image.format) == ((40, 20), "WEBP")
    if lost != "disk_full":
        made = path.stat().st_mtime_ns
        assert thumbnail(data, sha256(data)) == path
        assert path.stat().st_mtime_ns == made
        [said] = caplog.messages
        assert said.endswith("so thumbnails are made again each time. Set IMGSEARCH_CACHE to a writable folder.")
    path.unlink()


def full_below(folder, write):
    """Writing that fails below a folder as on a full disk."""

    def write_whole(path):
        if path.is_relative_to(folder):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path)

    return write_whole


def test_threads_that_ask_at_once_all_get_a_whole_picture(tmp_path):
    data = encoded(red_and_blue(1500, 700), "JPEG")
    for attempt in range(5):
        with ThreadPoolExecutor(16) as pool:
            sizes = list(pool.map(lambda _, place=tmp_path / str(attempt): drawn(data, folder=place).size, range(32)))
        assert set(sizes) == {(256, 119)}
        assert len(names(tmp_path / str(attempt))) == 1


def test_processes_that_ask_at_once_never_see_half_a_file(tmp_path):
    data = encoded(red_and_blue(1500, 700), "JPEG")
    source = tmp_path / "a.jpg"
    source.write_bytes(data)
    program = (
        "import sys; from pathlib import Path; from PIL import Image; from imgsearch_kit.images import thumbnail\n"
        "source, sha256, folder = sys.argv[1:]\n"
        "for size in range(100, 140): Image.open(thumbnail(Path(source), sha256, size, folder=Path(folder))).load()"
    )
    command = [sys.executable, "-c", program, str(source), sha256(data), str(tmp_path / "cache")]
    askers = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(3)]
    for asker in askers:
        _, complaint = asker.communicate(timeout=120)
        assert (asker.returncode, complaint) == (0, b"")
    assert len(names(tmp_path / "cache")) == 40


def test_a_killed_process_leaves_no_half_thumbnail(tmp_path):
    """What the crash leaves beside the pictures is no picture by its name, and the next one asked is whole."""
    data = encoded(red_and_blue(600, 300), "PNG")
    program = (
        "import os, signal, sys; from PIL import Image; from imgsearch_kit.images import thumbnail\n"
        "from pathlib import Path; save = Image.Image.save\n"
        "def die(image, path, *rest, **options):\n"
        "    Path(path).write_bytes(b'RIFF'); os.kill(os.getpid(), signal.SIGKILL)\n"
        "Image.Image.save = die; thumbnail(sys.stdin.buffer.read(), sys.argv[1], folder=Path(sys.argv[2]))"
    )
    killed = subprocess.run([sys.executable, "-c", program, sha256(data), str(tmp_path)], input=data, timeout=60)
    assert killed.returncode == -9
    assert list(tmp_path.glob("*.webp")) == []
    assert drawn(data, folder=tmp_path).size == (256, 128)
