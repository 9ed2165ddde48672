"""What a visitor reads when pictures, the index, its server or the page's own server are gone, in a real browser."""

from __future__ import annotations

import re
import uuid

import pytest
from playwright.sync_api import expect

from imgsearch_kit.app import serve
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.index import create_index, new_passport
from imgsearch_kit.index.elastic import client
from tests.app.conftest import free_port, make_gallery
from tests.app.test_page import drop
from tests.faulty_proxy import Cut, Proxy, pass_on
from tests.index.conftest import remove_from_server
from tests.small_extractor import QuarterColours, paint

STOPPED = re.compile("The server of this page does not answer: it was stopped, or the connection is lost.")
BACK = "The earlier results are still shown below."


@pytest.fixture
def page(browser):
    """A page that may see failed requests, unlike those of ``visit``."""
    context = browser.new_context()
    opened = context.new_page()
    opened.set_default_timeout(20_000)
    yield opened
    context.close()


def opened(page, url):
    page.goto(url)
    page.locator("#search [data-ready]").wait_for()
    page.locator("#welcome .tile").first.wait_for()


def cut(request):
    raise Cut


def said(page):
    return page.locator("#status .status")


def test_most_pictures_gone_is_a_banner_that_names_the_option(visit, serving, tmp_path):
    for i in range(4):
        paint(tmp_path / f"pictures/red/{i}.png", (200, 10 * i, 0))
    gallery = make_gallery(tmp_path / "pictures")
    page = visit(serving(gallery))
    expect(page.locator("#banner")).to_be_hidden()
    (tmp_path / "pictures").rename(tmp_path / "moved")
    page.reload()
    expect(page.locator("#banner")).to_contain_text("imgsearch serve --root FOLDER")
    moved = visit(serving(Gallery(gallery.index, gallery.extractor, root=tmp_path / "moved")))
    expect(moved.locator("#banner")).to_be_hidden()


def test_an_index_that_is_deleted_is_a_sentence_without_its_place(page, gallery, serving, tmp_path, upload):
    path = tmp_path / "photos.db"
    with create_index(f"local:{path}", new_passport(gallery.passport.spec)) as index:
        index.add(gallery.records(), gallery.vectors())
    opened(page, serving(Gallery.open(f"local:{path}", QuarterColours())))
    drop(page, upload("a.png", (200, 24, 0)))
    page.locator("#hits li").first.wait_for()
    path.unlink()
    drop(page, upload("b.png", (0, 24, 200)))
    expect(said(page)).to_have_text(f"The index is gone: it was deleted or moved while this page was served. {BACK}")


def test_a_server_of_the_index_that_restarts_is_a_sentence_meanwhile(
    page, gallery, serving, elasticsearch_9, upload, monkeypatch
):
    monkeypatch.setattr(client, "WAITS", (0.01, 0.02))  # seconds, else a server that starts is waited for
    proxy = Proxy(elasticsearch_9)
    with proxy:
        address = f"{proxy.url}/test-{uuid.uuid4().hex[:12]}"
        with create_index(address, new_passport(gallery.passport.spec, method="flat")) as index:
            index.add(gallery.records(), gallery.vectors())
        opened(page, serving(Gallery.open(address, QuarterColours(), root=gallery.passport.root)))
        proxy.answer = cut
        drop(page, upload("a.png", (200, 24, 0)))
        expect(said(page)).to_contain_text("The server of the index does not answer now.")
        proxy.answer = pass_on
        drop(page, upload("b.png", (200, 24, 0)))
        page.locator("#hits li").first.wait_for()
        remove_from_server(address)


def test_the_pages_own_server_restarts(page, gallery, upload):
    port = free_port()
    first = serve(gallery, port=port, block=False)
    opened(page, first.url)
    first.close()
    drop(page, upload("a.png", (200, 24, 0)))
    expect(said(page)).to_have_text(STOPPED)
    page.get_by_role("button", name="Random").click()
    expect(said(page)).to_have_text("Searching …")
    expect(said(page)).to_have_text(STOPPED, timeout=10_000)
    expect(page.locator("#welcome .tile").first).to_be_visible()
    page.evaluate("window.before = true")
    second = serve(gallery, port=port, block=False)
    try:
        page.wait_for_function("!window.before")  # Gradio notices it by itself
        page.locator("#welcome .tile").first.wait_for()
        drop(page, upload("b.png", (200, 24, 0)))
        page.locator("#hits li").first.wait_for()
        assert page.locator("#hits .label").first.inner_text() == "red"
        page.get_by_role("button", name="Random").click()
        page.locator('#query:not([data-query="b.png"])').wait_for()
    finally:
        second.close()
