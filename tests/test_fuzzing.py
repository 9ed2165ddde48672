"""Random and damaged input from outside: an answer or a KitError, in bounded time and memory.

In a usual run the inputs are the same every time. ``IMGSEARCH_FUZZ=50 pytest tests/test_fuzzing.py`` tries fifty times
as many, other ones each time; Hypothesis prints the smallest that fails, and it is kept here as an example.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import string
import warnings
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from imgsearch_kit.errors import KitError, UnreadableImage
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.images import FORMATS, load
from imgsearch_kit.index import Address, create_index, new_passport, open_index
from imgsearch_kit.index.elastic.methods import parse_method
from imgsearch_kit.indexing.folder import index_folder
from imgsearch_kit.ranking import parse_rank
from tests.app.conftest import free_port
from tests.small_extractor import QuarterColours, paint

FACTOR = int(os.environ.get("IMGSEARCH_FUZZ", "1"))
GUARD = 60  # seconds for one input, and in a usual run for one test
MAX_PIXELS = 20_000_000
MEMORY = 64 * MAX_PIXELS  # bytes that one picture may need in all

pytestmark = pytest.mark.timeout(GUARD * FACTOR, method="thread")  # which ends a decoder that hangs, too


def tries(count: int) -> settings:
    """How often a test is tried, by default with the same inputs every time."""
    return settings(
        max_examples=count * FACTOR,
        derandomize=FACTOR == 1,
        deadline=timedelta(seconds=GUARD),
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )


# --- pictures --------------------------------------------------------------------------------------------------------


def encoded(image: Image.Image, form: str, **options) -> bytes:
    file = io.BytesIO()
    image.copy().save(file, form, **options)  # a picture keeps what it was last saved with
    return file.getvalue()


def pictures() -> dict[str, bytes]:
    """Small real files of every accepted format and of its kinds."""
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    photo = Image.fromarray(noise).resize((40, 48), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a picture"
    meta = {"exif": exif.tobytes(), "icc_profile": b"profile" * 9}
    clear = photo.convert("RGBA")
    clear.putalpha(photo.convert("L"))
    wide = Image.fromarray(np.asarray(photo.convert("L"), np.uint16) * 257)
    two = {"save_all": True, "append_images": [photo.rotate(90)]}
    made = {form: encoded(photo, form, **({} if form in ("GIF", "BMP") else meta)) for form in FORMATS}
    made |= {
        "progressive JPEG": encoded(photo, "JPEG", progressive=True, restart_marker_rows=1),
        "CMYK JPEG": encoded(photo.convert("CMYK"), "JPEG"),
        "MPO": encoded(photo, "MPO", save_all=True, append_images=[photo.rotate(180)]),
        "16-bit PNG": encoded(wide, "PNG"),
        "palette PNG": encoded(photo.quantize(9), "PNG", transparency=3),
        "animated PNG": encoded(clear, "PNG", save_all=True, append_images=[clear.rotate(90)]),
        "animated GIF": encoded(photo.quantize(9), "GIF", save_all=True, append_images=[photo.rotate(90).quantize(9)]),
        "lossless WEBP": encoded(clear, "WEBP", lossless=True),
        "animated WEBP": encoded(clear, "WEBP", **two),
        "palette BMP": encoded(photo.quantize(9), "BMP"),
        "32-bit BMP": encoded(clear, "BMP"),
        "DIB": b"BM" + bytes(8) + (54).to_bytes(4, "little") + encoded(photo, "DIB"),
        "float TIFF": encoded(Image.fromarray(np.asarray(photo.convert("L"), np.float32) / 255), "TIFF"),
        "16-bit TIFF": encoded(wide, "TIFF"),
        "palette TIFF": encoded(photo.quantize(9), "TIFF"),
        "LAB TIFF": encoded(Image.new("LAB", (40, 48), (99, 9, 200)), "TIFF"),
        "BigTIFF": encoded(photo, "TIFF", big_tiff=True),
        "TIFF of two pages": encoded(photo, "TIFF", **two),
        "clear AVIF": encoded(clear, "AVIF"),
    }
    for packing in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        made[f"{packing} TIFF"] = encoded(photo, "TIFF", compression=packing)
    made["group4 TIFF"] = encoded(photo.convert("1"), "TIFF", compression="group4")
    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
        made["HEIF"] = encoded(photo, "HEIF", exif=exif.tobytes())
    return made


PICTURES = pictures()
WORDS = [
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\1\0\0\0",
    b"\0\0\0\1",
    b"\x80\0",
]


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """A file with some bytes changed, put in, taken out or repeated, or cut short; its first bytes most often."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 6))):
        reach = len(data) if draw(st.booleans()) else min(len(data), 200)
        place = draw(st.integers(0, max(reach - 1, 0)))
        match draw(st.sampled_from(["byte", "bit", "word", "insert", "delete", "repeat", "cut"])):
            case "byte":
                data[place : place + 1] = draw(st.binary(min_size=1, max_size=1))
            case "bit" if data:
                data[place] ^= 1 << draw(st.integers(0, 7))
            case "word":
                word = draw(st.sampled_from(WORDS))
                data[place : place + len(word)] = word
            case "insert":
                data[place:place] = draw(st.binary(max_size=40))
            case "delete":
                del data[place : place + draw(st.integers(1, 40))]
            case "repeat":
                data[place:place] = data[place : place + draw(st.integers(1, 400))]
            case "cut":
                del data[place:]
    return bytes(data)


