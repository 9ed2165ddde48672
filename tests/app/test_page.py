"""The page in a real Chromium: what a person sees and does."""

from __future__ import annotations

import base64
import itertools
import re
import shutil
import threading

import pytest

from imgsearch_kit.app import build_app
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.index import create_index, new_passport
from tests.app.conftest import LONG, STRANGE, free_port, make_gallery
from tests.small_extractor import QuarterColours, paint

BETWEEN_2_AND_3 = (200, 24, 0)  # a red nearest to number 2 (20), then 3 (30), then 1 (10), 4 (40), 0 (0), 5 (50)
ORDER = ["red/02.png", "red/03.png", "red/01.png", "red/04.png", "red/00.png", "red/05.png"]

DROP = """([name, content]) => {
  const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, {type: 'image/png'}));
  return transfer;
}"""

COPY = """async (content) => {
  const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
  await navigator.clipboard.write([new ClipboardItem({'image/png': new Blob([bytes], {type: 'image/png'})})]);
}"""

ALL_DRAWN = "() => [...document.querySelectorAll('#answers img')].every((i) => i.complete && i.naturalWidth > 0)"


def as_base64(path):
    return base64.b64encode(path.read_bytes()).decode()


def drop(page, path, place="#head h1"):
    """What a browser does when a file is let go somewhere over the page."""
    transfer = page.evaluate_handle(DROP, [path.name, as_base64(path)])
    for event in ("dragenter", "dragover", "drop"):
        page.locator(place).dispatch_event(event, {"dataTransfer": transfer})


def choose(page, path):
    page.locator("#query-file").set_input_files(path)


def remove(page):
    page.get_by_role("button", name="Remove", exact=True).click()


def hits(page):
    return page.locator("#hits [data-id]").evaluate_all("(cards) => cards.map((card) => card.dataset.id)")


def wait_for_first(page, id_):
    page.locator("#hits li").first.locator(f'[data-id="{id_}"]').wait_for()


def wait_for_status(page, text):
    page.locator("#status").filter(has_text=re.compile(text)).wait_for()


IN_SCHEME = """(dark) => document.body.classList.contains('dark') === dark
  && !document.getAnimations().some((each) => each instanceof CSSTransition)"""


def set_scheme(page, scheme):
    """Lets the system be light or dark, and waits until the page is."""
    page.emulate_media(color_scheme=scheme)
    page.wait_for_function(IN_SCHEME, arg=scheme == "dark")


def query_picture(page):
    return page.locator("#query img").first


def test_a_dropped_picture_puts_its_neighbours_up(visit, served, upload):
    page = visit(served)
    drop(page, upload("mine.png", BETWEEN_2_AND_3))
    wait_for_first(page, ORDER[0])
    assert hits(page)[: len(ORDER)] == ORDER
    assert len(hits(page)) == 10
    page.wait_for_function(ALL_DRAWN)
    first = page.locator("#hits .kit-card").first
    assert first.locator(".rank").inner_text() == "1"
    assert first.locator(".label").inner_text() == "red"
    assert first.locator(".score").inner_text() == "1.000"
    scores = [float(text) for text in page.locator("#hits .score").all_inner_texts()]
    assert scores == sorted(scores, reverse=True)
    assert page.locator("#status .status").inner_text() == "10 neighbours"
    page.locator("#how summary").click()
    assert re.search(r"extraction \d+ ms · search [\d.]+ ms · exact", page.locator("#how").inner_text())
    assert page.locator("#own").inner_text() == ""
    assert query_picture(page).evaluate("(i) => i.naturalWidth") == 32
    assert page.locator("[data-query]").get_attribute("data-query") == "mine.png"


def test_a_chosen_file_and_a_second_one_after_it(visit, served, upload):
    page = visit(served)
    choose(page, upload("mine.png", BETWEEN_2_AND_3))
    wait_for_first(page, "red/02.png")
    remove(page)
    page.locator("#welcome .tile").first.wait_for()
    assert hits(page) == []
    assert page.locator("[data-query]").count() == 0
    choose(page, upload("other.png", (0, 200, 104)))
    wait_for_first(page, "green/10.png")


def test_a_pasted_picture_is_searched_for(visit, served, upload):
    page = visit(served, permissions=["clipboard-read", "clipboard-write"])
    page.evaluate(COPY, as_base64(upload("mine.png", BETWEEN_2_AND_3)))
    page.keyboard.press("Control+V")
    wait_for_first(page, ORDER[0])


