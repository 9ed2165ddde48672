"""What the page says of its index: as it is now, at one request, and when pictures, server or index are gone."""

from __future__ import annotations

import shutil
import uuid

import httpx
import pytest

from imgsearch_kit import Gallery
from imgsearch_kit.app.guarding import told
from imgsearch_kit.app.standing import moved_away, standing
from imgsearch_kit.errors import BadQuery, KitError, ServerUnavailable
from imgsearch_kit.index import create_index, new_passport
from imgsearch_kit.indexing.folder import index_folder
from tests.app.conftest import make_gallery
from tests.faulty_proxy import Proxy
from tests.index.conftest import remove_from_server
from tests.small_extractor import QuarterColours, paint


@pytest.fixture
def growing(tmp_path):
    """A gallery of one red picture, and its folder."""
    folder = tmp_path / "pictures"
    paint(folder / "red/0.png", (200, 0, 0))
    return make_gallery(folder), folder


def test_it_follows_an_index_that_grows(growing):
    gallery, folder = growing
    first = standing(gallery)
    assert (first["pictures"], first["classes"]) == (1, [["red", "red", 1]])
    assert first["line"] == "1 picture in 1 class · quarters, 12-d vectors"
    assert standing(gallery, first["state"]) == {"state": first["state"]}
    paint(folder / "blue/0.png", (0, 0, 200))
    index_folder(folder, gallery.index, gallery.extractor, progress=False)
    then = standing(gallery, first["state"])
    assert (then["pictures"], then["classes"]) == (2, [["blue", "blue", 1], ["red", "red", 1]])
    assert then["line"] == "2 pictures in 2 classes · quarters, 12-d vectors"


def test_it_is_one_request_on_a_server(gallery, elasticsearch_9):
    with Proxy(elasticsearch_9) as proxy:
        address = f"{proxy.url}/test-{uuid.uuid4().hex[:12]}"
        with create_index(address, new_passport(gallery.passport.spec, method="flat")) as index:
            index.add(gallery.records(), gallery.vectors())
            index.flush()
        with Gallery.open(address, QuarterColours()) as served:
            known = standing(served)
            before = len(proxy.seen)
            assert standing(served, known["state"]) == {"state": known["state"]}
            assert known["pictures"] == len(gallery)
            assert len(proxy.seen) == before + 1
        remove_from_server(address)


def test_most_pictures_gone_is_said_with_what_mends_it(growing):
    gallery, folder = growing
    for i in range(1, 5):
        paint(folder / f"red/{i}.png", (200, 10 * i, 0))
    index_folder(folder, gallery.index, gallery.extractor, progress=False)
    records = gallery.records()
    assert moved_away(gallery, records) == ""
    (folder / "red/0.png").unlink()
    (folder / "red/1.png").unlink()
    assert moved_away(gallery, records) == ""
    (folder / "red/2.png").unlink()
    assert "imgsearch serve --root FOLDER" in moved_away(gallery, records)
    shutil.copytree(folder, folder.with_name("moved"))
    for i in range(3):
        paint(folder.with_name("moved") / f"red/{i}.png", (200, 10 * i, 0))
    assert moved_away(Gallery(gallery.index, gallery.extractor, root=folder.with_name("moved")), records) == ""
    assert moved_away(gallery, []) == ""


def picture(path):
    return {"image": (path.name, path.read_bytes())}


def test_an_index_that_is_deleted_on_a_server_and_made_again(gallery, serving, elasticsearch_9, upload):
    proxy = Proxy(elasticsearch_9)
    with proxy:
        address = f"{proxy.url}/test-{uuid.uuid4().hex[:12]}"
        with create_index(address, new_passport(gallery.passport.spec, method="flat")) as index:
            index.add(gallery.records(), gallery.vectors())
        url = serving(Gallery.open(address, QuarterColours()))
        query = picture(upload("mine.png", (200, 24, 0)))
        assert httpx.post(f"{url}/search", files=query).status_code == 200
        remove_from_server(address)
        gone = httpx.post(f"{url}/search", files=query, timeout=60)
        assert gone.status_code == 503
        assert gone.json()["detail"] == "The index is gone: it was deleted or moved while this page was served."
        with create_index(address, new_passport(gallery.passport.spec, method="flat")) as index:
            index.add(gallery.records(), gallery.vectors())
        assert httpx.post(f"{url}/search", files=query, timeout=60).status_code == 200
        remove_from_server(address)


def test_a_local_index_that_is_deleted(gallery, serving, tmp_path, upload):
    path = tmp_path / "photos.db"
    with create_index(f"local:{path}", new_passport(gallery.passport.spec)) as index:
        index.add(gallery.records(), gallery.vectors())
    url = serving(Gallery.open(f"local:{path}", QuarterColours()))
    query = picture(upload("mine.png", (200, 24, 0)))
    assert httpx.post(f"{url}/search", files=query).status_code == 200
    for file in tmp_path.glob("photos.db*"):
        file.unlink()
    for gone in (httpx.post(f"{url}/search", files=query), httpx.get(f"{url}/health")):
        assert gone.status_code == 503
        assert gone.json()["detail"] == "The index is gone: it was deleted or moved while this page was served."


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (BadQuery("Give a label."), (422, "Give a label.")),
        (
            BadQuery("local:/home/me/a.db is closed."),
            (503, "The index cannot answer now; the log of this server says why."),
        ),
        (
            ServerUnavailable("http://me@host:9200 refuses."),
            (503, "The server of the index does not answer now. Search again in a moment."),
        ),
        (KitError("/home/me"), (503, "The index cannot answer now; the log of this server says why.")),
    ],
)
def test_what_only_the_owner_can_mend_is_not_told_to_visitors(error, said):
    assert told(error, "local:/home/me/a.db") == said
