"""Finding and decoding, on files made here; every expected pixel can be computed by hand."""

from __future__ import annotations

import hashlib
import io
import os
import socket
import sqlite3
import struct
import subprocess
import sys
import threading
import tracemalloc
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgsearch_kit.errors import BadQuery, UnreadableImage
from imgsearch_kit.files import cache_folder
from imgsearch_kit.images import FORMATS, find_images, load, load_many, load_pixels
from tests.conftest import require

RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)


def encoded(image: Image.Image, form: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def quarters(width: int = 40, height: int = 20) -> Image.Image:
    """Red and green above, blue and white below."""
    image = Image.new("RGB", (width, height), RED)
    for colour, left, top in ((GREEN, 1, 0), (BLUE, 0, 1), (WHITE, 1, 1)):
        image.paste(colour, (left * width // 2, top * height // 2, (left + 1) * width // 2, (top + 1) * height // 2))
    return image


def corners(pixels: np.ndarray) -> list[tuple[int, ...]]:
    """The middles of the four quarters: above left, above right, below left, below right."""
    near, far = len(pixels) // 4, 3 * len(pixels) // 4
    return [tuple(map(int, pixels[y, x])) for y in (near, far) for x in (near, far)]


def photograph(side: int = 96) -> Image.Image:
    """A smooth picture with detail, so that a compressed file of it has some length."""
    noise = np.random.default_rng(0).integers(0, 256, (side // 3, side // 3, 3), np.uint8)
    return Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC)


def heif():
    try:
        import pillow_heif
    except ImportError:
        return None
    pillow_heif.register_heif_opener()
    return pillow_heif


@contextmanager
def as_nobody():
    """Permissions mean nothing to root: become a user to whom they do."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder(tmp_path):
    """A folder that another user may walk to."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o755)
    return tmp_path


# --- finding ---------------------------------------------------------------------------------------------------------


def touch(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def ids(root: Path) -> list[str]:
    return [image.id for image in find_images(root).images]


def test_pictures_are_found_in_id_order(tmp_path):
    for name in ("b/two.JPG", "a/deep/one.png", "top.webp", "a/x.heic", "a.b/y.tiff"):
        touch(tmp_path / name, b"12345")
    found = find_images(tmp_path)
    in_order = ["a.b/y.tiff", "a/deep/one.png", "a/x.heic", "b/two.JPG", "top.webp"]
    assert [image.id for image in found.images] == in_order
    first = found.images[0]
    assert first.path == tmp_path / "a.b" / "y.tiff"
    assert (first.size, first.mtime) == (5, first.path.stat().st_mtime)
    assert found.unreadable == []


def test_hidden_files_and_other_files_are_left_out(tmp_path):
    for name in (".hidden.jpg", ".git/a.jpg", "notes.txt", "jpg", "a.jpg.bak", "b.svg", "a.jpg"):
        touch(tmp_path / name)
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    assert ids(tmp_path) == ["a.jpg"]
    assert find_images(tmp_path).unreadable == []
    assert find_images(tmp_path).passed_over == {
        "other files": 3,
        "SVG drawings": 1,
        "pipes, sockets and devices": 1,
    }


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    "name",
    ["b.jpg?w=200", "c.jpg_large", "d.jpg.1", "e.jpeg ", "g.pjpeg", "noextension", "a.jpg~", "x.y/3f2a", "2024.05.01"],
)
def test_a_picture_whose_extension_is_missing_or_unknown_is_known_by_its_first_bytes(tmp_path, name, form):
    touch(tmp_path / name, encoded(quarters(), form))
    found = find_images(tmp_path)
    assert [(image.id, image.path) for image in found.images] == [(name, tmp_path / name)]
    assert found.passed_over == {}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("IMG_1.CR2", "camera RAW pictures"),
        ("a.nef", "camera RAW pictures"),
        ("a.dng", "camera RAW pictures"),
        ("a.psd", "Photoshop documents"),
        ("a.svg", "SVG drawings"),
        ("a.pdf", "PDF documents"),
        ("a.eps", "PostScript drawings"),
        ("a.MP4", "videos"),
        ("a.jp2", "pictures of other formats"),
        ("a.tga", "pictures of other formats"),
        ("a.txt", "other files"),
        ("a.jpg.part", "other files"),
    ],
)
def test_files_of_other_kinds_are_counted_whatever_they_hold(tmp_path, name, kind):
    touch(tmp_path / name, encoded(quarters(), "TIFF"))
    assert find_images(tmp_path).passed_over == {kind: 1}
    assert ids(tmp_path) == []


@pytest.mark.parametrize("content", [b"", b"#!/bin/sh\n", b"\xff\xd8", bytes(50), b"8BPS\0\1" + bytes(50)])
def test_a_file_of_unknown_extension_that_does_not_begin_as_a_picture_is_counted(tmp_path, content):
    touch(tmp_path / "thing", content)
    assert find_images(tmp_path).passed_over == {"other files": 1}


def test_what_is_no_regular_file_is_never_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        (tmp_path / "zero").symlink_to("/dev/zero")
        found = find_images(tmp_path)
    assert (found.images, found.unreadable) == ([], [])
    assert found.passed_over == {"pipes, sockets and devices": 3}


def test_a_file_of_unknown_extension_that_cannot_be_opened_is_counted(open_folder):
    touch(open_folder / "secret").chmod(0)
    with as_nobody():
        assert find_images(open_folder).passed_over == {"unreadable files of no known extension": 1}


def test_a_database_in_use_keeps_its_lock(tmp_path):
    """SQLite's lock ends when the process closes any file of the database, however it was opened."""
    path = str(tmp_path / "pictures")
    begin = f"import sqlite3; sqlite3.connect({path!r}, 0).execute('BEGIN IMMEDIATE')"
    with closing(sqlite3.connect(path)) as writer:
        writer.executescript("PRAGMA journal_mode=WAL; CREATE TABLE t(x); BEGIN IMMEDIATE")
        assert find_images(tmp_path).passed_over == {"other files": 3}
        other = subprocess.run([sys.executable, "-c", begin], capture_output=True, text=True, timeout=60)
    assert "database is locked" in other.stderr


@pytest.mark.parametrize(
    "name",
    [
        *("@eaDir", "#recycle", "$RECYCLE.BIN", "$Recycle.Bin", "lost+found", "__MACOSX", "System Volume Information"),
        *("@__thumb", "RECYCLER", "RECYCLED", "found.000", "FOUND.012", "Network Trash Folder", "Temporary Items"),
        *("iPod Photo Cache", "Lightroom Previews.lrdata", "My Catalog Smart Previews.LRDATA"),
        *("__pycache__", "node_modules"),
    ],
)
def test_folders_of_the_system_are_left_out_and_named(tmp_path, name):
    for path in ("dogs/a.jpg", f"{name}/old.jpg", f"dogs/{name}/a.jpg/THUMB.jpg", "cats/lost and found/b.jpg"):
        touch(tmp_path / path)
    found = find_images(tmp_path)
    assert [image.id for image in found.images] == ["cats/lost and found/b.jpg", "dogs/a.jpg"]
    assert found.system == sorted([name, f"dogs/{name}"])
    assert ids(tmp_path / name) == ["old.jpg"]  # where a person asks for it


def test_of_a_photos_library_the_originals_are_found_and_not_their_copies(tmp_path):
    for path in ("resources/derivatives/0/a.jpg", "resources/b.jpg", "Masters/2024/c.jpg", "originals/0/d.jpg"):
        touch(tmp_path / "My.photoslibrary" / path)
    originals = ["Masters/2024/c.jpg", "originals/0/d.jpg"]
    touch(tmp_path / "resources" / "e.jpg")
    assert ids(tmp_path) == [*(f"My.photoslibrary/{name}" for name in originals), "resources/e.jpg"]
    assert ids(tmp_path / "My.photoslibrary") == originals
    assert ids(tmp_path / "My.photoslibrary" / "resources") == ["b.jpg", "derivatives/0/a.jpg"]


def test_names_that_only_resemble_system_folders_are_classes(tmp_path):
    for name in ("found", "found.0000", "lost.and.found.000", "recycled paper", "lrdata"):
        touch(tmp_path / name / "a.jpg")
    assert len(ids(tmp_path)) == 5


def test_a_hidden_root_is_searched(tmp_path):
    touch(tmp_path / ".pictures" / "a.jpg")
    assert ids(tmp_path / ".pictures") == ["a.jpg"]


@pytest.mark.parametrize(("make", "reason"), [(False, "No such file"), (True, "Not a directory")])
def test_a_root_that_is_no_folder_is_refused(tmp_path, make, reason):
    root = tmp_path / "pictures"
    if make:
        touch(root)
    with pytest.raises(BadQuery, match=f"{root} cannot be read: {reason}"):
        find_images(root)


def test_link_loops_end_and_each_real_folder_is_walked_once(tmp_path):
    outside = tmp_path / "outside"
    touch(outside / "far.jpg")
    root = tmp_path / "root"
    touch(root / "real" / "a.jpg")
    (root / "real" / "loop").symlink_to(root)
    (root / "again").symlink_to(root / "real")  # before "real" in the alphabet, yet the folder itself keeps its ids
    (root / "linked").symlink_to(outside)
    (root / "twice").symlink_to(outside)
    (root / "file.jpg").symlink_to(root / "real" / "a.jpg")
    found = find_images(root)
    assert [image.id for image in found.images] == ["file.jpg", "linked/far.jpg", "real/a.jpg"]
    assert found.unreadable == []


def test_broken_links_are_reported(tmp_path):
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    (tmp_path / "self.png").symlink_to(tmp_path / "self.png")
    (tmp_path / "notes.txt").symlink_to(tmp_path / "nowhere")
    failures = find_images(tmp_path).unreadable
    assert [(failure.path, failure.reason) for failure in failures] == [
        ("gone", "The link is broken"),
        ("gone.jpg", "The link is broken"),
        ("self.png", "The link is broken"),
    ]


def test_unreadable_folders_are_reported_and_the_rest_is_found(open_folder):
    touch(open_folder / "open" / "a.jpg")
    touch(open_folder / "shut" / "b.jpg").parent.chmod(0)
    try:
        with as_nobody():
            found = find_images(open_folder)
            with pytest.raises(BadQuery, match="shut cannot be read: Permission denied; give a folder"):
                find_images(open_folder / "shut")
    finally:
        (open_folder / "shut").chmod(0o755)
    assert [image.id for image in found.images] == ["open/a.jpg"]
    assert [(f.path, f.reason) for f in found.unreadable] == [
        ("shut", "The folder cannot be read: Permission denied"),
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names themselves")
def test_a_name_that_is_not_utf8_is_reported_printably(tmp_path):
    touch(Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg")))
    touch(tmp_path / "café.jpg")
    found = find_images(tmp_path)
    assert [image.id for image in found.images] == ["café.jpg"]
    assert [(f.path, f.reason) for f in found.unreadable] == [("caf\\udce9.jpg", "The name is not UTF-8; rename it")]


# --- what the pixels are ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_gives_its_colours(form):
    options = {"quality": 100, "subsampling": 0} if form == "JPEG" else {"lossless": True} if form == "WEBP" else {}
    data = encoded(quarters(), form, **options)
    loaded = load(data, 8)
    assert loaded.pixels.shape == (8, 8, 3)
    assert loaded.pixels.dtype == np.uint8
    assert (loaded.width, loaded.height, loaded.size) == (40, 20, len(data))
    assert loaded.sha256 == hashlib.sha256(data).hexdigest()
    np.testing.assert_allclose(corners(loaded.pixels), [RED, GREEN, BLUE, WHITE], atol=4)


def test_heic_is_read_when_pillow_heif_is_there():
    require(heif(), "pillow-heif", "python -m pip install pillow-heif")
    loaded = load(encoded(quarters(), "HEIF", quality=100), 8)
    assert (loaded.width, loaded.height) == (40, 20)
    np.testing.assert_allclose(corners(loaded.pixels), [RED, GREEN, BLUE, WHITE], atol=8)


def test_without_pillow_heif_the_reason_names_the_line_to_type():
    require(heif(), "pillow-heif", "python -m pip install pillow-heif")
    program = (
        "import sys; sys.modules['pillow_heif'] = None\n"
        "from imgsearch_kit.images import load_pixels\n"
        "try: load_pixels(sys.stdin.buffer.read(), 8)\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    data = encoded(quarters(), "HEIF")
    answer = subprocess.run([sys.executable, "-c", program], input=data, capture_output=True, check=True, timeout=60)
    assert answer.stdout.decode().strip() == (
        "UnreadableImage HEIC pictures need one more package. Type: python -m pip install pillow-heif"
    )


def test_path_and_bytes_give_the_same(tmp_path):
    data = encoded(photograph(), "JPEG")
    path = touch(tmp_path / "a.jpg", data)
    from_path, from_bytes = load(path, 32, "bicubic"), load(data, 32, "bicubic")
    np.testing.assert_array_equal(from_path.pixels, from_bytes.pixels)
    np.testing.assert_array_equal(from_path.pixels, load_pixels(path, 32, "bicubic"))
    assert from_path.sha256 == from_bytes.sha256


def test_the_whole_picture_is_squashed_to_the_square():
    wide = Image.new("RGB", (400, 10), BLACK)
    wide.paste(WHITE, (300, 0, 400, 10))
    pixels = load_pixels(encoded(wide, "PNG"), 4)
    assert pixels[:, 0].max() == 0
    assert pixels[:, 3].min() > 200  # the last quarter of the picture is the last quarter of the square


def test_resizing_is_antialiased():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    np.testing.assert_allclose(load_pixels(encoded(Image.fromarray(stripes), "PNG"), 8), 128, atol=5)


def test_the_resampling_filter_is_the_one_named():
    data = encoded(photograph(), "PNG")
    for name in ("bilinear", "bicubic"):
        expected = np.asarray(photograph().resize((32, 32), Image.Resampling[name.upper()]))
        np.testing.assert_array_equal(load_pixels(data, 32, name), expected)
    assert not np.array_equal(load_pixels(data, 32, "bilinear"), load_pixels(data, 32, "bicubic"))


def test_a_wrong_filter_or_side_is_refused():
    data = encoded(quarters(), "PNG")
    with pytest.raises(BadQuery, match=r"no resampling filter 'cubic'; the filters are nearest, .*bicubic"):
        load(data, 8, "cubic")
    with pytest.raises(BadQuery, match="The side is 0 pixels; it must be at least 1"):
        load(data, 0)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        (1, [RED, GREEN, BLUE, WHITE]),
        (2, [GREEN, RED, WHITE, BLUE]),
        (3, [WHITE, BLUE, GREEN, RED]),
        (4, [BLUE, WHITE, RED, GREEN]),
        (5, [RED, BLUE, GREEN, WHITE]),
        (6, [BLUE, RED, WHITE, GREEN]),
        (7, [WHITE, GREEN, BLUE, RED]),
        (8, [GREEN, WHITE, RED, BLUE]),
    ],
)
def test_exif_orientation_is_applied(form, orientation, expected):
    exif = Image.Exif()
    exif[0x0112] = orientation
    loaded = load(encoded(quarters(), form, exif=exif, quality=100), 8)
    np.testing.assert_allclose(corners(loaded.pixels), expected, atol=70 if form == "JPEG" else 12)
    assert (loaded.width, loaded.height) == ((20, 40) if orientation >= 5 else (40, 20))


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_is_none(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    loaded = load(encoded(quarters(), "PNG", exif=exif), 8)
    assert corners(loaded.pixels) == [RED, GREEN, BLUE, WHITE]
    assert (loaded.width, loaded.height) == (40, 20)


@pytest.mark.parametrize("exif", [b"II*\0\x08\0\0\0\xff\xff" + b"\xee" * 30, b"no TIFF header", b"MM\0*"])
def test_damaged_exif_does_not_spoil_a_picture(exif):
    data = encoded(quarters(), "PNG", exif=b"Exif\0\0" + exif)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert corners(load_pixels(data, 8)) == [RED, GREEN, BLUE, WHITE]


RAMP = np.repeat(np.array([[0, 21845, 43690, 65535]], np.uint16), 4, axis=0)  # thirds of the range
THIRDS = [0, 85, 170, 255]


def row(data: bytes) -> list[int]:
    """The first row of a 4 x 4 picture, which must be grey."""
    pixels = load_pixels(data, 4)
    assert (pixels == pixels[..., :1]).all()
    return pixels[0, :, 0].tolist()


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_not_clipped(form):
    assert row(encoded(Image.fromarray(RAMP), form)) == THIRDS


def test_32_bit_integers_are_scaled():
    assert row(encoded(Image.fromarray(RAMP.astype(np.int32)), "TIFF")) == THIRDS
    assert row(encoded(Image.fromarray((RAMP.astype(np.int32) - 30_000) * 1000), "TIFF")) == THIRDS


@pytest.mark.parametrize("scale", [1.0, 1000.0, 1e-300])
def test_floats_are_scaled_from_0_to_1_or_from_their_own_range(scale):
    values = np.float32(RAMP / 65535 * scale - (500 if scale > 1 else 0))
    assert row(encoded(Image.fromarray(values), "TIFF")) == (THIRDS if scale >= 1 else [0, 0, 0, 0])


def test_floats_within_0_to_1_keep_their_brightness():
    assert row(encoded(Image.fromarray(np.full((4, 4), 0.2, np.float32)), "TIFF")) == [51] * 4


def test_floats_that_are_no_numbers_do_not_spoil_the_rest():
    values = np.full((4, 4), -10, np.float32)
    values[0] = [np.nan, np.inf, 0, 10]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert row(encoded(Image.fromarray(values), "TIFF")) == [0, 255, 128, 255]


def tiff(width: int, height: int, tags: dict[int, int], strip: bytes) -> bytes:
    """A little-endian TIFF of one uncompressed grey strip, for kinds that Pillow does not write."""
    tags = {256: width, 257: height, 259: 1, 262: 1, 277: 1, 278: height, 279: len(strip)} | tags
    tags[273] = 8 + 2 + 12 * (len(tags) + 1) + 4
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    return struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + bytes(4) + strip


def test_12_bit_grey_is_scaled_from_its_own_range():
    packed = b"".join(bytes([a >> 4, (a & 15) << 4 | b >> 8, b & 255]) for a, b in ((0, 1365), (2730, 4095)))
    assert row(tiff(4, 4, {258: 12}, packed * 4)) == THIRDS


def test_white_is_zero_turns_16_bit_grey_around():
    assert row(tiff(4, 4, {258: 16, 262: 0}, RAMP.tobytes())) == THIRDS[::-1]


def chunk(name: bytes, content: bytes) -> bytes:
    """A part of a PNG file."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


LARGE = zlib.compress(b"lorem ipsum " * 180_000)
LARGE_CHUNKS = {
    "zTXt": chunk(b"zTXt", b"workflow\0\0" + LARGE),
    "iTXt": chunk(b"iTXt", b"workflow\0\1\0\0\0" + LARGE),
    "iCCP": chunk(b"iCCP", b"printer\0\0" + LARGE),
    "tEXt": chunk(b"tEXt", b"workflow\0" + b"lorem ipsum " * 180_000),
}


@pytest.mark.parametrize("place", [33, -12], ids=["before the pixels", "after them"])
@pytest.mark.parametrize("name", LARGE_CHUNKS)
def test_large_texts_and_profiles_of_a_png_do_not_matter(name, place):
    whole = encoded(quarters(), "PNG")
    data = whole[:place] + LARGE_CHUNKS[name] + whole[place:]
    assert np.array_equal(load_pixels(data, 32), load_pixels(whole, 32))
    with pytest.raises(UnreadableImage):
        load_pixels(data[: 33 + (len(data) - 33) // 2] if place == 33 else data[:70], 32)


def test_the_orientation_in_a_compressed_text_is_still_read():
    exif = Image.Exif()
    exif[0x0112] = 3
    text = b"\nexif\n" + str(len(exif.tobytes())).encode() + b"\n" + exif.tobytes().hex().encode() + b"\n"
    whole = encoded(quarters(), "PNG")
    data = whole[:33] + chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text)) + whole[33:]
    assert np.array_equal(load_pixels(data, 32), load_pixels(whole, 32)[::-1, ::-1])


def test_16_bit_colour_keeps_its_high_byte():
    line = b"\0" + struct.pack(">3H", 65535, 0x8000, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0))
    data += chunk(b"IDAT", zlib.compress(line)) + chunk(b"IEND", b"")
    assert load_pixels(data, 1)[0, 0].tolist() == [255, 128, 0]


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF", "AVIF"])
def test_half_transparent_red_on_white_is_pink(form):
    image = Image.new("RGBA", (8, 8), (255, 0, 0, 128))
    options = {"lossless": True} if form == "WEBP" else {}
    np.testing.assert_allclose(load_pixels(encoded(image, form, **options), 2), [[(255, 127, 127)] * 2] * 2, atol=2)


def test_colours_hidden_under_full_transparency_do_not_show():
    assert row(encoded(Image.new("RGBA", (4, 4), (10, 200, 30, 0)), "PNG")) == [255] * 4
    assert row(encoded(Image.new("LA", (4, 4), (0, 128)), "PNG")) == [127] * 4


@pytest.mark.parametrize(
    ("mode", "colour", "key"),
    [("RGB", (9, 9, 9), (9, 9, 9)), ("L", 9, 9), ("1", 0, 0), ("I;16", 9, 9)],
)
def test_the_transparent_colour_of_a_png_is_white(mode, colour, key):
    image = Image.new(mode, (4, 4), colour)
    assert row(encoded(image, "PNG", transparency=key)) == [255] * 4


@pytest.mark.parametrize("form", ["PNG", "GIF", "TIFF", "BMP"])
def test_palette_colours_and_their_transparency(form):
    image = Image.new("P", (40, 20), 0)
    image.putpalette([*RED, *GREEN, *BLUE, *BLACK])
    for index, left, top in ((1, 20, 0), (2, 0, 10), (3, 20, 10)):
        image.paste(index, (left, top, left + 20, top + 10))
    assert corners(load_pixels(encoded(image, form), 8)) == [RED, GREEN, BLUE, BLACK]
    if form in ("PNG", "GIF"):
        assert corners(load_pixels(encoded(image, form, transparency=3), 8)) == [RED, GREEN, BLUE, WHITE]
    if form == "PNG":
        half = encoded(image, form, transparency=bytes([128]))
        assert corners(load_pixels(half, 8)) == [(255, 127, 127), GREEN, BLUE, BLACK]


@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
def test_cmyk_is_converted(form):
    for ink, colour in (((0, 255, 255, 0), RED), ((0, 0, 0, 0), WHITE), ((0, 0, 0, 255), BLACK)):
        data = encoded(Image.new("CMYK", (16, 16), ink), form)
        np.testing.assert_allclose(load_pixels(data, 1)[0, 0], colour, atol=1)


def test_black_and_white_and_grey():
    image = Image.new("1", (4, 4))
    image.paste(1, (2, 0, 4, 4))
    assert row(encoded(image, "PNG")) == [0, 0, 255, 255]
    assert row(encoded(Image.new("L", (4, 4), 77), "PNG")) == [77] * 4


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "TIFF"])
def test_an_animation_shows_its_first_frame(form):
    frames = [Image.new("RGB", (8, 8), colour) for colour in (BLUE, RED)]
    options = {"lossless": True} if form == "WEBP" else {}
    data = encoded(frames[0], form, save_all=True, append_images=frames[1:], **options)
    assert load_pixels(data, 1)[0, 0].tolist() == list(BLUE)


def test_a_large_jpeg_is_decoded_smaller_with_hardly_another_result():
    image = Image.fromarray(np.asarray(photograph(150)).repeat(16, 0).repeat(16, 1))  # 2400 x 2400
    data = encoded(image, "JPEG", quality=95)
    loaded = load(data, 64)
    assert (loaded.width, loaded.height) == (2400, 2400)
    with Image.open(io.BytesIO(data)) as image:
        image.draft("RGB", (2 * 64, 2 * 64))
        assert image.size == (300, 300)  # an eighth, the smallest that is not below twice the side
        np.testing.assert_array_equal(loaded.pixels, np.asarray(image.resize((64, 64), Image.Resampling.BILINEAR)))
    with Image.open(io.BytesIO(data)) as image:
        whole = np.asarray(image.resize((64, 64), Image.Resampling.BILINEAR), int)
    assert np.abs(loaded.pixels - whole).mean() < 1


# --- what is refused -------------------------------------------------------------------------------------------------


def reason(source: bytes | Path, **options) -> str:
    with pytest.raises(UnreadableImage, match=r"\w{3}") as caught:
        load(source, 8, **options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "The file is empty (0 bytes); copy or download it again"),
        (b"This is a shopping list, not a picture.\n" * 9, "It is text, not a picture"),
        ("Größe: 3 µm\n".encode("latin-1"), "It is text, not a picture"),
        ("Unicode text".encode("utf-16"), "It is text, not a picture"),
        (b"BMW is a maker of cars, GIF is a format", "It is text, not a picture"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "It is a web page, not a picture"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "It is an SVG drawing, not a picture"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + bytes(50), "It is a PDF document, not a picture"),
        (b"8BPS\0\1" + bytes(50), "It is a Photoshop document, not a picture"),
        (b"PK\x03\x04" + bytes(50), "It is a ZIP archive or office document, not a picture"),
        (bytes(range(256)), "It is not a picture of an accepted format (JPEG, PNG, WEBP, GIF, BMP, TIFF, AVIF"),
        (b"\xff\xd8\xff\xe0" + bytes(50), "The JPEG file is damaged or cut short; copy or download it again"),
    ],
)
def test_the_reason_says_what_a_file_is(content, expected):
    assert reason(content).startswith(expected)


@pytest.mark.parametrize("form", ["EPS", "PDF", "ICO", "PPM", "TGA", "JPEG2000", "PCX"])
def test_formats_that_pillow_reads_and_the_kit_does_not_are_refused(form):
    assert "not a picture" in reason(encoded(quarters(), form))


def test_a_wrong_extension_does_not_matter(tmp_path):
    path = touch(tmp_path / "really-a-png.jpg", encoded(quarters(), "PNG"))
    assert corners(load_pixels(path, 8)) == [RED, GREEN, BLUE, WHITE]


def test_a_missing_file_a_folder_and_a_pipe_have_reasons(tmp_path):
    assert reason(tmp_path / "gone.jpg") == "The file cannot be read: No such file or directory"
    assert reason(tmp_path) == "It is a folder or device, not a file"
    os.mkfifo(tmp_path / "pipe.jpg")
    assert reason(tmp_path / "pipe.jpg") == "It is a folder or device, not a file"


def test_a_file_without_permission_has_a_reason(open_folder):
    path = touch(open_folder / "secret.jpg", encoded(quarters(), "JPEG"))
    path.chmod(0)
    with as_nobody():
        assert reason(path) == "The file cannot be read: Permission denied"


def every_format() -> list[tuple[str, bytes]]:
    image = photograph()
    files = [(form, encoded(image, form)) for form in FORMATS]
    files.append(("progressive JPEG", encoded(image, "JPEG", progressive=True)))
    files.append(("LZW TIFF", encoded(image, "TIFF", compression="tiff_lzw")))
    files.append(("16-bit PNG", encoded(Image.fromarray(np.asarray(image.convert("L"), np.uint16) * 257), "PNG")))
    files.append(("palette GIF", encoded(image.quantize(16), "GIF", transparency=3)))
    if heif():
        files.append(("HEIF", encoded(image, "HEIF")))
    return files


@pytest.mark.parametrize(("form", "data"), every_format(), ids=[form for form, _ in every_format()])
@pytest.mark.filterwarnings("ignore::UserWarning")  # about metadata
def test_a_file_cut_short_is_refused(form, data):
    for part in (0.05, 0.3, 0.5, 0.8, 0.95):
        assert "cut short" in (why := reason(data[: int(len(data) * part)])) or "damaged" in why


def zeroed(data: bytes, start: float, stop: float) -> bytes:
    """A PNG with zeros in place of a share of the first part of its pixels, whose checksum stays."""
    place = data.index(b"IDAT") + 4
    size = int.from_bytes(data[place - 8 : place - 4], "big")
    first, last = (place + int(size * share) for share in (start, stop))
    return data[:first] + bytes(last - first) + data[last:]


@pytest.mark.parametrize("side", [90, 300], ids=["in one part", "in four parts"])
@pytest.mark.parametrize("share", [(1 / 3, 1), (1 / 2, 1), (0.9, 1), (1 / 3, 2 / 3), (0, 0.1)])
def test_wrong_pixels_of_a_png_are_refused(share, side):
    whole = encoded(photograph(side), "PNG")
    assert load(whole, 8).width
    assert reason(zeroed(whole, *share)).startswith("The PNG file is damaged (")


@pytest.mark.parametrize("place", [-13, -20], ids=["checksum", "end of the pixels"])
def test_pixels_of_a_png_with_another_checksum_are_refused(place):
    damaged = bytearray(encoded(photograph(), "PNG"))
    damaged[place] ^= 1
    assert reason(bytes(damaged)).startswith("The PNG file is damaged (wrong checksum of the pixels); copy or download")


def test_a_large_jpeg_cut_short_is_refused_though_it_is_decoded_smaller():
    data = encoded(photograph(900), "JPEG")
    assert reason(data[: len(data) // 2]).startswith("The JPEG file is cut short (image file is truncated")


def outcome(data: bytes) -> tuple[int, ...] | str:
    try:
        return load_pixels(data, 8, max_pixels=1_000_000).shape
    except UnreadableImage as error:
        return str(error)


@pytest.mark.parametrize(("form", "data"), every_format(), ids=[form for form, _ in every_format()])
def test_damaged_bytes_give_pixels_or_a_reason_and_nothing_else(form, data):
    random = np.random.default_rng(zlib.crc32(form.encode()))
    outcomes = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about metadata
        for attempt in range(120):
            damaged = bytearray(data)
            reach = len(data) if attempt % 2 else min(len(data), 300)  # headers are the fragile part
            for place in random.integers(0, reach, random.integers(1, 8)):
                damaged[place] = random.integers(0, 256)
            if attempt % 5 == 0:
                del damaged[random.integers(1, len(damaged)) :]
            outcomes.append(outcome(bytes(damaged)))
    reasons = {answer for answer in outcomes if isinstance(answer, str)}
    assert set(outcomes) - reasons <= {(8, 8, 3)}
    assert all(why.startswith(("A ", "It ", "The ", "There ")) for why in reasons)
    assert reasons


# --- size ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """A PNG of 20,000 x 10,000 = 200 million pixels in some 200 kB."""
    return encoded(Image.new("1", (20_000, 10_000)), "PNG")


def test_a_bomb_is_refused_with_both_numbers_and_the_way_out(bomb):
    assert reason(bomb) == (
        "It has 20000 x 10000 = 200.0 million pixels, more than the limit of 178.0 million; "
        "raise max_pixels (--max-megapixels) if you trust the file"
    )


def test_a_bomb_is_refused_before_it_is_decoded(bomb):
    tracemalloc.start()
    reason(bomb)
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


def test_the_limit_can_be_raised_and_lowered_without_a_warning():
    large = encoded(Image.new("L", (20_000, 10_000)), "JPEG")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = load(large, 8, max_pixels=200_000_000)
        assert (loaded.width, loaded.height) == (20_000, 10_000)
        assert "limit of 0.0 million" in reason(encoded(quarters(), "PNG"), max_pixels=799)
        assert load(encoded(quarters(), "PNG"), 8, max_pixels=800).width == 40


def test_pillows_own_limit_is_as_before_for_everyone_else(bomb):
    before = Image.MAX_IMAGE_PIXELS
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda data: load_pixels(data, 4), [encoded(photograph(), "PNG")] * 200))
    with pytest.raises(UnreadableImage, match="limit"):
        load(bomb, 8)
    assert before == Image.MAX_IMAGE_PIXELS
    with pytest.raises(Image.DecompressionBombError, match="exceeds limit"):
        Image.open(io.BytesIO(bomb))


# --- decoding ahead --------------------------------------------------------------------------------------------------


@pytest.fixture
def pictures(tmp_path) -> list[Path]:
    """A hundred grey pictures, the n-th of grey value n; every tenth is a text file."""
    for value in range(100):
        data = b"no picture" if value % 10 == 9 else encoded(Image.new("L", (8, 8), value), "PNG")
        touch(tmp_path / f"{value:03}.png", data)
    return sorted(tmp_path.iterdir())


def decoding_threads() -> int:
    return sum(thread.name.startswith("decode") for thread in threading.enumerate())


@pytest.mark.parametrize(("threads", "ahead"), [(1, 1), (2, 64), (4, 7), (2, 1000)])
def test_many_come_in_order_with_reasons_for_the_bad_ones(pictures, threads, ahead):
    answers = list(load_many(pictures, 4, threads=threads, ahead=ahead))
    assert [path for path, _ in answers] == pictures
    for value, (_, loaded) in enumerate(answers):
        if value % 10 == 9:
            assert isinstance(loaded, UnreadableImage)
            assert str(loaded).startswith("It is text, not a picture")
        else:
            assert loaded.pixels[0, 0].tolist() == [value] * 3
    assert decoding_threads() == 0


def test_no_more_than_the_window_is_decoded_ahead(pictures):
    asked = []
    paths = (asked.append(path) or path for path in pictures)
    answers = load_many(paths, 4, ahead=10)
    for count in range(1, 20):
        next(answers)
        assert len(asked) == count + 9
    answers.close()


def test_a_file_that_vanishes_is_a_reason(pictures):
    answers = load_many(pictures, 4, ahead=2)
    next(answers)
    pictures[50].unlink()
    assert str(dict(answers)[pictures[50]]) == "The file cannot be read: No such file or directory"


def test_closing_early_leaves_no_thread(pictures):
    answers = load_many(pictures, 4)
    next(answers)
    assert decoding_threads() > 0
    answers.close()
    assert decoding_threads() == 0


def test_ctrl_c_in_the_consumer_leaves_no_thread(pictures):
    def consume():
        for _ in load_many(pictures, 4):
            raise KeyboardInterrupt("stop")

    with pytest.raises(KeyboardInterrupt, match="stop"):
        consume()
    assert decoding_threads() == 0


def test_wrong_use_is_not_taken_for_a_bad_file(pictures):
    with pytest.raises(BadQuery, match="no resampling filter 'sinc'"):
        next(load_many(pictures, 4, "sinc"))
    assert decoding_threads() == 0


# --- cache folder ----------------------------------------------------------------------------------------------------


def test_the_cache_folder_is_the_variables_or_the_users(monkeypatch, tmp_path):
    monkeypatch.setenv("IMGSEARCH_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("IMGSEARCH_CACHE")
    assert cache_folder().name == "imgsearch-kit"
    assert cache_folder().is_relative_to(Path.home())
