"""Pictures whose pixels are sound, whatever else is damaged: metadata, what follows the pixels, a missing end."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile

from imgsearch_kit.errors import UnreadableImage
from imgsearch_kit.images import load_pixels
from tests.conftest import require

NOISE = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
PHOTO = Image.fromarray(NOISE).resize((96, 96), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, form: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def same_pixels(data: bytes, reference: bytes) -> bool:
    return np.array_equal(load_pixels(data, 32), load_pixels(reference, 32))


# --- PNG -------------------------------------------------------------------------------------------------------------


def chunk(name: bytes, content: bytes, crc: int | None = None) -> bytes:
    """A part of a PNG file, with a checksum of its own if one is given."""
    sum_ = zlib.crc32(name + content) if crc is None else crc
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", sum_)


PNG = encoded(PHOTO, "PNG")
APNG = encoded(PHOTO, "PNG", save_all=True, append_images=[PHOTO.rotate(90)])
ANCILLARY = {
    b"tEXt": b"Software\0x",
    b"zTXt": b"a\0\0" + zlib.compress(b"x"),
    b"iTXt": b"a\0\0\0\0\0x",
    b"iCCP": b"p\0\0" + zlib.compress(b"x" * 200),
    b"gAMA": struct.pack(">I", 45455),
    b"cHRM": struct.pack(">8I", *[1] * 8),
    b"sRGB": b"\0",
    b"pHYs": struct.pack(">IIB", 1, 1, 1),
    b"tIME": bytes(7),
    b"bKGD": bytes(6),
    b"sPLT": b"a\0\x08" + bytes(6),
    b"eXIf": b"MM\0*\0\0\0\x08\0\0\0\0\0\0",
    b"acTL": struct.pack(">II", 1, 0),
    b"caBX": b"x" * 40,
}
PNGS = {"text cut short": PNG[:-12] + chunk(b"tEXt", b"c\0" + b"x" * 500)[:300]}
for name, content in ANCILLARY.items():
    for place, where in ((33, "before"), (-12, "after")):
        parts = {
            "a wrong checksum": chunk(name, content, 1),
            "nothing": chunk(name, b""),
            "garbage": chunk(name, b"\xff\xfe\1" * 9),
        }
        PNGS |= {
            f"{name.decode()} with {what} {where}": PNG[:place] + part + PNG[place:] for what, part in parts.items()
        }
PNGS |= {
    "no IEND": PNG[:-12],
    "IEND cut short": PNG[:-5],
    "IEND with a wrong checksum": PNG[:-1] + b"\0",
    "more after the end": PNG + b"\0" * 100 + b"x" * 999,
    "a damaged second frame": APNG[:-60] + b"\0" * 20 + APNG[-40:],
    "a cut second frame": APNG[:-3000],
    "garbage about frames": PNG[:33] + chunk(b"acTL", struct.pack(">II", 2, 0)) + chunk(b"fcTL", b"ab") + PNG[33:],
}


@pytest.mark.parametrize("what", PNGS)
def test_a_png_with(what):
    assert same_pixels(PNGS[what], PNG)


# --- JPEG ------------------------------------------------------------------------------------------------------------


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


JPEG = encoded(PHOTO, "JPEG")
SEGMENTS = {
    "garbage in EXIF": segment(0xE1, b"Exif\0\0" + b"\xee" * 40),
    "empty EXIF": segment(0xE1, b"Exif\0\0"),
    "an EXIF header alone": segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0"),
    "EXIF out of bounds": segment(0xE1, b"Exif\0\0II*\0\xff\xff\xff\x7f"),
    "a long orientation": segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\xff\xff\xff\xff\0\0\0\0\0\0\0\0"),
    "a text as orientation": segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\2\0\4\0\0\0abc\0\0\0\0\0"),
    "garbage in XMP": segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta" + b"\xff" * 50),
    "garbage in a profile": segment(0xE2, b"ICC_PROFILE\0\1\2xx"),
    "an empty profile": segment(0xE2, b"ICC_PROFILE\0"),
    "garbage in an index of pictures": segment(0xE2, b"MPF\0" + b"\xee" * 40),
    "an empty index of pictures": segment(0xE2, b"MPF\0"),
    "an index of three pictures": segment(0xE2, b"MPF\0II*\0\x08\0\0\0\1\0\1\xb0\4\0\1\0\0\0\3\0\0\0\0\0\0\0"),
    "garbage in Photoshop's": segment(0xED, b"Photoshop 3.0\x008BIM\4\4\xff\xff"),
    "a short JFIF": segment(0xE0, b"JFIF\0\1"),
    "a short Adobe": segment(0xEE, b"Adobe\0"),
    "a binary comment": segment(0xFE, bytes(range(256))),
    "an empty segment": segment(0xE5, b""),
}


@pytest.mark.parametrize("place", [2, 20], ids=["first", "after JFIF"])
@pytest.mark.parametrize("what", SEGMENTS)
def test_a_jpeg_with(what, place):
    assert same_pixels(JPEG[:place] + SEGMENTS[what] + JPEG[place:], JPEG)


KINDS = {
    "baseline": {},
    "progressive": {"progressive": True},
    "with restarts": {"restart_marker_rows": 1},
    "with many restarts": {"restart_marker_blocks": 3},
    "progressive with restarts": {"progressive": True, "restart_marker_rows": 1},
    "without subsampling": {"subsampling": 0, "quality": 95},
}


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_jpeg_without_its_end_is_read_and_one_without_pixels_is_not(kind, mode):
    whole = encoded(PHOTO.convert(mode), "JPEG", **KINDS[kind])
    for left in (1, 2):
        assert same_pixels(whole[:-left], whole)
    for left in [*range(3, 30), *range(30, len(whole) - 700, 211)]:
        for padding in (b"", bytes(500)):
            try:
                pixels = load_pixels(whole[:-left], 96)
            except UnreadableImage:
                continue
            assert np.array_equal(pixels, load_pixels(whole, 96)), f"cut by {left}, padded by {len(padding)}"


# --- GIF, WEBP, BMP --------------------------------------------------------------------------------------------------

GIF = encoded(PHOTO.quantize(64), "GIF")
GIFS = encoded(PHOTO.quantize(64), "GIF", save_all=True, append_images=[PHOTO.rotate(90).quantize(64)])
EXTENSIONS = {
    "a binary comment": b"\x21\xfe\5\xff\xfe\0\1\2\0",
    "an empty comment": b"\x21\xfe\0",
    "garbage of an application": b"\x21\xff\3abc\2xx\0",
    "an application without a name": b"\x21\xff\0",
    "an unknown extension": b"\x21\x99\3abc\0",
    "a short control block": b"\x21\xf9\1\0\0",
    "an empty loop": b"\x21\xff\x0bNETSCAPE2.0\0",
    "a short loop": b"\x21\xff\x0bNETSCAPE2.0\1\1\0",
}


@pytest.mark.parametrize("what", EXTENSIONS)
def test_a_gif_with(what):
    first = 13 + 3 * 64
    assert same_pixels(GIF[:first] + EXTENSIONS[what] + GIF[first:], GIF)
    assert same_pixels(GIF[:-1] + EXTENSIONS[what] + GIF[-1:], GIF)


def test_a_gif_without_its_end_or_with_a_damaged_second_frame():
    for data in (GIF[:-1], GIF[:-2], GIF + b"x" * 99, GIF[:-1] + b"\x21\xfe\xffxxxx", GIFS[:-2000]):
        assert same_pixels(data, GIF)


def riff(parts: list[tuple[bytes, bytes]]) -> bytes:
    body = b"WEBP" + b"".join(n + struct.pack("<I", len(c)) + c + b"\0" * (len(c) % 2) for n, c in parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, place = [], 12
    while place < len(data):
        size = struct.unpack_from("<I", data, place + 4)[0]
        found.append((data[place : place + 4], data[place + 8 : place + 8 + size]))
        place += 8 + size + size % 2
    return found


WEBP = encoded(PHOTO, "WEBP", lossless=True)
RICH = encoded(PHOTO, "WEBP", lossless=True, exif=b"Exif\0\0II*\0\x08\0\0\0\0\0", icc_profile=b"x" * 301, xmp=b"<x>")
MOVING = encoded(PHOTO, "WEBP", lossless=True, save_all=True, append_images=[PHOTO.rotate(90)])
WEBPS = {"an unknown chunk": riff([*chunks(RICH), (b"ZZZZ", b"abc")])}
for name in (b"EXIF", b"ICCP", b"XMP "):
    changed = {"garbage": b"\xff\xee\0" * 9, "nothing": b"", "no": None}
    for what, content in changed.items():
        mine = [(n, content if n == name else old) for n, old in chunks(RICH)]
        WEBPS[f"{what} {name.decode()}"] = riff([(n, c) for n, c in mine if c is not None])
WEBPS |= {
    "its last chunk cut": RICH[:-3],
    "its EXIF cut": RICH[: RICH.index(b"EXIF") + 10],
    "the rest after its pixels cut": RICH[: RICH.index(b"EXIF")],
    "more after the end": WEBP + b"xx" * 50,
    "too long a length": WEBP[:4] + struct.pack("<I", len(WEBP) + 1000) + WEBP[8:],
    "too short a length": WEBP[:4] + struct.pack("<I", len(WEBP) - 9) + WEBP[8:],
    "a cut second frame": MOVING[:-1500],
}


@pytest.mark.parametrize("what", WEBPS)
def test_a_webp_with(what):
    assert same_pixels(WEBPS[what], WEBP)


def bmp32(alpha: int, header: int, *, masks: bool) -> bytes:
    """A 32-bit BMP of ``NOISE`` whose fourth byte is ``alpha``."""
    pixels = np.dstack([NOISE[..., ::-1], np.full((32, 32), alpha, np.uint8)])[::-1].tobytes()
    head = struct.pack("<IiiHHIIiiII", header, 32, 32, 1, 32, 3 if masks else 0, len(pixels), 2835, 2835, 0, 0)
    if header > 40 or masks:
        head += struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)[: 16 if header > 40 else 12]
    head += bytes(max(0, header - len(head)))
    return b"BM" + struct.pack("<IHHI", 14 + len(head) + len(pixels), 0, 0, 14 + len(head)) + head + pixels


@pytest.mark.parametrize("masks", [True, False])
@pytest.mark.parametrize("header", [40, 56, 108, 124])
@pytest.mark.parametrize("alpha", [0, 255])
def test_the_fourth_byte_of_a_bmp_that_is_zero_everywhere_is_padding(alpha, header, masks):
    assert same_pixels(bmp32(alpha, header, masks=masks), encoded(Image.fromarray(NOISE), "PNG"))


# --- TIFF ------------------------------------------------------------------------------------------------------------

SIZES = {1: "B", 3: "H", 4: "I", 12: "d"}
RAW = PHOTO.tobytes()


def tiff(tags: dict[int, tuple[int, list | bytes]], pixels: bytes = RAW, following: int = 0, order: str = "<") -> bytes:
    """A TIFF of one strip; a tag's value is a type and numbers or bytes."""
    given = {256: (4, [96]), 257: (4, [96]), 258: (3, [8] * 3), 259: (3, [1]), 262: (3, [2]), 277: (3, [3])}
    given |= {278: (4, [96]), 279: (4, [len(pixels)])} | tags | {273: (4, [0])}
    start = 8 + 2 + 12 * len(given) + 4
    values = {
        tag: v if isinstance(v, bytes) else struct.pack(f"{order}{len(v)}{SIZES[t]}", *v)
        for tag, (t, v) in given.items()
    }
    long = sum(len(value) + len(value) % 2 for value in values.values() if len(value) > 4)
    values[273] = struct.pack(order + "I", start + long)
    entries, beside = b"", b""
    for tag in sorted(given):
        kind, value = given[tag][0], values[tag]
        count = len(value) // struct.calcsize(SIZES.get(kind, "B"))
        place = value.ljust(4, b"\0") if len(value) <= 4 else struct.pack(order + "I", start + len(beside))
        beside += value + b"\0" * (len(value) % 2) if len(value) > 4 else b""
        entries += struct.pack(order + "HHI", tag, kind, count) + place
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(given))
    return head + entries + struct.pack(order + "I", following) + beside + pixels


