"""What the page's server gives away, over real HTTP: its own pages and uploads, and no other file of the machine."""

from __future__ import annotations

import hashlib
import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

import imgsearch_kit
from imgsearch_kit.app import page as page_module
from imgsearch_kit.app import serve
from imgsearch_kit.errors import BadQuery
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.images import thumbnail
from imgsearch_kit.index import create_index, new_passport
from imgsearch_kit.indexing.folder import index_folder
from tests.app.conftest import free_port, paint_folder
from tests.app.test_api import post, sent
from tests.app.test_page import choose
from tests.small_extractor import QuarterColours

SOURCES = Path(imgsearch_kit.__file__).parent
ROOT = Path(__file__).resolve().parents[2]
SERVER = """
import sys
from pathlib import Path
from imgsearch_kit.app import serve
from tests.app.conftest import make_gallery
from tests.small_extractor import paint
paint(Path(sys.argv[1]) / "red/0.png", (200, 0, 0))
page = serve(make_gallery(Path(sys.argv[1])), port=int(sys.argv[2]), block=False)
print(page.url, flush=True)
page.wait()
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder outside the temporary ones that Gradio may show, with pictures and a local index in it."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def local(home):
    """A page over a local index, as `imgsearch serve` starts it."""
    folder, extractor = paint_folder(home / "pictures"), QuarterColours()
    with create_index(f"local:{home / 'imgsearch.db'}", new_passport(extractor.spec)) as index:
        index_folder(folder, index, extractor, progress=False)
        page = serve(Gallery(index, extractor), port=free_port(), block=False)
        yield page.url.rstrip("/")
        page.close()


def raw_get(url, path):
    """The status of a path sent exactly as it is written, which clients would tidy up."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
        answer = connection.makefile("rb").read()
    return int(answer.split()[1]), answer


def ways_to(path):
    """One file's path, plain, percent-encoded, and around corners."""
    yield quote(str(path))
    yield quote(str(path), safe="")
    yield quote(f"{path.parent}/../{path.parent.name}/{path.name}")
    yield str(path.parent / path.name).replace("/", "%2f").replace(".", "%2e")
    yield f"{quote(str(path.parent))}/%2e%2e/{quote(path.parent.name)}/{quote(path.name)}"
    yield "../../../../../../../.." + quote(str(path))
    yield "%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e" + quote(str(path))


@pytest.mark.parametrize("route", ["gradio_api/file=", "file=", "gradio_api/file/"])
def test_no_file_of_the_machine_is_served(local, home, route):
    picture = home / "pictures/red/00.png"
    for path in (
        picture,
        home / "imgsearch.db",
        SOURCES / "app/page.py",
        SOURCES.parent / "pyproject.toml",
        Path("/etc/passwd"),
        thumbnail(picture, hashlib.sha256(picture.read_bytes()).hexdigest()),
    ):
        for way in ways_to(path):
            status, answer = raw_get(local, f"/{route}{way}")
            assert status in (403, 404), f"{way} answers {status}"
            assert status == 403 or route != "gradio_api/file=", f"{way} answers {status}"
            assert path.read_bytes()[:64] not in answer


def test_an_upload_is_a_way_to_no_other_file(local, home, upload):
    stored = sent(local, upload("mine.png", (200, 0, 0)))["path"]
    assert raw_get(local, f"/gradio_api/file={quote(stored)}")[0] == 200
    for beside in ("/../../../etc/passwd", "/%2e%2e/%2e%2e/%2e%2e/etc/passwd", f"/../../..{home}/imgsearch.db"):
        assert raw_get(local, f"/gradio_api/file={quote(str(Path(stored).parent))}{beside}")[0] == 403


@pytest.mark.parametrize("target", ["/etc/passwd", "pictures/red/00.png", "imgsearch.db"])
def test_the_endpoint_opens_uploads_only(local, home, target):
    for meta in ({"meta": {"_type": "gradio.FileData"}}, {}):
        file = {"path": str(home / target), **meta}
        event, error = post(local, "call/search", {"data": [file, 3, None, None, None, None]})
        assert event == "error"
        assert "not a picture" not in str(error)


@pytest.mark.parametrize("target", ["/etc/passwd", "pictures/red/00.png"])
def test_the_events_of_the_page_open_uploads_only(local, home, target, upload):
    stored = Path(sent(local, upload("mine.png", (200, 0, 0)))["path"]).parent
    config = httpx.get(f"{local}/config").json()
    [view] = [c["id"] for c in config["components"] if c["props"].get("elem_id") == "search"]
    [event] = [d for d in config["dependencies"] if [view, "ask"] in d["targets"]]
    for path in (
        str(home / target),
        f"{stored}/../../../../../../..{home / target}",
        "\0",
        [str(home / target)],
    ):
        request = {"picture": path, "k": 3, "serial": 1}
        body = {"data": [], "event_data": request, "fn_index": event["id"], "session_hash": "stranger"}
        httpx.post(f"{local}/gradio_api/queue/join", json=body).raise_for_status()
        stream = httpx.get(f"{local}/gradio_api/queue/data?session_hash=stranger", timeout=30).text
        messages = [json.loads(line.removeprefix("data: ")) for line in stream.splitlines() if line]
        [said] = [message["output"]["data"][0] for message in messages if message["msg"] == "process_completed"]
        assert said == {"kind": "answer", "serial": 1, "error": "That file was not uploaded."}


