"""What only an index in a file has to stand: other processes, other programs' files, full disks, missing rights."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import numpy as np
import pytest

from imgsearch_kit.errors import (
    BadQuery,
    IndexDamaged,
    IndexMismatch,
    IndexNotFound,
    IndexUnwritable,
    KitError,
    VersionMismatch,
)
from imgsearch_kit.index import create_index, exact, new_passport, open_index
from imgsearch_kit.index import sqlite as store
from imgsearch_kit.records import Approx, ExtractorSpec, ImageRecord, Refused
from tests.index import first_format
from tests.index.writing import BATCH, DIM, DROP_ROOT, ROOT, filled, pictures, run, start
from tests.users import as_stranger, unwritable


@pytest.fixture
def path(tmp_path):
    return tmp_path / "pictures.db"


@pytest.fixture
def open_folder():
    """A folder that any user may enter; those below pytest's own are closed."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def content(address):
    with open_index(str(address)) as index:
        return index.records(), index.vectors().tolist(), index.passport


def expected(n):
    records, vectors = pictures(0, n)
    return records, vectors.tolist()


# -- addresses ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form", ["local:{}/a.db", "{}/a.db", "local:{}/no-suffix", "npz:{}/a.npz", "{}/a.npz", "npz:{}/a"]
)
def test_a_path_is_an_address(tmp_path, form):
    address = form.format(tmp_path)
    with pytest.raises(IndexNotFound, match=r"imgsearch index FOLDER --index (local|npz):"):
        open_index(address)
    assert list(tmp_path.iterdir()) == []
    filled(address, 3)
    assert content(address)[:2] == expected(3)
    assert len(list(tmp_path.iterdir())) == 1


def test_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    filled("local:~/a.db", 1)
    assert (tmp_path / "a.db").is_file()


@pytest.mark.parametrize("address", ["", "pictures", "local:", "npz:", "sqlite:a.db/x", "ftp://host/a.db", "memory"])
def test_other_addresses_are_refused_with_the_known_forms(address):
    for call in (open_index, lambda it: create_index(it, new_passport(None, dim=3))):
        with pytest.raises(BadQuery, match=r"no known form. Write local:PATH .*npz:PATH .*memory:"):
            call(address)


def test_a_folder_is_not_an_index(tmp_path):
    for call in (open_index, lambda it: create_index(it, new_passport(None, dim=3))):
        with pytest.raises(BadQuery, match=r"is a folder. Name a file in it"):
            call(f"local:{tmp_path}")


def test_missing_folders_are_made(tmp_path):
    filled(f"local:{tmp_path}/new/deep/a.db", 1)
    assert len(content(f"local:{tmp_path}/new/deep/a.db")[0]) == 1


def test_the_name_may_hold_what_an_uri_may_not(tmp_path):
    address = f"local:{tmp_path}/a?mode=memory#%20 ü.db"
    filled(address, 1)
    assert [p.name for p in tmp_path.iterdir()] == ["a?mode=memory#%20 ü.db"]
    assert len(content(address)[0]) == 1


@pytest.mark.parametrize(
    ("address", "method", "reason"),
    [
        ("memory:", "l2-lsh:L=60", "the method exact or hnsw, .*, not 'l2-lsh:L=60'"),
        ("local:{}/a.db", "hnsw:shards=3", "the method exact or hnsw, .*, not 'hnsw:shards=3'"),
        ("local:{}/a.db", "hnsw:m=1", "m must be at least 2, .* it is 1"),
        ("local:{}/a.db", "hnsw:ef_construction=many", "ef_construction must be a whole number .* it is 'many'"),
        ("npz:{}/a.npz", "hnsw", "the method exact only, not 'hnsw'"),
    ],
)
def test_a_method_that_the_place_does_not_know_is_refused(address, method, reason, tmp_path):
    with pytest.raises(BadQuery, match=reason):
        create_index(address.format(tmp_path), new_passport(None, dim=3, method=method))
    assert list(tmp_path.iterdir()) == []


# -- passports ---------------------------------------------------------------------------------------------------


