"""The plain HTTP routes beside the page, over real HTTP."""

from __future__ import annotations

import json
import math
import re
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from imgsearch_kit import Gallery
from imgsearch_kit.app import guarding, serve
from imgsearch_kit.index import create_index, new_passport
from tests.app.conftest import free_port
from tests.app.test_page import BETWEEN_2_AND_3, ORDER
from tests.small_extractor import paint

LOGIN = ("mé", "pässword:with colon")


@pytest.fixture
def query(upload):
    return upload("mine.png", BETWEEN_2_AND_3)


@pytest.fixture(scope="module")
def locked(gallery):
    """A page with a login."""
    page = serve(gallery, port=free_port(), block=False, auth=LOGIN)
    yield page
    page.close()


def picture(path, name=None):
    return {"image": (name or path.name, path.read_bytes())}


def without_times(document):
    return {name: value for name, value in document.items() if name != "ms"}


# -- what they answer -------------------------------------------------------------------------------------------------


def test_a_picture_is_answered_with_the_document_of_the_command_line(served, gallery, query):
    answer = httpx.post(f"{served}/search", files=picture(query))
    assert answer.headers["content-type"] == "application/json"
    assert without_times(answer.json()) == without_times(gallery.search(query).to_json())
    assert [hit["id"] for hit in answer.json()["hits"]][: len(ORDER)] == ORDER


@pytest.mark.parametrize(
    "options",
    [
        {"id": "red/00.png"},
        {"k": 3},
        {"labels": ["green", "blue"], "k": 50},
        {"min_score": 0.999},
        {"rank": "krecip:20:6:0.3"},
    ],
    ids=str,
)
def test_options_are_those_of_a_search(served, gallery, query, options):
    files = {} if "id" in options else picture(query)
    expected = gallery.search(None if "id" in options else query, **options)
    assert without_times(httpx.post(f"{served}/search", files=files, data=options).json()) == without_times(
        expected.to_json()
    )


def test_a_box_is_searched_for(served, gallery, pictures):
    found = httpx.post(f"{served}/search", data={"id": "red/03.png", "box": "0,0,0.5,0.5"}).json()
    assert found["query"]["box"] == [0, 0, 0.5, 0.5]
    assert found["hits"] == gallery.search(id="red/03.png", box=(0, 0, 0.5, 0.5)).to_json()["hits"]


def test_more_and_less_like_marked_pictures(served, gallery):
    marks = {"id": ["red/03.png", "red/05.png"], "plus": ["green/01.png"], "minus": ["blue/01.png"]}
    found = httpx.post(f"{served}/more", data=marks | {"k": 5}).json()
    assert found["hits"] == gallery.search(k=5, **marks).to_json()["hits"]
    assert found["query"]["plus"] == ["green/01.png"]


def test_rankings_are_compared_in_the_order_they_are_named(served, gallery, query):
    ranks = ["plain", "krecip:20:6:0.3"]
    found = httpx.post(f"{served}/compare", files=picture(query), data={"rank": ranks}).json()
    expected = [gallery.search(query, rank=rank) for rank in ("", "krecip:20:6:0.3")]
    assert [each["method"] for each in found] == ["exact", "exact, then krecip:20:6:0.3"]
    assert [each["hits"] for each in found] == [each.to_json()["hits"] for each in expected]


def test_the_original_systems_route_lists_the_picture_itself_first(served, gallery, pictures):
    found = httpx.post(f"{served}/image_query", params={"size": 3}, files=picture(pictures / "red/03.png")).json()
    nearest = gallery.search(id="red/03.png", k=2).hits
    assert [record["_id"] for record in found] == ["red/03.png", *(hit.id for hit in nearest)]
    assert [record["_source"] for record in found] == [{"image_path": record["_id"]} for record in found]
    assert {record["_index"] for record in found} == {"memory"}
    by_hand = [1.0, *(1 / (1 + math.sqrt(2 - 2 * hit.score)) for hit in nearest)]
    assert [record["_score"] for record in found] == pytest.approx(by_hand, abs=1e-3)


def test_the_original_systems_route_answers_ten_of_the_index_as_it_is(serving, gallery, query):
    ranked = serving(Gallery(gallery.index, gallery.extractor, rank="krecip:20:6:0.3"))
    found = httpx.post(f"{ranked}/image_query", files=picture(query)).json()
    assert [record["_id"] for record in found] == [hit.id for hit in gallery.search(query).hits]