@pytest.fixture
def little_memory():
    """What a test needs beyond this amount is refused to it, which the kit calls a lack of memory."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def check_picture(data: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            loaded = load(data, 8, max_pixels=MAX_PIXELS)
        except UnreadableImage as error:
            reason = str(error)
        else:
            reason = ""
    if reason:
        assert reason[:2] in ("A ", "It", "Th")
        assert "memory" not in reason
        return
    assert (loaded.pixels.shape, loaded.pixels.dtype) == ((8, 8, 3), np.uint8)
    assert 0 < loaded.width * loaded.height <= MAX_PIXELS


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("kind", PICTURES)
def test_a_damaged_picture_gives_pixels_or_a_reason(kind):
    check_picture(PICTURES[kind])

    @tries(40)
    @given(damaged(PICTURES[kind]))
    def check(data):
        check_picture(data)

    check()


FIRST_BYTES = [
    b"",
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"RIFF\0\0\0\0WEBPVP8X",
    b"GIF89a",
    b"BM",
    b"II*\0\x08\0\0\0",
]
FIRST_BYTES += [b"MM\0+\0\x08\0\0", b"\0\0\0\x1cftypavif", b"\0\0\0\x1cftypheic", b"<svg", b"%PDF"]


@pytest.mark.usefixtures("little_memory")
@example(b"MM\0+\0\x08\0\0", b"\x80" + bytes(7))  # found: a place in the file beyond 63 bits
@tries(80)
@given(st.sampled_from(FIRST_BYTES), st.binary(max_size=400))
def test_any_bytes_give_pixels_or_a_reason(first, rest):
    check_picture(first + rest)


# --- texts of a person -----------------------------------------------------------------------------------------------

ANY = st.text(max_size=40)


def made_of(*pieces: str) -> st.SearchStrategy[str]:
    """Texts of the pieces of a grammar, with any text between."""
    return st.lists(st.sampled_from(pieces) | st.text(max_size=3), max_size=9).map("".join)


NUMBERS = ["0", "1", "-1", "2", "64", "1e9", "nan", "inf", "0.5", "9" * 30, "9" * 5000, "٣", "1_0", " 7"]
SCHEMES = ["local:", "npz:", "memory:", "http://", "https://", "://", "~", "~x", "/", "//", "\\", "..", ".db", ".npz"]
HOSTS = [
    "localhost",
    "127.0.0.1",
    "[::1]",
    "[",
    "]",
    ":9200",
    ":",
    "@",
    "user:pass@",
    "%",
    "%00",
    "/name",
    "?",
    "#",
    "a.b",
]


def answered_or_refused(function, *arguments) -> None:
    """Calls a function; any error but a KitError is the test's."""
    with contextlib.suppress(KitError):
        function(*arguments)