def test_a_new_passport_says_when_and_with_what():
    spec = ExtractorSpec("quarters", 12)
    one, other = new_passport(spec), new_passport(spec, roots={"": "/pictures"})
    assert (one.dim, one.spec, one.method, one.count) == (12, spec, "exact", 0)
    assert one.uuid != other.uuid
    assert one.created.endswith("+00:00")
    assert one.libraries["numpy"] == np.__version__
    assert {"python", "imgsearch-kit", "pillow", "keras"} <= set(one.libraries)
    assert other.root == "/pictures"


def test_a_new_passport_imports_none_of_the_libraries_it_names():
    assert run("new_passport(None, dim=3); print('keras' in sys.modules, 'PIL' in sys.modules)", "") == "False False"


@pytest.mark.parametrize(
    ("spec", "dim", "words"),
    [
        (None, None, "at least 1; it is None"),
        (None, 0, "at least 1; it is 0"),
        (ExtractorSpec("quarters", 12), 13, "12, as quarters makes them; it is 13"),
    ],
)
def test_a_passport_needs_the_dimension(spec, dim, words):
    with pytest.raises(BadQuery, match=words):
        new_passport(spec, dim=dim)


# -- search and add ----------------------------------------------------------------------------------------------


def test_asked_for_its_approximate_method_it_answers_exactly_and_says_so(path):
    filled(f"local:{path}", 50)
    with open_index(f"local:{path}") as index:
        queries = pictures(60, 62)[1]
        plain, asked = index.search(queries, 5), index.search(queries, 5, approx=Approx(candidates=10))
    assert asked.ids.tolist() == plain.ids.tolist()
    assert (asked.method, asked.note) == ("exact", "This index has no approximate method; the answers are exact.")


def test_large_batches_are_answered_in_blocks(path, monkeypatch):
    filled(f"local:{path}", 100)
    queries, exclude = pictures(90, 130)[1], [[f"{i:05}.jpg"] for i in range(90, 130)]
    with open_index(f"local:{path}") as index:
        whole = index.search(queries, 7, labels=["label 1", "label 2"], exclude=exclude)
        monkeypatch.setattr(exact, "BLOCK", 300)  # three queries at a time
        blocks = index.search(queries, 7, labels=["label 1", "label 2"], exclude=exclude)
    assert blocks.ids.tolist() == whole.ids.tolist()
    assert blocks.scores.tolist() == whole.scores.tolist()


def test_names_that_are_no_text_are_refused_and_the_others_written(path):
    records, vectors = pictures(0, 3)
    records[1] = ImageRecord("caf\udce9.jpg", "café")
    with create_index(f"local:{path}", new_passport(None, dim=DIM)) as index:
        assert index.add(records, vectors) == [
            Refused("caf\udce9.jpg", "Its name is not valid Unicode text. Rename the file.")
        ]
        assert index.records() == [records[0], records[2]]
        assert np.array_equal(index.vectors(), vectors[[0, 2]])


# -- files that are no index -------------------------------------------------------------------------------------


def test_another_program_s_database_is_left_alone(path):
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE moz_places (url TEXT)")
        db.execute("CREATE TABLE moz_icons (url TEXT)")
    db.close()
    before = path.read_bytes()
    with pytest.raises(IndexMismatch, match=r"belongs to another program; its tables are moz_places, moz_icons"):
        open_index(f"local:{path}")
    with pytest.raises(IndexMismatch, match=r"belongs to another program"):
        create_index(f"local:{path}", new_passport(None, dim=3))
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_is_no_database_is_left_alone(path):
    path.write_text("path,label\n" * 1000)
    with pytest.raises(IndexDamaged, match=r"is not an index, or is damaged: file is not a database"):
        open_index(f"local:{path}")
    with pytest.raises(IndexDamaged, match=r"is not an index, or is damaged"):
        create_index(f"local:{path}", new_passport(None, dim=3))
    assert path.read_text() == "path,label\n" * 1000


