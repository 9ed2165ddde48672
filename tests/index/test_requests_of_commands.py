"""What whole commands and whole pages of hits ask a server: counted by a proxy in between."""

from __future__ import annotations

import sys
import uuid

import pytest

from imgsearch_kit import Gallery, cli
from imgsearch_kit.app import cards
from imgsearch_kit.index import create_index, new_passport
from imgsearch_kit.records import ImageRecord
from tests.faulty_proxy import Proxy
from tests.index.conftest import remove_from_server
from tests.small_extractor import QuarterColours, paint


@pytest.fixture
def proxy(elasticsearch):
    with Proxy(elasticsearch) as between:
        yield between


@pytest.fixture
def address(proxy, elasticsearch):
    name = f"test-{uuid.uuid4().hex[:12]}"
    yield f"{proxy.url}/{name}"
    remove_from_server(f"{elasticsearch}/{name}")


@pytest.fixture
def photos(tmp_path):
    for i in range(60):
        paint(tmp_path / f"photos/{'warm' if i % 2 else 'cold'}/{i:02}.png", (250 - 4 * i, 4 * i, 90))
    return tmp_path / "photos"


@pytest.fixture
def filled(photos, address):
    Gallery.from_folder(photos, address, QuarterColours(), method="hnsw", progress=False).close()
    return address


def asked(proxy, use):
    """The requests that go out while something is done."""
    del proxy.seen[:]
    use()
    return [f"{request.method} {request.path.partition('?')[0]}" for request in proxy.seen]


@pytest.mark.parametrize("words", [[], ["--approx"], ["--label", "warm"]], ids=" ".join)
def test_the_command_search_by_id_takes_at_most_five_requests_and_one_more_with_a_label(
    filled, proxy, words, monkeypatch, capsys
):
    def search():
        monkeypatch.setattr(sys, "argv", ["imgsearch", "search", "--id", "cold/00.png", "--index", filled, *words])
        with pytest.raises(SystemExit, match="0"):
            cli.main()

    requests = asked(proxy, search)
    assert len(requests) <= (6 if "--label" in words else 5), requests
    assert "warm/" in capsys.readouterr().out


def test_fifty_hits_are_drawn_without_a_request(filled, proxy):
    with Gallery.open(filled) as gallery:
        results = gallery.search(id="cold/00.png", k=50)
        assert len(results.hits) == 50
        drawn = []
        assert (
            asked(proxy, lambda: drawn.append(cards.data_uris(results.picture, [hit.id for hit in results.hits]))) == []
        )
        assert all(drawn[0].values())  # a real thumbnail each
        assert asked(proxy, results._repr_html_) == []


def first_look(monkeypatch, photos, address, proxy):
    """How many requests go out before the first file is read."""
    from imgsearch_kit.indexing import folder

    seen = []
    real = folder.load_many
    monkeypatch.setattr(folder, "load_many", lambda *a, **b: seen.append(len(proxy.seen)) or real(*a, **b))
    del proxy.seen[:]
    Gallery.from_folder(photos, address, QuarterColours(), method="hnsw", progress=False).close()
    return seen[0]


def test_the_start_of_indexing_asks_as_much_however_much_is_indexed(photos, address, proxy, monkeypatch):
    few = first_look(monkeypatch, photos, address, proxy)  # makes the index, with 60 pictures
    again = first_look(monkeypatch, photos, address, proxy)
    extractor = QuarterColours()
    with Gallery.open(address) as gallery:
        records = [ImageRecord(f"more/{i:04}.png", "more") for i in range(900)]
        gallery.index.add(records, gallery.vectors(["cold/00.png"]).repeat(900, axis=0))
        gallery.index.flush()
    many = first_look(monkeypatch, photos, address, proxy)
    assert extractor.calls == []
    # two of them read the passport after the records, so that each of those is known to belong to its folder
    assert again == many <= 14, (few, again, many)


def test_a_passport_costs_a_file_no_transaction(tmp_path):
    """At each of some fifty uses; it was read anew each time."""
    with create_index(f"local:{tmp_path / 'a.db'}", new_passport(QuarterColours().spec)) as index:
        statements = []
        index._db.set_trace_callback(statements.append)
        assert {index.passport.count for _ in range(50)} == {0}
        assert statements == []


def test_a_steered_search_takes_three_requests_and_answers_as_in_a_file(filled, proxy, photos, tmp_path):
    wish = {"plus": ["cold/30.png", "warm/31.png"], "minus": ["warm/59.png"], "labels": ["cold"], "k": 7}
    with (
        Gallery.open(filled, QuarterColours()) as server,
        Gallery.from_folder(photos, f"local:{tmp_path / 'x.db'}", QuarterColours(), progress=False) as file,
    ):
        for query in ({"id": "cold/20.png"}, {"id": ["cold/20.png", "warm/25.png"]}):
            expected = file.search(**query, **wish)
            found = server.search(**query, **wish)
            assert [hit.id for hit in found.hits] == [hit.id for hit in expected.hits]
            assert found.own == expected.own
            assert [h.score for h in found.hits] == pytest.approx([h.score for h in expected.hits], abs=1e-5)
        requests = asked(proxy, lambda: server.search(id="cold/20.png", **wish))
        assert len(requests) <= 3, requests  # the vectors, the query's own records, the answer
        apart = asked(proxy, lambda: server.search(id="cold/20.png", **wish, distinct=1))
        assert len(apart) == len(requests) + 1  # the vectors of the hits
        box = {"id": "cold/20.png", "box": (0, 0, 0.5, 1), "distinct": 0.999}
        assert [h.id for h in server.search(**box).hits] == [h.id for h in file.search(**box).hits]
        assert server.search(id="cold/20.png", plus=["cold/30.png"], approx=True).method.startswith("hnsw")