METADATA = {
    "garbage in a profile": {34675: (7, b"\xff" * 50)},
    "garbage in XMP": {700: (1, b"\xff" * 50)},
    "garbage in IPTC": {33723: (4, [1, 2, 3])},
    "EXIF out of bounds": {34665: (4, [0xFFFFFFF0])},
    "a text as the place of EXIF": {34665: (2, b"abcdefgh\0")},
    "a tag of an unknown type": {65000: (99, b"abcdefgh")},
    "no resolution": {282: (5, bytes(8)), 283: (5, bytes(8))},
    "a text as resolution": {282: (2, b"abc\0")},
    "a text as orientation": {274: (2, b"ab\0")},
    "two orientations": {274: (3, [1, 1])},
    "a binary description": {270: (2, bytes(range(200)))},
    "pictures below it out of bounds": {330: (4, [0xFFFFFF00, 1])},
    "places on the earth": {33550: (12, [1.0, 1, 0]), 34735: (3, [1, 1, 0, 1])},
}
LONG = (270, 282, 305, 306, 700, 33723, 34377, 34675, 37724, 42112, 50341)
OUT = struct.pack("<I", 10**8)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("what", METADATA)
def test_a_tiff_with(what, order):
    assert same_pixels(tiff(METADATA[what], order=order), PNG)