def test_an_index_of_a_newer_kit_is_refused(path):
    filled(f"local:{path}", 3)
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(VersionMismatch, match=r"has format 99; this kit reads formats 1 to 2. Install the newer kit"):
        open_index(f"local:{path}")


PASSPORTS = ["{}", "[]", "x", "", "{", "null", "3", '["format"]', '{"format": 2}', "[" * 100_000]
CHANGED = {"dim": ["x", 0, 65, None, 2.5], "format": ["2", None, 0, True], "roots": [[], {"": 3}], "uuid": [3]}
CHANGED |= {
    "spec": ["x", [], {}, {"name": 1}],
    "method": [[]],
    "label_levels": [[], "x"],
    "rank": [3, None],
    "baked": [[]],
    "probes": ["x"],
}


@pytest.mark.parametrize("passport", [None, *PASSPORTS, *((n, v) for n, values in CHANGED.items() for v in values)])
def test_a_passport_that_cannot_be_read_is_reported(path, passport):
    filled(f"local:{path}", 3)
    with sqlite3.connect(path) as db:
        if passport is None:
            db.execute("DELETE FROM passport")
        elif isinstance(passport, tuple):
            (plain,) = db.execute("SELECT json FROM passport").fetchone()
            passport = json.dumps(json.loads(plain) | dict([passport]))
        db.execute("UPDATE passport SET json = ?", (passport,))
    db.close()
    words = rf"The passport of the index at local:{path} cannot be read: .*\. Restore the index from a backup"
    with pytest.raises(IndexDamaged, match=words):
        open_index(f"local:{path}")


def test_a_damaged_file_is_reported(path):
    filled(f"local:{path}", 400)
    whole = bytearray(path.read_bytes())
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(IndexDamaged, match=r"Restore it from a backup"), open_index(f"local:{path}") as index:
        index.search(pictures(0, 1)[1], 3)
    whole[16384:-16384] = os.urandom(len(whole) - 2 * 16384)
    path.write_bytes(whole)
    with pytest.raises(IndexDamaged, match=r"malformed"), open_index(f"local:{path}") as index:
        index.records()


CODES = [
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_CORRUPT,
]


@pytest.mark.parametrize("code", CODES)
def test_a_reason_that_ends_with_a_full_stop_ends_once(code):
    error = sqlite3.OperationalError("Cannot operate on a closed database.")
    error.sqlite_errorcode = code
    with pytest.raises(KitError, match=r": Cannot operate on a closed database\. [A-Z]"), store.translated_errors("x"):
        raise error


@pytest.mark.parametrize("leftover", ["nothing", "a header"])
def test_what_a_killed_creation_leaves_is_no_index_and_no_obstacle(path, leftover):
    path.touch()
    if leftover == "a header":
        db = sqlite3.connect(path)
        db.execute("PRAGMA journal_mode = WAL")
        db.close()
        assert path.stat().st_size
    with pytest.raises(IndexNotFound, match=r"no index at"):
        open_index(f"local:{path}")
    filled(f"local:{path}", 3)
    assert content(f"local:{path}")[:2] == expected(3)


# -- one writer, many readers ------------------------------------------------------------------------------------

HOLD = """
index = open_index(address)
index.add(*pictures(10, 20))
print("writing", flush=True)
sys.stdin.read()
index.close()
"""


@pytest.mark.parametrize("kind", ["local", "npz"])
def test_a_second_writer_is_refused_until_the_first_is_gone(tmp_path, kind):
    address = f"{kind}:{tmp_path / 'pictures'}"
    filled(address, 10)
    writer = start(HOLD, address, stdin=subprocess.PIPE)
    try:
        assert writer.stdout.readline() == "writing\n"
        with open_index(address) as index:
            for change in (
                lambda: index.add(*pictures(30, 40)),
                lambda: index.delete(["00000.jpg"]),
                lambda: index.amend(uuid="another"),
            ):
                with pytest.raises(IndexUnwritable, match=r"Another process is writing .* Wait until it is done"):
                    change()
            assert len(index) >= 10  # reading goes on
            assert index.search(pictures(0, 1)[1], 1).ids.tolist() == [["00000.jpg"]]
    finally:
        writer.communicate()
    assert writer.returncode == 0
    assert content(address)[:2] == expected(20)
    with open_index(address) as index:
        index.add(*pictures(20, 30))
    assert content(address)[:2] == expected(30)
    assert [p.name for p in tmp_path.iterdir()] == ["pictures"]


