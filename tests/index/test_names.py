"""Names that are not UTF-8, or hold what a terminal obeys, in folders, queries and filters of every kind of index."""

from __future__ import annotations

import json
import os
import uuid

import pytest

from imgsearch_kit import Gallery
from imgsearch_kit.errors import BadQuery
from imgsearch_kit.index import open_index
from imgsearch_kit.reports import json_text
from tests.index.conftest import remove_from_server
from tests.small_extractor import QuarterColours, paint

LATIN = "q\udce9"  # as Python reads the bytes q\xe9 of a file name
ODD = "esc\x1b[31m\nline\u202e"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder whose name is not UTF-8, with two classes, a file of such a name, and a file that is no picture."""
    root = tmp_path_factory.mktemp("names") / f"fold{LATIN}"
    for i in range(3):
        paint(root / ODD / f"{i}.png", (250, 10 * i, 20))
        paint(root / "plain" / f"{i}.png", (20, 10 * i, 250))
    paint(root / "plain" / f"{LATIN}.png", "red")
    (root / "plain" / "broken.png").write_bytes(b"no picture")
    return root


@pytest.fixture(scope="module", params=["local", "npz", "server"])
def gallery(request, folder):
    """The folder's gallery, opened anew."""
    address = f"{request.param}:{folder.parent}/{LATIN}.{request.param}"
    if request.param == "server":
        address = f"{request.getfixturevalue('elasticsearch_9')}/test-{uuid.uuid4().hex[:12]}"
    method = {"method": "flat"} if request.param == "server" else {}
    Gallery.from_folder(folder, address, QuarterColours(), **method).close()
    with Gallery.open(address, QuarterColours()) as opened:
        yield opened
    if request.param == "server":
        remove_from_server(address)


def test_the_folder_and_its_failures_are_kept_exactly(gallery, folder):
    assert gallery.passport.root == str(folder)
    assert [record.label for record in gallery.records()] == [ODD] * 3 + ["plain"] * 3
    assert [failure.path for failure in gallery.index.failures()] == ["plain/broken.png", "plain/q\\udce9.png"]
    assert gallery.thumbnail("plain/0.png").is_file()


def test_a_second_run_has_nothing_to_do(gallery, folder):
    report = Gallery.from_folder(folder, gallery._address, QuarterColours()).report
    assert (report.added, report.updated, report.unchanged, len(report.failed)) == (0, 0, 6, 2)


def test_a_query_of_any_name_is_answered(gallery, folder):
    results = gallery.search(folder / "plain" / f"{LATIN}.png", k=2)
    assert [hit.label for hit in results.hits] == [ODD] * 2
    assert os.fsencode(json.loads(json_text(results.to_json()))["query"]["file"]).endswith(b"q\xe9.png")
    assert "neighbours of q\\udce9.png" in str(results)


def test_ids_and_labels_that_cannot_be_stored_are_those_of_no_picture(gallery):
    with pytest.raises(BadQuery, match=r"no picture with the id 'q\\udce9'"):
        gallery.search(id=LATIN)
    with pytest.raises(BadQuery, match=r"q\\udce9"):
        gallery.search(id="plain/0.png", labels=[LATIN])
    assert gallery.records([LATIN]) == []
    assert gallery.vectors([LATIN]).shape == (0, 12)
    assert gallery.index.delete([LATIN]) == 0
    vector = gallery.vectors(["plain/0.png"])
    assert gallery.index.search(vector, 2, labels=[LATIN]).ids.tolist() == [["", ""]]
    assert gallery.index.search(vector, 2, exclude=[[LATIN]]).ids.tolist()[0][0] == "plain/0.png"


def test_what_is_published_of_it_is_whole(gallery, tmp_path):
    evaluation = gallery.evaluate(progress=False)
    assert evaluation.about["passport"]["data"] == [f"fold{LATIN}"]
    evaluation._repr_html_().encode()
    gallery._repr_html_().encode()
    str(gallery.passport).encode()
    assert gallery.map(tmp_path / "x.html", title=LATIN, progress=False).failed == []
    gallery.copy_to(f"local:{tmp_path}/{LATIN}.db", progress=False).close()
    with open_index(f"local:{tmp_path}/{LATIN}.db") as copy:
        assert copy.passport.root == gallery.passport.root
        assert [each.path for each in copy.failures()] == [each.path for each in gallery.index.failures()]
