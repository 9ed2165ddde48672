"""Names from a Mac (decomposed) and from Linux (composed) are one name, wherever a person types or stores it."""

from __future__ import annotations

import sqlite3
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from imgsearch_kit import Gallery
from imgsearch_kit.errors import BadQuery
from imgsearch_kit.index.elastic.bodies import document_id
from imgsearch_kit.index.elastic.client import Server
from imgsearch_kit.names import Names, normal
from imgsearch_kit.records import ImageRecord
from tests.index.conftest import ANYWHERE
from tests.small_extractor import QuarterColours, paint

LINUX, MAC = (lambda text: unicodedata.normalize("NFC", text)), (lambda text: unicodedata.normalize("NFD", text))
REDS = [(250, 10 * i, 10 * i * i % 90) for i in range(6)]


@pytest.fixture
def photos(tmp_path):
    """A folder Köln from a Mac and one from Linux, of three pictures each, and a class that is plain ASCII."""
    root = tmp_path / "photos"
    for i, red in enumerate(REDS):
        form = MAC if i < 3 else LINUX
        paint(root / form("Köln") / form(f"ü{i}.png"), red)
        paint(root / "sea" / f"{i}.png", (9, 10 * i, 250))
    return root


@pytest.fixture(params=ANYWHERE)
def address(request):
    with ANYWHERE[request.param](request) as address:
        yield address


def made(photos, address="memory:", **options):
    options |= {"method": "flat"} if address.startswith("http") else {}
    return Gallery.from_folder(photos, address, QuarterColours(), progress=False, **options)


def label_as_before(address):
    """Stores every label Köln as a Mac spells it, as the kit did before it compared names in one form."""
    if address.startswith("local:"):
        with sqlite3.connect(address[6:]) as db:
            db.execute("UPDATE records SET label = ? WHERE label = ? AND id < 'Kz'", (MAC("Köln"), LINUX("Köln")))
            db.execute("UPDATE passport SET generation = generation + 1")
        db.close()
    elif address.startswith("npz:"):
        with np.load(address[4:]) as archive:
            arrays = dict(archive)
        arrays["labels"] = np.array([MAC(label) if i % 2 else label for i, label in enumerate(arrays["labels"])])
        with Path(address[4:]).open("wb") as file:
            np.savez(file, **arrays)
    else:
        server = Server(address)
        for name in (MAC("Köln/ü0.png"), MAC("Köln/ü1.png")):
            path = f"/{server.name}/_update/{document_id(name)}"
            server.request("POST", path, {"doc": {"label": MAC("Köln")}}, refresh="true")
        server.close()


@pytest.mark.parametrize("typed", [LINUX, MAC], ids=["composed", "decomposed"])
def test_one_class_has_one_name(photos, address, typed, tmp_path):
    with made(photos, address) as gallery:
        assert gallery.labels() == {LINUX("Köln"): 6, "sea": 6}
        assert gallery.evaluate(progress=False).labels == [LINUX("Köln"), "sea"]
        found = gallery.search(id="sea/0.png", labels=[typed("Köln")], k=9)
        assert {hit.label for hit in found.hits} == {LINUX("Köln")}
        assert len(found.hits) == 6
        assert len(gallery.search(id="sea/0.png", labels=[typed("Köln")], k=9, rank="qe:2:1").hits) == 6
        assert len(gallery.search(photos / "sea/0.png", labels=[typed("Köln"), "sea"], k=20).hits) == 11
        assert gallery.evaluate(exclude_labels=[typed("Köln")], progress=False).labels == ["sea"]
        with pytest.raises(BadQuery, match="No indexed picture has the label 'Kölm'"):
            gallery.search(id="sea/0.png", labels=["Kölm"])


