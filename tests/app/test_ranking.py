"""How a person chooses a ranking on the page, and what the page says that a score means, in a real Chromium."""

from __future__ import annotations

import re
import threading

import numpy as np
import pytest
from PIL import Image

from imgsearch_kit.app.choices import LABELLED
from imgsearch_kit.app.words import in_ten
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.inspection.over_index import calibration
from tests.app.conftest import make_gallery
from tests.app.test_page import BETWEEN_2_AND_3, choose, hits, remove, wait_for_first, wait_for_status
from tests.small_extractor import paint

KRECIP, TYPED = "krecip:20:6:0.3", "pca:2:0.5,qe:3:1"


def choose_ranking(page, name):
    page.get_by_label("Ranking", exact=True).select_option(
        label=page.get_by_role("option", name=re.compile(f"^{name}")).inner_text()
    )


def type_ranking(page, spec):
    choose_ranking(page, "Your own SPEC …")
    page.get_by_label("Your own SPEC").fill(spec)
    page.get_by_label("Your own SPEC").press("Enter")


@pytest.fixture(scope="module")
def half_and_half(tmp_path_factory):
    """Reds and blues, enough to learn from, each as far from the other as can be."""
    folder = tmp_path_factory.mktemp("halves")
    for i in range(LABELLED // 2):
        paint(folder / f"red/{i:02}.png", (250, 5 * i, 0))
        paint(folder / f"blue/{i:02}.png", (0, 5 * i, 250))
    gallery = make_gallery(folder)
    for rank in ("", KRECIP):  # what the page learns in the background, so that no test has to wait
        calibration(gallery.index, rank=rank)
    return gallery


@pytest.fixture(scope="module")
def light(tmp_path_factory):
    """Paints a picture with one of its four quarters bright in one of three colours, in one of twelve ways in all."""
    folder = tmp_path_factory.mktemp("lights")

    def painted(way, number):
        rng = np.random.default_rng(100 * way + number)
        values = rng.integers(5, 80, 12)
        values[way] = 250
        path = folder / f"light {way}/{number:02}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(values.astype(np.uint8).reshape(2, 2, 3)).resize((32, 32), Image.Resampling.NEAREST).save(path)
        return path

    return painted


@pytest.fixture(scope="module")
def lights(light):
    """Eleven of the twelve ways, twenty pictures each, with what there is to learn."""
    painted = [light(way, number) for way in range(11) for number in range(20)]
    gallery = make_gallery(painted[0].parent.parent)
    gallery.novelty(progress=False)
    return gallery


def test_another_ranking_ranks_the_shown_search_anew(visit, served, upload, gallery):
    page, picture = visit(served), upload("mine.png", BETWEEN_2_AND_3)
    choose(page, picture)
    wait_for_first(page, "red/02.png")
    choose_ranking(page, "Mutual neighbours")
    wait_for_status(page, f"exact, then {KRECIP}")
    assert hits(page) == [hit.id for hit in gallery.search(picture, rank=KRECIP).hits]
    page.locator("#rank", has_text="each other's neighbours").wait_for()
    type_ranking(page, TYPED)
    wait_for_status(page, f"exact, then {TYPED}")
    assert hits(page) == [hit.id for hit in gallery.search(picture, rank=TYPED).hits]
    choose_ranking(page, "Plain")
    wait_for_status(page, "exact(?!,)")
    assert hits(page) == [hit.id for hit in gallery.search(picture).hits]


def test_what_another_ranking_moved_is_marked(visit, served, upload, gallery):
    page, picture = visit(served), upload("mine.png", BETWEEN_2_AND_3)
    choose(page, picture)
    wait_for_first(page, "red/02.png")
    before = {hit.id: hit.rank for hit in gallery.search(picture).hits}
    type_ranking(page, "qe:20:1")
    wait_for_status(page, "qe:20:1")
    expected = []
    for hit in gallery.search(picture, rank="qe:20:1").hits:
        up = before.get(hit.id, 0) - hit.rank
        expected += [] if up == 0 else ["new"] if hit.id not in before else [f"{'↑' if up > 0 else '↓'}{abs(up)}"]
    assert expected
    assert page.locator("#hits .moved").all_inner_texts() == expected
    new = expected.count("new")
    assert page.locator("#status .change").inner_text() == f"{len(expected) - new} moved, {new} new"
    page.get_by_role("button", name="20", exact=True).click()
    wait_for_status(page, "^20 neighbours")
    assert page.locator("#hits .moved").count() == 0  # more hits are no other ranking


@pytest.mark.parametrize(("spec", "sentence"), [("pac:2", "no ranking step 'pac:2'"), ("pca:128:0.5", "Use fewer")])
def test_a_ranking_that_is_not_possible_is_a_sentence_and_loses_nothing(visit, served, upload, spec, sentence):
    page = visit(served)
    choose(page, upload("mine.png", BETWEEN_2_AND_3))
    wait_for_first(page, "red/02.png")
    before = hits(page)
    type_ranking(page, spec)
    alert = page.get_by_role("alert").filter(has_text=sentence)
    alert.wait_for()
    assert "earlier results are still shown" in alert.inner_text()
    assert hits(page) == before
    remove(page)
    choose(page, upload("other.png", (0, 200, 104)))  # dropped while the ranking is wrong: it waits for a right one
    alert.wait_for()
    choose_ranking(page, "Plain")
    wait_for_first(page, "green/10.png")


def test_the_page_starts_with_the_ranking_of_the_gallery(visit, serving, gallery, upload):
    page = visit(serving(Gallery(gallery.index, gallery.extractor, rank=KRECIP)))
    assert page.get_by_label("Ranking", exact=True).input_value() == KRECIP
    choose(page, upload("mine.png", BETWEEN_2_AND_3))
    wait_for_status(page, f"exact, then {KRECIP}")
    choose_ranking(page, "Plain")
    wait_for_status(page, "exact(?!,)")


def test_hits_say_how_often_such_hits_are_right_under_every_ranking(visit, serving, half_and_half, upload):
    page = visit(serving(half_and_half))
    picture = upload("mine.png", (250, 52, 14))
    choose(page, picture)
    for name, rank in ((None, ""), ("Mutual neighbours", KRECIP)):
        if name:
            choose_ranking(page, name)
            wait_for_status(page, "krecip")
        learned = calibration(half_and_half.index, rank=rank).calibration
        page.locator("#hits .chance").first.wait_for()
        found = half_and_half.search(picture, rank=rank).hits
        expected = [f"{in_ten(learned(hit.score)[0])} share the class" for hit in found]
        assert page.locator("#hits .chance").all_inner_texts() == expected
        assert page.locator(".unlike").count() == 0
    page.locator("#hits .kit-card").first.click()
    assert re.search(r"Of queries of an indexed class, .* such hits share it", page.get_by_role("dialog").inner_text())


def test_what_a_score_means_is_drawn_into_the_answer_once_it_is_learned(visit, serving, half_and_half, upload):
    learn = threading.Event()

    class Slow(Gallery):
        def calibration(self, **options):
            assert learn.wait(60)
            return super().calibration(**options)

    page = visit(serving(Slow(half_and_half.index, half_and_half.extractor)))
    choose(page, upload("mine.png", (250, 52, 4)))
    wait_for_status(page, "^10 neighbours")
    before = hits(page)
    page.locator("#hits [data-id]").nth(2).focus()
    assert page.locator("#hits .chance").count() == 0
    learn.set()
    page.locator("#hits .chance").nth(9).wait_for()
    assert hits(page) == before
    assert page.evaluate("document.activeElement.dataset.id") == before[2]  # nobody is interrupted
    assert page.locator("#status .status").inner_text() == "10 neighbours"


def test_a_picture_unlike_all_is_told_so_without_percentages(visit, serving, lights, light):
    page = visit(serving(lights))
    choose(page, light(11, 0))
    page.get_by_role("note").filter(has_text="Nothing here looks like this. The closest is 0.").wait_for()
    assert page.locator("#hits .chance").count() == 0
    page.get_by_role("checkbox", name="light 3").check()
    page.get_by_role("note").wait_for(state="detached")  # among some classes it would say nothing of the others


def test_too_few_labels_say_nothing(visit, served, upload):
    page = visit(served)
    for colour in (BETWEEN_2_AND_3, (0, 200, 104)):
        choose(page, upload(f"{colour[0]}.png", colour))
        page.locator("#hits .kit-card").first.wait_for()
        assert page.locator("#hits .chance, .unlike").count() == 0
        remove(page)
