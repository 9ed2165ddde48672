"""An index made anew by another extractor while it serves: whole in the end, or as it was before."""

from __future__ import annotations

import os
import signal
import uuid

import numpy as np
import pytest

from imgsearch_kit.errors import BadQuery, IndexingInterrupted, IndexMismatch, IndexNotFound, IndexUnwritable
from imgsearch_kit.index import create_index, new_passport, open_index
from imgsearch_kit.index.graph import Graph
from imgsearch_kit.index.local import LocalIndex
from imgsearch_kit.indexing import extractor as extracting
from imgsearch_kit.indexing import open as opening
from imgsearch_kit.indexing.folder import index_folder
from imgsearch_kit.indexing.labels import relabel
from imgsearch_kit.indexing.rebuild import rebuild_index_of
from imgsearch_kit.records import Approx, ImageRecord
from tests.index.conftest import remove_from_server
from tests.index.writing import start
from tests.small_extractor import QuarterColours, UpperColours, paint

KINDS = ["local", "npz", "elasticsearch_9", "elasticsearch_8"]
METHODS = {
    "elasticsearch_9": ("flat", "hnsw"),
    "elasticsearch_8": ("int8_hnsw", "flat"),
    "elastiknn": ("exact", "l2-lsh"),
}
COUNT = 100


@pytest.fixture
def folder(tmp_path):
    for i in range(COUNT):
        paint(tmp_path / "pictures" / f"class {i % 3}" / f"{i:03}.png", (i * 37 % 251 + 1, i * 91 % 241 + 1, i + 1))
    return tmp_path / "pictures"


@pytest.fixture(params=[*KINDS, pytest.param("elastiknn", marks=pytest.mark.plugin)])
def place(request, tmp_path, folder):
    """The address of an index of the folder, and the method to make it anew with."""
    old, new = METHODS.get(request.param, ("exact", "exact"))
    if request.param in ("local", "npz"):
        address = f"{request.param}:{tmp_path / 'index'}"
    else:
        address = f"{request.getfixturevalue(request.param)}/test-{uuid.uuid4().hex[:12]}"
    with create_index(address, new_passport(QuarterColours().spec, method=old)) as index:
        index_folder(folder, index, QuarterColours(), progress=False)
    yield address, new
    if address.startswith("http"):
        remove_from_server(address)


def check_old(address, tmp_path):
    """The old index serves, can be written, and nothing lies beside it."""
    with open_index(address) as index:
        assert (index.passport.spec, len(index)) == (QuarterColours().spec, COUNT)
        vectors = index.vectors()
        assert index.search(vectors[:3], 1).scores == pytest.approx(1, abs=1e-6)
    if not address.startswith("http"):
        beside = {path.name.partition(".lock")[0] for path in tmp_path.iterdir()}
        assert beside <= {"pictures", "index", "index-wal", "index-shm"}


def check_new(address, folder):
    extractor = UpperColours()
    with create_index("memory:", new_passport(extractor.spec)) as expected, open_index(address) as index:
        index_folder(folder, expected, extractor, progress=False)
        assert index.records() == expected.records()
        assert np.array_equal(index.vectors(), expected.vectors())
        assert index.passport.spec == extractor.spec
        assert index.passport.roots == {"": str(folder.resolve())}
        assert index.passport.probes.shape == (2, 6)


def test_the_old_index_answers_until_the_new_one_is_whole(place, folder):
    address, method = place
    answers = []

    class Watched(UpperColours):
        def extract(self, pixels):
            with open_index(address) as seen:
                answers.append((seen.passport.spec.name, len(seen), len(reader)))
            return super().extract(pixels)

    with open_index(address) as reader, open_index(address) as other:
        before = reader.passport
        query = reader.vectors(["class 0/000.png"])
        report = rebuild_index_of(folder, address, Watched(), method=method, progress=False)
        assert (report.added, report.failed) == (COUNT, [])
        assert set(answers) == {("quarters", COUNT, COUNT)}
        assert len(answers) > 3
        if not address.startswith("npz"):  # of an archive, what is open is a copy in memory
            for call in (
                lambda: reader.search(query, 1),
                lambda: other.add([ImageRecord("late.png")], query),
                lambda: len(reader),
            ):
                with pytest.raises(
                    IndexMismatch, match="has been rebuilt with another extractor or ranking since it was opened"
                ):
                    call()
    check_new(address, folder)
    with open_index(address) as index:
        assert index.passport.method.startswith(method)
        assert index.passport.uuid != before.uuid


