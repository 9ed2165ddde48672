"""A replay answers what was recorded, and shows what differs when the kit asks for something else."""

from __future__ import annotations

import json

import numpy as np
import pytest

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.index import create_index, new_passport
from imgsearch_kit.index.elastic.client import Server
from imgsearch_kit.records import ImageRecord
from tests import recording
from tests.faulty_proxy import Proxy, Reply

LONG = (np.arange(40) / 7).tolist()
ASKED = ("POST", "/name/_search", {"size": 3, "vec": LONG}, {"timeout": "5s"})


def ask(address, method="POST", path="/name/_search", body=ASKED[2], parameters=ASKED[3]):
    server = Server(address)
    try:
        return server.request(method, path, body, **parameters)
    finally:
        server.close()


@pytest.fixture
def file(tmp_path):
    """The recording of one request, which a stand-in answered."""
    with Proxy() as stand_in:
        stand_in.answer = lambda request: Reply(body=b'{"took": 7, "hits": [1.5], "_index": "test-1234"}')
        with recording.recorded(tmp_path / "one.jsonl", f"{stand_in.url}/test-1234") as address:
            ask(address)
    return tmp_path / "one.jsonl"


def test_what_was_recorded_is_answered(file):
    with recording.replayed(file) as address:
        assert ask(address) == {"hits": [1.5], "_index": "recorded"}  # under the steady name, and without the time
    (line,) = file.read_text().splitlines()
    assert json.loads(line)["body"]["vec"]["long"] == 40


def test_the_last_bits_may_differ(file):
    with recording.replayed(file) as address:
        ask(address, body={"size": 3, "vec": [x * (1 + 1e-8) for x in LONG]})


OTHERS = {
    "method": ({"method": "PUT"}, r'-[^\n]*"POST".*\+[^\n]*"PUT"'),
    "path": ({"path": "/name/_count"}, r"-[^\n]*/_search.*\+[^\n]*/_count"),
    "parameter": ({"parameters": {"timeout": "6s"}}, r"-[^\n]*timeout=5s.*\+[^\n]*timeout=6s"),
    "body": ({"body": {"size": 4, "vec": LONG}}, r'- +"size": 3.*\+ +"size": 4'),
    "body's fields": ({"body": {"size": 3, "vec": LONG, "more": True}}, r'\+ +"more": true'),
    "long list's length": ({"body": {"size": 3, "vec": LONG[:39]}}, r'- +"long": 40.*\+ +"long": 39'),
    "long list's middle": ({"body": {"size": 3, "vec": [*LONG[:20], 0.5, *LONG[21:]]}}, r'- +"numbers".*\+ +"numbers"'),
    "long list's words": ({"body": {"size": 3, "vec": [*LONG[:20], "x", *LONG[21:]]}}, r'- +"words".*\+ +"words"'),
}


@pytest.mark.parametrize(("other", "difference"), OTHERS.values(), ids=OTHERS.keys())
def test_another_request_is_refused_with_the_difference(file, other, difference):
    with (
        pytest.raises(AssertionError, match=rf"(?s)one.jsonl has.*make exchanges.*{difference}"),
        recording.replayed(file) as address,
        pytest.raises(BadQuery, match=rf"(?s){difference}"),
    ):
        ask(address, **other)


def test_a_request_that_is_missing_or_too_many_is_told(file):
    with pytest.raises(AssertionError, match=r"did not ask for all that one\.jsonl has"), recording.replayed(file):
        pass
    with (
        pytest.raises(AssertionError, match=r'(?s)"path": null.*_search'),
        recording.replayed(file) as address,
        pytest.raises(BadQuery, match="does not say what"),
    ):
        ask(address), ask(address)


def test_a_changed_document_is_noticed_in_the_contract_s_recordings(monkeypatch):
    """The very thing that recordings are for: what the kit sends to Elastiknn has changed unnoticed."""
    from imgsearch_kit.index.elastic import bodies

    real = bodies.document

    def changed(record, *arguments, **options):
        return real(record, *arguments, **options) | {"colour": "red"}

    monkeypatch.setattr(bodies, "document", changed)
    file = recording.FOLDER / "contract" / "an_address_holds_one_index.jsonl"
    with (
        pytest.raises(AssertionError, match=r'(?s)\+ +"colour": "red"'),
        recording.replayed(file) as address,
        create_index(address, new_passport(None, dim=3)) as index,
        pytest.raises(BadQuery, match="does not say what"),
    ):
        index.add([ImageRecord("a")], np.eye(1, 3, dtype=np.float32))
