"""The index tab: what it says of an index, what it changes, whom it refuses, and how a person uses it in Chromium."""

from __future__ import annotations

import csv
import itertools
import json
import shutil
import threading
from pathlib import Path

import httpx
import pytest

from imgsearch_kit import Gallery
from imgsearch_kit.app import serve
from imgsearch_kit.app.frame import Frame
from imgsearch_kit.app.index_changes import IndexChanges
from imgsearch_kit.app.tabs.index import IndexTab
from imgsearch_kit.errors import BadQuery
from imgsearch_kit.index import create_index, new_passport
from tests.app.conftest import free_port
from tests.app.test_access import PHONE, serious
from tests.app.test_hostile_names import HOSTILE
from tests.app.test_tabs import open_tab
from tests.small_extractor import QuarterColours, paint


@pytest.fixture
def photos(tmp_path):
    """Two folders of pictures; in the first one a file is no picture."""
    for i in range(6):
        paint(tmp_path / f"photos/first/red/{i}.png", (200, 10 * i, 0))
        paint(tmp_path / f"photos/second/blue/{i}.png", (10 * i, 0, 200))
    (tmp_path / "photos/first/red/letter.jpg").write_text("Dear all, this is no picture.")
    return tmp_path / "photos"


@pytest.fixture
def indexed(photos, tmp_path):
    """The gallery of the first folder, in a file."""
    extractor = QuarterColours()
    gallery = Gallery(create_index(f"local:{tmp_path}/made.db", new_passport(extractor.spec)), extractor)
    gallery.add(photos / "first", progress=False)
    return gallery  # closed by nobody, because a page may still be served over it


@pytest.fixture
def changes(indexed, photos, tmp_path):
    (tmp_path / "uploads").mkdir()
    return IndexChanges(indexed, tmp_path / "uploads", Frame(changes=True, add_below=photos))


def words(tab):
    return dict(tab.start({})["passport"])


def done(answers):
    """The last of the answers to a change."""
    *_, last = answers
    assert last["kind"] == "done"
    return last


# -- what it says --------------------------------------------------------------------------------------------------


def test_the_passport_in_words_the_counts_and_the_failures(indexed, changes, photos):
    started = IndexTab(indexed, changes).start({})
    assert json.loads(json.dumps(started))
    said = dict(started["passport"])
    assert said["Pictures"] == "6"
    assert said["Classes"] == "1 class"
    assert said["Extractor"] == "quarters, 8 × 8 pixels, by numpy"
    assert said["Vectors"] == "12 numbers each"
    assert said["Folder"] == str(photos / "first")
    assert said["Kept in"].endswith("made.db")
    assert said["Ranking"] == "Plain: the order of the cosines"
    assert "not yet: when nothing looks like a picture" in said["Learned of it"]
    assert started["failures"] == 1
    [[path, reason]] = started["failed"]
    assert path == "red/letter.jpg"
    assert "It is text" in reason
    indexed.label({"red/0.png": None, "red/1.png": "a", "red/2.png": "b"})
    indexed.calibration(progress=False)
    indexed.set_default_rank("krecip:20:6:0.3")
    indexed.calibration(progress=False, rank="")
    said = words(IndexTab(indexed, changes))
    assert said["Classes"] == "3 classes, and 1 without one"
    assert said["Ranking"] == "Mutual neighbours (krecip:20:6:0.3)"
    assert said["Learned of it"].startswith("what scores mean; not yet")


def test_who_may_change_nothing_learns_no_folder(indexed, photos, tmp_path):
    failure = indexed.index.failures()[0]
    failed = type(failure)("red/x.png", f"It lies in {photos}/first, which cannot be read")
    indexed.index.set_failures([failed])
    started = IndexTab(indexed, IndexChanges(indexed, tmp_path, Frame())).start({})
    assert dict(started["passport"])["Folder"] == "first"
    assert started["failed"] == [("red/x.png", "It lies in …, which cannot be read")]
    assert str(tmp_path) not in json.dumps(started)
    assert {"folders", "below"} & set(started) == set()
    shutil.rmtree(photos)
    Path(tmp_path / "made.db").unlink()
    gone = IndexTab(indexed, IndexChanges(indexed, tmp_path, Frame())).start({})
    assert gone["error"].startswith("The index is gone")


