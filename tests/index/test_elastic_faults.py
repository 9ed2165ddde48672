"""A server that is absent, slow, overloaded, dying, or not Elasticsearch: one clear sentence each, and nothing lost."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import threading
import uuid

import numpy as np
import pytest

from imgsearch_kit import cli
from imgsearch_kit.errors import (
    BadQuery,
    IndexMismatch,
    IndexNotFound,
    IndexUnwritable,
    PluginMissing,
    ServerUnavailable,
    VersionMismatch,
)
from imgsearch_kit.index import check_creatable, create_index, new_passport, open_index
from imgsearch_kit.index.elastic import bulk, client, reading
from imgsearch_kit.records import Approx, ImageRecord, Refused
from tests import elasticsearch_node
from tests.conftest import has_elastiknn, require
from tests.faulty_proxy import Cut, Proxy, Reply
from tests.index.conftest import remove_from_server

DIM = 8


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr(client, "WAITS", (0.01, 0.02, 0.03))


@pytest.fixture
def proxy(elasticsearch):
    with Proxy(elasticsearch) as running:
        yield running


@pytest.fixture
def address(proxy):
    """A fresh name on the real server, seen through the proxy."""
    address = f"{proxy.url}/test-{uuid.uuid4().hex[:12]}"
    yield address
    proxy.answer = lambda request: None
    remove_from_server(address)


@pytest.fixture
def index(address):
    with create_index(address, new_passport(None, dim=DIM, method="flat")) as made:
        yield made


def units(n, seed=0):
    rows = np.random.default_rng(seed).standard_normal((n, DIM))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def named(n):
    return [ImageRecord(f"{i:04}.jpg", "cat") for i in range(n)]


def error(status, kind, reason):
    body = {
        "error": {"root_cause": [{"type": kind, "reason": reason}], "type": kind, "reason": reason},
        "status": status,
    }
    return Reply(status, json.dumps(body).encode())


def nodes(version):
    return Reply(body=json.dumps({"nodes": {"n": {"version": version, "plugins": []}}}).encode())


# -- opening: the sentence, and exit code 3 -----------------------------------------------------------------------

MEDIA_TYPE = "Invalid media-type value on headers [Accept]; compatible-with=9"
HTML = b"<html><body><h1>Welcome</h1> to <b>nginx</b></body></html>"
ANSWERS = {
    "401": (
        error(401, "security_exception", "missing authentication credentials for REST request [/x]"),
        ServerUnavailable,
        r"asks for credentials \(401\)\. Set ELASTICSEARCH_API_KEY, or ELASTICSEARCH_USERNAME",
    ),
    "403": (
        error(403, "security_exception", "action [indices:admin/get] is unauthorized for user [u]"),
        IndexUnwritable,
        r"does not allow this \(403\): action \[indices:admin/get\] .* Use credentials",
    ),
    "429": (
        error(429, "es_rejected_execution_exception", "rejected execution of TimedRunnable"),
        ServerUnavailable,
        r"is overloaded \(429\): rejected execution of TimedRunnable\. Try again later",
    ),
    "503": (
        error(503, "master_not_discovered_exception", "no master"),
        ServerUnavailable,
        r"cannot answer now \(503\): no master\. Try again later",
    ),
    "502 in HTML": (
        Reply(502, HTML, "text/html", mark=False),
        ServerUnavailable,
        r"cannot answer now \(502\): Welcome to nginx\. Try again later",
    ),
    "404 in HTML": (
        Reply(404, HTML, "text/html", mark=False),
        ServerUnavailable,
        "is not Elasticsearch: it answered 404 with something other than JSON. Check the address",
    ),
    "HTML": (
        Reply(200, HTML, "text/html", mark=False),
        ServerUnavailable,
        "is not Elasticsearch: .* Check the address",
    ),
    "HTML called JSON": (Reply(200, HTML), ServerUnavailable, "is not Elasticsearch: its answer is not JSON"),
    "JSON of another program": (
        Reply(200, b"{}", mark=False),
        ServerUnavailable,
        "does not carry Elasticsearch's mark",
    ),
    "a version the client does not speak to": (
        error(400, "media_type_header_exception", MEDIA_TYPE),
        VersionMismatch,
        r"does not understand elasticsearch-py \d.* Type: python -m pip install 'elasticsearch>=8\.19,<9'",
    ),
    "a version of the past": (
        nodes("7.17.29"),
        VersionMismatch,
        r"is Elasticsearch 7\.17\.29; this kit speaks to 8 and 9",
    ),
    "a version of the future": (
        nodes("10.0.0-SNAPSHOT"),
        VersionMismatch,
        r"is Elasticsearch 10\.0\.0; this kit speaks to",
    ),
}


@pytest.mark.parametrize(("reply", "kind", "words"), ANSWERS.values(), ids=ANSWERS.keys())
def test_a_bad_answer_is_one_sentence_and_exit_code_3(reply, kind, words, monkeypatch, capsys):
    with Proxy() as server:
        server.answer = lambda request: reply
        with pytest.raises(kind, match=words):
            open_index(f"{server.url}/pictures")
        monkeypatch.setattr(sys, "argv", ["imgsearch", "info", "--index", f"{server.url}/pictures"])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
    assert stopped.value.code == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("imgsearch: ")
    assert "Traceback" not in err


def test_an_absent_server_is_said_at_once():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}/pictures"
        with pytest.raises(ServerUnavailable, match=r"cannot be reached: Connection refused\. Start it, or check the"):
            open_index(address)


def test_a_server_that_closes_every_connection():
    def cut(request):
        raise Cut

    with Proxy() as server:
        server.answer = cut
        with pytest.raises(ServerUnavailable, match=r"cannot be reached: .*closed connection"):
            open_index(f"{server.url}/pictures")
        assert len(server.seen) == 1


def test_a_slow_server(monkeypatch):
    monkeypatch.setenv("ELASTICSEARCH_TIMEOUT", "0.2")
    release = threading.Event()
    with Proxy() as server:
        server.answer = lambda request: release.wait(60) and Reply()
        with pytest.raises(ServerUnavailable, match=r"did not answer within 0\.2 s\. .* ELASTICSEARCH_TIMEOUT=120"):
            open_index(f"{server.url}/pictures")
        release.set()


def test_a_second_host_is_asked_where_the_first_is_absent(proxy, index):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        dead = f"127.0.0.1:{unused.getsockname()[1]}"
        for hosts in (f"{dead},{proxy.url[7:]}", f"{proxy.url[7:]},{dead}"):
            with open_index(f"http://{hosts}/{index.address.rpartition('/')[2]}") as other:
                assert len(other) == 0


# -- credentials --------------------------------------------------------------------------------------------------

CREDENTIALS = {
    "API key": ({"API_KEY": "c2VjcmV0"}, "", "ApiKey c2VjcmV0"),
    "name and password": ({"USERNAME": "me", "PASSWORD": "hidden"}, "", "Basic bWU6aGlkZGVu"),
    "in the address": ({}, "me:hid%64en@", "Basic bWU6aGlkZGVu"),
    "the address comes first": ({"API_KEY": "c2VjcmV0"}, "me:hidden@", "Basic bWU6aGlkZGVu"),
}


@pytest.mark.parametrize(("environment", "login", "header"), CREDENTIALS.values(), ids=CREDENTIALS.keys())
def test_credentials_are_sent_and_never_shown(environment, login, header, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(f"ELASTICSEARCH_{name}", value)
    sent = []
    with Proxy() as server:
        parse = server._server.RequestHandlerClass.parse_request

        def parsed(handler):
            good = parse(handler)
            sent.append(handler.headers.get("authorization"))
            return good

        monkeypatch.setattr(server._server.RequestHandlerClass, "parse_request", parsed)
        server.answer = lambda request: error(401, "security_exception", "unable to authenticate")
        with pytest.raises(ServerUnavailable, match=r"refuses the credentials given \(401\)") as refused:
            open_index(server.url.replace("://", f"://{login}") + "/pictures")
    assert sent == [header]
    shown = "".join(str(e) for e in (refused.value, refused.value.__cause__))
    assert not any(secret in shown for secret in ("hidden", "hid%64en", "c2VjcmV0", "bWU6"))


def test_an_address_is_shown_without_its_credentials(proxy, index):
    with open_index(index.address.replace("://", "://me:hidden@")) as other:
        assert other.address == index.address
    with pytest.raises(BadQuery, match="does not end in the name of an index") as refused:
        open_index("http://me:hidden@127.0.0.1:9200/")
    assert "hidden" not in str(refused.value)


# -- TLS ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A private authority's certificate, and a PEM file with a certificate and key for 127.0.0.1 that it signed."""
    openssl = shutil.which("openssl")
    require(openssl, "openssl", "apt-get install openssl")
    folder = tmp_path_factory.mktemp("tls")

    def run(*words):
        subprocess.run([openssl, *words], check=True, capture_output=True, cwd=folder)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    run("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=A private authority", "-days", "2")
    run("req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=server")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    signing = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names"]
    run("x509", "-req", "-in", "server.csr", "-out", "server.crt", *signing)
    server = folder / "server.pem"
    server.write_text((folder / "server.crt").read_text() + (folder / "server.key").read_text())
    return folder / "ca.pem", server


