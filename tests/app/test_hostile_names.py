"""Names and labels that try to become markup or code, everywhere the page draws one, in a real Chromium."""

from __future__ import annotations

import pytest

from imgsearch_kit.gallery import Gallery
from imgsearch_kit.index import create_index, new_passport
from imgsearch_kit.records import ImageRecord
from tests.app.test_page import remove, wait_for_first
from tests.small_extractor import QuarterColours

HOSTILE = [
    "${Object.assign(window,{x:1}).x}",
    "C:\\users\\x.jpg",
    "{{value}}",
    "{{#each value}}{{this}}{{/each}}",
    "</script><script>window.x=1</script>",
    "<img src=x onerror=window.x=1>",
    "`;window.x=1;`",
    "=cmd|' /C calc'!A0",
    '" onmouseover=window.x=1 x="',
]


@pytest.fixture
def hostile():
    """An index whose ids, labels and extractor's name are all hostile; its pictures are nowhere."""
    extractor = QuarterColours(HOSTILE[0])
    index = create_index("memory:", new_passport(extractor.spec, roots={"": "/nowhere"}))
    colours = [(200, 10 * i, 0) for i in range(len(HOSTILE))]
    import numpy as np

    pixels = np.array([np.full((8, 8, 3), colour, np.uint8) for colour in colours])
    records = [ImageRecord(id=text, label=text) for text in HOSTILE]
    order = sorted(range(len(HOSTILE)), key=lambda i: HOSTILE[i])
    index.add([records[i] for i in order], extractor.extract(pixels)[order])
    index.flush()
    return Gallery(index, extractor)


def test_hostile_names_and_labels_are_drawn_as_text_and_nothing_runs(visit, serving, hostile):
    page = visit(serving(hostile))
    assert HOSTILE[0] in page.locator("#head .status").inner_text()
    assert set(page.locator(".tile .label").all_inner_texts()) == set(HOSTILE)
    assert page.locator(".class-list label span").all_inner_texts() == sorted(HOSTILE)
    for name in HOSTILE:
        page.get_by_label("Id of an indexed picture, or address of one").fill(name)
        page.get_by_role("button", name="Search", exact=True).click()
        page.locator("[data-query]").and_(page.locator(f"[data-query={as_css(name)}]")).wait_for()
        assert set(page.locator("#hits .label").all_inner_texts()) == set(HOSTILE) - {name}
        assert page.locator("#own .small").all_inner_texts()[-1].endswith(name)
    page.locator(f"#hits [data-id={as_css(HOSTILE[0])}]").click()
    dialog = page.get_by_role("dialog")
    dialog.wait_for()
    assert dialog.locator("h3").inner_text() == HOSTILE[0]
    assert dialog.locator("dd").first.inner_text() == HOSTILE[0]
    page.reload()  # the address has the last name
    wait_for_first(page, HOSTILE[-2])
    assert page.evaluate("window.x") is None
    assert page.locator("#search script, #search img[src=x]").count() == 0
    remove(page)


def as_css(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("id=${Object.assign(window,{x:1}).x}", "The index has no picture with the id '${Object"),
        ("id=../../etc/passwd", "The index has no picture with the id '../../etc/passwd'"),
        ("id=red/00.png&k=75", "must be a whole number from 1 to 50; it is 75"),
        ("id=red/00.png&k=ten", "must be a whole number from 1 to 50; it is 'ten'"),
        ("id=red/00.png&classes=<img src=x onerror=window.x=1>", "No indexed picture has the label '<img src=x"),
        ("id=red/00.png&rank={{value}}", "{{value}}"),
    ],
)
def test_an_address_with_nonsense_is_a_sentence(visit, served, query, sentence):
    page = visit(f"{served}/?tab=search&{query}")
    page.get_by_role("alert").filter(has_text=sentence).wait_for()
    assert page.evaluate("window.x") is None
    assert page.locator("#hits [data-id]").count() == 0
