"""The pixels that a browser gives the network are those that the kit gives it."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from PIL import Image

from imgsearch_kit.images import load

PIXELS = """async ([url, side, resampling, box]) => {
  const {pixelsOf} = await import('/code/share/site/pixels.js');
  const pixels = await pixelsOf(await (await fetch(url)).blob(), side, resampling, box);
  return btoa(Array.from(pixels, (byte) => String.fromCharCode(byte)).join(''));
}"""


@pytest.fixture(scope="module")
def folder(site, tmp_path_factory):
    made = tmp_path_factory.mktemp("pixels")
    for name in ("code", "data", "thumbnails", "index.html", "site.json"):
        (made / name).symlink_to(site[0] / name)
    return made


@pytest.fixture
def here(folder, served, visit):
    """The pixels of a file of the folder in the browser, ``(side, side, 3)``."""
    page = visit(served(folder))

    def pixels(name, side=224, resampling="bilinear", box=None):
        found = base64.b64decode(page.evaluate(PIXELS, [f"/{name}", side, resampling, box]))
        return np.frombuffer(found, np.uint8).reshape(side, side, 3)

    return pixels


def test_resizing_is_that_of_pillow_bit_by_bit(folder, here):
    rng = np.random.default_rng(0)
    for width, height in [(300, 200), (31, 500), (224, 224), (1, 3), (1500, 900), (225, 223)]:
        pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "noise.png")
        for side, resampling in [(224, "bilinear"), (224, "bicubic"), (320, "bilinear")]:
            expected = load(folder / "noise.png", side, resampling).pixels
            name = f"noise.png?{width}x{height}"  # not from the browser's cache
            assert np.array_equal(here(name, side, resampling), expected), (width, height, side, resampling)


@pytest.mark.parametrize("box", [(0, 0, 0.5, 0.5), (0.1, 0.2, 0.801, 0.9), (0.333, 0, 0.336, 1)])
def test_a_box_has_the_pixels_that_the_kit_takes(folder, here, box):
    pixels = np.random.default_rng(1).integers(0, 256, (333, 501, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "box.png")
    assert np.array_equal(here("box.png", box=box), load(folder / "box.png", 224, box=box).pixels)


def test_files_of_many_kinds_are_decoded_as_the_kit_does(folder, here, photographs):
    coffee = Image.open(photographs / "coffee/coffee-original.png").convert("RGB").resize((400, 267))
    exif = Image.Exif()
    exif[0x0112] = 8
    clear = coffee.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(coffee.size))
    files = {
        "turned.jpg": (coffee, {"exif": exif, "quality": 92}, 1),
        "grey.jpg": (coffee.convert("L"), {}, 1),
        "clear.png": (clear, {}, 2),  # a browser multiplies by alpha before, and rounds twice
        "palette.gif": (coffee.convert("P"), {}, 0),
        "lossless.webp": (coffee, {"lossless": True}, 0),
        "other-colours.jpg": (coffee, {"icc_profile": other_profile()}, 1),
    }
    for name, (picture, options, most) in files.items():
        picture.save(folder / name, **options)
        difference = np.abs(here(name).astype(int) - load(folder / name, 224).pixels)
        assert difference.max() <= most, (name, difference.max())


def other_profile():
    """A colour profile that a browser would apply unless it is told not to."""
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