def test_a_private_authority_is_trusted_only_when_named(authority, elasticsearch, monkeypatch):
    ca, certificate = authority
    with Proxy(elasticsearch, certificate=certificate) as server:
        address = f"{server.url}/test-{uuid.uuid4().hex[:12]}"
        with pytest.raises(
            ServerUnavailable, match=r"certificate of .* is not trusted: .* ELASTICSEARCH_CA_CERTS=FILE"
        ):
            create_index(address, new_passport(None, dim=DIM, method="flat"))
        assert server.seen == []  # nothing was said to a server that is not trusted
        monkeypatch.setenv("ELASTICSEARCH_CA_CERTS", str(ca))
        with create_index(address, new_passport(None, dim=DIM, method="flat")) as index:
            assert index.add(named(1), units(1)) == []
            assert len(index) == 1
        remove_from_server(address)


def test_tls_asked_of_a_server_without(proxy):
    with pytest.raises(ServerUnavailable, match=r"does not use TLS: .* Try http:// instead of https://"):
        open_index(proxy.url.replace("http://", "https://") + "/pictures")


def test_a_missing_file_of_the_authority(monkeypatch):
    monkeypatch.setenv("ELASTICSEARCH_CA_CERTS", "/no/such/file.pem")
    with pytest.raises(BadQuery, match=r"ELASTICSEARCH_CA_CERTS names '/no/such/file\.pem', and no file is there"):
        open_index("https://127.0.0.1:1/pictures")