def test_a_hit_shows_its_details_and_can_be_searched_with(visit, served, upload, gallery):
    page = visit(served, viewport={"width": 1280, "height": 300})
    choose(page, upload("mine.png", BETWEEN_2_AND_3))
    wait_for_first(page, "red/02.png")
    page.locator('#hits [data-id="red/05.png"]').click()
    dialog = page.get_by_role("dialog")
    dialog.wait_for()
    assert page.evaluate("scrollY") > 0
    facts = dialog.inner_text()
    record = gallery.record("red/05.png")
    expected = ["red/05.png", "red", "6", "32 × 24 pixels", f"{record.size} bytes", record.sha256[:16]]
    assert all(fact in facts for fact in expected), facts
    cosine = float(re.search(r"Score\s+([\d.]+)", facts)[1])
    assert cosine == pytest.approx(
        (200 * 200 + 24 * 50) / (200.0**2 + 24**2) ** 0.5 / (200.0**2 + 50**2) ** 0.5, abs=1e-3
    )
    page.wait_for_function("() => [...document.querySelectorAll('dialog img')].every((i) => i.naturalWidth > 0)")
    assert dialog.locator("figcaption").all_inner_texts() == ["Your picture", "Rank 6"]

    dialog.get_by_role("button", name="Search with this").click()
    page.wait_for_function("() => document.querySelector('#query').getBoundingClientRect().top > -1")
    wait_for_first(page, "red/06.png")  # at an angle the tangent makes smaller than the one to number 4
    assert hits(page)[:4] == ["red/06.png", "red/04.png", "red/07.png", "red/03.png"]
    assert dialog.count() == 0
    assert page.locator("#own").inner_text().split("\n")[-1] == "red/05.png"
    page.wait_for_function("() => document.querySelector('#query img').naturalWidth === 32")


def test_the_same_hit_can_be_opened_again(visit, served, upload):
    page = visit(served)
    choose(page, upload("mine.png", BETWEEN_2_AND_3))
    wait_for_first(page, "red/02.png")
    for _ in range(2):
        page.locator('#hits [data-id="red/03.png"]').click()
        page.get_by_role("button", name="Close").click()
        page.get_by_role("dialog").wait_for(state="detached")


def test_the_page_can_be_used_from_the_keyboard(visit, served, upload):
    page = visit(served)
    choose(page, upload("mine.png", BETWEEN_2_AND_3))
    wait_for_first(page, "red/02.png")
    page.locator("#hits .kit-card").nth(1).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.get_by_role("dialog", name="Details of red/01.png").wait_for()
    assert page.evaluate("document.activeElement.closest('dialog') !== null")
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    assert page.evaluate("document.activeElement.dataset.id") == "red/01.png"


def test_every_picture_has_words_for_those_who_do_not_see_it(visit, served, upload):
    page = visit(served)
    choose(page, upload("mine.png", BETWEEN_2_AND_3))
    wait_for_first(page, "red/02.png")
    without = "[...document.images].filter((each) => !each.alt && !each.closest('button')?.textContent.trim())"
    assert page.evaluate(f"{without}.map((each) => each.outerHTML)") == []  # words beside it are words, too
    assert page.locator("#hits img").first.get_attribute("alt") == "red/02.png"


def test_text_renamed_to_jpg_is_refused_in_words(visit, served, text_as_jpg):
    page = visit(served)
    choose(page, text_as_jpg)
    alert = page.get_by_role("alert")
    alert.wait_for()
    assert alert.inner_text().startswith("holiday.jpg: It is text, not a picture")
    assert "results" not in alert.inner_text()
    assert page.locator("#welcome .tile").first.is_visible()
    assert page.locator("#query img").count() == 0


def test_a_refused_picture_leaves_the_results_before_it_and_says_whose_they_are(visit, served, upload, text_as_jpg):
    page = visit(served)
    choose(page, upload("mine.png", BETWEEN_2_AND_3))
    wait_for_first(page, "red/02.png")
    before = hits(page)
    drop(page, text_as_jpg)
    alert = page.get_by_role("alert")
    alert.wait_for()
    assert "earlier results are still shown" in alert.inner_text()
    assert hits(page) == before
    assert page.locator("[data-query]").get_attribute("data-query") == "mine.png"