@pytest.mark.parametrize("tag", LONG)
def test_a_tiff_with_metadata_out_of_bounds(tag):
    data = tiff({tag: (2, b"x" * 40)})
    place = data.index(struct.pack("<HH", tag, 2), 10)
    for start in (place + 4, place + 8):  # the count, the offset
        assert same_pixels(data[:start] + OUT + data[start + 4 :], PNG)


@pytest.mark.parametrize("following", [8, 0x7FFFFFF0])
def test_a_tiff_whose_next_picture_is_nowhere_or_itself(following):
    assert same_pixels(tiff({}, following=following), PNG)


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"])
def test_a_packed_tiff_keeps_its_pixels_and_one_cut_short_is_refused(compression, big):
    whole = encoded(PHOTO, "TIFF", compression=None if compression == "raw" else compression, big_tiff=big)
    with Image.open(io.BytesIO(whole)) as image:
        expected = np.asarray(image.convert("RGB").resize((32, 32), Image.Resampling.BILINEAR))
    assert np.array_equal(load_pixels(whole + b"x" * 99, 32), expected)
    for left in range(1000, len(whole) - 200, 1999):
        with pytest.raises(UnreadableImage, match=r"cut short|damaged"):
            load_pixels(whole[:-left], 32)


def test_a_tiff_that_libtiff_could_not_unpack_is_refused_and_not_filled_with_what_is_in_the_memory():
    whole = encoded(PHOTO.convert("1"), "TIFF", compression="group4")
    refused = 0
    for place in range(700, len(whole) - 700, 97):
        answers = set()
        for _ in range(3):
            try:
                answers.add(load_pixels(whole[:place] + b"\x5a" * 30 + whole[place + 30 :], 32).tobytes())
            except UnreadableImage as error:
                answers.add(str(error))
        assert len(answers) == 1
        refused += "unpacked" in str(answers)
    assert refused