def test_the_name_of_the_index_and_no_folder_of_it_is_told(serving, gallery, tmp_path, query):
    with create_index(f"local:{tmp_path}/photos.db", new_passport(gallery.passport.spec)) as index:
        index.add(gallery.records(), gallery.vectors())
        url = serving(Gallery(index, gallery.extractor))
        [found] = httpx.post(f"{url}/image_query", params={"size": 1}, files=picture(query)).json()
        assert found["_index"] == "photos"
        index.close()  # as when the file is gone or the server does not answer
        for answer in (httpx.post(f"{url}/search", files=picture(query)), httpx.get(f"{url}/health")):
            assert answer.status_code == 503
            assert answer.json()["detail"] == "The index cannot answer now; the log of this server says why."


def test_health_says_how_much_is_indexed(served, gallery):
    answer = httpx.get(f"{served}/health").json()
    assert (answer["status"], answer["extractor"], answer["index"]["pictures"]) == ("ok", "quarters", len(gallery))
    assert answer["index"]["uuid"] == gallery.passport.uuid


def test_callers_at_once_get_each_their_own_answer(served, gallery, upload):
    paths = [upload(f"{i}.png", (200, 10 * i + 4, 0)) for i in range(16)]

    def ask(path):
        return httpx.post(f"{served}/search", files=picture(path), timeout=60).json()

    with ThreadPoolExecutor(8) as pool:
        answers = [*pool.map(ask, paths)]
    assert [a["hits"] for a in answers] == [gallery.search(path).to_json()["hits"] for path in paths]


# -- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", ["0", "51", "-1", "ten", "1.5", "", "1" * 99])
def test_a_wrong_size_is_said(served, query, size):
    answer = httpx.post(f"{served}/image_query", params={"size": size}, files=picture(query))
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("size: Input should be ")
    assert len(answer.text) < 300


def test_no_picture_and_a_bad_one_are_said(served, text_as_jpg):
    asked = f"{served}/image_query"
    for answer in (httpx.post(asked), httpx.post(asked, files={"image": ("", b"")}), httpx.post(asked, json={})):
        assert (answer.status_code, answer.json()["detail"]) == (
            400,
            "No picture came. Send it as the file `image` of a multipart form.",
        )
    assert httpx.post(asked, data={"image": "no file"}).status_code == 400
    for route in ("image_query", "search"):
        answer = httpx.post(f"{served}/{route}", files=picture(text_as_jpg))
        assert answer.status_code == 415
        assert answer.json()["detail"].startswith("holiday.jpg: It is text, not a picture")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, "Give either a picture or the id of an indexed one."),
        ({"id": "../../etc/passwd"}, "no picture with the id '../../etc/passwd'"),
        ({"id": "%2e%2e%2f%00"}, "no picture with the id '%2e%2e%2f%00'"),
        ({"id": "red/00.png", "k": "51"}, "k: Input should be less than or equal to 50; it is '51'."),
        ({"id": "red/00.png", "labels": ["purple"]}, "No indexed picture has the label 'purple'"),
        ({"id": "red/00.png", "min_score": "nan"}, "min_score: Input should be "),
        ({"id": "red/00.png", "rank": "pac:2"}, "no ranking step 'pac:2'"),
        ({"id": "red/00.png", "box": "0.5,0,0.1,1"}, "box is left 0.5"),
        ({"id": "red/00.png", "box": "all"}, "box must be four numbers"),
        ({"id": "x" * 5000}, "no picture with the id 'xxx"),
    ],
    ids=str,
)
def test_wrong_arguments_are_refused_in_words(served, data, words):
    answer = httpx.post(f"{served}/search", data=data)
    assert answer.status_code == 422
    assert words in answer.json()["detail"]