def test_a_killed_writer_leaves_no_lock(path):
    filled(f"local:{path}", 10)
    writer = start(HOLD, f"local:{path}", stdin=subprocess.PIPE)
    assert writer.stdout.readline() == "writing\n"
    os.kill(writer.pid, signal.SIGKILL)
    writer.communicate()
    with open_index(f"local:{path}") as index:
        assert len(index) == 20
        index.add(*pictures(20, 30))
    assert content(f"local:{path}")[:2] == expected(30)
    assert list(path.parent.iterdir()) == [path]


def test_two_objects_of_one_process_are_two_writers(path):
    filled(f"local:{path}", 10)
    with open_index(f"local:{path}") as one, open_index(f"local:{path}") as other:
        one.add(*pictures(10, 20))
        with pytest.raises(IndexUnwritable, match=r"Another process is writing"):
            other.add(*pictures(20, 30))
        assert len(other) == 20
        one.close()
        other.add(*pictures(20, 30))
    assert content(f"local:{path}")[:2] == expected(30)


def test_of_two_creators_one_wins(path):
    code = """
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        with create_index(address, new_passport(None, dim=64)) as index:
            index.add(*pictures(0, 10))
            print("made")
    except KitError as error:
        print(type(error).__name__)
    """
    creators = [start(code, f"local:{path}", stdin=subprocess.PIPE) for _ in range(4)]
    for creator in creators:
        assert creator.stdout.readline() == "ready\n"
    for creator in creators:
        creator.stdin.write("\n")
        creator.stdin.flush()
    said = sorted(creator.communicate()[0].strip() for creator in creators)
    assert said.count("made") == 1
    assert set(said) <= {"made", "IndexMismatch", "IndexUnwritable"}
    assert content(f"local:{path}")[:2] == expected(10)


def numbers_at(generation):
    """The pictures in the index of the next test: every even step adds ten, every odd one moves the first of them."""
    batches = generation // 2 + 1
    moved = {BATCH * batch for batch in range(1, batches if generation % 2 else batches - 1)}
    return sorted((set(range(BATCH * batches)) - moved) | {5000 + number for number in moved})


def test_a_reader_beside_a_writer_sees_whole_commits(path):
    filled(f"local:{path}", BATCH)
    writer = start(
        """
        with open_index(address) as index:
            for begin in range(BATCH, 100 * BATCH, BATCH):
                index.add(*pictures(begin, begin + BATCH))
                index.add(*pictures(5000 + begin, 5001 + begin), replaces=[f"{begin:05}.jpg"])
        """,
        f"local:{path}",
    )
    rows = dict(enumerate(pictures(0, 1000)[1])) | dict(enumerate(pictures(5000, 6000)[1], 5000))
    seen, steady = [], 0
    with open_index(f"local:{path}") as index:
        while not seen or seen[-1] < 199:
            running = writer.poll() is None
            before = index.read_passport()
            records, vectors = index.records(), index.vectors()
            found = index.search(pictures(0, 1)[1], len(records) + BATCH)
            after = index.read_passport()
            seen += [before.generation, after.generation]
            assert found.ids[0, 0] == "00000.jpg"
            for count in (before.count, len(records), len(vectors), int((found.ids != "").sum())):
                assert count % BATCH == 0
            if before.generation == after.generation:
                steady += 1
                numbers = numbers_at(before.generation)
                assert [record.id for record in records] == [f"{number:05}.jpg" for number in numbers]
                assert np.array_equal(vectors, [rows[number] for number in numbers])
                assert before.count == len(records)
            assert running or seen[-1] == 199, writer.communicate()
    assert writer.communicate() == ("", "")
    assert seen == sorted(seen)
    assert len(set(seen)) > 3
    assert steady > 1


