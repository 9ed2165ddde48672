"""A picture is fetched from public servers only, whatever redirects and names say, over real connections.

A public server cannot be had here: 127.0.0.2 plays one, and 127.0.0.1 the machine's own, which must never be asked.
"""

from __future__ import annotations

import io
import ipaddress
import shutil
import socket
import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from PIL import Image

from imgsearch_kit.app import fetching
from imgsearch_kit.app.fetching import fetched_picture, is_public
from imgsearch_kit.errors import BadQuery
from tests.conftest import require

PUBLIC, OWN = "127.0.0.2", "127.0.0.1"
DECODED = io.BytesIO()
Image.new("RGB", (8, 8), "red").save(DECODED, "PNG")
PNG = DECODED.getvalue()


class Answers(BaseHTTPRequestHandler):
    """Answers by the path; every request is noted."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.asked.append((self.headers["host"], self.path))
        path, _, query = self.path.partition("?")
        getattr(self, path.strip("/").partition("/")[0] or "picture")(query)

    def picture(self, query="", **headers):
        self.send_response(200)
        for name, value in {"content_type": "image/png", "content_length": str(len(PNG)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(PNG)

    def to(self, query):
        self.send_response(302)
        self.send_header("location", query)
        self.send_header("content-length", "0")
        self.end_headers()

    def html(self, query):
        self.picture(content_type="text/html; charset=utf-8")

    def packed(self, query):
        self.picture(content_encoding="gzip")

    def missing(self, query):
        self.send_error(404, "no <b>such</b> file")

    def round(self, query):
        self.to("/round")

    def nowhere(self, query):
        self.to("http://[")

    def endless(self, query):
        self.send_response(200)
        self.send_header("content-type", "image/png")
        self.end_headers()
        while True:
            self.wfile.write(b"\0" * (1 << 20))

    def slow(self, query):
        self.picture(content_length="1000000")
        self._drip()

    def slow_head(self, query):
        self.wfile.write(b"HTTP/1.1 200 OK\r\nx-long: ")
        self._drip()

    def _drip(self):
        while True:
            self.wfile.write(b"a")
            time.sleep(0.05)

    def log_message(self, *arguments):
        pass


class Listening(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # the kit has hung up


@pytest.fixture
def servers():
    """A server that plays a public one, and another on the same port of the machine itself."""
    public = Listening((PUBLIC, 0), Answers)
    own = Listening((OWN, public.server_port), Answers)
    for server in (public, own):
        server.asked = []
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield public, own
    for server in (public, own):
        server.shutdown()
        server.server_close()


@pytest.fixture
def names(monkeypatch):
    """What names stand for, one list of addresses a question; and 127.0.0.2 counts as public."""
    known, really = {}, socket.getaddrinfo

    def resolve(host, port, *arguments, **options):
        if answers := known.get(host):
            addresses = answers.pop(0) if len(answers) > 1 else answers[0]
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]
        return really(host, port, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(fetching, "is_public", lambda address: str(address) == PUBLIC or is_public(address))
    return known


@pytest.fixture
def url(servers, names):
    """The address of the public server by a name."""
    names["pictures.example"] = [[PUBLIC]]
    return f"http://pictures.example:{servers[0].server_port}"


# -- what is fetched --------------------------------------------------------------------------------------------------


def test_a_picture_comes_with_its_name(url, servers):
    file = fetched_picture(f"{url}/picture/a%20cat.png?token=1#part")
    assert (file.read(), file.name) == (PNG, "a cat.png")
    [(host, path)] = servers[0].asked
    assert (host, path) == (url.removeprefix("http://"), "/picture/a%20cat.png?token=1")


@pytest.mark.parametrize("name", ["..%2F..%2Fetc%2Fpasswd", "%00.png", "a%5C..%5Cb.png", ""])
def test_a_name_is_no_path(url, name):
    assert "/" not in fetched_picture(f"{url}/picture/{name}").name


def test_redirects_are_followed_to_public_servers(url, names):
    names["other.example"] = [[PUBLIC]]
    other = url.replace("pictures", "other")
    assert fetched_picture(f"{url}/to?{other}/to?/picture/b.png").name == "b.png"


def test_it_is_searched_with(url, gallery):
    assert gallery.search(fetched_picture(f"{url}/picture/mine.png"), k=1).query["file"] == "mine.png"


def test_https_is_of_the_name_and_not_of_the_address(names, tmp_path, monkeypatch):
    require(shutil.which("openssl"), "openssl", "apt-get install openssl")
    made = [tmp_path / "key.pem", tmp_path / "certificate.pem"]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", made[0], "-out", made[1], "-subj", "/CN=pictures.example"]
    command += ["-addext", "subjectAltName=DNS:pictures.example"]
    subprocess.run(command, check=True, capture_output=True)
    server = Listening((PUBLIC, 0), Answers)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made[1], made[0])
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.asked = []
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    names |= {"pictures.example": [[PUBLIC]], "other.example": [[PUBLIC]]}
    monkeypatch.setenv("SSL_CERT_FILE", str(made[1]))
    try:
        assert fetched_picture(f"https://pictures.example:{server.server_port}/picture/a.png").read() == PNG
        with pytest.raises(BadQuery, match="cannot be reached"):
            fetched_picture(f"https://other.example:{server.server_port}/picture/a.png")
        assert len(server.asked) == 1
    finally:
        server.shutdown()
        server.server_close()


# -- what is refused --------------------------------------------------------------------------------------------------

WAYS_HOME = [
    "127.0.0.1", "localhost", "127.1", "2130706433", "0177.0.0.1", "0x7f.0.0.1", "0x7f000001", "0", "0.0.0.0",
    "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::127.0.0.1]",
    "[2002:7f00:1::]", "LOCALHOST", "localhost.", "１２７.0.0.1", "127。0。0。1",
]  # fmt: skip


@pytest.mark.parametrize("host", WAYS_HOME)
@pytest.mark.parametrize("how", ["straight", "redirect"])
def test_the_machine_itself_is_never_asked(url, servers, host, how):
    target = f"http://{host}:{servers[0].server_port}/picture/a.png"
    with pytest.raises(
        BadQuery,
        match=r"is no server of the public Internet|No server is known|no address of a picture|address that is none",
    ):
        fetched_picture(target if how == "straight" else f"{url}/to?{target}")
    assert servers[1].asked == []


@pytest.mark.parametrize(
    "address",
    [
        *("10.0.0.1", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "224.0.0.1", "240.0.0.1"),
        *("192.0.2.1", "255.255.255.255", "198.18.0.1", "fe80::1", "fc00::1", "ff02::1", "2001:db8::1", "::1"),
        *("::ffff:10.0.0.1", "2002:a00:1::", "64:ff9b::10.0.0.1", "64:ff9b:1::1", "2001:0:0:0:0:0:0:1", "fec0::1"),
        *("::10.0.0.1", "::"),
    ],
)
def test_addresses_that_are_not_public(address):
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"])
def test_addresses_that_are_public(address):
    assert is_public(ipaddress.ip_address(address))


def test_a_name_that_changes_its_answer_is_asked_once(url, servers, names):
    names["pictures.example"] = [[PUBLIC], [OWN]]
    assert fetched_picture(f"{url}/picture/a.png").read() == PNG
    with pytest.raises(BadQuery, match=r"^pictures\.example is no server of the public Internet"):
        fetched_picture(f"{url}/picture/a.png")
    assert servers[1].asked == []


def test_a_name_that_has_a_private_address_too_is_refused(url, servers, names):
    names["pictures.example"] = [[PUBLIC, OWN]]
    with pytest.raises(BadQuery, match="is no server of the public Internet"):
        fetched_picture(f"{url}/picture/a.png")
    assert servers[0].asked == servers[1].asked == []


def test_a_name_that_turns_between_two_redirects_is_refused(url, servers, names):
    names["pictures.example"] = [[PUBLIC], [OWN]]
    names["other.example"] = [[PUBLIC]]
    other = url.replace("pictures", "other")
    with pytest.raises(BadQuery, match=r"^pictures\.example is no server"):
        fetched_picture(f"{url}/to?{other}/to?{url}/picture/a.png")
    assert servers[1].asked == []


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("file:///etc/passwd", "begins with http:// or https://"),
        ("ftp://pictures.example/a.png", "begins with http:// or https://"),
        ("gopher://127.0.0.1:70/", "begins with http:// or https://"),
        ("data:image/png;base64,AAAA", "begins with http:// or https://"),
        ("/etc/passwd", "begins with http:// or https://"),
        ("http://", "begins with http:// or https://"),
        ("http:///a.png", "begins with http:// or https://"),
        ("", "begins with http:// or https://"),
        ("http://[", "begins with http:// or https://|No server is known"),
        ("http://a\r\nx: y/", "begins with http:// or https://"),
        ("http://" + "a" * 70_000, "begins with http:// or https://"),
        ("http://me:secret@pictures.example/a.png", "a name or a password before the @"),
        ("http://me@127.0.0.1/a.png", "a name or a password before the @"),
        ("http://no-such-host.invalid/a.png", r"No server is known by the name no-such-host\.invalid"),
        ("http://" + "a" * 70 + ".example/", "No server is known by the name|begins with"),
    ],
)
def test_what_is_no_address_of_a_picture(names, address, words):
    with pytest.raises(BadQuery, match=words) as said:
        fetched_picture(address)
    assert "secret" not in str(said.value)
    assert len(str(said.value)) < 300


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/html", "it is 'text/html', not a picture"),
        ("/packed", "the server sends it packed"),
        ("/missing", "the server answers with status 404"),
        ("/round", "it was redirected more than 5 times"),
        ("/nowhere", "to an address that is none|No server is known"),
        ("/to?file:///etc/passwd", "begins with http:// or https://"),
        ("/to?http://me:secret@pictures.example/", "a name or a password before the @"),
        ("/endless", "it has more than 32 MB"),
    ],
)
def test_what_is_no_picture(url, path, words):
    with pytest.raises(BadQuery, match=words) as said:
        fetched_picture(url + path)
    assert "secret" not in str(said.value)


@pytest.mark.parametrize("path", ["/slow", "/slow_head"])
def test_a_server_that_never_ends_is_left(url, monkeypatch, path):
    monkeypatch.setattr(fetching, "SECONDS", 0.5)
    with pytest.raises(BadQuery, match="it did not come within"):
        fetched_picture(url + path)


def test_nobody_listens(names):
    names["pictures.example"] = [[PUBLIC]]
    with pytest.raises(BadQuery, match="the server cannot be reached"):
        fetched_picture("http://pictures.example:9/a.png")


def test_proxies_of_the_environment_are_not_asked(url, servers, monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://{OWN}:{servers[1].server_port}")
    assert fetched_picture(f"{url}/picture/a.png").read() == PNG
    assert servers[1].asked == []


def test_the_kit_fetches_by_nothing_else_in_the_page():
    sources = Path(fetching.__file__).parent.rglob("*.py")
    users = {path.name for path in sources if "urlopen" in path.read_text() or "httpcore" in path.read_text()}
    assert users == {"fetching.py"}