@pytest.mark.parametrize(
    ("route", "data", "words"),
    [
        ("more", {}, "id: Field required."),
        ("more", {"id": "red/00.png", "plus": "nobody"}, "no picture with the id 'nobody'"),
        ("more", {"id": "red/00.png", "plus": "red/01.png", "minus": "red/01.png"}, "red/01.png"),
        ("compare", {"id": "red/00.png"}, "rank: Field required."),
        ("compare", {"id": "red/00.png", "rank": ["plain"]}, "rank: List should have at least 2 items"),
        ("compare", {"id": "red/00.png", "rank": ["plain", "pac:2"]}, "no ranking step 'pac:2'"),
        ("compare", {"rank": ["plain", "plain"]}, "Give either a picture or the id of an indexed one."),
    ],
)
def test_wrong_calls_of_the_other_routes_are_refused_in_words(served, route, data, words):
    answer = httpx.post(f"{served}/{route}", data=data)
    assert answer.status_code == 422
    assert words in answer.json()["detail"]


def test_a_picture_with_too_many_pixels_is_refused_without_the_owners_setting(serving, gallery, upload):
    url = serving(Gallery(gallery.index, gallery.extractor, max_pixels=1000))
    answer = httpx.post(
        f"{url}/search", files=picture(paint(upload("a.png", "red").with_name("b.png"), "red", (40, 40)))
    )
    assert answer.status_code == 415
    assert "1,600" in answer.json()["detail"] or "0.0 million pixels" in answer.json()["detail"]
    assert "max" not in answer.json()["detail"]


@pytest.mark.parametrize(
    "name", ["../../../evil.png", "..\\evil.png", "<script>x</script>.png", "a\0b.png", "\udcff.png"]
)
def test_the_name_of_a_file_opens_nothing(served, gallery, query, name):
    head = f'--b\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n\r\n'
    body = head.encode("utf-8", "surrogateescape") + query.read_bytes() + b"\r\n--b--\r\n"
    answer = httpx.post(f"{served}/search", content=body, headers={"content-type": "multipart/form-data; boundary=b"})
    assert answer.headers["content-type"] == "application/json"
    assert [hit["id"] for hit in answer.json()["hits"]] == [hit.id for hit in gallery.search(query).hits]
    assert "../" not in answer.json()["query"]["file"]


@pytest.mark.parametrize("route", ["search", "image_query", "health", "gradio_api/call/search"])
def test_a_body_above_the_limit_is_refused_before_it_is_read(served, route):
    def endless():
        yield start
        for _ in range(40):
            yield b"\0" * (1 << 20)

    method, head = "GET" if route == "health" else "POST", {"content-type": "multipart/form-data; boundary=b"}
    start = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
    for body in (b"\0" * (40 << 20), endless()):
        try:
            answer = httpx.request(method, f"{served}/{route}", content=body, headers=head, timeout=60)
        except httpx.WriteError:  # the server has closed the connection meanwhile
            continue
        assert answer.status_code == 413 or route == "health"


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"x", "multipart/form-data; boundary=a"),
        (b"x", "multipart/form-data"),
        (b"{", "application/json"),
        (b"\xff\xfe", "application/x-www-form-urlencoded"),
        (b"", "multipart/form-data; boundary=" + "b" * 100),
    ],
)
def test_bodies_of_wrong_types_are_refused(served, content, kind):
    for route in ("search", "image_query"):
        answer = httpx.post(f"{served}/{route}", content=content, headers={"content-type": kind})
        assert 400 <= answer.status_code < 500
        assert isinstance(answer.json()["detail"], str)


def test_more_requests_than_can_wait_are_refused(serving, gallery, query, monkeypatch):
    monkeypatch.setattr(guarding, "WAITING", 0)
    answer = httpx.post(f"{serving(gallery)}/search", files=picture(query))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["detail"] == "Too many searches wait. Try again in a few seconds."


# -- the login --------------------------------------------------------------------------------------------------------

FREE = {  # of Gradio: without them nobody could log in; none of them says more than the page's title
    "/": "the form of the login",
    "/login": "where it is sent",
    "/login/": "where it is sent",
    "/logout": "forgets a login",
    "/favicon.ico": "of the form",
    "/theme.css": "of the form",
    "/manifest.json": "of the form",
    "/robots.txt": "no search engine",
    "/svelte/{path:path}": "programs of Gradio",
    "/static/{path:path}": "programs of Gradio",
    "/assets/{path:path}": "programs of Gradio",
    "/pwa_icon": "the icon",
    "/pwa_icon/{size}": "the icon",
    "/monitoring/{key}": "switched off",
    "/gradio_api/user": "says that nobody is logged in",
    "/gradio_api/user/": "says that nobody is logged in",
    "/gradio_api/token": "says that nobody is logged in",
    "/gradio_api/token/": "says that nobody is logged in",
    "/gradio_api/startup-events": "is the server's own",
    "/gradio_api/heartbeat/{session_hash}": "says that the server lives",
    "/gradio_api/theme.css": "of the form",
    "/gradio_api/app_id": "a number of this start",
    "/gradio_api/app_id/": "a number of this start",
}