@pytest.mark.parametrize("text", ["0", "-1", "soon", "nan", "inf"])
def test_a_bad_timeout(text, monkeypatch):
    monkeypatch.setenv("ELASTICSEARCH_TIMEOUT", text)
    with pytest.raises(BadQuery, match=f"ELASTICSEARCH_TIMEOUT must be a number of seconds above 0; it is '{text}'"):
        open_index("http://127.0.0.1:1/pictures")


NAMES = ["", "_all", "*", "pho*", "a,b", "a,-b", "Pictures", "é", "a b", "-a", "a?x=1", "..", "pictures/", ".kibana"]
NAMES += ["a" * 201, "a" * 256, "<logs-{now/d}>", "%3Clogs-%7Bnow%2Fd%7D%3E", "elsewhere:pictures"]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: name[:20])
def test_a_bad_name_is_refused_before_anything_is_sent(name):
    with pytest.raises(BadQuery, match=r"does not end in the name of an index\..* the name of one index in at") as bad:
        open_index(f"http://127.0.0.1:1/{name}")
    assert len(str(bad.value)) < 450


# -- while working ------------------------------------------------------------------------------------------------


def failing(times, reply, only=""):
    """Answers so many requests whose path contains ``only`` with ``reply`` (None: by cutting), passes the others on."""
    left = iter(range(times))

    def answer(request):
        if only in request.path and next(left, None) is not None:
            if reply is None:
                raise Cut
            return reply
        return None

    return answer


