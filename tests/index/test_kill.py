"""Indexing killed with SIGKILL at random moments: whole batches stay, and a second run completes them."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time

import numpy as np
import pytest
from PIL import Image

from imgsearch_kit.errors import IndexNotFound
from imgsearch_kit.index import create_index, new_passport, open_index
from imgsearch_kit.indexing.commits import COMMITTED_AT_ONCE as COMMIT
from imgsearch_kit.indexing.folder import index_folder
from tests.index.writing import BATCH, pictures, start
from tests.small_extractor import QuarterColours, paint

KILLS = 20
PICTURES = 330  # ten commits of 32 and a rest


def kill_at_random(process, longest, random):
    """Lets a process that has said it begins run for a random time, and kills it; says whether it was still running."""
    assert process.stdout.readline() == "begin\n", process.communicate()
    time.sleep(random.uniform(0, longest))
    running = process.poll() is None
    if running:
        os.kill(process.pid, signal.SIGKILL)
    error = process.communicate()[1]
    assert running or process.returncode == 0, error
    return running


def integrity(path):
    """What SQLite itself says of a file, in the state in which the killed process left it."""
    db = sqlite3.connect(path)
    try:
        return db.execute("PRAGMA integrity_check").fetchone()[0], db.execute("PRAGMA foreign_key_check").fetchall()
    finally:
        db.close()


def test_killed_between_and_within_commits_only_whole_batches_stay(tmp_path):
    """The writer adds, replaces, moves and deletes without pause; it tells each change before and after it."""
    path = tmp_path / "pictures.db"
    code = """
    try:
        index = open_index(address)
    except KitError:
        index = create_index(address, new_passport(None, dim=64))
    log = open(sys.argv[2], "a", buffering=1)
    print("begin", flush=True)
    while True:
        batch = index.passport.generation
        print(batch, file=log)
        records, vectors = pictures(batch * BATCH, (batch + 1) * BATCH)
        index.add(records, vectors, replaces=[f"{n:05}.jpg" for n in range((batch - 3) * BATCH, (batch - 2) * BATCH)])
        print(batch + 1, file=log)
    """
    rng = random.Random(4)
    log = tmp_path / "log"
    done = []
    for _ in range(KILLS // 2):
        assert kill_at_random(start(code, f"local:{path}", log), 0.15, rng)
        reached = int(log.read_text().splitlines()[-1]) if log.exists() and log.read_text() else 0
        try:
            with open_index(f"local:{path}") as index:
                generation = index.passport.generation
                expected = pictures(max(0, generation - 3) * BATCH, generation * BATCH)
                assert index.records() == expected[0]
                assert (index.vectors() == expected[1]).all()
                assert len(index) == index.passport.count == len(expected[0])
        except IndexNotFound:
            generation = 0
        assert generation in (reached, reached + 1)  # what add had returned from is there
        assert integrity(path) == ("ok", [])
        done.append(generation)
    assert done == sorted(done)
    assert done[-1] > KILLS // 2


INDEX = """
from imgsearch_kit.index import new_passport
from imgsearch_kit.indexing.commits import COMMITTED_AT_ONCE as COMMIT
from imgsearch_kit.indexing.folder import index_folder
from tests.small_extractor import QuarterColours
extractor = QuarterColours()
try:
    index = open_index(address)
except KitError:
    index = create_index(address, new_passport(extractor.spec))
print("begin", flush=True)
index_folder(Path(sys.argv[2]), index, extractor, progress=False)
index.close()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures")
    for i in range(PICTURES):
        paint(root / f"class {i % 7}" / f"{i:03}.png", (i % 256, 255 - i % 256, 90 + i // 256))
    (root / "class 0" / "broken.png").write_bytes(b"no picture")
    return root


@pytest.fixture(scope="module")
def undisturbed(folder):
    extractor = QuarterColours()
    with create_index("memory:", new_passport(extractor.spec)) as index:
        index_folder(folder, index, extractor, progress=False)
        return index.records(), index.vectors(), index.failures()


def check(path, undisturbed):
    """The records and vectors there are the undisturbed run's, and SQLite finds nothing amiss; returns how many."""
    records, vectors, _ = undisturbed
    place = {record.id: i for i, record in enumerate(records)}
    with open_index(f"local:{path}") as index:
        found = index.records()
        assert found == [records[place[record.id]] for record in found]
        assert (index.vectors() == vectors[[place[record.id] for record in found]]).all()
        assert len(index) == len(found)
    assert integrity(path) == ("ok", [])
    return len(found)


def test_indexing_a_folder_killed_again_and_again_ends_as_if_undisturbed(folder, undisturbed, tmp_path):
    """Each of twenty runs on an index of its own is killed at a random moment; a second run completes it."""
    rng = random.Random(5)
    process = start(INDEX, f"local:{tmp_path / 'whole.db'}", folder)
    process.stdout.readline()
    begun = time.monotonic()
    assert process.communicate() == ("", "")
    longest = time.monotonic() - begun
    counts = []
    for i in range(KILLS):
        path = tmp_path / f"{i}.db"
        running = kill_at_random(start(INDEX, f"local:{path}", folder), longest, rng)
        count = check(path, undisturbed)
        assert count == PICTURES or (running and count % COMMIT == 0)
        counts.append(count)
        extractor = QuarterColours()
        with open_index(f"local:{path}") as index:
            report = index_folder(folder, index, extractor, progress=False)
            assert (report.added, report.unchanged) == (PICTURES - count, count)
            assert sum(extractor.calls) == PICTURES - count  # nothing is extracted twice
            assert index.failures() == undisturbed[2]
        assert check(path, undisturbed) == PICTURES
        assert not list(tmp_path.glob(f"{i}.db-*"))  # nothing waits beside the file
    assert len(set(counts)) > 1  # the kills came at different moments, also on a machine that is busy


NETWORK = """
from imgsearch_kit.extractors import load_extractor
from imgsearch_kit.indexing.folder import index_folder
extractor = load_extractor("vgg16-rmac", weights=Path(sys.argv[3]))
try:
    index = open_index(address)
except KitError:
    index = create_index(address, new_passport(extractor.spec))
print("begin", flush=True)
report = index_folder(Path(sys.argv[2]), index, extractor, progress=False)
index.close()
print(report.added, report.unchanged)
"""


def test_killed_with_the_real_network(tmp_path, conv_weights):
    total = COMMIT + 8
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(total):
        noise = np.random.default_rng(i).integers(0, 256, (12, 16, 3), np.uint8)
        Image.fromarray(noise).resize((160, 120), Image.Resampling.BICUBIC).save(folder / f"{i:03}.png")

    def index(name):
        return start(NETWORK, f"local:{tmp_path / name}", folder, conv_weights)

    out, error = index("whole.db").communicate()
    assert out.split() == ["begin", str(total), "0"], error
    process = index("killed.db")
    assert process.stdout.readline() == "begin\n", process.communicate()
    with open_index(f"local:{tmp_path / 'killed.db'}") as watched:
        while not len(watched):
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert integrity(tmp_path / "killed.db") == ("ok", [])
    with open_index(f"local:{tmp_path / 'killed.db'}") as killed:
        count = len(killed)
    assert count in (COMMIT, total)
    out, error = index("killed.db").communicate()
    assert out.split() == ["begin", str(total - count), str(count)], error
    with open_index(f"local:{tmp_path / 'whole.db'}") as whole, open_index(f"local:{tmp_path / 'killed.db'}") as killed:
        assert killed.records() == whole.records()
        np.testing.assert_allclose(killed.vectors(), whole.vectors(), atol=1e-5)