@tries(100)
@given(ANY | made_of(*SCHEMES, *HOSTS, *NUMBERS))
def test_any_text_is_an_address_or_refused(text):
    with contextlib.suppress(KitError):
        address = Address.parse(text)
        assert Address.parse(str(address)).kind == address.kind
        repr(address)


METHODS = [
    "exact",
    "flat",
    "l2-lsh",
    "cosine-lsh",
    "permutation-lsh",
    "hnsw",
    "int8_hnsw",
    "bbq_hnsw",
    ":",
    ",",
    "=",
    "L=",
]
METHODS += ["k=", "w=", "m=", "shards=", "replicas=", "no-exact", "ef_construction="]


@tries(100)
@given(ANY | made_of(*METHODS, *NUMBERS), st.integers(1, 5000))
def test_any_text_is_a_method_or_refused(text, dim):
    answered_or_refused(parse_method, text, dim)


STEPS = ["pca", "rca", "dba", "qe", "krecip", ":", ",", ":2:", ":1:1", ":20:6:0.3", " "]


@tries(100)
@given(ANY | made_of(*STEPS, *NUMBERS))
def test_any_text_is_a_ranking_or_refused(text):
    answered_or_refused(parse_rank, text)


# --- over an index ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    root, extractor = tmp_path_factory.mktemp("pictures"), QuarterColours()
    for i in range(9):
        paint(root / "ab"[i % 2] / f"{i}.png", (20 * i + 9, 200 - 9 * i, 40))
    with create_index("memory:", new_passport(extractor.spec)) as index:
        index_folder(root, index, extractor, progress=False)
        yield Gallery(index, extractor)


@tries(100)
@given(made_of(*STEPS, *NUMBERS))
def test_any_ranking_orders_an_index_or_is_refused(gallery, spec):
    answered_or_refused(lambda: gallery.search(id="a/0.png", rank=spec))


CELLS = ["path", "label", "id", "sha256", "a/0.png", "b/1.png", "a\\2.png", "./a/4.png", "x", "", "0", "1", " ", "é"]
MARKS = [",", ";", "\t", "\n", "\r\n", "\r", '"', "'", "sep=;\n", "path,label\n", "\0", "\x1c", "\u2028"]


def files(*pieces: str) -> st.SearchStrategy[bytes]:
    """Text files in several encodings, and any bytes."""
    coded = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "latin-1", "cp1252"])
    text = st.lists(st.sampled_from(pieces), max_size=30).map("".join)
    return st.builds(lambda text, coding: text.encode(coding, "replace"), text, coded) | st.binary(max_size=60)