# -- rights and room ---------------------------------------------------------------------------------------------

READ = """
try:
    with open_index(address) as index:
        index.search(pictures(0, 1)[1], 1)
        print(len(index), len(index.entries()[0]), index.vectors().shape, flush=True)
except KitError as error:
    print(type(error).__name__, error)
"""
WRITE = """
try:
    with open_index(address) as index:
        index.add(*pictures(20, 30))
except KitError as error:
    print(type(error).__name__, error)
"""


CREATE = """
try:
    create_index(address, new_passport(None, dim=3))
except KitError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize(("folder_mode", "file_mode"), [(0o555, 0o444), (0o555, 0o666), (0o777, 0o444)])
@pytest.mark.parametrize("kind", ["local", "npz"])
def test_without_rights_it_is_read_and_not_written(open_folder, kind, folder_mode, file_mode):
    file = open_folder / "pictures"
    filled(f"{kind}:{file}", 20)
    before = file.read_bytes()
    file.chmod(file_mode)
    open_folder.chmod(folder_mode)
    assert run(DROP_ROOT + READ, f"{kind}:{file}") == "20 20 (20, 64)"
    said = run(DROP_ROOT + WRITE, f"{kind}:{file}")
    if kind == "npz" and folder_mode == 0o777:
        assert said == ""  # an archive is replaced, which is the folder's right
        return
    assert said.startswith("IndexUnwritable The index at")
    assert "read-only here" in said
    assert "Make its folder and file writable, or copy the index to another place." in said
    assert file.read_bytes() == before
    assert [p.name for p in open_folder.iterdir() if not p.name.endswith(("-wal", "-shm"))] == ["pictures"]


def filled_first(address, n):
    """As ``filled``, of the first format."""
    first_format.write_local(Path(address.removeprefix("local:")), *pictures(0, n), new_passport(None, dim=DIM))


COMMANDS = """
import contextlib, io, sys
from imgsearch_kit.cli import main
address, place = sys.argv[1:]
for line in ("search --id 00000.jpg", "evaluate", "health", f"map -o {place}/map.html", f"label {place}/labels.csv"):
    said = io.StringIO()
    sys.argv = ["imgsearch", *line.split(), "--index", address]
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            main()
    except SystemExit as ended:
        print(line.split()[0], ended.code or 0, " ".join(said.getvalue().split()) if ended.code else "")
"""


@pytest.mark.parametrize("make", [filled, filled_first])
def test_each_command_reads_for_a_user_without_rights(open_folder, make):
    work, file = open_folder / "work", open_folder / "index" / "pictures.db"
    for folder in (work, file.parent):
        folder.mkdir()
    make(f"local:{file}", 20)
    unwritable(file.parent)
    work.chmod(0o777)
    (work / "labels.csv").write_text("path,label\n00000.jpg,new\n")
    environment = os.environ | {"IMGSEARCH_CACHE": str(work), "HOME": str(file.parent)}
    command = [*as_stranger(), sys.executable, "-c", COMMANDS, f"local:{file}", str(work)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = dict(line.strip().split(maxsplit=1) for line in done.stdout.splitlines())
    assert "read-only here" in said.pop("label")
    assert said.pop("map").startswith("1 ")  # because there are no pictures
    assert said == dict.fromkeys(["search", "evaluate", "health"], "0")
    assert (work / "map.html").is_file()


@pytest.mark.parametrize("kind", ["local", "npz"])
def test_nothing_is_made_in_a_folder_without_rights(open_folder, kind):
    open_folder.chmod(0o555)
    for name in ("pictures", "new/pictures"):
        said = run(DROP_ROOT + CREATE, f"{kind}:{open_folder / name}")
        assert said.startswith("IndexUnwritable ")
        assert str(open_folder) in said


def test_a_file_that_may_not_be_read_is_reported(open_folder):
    file = open_folder / "pictures.db"
    filled(f"local:{file}", 20)
    file.chmod(0)
    assert "Check that you may read the file" in run(DROP_ROOT + READ, f"local:{file}")


def test_a_reader_without_rights_sees_what_the_owner_writes(open_folder):
    """Both while the owner's index is closed and while it is open."""
    file = open_folder / "pictures.db"
    filled(f"local:{file}", 20)
    open_folder.chmod(0o555)
    code = """
    with open_index(address) as index:
        for line in sys.stdin:
            found = index.search(pictures(0, 1)[1], 100)
            print(len(index), len(index.records()), (found.ids != "").sum(), flush=True)
    """
    reader = start(DROP_ROOT + textwrap.dedent(code), f"local:{file}", stdin=subprocess.PIPE)

    def read():
        reader.stdin.write("\n")
        reader.stdin.flush()
        return reader.stdout.readline().split()

    assert read() == ["20"] * 3
    open_folder.chmod(0o755)
    with open_index(f"local:{file}") as index:
        index.add(*pictures(20, 30))
    assert read() == ["30"] * 3
    reader.communicate()
    with open_index(f"local:{file}") as index:
        index.add(*pictures(30, 40))
        assert run(DROP_ROOT + READ, f"local:{file}") == "40 40 (40, 64)"