REBUILD = """
from imgsearch_kit.indexing.rebuild import rebuild_index_of
from tests.small_extractor import UpperColours
class Slow(UpperColours):
    def extract(self, pixels):
        print("batch", flush=True)
        return super().extract(pixels)
rebuild_index_of(Path(sys.argv[2]), address, Slow(), method=sys.argv[3], progress=False)
"""


def test_killed_in_the_middle_the_old_index_serves_and_a_second_run_completes(place, folder, tmp_path):
    address, method = place
    process = start(REBUILD, address, folder, method)
    for _ in range(10):  # the probes, and four calls a batch: the third begins when the first has been written
        assert process.stdout.readline() == "batch\n", process.communicate()
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    with open_index(address) as index:
        assert (index.passport.spec, len(index)) == (QuarterColours().spec, COUNT)
        assert index.search(index.vectors(["class 0/000.png"]), 1).ids.tolist() == [["class 0/000.png"]]
        assert relabel(index, {"class 0/000.png": "mine"}).relabelled == 1  # nobody holds it
    assert rebuild_index_of(folder, address, UpperColours(), method=method, progress=False).added == COUNT
    with open_index(address) as index:
        assert index.records(["class 0/000.png"])[0].label == "mine"
        relabel(index, {"class 0/000.png": "class 0"})
    check_new(address, folder)
    if not address.startswith("http"):
        assert not [*tmp_path.glob("*rebuild*"), *tmp_path.glob("*part*")]


FAILING = {"Ctrl-C": (KeyboardInterrupt, IndexingInterrupted), "a fault": (ZeroDivisionError, ZeroDivisionError)}


@pytest.mark.parametrize("kind", FAILING)
def test_a_rebuild_that_breaks_off_leaves_no_trace(place, folder, tmp_path, kind):
    raised, seen = FAILING[kind]

    class Failing(UpperColours):
        def extract(self, pixels):
            if len(self.calls) > 2:
                raise raised("stop")
            return super().extract(pixels)

    with pytest.raises(seen, match=r"stop|interrupted"):
        rebuild_index_of(folder, place[0], Failing(), progress=False)
    check_old(place[0], tmp_path)


def test_a_change_that_another_makes_meanwhile_is_not_lost(place, folder, tmp_path):
    address = place[0]

    class Meanwhile(UpperColours):
        def extract(self, pixels):
            if len(self.calls) == 2:
                with open_index(address) as index:
                    relabel(index, {"class 0/000.png": "mine"})
            return super().extract(pixels)

    # To a file only one may write at a time, so the other is refused; on a server the rebuild starts again.
    kind, words = (
        (IndexMismatch, "changed while its replacement was being built") if "http" in address else (IndexUnwritable, "")
    )
    with pytest.raises(kind, match=words or "Another process is writing"):
        rebuild_index_of(folder, address, Meanwhile(), progress=False)
    check_old(address, tmp_path)


@pytest.fixture
def local(tmp_path, folder):
    address = f"local:{tmp_path / 'index'}"
    with create_index(address, new_passport(QuarterColours().spec)) as index:
        index_folder(folder, index, QuarterColours(), progress=False)
    return address


def labels_of(address):
    with open_index(address) as index:
        return {record.id: record.label for record in index.records()}


def test_all_folders_are_made_anew_with_the_labels_that_a_person_gave(local, folder, tmp_path):
    paint(tmp_path / "other" / "sea" / "a.png", "blue")
    paint(tmp_path / "other" / "b.png", "red")
    with open_index(local) as index:
        index_folder(tmp_path / "other", index, QuarterColours(), prefix="more", progress=False)
        relabel(index, {"class 0/000.png": "mine", "more/sea/a.png": None, "more/b.png": "warm"})
        roots = index.passport.roots
    labels = labels_of(local)
    report = rebuild_index_of(folder, local, UpperColours(), labels={"class 1/001.png": "new"}, progress=False)
    assert report.counts() == {"added": COUNT + 2}
    assert labels_of(local) == labels | {"class 1/001.png": "new"}
    with open_index(local) as index:
        assert index.passport.roots == roots


def test_a_missing_folder_of_another_prefix_leaves_the_old_index(local, folder, tmp_path):
    paint(tmp_path / "other" / "a.png", "blue")
    with open_index(local) as index:
        index_folder(tmp_path / "other", index, QuarterColours(), prefix="more", progress=False)
    (tmp_path / "other").rename(tmp_path / "away")
    with pytest.raises(BadQuery, match="other"):
        rebuild_index_of(folder, local, UpperColours(), progress=False)
    (tmp_path / "other").mkdir()
    with pytest.raises(
        IndexMismatch, match=r"1 pictures of the index .* are no longer in their folder.* 'more/a\.png'"
    ):
        rebuild_index_of(folder, local, UpperColours(), progress=False)
    assert len(labels_of(local)) == COUNT + 1


