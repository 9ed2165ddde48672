"""The page starts and serves pictures, whatever stands in the environment: real processes, asked over HTTP."""

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

from imgsearch_kit.index import create_index, new_passport
from imgsearch_kit.indexing.folder import index_folder
from tests.app.conftest import free_port
from tests.small_extractor import QuarterColours, paint

ROOT = Path(__file__).resolve().parents[2]
IMGSEARCH = [sys.executable, "-c", "from imgsearch_kit.cli import main; main()"]
IS_ROOT = os.geteuid() == 0
WITHOUT_PRIVILEGE = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if IS_ROOT else []
DEAD = "http://user:secret@127.0.0.1:9"  # nothing listens there
HTTP = httpx.Client(trust_env=False, timeout=30, headers={"connection": "close"})


def as_stranger():
    """The start of a command that runs as a user without an entry in passwd; it may read what root may."""
    if not IS_ROOT:
        return []
    bounds = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapBnd"))
    reads_all = int(bounds.split()[1], 16) >> 2 & 1  # CAP_DAC_READ_SEARCH, for a Python below /root
    given = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"] if reads_all else []
    return ["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", *given]


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


@pytest.fixture
def place(pictures):
    """A folder for one process, with ``tmp`` and ``home`` in it, which a stranger may write to."""
    folder = Path(tempfile.mkdtemp(dir=pictures))
    for part in (folder, folder / "tmp", folder / "home"):
        part.mkdir(exist_ok=True)
        part.chmod(0o777)
    for file in pictures.glob("made.db*"):
        shutil.copy(file, folder)
        (folder / file.name).chmod(0o666)
    yield folder
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir():
            path.chmod(0o777)