def test_each_kind_of_index_says_what_cannot_be_done(indexed, tmp_path, elasticsearch_9):
    def said(gallery):
        return IndexTab(gallery, IndexChanges(gallery, tmp_path, Frame(changes=True))).start({})

    extractor = QuarterColours()
    memory = Gallery(create_index("memory:", new_passport(extractor.spec)), extractor)
    assert "lives in memory" in said(memory)["note"]
    with indexed.copy_to(f"npz:{tmp_path}/made.npz") as archive:
        assert "written anew" in said(archive)["note"]
        assert dict(said(archive)["passport"])["Kept in"].startswith("an .npz archive on this machine: ")
    with Gallery.open(indexed.index.address) as blind:  # its network is an object that the kit cannot load by name
        assert "there is no network to extract with" in said(blind)["blind"]
        assert not said(indexed)["blind"]
    name = f"{elasticsearch_9}/test-index-tab"
    with indexed.copy_to(name) as server:
        assert "lies on a server" in said(server)["note"]
        assert dict(said(server)["passport"])["Kept in"] == "a server"
        server.remove()


# -- what it changes -----------------------------------------------------------------------------------------------


def test_a_folder_is_added_with_its_progress_and_a_prefix(indexed, changes):
    found = changes.folders({"folder": ""})
    assert found["names"] == [["first", "first"], ["second", "second"]]
    assert "holds 'first', which is indexed already" in found["refused"]
    found = changes.folders({"folder": "second"})
    assert (found["prefix"], found["again"], found["refused"]) == ("second", False, "")
    assert "Give a name" in done(changes.add({"folder": "second"}))["error"]
    first, *progress, last = changes.add({"folder": "second", "prefix": "blues"})
    assert first == {"kind": "doing", "doing": "a folder is added", "done": None}
    assert progress[0]["done"] == (0, 6)
    assert last["title"].startswith("6 added")
    assert last["indexed"]["pictures"] == 12
    assert indexed.record("blues/blue/0.png").label == "blue"
    assert changes.folders({"folder": "second"})["again"]
    assert done(changes.add({"folder": "second"}))["title"].startswith("6 unchanged")
    assert "lies in 'first'" in done(changes.add({"folder": "first/red", "prefix": "x"}))["error"]


def test_a_folder_is_brought_up_to_date_and_what_is_gone_is_removed(indexed, changes, photos):
    (photos / "first/red/0.png").unlink()
    paint(photos / "first/red/9.png", (200, 90, 0))
    told = done(changes.refresh({"prefix": ""}))
    assert told["title"].startswith("1 added, 5 unchanged")
    assert told["notes"] == ["1 indexed pictures are no longer in the folder."]
    assert [path for path, _ in told["failed"]] == ["red/letter.jpg"]
    assert "1 removed" in done(changes.refresh({"prefix": "", "prune": True}))["title"]
    assert "no such folder" in done(changes.refresh({"prefix": "elsewhere"}))["error"]
    shutil.rmtree(photos / "first")
    assert "cannot be read" in done(changes.refresh({"prefix": "", "prune": True}))["error"]  # and nothing is removed
    assert len(indexed) == 6


def test_a_folder_that_has_moved_is_found_at_its_new_place(indexed, changes, photos):
    assert "None of the 6 pictures" in done(changes.move({"folder": "second", "prefix": ""}))["error"]
    indexed.root = photos / "elsewhere"  # what --root said
    (photos / "first").rename(photos / "renamed")
    assert done(changes.move({"folder": "renamed", "prefix": ""}))["title"].startswith("6 unchanged")
    assert indexed.passport.root == str(photos / "renamed")
    assert indexed.original(indexed.record("red/0.png")).is_file()


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        ("second", "'second' is another folder of this index"),
        ("second/blue", "lies in 'second', which is indexed"),
        ("", "holds 'second', which is indexed already"),
    ],
)
def test_a_folder_is_not_moved_into_another_indexed_one(indexed, changes, photos, folder, words):
    shutil.copytree(photos / "first/red", photos / "second/red")
    shutil.copytree(photos / "first/red", photos / "second/blue/red")
    shutil.copytree(photos / "first/red", photos / "red")
    done(changes.add({"folder": "second", "prefix": "s"}))
    before = indexed.index.read_passport()
    assert words in done(changes.move({"folder": folder, "prefix": ""}))["error"]
    assert indexed.index.read_passport() == before


