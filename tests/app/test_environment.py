"""The page starts, serves pictures and opens nothing, whatever stands in the environment, over real HTTP."""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx
import pytest

from imgsearch_kit.app import serve
from imgsearch_kit.errors import BadQuery
from imgsearch_kit.files import process_folder
from imgsearch_kit.index import create_index, new_passport
from imgsearch_kit.indexing.folder import index_folder
from tests.app.conftest import free_port
from tests.small_extractor import QuarterColours, paint
from tests.users import BOUND_BY_MODES, IS_ROOT, as_stranger, unwritable

ROOT = Path(__file__).resolve().parents[2]
IMGSEARCH = [sys.executable, "-c", "from imgsearch_kit.cli import main; main()"]
DEAD = "http://user:secret@127.0.0.1:9"  # nothing listens there
HTTP = httpx.Client(trust_env=False, timeout=30, headers={"connection": "close"})


def asked(url, event):
    """What the page answers to one of its own events that takes nothing."""
    body = {"data": [], "fn_index": event["id"], "session_hash": f"s{event['id']}"}
    HTTP.post(f"{url}/gradio_api/queue/join", json=body).raise_for_status()
    return HTTP.get(f"{url}/gradio_api/queue/data?session_hash=s{event['id']}").text


def searched(url, *data):
    call = HTTP.post(f"{url}/gradio_api/call/search", json={"data": data}).json()
    return HTTP.get(f"{url}/gradio_api/call/search/{call['event_id']}").text


def assert_works(url, pictures):
    """The page draws its tiles, takes an upload and gives it back, and searches; the upload's path."""
    events = HTTP.get(f"{url}/config").json()["dependencies"]
    opening = [e for e in events if e["backend_fn"] and "load" in [name for _, name in e["targets"]]]
    drawn = sum(asked(url, event).count("data:image/webp;base64") for event in opening)
    assert drawn == 12  # all there are, as these are fewer than the tiles
    picture = pictures / "pictures/red/0.png"
    answer = HTTP.post(f"{url}/gradio_api/upload", files={"files": ("0.png", picture.read_bytes())})
    assert answer.status_code == 200, answer.text
    [stored] = answer.json()
    assert HTTP.get(f"{url}/gradio_api/file={stored}").content == picture.read_bytes()
    assert '"id": "red/1.png"' in searched(url, None, 3, None, None, "red/0.png", None)
    return Path(stored)


def assert_opens_nothing(url):
    config = HTTP.get(f"{url}/config").json()
    for name in ("dev_mode", "vibe_mode", "analytics_enabled", "run_history"):
        assert config[name] is False, name
    assert config["root"] == url
    assert HTTP.get(f"{url}/gradio_api/file=/etc/passwd").status_code == 403
    assert HTTP.get(f"{url}/gradio_api/vibe-code").status_code == 403
    assert HTTP.get(f"{url}/gradio_api/mcp/schema").status_code == 404
    assert "access-control-allow-origin" not in HTTP.get(f"{url}/config", headers={"origin": "null"}).headers
    with pytest.raises(OSError, match=r"refused|unreachable|timed out"):  # it listens on no other address
        socket.create_connection(("127.0.0.2", int(url.rsplit(":", 1)[1])), timeout=5)