def test_the_endpoint_fetches_nothing_from_the_machine_itself(local):
    for address in (f"{local}/config", "http://169.254.169.254/latest/meta-data"):
        body = {"path": address, "url": address, "meta": {"_type": "gradio.FileData"}}
        event, _ = post(local, "call/search", {"data": [body, 3, None, None, None, None]})
        assert event == "error"


def test_a_name_that_climbs_out_is_stored_inside(local):
    files = {"files": ("../../../evil.jpg", b"not a picture")}
    [stored] = httpx.post(f"{local}/gradio_api/upload", files=files).json()
    assert Path(stored).name == "evil.jpg"
    assert ".." not in stored


def test_no_answer_tells_where_the_pictures_lie(local, home, upload):
    client = Client(local, download_files=False, verbose=False)
    found = client.predict(handle_file(upload("mine.png", (200, 24, 0))), api_name="/search")
    assert found["query"]["file"] == "mine.png"
    texts = [str(found), *(httpx.get(f"{local}/{p}").text for p in ("", "config", "gradio_api/info"))]
    with pytest.raises(AppError) as refused:
        client.predict(None, id="nobody.png", api_name="/search")
    for text in [*texts, str(refused.value)]:
        assert str(home) not in text
        assert str(SOURCES.parent) not in text


def test_a_file_above_the_limit_is_refused(local):
    answer = httpx.post(f"{local}/gradio_api/upload", files={"files": ("big.png", b"\0" * (33 << 20))}, timeout=60)
    assert answer.status_code == 413


def vanishes(path):
    deadline = time.monotonic() + 60
    while path.exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    return not path.exists()


def test_uploads_are_deleted_when_they_are_old(gallery, serving, upload, monkeypatch):
    monkeypatch.setattr(page_module, "UPLOADS_KEPT", 1)
    url = serving(gallery)
    stored = Path(sent(url, upload("mine.png", (200, 24, 0)))["path"])
    assert vanishes(stored)


def test_the_query_is_drawn_from_a_preview_that_is_kept_nowhere(gallery, serving, visit, upload, own_cache):
    page = visit(serving(gallery))
    choose(page, upload("mine.tiff", (200, 24, 0)))  # which browsers do not draw
    page.locator("#hits [data-id]").first.wait_for()
    assert page.locator("#query img").evaluate("(i) => i.naturalWidth") == 32
    assert page.locator("#query img").get_attribute("src").startswith("data:image/webp;base64,")
    digest = hashlib.sha256(upload("mine.tiff", (200, 24, 0)).read_bytes()).hexdigest()
    assert not [path for path in own_cache.rglob("*") if digest in path.name]


def test_nothing_is_told_to_anyone(local):
    config = httpx.get(f"{local}/config").json()
    assert config["analytics_enabled"] is False
    assert config["run_history"] is False
    assert config["footer_links"] == ["api"]


def test_ctrl_c_stops_it_quietly(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(tmp_path), str(free_port())],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    url = process.stdout.readline().strip()
    assert httpx.get(f"{url}config").status_code == 200
    process.send_signal(signal.SIGINT)
    printed, said = process.communicate(timeout=60)
    assert (process.returncode, printed, said) == (0, "", "")


def test_it_listens_on_the_machine_itself_only(local):
    assert local.startswith("http://127.0.0.1:")
    port = int(local.rsplit(":", 1)[1])
    with pytest.raises(OSError, match=r"refused|unreachable|timed out"):  # a server on 0.0.0.0 would answer here too
        socket.create_connection(("127.0.0.2", port), timeout=5)


def test_with_a_password_nothing_answers_without_it(gallery, serving, upload):
    url = serving(gallery, auth=("me", "secret"))
    assert httpx.post(f"{url}/gradio_api/upload", files={"files": ("a.png", b"x")}).status_code == 401
    assert httpx.post(f"{url}/gradio_api/call/search", json={"data": []}).status_code == 401
    assert httpx.get(f"{url}/config").status_code == 401
    client = Client(url, auth=("me", "secret"), download_files=False, verbose=False)
    found = client.predict(handle_file(upload("mine.png", (200, 24, 0))), k=1, api_name="/search")
    assert found["hits"][0]["id"] == "red/02.png"


def test_a_public_link_needs_a_password(gallery):
    with pytest.raises(BadQuery, match="Give --auth USER:PASS with --share"):
        serve(gallery, share=True, block=False)


def test_a_taken_port_is_said_in_words(local, gallery):
    with pytest.raises(BadQuery, match=r"The page cannot listen on 127\.0\.0\.1, port"):
        serve(gallery, port=int(local.rsplit(":", 1)[1]), block=False)
