"""The address of an index on a server: what is refused before anything is said to a server."""

from __future__ import annotations

import traceback

import pytest

from imgsearch_kit.errors import BadQuery, ServerUnavailable
from imgsearch_kit.index import Address, open_index
from imgsearch_kit.index.elastic.address import ServerAddress

HOSTS = ["h:0", "h:65536", f"h:{'9' * 5000}", "h:", "h:x", "h:-1", "one:9200,:9200", "a b", "a..b", ".", "a" * 64]
HOSTS += ["::1", "::1:9200", "[::1", "[]", "[:::]", "[1.2.3]", "[fe80::1%25eth0]"]


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host[:20])
def test_a_host_or_port_that_cannot_be_is_refused(host):
    words = r"for a host\. Write HOST:PORT, the port from 1 to 65535, an IPv6 address as \[ADDRESS\]:PORT\.$"
    with pytest.raises(BadQuery, match=words) as refused:
        open_index(f"http://joe:sekret@{host}/pictures")
    assert "sekret" not in str(refused.value)
    assert len(str(refused.value)) < 600


@pytest.mark.parametrize("path", ["*", "a,b", "a b", "a\nb", "<now>", "a?b", "a#b"])
def test_a_path_that_no_proxy_has_is_refused(path):
    with pytest.raises(BadQuery, match="between the host and the name, where only the path of a proxy can be") as bad:
        open_index(f"http://127.0.0.1:1/{path}/pictures")
    assert "\n" not in str(bad.value)


@pytest.mark.parametrize("host", ["[::1]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]"])
def test_an_ipv6_address_is_asked(host):
    with pytest.raises(ServerUnavailable, match=r"The server at http://\[[0-9a-f:.]+\]:1/pictures cannot be reached: "):
        open_index(f"http://{host}:1/pictures")


def test_an_address_is_shown_with_its_port_and_without_the_login():
    assert str(Address.parse("http://joe:sekret@one,two:65535/x/pictures")) == "http://one:9200,two:65535/x/pictures"
    assert str(Address.parse("https://[::1]/pictures")) == "https://[::1]:443/pictures"
    assert str(Address.parse("local:pictures.db")) == "local:pictures.db"


@pytest.mark.parametrize("key", ["c2VjcmV0\n", " c2VjcmV0", "\tc2VjcmV0\r\n"])
def test_white_space_around_a_key_is_no_part_of_it(key, monkeypatch):
    monkeypatch.setenv("ELASTICSEARCH_API_KEY", key)
    assert ServerAddress.parse("http://localhost:9200/photos").credentials() == {"api_key": "c2VjcmV0"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("API_KEY", "c2Vj\ncmV0"),
        ("API_KEY", "c2Vjé"),
        ("API_KEY", "c2Vj cmV0"),
        ("API_KEY", "c2Vj\udcff"),
        ("PASSWORD", "c2Vj\ncmV0"),
        ("PASSWORD", "c2Vj\udcff"),
    ],
)
def test_a_secret_that_cannot_be_sent_is_refused_and_not_repeated(name, value, monkeypatch):
    monkeypatch.setenv("ELASTICSEARCH_USERNAME", "me")
    monkeypatch.setenv(f"ELASTICSEARCH_{name}", value)
    with pytest.raises(BadQuery, match=rf"{name} has .* again") as refused:
        open_index("http://127.0.0.1:9/photos")
    assert "c2Vj" not in "".join(traceback.format_exception(refused.value))


def test_a_login_in_an_address_that_cannot_be_sent_is_refused_and_not_repeated():
    login = "me:c2Vj%0A"
    with pytest.raises(BadQuery, match=r"The login in the address has .* again") as refused:
        open_index(f"http://{login}@127.0.0.1:9/photos")
    assert "c2Vj" not in "".join(traceback.format_exception(refused.value))
