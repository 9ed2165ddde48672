"""The address of an index on a server: what is refused before anything is said to a server."""

from __future__ import annotations

import base64
import traceback

import pytest

from imgsearch_kit.errors import BadQuery, ServerUnavailable, sanitised, without_addresses
from imgsearch_kit.images.given import picture_given
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


TWICE = [
    "joe:sekret@h1:9,joe:sekret@h2:9/x",
    "joe:sekret@h1,h2,sekret@h3/a/x",
    "h1:9,joe:sekret@h2:9/x",
    "joe:a,sekret@h/x",
]


@pytest.mark.parametrize("address", TWICE)
def test_a_login_that_may_be_that_of_a_second_host_is_refused_and_not_repeated(address):
    with pytest.raises(
        BadQuery, match=r"has a comma before an '@'\. Write the login once, .* a comma in it as %2C"
    ) as refused:
        open_index(f"http://{address}")
    assert "sekret" not in "".join(traceback.format_exception(refused.value))


def test_signs_in_a_login_are_sent_as_they_are_meant():
    sent = {"basic_auth": base64.b64encode(b"joe:p@s,s").decode()}
    assert ServerAddress.parse("http://joe:p%40s%2Cs@h1,h2/x").credentials() == sent
    assert ServerAddress.parse("http://joe:p@s%2Cs@h1,h2/x").credentials() == sent


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


MISTYPED = ["htp://{}@h:9200/x", "HTTP:/{}@h/x", "{}@h:9200/x", " http://{}@h/x", "http:{}@h/x", "ftp://{}@h/x.db"]


@pytest.mark.parametrize("login", ["joe:sekret", "joe:se/kret@sekret", "joe:sek\nret sekret"])
@pytest.mark.parametrize("address", MISTYPED)
def test_an_address_that_is_mistyped_is_repeated_without_the_login(address, login):
    with pytest.raises(BadQuery, match=r"The index address '.*h.*' has no known form") as refused:
        open_index(address.format(login))
    assert "kret" not in "".join(traceback.format_exception(refused.value))
    assert "ret sekret" not in str(refused.value)


MESSAGES = {
    "404 for https://me:sekret@files.example/x.zip (retry)": "404 for https://files.example/x.zip (retry)",
    "no authority: 'http:/me:sekret@proxy:3128'": "no authority: 'http:/proxy:3128'",
    "no scheme: me:sekret@proxy:3128.": "no scheme: proxy:3128.",
    "a token (HTTPS://sekret@h/x), a space (http://me:my sekret@h/x)": "a token (HTTPS://h/x), a space (http://h/x)",
    "no picture at /a/http:/me:se/kret@sekret@h/x": "no picture at /a/http:/h/x",
    "ftp://me:sekret@h/x\nand http://h:9200/x?key=sekret.": "ftp://h/x\nand http://h:9200/x?....",
    "'https://h/x?api_key=sekret' and": "'https://h/x?...' and",
    "Option --index=http://me:sekret@h/x": "Option --index=http://h/x",
}
PATHS = [
    "local:/data/anna@home/a.db",
    "npz:b@2x.npz",
    "C:/anna@corp/x.jpg",
    "C:\\anna@corp",
    "a/b@2x.jpg: why?",
    "at 1:2",
]
PATHS += ["at http://h:9200/x: no b@2x.jpg", "at http://[::1]:9200/x: b@2x.jpg", "at http://h: no b@2x.jpg"]


@pytest.mark.parametrize("text", [*MESSAGES, *PATHS])
def test_a_message_shows_addresses_without_logins_and_queries_and_paths_as_they_are(text):
    assert sanitised(text) == MESSAGES.get(text, text)


def test_a_message_of_a_library_shows_no_address():
    shown = without_addresses("ERROR: 404 for https://me:sekret@files.example/x.zip (retry)")
    assert shown == "ERROR: 404 for (address) (retry)"
    assert without_addresses("no authority: 'http:/me:sekret@proxy:3128'") == "no authority: '(address)'"
    assert without_addresses("no scheme: me:sekret@proxy:3128") == "no scheme: (address)"


@pytest.mark.parametrize(
    "address", ["{}?api_key=sekret", "{}?a/b?api_key=sekret", "{}/a?key=sek/RET", "{}?key=sekret/x"]
)
@pytest.mark.parametrize("place", ["http://h/x", "https://h:9200", "ftp://h/x", "h:9200/x"])
def test_a_query_of_an_address_is_not_repeated(address, place):
    with pytest.raises(BadQuery, match=r"h.*\?\.\.\.'") as refused:
        open_index(address.format(place))
    assert not [part for part in ("sek", "kret", "RET") if part in str(refused.value)]


@pytest.mark.parametrize("address", ["https://u:sekret@h/x.jpg", "https://h/x.jpg?key=sekret", "ftp://u:s@s@h/x.jpg"])
def test_the_address_of_a_picture_is_repeated_without_the_login_and_the_query(address):
    for given in (address, address.replace("//", "//" + "u" * 70, 1)):
        with pytest.raises(BadQuery, match=r"is an address, not a file here") as refused:
            picture_given(given)
        assert "sekret" not in str(refused.value)


@pytest.mark.parametrize("host", ["q\udce9", "q\x9b", "q\x1b[31m", "a..b", "a" * 64, "\u202eh"])
def test_a_host_that_no_name_can_be_is_refused(host):
    address = f"http://joe:sekret@{host}:9/x"
    with pytest.raises(BadQuery, match=r"for a host\. Write HOST:PORT") as refused:
        open_index(address)
    assert "sekret" not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize("host", ["☃.example", "bücher.example", "EXAMPLE.test."])
def test_a_host_of_other_letters_is_asked_for_in_ascii(host):
    assert ServerAddress.parse(f"http://{host}/x").urls[0].isascii()
    with pytest.raises(ServerUnavailable, match="cannot be reached"):
        open_index(f"http://{host}/x")


def test_a_login_of_other_letters_is_sent_as_utf_8(monkeypatch):
    sent = {"basic_auth": base64.b64encode("jö:gehéim:日".encode()).decode()}
    assert ServerAddress.parse("http://jö:geh%C3%A9im:日@h/x").credentials() == sent
    monkeypatch.setenv("ELASTICSEARCH_USERNAME", "jö")
    monkeypatch.setenv("ELASTICSEARCH_PASSWORD", " gehéim:日\n")
    assert ServerAddress.parse("http://h/x").credentials() == sent
    with pytest.raises(ServerUnavailable, match="cannot be reached"):
        open_index("http://127.0.0.1:9/x")


@pytest.mark.parametrize("text", ["~nobody-of-this-name/a.db", "local:a\0b", "a\0.npz", "npz:~nobody-of-this-name"])
def test_a_path_that_names_no_file_is_refused(text):
    with pytest.raises(BadQuery, match=r"names no file: .*[^.]\.$"):
        Address.parse(text)
