"""What a visitor takes along: the receipt of a search, and original pictures where the owner lets them."""

from __future__ import annotations

import io
import json
import zipfile

import httpx
import pytest
import schemathesis
from hypothesis import given
from PIL import Image
from schemathesis.generation import GenerationMode

from imgsearch_kit.app import serve
from imgsearch_kit.errors import BadQuery
from imgsearch_kit.receipts.reading import read_receipt
from tests.app.conftest import STRANGE, free_port, make_gallery, paint_folder
from tests.app.test_address import search_by_id
from tests.app.test_hostile_names import HOSTILE, hostile  # noqa: F401 (a fixture)
from tests.app.test_openapi import CHECKS, PROFILE
from tests.app.test_page import BETWEEN_2_AND_3, hits, wait_for_first

SECRET = "taken at 52.52 N"


@pytest.fixture(scope="module")
def giving_folder(tmp_path_factory):
    """The painted pictures, some of which say more than their pixels."""
    folder = paint_folder(tmp_path_factory.mktemp("giving"))
    exif = Image.Exif()
    exif[0x010E] = SECRET
    Image.new("RGB", (32, 24), (200, 5, 0)).save(folder / "red/camera.jpg", exif=exif)
    Image.new("RGB", (32, 24), (200, 15, 0)).save(folder / "red/scan.tif", description=SECRET)
    return folder


@pytest.fixture(scope="module")
def giving(giving_folder):
    page = serve(make_gallery(giving_folder), port=free_port(), block=False, allow_originals=True)
    yield page.url.rstrip("/")
    page.close()


def unpacked(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


# -- the receipt --------------------------------------------------------------------------------------------------


def save_receipt(page):
    with page.expect_download() as download:
        page.locator("#exports").get_by_role("button", name="Receipt").click()
    return download.value


def test_the_shown_search_is_saved_as_a_receipt_that_can_be_replayed(visit, served, gallery, upload, tmp_path):
    page = visit(served)
    page.locator("#query-file").set_input_files(upload("mine.png", BETWEEN_2_AND_3))
    wait_for_first(page, "red/02.png")
    shown = hits(page)
    download = save_receipt(page)
    assert download.suggested_filename == "receipt.html"
    download.save_as(tmp_path / "receipt.html")
    page.locator("#status", has_text="neighbours").wait_for()
    read = read_receipt(tmp_path / "receipt.html")
    assert list(read.hits) == shown
    assert read.queries[0]["file"] == "mine.png"
    assert gallery.replay([tmp_path / "receipt.html"]).least == 1
    assert "Traceback" not in (text := (tmp_path / "receipt.html").read_text("utf-8"))
    assert "/tmp" not in text


def test_the_receipt_of_more_hits_has_them_all(visit, served, tmp_path):
    page = visit(served)
    search_by_id(page, "red/00.png")
    page.get_by_role("button", name="50", exact=True).click()
    page.get_by_role("button", name="Show more").click()
    page.wait_for_function("document.querySelectorAll('#hits .kit-card').length > 50")
    save_receipt(page).save_as(tmp_path / "receipt.html")
    assert list(read_receipt(tmp_path / "receipt.html").hits) == hits(page)


def test_the_receipt_of_hostile_names_runs_nothing(visit, serving, hostile, browser, tmp_path):  # noqa: F811
    page = visit(serving(hostile))
    search_by_id(page, HOSTILE[1])
    page.locator("#hits [data-id]").first.wait_for()
    save_receipt(page).save_as(tmp_path / "receipt.html")
    opened, troubles = browser.new_page(), []
    opened.on("dialog", lambda dialog: troubles.append(dialog.message))
    opened.on("request", lambda r: troubles.append(r.url) if not r.url.startswith(("file:", "data:")) else None)
    opened.goto((tmp_path / "receipt.html").as_uri())
    assert troubles == []
    assert json.loads(opened.locator("#imgsearch-receipt").text_content())["answer"]["query"]["id"] == HOSTILE[1]
    opened.close()


# -- originals ----------------------------------------------------------------------------------------------------


def test_hits_and_basket_are_saved_as_a_zip_of_originals_without_metadata(visit, giving, giving_folder):
    page = visit(giving)
    search_by_id(page, "red/00.png")
    page.locator("#hits [data-id]").first.wait_for()
    with page.expect_download() as download:
        page.locator("#exports").get_by_role("button", name="ZIP").click()
    files = unpacked(download.value.path().read_bytes())
    listed = json.loads(files["pictures.json"])
    assert [each["id"] for each in listed] == hits(page)
    assert {each["file"] for each in listed} | {"pictures.json"} == set(files)
    names = {each["id"]: each for each in listed}
    assert SECRET.encode() in (giving_folder / "red/camera.jpg").read_bytes()
    assert not any(SECRET.encode() in content for content in files.values())
    assert names["red/camera.jpg"]["note"] == "without metadata"
    assert "quality 95" in names["red/scan.tif"]["note"]
    assert names["red/scan.tif"]["file"].endswith("-scan.jpg")
    plain = files[names["red/01.png"]["file"]]
    with Image.open(io.BytesIO(plain)) as image:
        assert image.getpixel((0, 0)) == (200, 10, 0)
    page.locator("#hits [data-id='red/01.png']").click()
    page.get_by_role("button", name="Keep in the basket").click()
    page.keyboard.press("Escape")
    page.get_by_text("Basket (1)").click()
    with page.expect_download() as download:
        page.locator("#basket").get_by_role("button", name="ZIP").click()
    assert set(unpacked(download.value.path().read_bytes())) == {"001-01.png", "pictures.json"}


def test_names_in_the_archive_cannot_leave_it(giving):
    strange = [STRANGE, "../../etc/passwd", "C:\\x.png", "red/00.png", ""]
    files = unpacked(httpx.post(f"{giving}/originals", data={"id": strange}).content)
    assert set(files) == {"001-x-1-1-value.png", "004-00.png", "pictures.json"}
    notes = {each["id"]: each["note"] for each in json.loads(files["pictures.json"])}
    assert {notes[id_] for id_ in ("../../etc/passwd", "C:\\x.png", "")} == {"no longer indexed"}


def test_a_picture_whose_file_is_gone_is_listed_without_its_folder(serving, tmp_path):
    folder = paint_folder(tmp_path / "pictures")
    url = serving(make_gallery(folder), allow_originals=True)
    (folder / "red/00.png").unlink()
    (folder / "red/01.png").write_text("no picture any more")
    files = unpacked(httpx.post(f"{url}/originals", data={"id": ["red/00.png", "red/01.png", "red/02.png"]}).content)
    assert set(files) == {"003-02.png", "pictures.json"}
    first, second, _ = json.loads(files["pictures.json"])
    assert "not where it was" in first["note"]
    assert "text" in second["note"]
    assert str(tmp_path) not in files["pictures.json"].decode()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"id": ["nothing", "of this"]}, "None of these pictures is indexed"),
        ({}, "id"),
        ({"id": [str(i) for i in range(501)]}, "500"),
    ],
    ids=["unknown", "none", "many"],
)
def test_wrong_wishes_are_refused_in_words(giving, data, words):
    answer = httpx.post(f"{giving}/originals", data=data)
    assert answer.status_code == 422
    assert words in answer.json()["detail"]