BUSY = {
    "429": error(429, "es_rejected_execution_exception", "busy"),
    "503": error(503, "unavailable_shards_exception", "no primary"),
    "cut": None,
    "502 in HTML": Reply(502, HTML, "text/html", mark=False),
}


@pytest.mark.parametrize("reply", BUSY.values(), ids=BUSY.keys())
def test_transient_failures_are_tried_again(index, proxy, reply):
    for path in ("_bulk", "_refresh", "_search", "_stats"):
        proxy.answer = failing(3, reply, path)
        assert index.add(named(5), units(5)) == []
        index.flush()
        assert index.search(units(1), 1).ids.tolist() == [["0000.jpg"]]
        assert index.passport.count == len(index) == 5


def test_shards_that_are_missing_are_asked_again(index, proxy):
    """While another node takes over, an answer is 200 and says how many shards failed."""
    index.add(named(5), units(5))
    partial = Reply(body=b'{"_shards": {"total": 2, "successful": 1, "failed": 1}}')
    for path, call in {"_refresh": index.flush, "_stats": index.read_passport}.items():
        proxy.answer = failing(2, partial, path)
        call()
        proxy.answer = failing(10**6, partial, path)
        with pytest.raises(ServerUnavailable, match=r"1 shards of the index at .* do not answer\. Try again later"):
            call()
    proxy.answer = failing(
        1, Reply(body=b'{"docs": [{"_id": "x", "error": {"type": "a", "reason": "shard gone"}}]}'), "_mget"
    )
    with pytest.raises(ServerUnavailable, match="shard gone"):
        index.delete(["0000.jpg"])


@pytest.mark.parametrize("reply", BUSY.values(), ids=BUSY.keys())
def test_lasting_failures_end_in_a_sentence(index, proxy, reply):
    index.add(named(5), units(5))
    proxy.answer = failing(10**6, reply)
    for call in (lambda: index.add(named(1), units(1)), lambda: index.search(units(1), 1), lambda: len(index)):
        seen = len(proxy.seen)
        with pytest.raises(ServerUnavailable, match=r"is overloaded|cannot answer now|cannot be reached"):
            call()
        assert len(proxy.seen) - seen == 1 + len(client.WAITS)


def bulk_answer(proxy, request, refuse, status, kind, reason):
    """The real server's answer, with what ``refuse`` picks never sent to it and refused in its stead."""
    lines = request.body.splitlines(keepends=True)
    pairs = list(zip(lines[::2], lines[1::2], strict=True))
    out = [i for i, (_, source) in enumerate(pairs) if refuse(json.loads(source))]
    passed = b"".join(head + source for i, (head, source) in enumerate(pairs) if i not in out)
    items = []
    if passed:
        items = json.loads(proxy.forward(type(request)(request.method, request.path, passed)).body)["items"]
    for i in out:
        items.insert(i, {"index": {"status": status, "error": {"type": kind, "reason": reason}}})
    return Reply(body=json.dumps({"items": items}).encode())