def test_a_picture_of_the_index_stands_apart_from_its_neighbours(visit, served, pictures, tmp_path):
    page = visit(served)
    choose(page, shutil.copy(pictures / "red/00.png", tmp_path / "copy.png"))
    page.locator("#own").get_by_text("This picture is in the index:").wait_for()
    assert page.locator("#own .small").all_inner_texts() == ["red/00.png"]
    assert hits(page)[:2] == ["red/01.png", "red/02.png"]
    assert "red/00.png" not in hits(page)
    page.locator("#own .small").click()
    page.get_by_role("dialog", name="Details of red/00.png").wait_for()


def test_the_number_of_neighbours_follows_its_control(visit, served, upload):
    page = visit(served)
    choose(page, upload("mine.png", BETWEEN_2_AND_3))
    wait_for_first(page, "red/02.png")
    number = page.get_by_label("Number of neighbours")
    for k in (50, 1):
        number.fill(str(k))
        number.press("Enter")
        wait_for_status(page, rf"^{k} neighbours?How")
        assert len(hits(page)) == k
    page.wait_for_function(ALL_DRAWN)
    page.get_by_role("button", name="20", exact=True).click()
    wait_for_status(page, "^20 neighbours")
    assert hits(page)[:6] == ORDER
    assert number.input_value() == "20"


def test_a_number_that_cannot_be_is_a_sentence_at_the_field_and_no_request(visit, served, upload):
    page = visit(served)
    choose(page, upload("mine.png", BETWEEN_2_AND_3))
    wait_for_first(page, "red/02.png")
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    number = page.get_by_label("Number of neighbours")
    for text in ("0", "75", "ten", "2.5", "-3", ""):
        number.fill(text)
        number.press("Enter")
        page.locator("#k-said", has_text=f"Give a whole number from 1 to 50; it is “{text}”.").wait_for()
        assert number.get_attribute("aria-invalid") == "true"
    assert len(hits(page)) == 10
    assert asked == []


def test_more_hits_than_fifty_follow_on_demand(visit, served, upload, gallery):
    page, picture = visit(served), upload("mine.png", BETWEEN_2_AND_3)
    choose(page, picture)
    wait_for_first(page, "red/02.png")
    page.get_by_role("button", name="50", exact=True).click()
    wait_for_status(page, "^50 neighbours")
    page.get_by_role("button", name="Show more").click()
    wait_for_status(page, "^62 neighbours")
    assert hits(page) == [hit.id for hit in gallery.search(picture, k=100).hits]
    assert page.locator("#hits .rank").all_inner_texts() == [str(i) for i in range(1, 63)]
    assert page.get_by_role("button", name="Show more").count() == 0  # those are all
    page.wait_for_function(ALL_DRAWN)


def test_the_class_filter_keeps_only_the_chosen_classes(visit, served, upload):
    page = visit(served)
    choose(page, upload("mine.png", BETWEEN_2_AND_3))
    wait_for_first(page, "red/02.png")
    page.get_by_role("button", name="50", exact=True).click()
    page.get_by_role("checkbox", name="blue").check()
    wait_for_first(page, "blue/19.png")  # the blue that leans most to red
    assert set(page.locator("#hits .label").all_inner_texts()) == {"blue"}
    page.get_by_role("checkbox", name="green").check()
    page.locator("#hits .label", has_text="green").first.wait_for()
    assert set(page.locator("#hits .label").all_inner_texts()) == {"blue", "green"}


def test_an_example_is_searched_with_one_click(visit, served):
    page = visit(served)
    example = page.locator('#welcome [data-id^="green/"]').first
    id_ = example.get_attribute("data-id")
    example.click()
    page.locator(f'#own [data-id="{id_}"]').wait_for()
    assert len(hits(page)) == 10
    assert id_ not in hits(page)
    page.wait_for_function("() => document.querySelector('#query img').naturalWidth === 32")


def test_loading_is_said_in_words_and_the_old_hits_fade(visit, serving, pictures, upload):
    gate = threading.Event()

    class Gated(QuarterColours):
        def extract(self, pixels):
            assert gate.wait(30)
            return super().extract(pixels)

    gate.set()
    page = visit(serving(make_gallery(pictures, Gated())))
    choose(page, upload("mine.png", BETWEEN_2_AND_3))
    wait_for_first(page, "red/02.png")
    gate.clear()
    drop(page, upload("other.png", (0, 200, 104)))
    wait_for_status(page, "^Searching")
    page.wait_for_function("() => getComputedStyle(document.querySelector('#hits')).opacity < 1")
    gate.set()
    wait_for_first(page, "green/10.png")
    page.wait_for_function("() => getComputedStyle(document.querySelector('#hits')).opacity == 1")


