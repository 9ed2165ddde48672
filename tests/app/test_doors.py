"""Who reaches the page: other machines, web sites of others, and a public link, over real HTTP."""

from __future__ import annotations

import os
import re
import select
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from imgsearch_kit.app import serve
from imgsearch_kit.app.doors import address_for_others, is_loopback
from imgsearch_kit.app.hosted import serve_hosted
from imgsearch_kit.errors import BadQuery
from imgsearch_kit.index import create_index, new_passport
from tests.app.conftest import free_port

ROOT = Path(__file__).resolve().parents[2]
IMGSEARCH = [sys.executable, "-c", "from imgsearch_kit.cli import main; main()"]
SITE = "https://example.org"
ELSEWHERE = {"host": "192.168.1.5:7860"}  # as a browser on another machine names the page


@pytest.fixture
def small(gallery, tmp_path):
    """The address of a small index in a file, for processes of their own."""
    with create_index(f"local:{tmp_path}/made.db", new_passport(gallery.passport.spec)) as index:
        index.add(gallery.records(), gallery.vectors())
    return f"local:{tmp_path}/made.db"


@pytest.fixture
def started(tmp_path):
    """Starts a process that serves; at the end it must stop quietly."""
    processes = []

    def start(command, **environment):
        variables = os.environ | {"PYTHONPATH": str(ROOT), "IMGSEARCH_CACHE": str(tmp_path / "cache")} | environment
        given = {"cwd": tmp_path, "env": variables, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        processes.append(subprocess.Popen(command, **given))
        return processes[-1]

    yield start
    for process in processes:
        assert "Traceback" not in ended(process)


def first_line(process):
    """What a process says first, once it serves; "" when it has ended."""
    ready, _, _ = select.select([process.stdout], [], [], 120)
    return process.stdout.readline().strip() if ready else ""


def ended(process):
    """What a process said on standard error, once it was told to stop."""
    if not hasattr(process, "said"):
        process.terminate()
        process.said = process.communicate(timeout=60)[1]
    return process.said


# -- other machines ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "[::]"])
def test_beyond_this_machine_a_login_or_a_word_is_needed(gallery, host):
    with pytest.raises(BadQuery, match=r"Give --auth USER:PASS, or --open if that is meant\.|cannot listen"):
        serve(gallery, host=host, port=free_port(), block=False)


@pytest.mark.parametrize("door", [{"auth": ("me", "secret")}, {"open": True}], ids=["login", "open"])
def test_with_either_it_is_served_there(gallery, serving, door):
    url = serving(gallery, host="0.0.0.0", **door)
    assert httpx.get(f"{url}/health").status_code == (401 if "auth" in door else 200)


def test_loopback_has_several_names():
    assert all(map(is_loopback, ("127.0.0.1", "127.8.9.10", "localhost", "[::1]", "::1")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.0.2.1", "no-such-host.invalid", "a" * 70)))


def test_others_are_told_an_address_that_is_not_the_one_that_stands_for_all():
    assert address_for_others("127.0.0.1", 80) is None
    assert address_for_others("192.0.2.7", 80) == "http://192.0.2.7:80/"
    assert address_for_others("[2001:db8::1]", 80) == "http://[2001:db8::1]:80/"
    assert re.fullmatch(r"http://(?!0\.0\.0\.0)[\w.-]+:80/", address_for_others("0.0.0.0", 80))


def test_the_command_line_refuses_and_with_open_says_the_address(started, small):
    serving = [*IMGSEARCH, "serve", "--index", small, "--host", "0.0.0.0", "--port"]
    opened = started([*serving, str(free_port()), "--open", "--title", "My pictures"])
    command = [*serving, str(free_port())]
    refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert refused.returncode == 3
    assert "Give --auth USER:PASS, or --open if that is meant." in refused.stderr
    line = first_line(opened)
    here, there = re.fullmatch(r"The page is at (\S+), for other machines at (\S+)", line).groups()
    assert httpx.get(f"{here}health").json()["title"] == "My pictures"
    assert not there.startswith(("http://0.0.0.0", "http://127."))


def test_share_says_what_becomes_public_and_that_there_is_no_link(started, small):
    command = [*IMGSEARCH, "serve", "--index", small, "--port", str(free_port()), "--share", "--auth", "me:secret"]
    process = started(command, https_proxy="http://127.0.0.1:9", http_proxy="http://127.0.0.1:9")
    assert re.fullmatch(r"The page is at http://127\.0\.0\.1:\d+/, not shared", first_line(process))
    said = ended(process)
    assert "sees the thumbnails, names and classes of all 62 pictures and can search." in said
    assert "The page is not shared: there is no tunnel to gradio.live" in said


def test_a_hosted_space_is_open_or_asks_for_the_login_in_the_environment_and_then_adds_folders(
    started, small, tmp_path
):
    """Both at once, because each takes seconds to start."""
    ports, where = [str(free_port()), str(free_port())], {"IMGSEARCH_INDEX": small, "SPACE_ID": "me/space"}
    login = {"IMGSEARCH_AUTH": "me:a:b", "IMGSEARCH_ADD_BELOW": str(tmp_path)}
    command = [sys.executable, str(ROOT / "gradio_app.py")]
    opened = started(command, GRADIO_SERVER_PORT=ports[0], **where)
    locked = started(command, GRADIO_SERVER_PORT=ports[1], **where, **login)
    for process, port in zip((opened, locked), ports, strict=True):
        assert re.fullmatch(rf"The page is at http://\S+:{port}/", first_line(process))
    assert httpx.get(f"http://127.0.0.1:{ports[0]}/health").status_code == 200
    assert httpx.get(f"http://127.0.0.1:{ports[1]}/health").status_code == 401
    assert httpx.get(f"http://127.0.0.1:{ports[1]}/health", auth=("me", "a:b")).status_code == 200


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"IMGSEARCH_AUTH": "me"}, r"IMGSEARCH_AUTH must be USER:PASS\."),
        ({"SPACE_ID": "me/space", "IMGSEARCH_ADD_BELOW": "."}, "Everybody who reaches this page could add folders"),
        ({"GRADIO_SERVER_PORT": "http"}, "GRADIO_SERVER_PORT must be a port from 1 to 65535; it is 'http'"),
        ({"GRADIO_SERVER_PORT": "65536"}, "GRADIO_SERVER_PORT must be a port from 1 to 65535; it is '65536'"),
    ],
)
def test_an_environment_that_cannot_be_meant_ends_the_program_with_a_sentence(gallery, monkeypatch, environment, said):
    for name, value in ({"GRADIO_SERVER_PORT": str(free_port())} | environment).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match=said):
        serve_hosted(lambda: gallery)


