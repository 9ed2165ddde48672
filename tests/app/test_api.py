"""The `/search` endpoint, through Gradio's client and through plain HTTP."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from imgsearch_kit import Gallery
from imgsearch_kit.index import create_index, new_passport
from tests.app.test_page import BETWEEN_2_AND_3, ORDER
from tests.small_extractor import QuarterColours


@pytest.fixture(scope="module")
def client(served):
    return Client(served, download_files=False, verbose=False)


@pytest.fixture
def query(upload):
    return upload("mine.png", BETWEEN_2_AND_3)


def without_times(document):
    return {name: value for name, value in document.items() if name != "ms"}


def post(served, path, body):
    """The two requests that curl would make: ask, then read the answer's stream of events."""
    asked = httpx.post(f"{served}/gradio_api/{path}", json=body)
    asked.raise_for_status()
    stream = httpx.get(f"{served}/gradio_api/{path}/{asked.json()['event_id']}", timeout=30).text
    event, data = stream.strip().split("\n")[-2:]
    return event.removeprefix("event: "), json.loads(data.removeprefix("data: "))


def sent(served, path):
    """A file as the upload route takes it, and as a request names it afterwards."""
    with path.open("rb") as file:
        [stored] = httpx.post(f"{served}/gradio_api/upload", files={"files": (path.name, file)}).json()
    return {"path": stored, "meta": {"_type": "gradio.FileData"}}


def test_it_answers_the_document_of_a_search_on_the_command_line(client, gallery, query):
    document = client.predict(handle_file(query), api_name="/search")
    assert without_times(document) == without_times(gallery.search(query).to_json())
    assert [hit["id"] for hit in document["hits"]][: len(ORDER)] == ORDER
    assert [hit["rank"] for hit in document["hits"]] == list(range(1, 11))
    assert set(document["ms"]) == {"load", "extract", "search"}


def test_every_argument_after_the_picture_has_a_default(served):
    endpoints = httpx.get(f"{served}/gradio_api/info").json()["named_endpoints"]
    assert list(endpoints) == ["/search"]
    parameters = endpoints["/search"]["parameters"]
    assert [p["parameter_name"] for p in parameters] == ["image", "k", "labels", "min_score", "id", "rank"]
    assert [p["parameter_has_default"] for p in parameters[1:]] == [True] * 5
    assert [p["parameter_default"] for p in parameters[1:]] == [10, None, None, None, None]


def test_labels_and_the_least_score_keep_what_they_say(client, query):
    document = client.predict(handle_file(query), k=50, labels=["green", "blue"], api_name="/search")
    assert {hit["label"] for hit in document["hits"]} == {"green", "blue"}
    assert len(document["hits"]) == 40
    document = client.predict(handle_file(query), k=50, min_score=0.999, api_name="/search")
    assert [hit["id"] for hit in document["hits"]] == ["red/02.png", "red/03.png"]


def test_a_picture_of_the_index_is_its_own_and_no_hit(client, pictures):
    document = client.predict(handle_file(pictures / "red/00.png"), k=3, api_name="/search")
    assert document["own"] == ["red/00.png"]
    assert [hit["id"] for hit in document["hits"]] == ["red/01.png", "red/02.png", "red/03.png"]


def test_an_id_stands_for_its_stored_vector(client):
    document = client.predict(None, id="red/00.png", k=2, api_name="/search")
    assert document["own"] == ["red/00.png"]
    assert [hit["id"] for hit in document["hits"]] == ["red/01.png", "red/02.png"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"k": 0}, "minimum value 1"),
        ({"k": 51}, "maximum value 50"),
        ({"min_score": 1.5}, "maximum value 1"),
        ({"labels": ["purple"]}, "No indexed picture has the label 'purple'"),
    ],
)
def test_arguments_out_of_range_are_refused_in_words(client, query, arguments, words):
    with pytest.raises(AppError, match=words):
        client.predict(handle_file(query), **arguments, api_name="/search")


def test_one_of_a_picture_and_an_id_is_needed(client, query):
    with pytest.raises(AppError, match="Give either a picture or the id of an indexed one"):
        client.predict(handle_file(query), id="red/00.png", api_name="/search")
    with pytest.raises(AppError, match="Give either a picture or the id of an indexed one"):
        client.predict(None, api_name="/search")
    with pytest.raises(AppError, match=r"no picture with the id '\.\./\.\./etc/passwd'"):
        client.predict(None, id="../../etc/passwd", api_name="/search")


def test_a_file_that_is_no_picture_is_refused_with_the_reason(client, text_as_jpg):
    with pytest.raises(AppError, match=r"holiday\.jpg: It is text, not a picture"):
        client.predict(handle_file(text_as_jpg), api_name="/search")


def test_plain_http_with_the_picture_alone(served, query, gallery):
    event, document = post(served, "call/v2/search", {"image": sent(served, query)})
    assert event == "complete"
    assert without_times(document[0]) == without_times(gallery.search(query).to_json())


