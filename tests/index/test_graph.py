"""Approximate search of a file: its graph follows every change, a damaged one is built again, the rest is exact."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from imgsearch_kit.approximation.over_index import measure_recall
from imgsearch_kit.cli import app
from imgsearch_kit.errors import BadQuery
from imgsearch_kit.files import artefact_folder
from imgsearch_kit.index import create_index, new_passport, open_index
from imgsearch_kit.index.building import building
from imgsearch_kit.records import Approx, ImageRecord
from imgsearch_kit.vectors import unit

DIM, N = 16, 600
VECTORS = unit(np.random.default_rng(0).standard_normal((2 * N, DIM)).astype(np.float32))
ALL = Approx(N)  # so many candidates that no neighbour is lost


def named(first, last):
    return [ImageRecord(f"{i:04}.jpg", "odd" if i % 2 else "even") for i in range(first, last)]


@pytest.fixture
def address(tmp_path):
    address = f"local:{tmp_path / 'pictures.db'}"
    with create_index(address, new_passport(None, dim=DIM, method="hnsw:m=32")) as index:
        index.add(named(0, N), VECTORS[:N])
        index.prepare()
    return address


def graph_files(address):
    with open_index(address) as index:
        folder = artefact_folder(index.passport)
    note = folder / "graph.json"
    return note, folder / json.loads(note.read_text())["file"]


def check_same(index, queries=VECTORS[N : N + 20], k=7, **options):
    found, exact = index.search(queries, k, approx=ALL, **options), index.search(queries, k, **options)
    assert found.ids.tolist() == exact.ids.tolist()
    assert np.array_equal(found.scores, exact.scores)
    assert found.records == exact.records
    return found


def test_the_graph_is_kept_and_used(address):
    note, file = graph_files(address)
    before = note.stat().st_mtime_ns, file.stat().st_mtime_ns
    with open_index(address) as index:
        assert check_same(index).method == "hnsw:m=32,ef_construction=100,candidates=600"
        check_same(index, VECTORS[:1])
        check_same(index, VECTORS[:2], exclude=[["0000.jpg"], ["nowhere", "0005.jpg"]])
    assert (note.stat().st_mtime_ns, file.stat().st_mtime_ns) == before


CHANGES = {
    "added": lambda index: index.add(named(N, N + 9), VECTORS[N : N + 9]),
    "replaced": lambda index: index.add(named(3, 9), VECTORS[N : N + 6]),
    "deleted": lambda index: index.delete([record.id for record in named(0, 9)]),
    "the last keys used again": lambda index: (
        index.delete([record.id for record in named(N - 5, N)]),
        index.add(named(N, N + 5), VECTORS[N : N + 5]),
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_changed_since_is_found_as_by_the_exact_search(address, change):
    file = graph_files(address)[1]
    with open_index(address) as reader:
        check_same(reader)
        with open_index(address) as writer:
            change(writer)
        assert check_same(reader).method.startswith("hnsw")
        assert check_same(reader, VECTORS[:20]).method.startswith("hnsw")
    assert graph_files(address)[1] == file


def test_it_is_built_again_when_a_tenth_has_changed(address):
    file = graph_files(address)[1]
    with open_index(address) as index:
        index.add(named(N, N + 61), VECTORS[N : N + 61])
        assert check_same(index).method.startswith("hnsw")
    assert graph_files(address)[1] != file
    assert not file.exists()


def overwrite(file, place, content=b"\xff" * 4096):
    with file.open("r+b") as opened:
        opened.seek(int(file.stat().st_size * place))
        opened.write(content)


DAMAGES = {
    "truncated": lambda note, file: file.write_bytes(file.read_bytes()[:-1000]),
    "empty": lambda note, file: file.write_bytes(b""),
    "vectors overwritten": lambda note, file: overwrite(file, 0.3),
    "links overwritten": lambda note, file: overwrite(file, 0.8),
    "foreign": lambda note, file: file.write_bytes(np.random.default_rng(1).bytes(file.stat().st_size)),
    "gone": lambda note, file: file.unlink(),
    "no JSON": lambda note, file: note.write_text("{"),
    "of another history": lambda note, file: note.write_text(
        json.dumps(json.loads(note.read_text()) | {"commit": [1, 1]})
    ),
    "another file named": lambda note, file: note.write_text(
        json.dumps(json.loads(note.read_text()) | {"file": "../../x"})
    ),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_graph_is_built_again(address, damage):
    damage(*graph_files(address))
    with open_index(address) as index:
        assert check_same(index).method.startswith("hnsw")
    with open_index(address) as index:  # what was built again is kept
        assert index._graph._cover(index._db).graph.count == N


def test_a_copy_of_the_file_that_went_its_own_way_has_no_use_for_the_graph(address, tmp_path):
    other = tmp_path / "other.db"
    other.write_bytes((tmp_path / "pictures.db").read_bytes())
    for path, first in ((tmp_path / "pictures.db", 0), (other, 50)):
        with open_index(f"local:{path}") as index:
            index.add(named(0, N), VECTORS[first : first + N])
            assert check_same(index).method.startswith("hnsw")
    with open_index(address) as index:
        check_same(index)


def test_copies_of_the_file_from_which_others_were_deleted_do_not_share_the_graph(address, tmp_path):
    other = tmp_path / "other.db"
    other.write_bytes((tmp_path / "pictures.db").read_bytes())
    for path, first, last in ((tmp_path / "pictures.db", 0, 70), (other, 100, 180)):
        with open_index(f"local:{path}") as index:
            index.delete([record.id for record in named(first, last)])
            assert check_same(index, VECTORS[:70], 1).method.startswith("hnsw")


def test_the_graph_of_what_was_rebuilt_is_deleted(address):
    note, file = graph_files(address)
    with open_index(address) as index:
        generation = index.read_passport().generation
    with building(address, new_passport(None, dim=DIM, method="hnsw"), unchanged=generation) as new:
        new.add(named(0, 50), VECTORS[:50])
    assert not note.exists()
    assert not file.exists()
    with open_index(address) as index:
        assert check_same(index).method.startswith("hnsw:m=16")


def test_where_the_graph_cannot_be_kept_it_lasts_as_long_as_the_index(address, own_cache, tmp_path, monkeypatch):
    nowhere = tmp_path / "a file"
    nowhere.write_bytes(b"")
    monkeypatch.setenv("IMGSEARCH_CACHE", str(nowhere))
    with open_index(address) as index:
        assert check_same(index).method.startswith("hnsw")
        assert check_same(index).method.startswith("hnsw")


@pytest.mark.parametrize("missing", [1, 90_000])  # the library says nothing of the first
def test_a_graph_for_which_the_disk_has_no_room_is_used_and_not_kept(address, file_limit, caplog, missing):
    note, file = graph_files(address)
    size = file.stat().st_size
    note.unlink()
    with open_index(address) as index:
        len(index)
        file_limit(size - missing)
        assert check_same(index).method.startswith("hnsw")
        assert check_same(index).method.startswith("hnsw")
    assert not note.exists()
    (said,) = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert "of the graph could" in said
    assert "Set IMGSEARCH_CACHE to a writable folder" in said


@pytest.mark.parametrize("options", [{"labels": ["odd"]}, {"labels": ["odd", "none"], "exclude": [["0001.jpg"]] * 20}])
def test_a_class_filter_is_exact(address, options):
    with open_index(address) as index:
        found = index.search(VECTORS[N : N + 20], 7, approx=ALL, **options)
        assert (found.method, found.note[:19]) == ("exact", "With a class filter")
        index.search(VECTORS[:1], 1)  # from now on all vectors are in memory
        again = index.search(VECTORS[N : N + 20], 7, **options)
    assert found.ids.tolist() == again.ids.tolist()
    assert {record.label for record in found.records.values()} == {"odd"}


def test_more_hits_than_candidates_can_give_are_exact(address):
    with open_index(address) as index:
        found = index.search(VECTORS[:1], N + 5, approx=Approx())
        assert (found.method, found.note[:27]) == ("exact", "The graph gave too few cand")
        assert (found.ids != "").sum() == N


def test_a_file_that_notes_no_commits_is_searched_and_upgraded(address, tmp_path):
    db = sqlite3.connect(tmp_path / "pictures.db")
    db.executescript("DROP TRIGGER noted; DROP TRIGGER noted_deletion; DROP TABLE commits; DROP INDEX labels")
    db.close()
    with open_index(address) as index:
        assert check_same(index).method.startswith("hnsw")
        check_same(index, labels=["odd"])
        index.add(named(N, N + 3), VECTORS[N : N + 3])
        assert check_same(index).method.startswith("hnsw")


def test_a_large_exact_index_has_one_too_when_it_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr("imgsearch_kit.index.local.FROM", N)
    address = f"local:{tmp_path / 'pictures.db'}"
    with create_index(address, new_passport(None, dim=DIM)) as index:
        index.add(named(0, N - 1), VECTORS[: N - 1])
        index.prepare()
        assert index.search(VECTORS[:1], 3, approx=ALL).method == "exact"
        with pytest.raises(BadQuery, match=r"has the method 'exact', which loses nothing"):
            measure_recall(index, queries=5, progress=False)
        index.add(named(N - 1, N), VECTORS[N - 1 : N])
        index.prepare()
        assert not artefact_folder(index.passport).exists()  # none is built that nobody has asked for
        assert check_same(index).method.startswith("hnsw")
        assert index.search(VECTORS[:1], 3).method == "exact"
        assert [row.setting for row in measure_recall(index, queries=5, progress=False).rows][:2] == [None, Approx(20)]
    assert graph_files(address)[1].is_file()


ASKING = """if True:
    import sys, time
    import numpy as np
    from imgsearch_kit.index import open_index
    from imgsearch_kit.records import Approx
    with open_index(sys.argv[1]) as index:
        query = index.vectors(["0003.jpg"])
        print("ready", flush=True)
        sys.stdin.readline()
        found = index.search(query, 5, approx=Approx(200))
    print(found.method.partition(":")[0], "building" if "being built" in found.note else "-", *found.ids[0])
