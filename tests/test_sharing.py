"""Originals that are given away: the same pixels, and nothing that says where, when, by whom or what with."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from imgsearch_kit.errors import UnreadableImage
from imgsearch_kit.images import load_pixels, shareable

SECRET = b"52.5200N 13.4050E"
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture
def picture():
    """Noise, so that any other encoding changes pixels."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8))


def exif(turn):
    made = Image.Exif()
    made[0x0112], made[0x010F], made[0x8298] = turn, "Camera of Anna", SECRET.decode()
    made.get_ifd(0x8825)[1] = "N"
    return made


def pixels(content):
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("turn", [1, 6])
@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        (".jpg", {"comment": SECRET}),
        (".jpg", {"progressive": True, "xmp": b"<x:xmpmeta>" + SECRET}),
        (".webp", {"lossless": True, "xmp": b"<x:xmpmeta>" + SECRET}),
        (".webp", {"quality": 50}),
        (".png", {}),
    ],
    ids=str,
)
def test_pixels_profile_and_orientation_are_kept_and_all_else_is_gone(picture, tmp_path, suffix, options, turn):
    path = tmp_path / f"x{suffix}"
    if suffix == ".png":
        options = {"pnginfo": PngInfo()}
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", SECRET.decode())
        options["pnginfo"].add_text("Comment", SECRET.decode())
    picture.save(path, exif=exif(turn), icc_profile=PROFILE, **options)
    path.write_bytes(path.read_bytes() + b"\xff\xd8 a film behind the picture " + SECRET)
    found = shareable(path)
    assert (found.suffix, found.again) == (suffix, False)
    assert SECRET in path.read_bytes()
    for word in (SECRET, b"Anna", b"xmpmeta", b"film"):
        assert word not in found.content
    assert (pixels(found.content) == pixels(path.read_bytes())).all()
    assert (load_pixels(found.content, 32) == load_pixels(path, 32)).all()  # upright
    with Image.open(io.BytesIO(found.content)) as image:
        assert image.info["icc_profile"] == PROFILE
        assert dict(image.getexif()) == ({} if turn == 1 else {0x0112: turn})


@pytest.mark.parametrize("suffix", [".gif", ".bmp", ".tif"])
def test_other_formats_are_saved_again_and_say_so(picture, tmp_path, suffix):
    picture.resize((16, 12)).resize((64, 48)).save(tmp_path / f"x{suffix}")
    found = shareable(tmp_path / f"x{suffix}")
    assert (found.suffix, found.again) == (".jpg", True)
    difference = load_pixels(found.content, 32).astype(int) - load_pixels(tmp_path / f"x{suffix}", 32)
    assert abs(difference).mean() < 6


def test_a_cut_jpeg_is_saved_again_from_what_can_be_decoded_or_refused(picture, tmp_path):
    path = tmp_path / "x.jpg"
    picture.save(path, exif=exif(6))
    whole = path.read_bytes()
    path.write_bytes(whole[:-2])  # only its end marker is missing
    found = shareable(path)
    assert found.again
    assert SECRET not in found.content
    assert pixels(found.content).shape == (64, 48, 3)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UnreadableImage, match=r"incomplete|truncated|cut"):
        shareable(path)


def test_the_preview_in_a_jpeg_is_gone_although_the_picture_was_cut_out_of_it(picture, tmp_path):
    picture.save(tmp_path / "x.jpg")
    data = (tmp_path / "x.jpg").read_bytes()
    content = b"JFIF\0\1\1\0\0\1\0\1" + bytes([4, 4]) + SECRET[:16] * 3
    head = b"\xff\xe0" + (len(content) + 2).to_bytes(2, "big") + content
    (tmp_path / "x.jpg").write_bytes(data[:2] + head + data[20:])
    found = shareable(tmp_path / "x.jpg")
    assert not found.again
    assert SECRET[:16] not in found.content
    assert (pixels(found.content) == pixels(data)).all()
