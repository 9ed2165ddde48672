"""A page over a few painted pictures whose neighbours a person can name, and a real Chromium to use it with."""

from __future__ import annotations

import contextlib
import random
import socket
from collections import defaultdict

import pytest
from PIL import Image

from imgsearch_kit.app import serve
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.index import create_index, new_passport
from imgsearch_kit.indexing.folder import index_folder
from tests.small_extractor import QuarterColours, paint

STRANGE = 'a <b>bold</b> & "quoted"/x ${1 + 1} {{value}} \'.png'
LONG = f"{'a-very-long-folder-name-' * 4}/{'an_even_longer_file_name_' * 6}.png"


def paint_folder(folder):
    """Twenty reds leaning to green, twenty greens to blue, twenty blues to red, by ever ten more; and two odd names.

    The angle between two reds grows with the difference of their numbers, so neighbours can be told by counting.
    """
    for i in range(20):
        paint(folder / f"red/{i:02}.png", (200, 10 * i, 0))
        paint(folder / f"green/{i:02}.png", (0, 200, 10 * i))
        paint(folder / f"blue/{i:02}.png", (10 * i, 0, 200))
    paint(folder / STRANGE, (120, 120, 120))
    paint(folder / LONG, (255, 255, 200), (300, 40))
    return folder


def make_gallery(folder, extractor=None):
    extractor = extractor or QuarterColours()
    index = create_index("memory:", new_passport(extractor.spec))
    index_folder(folder, index, extractor, progress=False)
    return Gallery(index, extractor)


def free_port():
    """A free port below those that the system gives to connections, one of which could take it meanwhile."""
    while True:
        port = random.randrange(15_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    return paint_folder(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="session")
def gallery(pictures):
    return make_gallery(pictures)


@pytest.fixture(scope="session")
def served(gallery):
    """The address of a page over the painted pictures, started once."""
    page = serve(gallery, port=free_port(), block=False)
    yield page.url.rstrip("/")
    page.close()


@pytest.fixture
def serving():
    """Starts pages of a test's own, and stops them."""
    pages = []

    def start(gallery, **options):
        pages.append(serve(gallery, port=free_port(), block=False, **options))
        return pages[-1].url.rstrip("/")

    yield start
    for page in pages:
        page.close()


class Windows:
    """Windows of the browser, which tests use one after the other: a page opens in a used one three times as fast.

    A window that is given back has forgotten what a page kept in it.
    """

    def __init__(self, browser):
        self._browser, self._free = browser, defaultdict(list)

    def take(self, options):
        """A window with the options of a browser's context."""
        free = self._free[repr(sorted(options.items()))]
        if free:
            return free.pop()
        page = self._browser.new_context(**options).new_page()
        page.set_default_timeout(20_000)
        return page

    def give_back(self, page, options, origin):
        """Keeps an empty window for the next test, if it is still at the site where it was opened."""
        if len(page.context.pages) > 1 or not page.url.startswith(origin):
            page.context.close()
            return
        page.evaluate("() => { localStorage.clear(); sessionStorage.clear(); }")
        page.context.clear_cookies()
        page.mouse.move(0, 0)
        page.goto("about:blank")
        page.set_viewport_size(options["viewport"])
        page.emulate_media(color_scheme=options.get("color_scheme", "light"))
        self._free[repr(sorted(options.items()))].append(page)


@pytest.fixture(scope="session")
def windows(browser):
    return Windows(browser)


@pytest.fixture
def visit(windows, serving, request):  # servers outlive the pages that talk to them
    """Opens a page, and at the end asserts that nothing went wrong in it and no request left the machine.

    ``alone`` is for a test that leaves something in its window, such as a script: nobody uses that window again.
    """
    opened, troubles, failed_before = [], [], request.session.testsfailed
    watchers = {
        "console": lambda m: troubles.append(f"console: {m.text}") if m.type == "error" else None,
        "pageerror": lambda error: troubles.append(f"page: {error}"),
        "response": lambda r: troubles.append(f"{r.status}: {r.url}") if r.status >= 400 else None,
        "request": lambda r: troubles.append(f"outside: {r.url}") if not at_home(r.url) else None,
    }

    def at_home(url):
        return url.startswith(("http://127.0.0.1:", "data:", "blob:http://127.0.0.1:"))

    def open_(url, *, alone=False, **options):
        options = {"viewport": {"width": 1280, "height": 800}} | options
        page = windows.take(options)
        for event, watcher in watchers.items():
            page.on(event, watcher)
        opened.append((page, options, "/".join(url.split("/")[:3]), alone))
        page.goto(url)
        page.locator("#search [data-ready]").wait_for(state="attached")
        page.locator("#head .status", has_text="vectors").wait_for()
        return page

    yield open_
    failed = request.session.testsfailed > failed_before
    for page, options, origin, alone in opened:
        for event, watcher in watchers.items():
            page.remove_listener(event, watcher)
        if alone or failed or troubles:
            page.context.close()
        else:
            windows.give_back(page, options, origin)
    assert troubles == []


@pytest.fixture
def upload(tmp_path):
    """Paints a picture to search with."""

    def make(name, colour):
        return paint(tmp_path / name, colour)

    return make


@pytest.fixture
def text_as_jpg(tmp_path):
    path = tmp_path / "holiday.jpg"
    path.write_text("Dear all, the picture is attached.\n" * 50)
    with pytest.raises(OSError, match="cannot identify"):
        Image.open(path)
    return path