def test_labels_that_were_stored_before_are_one_class_too(photos, address):
    made(photos, address).close()
    label_as_before(address)
    with Gallery.open(address, QuarterColours()) as gallery:
        assert len(gallery.index.label_counts()) == (2 if address.startswith("npz:") else 3)  # npz is read as a whole
        assert gallery.labels() == {LINUX("Köln"): 6, "sea": 6}
        assert gallery.evaluate(progress=False).labels == [LINUX("Köln"), "sea"]
        for typed in (LINUX("Köln"), MAC("Köln")):
            assert len(gallery.search(id="sea/0.png", labels=[typed], k=9).hits) == 6
    again = made(photos, address)
    assert (again.report.added, again.report.relabelled) == (0, 0)
    again.close()


def test_ids_stay_as_on_disk_and_fit_whatever_the_form_that_is_typed(photos, address):
    with made(photos, address) as gallery:
        on_disk = {record.id for record in gallery.records()}
        assert on_disk == {path.relative_to(photos).as_posix() for path in photos.glob("*/*")}
        for typed in (LINUX, MAC, lambda text: f"{LINUX(text[:5])}{MAC(text[5:])}"):
            for i in (0, 5):
                stored = (MAC if i < 3 else LINUX)(f"Köln/ü{i}.png")
                name = typed(f"Köln/ü{i}.png")
                assert gallery.record(name).id == stored
                found = gallery.search(id=name, k=1)
                assert (found.query["id"], found.own) == (stored, (stored,))
                assert gallery.thumbnail(name).is_file()
                assert [record.id for record in gallery.records([name, "sea/0.png"])] == sorted([stored, "sea/0.png"])
                assert (gallery.vectors([name]) == gallery.vectors([stored])).all()
                assert len(gallery.vectors([name])) == 1
        with pytest.raises(BadQuery, match=r"has no picture with the id 'Köln/nö\.png'"):
            gallery.search(id="Köln/nö.png")


def test_an_id_that_fits_two_is_refused_with_both(tmp_path):
    two = [f"{MAC('Köln')}/{LINUX('ü.png')}", f"{LINUX('Köln')}/{MAC('ü.png')}"]
    for i, name in enumerate(two):
        paint(tmp_path / "photos" / name, REDS[i])
    with made(tmp_path / "photos") as gallery:
        for name in two:
            assert gallery.search(id=name).query["id"] == name
        for use in (
            gallery.record,
            gallery.thumbnail,
            lambda name: gallery.search(id=name),
            lambda n: gallery.label({n: ""}),
        ):
            with pytest.raises(BadQuery, match=r"Ko\\u0308ln/\\xfc\.png.*K\\xf6ln/u\\u0308\.png"):
                use(LINUX("Köln/ü.png"))


@pytest.mark.parametrize("typed", [LINUX, MAC], ids=["composed", "decomposed"])
def test_paths_of_a_table_fit_whatever_their_form(photos, tmp_path, typed):
    table = tmp_path / "labels.csv"
    rows = [f"Köln/ü{i}.png,Gemälde\n" for i in range(6)]
    table.write_text(typed("path,label\n" + "".join(rows)), encoding="utf-8")
    with made(photos) as gallery:
        report = gallery.label(table)
        assert (report.relabelled, report.failed) == (6, [])
        assert gallery.labels() == {LINUX("Gemälde"): 6, "sea": 6}
        assert gallery.label({typed("Köln/ü0.png"): MAC("Gemälde")}).unchanged == 1
    with made(photos, labels=table) as gallery:
        assert gallery.report.failed == []
        assert gallery.labels() == {LINUX("Gemälde"): 6, "sea": 6}
    split = tmp_path / "split.txt"
    split.write_text(typed("".join(f"x/Köln/ü{i}.png {i % 2}\n" for i in range(6))), encoding="utf-8")
    with made(photos) as gallery:
        assert len(gallery.evaluate(split=split, progress=False).queries) == 3


def test_two_spellings_of_one_path_must_agree(photos):
    with made(photos) as gallery:
        assert gallery.label({LINUX("Köln/ü0.png"): "a", MAC("Köln/ü0.png"): "a"}).relabelled == 1
        with pytest.raises(BadQuery, match=r"Ko\\u0308ln/u\\u03080\.png' has two labels, 'a' and 'b'"):
            gallery.label({LINUX("Köln/ü0.png"): "a", MAC("Köln/ü0.png"): "b"})


