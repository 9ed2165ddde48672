"""A folder of pictures on a server: indexed, searched, changed, and completed after the run was killed."""

from __future__ import annotations

import os
import signal
import uuid

import numpy as np
import pytest

from imgsearch_kit.errors import IndexMismatch
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.index import create_index, new_passport, open_index
from imgsearch_kit.index.elastic.writing import open_elastic
from imgsearch_kit.indexing.extractor import extractor_of
from imgsearch_kit.indexing.folder import index_folder
from imgsearch_kit.records import ExtractorSpec
from tests.index.conftest import remove_from_server
from tests.index.writing import start
from tests.small_extractor import QuarterColours, paint

SERVERS = [
    pytest.param(("elasticsearch_9", "hnsw"), id="elasticsearch-9"),
    pytest.param(("elasticsearch_8", "int8_hnsw"), id="elasticsearch-8"),
    pytest.param(("elastiknn", "l2-lsh"), id="elastiknn", marks=pytest.mark.plugin),
]


@pytest.fixture(params=SERVERS)
def place(request):
    """An address and a method SPEC."""
    server, method = request.param
    address = f"{request.getfixturevalue(server)}/test-{uuid.uuid4().hex[:12]}"
    yield address, method
    remove_from_server(address)


@pytest.fixture
def folder(tmp_path):
    for i in range(200):
        paint(tmp_path / f"class {i % 3}" / f"{i:03}.png", (i * 37 % 251 + 1, i * 91 % 241 + 1, i * 151 % 239 + 1))
    (tmp_path / "class 0" / "broken.png").write_bytes(b"no picture")
    return tmp_path


def undisturbed(folder):
    with create_index("memory:", new_passport(QuarterColours().spec)) as index:
        index_folder(folder, index, QuarterColours(), progress=False)
        return index.records(), index.vectors(), index.failures()


def check(address, folder):
    records, vectors, failures = undisturbed(folder)
    with open_index(address) as index:
        assert index.records() == records
        assert np.array_equal(index.vectors(), vectors)
        assert index.failures() == failures


def test_a_folder_is_indexed_searched_and_kept_up(place, folder):
    address, method = place
    extractor = QuarterColours()
    with create_index(address, new_passport(extractor.spec, method=method)) as index:
        report = index_folder(folder, index, extractor, progress=False)
        assert (report.added, [failure.path for failure in report.failed]) == (200, ["class 0/broken.png"])
        check(address, folder)
        searcher = Gallery(index, extractor)
        with create_index("memory:", new_passport(extractor.spec)) as local:
            index_folder(folder, local, extractor, progress=False)
            other = Gallery(local, extractor)
            for id_ in ("class 0/003.png", "class 2/110.png"):
                found, expected = searcher.search(id=id_, k=5), other.search(id=id_, k=5)
                assert [hit.id for hit in found.hits] == [hit.id for hit in expected.hits]
                assert set(found.own) == set(expected.own) >= {id_}
                assert [hit.score for hit in found.hits] == pytest.approx(
                    [hit.score for hit in expected.hits], abs=1e-5
                )
        (folder / "class 0" / "000.png").rename(folder / "class 1" / "moved.png")
        (folder / "class 1" / "001.png").unlink()
        paint(folder / "class 2" / "002.png", (9, 9, 9))
        report = index_folder(folder, index, extractor, prune=True, progress=False)
        assert (report.added, report.updated, report.moved, report.removed) == (0, 1, 1, 1)
    check(address, folder)


def test_an_extractor_of_another_index_is_refused(place):
    address, method = place
    with create_index(address, new_passport(ExtractorSpec("vgg16-rmac", 12), method=method)) as index:
        words = (
            r"This index was made by vgg16-rmac; the extractor given differs from it \(name: vgg16-rmac != vgg16-fc1\)"
        )
        with pytest.raises(IndexMismatch, match=words):
            extractor_of(index, "vgg16-fc1")


INDEX = """
from imgsearch_kit.indexing.folder import index_folder
from tests.small_extractor import QuarterColours
class Slow(QuarterColours):
    def extract(self, pixels):
        print("call", flush=True)
        return super().extract(pixels)
with open_index(address) as index:
    index_folder(Path(sys.argv[2]), index, Slow(), progress=False)
"""


def test_a_run_that_is_killed_is_completed_by_the_next(place, folder):
    address, method = place
    create_index(address, new_passport(QuarterColours().spec, method=method)).close()
    process = start(INDEX, address, folder)
    for _ in range(13):  # four calls make a batch: the fourth is extracted when the second, at least, has been written
        assert process.stdout.readline() == "call\n"
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    with open_elastic(address) as index:
        assert 0 < len(index) < 200
        report = index_folder(folder, index, QuarterColours(), progress=False)
        assert 0 < report.added < 200
        assert report.unchanged == 200 - report.added
    check(address, folder)
