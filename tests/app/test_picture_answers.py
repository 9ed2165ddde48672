"""Pictures from addresses of the Internet on the page, and what the tab answers on one picture."""

from __future__ import annotations

import pytest

from imgsearch_kit.app.tabs.picture import PictureAnswers
from tests.app.test_fetching import names, servers, url  # noqa: F401 (fixtures)
from tests.app.test_page import hits, wait_for_status

FIELD = "Id of an indexed picture, or address of one"


def submit(page, text):
    page.get_by_label(FIELD).fill(text)
    page.get_by_label(FIELD).press("Enter")


def test_an_address_in_the_field_is_fetched_and_searched_for(visit, served, url):  # noqa: F811
    page = visit(served)
    submit(page, f"{url}/picture/mine.png")
    wait_for_status(page, "^10 neighbours")
    assert page.locator("[data-query]").get_attribute("data-query") == "mine.png"
    assert hits(page)[0] == "red/01.png"  # it is the very red of number 00


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("http://127.0.0.1/x.png", "is no server of the public Internet"),
        ("http://169.254.169.254/latest/meta-data", "is no server of the public Internet"),
        ("http://[::1]:7860/config", "is no server of the public Internet"),
        ("http://me:secret@pictures.example/x.png", "name or a password"),
    ],
)
def test_an_address_inside_is_refused_in_words(visit, served, address, sentence):
    page = visit(served)
    submit(page, address)
    page.get_by_role("alert").filter(has_text=sentence).wait_for()
    assert page.locator("#welcome .tile").first.is_visible()


def test_a_pasted_address_is_fetched_but_not_one_pasted_into_a_field(visit, served):
    page = visit(served, permissions=["clipboard-read", "clipboard-write"])
    page.evaluate("navigator.clipboard.writeText('http://127.0.0.1/x.png')")
    page.get_by_label(FIELD).focus()
    page.keyboard.press("Control+V")
    assert page.get_by_label(FIELD).input_value() == "http://127.0.0.1/x.png"
    assert page.get_by_role("alert").count() == 0
    page.locator("#head h1").click()
    page.keyboard.press("Control+V")
    page.get_by_role("alert").filter(has_text="is no server of the public Internet").wait_for()


@pytest.fixture
def answers(gallery, tmp_path):
    return PictureAnswers(gallery, tmp_path, set())


def test_what_is_fetched_is_deleted_with_the_uploads(answers, url):  # noqa: F811
    said = answers.fetched({"address": f"{url}/picture/..%2F..%2Fevil.png", "serial": 3})
    assert {said["path"]} == answers.kept
    assert said == {"kind": "fetched", "serial": 3, "path": said["path"]}
    assert said["path"].startswith(f"{answers.uploads}/")


@pytest.mark.parametrize("given", [None, [], {}, {"id": 5}, {"id": "nobody.png"}, {"id": "../../etc/passwd"}])
def test_nonsense_is_answered_in_words(answers, given):
    assert "no longer in the index" in answers.details(given)["error"]
    assert answers.boxes(given)["boxes"] == []
    assert [set(said) for said in answers.explained(given)] == [{"kind", "serial", "error"}]
    assert "error" in answers.fetched(given)
    assert "has no picture with the id" in answers.reverse(given)["error"]


def test_in_whose_top_ten_a_picture_is(visit, served, gallery):
    expected = []
    for record in gallery.records():
        nearest = [hit.id for hit in gallery.search(id=record.id, k=10).hits]
        expected += [record.id] if "red/05.png" in nearest else []
    page = visit(f"{served}/?id=red/00.png")
    page.locator('#hits [data-id="red/05.png"]').click()
    page.get_by_role("button", name="In whose top ten").click()
    page.get_by_text(f"In the top ten of {len(expected)}").wait_for()
    shown = page.locator(".kit-strip [data-id]").evaluate_all("(all) => all.map((each) => each.dataset.id)")
    assert sorted(shown) == expected
    page.locator(".kit-strip [data-id]").first.click()
    page.get_by_role("dialog", name=f"Details of {shown[0]}").wait_for()


def test_an_extractor_without_a_map_explains_nothing_and_suggests_no_box(answers):
    given = {"id": "red/00.png", "hit": "red/01.png", "serial": 1}
    [said] = answers.explained(given)
    assert "convolution map" in said["error"]
    assert answers.boxes(given) == {"kind": "boxes", "serial": 1, "boxes": []}