def test_a_folder_moves_to_one_that_lies_in_its_old_place(indexed, changes, photos):
    (photos / "first/all").mkdir()
    (photos / "first/red").rename(photos / "first/all/red")
    assert done(changes.move({"folder": "first/all", "prefix": ""}))["title"].startswith("6 unchanged")


def test_the_folder_that_was_said_to_have_moved_is_brought_up_to_date_where_it_is_chosen(indexed, changes, photos):
    (photos / "first").rename(photos / "renamed")
    indexed.root = photos / "renamed"  # what --root said
    assert changes.folders({"folder": "renamed"})["again"]
    assert done(changes.add({"folder": "renamed", "prefix": ""}))["title"].startswith("6 unchanged")
    assert indexed.passport.root == str(photos / "renamed")


def test_a_table_stays_while_another_change_runs(changes):
    table = changes.uploads / "labels.csv"
    table.write_text("path,label\nred/0.png,sunset\n")
    with changes.writer.alone("a folder is added"):
        assert "being changed" in changes.label({"file": str(table)})["error"]
    assert changes.label({"file": str(table)})["title"].startswith("1 relabelled")


def test_labels_come_from_a_table_that_is_deleted_then(indexed, changes):
    table = changes.uploads / "labels.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label"), ("red/0.png", "sunset"), ("gone.png", "x")])
    told = changes.label({"file": str(table)})
    assert told["title"] == "1 relabelled, 0 had the label already"
    assert told["failed"] == [["gone.png", "no record has this id"]]
    assert told["indexed"]["classes"] == [["red", "red", 5], ["sunset", "sunset", 1]]
    assert not table.exists()
    table.write_text("one,two\n")
    assert changes.label({"file": str(table)})["error"].startswith("labels.csv needs the columns path and label")


@pytest.mark.parametrize("file", [None, 7, ["x"], "/etc/passwd", "uploads/../made.db", "\0"])
def test_a_table_that_was_not_uploaded_is_not_read(changes, file):
    assert changes.label({"file": file})["error"] == "That file was not uploaded."


def test_a_link_that_leads_out_is_not_followed(indexed, changes, photos, tmp_path):
    paint(tmp_path / "private/secret.png", (1, 200, 1))
    (photos / "second/out").symlink_to(tmp_path / "private")
    (photos / "second/one.png").symlink_to(tmp_path / "private/secret.png")
    (photos / "second/twin.png").symlink_to(photos / "second/blue/0.png")
    told = done(changes.add({"folder": "second", "prefix": "s"}))
    assert told["failed"] == [
        ["s/one.png", "The link leads out of the folder"],
        ["s/out", "The link leads out of the folder"],
    ]
    assert told["title"].startswith("7 added")
    assert "secret" not in " ".join(record.id for record in indexed.records())


@pytest.mark.parametrize(
    "folder",
    ["..", "../private", "first/../../private", "/etc", "%2e%2e", "..%2f..", "second/out", 7, None, ["second"]],
)
def test_a_forged_event_names_no_folder_elsewhere(indexed, changes, photos, tmp_path, folder):
    paint(tmp_path / "private/secret.png", (1, 200, 1))
    (photos / "second/out").symlink_to(tmp_path / "private")
    given = {"folder": folder, "prefix": "x"}
    for answer in (changes.folders(given), done(changes.add(given)), done(changes.move(given | {"prefix": ""}))):
        assert answer.get("error") or answer.get("refused")
    assert len(indexed) == 6


@pytest.mark.parametrize("frame", [Frame(), Frame(read_only=True)])
def test_nothing_is_changed_where_the_page_may_not(indexed, tmp_path, photos, frame):
    frame = Frame(read_only=frame.read_only, add_below=photos)  # as no start of the page makes it
    changes = IndexChanges(indexed, tmp_path, frame)
    table = tmp_path / "labels.csv"
    table.write_text("path,label\nred/0.png,x\n")
    before = indexed.index.read_passport().generation
    answers = [done(each({"folder": "second", "prefix": ""})) for each in (changes.add, changes.refresh, changes.move)]
    answers += [changes.label({"file": str(table)}), changes.folders({"folder": ""})]
    assert {each["error"] for each in answers} == {"The index is not changed by this page."}
    assert indexed.index.read_passport().generation == before


