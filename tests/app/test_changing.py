"""Who may change the index from the page, and in which folders: forged requests, paths that lead elsewhere, writers."""

from __future__ import annotations

import pytest

from imgsearch_kit.app.changing import FoldersBelow, OneWriter, check_own_page
from imgsearch_kit.errors import BadQuery

HERE = {"host": "127.0.0.1:7860"}
OURS = {"host": "photos.example.org"}
PROXIED = HERE | {"sec-fetch-site": "same-origin"}  # a proxy on this machine that gives its own name for this page


@pytest.mark.parametrize(
    ("headers", "login"),
    [
        (HERE, False),  # a program on this machine
        (HERE | {"sec-fetch-site": "same-origin", "origin": "http://127.0.0.1:7860"}, False),
        ({"host": "localhost:7860", "sec-fetch-site": "same-origin"}, False),
        ({"host": "[::1]:7860"}, False),
        (OURS | {"sec-fetch-site": "same-origin", "origin": "https://photos.example.org"}, True),
        (PROXIED | {"x-forwarded-for": "10.0.0.7", "origin": "https://photos.example.org"}, True),
        ({"host": "10.0.0.5:7860", "origin": "http://10.0.0.5:7860"}, True),  # plain addresses have no sec-fetch-site
    ],
)
def test_scripts_of_the_page_may_change_the_index(headers, login):
    check_own_page(headers, login=login)


@pytest.mark.parametrize(
    ("headers", "login"),
    [
        (HERE | {"sec-fetch-site": "cross-site", "origin": "https://evil.example"}, False),
        (HERE | {"sec-fetch-site": "same-site", "origin": "http://127.0.0.1:9999"}, False),  # another server here
        (HERE | {"sec-fetch-site": "none"}, False),
        (HERE | {"origin": "https://evil.example"}, False),
        (HERE | {"origin": "null"}, False),
        ({"host": "evil.example:7860", "sec-fetch-site": "same-origin"}, False),  # a name that leads to this machine
        ({"host": "127.0.0.1.evil.example"}, False),
        ({"host": "192.168.1.5:7860"}, False),
        ({"host": "[::1"}, False),
        ({}, False),
        (OURS | {"sec-fetch-site": "cross-site"}, True),
        (OURS | {"origin": "https://evil.example"}, True),
        (PROXIED | {"x-forwarded-for": "10.0.0.7"}, False),
        (PROXIED | {"X-Forwarded-Host": "photos.example.org"}, False),
        (PROXIED | {"forwarded": "for=10.0.0.7"}, False),
        (PROXIED | {"origin": "https://photos.example.org"}, False),
    ],
)
def test_other_sites_and_other_names_of_this_machine_may_not(headers, login):
    with pytest.raises(BadQuery, match="from this page only"):
        check_own_page(headers, login=login)


@pytest.fixture
def below(tmp_path):
    """The folders below ``given``, in which a link leads out and another to a folder of it."""
    for name in (
        "given/a/deep",
        "given/a/.hidden",
        "given/.hidden/deep",
        "given/%2e%2e",
        "outside/private",
        "given-not",
    ):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "given/file.txt").write_text("x")
    (tmp_path / "given/out").symlink_to(tmp_path / "outside")
    (tmp_path / "given/a/up").symlink_to("../..")
    (tmp_path / "given/again").symlink_to("a")
    (tmp_path / "given/loop").symlink_to("loop")
    (tmp_path / "given/unreadable").symlink_to("x" * 300)
    return FoldersBelow(tmp_path / "given")


def test_folders_are_named_by_their_path_below_the_root(below):
    assert below.names("") == ["%2e%2e", "a", "again"]
    assert below.names("a") == ["deep"]
    assert below.folder("") == below.root
    assert below.folder("a/deep") == below.root / "a/deep"
    assert below.folder("again/deep") == below.root / "a/deep"  # a link within the root is the folder it leads to
    assert below.folder("%2e%2e") == below.root / "%2e%2e"  # a name like any other


@pytest.mark.parametrize(
    "path",
    [
        *("..", "../outside", "a/../../outside", "a/..", "./a", "a//deep", "/a", "/", "../given-not"),
        *("out", "out/private", "a/up", "a/up/outside", "loop", "gone", "file.txt", "unreadable"),
        *(".hidden", "a/.hidden", ".hidden/deep"),
        *("..\\outside", "a\\..", "a\0", "\ud800", "x" * 5000),
    ],
)
def test_no_path_leads_out_of_the_root(below, path):
    for ask in (below.folder, below.names):
        with pytest.raises(BadQuery, match="no such folder"):
            ask(path)


def test_an_absolute_path_leads_nowhere(below, tmp_path):
    with pytest.raises(BadQuery, match="no such folder"):
        below.folder(str(tmp_path / "outside"))


def test_a_second_writer_is_told_what_runs():
    writer = OneWriter()
    with writer.alone("a folder is added"):
        with pytest.raises(BadQuery, match="being changed: a folder is added"), writer.alone("labels"):
            pass
        assert writer.doing == "a folder is added"
    with writer.alone("labels"):
        writer.done = 1, 2
    assert (writer.doing, writer.done) == ("", None)