def test_originals_are_handed_out_only_where_the_owner_says_so(visit, served, serving, gallery):
    assert httpx.post(f"{served}/originals", data={"id": "red/00.png"}).status_code in (404, 405)
    assert "/originals" not in httpx.get(f"{served}/openapi.json").json()["paths"]
    page = visit(served)
    search_by_id(page, "red/00.png")
    page.locator("#hits [data-id]").first.wait_for()
    assert page.get_by_role("button", name="ZIP").count() == 0
    with pytest.raises(BadQuery, match="Leave out --read-only or --allow-originals"):
        serve(gallery, port=free_port(), block=False, read_only=True, allow_originals=True)


def test_originals_are_behind_the_login_of_the_page(serving, gallery):
    url = serving(gallery, allow_originals=True, auth=("anna", "secret"))
    wish = {"data": {"id": "red/00.png"}}
    assert httpx.post(f"{url}/originals", **wish).status_code == 401
    assert httpx.post(f"{url}/originals", auth=("anna", "wrong"), **wish).status_code == 401
    assert "001-00.png" in unpacked(httpx.post(f"{url}/originals", auth=("anna", "secret"), **wish).content)
    with httpx.Client() as browser:
        browser.post(f"{url}/login", data={"username": "anna", "password": "secret"}).raise_for_status()
        assert "001-00.png" in unpacked(browser.post(f"{url}/originals", **wish).content)
        elsewhere = browser.post(f"{url}/originals", headers={"Sec-Fetch-Site": "cross-site"}, **wish)
        assert elsewhere.status_code == 401


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=str)
def test_no_wish_for_originals_makes_the_server_fail(giving, mode):
    operation = schemathesis.openapi.from_url(f"{giving}/openapi.json")["/originals"]["POST"]
    answered = set()

    @PROFILE
    @given(operation.as_strategy(generation_mode=mode))
    def asked(case):
        answer = case.call(timeout=30)
        answered.add(answer.status_code)
        case.validate_response(answer, checks=CHECKS)

    asked()
    assert 422 in answered