def test_one_change_at_a_time_and_a_cancelled_one_keeps_what_it_has(indexed, changes, photos, monkeypatch):
    extract, calls, go_on = indexed.extractor.extract, itertools.count(), threading.Event()

    def held(pixels):
        assert next(calls) < 4 or go_on.wait(30)  # of more pictures than are committed at once
        return extract(pixels)

    monkeypatch.setattr(indexed.extractor, "extract", held)
    for i in range(60):
        paint(photos / f"second/more/{i:03}.png", (i + 1, 200, 0))
    running = changes.add({"folder": "second", "prefix": "s"})
    while (next(running)["done"] or (0, 0))[1] == 0:
        pass
    assert "being changed: a folder is added" in done(changes.refresh({"prefix": ""}))["error"]
    assert IndexTab(indexed, changes).start({})["doing"] == "a folder is added"
    running.close()
    go_on.set()
    wait_until_free(changes)
    kept = len(indexed)
    assert kept < 72
    assert f"{72 - kept} added" in done(changes.add({"folder": "second"}))["title"]


def wait_until_free(changes):
    free = threading.Event()
    for _ in range(200):
        if not changes.writer.doing:
            return
        free.wait(0.05)
    raise AssertionError("the cancelled change never ended")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"read_only": True}, "A read-only page does not change the index"),
        ({"host": "0.0.0.0", "open": True}, "Everybody who reaches this page could add folders"),
        ({"open": True}, "Everybody who reaches this page could add folders"),
    ],
)
def test_folders_to_add_below_are_refused_where_all_could_add(indexed, photos, options, words):
    with pytest.raises(BadQuery, match=words):
        serve(indexed, port=free_port(), block=False, add_below=photos, **options)


def test_the_folder_to_add_below_must_be_there(indexed, tmp_path):
    with pytest.raises(BadQuery, match=r"There is no folder .*gone"):
        serve(indexed, port=free_port(), block=False, add_below=tmp_path / "gone")


# -- over HTTP -----------------------------------------------------------------------------------------------------


def events(url, client=httpx):
    """The events of the tab by name, with their numbers."""
    config = client.get(f"{url}/config").json()
    [view] = [each["id"] for each in config["components"] if each["props"].get("elem_id") == "index"]
    return {name: each["id"] for each in config["dependencies"] for id_, name in each["targets"] if id_ == view}


def sent(url, event, given, headers=None, client=httpx):
    body = {"data": [], "event_data": given, "fn_index": event, "session_hash": "forged"}
    client.post(f"{url}/gradio_api/queue/join", json=body, headers=headers).raise_for_status()
    stream = client.get(f"{url}/gradio_api/queue/data?session_hash=forged", timeout=30).text
    messages = [json.loads(line.removeprefix("data: ")) for line in stream.splitlines() if line]
    return [each["output"] for each in messages if each["msg"] in ("process_generating", "process_completed")]


@pytest.mark.parametrize("options", [{"read_only": True}, {"host": "0.0.0.0", "open": True}, {"open": True}])
def test_where_the_index_may_not_be_changed_no_event_does(indexed, serving, options):
    url = serving(indexed, **options).replace("0.0.0.0", "127.0.0.1")
    assert set(events(url)) == {"start"}
    [about] = sent(url, events(url)["start"], {})[0]["data"]
    assert about["changes"] is False


def test_another_site_cannot_change_the_index_through_a_browser_here(indexed, serving, photos):
    url = serving(indexed, add_below=photos)
    numbers = events(url)
    for headers in ({"origin": "https://evil.example"}, {"host": "evil.example"}, {"sec-fetch-site": "cross-site"}):
        said = json.dumps(sent(url, numbers["grow"], {"folder": "second", "prefix": "s"}, headers))
        assert "from this page only" in said
        assert str(photos) not in json.dumps(sent(url, numbers["start"], {}, headers))
    assert len(indexed) == 6
    said = json.dumps(sent(url, numbers["grow"], {"folder": "second", "prefix": "s"}))
    assert "6 added" in said


def test_behind_a_login_strangers_change_nothing(indexed, serving, photos):
    url = serving(indexed, auth=("me", "secret"), add_below=photos)
    answer = httpx.post(f"{url}/gradio_api/queue/join", json={"data": [], "fn_index": 1, "session_hash": "x"})
    assert answer.status_code == 401
    with httpx.Client() as client:
        client.post(f"{url}/login", data={"username": "me", "password": "secret"}).raise_for_status()
        assert {"grow", "refresh", "move", "labels"} <= set(events(url, client))


# -- in a browser --------------------------------------------------------------------------------------------------