def test_a_failure_nobody_foresaw_does_not_leave_the_page_searching(visit, serving, pictures, upload):
    class Broken(QuarterColours):
        def extract(self, pixels):
            if len(pixels) == 1:  # a query, where indexing brings several
                raise RuntimeError("out of order")
            return super().extract(pixels)

    page = visit(serving(make_gallery(pictures, Broken())))
    choose(page, upload("mine.png", BETWEEN_2_AND_3))
    wait_for_status(page, "^The search failed")


def test_an_empty_index_says_what_to_do(visit, serving):
    extractor = QuarterColours()
    index = create_index("memory:", new_passport(extractor.spec))
    page = visit(serving(Gallery(index, extractor)))
    page.locator("#welcome", has_text="Nothing is indexed yet").wait_for()
    assert page.locator("#welcome").get_by_text("imgsearch index FOLDER").is_visible()
    assert page.locator("#head .status").inner_text() == "0 pictures · quarters, 12-d vectors"
    assert not page.locator("#classes").is_visible()


def test_a_reload_shows_what_was_indexed_meanwhile(visit, serving, tmp_path):
    from imgsearch_kit.indexing.folder import index_folder

    paint(tmp_path / "red/0.png", (200, 0, 0))
    gallery = make_gallery(tmp_path)
    page = visit(serving(gallery))
    assert page.locator("#head").get_by_text("1 picture in 1 class").is_visible()
    paint(tmp_path / "blue/0.png", (0, 0, 200))
    index_folder(tmp_path, gallery.index, QuarterColours(), progress=False)
    page.reload()
    page.locator("#head").get_by_text("2 pictures in 2 classes").wait_for()
    assert page.locator("#welcome .tile").count() == 2


def test_an_answer_shows_what_was_indexed_meanwhile(visit, serving, tmp_path):
    from imgsearch_kit.indexing.folder import index_folder

    paint(tmp_path / "red/0.png", (200, 0, 0))
    gallery = make_gallery(tmp_path)
    page = visit(serving(gallery))
    paint(tmp_path / "blue/0.png", (0, 0, 200))
    index_folder(tmp_path, gallery.index, QuarterColours(), progress=False)
    page.locator(".tile").click()
    wait_for_status(page, "^1 neighbour")
    page.locator("#head").get_by_text("2 pictures in 2 classes").wait_for()
    page.get_by_role("checkbox", name="blue").check()
    wait_for_first(page, "blue/0.png")


def test_hits_of_an_indexed_query_are_marked_right_or_wrong(visit, served):
    page = visit(served)
    page.locator("#welcome [data-id^='red/']").first.click()
    page.get_by_role("button", name="50", exact=True).click()
    wait_for_status(page, "^50 neighbours")
    labels = page.locator("#hits .label").all_inner_texts()
    marks = page.locator("#hits .mark").all_inner_texts()
    assert marks == ["✓ same class" if label == "red" else "✗ other class" for label in labels]
    assert len(set(marks)) == 2


def test_an_original_that_is_gone_is_said_in_its_place(visit, serving, tmp_path, upload):
    for i in range(3):
        paint(tmp_path / f"red/{i}.png", (200, 20 * i, 0))
    gallery = make_gallery(tmp_path)
    (tmp_path / "red/1.png").unlink()
    page = visit(serving(gallery))
    choose(page, upload("mine.png", (200, 0, 40)))
    wait_for_first(page, "red/0.png")
    assert page.locator('#hits [data-id="red/1.png"]').get_by_text("The file no longer exists").is_visible()
    page.locator('#hits [data-id="red/1.png"]').click()
    page.get_by_role("button", name="Search with this").click()
    wait_for_first(page, "red/2.png")  # by its stored vector