def test_documents_refused_with_429_are_sent_again_and_only_they(index, proxy):
    tries = []

    def answer(request):
        if "_bulk" not in request.path:
            return None
        tries.append(len(request.body.splitlines()) // 2)
        odd = len(tries) < 3
        reject = ("es_rejected_execution_exception", "rejected execution of coordinating operation")
        return bulk_answer(proxy, request, lambda doc: odd and int(doc["id"][:4]) % 2, 429, *reject)

    proxy.answer = answer
    assert index.add(named(10), units(10)) == []
    assert tries == [10, 5, 5]
    assert index.records() == named(10)
    assert np.array_equal(index.vectors(), units(10))


def test_documents_refused_for_good_come_back_with_their_reasons(index, proxy):
    refused = {"0003.jpg": (429, "busy for ever"), "0007.jpg": (400, "too odd")}

    def answer(request):
        if "_bulk" not in request.path:
            return None
        body = request.body
        for id_, (status, reason) in refused.items():
            if id_.encode() in body:
                return bulk_answer(proxy, request, lambda doc: doc["id"] in refused, status, "some_exception", reason)
        return None

    proxy.answer = answer
    found = index.add(named(10), units(10), replaces=["0000.jpg"])
    assert {each.id for each in found} == set(refused)
    assert Refused("0003.jpg", "busy for ever") in found
    assert len(index) == 8


def test_a_name_or_label_that_no_server_takes_is_refused_with_its_length(index):
    longest = "é" * 16_383  # 32,766 bytes
    records = [ImageRecord("good", longest), ImageRecord("bad", longest + "x"), ImageRecord("y" * 40_000)]
    assert index.add(records, units(3)) == [
        Refused("bad", "Its label has 32767 bytes, and a server accepts at most 32766. Shorten it."),
        Refused("y" * 40_000, "Its name has 40000 bytes, and a server accepts at most 32766. Shorten it."),
    ]
    index.flush()
    assert index.records() == records[:1]
    assert index.search(units(1), 1, labels=[longest]).ids.tolist() == [["good"]]
    assert index.search(units(1), 1, labels=[longest + "x"]).ids.tolist() == [[""]]  # no record can have it


def test_more_labels_than_the_server_takes_are_refused_before_it_is_asked(index, proxy):
    index.add(named(3), units(3))
    index.flush()
    labels = ["cat", *map(str, range(65_535))]
    assert index.search(units(1), 1, labels=labels * 2).ids.tolist() == [["0000.jpg"]]
    seen = len(proxy.seen)
    with pytest.raises(BadQuery, match="limited to at most 65536 labels, the server's limit; these are 65537"):
        index.search(units(1), 1, labels=[*labels, "one more"])
    assert len(proxy.seen) == seen


REFUSED = {
    "a setting": ("PUT", "_settings", {"index.number_of_shards": 3}, r"Can't update non dynamic setting.* \[\[test-"),
    "a document": ("POST", "_doc", {"vector": [1, 2]}, r"\(400\): failed to parse: The \[dense_vector\] field"),
    "a query": ("POST", "_search", {"query": {"bogus": {}}}, r"unknown query \[bogus\]"),
    "a sort": ("POST", "_search", {"sort": [{"none": {"missing": []}}]}, r"refused the request \(400\): "),
    "a window": ("POST", "_search", {"size": 20_000}, "Result window is too large"),
}


@pytest.mark.parametrize("refused", REFUSED)
def test_a_real_refusal_has_the_server_s_reason_without_its_internals(index, refused):
    method, path, body, words = REFUSED[refused]
    with pytest.raises(BadQuery, match=words) as found:
        index._request(method, path, body)
    said = str(found.value)
    assert not re.search(r"\b(org|java|co)\.\w+\.|Exception|\[\d+:\d+\]|@[0-9a-f]{6}|/[\w-]{22}\]", said)
    assert len(said) < 600


def test_an_approximate_search_that_fails_on_an_opposite_picture_says_that_it_answers_exactly(proxy, address):
    """Elastiknn fails on a cosine of -1 that is rounded to a little less."""
    with create_index(address, new_passport(None, dim=DIM, method="hnsw")) as index:
        index.add(named(9), units(9))
        index.flush()
        for approx, note in [(None, ""), (Approx(), reading.FELL_BACK)]:
            reason = "script score function must not produce negative scores; invalid score [-1.1920929E-7]"
            proxy.answer = failing(1, error(500, "illegal_argument_exception", reason), "_search")
            found = index.search(units(1), 3, approx=approx)
            assert found.method == "exact"
            assert found.note == note
            assert found.ids.tolist() == index.search(units(1), 3).ids.tolist()


def test_a_full_queue_is_told_without_the_state_of_the_server(index, proxy):
    """The words of a server whose queue is full."""
    reason = (
        "rejected execution of org.elasticsearch.common.util.concurrent.TimedRunnable@1a2b3c on EsThreadPoolExecutor"
        "[name = node-0/search, queue capacity = 1000, org.elasticsearch.common.util.concurrent.EsThreadPoolExecutor"
        "@4d5e6f[Running, pool size = 4]]"
    )
    proxy.answer = failing(10**6, error(429, "es_rejected_execution_exception", reason), "_search")
    with pytest.raises(ServerUnavailable, match=r"is overloaded \(429\): rejected execution of *\. Try again later\.$"):
        index.search(units(1), 1)


def test_a_bulk_that_dies_in_the_middle_is_completed_by_the_next_run(index, proxy, monkeypatch):
    monkeypatch.setattr(bulk, "MOST_DOCUMENTS", 10)
    seen = []

    def answer(request):
        if "_bulk" in request.path:
            seen.append(request)
            if len(seen) > 4:
                if len(seen) % 2:
                    proxy.forward(request)  # written, but nobody hears of it
                raise Cut
        return

    proxy.answer = answer
    with pytest.raises(ServerUnavailable, match="cannot be reached"):
        index.add(named(100), units(100))
    proxy.answer = lambda request: None
    with open_index(index.address) as again:
        written = len(again)
        assert 40 <= written < 100
        assert again.add(named(100), units(100)) == []
        again.flush()
        assert again.records() == named(100)
        assert np.array_equal(again.vectors(), units(100))
        assert len(set(again.search(units(1), 100).ids[0].tolist())) == 100


def test_several_bulk_requests_are_in_flight_at_once(index, proxy, monkeypatch):
    monkeypatch.setattr(bulk, "MOST_DOCUMENTS", 10)
    together = threading.Barrier(bulk.IN_FLIGHT, timeout=60)

    def answer(request):
        if "_bulk" in request.path:
            together.wait()  # breaks unless that many are there at the same time
        return

    proxy.answer = answer
    n = 10 * bulk.IN_FLIGHT
    assert index.add(named(n), units(n)) == []
    assert len(index) == n


def test_one_refresh_at_flush_and_none_per_batch(index, proxy):
    proxy.seen.clear()
    for start in range(0, 50, 10):
        index.add(named(50)[start : start + 10], units(50)[start : start + 10])
    index.flush()
    paths = [request.path.rpartition("/")[2].partition("?")[0] for request in proxy.seen]
    assert paths == ["_bulk"] * 5 + ["_refresh"]
    assert not any("refresh" in request.path for request in proxy.seen[:5])
    assert index.search(units(1), 1).ids.tolist() == [["0000.jpg"]]


def test_a_blocked_index_is_not_written_but_searched(index, elasticsearch):
    """The block a server sets when its disk is nearly full."""
    index.add(named(3), units(3))
    index.flush()
    for block in ("read_only_allow_delete", "read_only", "write"):
        index._request("PUT", "_settings", {f"index.blocks.{block}": True})
        with pytest.raises(IndexUnwritable, match=r"is blocked: .*FORBIDDEN|is blocked: .*TOO_MANY_REQUESTS"):
            index.add(named(1), units(1))
        assert index.search(units(1), 1).ids.tolist() == [["0000.jpg"]]
        assert len(index) == 3
        index._request("PUT", "_settings", {f"index.blocks.{block}": None})
    assert index.add(named(4), units(4)) == []


def test_who_may_only_read_reads(index, proxy, address):
    index.add(named(3), units(3))
    index.flush()
    forbidden = error(403, "security_exception", "action [indices:admin/refresh] is unauthorized for user [reader]")
    proxy.answer = failing(10**6, forbidden, "_refresh")
    with open_index(address) as reader:
        assert len(reader) == 3
        assert reader.records() == named(3)
        with pytest.raises(IndexUnwritable, match=r"does not allow this \(403\)"):
            reader.flush()
    proxy.answer = failing(10**6, error(403, "security_exception", "action [cluster:monitor/nodes/info] is"), "_nodes")
    with open_index(address) as reader:  # and who may not ask for the version sends numbers
        assert reader.add(named(4)[3:], units(4)[3:]) == []
        assert np.array_equal(reader.vectors(), units(4))


def test_an_index_that_vanishes_is_not_made_anew(index, elasticsearch, address):
    index.add(named(3), units(3))
    remove_from_server(address)
    with pytest.raises(IndexNotFound, match=r"There is no index at .* Make one: imgsearch index FOLDER"):
        index.add(named(3), units(3))
    with pytest.raises(IndexNotFound, match="There is no index at"):
        index.search(units(1), 1)
    with pytest.raises(IndexNotFound, match="There is no index at"):
        open_index(address)


@pytest.mark.parametrize("method", ["exact", "l2-lsh", "cosine-lsh", "permutation-lsh"])
def test_a_server_without_the_plugin(elasticsearch, address, method):
    if has_elastiknn(elasticsearch):
        pytest.skip("the server at ELASTICSEARCH_URL has the plugin")
    words = rf"has no Elastiknn plugin, which the method '{method}' needs\. Install elastiknn \d+\.\d+\.\d+\.N on"
    with pytest.raises(PluginMissing, match=words):
        create_index(address, new_passport(None, dim=DIM, method=method))
    with pytest.raises(PluginMissing, match=words):
        check_creatable(address, method, DIM)
    with pytest.raises(IndexNotFound, match="There is no index"):
        open_index(address)


def test_whether_an_index_could_be_made_is_known_before_it_is(address, index, proxy):
    check_creatable(f"{address}-2", "hnsw", DIM)
    assert {request.method for request in proxy.seen[-2:]} == {"GET"}
    with pytest.raises(IndexNotFound, match="There is no index"):
        open_index(f"{address}-2")
    with pytest.raises(IndexMismatch, match=r"There is an index at .* already, with 0 records"):
        check_creatable(address, "hnsw", DIM)
    with pytest.raises(BadQuery, match="bbq_hnsw needs vectors of at least 64 dimensions"):
        check_creatable(f"{address}-2", "bbq_hnsw", DIM)
    with pytest.raises(BadQuery, match="has the method exact or hnsw"):
        check_creatable("local:a.db", "flat", DIM)


NO_PLUGIN = {
    "a mapping": "The mapper type [elastiknn_dense_float_vector] declared on field [v] does not exist. It might have",
    "a query": "unknown query [elastiknn_nearest_neighbors]",
    "a setting": "unknown setting [index.elastiknn] please check that any required plugins are installed",
}


@pytest.mark.parametrize("reason", NO_PLUGIN.values(), ids=NO_PLUGIN.keys())
def test_a_plugin_that_has_gone(index, proxy, reason):
    proxy.answer = failing(1, error(400, "parsing_exception", reason), "_search")
    with pytest.raises(PluginMissing, match="has no Elastiknn plugin, which this index needs"):
        index.search(units(1), 1)


def test_acknowledged_documents_survive_a_power_cut():
    what, command = elasticsearch_node.missing()
    require(not what, what, command)
    with elasticsearch_node.Node() as node:
        with create_index(f"{node.url}/pictures", new_passport(None, dim=DIM, method="flat")) as index:
            assert index.add(named(200), units(200)) == []
            generation = index.passport.generation
        node.kill()
        node.start().wait()
        with open_index(f"{node.url}/pictures") as index:
            assert index.records() == named(200)
            assert np.array_equal(index.vectors(), units(200))
            assert index.passport.generation >= generation


# -- the command a person types: one sentence on stderr, and exit code 3 ------------------------------------------


def command(capsys, monkeypatch, *words):
    """What the command line says on stderr when a server fails it."""
    monkeypatch.setattr(sys, "argv", ["imgsearch", *map(str, words)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    out, err = capsys.readouterr()
    assert (stopped.value.code, out) == (3, "")
    assert err.startswith("imgsearch: ")
    assert len(err.splitlines()) == 1
    assert err.rstrip().endswith((".", "--index " + words[-1], "=120")), err
    return err


def cut(request):
    raise Cut


FAULTS = {
    "refuses every connection": (cut, r"cannot be reached: .*\. Start it, or check the address"),
    "401": (lambda request: ANSWERS["401"][0], r"asks for credentials \(401\)\. Set ELASTICSEARCH_API_KEY"),
    "403": (lambda request: ANSWERS["403"][0], r"does not allow this \(403\)"),
    "429": (lambda request: ANSWERS["429"][0], r"is overloaded \(429\): .* Try again later"),
    "503": (lambda request: ANSWERS["503"][0], r"cannot answer now \(503\): no master\. Try again later"),
    "HTML": (lambda request: ANSWERS["HTML"][0], r"is not Elasticsearch: .*Check the address"),
    "HTML called JSON": (lambda request: ANSWERS["HTML called JSON"][0], "its answer is not JSON. Check the address"),
    "another version": (
        lambda request: ANSWERS["a version the client does not speak to"][0],
        r"Type: python -m pip install 'elasticsearch>=8\.19,<9'",
    ),
    "slow": (
        lambda request: threading.Event().wait(1.5) or Reply(),
        "did not answer within 1 s. .* ELASTICSEARCH_TIMEOUT",
    ),
}


@pytest.mark.parametrize("where", ["", "_bulk"], ids=["from the start", "in the middle of a bulk"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_failing_server_is_one_sentence_and_exit_code_3(
    index, proxy, address, fault, where, capsys, monkeypatch, tmp_path
):
    if fault == "slow":
        monkeypatch.setenv("ELASTICSEARCH_TIMEOUT", "1")
    monkeypatch.setattr(bulk, "MOST_DOCUMENTS", 10)
    index.add(named(100), units(100))
    (tmp_path / "labels.csv").write_text("path,label\n" + "".join(f"{i:04}.jpg,dog\n" for i in range(100)))
    answer, words = FAULTS[fault]
    passed = iter(range(5 if where else 0))  # of ten requests, five are written
    proxy.answer = lambda request: answer(request) if where in request.path and next(passed, None) is None else None
    err = command(capsys, monkeypatch, "label", tmp_path / "labels.csv", "--index", address)
    assert re.search(words, err)
    proxy.answer = lambda request: None
    labels = [record.label for record in index.records()]
    assert labels.count("dog") == (50 if where else 0)


def test_an_absent_server_is_one_sentence_and_exit_code_3(capsys, monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}/pictures"
        err = command(capsys, monkeypatch, "info", "--index", address)
    assert "cannot be reached: Connection refused. Start it, or check the address." in err


@pytest.mark.parametrize("block", ["read_only_allow_delete", "read_only", "write"])
def test_a_blocked_index_is_one_sentence_and_exit_code_3(index, address, block, capsys, monkeypatch, tmp_path):
    """The first is what a server sets by itself when its disk is nearly full."""
    index.add(named(3), units(3))
    (tmp_path / "labels.csv").write_text("path,label\n0000.jpg,dog\n")
    index._request("PUT", "_settings", {f"index.blocks.{block}": True})
    err = command(capsys, monkeypatch, "label", tmp_path / "labels.csv", "--index", address)
    assert f"imgsearch: The index at {address} is blocked: " in err
    assert "lift the block" in err
    index._request("PUT", "_settings", {f"index.blocks.{block}": None})


def test_a_missing_plugin_is_one_sentence_and_exit_code_3(elasticsearch, index, address, capsys, monkeypatch):
    if has_elastiknn(elasticsearch):
        pytest.skip("the server at ELASTICSEARCH_URL has the plugin")
    index.add(named(3), units(3))
    err = command(capsys, monkeypatch, "copy", address, f"{address}-2", "--method", "l2-lsh")
    assert "has no Elastiknn plugin, which the method 'l2-lsh' needs. Install elastiknn" in err


@pytest.mark.parametrize("names", [("http_proxy", "HTTP_PROXY"), ("all_proxy", "ALL_PROXY")])
def test_a_server_is_reached_past_the_proxies_of_the_environment(names, monkeypatch):
    with Proxy() as server, Proxy() as between:
        server.answer = lambda request: Reply(body=b'{"found": true}')
        for name in names:
            monkeypatch.setenv(name, between.url)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        asked = client.Server(f"{server.url}/pictures")
        assert asked.request("GET", "/") == {"found": True}
        asked.close()
        assert (len(server.seen), between.seen) == (1, [])