def unwritable(folder):
    """A folder that is there and cannot be written to, as somebody else's is."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o555)
    return folder


class Started:
    """A page in a process of its own: what it printed, once it is up or has given up."""

    def __init__(self, place, *options, command=(), **environment):
        cache = {"IMGSEARCH_CACHE": f"{place}/cache", "TMPDIR": f"{place}/tmp", "HOME": f"{place}/home"}
        given = {name: value for name, value in (cache | environment).items() if value is not None}
        self.tmp = Path(given.get("TMPDIR", "/tmp"))
        kept = ("PATH", "LANG", "LC_ALL")
        serve = ["serve", "--index", "local:made.db", "--port", str(free_port()), *options]
        self.process = subprocess.Popen(
            [*command, *IMGSEARCH, *serve],
            cwd=place,
            env={name: os.environ[name] for name in kept if name in os.environ} | {"PYTHONPATH": str(ROOT)} | given,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        ready, _, _ = select.select([self.process.stdout], [], [], 60)
        self.line = self.process.stdout.readline() if ready else ""
        self.url = self.line.strip().removeprefix("The page is at ").rstrip("/")

    def stop(self, with_=signal.SIGINT):
        """The exit code, and what was said on standard error."""
        self.process.send_signal(with_)
        said = self.process.communicate(timeout=60)[1]
        return self.process.returncode, said


@pytest.fixture
def start(place):
    started = []

    def start_(*options, command=WITHOUT_PRIVILEGE, **environment):
        started.append(Started(place, *options, command=command, **environment))
        return started[-1]

    yield start_
    for each in started:
        each.process.kill()
        each.process.communicate()


def thumbnails_of(url):
    """How many pictures the page draws when it is opened."""
    config = HTTP.get(f"{url}/config").json()
    drawn = 0
    for event in config["dependencies"]:
        if event["inputs"] or not event["backend_fn"] or event["api_name"] == "search":
            continue
        session = f"s{event['id']}"
        body = {"data": [], "fn_index": event["id"], "session_hash": session}
        HTTP.post(f"{url}/gradio_api/queue/join", json=body).raise_for_status()
        drawn += HTTP.get(f"{url}/gradio_api/queue/data?session_hash={session}").text.count("data:image/webp;base64")
    return drawn


def search_result(url, id_):
    asked = HTTP.post(f"{url}/gradio_api/call/search", json={"data": [None, 3, None, None, id_, None]}).json()
    return HTTP.get(f"{url}/gradio_api/call/search/{asked['event_id']}").text


def upload_of(url, picture):
    files = {"files": (picture.name, picture.read_bytes())}
    answer = HTTP.post(f"{url}/gradio_api/upload", files=files)
    assert answer.status_code == 200, answer.text
    [path] = answer.json()
    return Path(path)


def assert_works(page, pictures):
    assert page.url, page.stop()
    assert '"id": "red/1.png"' in search_result(page.url, "red/0.png")
    assert thumbnails_of(page.url) == 2, page.stop()
    stored = upload_of(page.url, pictures / "pictures/red/0.png")
    served = HTTP.get(f"{page.url}/gradio_api/file={stored}")
    assert served.content == (pictures / "pictures/red/0.png").read_bytes()
    code, said = page.stop()
    assert (code, "Traceback" in said) == (0, False), said
    assert "secret" not in said
    assert not stored.exists()
    return said


PROXIES = {
    "http": {"http_proxy": DEAD},
    "HTTP": {"HTTP_PROXY": DEAD},
    "https": {"https_proxy": DEAD, "HTTPS_PROXY": DEAD},
    "all": {"ALL_PROXY": DEAD, "all_proxy": DEAD},
    "socks": {"ALL_PROXY": "socks5://user:secret@127.0.0.1:9"},
    "socks4": {"all_proxy": "socks4://127.0.0.1:9"},
    "socks_though_excepted": {"ALL_PROXY": "socks5://127.0.0.1:9", "NO_PROXY": "127.0.0.1,localhost"},
    "except_another": {"http_proxy": DEAD, "no_proxy": "example.org"},
    "except_this": {"http_proxy": DEAD, "NO_PROXY": "127.0.0.1"},
    "two_exceptions": {"HTTP_PROXY": DEAD, "NO_PROXY": "127.0.0.1", "no_proxy": "example.org"},
    "unknown_scheme": {"http_proxy": "gopher://127.0.0.1:9"},
    "no_url": {"http_proxy": "http://[user:secret@"},
    "no_certificates": {"SSL_CERT_FILE": "/nonexistent.pem", "SSL_CERT_DIR": "/nonexistent"},
}


@pytest.mark.parametrize("variables", PROXIES.values(), ids=PROXIES)
def test_the_page_is_reached_past_any_proxy(start, pictures, variables):
    assert_works(start(**variables), pictures)


TEMPORARY = {
    "gradios_folder_is_theirs": lambda place: {"TMPDIR": str(unwritable(place / "tmp/gradio").parent)},
    "and_all_in_it": lambda place: {
        "TMPDIR": str(unwritable(place / "tmp/gradio/vibe_edit_history").parents[1]),
        "x": unwritable(place / "tmp/gradio") and None,
    },
    "gradios_folder_is_a_file": lambda place: {"TMPDIR": ((place / "tmp/gradio").touch(), str(place / "tmp"))[1]},
    "unwritable": lambda place: {"TMPDIR": str(unwritable(place / "theirs"))},
    "missing": lambda place: {"TMPDIR": str(place / "nowhere")},
    "gradios_variable_is_theirs": lambda place: {"GRADIO_TEMP_DIR": str(unwritable(place / "theirs"))},
}


@pytest.mark.parametrize("make", TEMPORARY.values(), ids=TEMPORARY)
def test_uploads_need_nobody_elses_folder(start, place, pictures, make):
    assert_works(start(**make(place)), pictures)


HOMES = {
    "unset": lambda place: {"HOME": None, "IMGSEARCH_CACHE": None},
    "missing": lambda place: {"HOME": f"{unwritable(place / 'no')}/home", "IMGSEARCH_CACHE": None},
    "unwritable": lambda place: {"HOME": str(unwritable(place / "ro")), "IMGSEARCH_CACHE": None},
    "a_file": lambda place: {"HOME": str(place / "made.db"), "IMGSEARCH_CACHE": None},
    "xdg_cache_unwritable": lambda place: {"XDG_CACHE_HOME": str(unwritable(place / "ro")), "IMGSEARCH_CACHE": None},
    "cache_unwritable": lambda place: {"IMGSEARCH_CACHE": str(unwritable(place / "ro"))},
    "cache_below_a_file": lambda place: {"IMGSEARCH_CACHE": str(place / "made.db/cache")},
    "thumbnails_unwritable": lambda place: {
        "IMGSEARCH_CACHE": str(unwritable(place / "cache/thumbnails").parent),
    },
}


@pytest.mark.parametrize("make", HOMES.values(), ids=HOMES)
def test_pictures_are_drawn_though_they_cannot_be_kept(start, place, pictures, make):
    before = sorted(path.name for path in place.iterdir())
    made = make(place)
    assert_works(start(**made), pictures)
    assert not (place / "~").exists(), before


@pytest.mark.parametrize("home", [None, "/", "/nonexistent"])
def test_a_user_without_an_entry_in_passwd(start, place, pictures, home):
    assert_works(start(command=as_stranger(), HOME=home, IMGSEARCH_CACHE=None), pictures)


HOSTS = {
    "::1": ("http://[::1]:", "cannot listen on ::1"),
    "[::1]": ("http://[::1]:", "cannot listen on ::1"),
    "::": ("http://[::1]:", "cannot listen on ::"),
    "localhost": ("http://localhost:", None),
    "0.0.0.0": ("http://localhost:", None),
    "127.0.0.2": ("http://127.0.0.2:", None),
}


@pytest.mark.parametrize(("host", "expected"), HOSTS.items(), ids=HOSTS)
def test_hosts(start, pictures, host, expected):
    url, refusal = expected
    page = start("--host", host, http_proxy=DEAD)
    if refusal and not ipv6():
        assert refusal in page.stop()[1]
        return
    assert page.url.startswith(url), (page.url, page.stop())
    assert_works(page, pictures)


def ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


IMPOSSIBLE = ["no-such-host.invalid", "192.0.2.1", "2001:db8::1", "[::1", "a b", "127.0.0.1:80", "http://localhost", ""]


@pytest.mark.parametrize("host", IMPOSSIBLE)
def test_a_host_that_cannot_be_is_said(start, host):
    page = start("--host", host)
    page.process.wait(timeout=60)
    said = page.process.stderr.read()
    assert (page.process.returncode, said.count("\n")) == (3, 2 if "Only indexed" in said else 1), said
    assert f"imgsearch: The page cannot listen on {host.strip('[]')}, port" in said


GRADIO = {
    "SERVER_NAME": "0.0.0.0",
    "SERVER_PORT": "not a number",
    "NUM_PORTS": "not a number",
    "SHARE": "True",
    "ALLOWED_PATHS": "/",
    "BLOCKED_PATHS": "/",
    "TEMP_DIR": "/proc/nowhere",
    "ANALYTICS_ENABLED": "True",
    "ANALYTICS_MAX_EVENTS": "none",
    "SSR_MODE": "True",
    "MCP_SERVER": "True",
    "WATCH_DIRS": "/etc",
    "HOT_RELOAD": "true",
    "VIBE_MODE": "1",
    "DEBUG": "1",
    "DEFAULT_CONCURRENCY_LIMIT": "none at all",
    "RUN_HISTORY": "True",
    "HISTORY_BUCKET": "somebody/bucket",
    "LOCAL_DEV_MODE": "1",
    "EXAMPLES_CACHE": "/proc/nowhere",
    "CACHE_EXAMPLES": "true",
    "HEARTBEAT_INTERVAL": "-1",
    "NUM_WORKERS": "2",
    "NODE_PATH": "/nonexistent/node",
    "SHARE_SERVER_ADDRESS": "127.0.0.1:9",
    "PROFILING": "1",
    "IS_E2E_TEST": "1",
}


def facts(url):
    """What a page says of itself that does not differ from one start to the next, and what it serves."""
    config = HTTP.get(f"{url}/config").json()
    names = ("dev_mode", "vibe_mode", "analytics_enabled", "run_history", "footer_links", "space_id")
    found = {name: config.get(name) for name in names} | {"root": config.get("root", "").replace(url, "")}
    found["vibe"] = HTTP.get(f"{url}/gradio_api/vibe-code").status_code
    found["passwd"] = HTTP.get(f"{url}/gradio_api/file=/etc/passwd").status_code
    found["mcp"] = HTTP.get(f"{url}/gradio_api/mcp/schema").status_code
    origin = HTTP.get(f"{url}/config", headers={"origin": "null"}).headers
    found["null"] = origin.get("access-control-allow-origin")
    with pytest.raises(OSError, match=r"refused|unreachable|timed out"):
        socket.create_connection(("127.0.0.2", int(url.rsplit(":", 1)[1])), timeout=5)
    return found


@pytest.fixture(scope="module")
def usual(pictures):
    folder = Path(tempfile.mkdtemp(dir=pictures))
    for file in pictures.glob("made.db*"):
        shutil.copy(file, folder)
    (folder / "tmp").mkdir()
    page = Started(folder)
    assert page.url, page.stop()
    found = facts(page.url)
    assert page.stop()[0] == 0
    return found


@pytest.mark.parametrize("name", [*GRADIO, "all"])
def test_gradios_variables_change_nothing(start, pictures, usual, name):
    page = start(**{f"GRADIO_{n}": value for n, value in GRADIO.items() if name in (n, "all")})
    assert page.url, page.stop()
    assert facts(page.url) == usual
    said = assert_works(page, pictures)
    assert said.count("\n") <= 1, said
