"""Receipts of searches: what they hold, that they can be repeated, and that hostile ones are refused."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import uuid

import numpy as np
import pytest
from PIL import Image

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.evaluation.overlap import rank_biased_overlap
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.images import load_pixels
from imgsearch_kit.index import create_index, new_passport
from imgsearch_kit.indexing.folder import index_folder
from imgsearch_kit.receipts.reading import read_receipt
from imgsearch_kit.receipts.writing import BEGIN
from imgsearch_kit.records import Approx
from tests.index.conftest import remove_from_server
from tests.small_extractor import QuarterColours, UpperColours, paint
from tests.test_cli import run

HOSTILE = "</script><img src=x onerror=alert(1)>&'\"\u2028"
HOSTILE_FOLDER = HOSTILE.replace("/", "")


class Larger(QuarterColours):
    """The same colours from pixels of another size."""

    def __init__(self):
        super().__init__("larger")
        self.spec = type(self.spec)(**{name: getattr(self.spec, name) for name in self.spec.__slots__} | {"side": 16})

    def extract(self, pixels):
        return super().extract(np.ascontiguousarray(pixels[:, ::2, ::2]))


@pytest.fixture
def folder(tmp_path):
    """Reds that lean to green step by step, so that their order can be told by counting; and one hostile name."""
    for i in range(8):
        paint(tmp_path / f"pictures/red/{i}.png", (250, 25 * i, 0))
    paint(tmp_path / f"pictures/{HOSTILE_FOLDER}/x.png", (250, 250, 250))
    return tmp_path / "pictures"


def gallery_of(folder, extractor=None):
    extractor = extractor or QuarterColours()
    index = create_index("memory:", new_passport(extractor.spec))
    index_folder(folder, index, extractor, progress=False)
    return Gallery(index, extractor)


@pytest.fixture
def gallery(folder):
    return gallery_of(folder)


@pytest.fixture
def query(tmp_path):
    """Red on the left, green on the right."""
    picture = Image.new("RGB", (40, 20), (250, 40, 0))
    picture.paste((0, 250, 0), (20, 0, 40, 20))
    picture.save(tmp_path / "query.png")
    return tmp_path / "query.png"


@pytest.fixture
def receipt(gallery, query, tmp_path):
    path = tmp_path / "receipt.html"
    gallery.receipt(gallery.search(query, k=4), path)
    return path


def document(path):
    return json.loads(path.read_text("utf-8").partition(BEGIN)[2].partition("</script>")[0])


def rewritten(path, **changes):
    """The receipt with other values of its document."""
    page, old = path.read_text("utf-8"), document(path)
    text = json.dumps(old | changes)
    start = page.index(BEGIN) + len(BEGIN)
    path.write_text(page[:start] + text + page[page.index("</script>", start) :], "utf-8")
    return path


# -- what is in it ------------------------------------------------------------------------------------------------


def test_it_shows_the_search_without_a_script(gallery, receipt, query, browser):
    page = browser.new_context(java_script_enabled=False).new_page()
    requests = []
    page.on("request", lambda request: requests.append(request.url) if not request.url.startswith("data:") else None)
    page.goto(receipt.as_uri())
    text = page.inner_text("body")
    found = gallery.search(query, k=4)
    for hit in found.hits:
        assert f"{hit.rank} · {hit.score:.4f}" in text
        assert hit.id in text
    for words in ("query.png, as the network saw it", "quarters", gallery.passport.uuid, "imgsearch replay"):
        assert words in text
    sizes = page.evaluate("[...document.images].map((image) => image.naturalWidth)")
    assert sizes == [8, 32, 32, 32, 32]  # what the network saw, and the thumbnails
    assert requests == [receipt.as_uri()]
    page.context.close()


def test_it_holds_the_pixels_the_network_saw_and_no_folder(receipt, query, gallery, folder):
    read = read_receipt(receipt)
    assert (read.seen[0] == load_pixels(query, 8)).all()
    assert read.hits == tuple(hit.id for hit in gallery.search(query, k=4).hits)
    assert str(folder.parent) not in receipt.read_text("utf-8")
    assert document(receipt)["asked"] == {
        "k": 4,
        "labels": None,
        "min_score": None,
        "rank": "",
        "distinct": None,
        "approx": None,
        "box": None,
        "plus": [],
        "minus": [],
    }


def test_hostile_names_do_nothing(gallery, tmp_path, browser):
    id_ = f"{HOSTILE_FOLDER}/x.png"
    gallery.receipt(gallery.search(id=id_, labels=["red", HOSTILE_FOLDER]), tmp_path / "r.html")
    page, troubles = browser.new_page(), []
    page.on("dialog", lambda dialog: troubles.append(dialog.message))
    page.on("request", lambda r: troubles.append(r.url) if not r.url.startswith(("data:", "file:///")) else None)
    page.goto((tmp_path / "r.html").as_uri())
    kept = json.loads(page.locator("#imgsearch-receipt").text_content())
    assert kept["asked"]["labels"] == ["red", HOSTILE_FOLDER]
    assert page.locator("img[src=x]").count() == 0
    assert troubles == []
    page.close()
    assert gallery.replay([tmp_path / "r.html"]).least == 1


def test_a_receipt_is_written_over_an_earlier_one_and_over_nothing_else(gallery, receipt, query, tmp_path):
    gallery.receipt(gallery.search(query, k=2), receipt)
    assert len(read_receipt(receipt).hits) == 2
    (tmp_path / "mine.html").write_text("<!doctype html>mine")
    with pytest.raises(BadQuery, match="imgsearch did not write it"):
        gallery.receipt(gallery.search(query), tmp_path / "mine.html")


# -- repeating it -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"k": 3, "labels": ["red"], "min_score": 0.5},
        {"box": (0, 0, 0.5, 1)},
        {"plus": ["red/5.png"], "minus": ["red/1.png"]},
        {"id": ["red/2.png", "red/4.png"]},
        {"rank": "qe:2:1", "distinct": 0.999},
        {"approx": Approx(candidates=5)},
    ],
    ids=str,
)
def test_a_search_repeated_on_the_same_index_finds_the_same_without_its_file(gallery, query, tmp_path, asked):
    found = gallery.search(query, **asked)
    gallery.receipt(found, tmp_path / "r.html")
    query.unlink()
    report = gallery.replay([tmp_path / "r.html"])
    assert found.hits
    assert [(each.overlap, each.lost, each.new, each.changed) for each in report.replays] == [
        (pytest.approx(1), (), (), {})
    ]
    assert not report.failed


@pytest.mark.parametrize("box", [None, (0, 0, 0.5, 1)])
def test_an_indexed_query_does_not_become_its_own_hit(gallery, tmp_path, box):
    found = gallery.search(id="red/3.png", box=box)
    gallery.receipt(found, tmp_path / "r.html")
    assert gallery.replay([tmp_path / "r.html"]).replays[0].new == ()


def test_what_has_changed_is_told(gallery, receipt, folder):
    before = read_receipt(receipt).hits
    (folder / before[1]).unlink()
    gallery.add(folder, prune=True, progress=False)
    (done,) = gallery.replay([receipt]).replays
    now = [hit.id for hit in gallery.search(folder.parent / "query.png", k=4).hits]
    assert done.lost == (before[1],)
    assert done.new == (now[-1],)
    assert done.overlap == pytest.approx(rank_biased_overlap(before, now))
    assert done.changed["count"] == ("9", "8")
    assert set(done.changed) == {"count", "generation"}
    text = str(gallery.replay([receipt]))
    assert re.search(rf"lost +{before[1]}", text)
    assert "persistence 0.9" in text


def test_another_network_repeats_it_from_the_pixels_or_from_the_original(receipt, query, folder):
    same_side = gallery_of(folder, UpperColours())
    (done,) = same_side.replay([receipt]).replays
    assert done.changed["spec name"] == ("quarters", "upper")
    larger = gallery_of(folder, Larger())
    (failed,) = larger.replay([receipt]).failed
    assert re.search(r"has 8 x 8 pixels \(bilinear\) of query.png, and larger takes 16 x 16.*--picture", failed.reason)
    moved = shutil.move(query, query.with_name("moved.png"))
    report = larger.replay([receipt], pictures=[moved])
    assert report.least == pytest.approx(1)
    with pytest.raises(BadQuery, match=r"cannot be read.*file of a query"):
        larger.replay([receipt], pictures=[query])


@pytest.fixture
def on_server(gallery, elasticsearch_9):
    """The same pictures on a server whose method is approximate."""
    address = f"{elasticsearch_9}/test-{uuid.uuid4().hex[:12]}"
    with create_index(address, new_passport(gallery.passport.spec, method="int8_hnsw")) as index:
        index.add(gallery.records(), gallery.vectors())
    yield address
    remove_from_server(address)


@pytest.mark.parametrize("approx", [None, Approx(candidates=20)])
def test_searches_on_a_server_are_repeated_there_and_on_a_file(gallery, on_server, query, tmp_path, approx):
    with Gallery.open(on_server, QuarterColours()) as there:
        there.root = gallery.passport.root
        there.receipt(there.search(query, k=4, approx=approx), tmp_path / "upload.html")
        there.receipt(there.search(id="red/3.png", k=4, approx=approx), tmp_path / "id.html")
        report = there.replay([tmp_path / "upload.html", tmp_path / "id.html"])
        assert [(each.overlap, each.lost, each.changed) for each in report.replays] == [(pytest.approx(1), (), {})] * 2
        assert gallery.replay([tmp_path / "upload.html"]).least == pytest.approx(1)  # the same vectors elsewhere
        gate = ["replay", tmp_path / "id.html", "--index", on_server, "--min-overlap", 0.95]
        run(*gate, cwd=tmp_path)
        (best,) = there.search(id="red/3.png", k=1).hits
        there.index.delete([best.id])
        there.index.flush()
    assert re.search(rf"lost +{best.id}", run(*gate, cwd=tmp_path, code=1).stdout)


def test_more_hits_than_there_are_pictures_is_no_harm(gallery, receipt):
    asked = document(receipt)["asked"] | {"k": 10**17}
    assert len(gallery.replay([rewritten(receipt, asked=asked)]).replays[0].new) == 5


def test_an_id_that_is_gone_is_named(gallery, folder, tmp_path):
    gallery.receipt(gallery.search(id="red/3.png"), tmp_path / "r.html")
    (folder / "red/3.png").unlink()
    gallery.add(folder, prune=True, progress=False)
    (failed,) = gallery.replay([tmp_path / "r.html"]).failed
    assert failed.to_json()["path"].endswith("r.html")
    assert "no picture with the id 'red/3.png'" in failed.reason


# -- hostile ones -------------------------------------------------------------------------------------------------


def uri(size, mode="PNG"):
    file = io.BytesIO()
    Image.new("1", size).save(file, mode)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def deep(depth=100_000):
    return "[" * depth + "]" * depth


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"imgsearch_receipt": 99}, "another format"),
        ({"asked": [1]}, "'asked' is missing or no dict"),
        ({"answer": {"query": {"file": 3}, "hits": []}}, "'file' is missing or no str"),
        ({"answer": {"query": {}, "hits": [{"id": 7}]}}, "'id' is missing or no str"),
        ({"answer": {"query": {"queries": [3]}, "hits": []}}, "a query is no object"),
        ({"answer": {"query": {}, "hits": [{"id": "a"}, {"id": "a"}]}}, "names a hit twice"),
        ({"answer": {"query": {"queries": []}, "hits": []}, "seen": []}, "0 queries"),
        ({"seen": [None]}, "neither pixels nor an id"),
        ({"seen": [uri((9, 8))]}, "9 x 8, not a square"),
        ({"seen": [uri((20_000, 20_000))]}, "20000 x 20000, not a square of at most 1024"),
        ({"seen": [uri((8, 8), "GIF")]}, "no PNG"),
        ({"seen": ["data:image/png;base64,%%"]}, "base64"),
        ({"seen": ["http://127.0.0.1/x.png"]}, "no PNG"),
        ({"seen": [3]}, "no PNG"),
        ({"asked": {"approx": {"candidates": "all"}}}, "candidates must be a whole number"),
        ({"passport": 3}, "'passport' is missing"),
        ({"passport": {str(i): i for i in range(999)}}, "more than 200 fields"),
        ({"answer": {"query": {}, "hits": [{"id": "a" * 9999}]}}, "an id has more than 5,000"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_receipt_with_other_types_is_refused(receipt, changes, reason):
    with pytest.raises(BadQuery, match=f"no receipt that can be repeated.*{reason}.*Give a file"):
        read_receipt(rewritten(receipt, **changes))


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"k": "many"}, "k must be a whole number"),
        ({"labels": "red"}, "labels must be a list"),
        ({"plus": ["../../etc/passwd"]}, "no picture with the id"),
        ({"rank": 3}, "rank must be a SPEC"),
        ({"rank": "no-such-step"}, "no-such-step"),
        ({"min_score": "x"}, "min_score must be a cosine"),
        ({"rank": "qe:" + "9" * 100_000}, "999 …"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_wrong_argument_fails_that_receipt_alone(gallery, receipt, asked, reason, tmp_path):
    good = shutil.copy(receipt, tmp_path / "good.html")
    report = gallery.replay([rewritten(receipt, asked=asked), good])
    assert [each.receipt for each in report.replays] == [str(good)]
    assert reason in report.failed[0].reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<!doctype html><title>another program's</title>", "it holds no search"),
        (f"{BEGIN}no JSON</script>", "Expecting value"),
        (f"{BEGIN}{{", "it holds no search"),
        (f"{BEGIN}{deep()}</script>", "nested too deep"),
        (f'{BEGIN}{{"k": {"9" * 5000}}}</script>', "more than 18 digits"),
        (f'{BEGIN}{{"k": 1e999}}</script>', "no finite number"),
        (f'{BEGIN}{{"k": NaN}}</script>', "no finite number"),
        (b"\xff\xfe\xff".decode("latin-1"), "it holds no search"),
    ],
    ids=["html", "no-json", "cut", "deep", "digits", "infinite", "nan", "binary"],
)
def test_what_is_no_receipt_is_refused(tmp_path, text, reason):
    path = tmp_path / "r.html"
    path.write_text(text, "utf-8")
    with pytest.raises(BadQuery, match=f"r.html is no receipt that can be repeated.*{reason}"):
        read_receipt(path)


def test_a_huge_file_a_folder_and_no_file_are_refused(tmp_path):
    with (tmp_path / "huge.html").open("wb") as file:
        file.truncate(200 << 20)
    with pytest.raises(BadQuery, match="200 MB, more than 100"):
        read_receipt(tmp_path / "huge.html")
    for path in (tmp_path, tmp_path / "absent.html"):
        with pytest.raises(BadQuery, match="it is no file"):
            read_receipt(path)


def test_a_picture_bomb_inside_is_not_decoded(receipt):
    content = bytearray(base64.b64decode(uri((30_000, 30_000)).partition(",")[2]))
    content[16:24] = (8).to_bytes(4, "big") * 2  # says that it is small, and is not
    with pytest.raises(BadQuery, match="is no receipt"):
        read_receipt(rewritten(receipt, seen=["data:image/png;base64," + base64.b64encode(content).decode()]))