def test_adding_a_folder_labels_and_pruning(visit, serving, indexed, photos, tmp_path):
    page = visit(serving(indexed, add_below=photos))
    status = page.locator("#head .status")
    open_tab(page, "Index")
    tab = page.locator("#index")
    tab.get_by_text("red/letter.jpg").wait_for()
    (photos / "second/bad.png").write_text("not a picture")
    tab.get_by_role("button", name="second").press("Enter")
    tab.get_by_label("Name before its ids").fill("blues")
    assert page.evaluate("document.activeElement.id") == "prefix"
    page.keyboard.press("Enter")
    tab.get_by_text("6 added").wait_for()
    status.get_by_text("12 pictures in 2 classes").wait_for()
    tab.get_by_role("region", name="Files that could not be indexed").get_by_text("blues/bad.png").wait_for()
    open_tab(page, "Search")
    assert "12 indexed pictures" in page.locator("#welcome .intro").inner_text()
    page.get_by_role("checkbox", name="blue").wait_for()  # the filters know the new class
    open_tab(page, "Index")
    table = tmp_path / "labels.csv"
    table.write_text("path;label\nred/0.png;sunset\ngone.png;x\n")
    tab.locator("#labels-file").set_input_files(table)
    tab.get_by_text("1 relabelled").wait_for()
    tab.get_by_text("no record has this id").wait_for()
    status.get_by_text("in 3 classes").wait_for()
    (photos / "first/red/1.png").unlink()
    tab.get_by_role("listitem").filter(has_text="first").get_by_role("button", name="Remove what is gone").click()
    tab.get_by_role("button", name="Sure?").click()
    tab.get_by_text("1 removed").wait_for()
    status.get_by_text("11 pictures").wait_for()


def test_a_change_shows_its_progress_and_can_be_cancelled(visit, serving, photos, tmp_path):
    class Waiting(QuarterColours):
        go_on = threading.Event()

        def extract(self, pixels):
            if len(pixels) > 2:  # not the two probe pictures
                self.go_on.wait(20)
            return super().extract(pixels)

    for i in range(40):
        paint(photos / f"second/more/{i:03}.png", (i + 1, 200, 0))
    extractor = Waiting()
    gallery = Gallery(create_index("memory:", new_passport(extractor.spec)), extractor)
    page = visit(serving(gallery, add_below=photos) + "/?tab=index")
    tab = page.locator("#index")
    tab.get_by_text("lives in memory").wait_for()
    tab.get_by_role("button", name="second").click()
    tab.get_by_role("button", name="Index this folder").click()
    tab.get_by_text("0 of 46 files to read are done").wait_for()
    other = visit(page.url)
    other.locator("#index progress").wait_for()  # begun elsewhere
    assert other.locator("#index").get_by_role("button", name="Choose a table").is_disabled()
    tab.get_by_role("button", name="Cancel").click()
    tab.get_by_text("Cancelled.").wait_for()
    extractor.go_on.set()
    tab.get_by_role("button", name="Bring this folder up to date").click()
    page.locator("#head .status", has_text="46 pictures").wait_for()


@pytest.mark.parametrize(("scheme", "device"), [("light", {}), ("dark", PHONE)], ids=["desk", "phone"])
def test_axe_finds_nothing_serious(visit, serving, indexed, photos, scheme, device):
    page = visit(serving(indexed, add_below=photos) + "/?tab=index", color_scheme=scheme, **device)
    tab = page.locator("#index")
    tab.get_by_role("button", name="second").click()
    tab.get_by_label("Name before its ids").wait_for()
    tab.get_by_text("Has an indexed folder moved here?").click()
    assert serious(page) == []
    tab.get_by_role("button", name="Index this folder").click()
    tab.get_by_text("6 added").wait_for()
    assert serious(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_hostile_names_are_text_in_the_tab(visit, serving, indexed, photos):
    names = [name.replace("/", "_").replace("\\", "_") for name in HOSTILE]
    for name in names:
        (photos / name).mkdir(exist_ok=True)
        (photos / "first" / f"{name}.jpg").write_text("no picture")
    page = visit(serving(indexed, add_below=photos) + "/?tab=index")
    tab = page.locator("#index")
    tab.get_by_role("button", name="Bring up to date").click()
    tab.get_by_text("6 unchanged").wait_for()
    shown = tab.locator(".below button").all_inner_texts()
    assert set(names) <= set(shown)
    assert page.evaluate("window.x") is None
    assert tab.locator("script, img").count() == 0