def test_the_longest_suffix_of_a_split_is_found_in_either_form(tmp_path):
    paint(tmp_path / "photos" / "1.png", "red")
    paint(tmp_path / "photos" / MAC("Köln") / "1.png", "blue")
    paint(tmp_path / "photos" / "ä" / "2.png", "green")
    split = tmp_path / "split.txt"
    split.write_text(LINUX("x/Köln/1.png 0\nä/2.png 1\n"), encoding="utf-8")
    with made(tmp_path / "photos") as gallery:
        gallery.label({record.id: "one" for record in gallery.records()})
        assert gallery.evaluate(split=split, progress=False).queries == [MAC("Köln/1.png")]


def test_a_query_of_another_system_is_not_its_own_answer(tmp_path):
    """Vectors made elsewhere have no sha256, so that the ids alone tell."""
    vectors = np.eye(4, 12, dtype=np.float32) + np.float32(0.1)
    for form, name in ((LINUX, "a"), (MAC, "b")):
        ids, labels = [form(f"ü/{i}.png") for i in range(4)], [form(f"ö{i // 2}") for i in range(4)]
        np.savez(tmp_path / f"{name}.npz", ids=np.array(ids), labels=np.array(labels), vectors=vectors)
    with Gallery.open(f"npz:{tmp_path / 'a.npz'}") as here, Gallery.open(f"npz:{tmp_path / 'b.npz'}") as there:
        alone, across = here.evaluate(progress=False), here.evaluate(queries=there, progress=False)
        assert (across.values == alone.values).all()
        assert across.against(alone)["queries"] == {"common": 4, "here": 0, "there": 0}
        assert across.against(alone.to_json(per_query=True))["queries"]["common"] == 4


def test_a_prefix_is_one_prefix_in_either_form(photos, tmp_path):
    paint(tmp_path / "more" / "x.png", "green")
    with made(photos) as gallery:
        assert gallery.add(tmp_path / "more", prefix=MAC("ö"), progress=False).added == 1
        assert gallery.add(tmp_path / "more", prefix=LINUX("ö"), progress=False).unchanged == 1
        assert set(gallery.passport.roots) == {"", LINUX("ö")}
        assert gallery.record(MAC("ö/x.png")).id == LINUX("ö/x.png")


def test_a_rebuild_keeps_labels_given_in_another_form(photos, tmp_path):
    address = f"local:{tmp_path / 'a.db'}"
    made(photos, address).close()
    with made(photos, address, labels={LINUX("Köln/ü0.png"): "given"}) as gallery:
        assert gallery.record(MAC("Köln/ü0.png")).label == "given"
    with made(photos, address, rebuild=True, labels={LINUX("Köln/ü0.png"): "other"}) as gallery:
        assert gallery.report.failed == []
        assert gallery.record(MAC("Köln/ü0.png")).label == "other"


def test_a_record_has_its_label_in_one_form():
    assert ImageRecord("x", MAC("Köln")).label == LINUX("Köln")
    assert ImageRecord(MAC("Köln")).id == MAC("Köln")


def test_names_that_are_no_unicode_text_are_left_as_they_are():
    assert normal("\udcff") == "\udcff"
    assert Names(["\udcff", "a"]).fitting("\udcff") == "\udcff"
    assert Names(["a"]).fitting("b") is None


@pytest.mark.parametrize("odd", [5, None])
def test_what_is_no_text_is_no_name_of_anything(photos, odd):
    with made(photos) as gallery:
        with pytest.raises(BadQuery, match=f"has no picture with the id {odd!r}"):
            gallery.record(odd)
        with pytest.raises(BadQuery, match=rf"labels must be a list of strings; it is \[{odd!r}\]"):
            gallery.search(id="sea/0.png", labels=[odd])