def test_a_tiff_whose_pixels_lie_last_is_refused_when_they_are_cut():
    whole = tiff({})
    for left in (1, 2, 40, 200):
        with pytest.raises(UnreadableImage, match="cut short"):
            load_pixels(whole[:-left], 32)


def test_a_fourth_channel_that_a_tiff_does_not_name_is_padding_where_it_is_zero():
    pixels = np.dstack([np.asarray(PHOTO), np.zeros((96, 96), np.uint8)]).tobytes()
    four = {258: (3, [8] * 4), 277: (3, [4])}
    assert same_pixels(tiff(four, pixels), PNG)
    assert load_pixels(tiff(four | {338: (3, [2])}, pixels), 4).min() == 255  # transparency, and all of it clear


KINDS_OF_TIFF = [
    ((3, 32, 3, 2, 1), "A 3 x 32-bit float TIFF"),
    ((3, 16, 3, 2, 1), "A 3 x 16-bit float TIFF"),
    ((1, 64, 3, 1, 1), "A 1 x 64-bit float TIFF"),
    ((3, 32, 1, 2, 1), "A 3 x 32-bit TIFF"),
    ((3, 16, 2, 2, 1), "A 3 x 16-bit signed TIFF"),
    ((5, 16, 1, 1, 1), "A 5 x 16-bit TIFF"),
    ((1, 64, 6, 1, 1), "A 1 x 64-bit complex float TIFF"),
    ((1, 16, 1, 3, 1), "A 1 x 16-bit palette TIFF"),
    ((1, 16, 1, 32803, 1), "A 1 x 16-bit raw TIFF"),
    ((1, 8, 1, 1, 34712), "A TIFF with the compression 34712 (JPEG 2000)"),
    ((1, 8, 1, 1, 34887), "A TIFF with the compression 34887 (LERC)"),
    ((1, 8, 1, 1, 777), "A TIFF with the compression 777 (unknown)"),
]


