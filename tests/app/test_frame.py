"""Title, About text and icon are the owner's own, and nothing in them runs."""

from __future__ import annotations

import io
import re

import httpx
import pytest
from PIL import Image

from imgsearch_kit.app import serve
from imgsearch_kit.errors import BadQuery
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.index import create_index, new_passport
from tests.app.conftest import free_port
from tests.small_extractor import paint

TITLE = """</title><script>window.ran = 1</script>"> C:\\users ${Object.assign(window,{ran:1}).ran} {{ran}} `'"""
ABOUT = """My *pictures* of ${Object.assign(window,{ran:1}).ran} {{ran}} `C:\\users` & "more" <script>window.ran =
1</script>

# A heading

<img src=x onerror="window.ran = 1"> <iframe src="http://example.org/"></iframe>

[click](javascript:window.ran=1) [data](data:text/html,<script>window.ran=1</script>) [good](https://example.org/)

![remote](http://example.org/track.png "x")

</div></details><svg/onload="window.ran=1"> &lt;script&gt;window.ran=1&lt;/script&gt;
"""
DESCRIPTION = (
    'My pictures of ${Object.assign(window,{ran:1}).ran} {{ran}} C:\\users & "more" <script>window.ran = 1</script>'
)


@pytest.fixture
def about(tmp_path):
    path = tmp_path / "about.md"
    path.write_text(ABOUT, "utf-8")
    return path


def test_title_and_about_are_shown_as_they_are_and_nothing_runs(gallery, serving, visit, about):
    page = visit(serving(gallery, title=TITLE, about=about))  # and no request leaves the machine
    assert page.locator("#head h1").first.inner_text() == TITLE
    assert page.title() == TITLE
    for name, text in (("og:title", TITLE), ("og:description", DESCRIPTION), ("description", DESCRIPTION)):
        tags = page.locator(f'meta[property="{name}"], meta[name="{name}"]')
        assert [tag.get_attribute("content") for tag in tags.all()] == [text]
    page.get_by_text("About", exact=True).click()
    shown = page.locator("#head .about > div")
    assert shown.locator("h1").inner_text() == "A heading"
    assert shown.locator("em").inner_text() == "pictures"
    assert '<img src=x onerror="window.ran = 1">' in shown.inner_text()
    assert shown.locator("img, script, iframe, svg").count() == 0
    assert [link.get_attribute("href") for link in shown.locator("a").all()] == [
        "https://example.org/",
        "http://example.org/track.png",  # a link: nobody's browser fetches it unasked
    ]
    shown.get_by_text("click").click()
    assert page.evaluate("window.ran") is None


def test_without_them_the_page_names_no_other_product(served):
    text = httpx.get(f"{served}/").text
    head = text[: text.index("</head>")]
    assert re.findall(r'<meta property="og:(\w+)" content="([^"]*)">', head) == [
        ("title", "Image search"),
        ("type", "website"),
        ("image", f"{served}/index.png"),
    ]
    assert "twitter:" not in head
    assert "<title>Image search</title>" in head


def test_before_the_login_only_the_title_is_told(gallery, serving, about):
    url = serving(gallery, title="Ours", about=about, auth=("me", "secret"))
    text = httpx.get(f"{url}/").text
    assert "<title>Ours</title>" in text
    assert "My pictures" not in text
    assert "A heading" not in text


def test_the_icon_is_the_pixels_of_a_picture_and_nothing_else_of_its_file(gallery, serving, tmp_path):
    picture = paint(tmp_path / "icon.png", (200, 0, 0), (300, 200))
    with picture.open("ab") as file:
        file.write(b"<svg onload=alert(1)>")
    answer = httpx.get(f"{serving(gallery, favicon=picture)}/favicon.ico")
    with Image.open(io.BytesIO(answer.content)) as icon:
        assert (icon.format, icon.size, icon.getpixel((0, 0))) == ("PNG", (64, 64), (200, 0, 0))
    assert b"svg" not in answer.content


def og_image(text):
    return re.findall(r'<meta property="og:image" content="([^"]*)">', text)


def test_other_sites_are_shown_typical_pictures_of_the_index(served, gallery):
    answer = httpx.get(f"{served}/index.png")
    assert answer.headers["content-type"] == "image/png"
    assert len(answer.content) < 200_000
    with Image.open(io.BytesIO(answer.content)) as sheet:
        assert sheet.size == (600, 315)
        strongest = {max(range(3), key=colour.__getitem__) for _, colour in sheet.convert("RGB").getcolors(1000)}
    assert strongest == {0, 1, 2}  # reds, greens and blues
    shared = {"host": "photos.example.org", "x-forwarded-proto": "https"}
    assert og_image(httpx.get(f"{served}/", headers=shared).text) == ["https://photos.example.org/index.png"]
    assert "<script>x" not in httpx.get(f"{served}/", headers={"host": 'a"><script>x'}).text


def test_behind_a_login_and_of_an_empty_index_there_is_no_such_picture(gallery, serving):
    locked = serving(gallery, auth=("me", "secret"))
    assert og_image(httpx.get(f"{locked}/").text) == []
    assert httpx.get(f"{locked}/index.png").status_code == 401
    empty = Gallery(create_index("memory:", new_passport(gallery.passport.spec)), gallery.extractor)
    answer = httpx.get(f"{serving(empty)}/index.png")
    assert (answer.status_code, answer.json()["detail"][:18]) == (404, "Nothing is indexed")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("about", b"x" * 200_001, "has 200,001 characters; at most 200,000 are shown"),
        ("about", b"\xff\xfe\x00\xd8", "is no text in UTF-8"),
        ("about", None, "cannot be read"),
        (
            "favicon",
            b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
            "The icon .* not a picture|drawing",
        ),
        ("favicon", None, "The icon .* cannot be read"),
        ("title", "  ", "The title is blank"),
    ],
)
def test_what_cannot_be_shown_is_said_before_the_page_starts(gallery, tmp_path, name, content, words):
    given = content
    if name != "title":
        given = tmp_path / "given"
        given.write_bytes(content) if content is not None else None
    with pytest.raises(BadQuery, match=words):
        serve(gallery, port=free_port(), block=False, **{name: given})