def test_plain_http_with_every_argument_in_order(served, query):
    event, document = post(served, "call/search", {"data": [sent(served, query), 3, ["red"], 0.5, None, None]})
    assert event == "complete"
    assert [hit["id"] for hit in document[0]["hits"]] == ORDER[:3]


def test_plain_http_is_held_to_the_same_bounds(served, query):
    for k in (0, 51, 100_000):
        event, error = post(served, "call/search", {"data": [sent(served, query), k, None, None, None, None]})
        assert event == "error"
        assert "value" in error["error"], error


UPLOAD = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}


@pytest.mark.parametrize(
    "data",
    [
        [],
        [None, 3],
        ["text", 3, None, None, None, None],
        [None, "x", None, None, "red/00.png", None],
        [None, 3, None, "x", "red/00.png", None],
        [UPLOAD, 3, None, None, None, None],
        [[UPLOAD], 3, None, None, None, None],
        [{"a": 1}, 3, None, None, None, None],
    ],
    ids=str,
)
def test_values_that_do_not_fit_are_refused_in_words(served, data):
    words = "The values of this call do not fit. It takes image, k, labels, min_score, id, rank, in this order; a file"
    event, error = post(served, "call/search", {"data": data})
    assert (event, error["error"].startswith(words)) == ("error", True)
    assert httpx.post(f"{served}/gradio_api/run/search", json={"data": data}).json()["error"].startswith(words)


def test_a_call_by_names_may_leave_out_the_picture_and_wrong_names_are_said(served):
    assert post(served, "call/v2/search", {"id": "red/00.png", "k": 2})[1][0]["own"] == ["red/00.png"]
    assert post(served, "call/v2/search", {})[1]["error"] == "Give either a picture or the id of an indexed one."
    for call, body in (("search", {"picture": None}), ("serch", {})):
        answer = httpx.post(f"{served}/gradio_api/call/v2/{call}", json=body)
        assert (answer.status_code, answer.json()["detail"][:22]) == (422, "There is no such call,")


def test_a_failure_is_said_in_words_and_logged(gallery, serving, upload, caplog):
    class Failing(QuarterColours):
        def extract(self, pixels):
            if pixels[0].max() > 250:  # not the probe pictures
                raise RuntimeError("a secret of this machine")
            return super().extract(pixels)

    url = serving(Gallery(gallery.index, Failing()))
    with pytest.raises(AppError, match="unexpected error; its log says why") as said:
        Client(url, verbose=False).predict(handle_file(upload("white.png", (255, 255, 255))), api_name="/search")
    assert "secret" not in str(said.value)
    assert "a secret of this machine" in caplog.text


def test_the_description_has_a_picture_as_the_example(served):
    [image] = httpx.get(f"{served}/gradio_api/info").json()["named_endpoints"]["/search"]["parameters"][:1]
    assert image["example_input"]["path"] == "query.jpg"


def test_callers_at_once_get_each_their_own_answer(served, upload, gallery):
    paths = [upload(f"{i}.png", (200, 10 * i + 4, 0)) for i in range(16)]

    def ask(mine):  # a client of its own: one that threads share may drop an answer when its event stream ends
        client = Client(served, verbose=False)
        return [client.predict(handle_file(path), k=4, api_name="/search") for path in mine]

    with ThreadPoolExecutor(8) as pool:
        documents = [document for pair in pool.map(ask, zip(paths[::2], paths[1::2], strict=True)) for document in pair]
    assert [without_times(d) for d in documents] == [without_times(gallery.search(p, k=4).to_json()) for p in paths]


def test_the_first_five_values_may_come_by_place(client, gallery, query):
    document = client.predict(handle_file(query), 3, None, None, None, api_name="/search")
    assert without_times(document) == without_times(gallery.search(query, k=3).to_json())


def test_a_ranking_can_be_named_and_a_misspelt_one_is_a_sentence(client, gallery, query):
    document = client.predict(handle_file(query), rank="krecip:20:6:0.3", api_name="/search")
    assert without_times(document) == without_times(gallery.search(query, rank="krecip:20:6:0.3").to_json())
    assert document["method"] == "exact, then krecip:20:6:0.3"
    with pytest.raises(AppError, match="no ranking step 'pac:2'"):
        client.predict(handle_file(query), rank="pac:2", api_name="/search")


def test_an_index_whose_extractor_is_unknown_is_served_for_searches_by_id(gallery, serving, query):
    """As one of the original system, which does not say who made its vectors."""
    with create_index("memory:", new_passport(None, dim=12)) as index:
        index.add(gallery.records(), gallery.vectors())
        client = Client(serving(Gallery(index)), verbose=False)
        found = client.predict(None, id="red/00.png", k=2, api_name="/search")
        assert [hit["id"] for hit in found["hits"]] == ["red/01.png", "red/02.png"]
        with pytest.raises(AppError, match="The extractor of this index is unknown"):
            client.predict(handle_file(query), api_name="/search")