def test_commits_that_a_reader_without_rights_cannot_see_are_not_passed_over(open_folder):
    """A killed writer left commits in the -wal file, which nobody may read without writing beside it."""
    file = open_folder / "pictures.db"
    filled(f"local:{file}", 10)
    writer = start(HOLD, f"local:{file}", stdin=subprocess.PIPE)
    assert writer.stdout.readline() == "writing\n"
    os.kill(writer.pid, signal.SIGKILL)
    writer.communicate()
    (open_folder / "pictures.db-shm").unlink()
    open_folder.chmod(0o555)
    said = run(DROP_ROOT + READ, f"local:{file}")
    assert "a file ending in -wal next to it" in said
    open_folder.chmod(0o755)
    assert content(f"local:{file}")[:2] == expected(20)


FILL = """
index = open_index(address)
done = 20
try:
    while done < 3000:
        index.add(*pictures(done, done + BATCH))
        if address.startswith("npz"):
            index.flush()
        done += BATCH
except KitError as error:
    print(type(error).__name__, error)
print(done, len(index), len(index.vectors()), index.passport.count)
try:
    index.close()
except KitError:
    assert address.startswith("npz")
"""


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of its own, of 768 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=768k", "tmpfs", folder]
    mounted = subprocess.run(mount, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"a small disk takes the right to mount one: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.fixture(params=["full disk", "file size limit"])
def small_room(request):
    """A folder, and a line of Python with which a process runs out of room in it after some hundred kilobytes."""
    if request.param == "full disk":
        return request.getfixturevalue("small_disk"), ""
    return request.getfixturevalue("tmp_path"), "resource.setrlimit(resource.RLIMIT_FSIZE, (2**19, 2**19))\n"


@pytest.mark.parametrize("kind", ["local", "npz"])
def test_without_room_the_old_content_stays(small_room, kind):
    folder, limit = small_room
    address = f"{kind}:{folder / 'pictures'}"
    filled(address, 20)
    said, counts = run(limit + FILL, address).splitlines()
    assert said.startswith("IndexUnwritable ")
    assert "could not be written" in said
    assert "Free some disk space" in said
    done, *held = map(int, counts.split())
    assert 20 < done < 3000
    assert held == [done + BATCH * (kind == "npz")] * 3  # an archive keeps what it could not write, to try again
    assert content(address)[:2] == expected(done)
    rest = {p.name for p in folder.iterdir()} - {"pictures-wal", "pictures-shm"}  # may hold commits until there is room
    assert rest == {"pictures"}


def test_when_there_is_room_again_the_same_object_goes_on(small_disk):
    address = f"local:{small_disk / 'pictures'}"
    filled(address, 20)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(400_000))
    code = """
    with open_index(address) as index:
        try:
            index.add(*pictures(20, 1020))
        except KitError as error:
            print(type(error).__name__)
        print(len(index))
        Path(sys.argv[2]).unlink()
        index.add(*pictures(20, 30))
    """
    assert run(code, address, ballast).split() == ["IndexUnwritable", "20"]
    assert content(address)[:2] == expected(30)


