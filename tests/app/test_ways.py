"""The ways by which a picture comes to the page that no other test goes: HEIC, the camera, and by chance."""

from __future__ import annotations

import shutil

import pytest
from PIL import Image

from tests.app.conftest import make_gallery
from tests.app.test_address import address
from tests.app.test_page import BETWEEN_2_AND_3, choose, hits, query_picture, wait_for_first, wait_for_status
from tests.conftest import CHROMIUM, require
from tests.small_extractor import paint

FAKE_CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]


def test_a_heic_picture_is_searched_for_and_seen_though_no_browser_draws_it(visit, served, tmp_path):
    try:
        import pillow_heif
    except ModuleNotFoundError:
        require(False, "pillow-heif", "python -m pip install pillow-heif")
    path = tmp_path / "IMG_0001.HEIC"
    pillow_heif.from_pillow(Image.new("RGB", (64, 48), BETWEEN_2_AND_3)).save(path, quality=100)
    page = visit(served)
    choose(page, path)
    wait_for_first(page, "red/02.png")
    assert page.locator("[data-query]").get_attribute("data-query") == "IMG_0001.HEIC"
    page.wait_for_function("() => document.querySelector('#query img').naturalWidth === 64")
    assert query_picture(page).get_attribute("src").startswith("data:image/webp")


@pytest.fixture
def with_camera(browser):
    """A second Chromium, that has a camera of moving colours."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    started = browser.browser_type.launch(executable_path=program, args=[*CHROMIUM, *FAKE_CAMERA])
    yield started
    started.close()


def test_what_the_camera_sees_is_searched_for_when_it_is_taken(with_camera, served):
    page = with_camera.new_page()
    page.goto(served)
    page.locator("#search [data-ready]").wait_for()
    page.get_by_role("button", name="Camera").click()
    dialog = page.get_by_role("dialog", name="Camera")
    page.wait_for_function("() => document.querySelector('dialog video')?.videoWidth > 0")
    dialog.get_by_role("button", name="Cancel").click()
    dialog.wait_for(state="detached")
    assert hits(page) == []
    page.get_by_role("button", name="Camera").click()
    page.wait_for_function("() => document.querySelector('dialog video')?.videoWidth > 0")
    seen = page.evaluate("document.querySelector('dialog video').videoWidth")
    dialog.get_by_role("button", name="Take the picture").click()
    wait_for_status(page, "^10 neighbours")
    assert page.locator("[data-query]").get_attribute("data-query") == "camera.jpg"
    page.wait_for_function(f"() => document.querySelector('#query img').naturalWidth === {seen}")
    assert dialog.count() == 0


NO_ACCESS = "Object.defineProperty(Navigator.prototype, 'mediaDevices', {value: undefined})"
REFUSING = "void (navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', 'NotAllowedError')))"


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        (NO_ACCESS, "gives pages a camera over https and on this machine only"),
        (REFUSING, "The camera is not allowed for this page. Allow it in the browser, or drop a picture."),
        ("", "No camera was found. Drop or upload a picture instead."),
    ],
    ids=["no-https", "refused", "none"],
)
def test_without_a_camera_a_sentence_says_why_and_what_to_do(visit, served, script, sentence):
    page = visit(served, permissions=["camera"])
    if script:
        page.evaluate(script)
    page.get_by_role("button", name="Camera").click()
    page.get_by_role("alert").filter(has_text=sentence).wait_for()


def test_a_picture_by_chance_is_an_indexed_one_and_its_link_opens_it_again(visit, serving, pictures):
    page = visit(serving(make_gallery(pictures)))
    for _ in range(6):
        before = page.url
        page.get_by_role("button", name="Random").click()
        page.wait_for_url(lambda url, before=before: "id=" in url and url != before)
    wait_for_status(page, "^10 neighbours")
    page.locator("#own", has_text=address(page)["id"][0]).wait_for()
    before, again = hits(page), visit(page.url)
    wait_for_first(again, before[0])
    assert hits(again) == before


def test_a_picture_by_chance_is_never_the_one_that_is_shown(visit, serving, tmp_path):
    for name in "ab":
        paint(tmp_path / f"{name}.png", BETWEEN_2_AND_3)
    page = visit(serving(make_gallery(tmp_path)) + "?tab=search&id=a.png")
    for shown in "babababa":
        page.get_by_role("button", name="Random").click()
        page.wait_for_url(lambda url, shown=shown: f"id={shown}.png" in url)