@pytest.mark.parametrize(("kind", "name"), KINDS_OF_TIFF, ids=[name for _, name in KINDS_OF_TIFF])
def test_a_kind_of_tiff_that_is_not_read_is_named(kind, name):
    samples, bits, numbers, colours, compression = kind
    pixels = bytes(96 * 96 * samples * bits // 8)
    tags = {258: (3, [bits] * samples), 259: (3, [compression]), 262: (3, [colours]), 277: (3, [samples])}
    data = tiff(tags | {339: (3, [numbers] * samples)}, pixels)
    with pytest.raises(UnreadableImage) as caught:
        load_pixels(data, 8)
    assert str(caught.value) == f"{name} is not supported; convert it, for example to PNG"
    with pytest.raises(UnreadableImage, match="The TIFF file is damaged or cut short"):
        load_pixels(data[:500], 8)


# --- AVIF, HEIF ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["AVIF", "HEIF"])
def test_damaged_metadata_of(form):
    if form == "HEIF":
        heif = pytest.importorskip("pillow_heif")
        require(heif, "pillow-heif", "python -m pip install pillow-heif")
        heif.register_heif_opener()
    exif = Image.Exif()
    exif[0x010E] = "x" * 40
    whole = encoded(PHOTO, form, quality=100, exif=exif.tobytes(), xmp=b"<x>junk")
    content = exif.tobytes()[6:]
    for data in (
        whole.replace(content, b"\xee" * len(content)),
        whole.replace(b"<x>junk", b"\xff" * 7),
        whole + b"x" * 99,
    ):
        assert data != whole
        assert same_pixels(data, whole)


# --- switches and warnings -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP"])
def test_a_file_cut_short_is_refused_whatever_pillows_switches_say(form, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1)
    whole = encoded(PHOTO, form)
    load_pixels(whole, 8)
    with pytest.raises(UnreadableImage, match=r"cut short|damaged"):
        load_pixels(whole[: len(whole) // 2], 8)
    assert (ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS) == (True, 1)


LOUD = {
    "EXIF": JPEG[:2] + SEGMENTS["EXIF out of bounds"] + JPEG[2:],
    "orientations": tiff({274: (3, [1, 1])}),
    "frames": PNGS["acTL with garbage before"],
}


@pytest.mark.parametrize("what", LOUD)
def test_warnings_are_neither_shown_nor_raised(what):
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("error")
        before = list(warnings.filters)
        load_pixels(LOUD[what], 8)
        assert warnings.filters == before
    assert not shown


def test_libraries_write_nothing_to_the_terminal():
    """libtiff and libjpeg write to the file descriptor itself."""
    damaged = []
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "group4"):
        whole = encoded(PHOTO.convert("1") if compression == "group4" else PHOTO, "TIFF", compression=compression)
        damaged += [whole.replace(whole[800:820], bytes(20)), whole[:700] + b"\x5a" * 99 + whole[799:]]
    program = (
        "import sys; from imgsearch_kit.images import load_pixels\n"
        "for size in map(int, sys.argv[1:]):\n"
        "    try: load_pixels(sys.stdin.buffer.read(size), 8)\n"
        "    except Exception as error: print(type(error).__name__)\n"
    )
    sizes = [str(len(data)) for data in damaged]
    command = [sys.executable, "-c", program, *sizes]
    answer = subprocess.run(command, input=b"".join(damaged), capture_output=True, check=True, timeout=60)
    assert answer.stderr == b""
    assert set(answer.stdout.split()) == {b"UnreadableImage"}