@tries(80)
@given(content=files(*CELLS, *MARKS))
def test_any_labels_file_is_read_or_refused(gallery, tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "labels.csv"
    path.write_bytes(content)
    answered_or_refused(gallery.label, path)
    assert all(label is None or label.strip() for label in gallery.labels())


@tries(100)
@given(content=files(*CELLS, *MARKS, " 0\n", " 1\n", "a/0.png 0\n", "b/1.png 1\n", "b/3.png 0\n", "a/2.png 1\n"))
def test_any_split_file_is_read_or_refused(gallery, tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "split.txt"
    path.write_bytes(content)
    answered_or_refused(lambda: gallery.evaluate(split=path, progress=False))


# --- archives --------------------------------------------------------------------------------------------------------

SHAPES = arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
PLAIN = arrays.scalar_dtypes() | arrays.unicode_string_dtypes(max_len=5) | arrays.byte_string_dtypes(max_len=5)
ARRAY = PLAIN.flatmap(lambda dtype: arrays.arrays(dtype, SHAPES))
COLUMN = PLAIN.flatmap(lambda dtype: arrays.arrays(dtype, 3))
UNIT = st.sampled_from([np.eye(3, 4, dtype=kind) for kind in (np.float32, np.float64, np.float16, ">f4")])
SCALAR = st.none() | st.booleans() | st.integers() | st.floats() | ANY
JSON = st.recursive(SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY, inner, max_size=2))
COLUMNS = ("labels", "sha256", "paths", "widths", "heights", "mtimes", "sizes", "learned")


def saved(content: dict[str, np.ndarray]) -> bytes:
    file = io.BytesIO()
    np.savez(file, **content)
    return file.getvalue()


def check_archive(data: bytes, folder: Path) -> None:
    path = folder / "a.npz"
    path.write_bytes(data)
    with contextlib.suppress(KitError), open_index(f"npz:{path}") as index:
        records = index.records()
        if records:
            index.search(index.vectors()[:1], 2)
        str(index.passport)
        Gallery(index).labels()


@tries(100)
@given(
    st.fixed_dictionaries(
        {"ids": st.just(np.array(["a", "b", "c"])) | COLUMN | ARRAY, "vectors": UNIT | ARRAY},
        optional=dict.fromkeys(COLUMNS, COLUMN | ARRAY)
        | {
            "failures": JSON.map(lambda value: np.array(str(value).replace("'", '"'))) | ARRAY,
            "passport": ANY.map(np.array) | ARRAY,
        },
    )
)
def test_any_arrays_are_an_index_or_refused(tmp_path_factory, content):
    check_archive(saved(content), tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def archive(gallery, tmp_path_factory):
    path = tmp_path_factory.mktemp("archive") / "whole.npz"
    gallery.copy_to(f"npz:{path}").close()
    return path.read_bytes()


@tries(80)
@given(st.data())
def test_a_damaged_archive_is_an_index_or_refused(archive, tmp_path_factory, data):
    check_archive(data.draw(damaged(archive)), tmp_path_factory.getbasetemp())


PASSPORT = ["uuid", "spec", "dim", "generation", "count", "created", "roots", "libraries", "probes", "method", "baked"]


@tries(80)
@given(st.data())
def test_a_passport_with_other_values_is_read_or_refused(archive, tmp_path_factory, data):
    with np.load(io.BytesIO(archive)) as whole:
        content = dict(whole)
    passport = json.loads(str(content["passport"]))
    for name in data.draw(st.lists(st.sampled_from(PASSPORT), max_size=3)):
        passport[name] = data.draw(JSON)
    check_archive(saved(content | {"passport": np.array(json.dumps(passport))}), tmp_path_factory.getbasetemp())


# --- the page --------------------------------------------------------------------------------------------------------

VALUE = SCALAR | st.lists(SCALAR, max_size=2)


@tries(80)
@given(st.data())
def test_any_arguments_of_the_page_are_answered_or_refused(gallery, data):
    answer = pytest.importorskip("imgsearch_kit.app.api").answer
    good = {"id": "a/0.png", "k": 3, "labels": ["a"], "min_score": 0.5, "rank": "qe:3:1"}
    for name in data.draw(st.lists(st.sampled_from(list(good)), min_size=1, max_size=3)):
        good[name] = data.draw(VALUE | made_of(*STEPS, *NUMBERS) if name == "rank" else VALUE)
    answered_or_refused(lambda: answer(gallery, **good).to_json())


@pytest.fixture(scope="module")
def browsing(gallery):
    app = pytest.importorskip("imgsearch_kit.app")
    httpx = pytest.importorskip("httpx")
    page = app.serve(gallery, port=free_port(), block=False)
    with httpx.Client(base_url=page.url) as client:
        yield client
    page.close()


ASKED = [
    "?",
    "&",
    "=",
    "__theme",
    "=dark",
    "=light",
    "view=api",
    "id=a/0.png",
    "k=",
    "%",
    "%00",
    "%ff",
    "../",
    ";",
    "+",
    "[",
]


@tries(40)
@given(made_of(*ASKED, *NUMBERS, *string.punctuation))
def test_any_query_string_of_the_page_is_answered(browsing, query):
    assert browsing.get("?" + quote(query, safe=string.punctuation)).status_code < 500