def test_pictures_that_are_gone_are_left_out_only_when_told(local, folder):
    (folder / "class 0" / "000.png").unlink()
    with pytest.raises(IndexMismatch, match=r"1 pictures .* no longer in .* 'class 0/000\.png'\. .* use --prune"):
        rebuild_index_of(folder, local, UpperColours(), progress=False)
    report = rebuild_index_of(folder, local, UpperColours(), prune=True, progress=False)
    assert report.counts() == {"added": COUNT - 1, "removed": 1}
    assert len(labels_of(local)) == COUNT - 1


def test_a_file_that_became_unreadable_is_listed(local, folder):
    (folder / "class 0" / "000.png").write_bytes(b"no picture")
    report = rebuild_index_of(folder, local, UpperColours(), progress=False)
    assert (report.added, [failure.path for failure in report.failed]) == (COUNT - 1, ["class 0/000.png"])
    with open_index(local) as index:
        assert index.failures() == report.failed


def test_when_no_picture_can_be_indexed_the_old_index_serves_on(local, folder, monkeypatch, tmp_path):
    for path in folder.rglob("*.png"):
        path.write_bytes(b"no picture")
    with pytest.raises(BadQuery, match=r"None of the pictures could be indexed\. The first failed because: "):
        rebuild_index_of(folder, local, UpperColours(), progress=False)
    check_old(local, tmp_path)


def test_a_new_index_that_lacks_records_does_not_take_the_place(local, folder, tmp_path, monkeypatch):
    add = LocalIndex.add

    def forgetful(index, records, vectors, **options):
        return add(index, records[1:], vectors[1:], **options)

    with monkeypatch.context() as patch:
        patch.setattr(LocalIndex, "add", forgetful)
        with pytest.raises(IndexMismatch, match=r"has 96 records instead of 100, so the old one stays in use"):
            rebuild_index_of(folder, local, UpperColours(), progress=False)
    check_old(local, tmp_path)


def test_another_folder_is_refused_unless_the_pictures_have_moved(local, folder, tmp_path):
    folder.rename(tmp_path / "moved")
    with pytest.raises(IndexMismatch, match=r"holds the pictures of .*pictures, not of .*moved\. Add a second"):
        rebuild_index_of(tmp_path / "moved", local, UpperColours(), progress=False)
    rebuild_index_of(tmp_path / "moved", local, UpperColours(), moved_root=True, progress=False)
    check_new(local, tmp_path / "moved")


def test_there_is_nothing_to_rebuild_where_no_index_is(tmp_path, folder):
    with pytest.raises(IndexNotFound, match="There is no index at"):
        rebuild_index_of(folder, f"local:{tmp_path / 'none'}", UpperColours(), progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["pictures"]


def test_a_method_that_a_file_does_not_know_is_refused(local, folder, tmp_path):
    with pytest.raises(BadQuery, match=r"has the method exact or hnsw, .* not 'flat'"):
        rebuild_index_of(folder, local, UpperColours(), method="flat", progress=False)
    check_old(local, tmp_path)


def test_the_extractor_is_the_one_named_or_that_of_the_passport(local, monkeypatch):
    monkeypatch.setattr(extracting, "load_extractor", lambda name, weights, engine, say: name)
    assert opening.extractor_to_rebuild(local) == "quarters"
    assert opening.extractor_to_rebuild(local, "vgg16-mac") == "vgg16-mac"


def test_the_graph_of_two_folders_is_built_once_for_the_new_index(folder, tmp_path, monkeypatch):
    address = f"local:{tmp_path / 'graph.db'}"
    paint(tmp_path / "other" / "a.png", "blue")
    with create_index(address, new_passport(QuarterColours().spec, method="hnsw")) as index:
        index_folder(folder, index, QuarterColours(), progress=False)
        index_folder(tmp_path / "other", index, QuarterColours(), prefix="more", progress=False)
    built, build = [], Graph.of
    monkeypatch.setattr(Graph, "of", lambda *args: built.append(build(*args)) or built[-1])
    rebuild_index_of(folder, address, UpperColours(), progress=False)
    with open_index(address) as index:
        found = index.search(index.vectors()[:9], 1, approx=Approx())
    assert found.method.startswith("hnsw")
    assert [graph.count for graph in built] == [COUNT + 1]