@pytest.fixture(scope="module")
def pictures():
    """A folder everybody may read, with twelve pictures and an index of them."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    for i in range(6):
        paint(folder / f"pictures/red/{i}.png", (200, 10 * i, 0))
        paint(folder / f"pictures/blue/{i}.png", (10 * i, 0, 200))
    extractor = QuarterColours()
    with create_index(f"local:{folder}/made.db", new_passport(extractor.spec)) as index:
        index_folder(folder / "pictures", index, extractor, progress=False)
    yield folder
    shutil.rmtree(folder)


# -- in this process, which loaded Gradio long ago --------------------------------------------------------------------


@pytest.fixture
def page_of(pictures, monkeypatch):
    """Starts a page over the pictures with some variables set, and stops it."""
    from imgsearch_kit import Gallery

    pages = []

    def start(variables, **options):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        gallery = Gallery.open(f"local:{pictures}/made.db", QuarterColours())
        pages.append(serve(gallery, **{"port": free_port(), "block": False} | options))
        return pages[-1].url.rstrip("/")

    yield start
    for page in pages:
        page.close()


PROXIES = {
    "http": {"http_proxy": DEAD, "HTTP_PROXY": DEAD, "https_proxy": DEAD, "ALL_PROXY": DEAD},
    "socks": {"ALL_PROXY": "socks5://user:secret@127.0.0.1:9", "NO_PROXY": "127.0.0.1,localhost"},
    "other_exceptions": {"http_proxy": DEAD, "NO_PROXY": "127.0.0.1", "no_proxy": "example.org"},
    "unknown_scheme": {"http_proxy": "gopher://127.0.0.1:9"},
    "no_url": {"http_proxy": "http://[user:secret@"},
    "no_certificates": {"SSL_CERT_FILE": "/nonexistent.pem", "SSL_CERT_DIR": "/nonexistent"},
}


@pytest.mark.parametrize("variables", PROXIES.values(), ids=PROXIES)
def test_a_page_is_reached_past_any_proxy_and_downloads_go_through_it_as_before(page_of, pictures, variables):
    assert_works(page_of(variables), pictures)
    assert {name: os.environ.get(name) for name in variables} == variables


@pytest.mark.parametrize("name", ["socks", "unknown_scheme", "no_certificates"])
def test_a_public_link_needs_proxies_that_can_be_used(page_of, name):
    with pytest.raises(BadQuery, match=r"^A public link cannot be made: a proxy or certificate in HTTP_PROXY") as said:
        page_of(PROXIES[name], share=True, auth=("me", "password"))
    assert "secret" not in str(said.value)


def test_a_public_link_is_asked_for_through_the_proxy_and_the_page_is_not(page_of, caplog, capfd):
    """Nothing listens at the proxy, so there is no link; the page is there all the same."""
    url = page_of({"http_proxy": DEAD, "https_proxy": DEAD}, share=True, auth=("me", "password"))
    assert HTTP.get(f"{url}/config").status_code == 401
    assert "The page is not shared: there is no tunnel to gradio.live" in caplog.text
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("host", ["::1", "[::1]", "::", "localhost", "0.0.0.0"])
def test_hosts_of_both_kinds(page_of, pictures, host):
    there = {"localhost": "localhost", "0.0.0.0": "localhost"}.get(host, "[::1]")
    if there == "[::1]" and not has_ipv6():
        with pytest.raises(BadQuery, match="The page cannot listen on"):
            page_of({}, host=host, open=True)
        return
    url = page_of({"http_proxy": DEAD}, host=host, open=True)
    assert url.startswith(f"http://{there}:")
    assert_works(url, pictures)


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    "host", ["no-such-host.invalid", "192.0.2.1", "2001:db8::1", "[::1", "a b", "127.0.0.1:80", "http://localhost", ""]
)
def test_a_host_that_cannot_be_is_said_at_once(page_of, host, capfd):
    with pytest.raises(BadQuery, match=r"^The page cannot listen on .*, port \d+ \(.+\)\. Give another --port or"):
        page_of({}, host=host)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_port_in_use_is_said(page_of, host):
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as taken:
        try:
            taken.bind((host, 0))
        except OSError:  # no IPv6 here, which is said too
            taken.bind(("::", 0)) if has_ipv6() else None
        taken.listen()
        with pytest.raises(BadQuery, match=r"^The page cannot listen on .*(in use|assign|not supported)"):
            page_of({}, host=host, port=taken.getsockname()[1] or free_port())


def test_the_root_path_of_a_reverse_proxy_is_obeyed(page_of):
    url = page_of({"GRADIO_ROOT_PATH": "/pictures"})
    assert HTTP.get(f"{url}/config").json()["root"].endswith("/pictures")


def test_uploads_lie_in_a_folder_that_only_this_user_can_read(page_of, pictures):
    stored = assert_works(page_of({"GRADIO_TEMP_DIR": str(pictures)}), pictures)
    assert stored.is_relative_to(process_folder())
    assert process_folder().stat().st_mode & 0o777 == 0o700


# -- in a process of its own, which can be denied files ----------------------------------------------------------------


class Started:
    """A page in a process of its own, once it is up or has given up."""

    def __init__(self, place, options, command, environment):
        given = {"IMGSEARCH_CACHE": f"{place}/cache", "TMPDIR": f"{place}/tmp", "HOME": f"{place}/home"} | environment
        environment = {name: value for name, value in given.items() if value is not None}
        serving = ["serve", "--index", "local:made.db", "--port", str(free_port()), *options]
        self.process = subprocess.Popen(
            [*command, *IMGSEARCH, *serving],
            cwd=place,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        ready, _, _ = select.select([self.process.stdout], [], [], 120)
        line = self.process.stdout.readline() if ready else ""
        self.url = line.strip().removeprefix("The page is at ").rstrip("/")

    def stop(self, how=signal.SIGINT):
        """What was said on standard error, after a quiet end."""
        self.process.send_signal(how)
        said = self.process.communicate(timeout=60)[1]
        assert (self.process.returncode, "Traceback" in said) == (0, False), said
        assert "secret" not in said
        return said


@pytest.fixture
def place(pictures):
    """A folder for one process, with a copy of the index, ``tmp`` and ``home``, where a stranger may write too."""
    folder = Path(tempfile.mkdtemp(dir=pictures))
    for file in pictures.glob("made.db*"):
        shutil.copy(file, folder)
    for path in (folder, folder / "tmp", folder / "home", *folder.glob("made.db*")):
        path.suffix or path.mkdir(exist_ok=True)
        path.chmod(0o777)
    yield folder
    for path in folder.rglob("*"):
        path.chmod(0o777)


@pytest.fixture
def start(place):
    started = []

    def start_(*options, command=BOUND_BY_MODES, **environment):
        started.append(Started(place, options, command, environment))
        page = started[-1]
        assert page.url, page.process.communicate(timeout=60)
        return page

    yield start_
    for each in started:
        each.process.kill()
        each.process.communicate()


GRADIO = {
    "SERVER_NAME": "0.0.0.0",
    "SERVER_PORT": "not a number",
    "NUM_PORTS": "not a number",
    "NUM_WORKERS": "not a number",
    "SHARE": "True",
    "SHARE_SERVER_ADDRESS": "127.0.0.1:9",
    "ALLOWED_PATHS": "/",
    "BLOCKED_PATHS": "/",
    "TEMP_DIR": "/proc/nowhere",
    "EXAMPLES_CACHE": "/proc/nowhere",
    "CACHE_EXAMPLES": "true",
    "ANALYTICS_ENABLED": "True",
    "ANALYTICS_MAX_EVENTS": "not a number",
    "DEFAULT_CONCURRENCY_LIMIT": "not a number",
    "SSR_MODE": "True",
    "NODE_PATH": "/nonexistent/node",
    "MCP_SERVER": "True",
    "WATCH_DIRS": "/etc",
    "HOT_RELOAD": "true",
    "VIBE_MODE": "1",
    "LOCAL_DEV_MODE": "1",
    "DEBUG": "1",
    "PROFILING": "1",
    "RUN_HISTORY": "True",
    "HISTORY_BUCKET": "somebody/bucket",
    "IS_E2E_TEST": "1",
}


def test_gradios_variables_and_proxies_change_nothing_and_its_folder_may_be_somebody_elses(start, place, pictures):
    unwritable(place / "tmp/gradio")
    proxies = {"http_proxy": DEAD, "HTTP_PROXY": DEAD, "ALL_PROXY": "socks5://user:secret@127.0.0.1:9"}
    page = start(**{f"GRADIO_{name}": value for name, value in GRADIO.items()}, **proxies)
    assert_opens_nothing(page.url)
    stored = assert_works(page.url, pictures)
    page.stop(signal.SIGTERM)
    assert not stored.exists()
    assert [path.name for path in (place / "tmp").iterdir()] == ["gradio"]


def test_pictures_are_drawn_that_cannot_be_kept(start, place, pictures):
    (place / "tmp/gradio/vibe_edit_history").mkdir(parents=True)
    unwritable(place / "tmp/gradio")
    page = start(IMGSEARCH_CACHE=str(unwritable(place / "cache/thumbnails").parent), HOME=str(unwritable(place / "ro")))
    stored = assert_works(page.url, pictures)
    said = page.stop(signal.SIGHUP)
    assert not stored.exists()
    assert [path.name for path in (place / "tmp").iterdir()] == ["gradio"]
    why = f"{place}/cache cannot be written"
    assert said.count(f"{why}, so thumbnails are made again each time. Set IMGSEARCH_CACHE to a writable folder.") == 1


def test_pictures_are_drawn_for_a_user_without_home_and_entry_in_passwd(start, place, pictures):
    page = start(command=as_stranger(), HOME=None, IMGSEARCH_CACHE=None)
    assert_works(page.url, pictures)
    said = page.stop()
    if IS_ROOT:
        assert said.count("There is no home folder to cache in") == 1
    assert sorted(path.name for path in place.iterdir() if not path.name.startswith("made.db")) == ["home", "tmp"]