def routes_of(app):
    for route in app.routes:
        router = getattr(route, "original_router", None)
        for each in router.routes if router else [route]:
            yield from ((method, each.path) for method in sorted(each.methods - {"HEAD", "OPTIONS"}))


def test_no_route_answers_without_the_login(locked):
    routes = [*routes_of(locked.blocks.app)]
    assert {("POST", "/search"), ("POST", "/image_query"), ("GET", "/health"), ("GET", "/docs")} <= {*routes}
    assert ("POST", "/gradio_api/queue/join") in routes
    answers = {}
    for method, path in routes:
        url = locked.url.rstrip("/") + re.sub(r"\{[^}]*\}", "x", path)
        with httpx.stream(method, url, timeout=20) as answer:
            answers[method, path] = answer.status_code
    own = [route for route in routes if not route[1].startswith("/gradio_api/") and route[1] not in FREE]
    assert {route: answers[route] for route in own} == dict.fromkeys(own, 401)
    assert [route for route, status in answers.items() if status < 300 and route[1] not in FREE] == []


@pytest.mark.parametrize(
    "head",
    ["", "Basic", "Basic !!!", "Basic bWU6", "Bearer x", "Basic bcOpOnDDpHNzd29yZA==", "basic \xff"],
)
def test_a_wrong_login_is_refused_and_the_browser_asks(locked, head):
    answer = httpx.get(f"{locked.url}health", headers={"authorization": head.encode("latin-1")})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic ")


def test_the_right_login_opens_every_route(locked, gallery, query):
    with httpx.Client(base_url=locked.url, auth=httpx.BasicAuth(*LOGIN)) as client:
        assert client.post("search", files=picture(query)).json()["hits"][0]["id"] == ORDER[0]
        assert client.post("image_query", files=picture(query)).json()[0]["_id"] == ORDER[0]
        assert client.get("health").json()["status"] == "ok"
        assert "--user NAME:PASSWORD" in client.get("docs").text
        assert client.get("openapi.json").json()["security"] == [{"login": []}]


def test_who_has_logged_in_to_the_page_may_call_the_routes_but_not_from_another_site(locked):
    with httpx.Client(base_url=locked.url) as client:
        client.post("login", data={"username": LOGIN[0], "password": LOGIN[1]}).raise_for_status()
        assert client.get("health").status_code == 200
        assert client.get("health", headers={"sec-fetch-site": "cross-site"}).status_code == 401
        client.get("logout")
        assert client.get("health").status_code == 401


# -- their description ------------------------------------------------------------------------------------------------


def test_the_openapi_document_describes_these_routes_and_no_others(served):
    document = httpx.get(f"{served}/openapi.json").json()
    assert sorted(document["paths"]) == ["/compare", "/health", "/image_query", "/more", "/search"]
    [size] = document["paths"]["/image_query"]["post"]["parameters"]
    assert (size["name"], size["in"]) == ("size", "query")
    assert [size["schema"][name] for name in ("default", "minimum", "maximum")] == [10, 1, 50]


def test_docs_show_each_route_and_a_command_in_a_real_browser(served, browser):
    page = browser.new_page()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{served}/docs")
    routes = ["POST /search", "POST /more", "POST /compare", "POST /image_query", "GET /health"]
    assert [h.inner_text() for h in page.locator("h2").all()] == routes
    commands = page.locator("pre").all_inner_texts()
    assert f"curl --form image=@query.jpg {served}/image_query" in commands
    assert f"curl --form image=@query.jpg --form rank=plain --form rank=qe:10:1 {served}/compare" in commands
    assert "size\tinteger, 1 to 50, 10 by default\tHow many records." in page.locator("main").inner_text()
    assert {url.split("/")[2] for url in asked} == {served.split("/")[2]}
    page.close()


def test_every_number_is_json(served):
    text = httpx.post(f"{served}/search", data={"id": "red/00.png"}).text
    json.loads(text, parse_constant=pytest.fail)