# -- web sites of others ----------------------------------------------------------------------------------------------

ROUTES = ["/health", "/config", "/gradio_api/info", "/"]


@pytest.mark.parametrize("origin", [SITE, "null", "http://127.0.0.1:1", "http://localhost:3000"])
def test_no_site_may_read_what_the_page_answers(served, origin):
    for route in ROUTES:
        for here in ({}, ELSEWHERE):
            answer = httpx.get(f"{served}{route}", headers={"origin": origin, **here})
            assert not [name for name in answer.headers if name.startswith("access-control")]
    preflight = {"origin": origin, "access-control-request-method": "POST", **ELSEWHERE}
    assert "access-control-allow-origin" not in httpx.options(f"{served}/search", headers=preflight).headers


def test_a_named_site_may_and_only_without_the_visitors_login(gallery, serving):
    url = serving(gallery, cors=["https://Example.org/"], auth=("me", "secret"))
    asks = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    allowed = httpx.options(f"{url}/search", headers={"origin": SITE, **asks, **ELSEWHERE})
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, SITE)
    assert "access-control-allow-credentials" not in allowed.headers
    found = httpx.get(f"{url}/health", headers={"origin": SITE}, auth=("me", "secret"))
    assert found.headers["access-control-allow-origin"] == SITE
    other = httpx.get(f"{url}/health", headers={"origin": "https://example.com"}, auth=("me", "secret"))
    assert "access-control-allow-origin" not in other.headers


def test_a_script_of_another_site_cannot_read_an_answer_in_a_real_browser(served, browser):
    page = browser.new_page()
    page.goto("about:blank")
    reading = f"() => fetch('{served}/health').then((answer) => answer.text(), (error) => error.name)"
    assert page.evaluate(reading) == "TypeError"
    page.close()


@pytest.mark.parametrize(
    "origin", ["*", "example.org", "https://example.org/path", "ftp://a", "https://a b", "null", ""]
)
def test_what_is_no_origin_is_refused(gallery, origin):
    with pytest.raises(BadQuery, match=r"is no origin of a web site\. Write it as https://example\.org or"):
        serve(gallery, port=free_port(), cors=[origin], block=False)