"""


def test_processes_that_ask_at_once_build_one_graph(tmp_path):
    count = 20_000
    vectors = unit(np.random.default_rng(1).standard_normal((count, DIM)).astype(np.float32))
    address = f"local:{tmp_path / 'pictures.db'}"
    with create_index(address, new_passport(None, dim=DIM, method="hnsw")) as index:
        index.add(named(0, count), vectors)
        expected = index.search(vectors[3:4], 5).ids[0].tolist()
        folder = artefact_folder(index.passport)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    asking = [subprocess.Popen([sys.executable, "-c", ASKING, address], **pipes) for _ in range(4)]
    for each in asking:
        assert each.stdout.readline() == "ready\n"
    for each in asking:
        each.stdin.write("go\n")
        each.stdin.flush()
    answers = [each.communicate(timeout=100)[0].split() for each in asking]
    assert [answer[2:] for answer in answers] == [expected] * 4
    assert {tuple(answer[:2]) for answer in answers} == {("hnsw", "-"), ("exact", "building")}
    assert len(list(folder.glob("graph.*.usearch"))) == 1


def test_commands_build_measure_and_tune_it(address, tmp_path):
    def run(*words):
        result = CliRunner().invoke(app, [*words, "--json"])
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    plain, made = f"local:{tmp_path / 'plain.db'}", f"local:{tmp_path / 'made.db'}"
    run("copy", address, plain)
    with open_index(plain) as index:
        assert index.passport.method == "exact"
        assert index.search(VECTORS[:1], 3, approx=Approx()).note.startswith("This index has no approximate method")
    run("copy", plain, made, "--method", "hnsw")
    assert graph_files(made)[1].is_file()
    exact, *rows = run("recall", "--index", made, "--queries", "20")["rows"]
    assert exact["method"] == "exact"
    assert [row["candidates"] for row in rows] == [20, 50, 100, 200, 500]
    assert rows[-1]["recall"]["value"] > 0.99
    (proposal,) = run("tune", "--index", made, "--recall", "0.9")["proposals"]
    assert proposal["measured"]["recall"]["value"] >= 0.9
    assert proposal["candidates"] < 500
