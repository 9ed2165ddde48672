"""Names that a terminal would obey, and standard streams that are closed, full or not UTF-8, in real processes."""

from __future__ import annotations

import csv
import io
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from imgsearch_kit import Gallery
from imgsearch_kit.reports import Table, csv_lines, json_text, visible
from tests.small_extractor import QuarterColours, paint

IMGSEARCH = Path(sys.executable).with_name("imgsearch")
LABELS = ["plain", "esc\x1b[31mape", "new\nline", "rtl\u202egpj", "tab\tret\rurn", "c1\x9b31m", "é日"]
QUERY = "esc\x1b[31mape/0.png"
CONTROL = {chr(code) for code in (*range(32), *range(0x7F, 0xA0), *range(0x202A, 0x202F))} - {"\n"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder whose name is not UTF-8, three pictures in each of a few classes of hostile names, and their index."""
    place = tmp_path_factory.mktemp("streams")
    root = Path(os.fsdecode(bytes(place) + b"/fold\xe9r"))
    colours = np.random.default_rng(0).integers(20, 255, (len(LABELS) * 3, 3)).tolist()
    for i, colour in enumerate(colours):
        paint(root / LABELS[i // 3] / f"{i % 3}.png", tuple(colour))
    with Gallery.from_folder(root, f"local:{place}/l.db", QuarterColours()) as gallery:
        assert not gallery.report.failed
    return place


def run(command, folder, *open_files, **variables):
    """The exit code, output and messages of a line of shell in which `imgsearch` is the command; never a traceback."""
    environment = {"PATH": f"{IMGSEARCH.parent}:{os.environ['PATH']}", "IMGSEARCH_INDEX": "local:l.db"} | {
        name: value for name, value in os.environ.items() if name.startswith(("IMGSEARCH_CACHE", "HOME", "PYTHONPATH"))
    }
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, capture_output=True, env=environment | variables, pass_fds=open_files
    )
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    assert b"Exception ignored" not in done.stderr, done.stderr.decode()
    return done.returncode, done.stdout, done.stderr.decode()


SEARCH = f"search --id {shlex.quote(QUERY)}"
COMMANDS = [
    "info",
    "info --json",
    "--help",
    "--version",
    "health -k 3",
    "evaluate --json",
    f"{SEARCH} --csv",
    "weights",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_behind_standard_output_is_one_sentence(command, folder):
    code, _, said = run(f"imgsearch {command} >/dev/full", folder)
    assert code == 3
    words = "imgsearch: The result cannot be written to standard output: No space left on device. "
    assert said.splitlines()[-1].startswith(words)


@pytest.mark.parametrize("command", ["info", "--help", "evaluate", f"{SEARCH} --csv"])
def test_a_pipe_that_nobody_reads_ends_the_command_quietly(command, folder):
    reader, pipe = os.pipe()
    os.close(reader)
    code, _, said = run(f"imgsearch {command} >&{pipe}", folder, pipe)
    os.close(pipe)
    assert code == 141
    assert not said


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-", "2>/dev/full"])
@pytest.mark.parametrize("command", ["info --json", "evaluate -o written", f"{SEARCH} --csv"])
def test_closed_streams_change_nothing_else(command, closed, folder):
    code, out, _ = run(f"imgsearch {command} {closed}", folder)
    assert code == 0
    assert bool(out) == (not closed.startswith((">", "<")))
    if "-o" in command:
        assert json.loads((folder / "written").read_text())["queries"] == 3 * len(LABELS)
        (folder / "written").unlink()


def test_an_error_with_closed_streams_has_its_exit_code(folder):
    for closed in ("2>&-", "2>/dev/full", ">&- 2>&-"):
        assert run(f"imgsearch search --id nowhere {closed}", folder)[0] == 3
        assert run(f"imgsearch frobnicate {closed}", folder)[0] == 2


ENCODINGS = {
    "the C locale": {"LC_ALL": "C"},
    "ASCII": {"PYTHONIOENCODING": "ascii:strict"},
    "Latin-1": {"PYTHONIOENCODING": "latin-1:strict"},
    "strict UTF-8": {"PYTHONIOENCODING": "utf-8:strict"},
    "no UTF-8 mode": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_names_are_exact_for_programs_whatever_the_console_shows(encoding, folder):
    variables = ENCODINGS[encoding]
    code, out, _ = run("imgsearch info --json", folder, **variables)
    document = json.loads(out)
    assert (code, document["labels"]) == (0, sorted(LABELS))
    assert os.fsencode(document["root"]).endswith(b"/fold\xe9r")
    assert not CONTROL & set(out.decode())  # nor does a terminal obey what is shown
    code, out, _ = run(f"imgsearch {SEARCH} --csv -k 30", folder, **variables)
    rows = list(csv.DictReader(io.StringIO(out.decode("utf-8"), newline="")))
    assert code == 0
    assert {row["label"] for row in rows} == set(LABELS)
    assert {row["id"] for row in rows} == {f"{label}/{i}.png" for label in LABELS for i in range(3)} - {QUERY}
    code, _, _ = run("imgsearch evaluate --json -o written --trec written", folder, **variables)
    assert code == 0
    assert set(json.loads((folder / "written").read_text(encoding="utf-8"))["per_class"]) == set(LABELS)
    lines = (folder / "written.run").read_text(encoding="utf-8").split("\n")
    assert {len(line.split()) for line in lines[:-1]} == {6}


@pytest.mark.parametrize(
    ("command", "encoding"),
    [*(("info", encoding) for encoding in ENCODINGS), (f"{SEARCH} -k 30", "Latin-1"), ("evaluate", "strict UTF-8")],
)
def test_names_are_escaped_for_people(command, encoding, folder):
    code, out, said = run(f"imgsearch {command}", folder, **ENCODINGS[encoding])
    shown = out.decode(ENCODINGS[encoding].get("PYTHONIOENCODING", "utf-8").partition(":")[0])
    assert code == 0
    assert not CONTROL & set(shown + said)
    assert r"esc\x1b[31mape" in shown
    assert r"new\nline" in shown
    assert r"rtl\u202egpj" in shown


@pytest.mark.parametrize(
    "command",
    [
        "search --id {}",
        "search --id plain/0.png --label {}",
        "search {}",
        "info --index local:{}.db",
        "info --index npz:{}.npz",
        "info --index http://127.0.0.1:9/{}",
        "info --index http://{}:9/x",
        "info --index {}",
        "info --extractor {}",
        "search --id plain/0.png --rank {}",
        "evaluate --k {}",
        "evaluate --split {}",
        "evaluate --against {}",
        "evaluate --exclude-label {}",
        "evaluate --queries local:{}",
        "index {}",
        "index . --labels {}",
        "label {}",
        "export -o {}",
        "map -o nowhere/{}",
        "evaluate -o nowhere/{}",
        "remove {}",
        "weights fetch {}",
        "tune --on {}",
        "serve --auth {}",
        "{}",
        "info --{}",
    ],
)
def test_what_a_person_types_is_escaped_in_the_message(command, folder):
    hostile = "$'q\\xe9\\x1b[31m\\n\\xe2\\x80\\xae\\xc2\\x9b'"
    code, out, said = run(f"imgsearch {command.format(hostile)}", folder)
    assert code in (0, 1, 2, 3)
    assert not CONTROL & set(out.decode() + said)


@pytest.mark.parametrize("copied", ["local:copy\udce9.db", "npz:copy\udce9.npz"])
def test_files_whose_names_are_not_utf_8_are_written_and_read(copied, folder):
    name = os.fsencode(copied)
    with Gallery.open(f"local:{folder}/l.db") as gallery:
        kind, _, file = copied.partition(":")
        gallery.copy_to(f"{kind}:{folder}/{file}").close()
        with Gallery.open(f"{kind}:{folder}/{file}") as copy:
            assert copy.passport.root == gallery.passport.root
            assert copy.records() == gallery.records()
            assert name.endswith(os.fsencode(Path(copy.index.address.partition(":")[2]).name))
        gallery.export(folder / "x\udce9.csv")
        assert gallery.map(folder / "x\udce9.html", progress=False).failed == []


def test_text_is_one_line_that_no_terminal_obeys():
    hostile = "a\x1b[31m\u202eb\n\udce9é日\u200d"
    assert visible(hostile) == "a\\x1b[31m\\u202eb\\n\\udce9é日\u200d"
    assert str(Table([[hostile, 1]], ["x\n", "y"], title=hostile)).count("\n") == 2  # title, head and row
    assert json.loads(json_text({hostile: [hostile]})) == {hostile: [hostile]}
    rows = [["a\rb", "c\nd", 'e"f', "g,h", "\x1b", "é"]]
    assert list(csv.reader(io.StringIO("".join(csv_lines(rows)), newline=""))) == rows