# -- what is asked once, and what removes ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["local", "npz"])
def test_the_passport_costs_no_statement(tmp_path, kind, monkeypatch):
    statements, connect = [], store.connect

    def watched(*arguments, **options):
        database = connect(*arguments, **options)
        database.set_trace_callback(statements.append)
        return database

    monkeypatch.setattr(store, "connect", watched)
    filled(f"{kind}:{tmp_path / 'index'}", 10)
    with open_index(f"{kind}:{tmp_path / 'index'}") as index:
        index.add(*pictures(10, 20))
        statements.clear()
        assert {index.passport.count for _ in range(50)} == {20}
        assert statements == []
        index.read_passport()
        assert statements


def test_the_passport_knows_its_own_writes_at_once_and_those_of_others_when_read(path):
    filled(f"local:{path}", 10)
    with open_index(f"local:{path}") as reader:
        opened = reader.passport
        with open_index(f"local:{path}") as writer:
            writer.add(*pictures(10, 20))
            writer.amend(roots={"": "/moved"})
            assert (writer.passport.count, writer.passport.roots) == (20, {"": "/moved"})
            assert writer.passport.generation == opened.generation + 2
            written = writer.passport
        assert reader.passport == opened
        assert reader.read_passport() == written
        assert reader.passport == written


@pytest.mark.parametrize("address", ["local:{}/index", "npz:{}/index"])
def test_an_index_that_is_removed_leaves_its_folder_as_it_was(tmp_path, address):
    address = address.format(tmp_path)
    (tmp_path / "index-notes.txt").write_text("mine")
    filled(address, 10)
    with open_index(address) as index:
        index.add(*pictures(10, 20))
        index.remove()
        with pytest.raises(BadQuery, match="is closed"):
            len(index)
    assert [path.name for path in tmp_path.iterdir()] == ["index-notes.txt"]


@pytest.mark.parametrize("address", ["local:{}/index", "npz:{}/index"])
def test_an_index_that_another_writes_to_is_not_removed(tmp_path, address):
    address = address.format(tmp_path)
    filled(address, 10)
    with open_index(address) as writer, open_index(address) as other:
        writer.add(*pictures(10, 20))
        with pytest.raises(IndexUnwritable, match="Another process is writing"):
            other.remove()
        writer.add(*pictures(20, 30))
    assert content(address)[:2] == expected(30)


def test_an_index_in_memory_that_is_removed_is_closed():
    index = create_index("memory:", new_passport(None, dim=DIM))
    index.remove()
    with pytest.raises(BadQuery, match="is closed"):
        len(index)


def test_labels_are_counted_without_reading_records(path, monkeypatch):
    with create_index(f"local:{path}", new_passport(None, dim=DIM)) as index:
        records, vectors = pictures(0, 15)
        records[14] = dataclasses.replace(records[14], label=None)
        index.add(records, vectors)
        monkeypatch.setattr(type(index), "records", lambda *_: pytest.fail("records were read"))
        counts = list(index.label_counts().items())
    assert counts == [(f"label {i}", 2) for i in range(7)]


def test_a_file_that_is_deleted_is_no_longer_answered_from(tmp_path):
    path = tmp_path / "imgsearch.db"
    with create_index(f"local:{path}", new_passport(None, dim=2)) as index:
        index.add([ImageRecord("a.jpg", "cat"), ImageRecord("b.jpg")], np.eye(2, dtype=np.float32))
        assert index.tally() == (2, {"cat": 1})
        path.rename(tmp_path / "moved.db")
        for read in (index.tally, index.read_passport, lambda: index.search(np.eye(2, dtype=np.float32)[:1], 1)):
            with pytest.raises(IndexNotFound, match=r"There is no index at local:.*imgsearch\.db"):
                read()