def test_one_banner_says_that_most_pictures_are_gone(visit, serving, tmp_path):
    for i in range(4):
        paint(tmp_path / f"red/{i}.png", (200, 20 * i, 0))
    gallery = make_gallery(tmp_path)
    for i in range(3):
        (tmp_path / f"red/{i}.png").unlink()
    page = visit(serving(gallery))
    assert "serve --root FOLDER" in page.locator("#banner").inner_text()
    page.locator(".tile").first.click()
    wait_for_status(page, "^3 neighbours")  # by the stored vectors
    assert page.locator("#banner").is_visible()


def test_names_with_markup_are_shown_as_they_are(visit, served, upload):
    page = visit(served)
    choose(page, upload("mine.png", (120, 121, 119)))
    page.locator("#own").get_by_text("This picture is in the index:").wait_for()
    assert page.locator("#own .small").inner_text() == STRANGE
    page.locator("#own .small").click()
    dialog = page.get_by_role("dialog")
    dialog.wait_for()
    assert dialog.locator("h3").inner_text() == STRANGE
    dialog.get_by_role("button", name="Search with this").click()
    wait_for_status(page, "^10 neighbours")


def test_a_phone_needs_no_sideways_scrolling(visit, served, upload):
    page = visit(served, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)

    def fits():
        return page.evaluate("document.documentElement.scrollWidth") <= 390

    assert fits()
    choose(page, upload("mine.png", (255, 255, 199)))
    page.locator(f'#own [data-id="{LONG}"]').wait_for()
    assert fits()
    page.locator("#own .small").click()
    dialog = page.get_by_role("dialog")
    dialog.wait_for()
    box = dialog.bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    assert fits()


LUMINANCE = """(selector) => {
  const canvas = Object.assign(document.createElement('canvas'), {width: 1, height: 1}).getContext('2d');
  const grey = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const linear = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map((c) => c / 255)
      .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  let behind = document.querySelector(selector);
  const text = grey(getComputedStyle(behind).color);
  while (getComputedStyle(behind).backgroundColor === 'rgba(0, 0, 0, 0)') behind = behind.parentElement;
  return [text, grey(getComputedStyle(behind).backgroundColor)];
}"""


def test_both_colour_schemes_are_readable(visit, served, upload):
    page = visit(served)
    choose(page, upload("mine.png", (200, 0, 0)))
    wait_for_first(page, "red/01.png")
    page.locator("#hits .kit-card").first.click()
    page.get_by_role("dialog").wait_for()
    places = ("#head h1", "#head .status", "#status .status", "#hits .label", "#own .small span", "dialog dd")
    for scheme, selector in itertools.product(("dark", "light"), places):
        set_scheme(page, scheme)
        text, behind = page.evaluate(LUMINANCE, selector)
        assert (text > behind) == (scheme == "dark"), selector
        lighter, darker = max(text, behind), min(text, behind)
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, f"{selector}: the contrast is below WCAG's 4.5"


def test_the_page_works_without_the_kits_launcher(visit, gallery, upload):
    blocks = build_app(gallery)
    blocks.launch(server_name="127.0.0.1", server_port=free_port(), prevent_thread_lock=True, quiet=True)
    try:
        page = visit(blocks.local_url)
        choose(page, upload("mine.png", BETWEEN_2_AND_3))
        wait_for_first(page, "red/02.png")
        page.wait_for_function(ALL_DRAWN)
    finally:
        blocks.close(verbose=False)


def test_a_flat_folder_has_examples_and_names_and_no_sentence_runs_into_another(visit, serving, tmp_path, text_as_jpg):
    """As holiday photos lie: no sub-folders, so no classes."""
    for i in range(20):
        paint(tmp_path / "flat" / f"IMG_20240714_1200{i:02}.png", (200, 10 * i, 0))
    page = visit(serving(make_gallery(tmp_path / "flat")))
    assert page.locator("#welcome .tile").count() == 18
    page.locator("#welcome .tile").first.click()
    page.locator('.kit-card[data-id="IMG_20240714_120001.png"]').wait_for()
    name = page.locator(".kit-card .label").first
    assert name.inner_text() == "IMG_20240714_120001.png"
    # Its end, in which names of one day differ, is not cut.
    assert name.evaluate("(name) => name.scrollWidth <= name.clientWidth && name.scrollHeight <= name.clientHeight + 1")
    drop(page, text_as_jpg)
    page.get_by_role("alert").wait_for()
    assert re.search(r"[A-Z]\. The earlier results are still shown below\.$", page.get_by_role("alert").inner_text())
