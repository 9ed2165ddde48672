"""The command line as a person runs it: real processes, their output, and their exit codes."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from PIL import Image

from tests.small_extractor import paint

IMGSEARCH = Path(sys.executable).with_name("imgsearch")
COMMANDS = ("demo", "index", "search", "evaluate", "info", "export", "copy", "label", "weights", "doctor")
COMMANDS += ("serve", "replay", "recall", "tune", "health", "map")

NUMBER = {"type": "number"}
COUNT = {"type": "integer", "minimum": 0}
FAILED = {
    "type": "array",
    "items": {"type": "object", "required": ["path", "reason"], "properties": {"path": {"type": "string"}}},
}
INDEX = {
    "type": "object",
    "required": ["added", "updated", "moved", "unchanged", "removed", "failed"],
    "properties": dict.fromkeys(("added", "updated", "moved", "unchanged", "removed"), COUNT) | {"failed": FAILED},
}
HIT = {
    "type": "object",
    "required": ["rank", "id", "label", "score"],
    "properties": {
        "rank": {"type": "integer", "minimum": 1},
        "id": {"type": "string"},
        "label": {"type": ["string", "null"]},
        "score": {"type": "number", "minimum": -1, "maximum": 1},
    },
}
REPLAY = {
    "type": "object",
    "required": ["replays", "failed", "persistence"],
    "properties": {
        "replays": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["receipt", "overlap", "lost", "new", "changed"],
                "properties": {"overlap": {"type": "number", "minimum": 0, "maximum": 1}},
            },
        },
        "failed": FAILED,
        "persistence": NUMBER,
    },
}
SEARCH = {
    "type": "object",
    "required": ["query", "method", "hits", "own", "verdict", "ms"],
    "properties": {
        "query": {"type": "object"},
        "verdict": {
            "type": ["object", "null"],
            "required": ["like", "closest", "usual"],
            "properties": {"like": {"type": "boolean"}, "closest": NUMBER, "usual": NUMBER},
        },
        "method": {"type": "string"},
        "hits": {"type": "array", "items": HIT},
        "own": {"type": "array", "items": {"type": "string"}},
        "ms": {"type": "object", "required": ["extract", "search"], "additionalProperties": NUMBER},
    },
}
ESTIMATE = {"type": "object", "required": ["value", "low", "high"]}
ESTIMATES = {"type": "object", "required": ["P@1", "P@4", "R-precision", "mAP"], "additionalProperties": ESTIMATE}
EVALUATE = {
    "type": "object",
    "required": ["queries", "classes", "skipped_lone", "unlabelled", "micro", "macro", "per_class", "passport"],
    "properties": dict.fromkeys(("queries", "classes", "skipped_lone", "unlabelled"), COUNT)
    | {"micro": ESTIMATES, "macro": ESTIMATES, "per_class": {"type": "object"}, "passport": {"type": "object"}},
}


def run(*args, cwd, code=0, **options):
    """Runs the command and asserts its exit code; no traceback may ever show."""
    done = subprocess.run([IMGSEARCH, *map(str, args)], capture_output=True, text=True, cwd=cwd, **options)
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(scope="module")
def workplace(tmp_path_factory, conv_weights):
    """A folder with pictures/ (two classes, one bad file) and their index, made by the real command."""
    folder = tmp_path_factory.mktemp("cli")
    random = np.random.default_rng(0)
    for label, tint in (("cold", (40, 90, 255)), ("warm", (255, 120, 30))):
        for i in range(4):
            pixels = random.integers(0, 60, (48, 64, 3)) + np.array(tint) * 0.75
            path = folder / "pictures" / label / f"{i}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
    (folder / "pictures/warm/text.jpg").write_text("no picture")
    (folder / "list.json").write_text("[1, 2]")
    (folder / "empty.json").write_text("{}")
    done = run("index", "pictures", "--weights", conv_weights, "--json", cwd=folder, code=1)
    document = json.loads(done.stdout)
    jsonschema.validate(document, INDEX)
    assert document["added"] == 8
    assert [f["path"] for f in document["failed"]] == ["warm/text.jpg"]
    assert "text" in document["failed"][0]["reason"]
    return folder


def test_help_is_quick_to_read_and_names_every_command(tmp_path):
    text = run("--help", cwd=tmp_path).stdout
    for command in COMMANDS:
        assert f"  {command} " in text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(tmp_path, command):
    assert "Usage: imgsearch" in run(command, "--help", cwd=tmp_path).stdout


def test_indexing_again_does_nothing_and_lists_the_bad_file_again(workplace, conv_weights):
    done = run("index", "pictures", "--weights", conv_weights, cwd=workplace, code=1)
    assert "8 unchanged" in done.stdout
    assert "warm/text.jpg" in done.stdout


def test_an_index_is_rebuilt_with_another_extractor(workplace, conv_weights):
    copied = run("copy", "local:imgsearch.db", "local:again.db", cwd=workplace)
    assert "8 records" in copied.stdout
    words = ("--index", "again.db", "--weights", conv_weights, "--extractor", "vgg16-mac")
    refused = run("index", "pictures", *words, cwd=workplace, code=3)
    assert "was made by vgg16-rmac" in refused.stderr
    assert "--rebuild" in refused.stderr
    done = run("index", "pictures", *words, "--rebuild", cwd=workplace, code=1)
    assert "8 added" in done.stdout
    assert "warm/text.jpg" in done.stdout
    passport = json.loads(run("info", "--index", "again.db", "--json", cwd=workplace).stdout)
    assert (passport["spec"]["name"], passport["count"]) == ("vgg16-mac", 8)


def test_search_by_id_answers_the_documented_keys(workplace):
    document = json.loads(run("search", "--id", "cold/0.jpg", "-k", 3, "--json", cwd=workplace).stdout)
    jsonschema.validate(document, SEARCH)
    assert document["own"] == ["cold/0.jpg"]
    assert [hit["rank"] for hit in document["hits"]] == [1, 2, 3]
    scores = [hit["score"] for hit in document["hits"]]
    assert scores == sorted(scores, reverse=True)
    assert {hit["label"] for hit in document["hits"]} == {"cold"}


def test_a_folder_without_pictures_makes_no_index(workplace, tmp_path):
    (tmp_path / "empty").mkdir()
    run("index", "empty", cwd=tmp_path, code=3)
    run("index", "typo", cwd=tmp_path, code=3)
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_a_limit_on_pixels_goes_for_queries_too(workplace, conv_weights, tmp_path):
    paint(tmp_path / "large.png", "red", size=(600, 500))
    args = ("search", tmp_path / "large.png", "--weights", conv_weights)
    assert "--max-megapixels" in run(*args, "--max-megapixels", "0.2", cwd=workplace, code=3).stderr
    run(*args, cwd=workplace)


def test_search_by_picture_finds_its_class(workplace, conv_weights):
    picture = workplace / "pictures/warm/1.jpg"
    done = run("search", picture, "--weights", conv_weights, "--json", cwd=workplace)
    document = json.loads(done.stdout)
    jsonschema.validate(document, SEARCH)
    assert document["own"] == ["warm/1.jpg"]
    assert document["hits"][0]["label"] == "warm"


def test_search_takes_a_box_marks_and_several_queries(workplace, conv_weights):
    picture = workplace / "pictures/warm/1.jpg"
    marks = ("--plus", "cold/0.jpg", "--plus", "cold/1.jpg", "--minus", "warm/0.jpg")
    box = ("--id", "warm/2.jpg", "--box", "0.1,0,0.9,1", "--root", workplace / "pictures", "--distinct", "0.999")
    document = json.loads(run("search", *box, *marks, "--weights", conv_weights, "--json", cwd=workplace).stdout)
    jsonschema.validate(document, SEARCH)
    assert document["query"]["box"] == [0.1, 0, 0.9, 1]
    assert document["query"]["plus"] == ["cold/0.jpg", "cold/1.jpg"]
    assert not {hit["id"] for hit in document["hits"]} & {"cold/0.jpg", "cold/1.jpg", "warm/0.jpg", "warm/2.jpg"}
    both = json.loads(
        run("search", picture, "--id", "cold/0.jpg", "--weights", conv_weights, "--json", cwd=workplace).stdout
    )
    assert {"warm/1.jpg", "cold/0.jpg"} <= set(both["own"])


def test_a_receipt_is_replayed_and_its_overlap_decides_the_exit_code(workplace, conv_weights, tmp_path):
    receipt, index = tmp_path / "receipt.html", ("--index", f"local:{tmp_path / 'copy.db'}")
    shutil.copytree(workplace / "pictures", tmp_path / "pictures", ignore=shutil.ignore_patterns("text.jpg"))
    made = ("index", tmp_path / "pictures", "--weights", conv_weights, *index)
    run(*made, cwd=workplace)
    shutil.copy(workplace / "pictures/warm/1.jpg", tmp_path / "query.jpg")
    seen = ("search", tmp_path / "query.jpg", "-k", 4, "--weights", conv_weights, "--receipt", receipt)
    hits = json.loads(run(*seen, "--json", *index, cwd=workplace).stdout)["hits"]
    (tmp_path / "query.jpg").unlink()
    gate = ("replay", receipt, "--weights", conv_weights, "--min-overlap", 0.95)
    document = json.loads(run(*gate, "--json", *index, cwd=workplace).stdout)
    jsonschema.validate(document, REPLAY)
    assert (document["replays"][0]["overlap"], document["failed"]) == (1, [])
    (tmp_path / "pictures" / hits[0]["id"]).unlink()
    run(*made, "--prune", cwd=workplace)
    told = run(*gate, *index, cwd=workplace, code=1)
    assert re.search(rf"lost +{hits[0]['id']}", told.stdout)
    run("replay", receipt, "--weights", conv_weights, *index, cwd=workplace)  # without a bound nothing is wrong
    (tmp_path / "other.html").write_text("<!doctype html>")
    told = run("replay", receipt, tmp_path / "other.html", "--weights", conv_weights, *index, cwd=workplace, code=1)
    assert "it holds no search" in told.stdout
    assert "1 search repeated" in told.stdout


def test_search_prints_a_table_or_csv(workplace):
    table = run("search", "--id", "cold/0.jpg", "-k", 2, cwd=workplace)
    assert "the query itself is indexed\n  cold/0.jpg\n" in table.stdout
    assert "search" in table.stderr
    rows = list(csv.DictReader(io.StringIO(run("search", "--id", "cold/0.jpg", "--csv", cwd=workplace).stdout)))
    assert [row["rank"] for row in rows] == [str(i + 1) for i in range(7)]
    assert rows[0]["label"] == "cold"


def test_asking_for_an_approximate_answer_that_is_not_to_be_had_is_said(workplace):
    for options in (["--approx"], ["--candidates", "50"], ["--probes", "1"]):
        document = json.loads(run("search", "--id", "cold/0.jpg", *options, "--json", cwd=workplace).stdout)
        assert document["method"] == "exact"
        assert "no approximate method" in document["note"]


def test_label_filter_and_least_score(workplace):
    args = ("search", "--id", "cold/0.jpg", "--label", "warm", "--json")
    hits = json.loads(run(*args, cwd=workplace).stdout)["hits"]
    assert [hit["label"] for hit in hits] == ["warm"] * 4
    assert json.loads(run(*args, "--min-score", "1", cwd=workplace).stdout)["hits"] == []


def test_evaluate_prints_and_writes_the_documented_keys(workplace, tmp_path):
    out = tmp_path / "result.json"
    done = run("evaluate", "--k", "1,4", "--per-query", "--json", "-o", out, cwd=workplace)
    document = json.loads(done.stdout)
    jsonschema.validate(document, EVALUATE)
    assert json.loads(out.read_text()) == document
    assert len(document["per_query"]["ids"]) == 8
    out.write_text(done.stdout, encoding="utf-16")  # as `> result.json` does in PowerShell
    against = json.loads(run("evaluate", "--k", "1,4", "--json", "--against", out, cwd=workplace).stdout)["against"]
    assert against["micro"]["P@1"]["difference"] == 0
    assert document["queries"] == 8
    assert document["classes"] == 2
    text = run("evaluate", cwd=workplace).stdout
    assert "mAP" in text


def test_info_tells_the_passport(workplace):
    document = json.loads(run("info", "--json", cwd=workplace).stdout)
    assert document["count"] == 8
    assert document["labels"] == ["cold", "warm"]
    assert document["spec"]["name"] == "vgg16-rmac"
    assert len(document["spec"]["weights_digest"]) == 64
    assert document["root"] == str((workplace / "pictures").resolve())
    assert "probes" not in document
    text = run("info", cwd=workplace).stdout
    assert "vgg16-rmac" in text
    assert "warm/text.jpg" in text


def test_export_writes_what_other_programs_read(workplace, tmp_path):
    run("export", "-o", tmp_path / "x.npz", cwd=workplace)
    with np.load(tmp_path / "x.npz", allow_pickle=False) as arrays:
        assert arrays["ids"].tolist() == sorted(arrays["ids"].tolist())
        assert arrays["vectors"].shape == (8, 512)
        assert arrays["vectors"].dtype == np.float32
        assert arrays["labels"].tolist() == ["cold"] * 4 + ["warm"] * 4
        assert {len(digest) for digest in arrays["sha256"].tolist()} == {64}
    run("export", "-o", tmp_path / "x.csv", cwd=workplace)
    assert [row["label"] for row in csv.DictReader((tmp_path / "x.csv").open())] == ["cold"] * 4 + ["warm"] * 4
    assert "must end in .npz" in run("export", "-o", tmp_path / "x.txt", cwd=workplace, code=2).stderr


def test_copy_there_and_back_gives_the_same_answers(workplace, tmp_path):
    run("copy", "local:imgsearch.db", f"npz:{tmp_path / 'a.npz'}", cwd=workplace)
    run("copy", f"npz:{tmp_path / 'a.npz'}", f"local:{tmp_path / 'b.db'}", cwd=workplace)
    first = json.loads(run("search", "--id", "cold/0.jpg", "--json", cwd=workplace).stdout)
    again = json.loads(
        run("search", "--id", "cold/0.jpg", "--json", "--index", tmp_path / "b.db", cwd=workplace).stdout
    )
    assert first["hits"] == again["hits"]
    refused = run("copy", "local:imgsearch.db", f"local:{tmp_path / 'b.db'}", cwd=workplace, code=3)
    assert "already" in refused.stderr


def test_evaluate_ranks_and_writes_trec_files(workplace, tmp_path):
    args = ("evaluate", "--k", "1,4", "--rank", "pca:4:0.5,qe:2:1", "--trec", tmp_path / "x", "--json")
    document = json.loads(run(*args, cwd=workplace).stdout)
    jsonschema.validate(document, EVALUATE)
    assert document["rank"] == "pca:4:0.5,qe:2:1"
    assert len((tmp_path / "x.qrels").read_text().splitlines()) == 8 * 3
    assert len((tmp_path / "x.run").read_text().splitlines()) == 8 * 7


def test_health_says_what_is_wrong_with_the_index(workplace, tmp_path):
    text = run("health", "-k", 3, cwd=workplace).stdout
    assert "hubs" in text
    assert "shares the query's class with probability" in text
    done = run("health", "-k", 3, "--json", "-o", tmp_path / "h.json", cwd=workplace)
    written = json.loads(done.stdout)
    assert written["novelty"] is None
    assert "No search will say that nothing looks like its picture. 2 classes have several pictures" in done.stderr
    assert json.loads((tmp_path / "h.json").read_text()) == written


def test_map_writes_one_file(workplace, tmp_path):
    done = run("map", "-o", tmp_path / "map.html", cwd=workplace)
    assert "map.html" in done.stdout
    page = (tmp_path / "map.html").read_text()
    assert page.count("data:image/webp") >= 8
    assert str(workplace) not in page


def test_map_lists_the_pictures_it_could_not_draw(workplace, tmp_path):
    done = run("map", "-o", tmp_path / "map.html", "--root", tmp_path, cwd=workplace, code=1)
    assert "8 failed" in done.stdout
    assert "cold/0.jpg" in done.stdout


def test_recall_of_an_exact_index_says_what_to_do(workplace):
    assert "--method SPEC" in run("recall", cwd=workplace, code=3).stderr


def test_tune_proposes_a_method_for_a_wanted_recall(workplace):
    document = json.loads(run("tune", "--recall", "0.9", "-k", 2, "--json", cwd=workplace).stdout)
    assert {proposal["method"].partition(":")[0] for proposal in document["proposals"]} & {
        "l2-lsh",
        "cosine-lsh",
        "permutation-lsh",
    }


def test_label_changes_labels_and_lists_unknown_paths(workplace, tmp_path):
    copied = f"local:{tmp_path / 'copy.db'}"
    run("copy", "local:imgsearch.db", copied, cwd=workplace)
    (tmp_path / "labels.csv").write_text("path,label\ncold/0.jpg,icy\nnowhere.jpg,x\n")
    done = run("label", tmp_path / "labels.csv", "--index", copied, cwd=workplace, code=1)
    assert "1 relabelled" in done.stdout
    assert "nowhere.jpg" in done.stdout
    assert "icy" in run("info", "--json", "--index", copied, cwd=workplace).stdout


def test_weights_lists_what_is_here_with_digest_and_size(workplace):
    rows = json.loads(run("weights", "--json", cwd=workplace).stdout)
    assert {row["name"] for row in rows} >= {"vgg16-conv", "vgg16"}
    assert "vgg16-conv" in run("weights", cwd=workplace).stdout


def test_doctor_says_ok_or_what_to_do_on_each_line(workplace):
    done = subprocess.run([IMGSEARCH, "doctor", "--json"], capture_output=True, text=True, cwd=workplace)
    checks = {check["name"]: check for check in json.loads(done.stdout)}
    assert set(checks) == {"python", "packages", "weights", "index", "memory", "browser"}
    assert checks["index"]["detail"].startswith("local:./imgsearch.db: 8 pictures")
    assert not checks["weights"]["ok"]  # an empty cache folder
    assert "imgsearch weights fetch" in checks["weights"]["detail"]
    assert done.returncode == 1


def test_serve_says_where_the_page_is_and_ends_quietly_on_ctrl_c(workplace, conv_weights):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [IMGSEARCH, "serve", "--port", str(port), "--weights", str(conv_weights)]
    process = subprocess.Popen(command, cwd=workplace, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        assert line == f"The page is at http://127.0.0.1:{port}/\n", process.stderr.read()
        with urllib.request.urlopen(line.split()[-1]) as answer:
            assert answer.status == 200
    finally:
        process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert "Traceback" not in err
    assert process.returncode in (0, 130)


@pytest.mark.parametrize(
    ("args", "code", "sentence"),
    [
        (("search", "--id", "x", "--index", "local:none.db"), 3, "none.db"),
        (("search",), 2, "give a picture or --id"),
        (("search", "--id", "cold/0.jpg", "--json", "--csv"), 2, "exclude each other"),
        (("index", "pictures", "--max-megapixels", "nan"), 2, "max-megapixels"),
        (("index", "My", "photos"), 2, "extra argument(s) (photos). A path with spaces belongs in quotes."),
        (("index", "nowhere"), 3, "nowhere cannot be read"),
        (("index", "pictures", "--method", "hnsw"), 3, "has the method exact, not hnsw"),
        (("evaluate", "--k", "0"), 2, "at least 1"),
        (("evaluate", "--trec", "nowhere/stem"), 3, "nowhere/stem.run cannot be written"),
        (("evaluate", "--against", "list.json"), 3, "has no JSON object"),
        (("evaluate", "--against", "empty.json"), 3, "--per-query -o FILE"),
        (("serve", "--port", "99999"), 2, "--port"),
        (("serve", "--compare", "local:none.db"), 3, "There is no index at local:none.db"),
        (("recall", "--plot", "x.txt"), 2, "must end in .png, .svg or .pdf"),
        (("search", "--id", "cold/0.jpg", "--box", "0,0,1"), 3, "four numbers LEFT,TOP,RIGHT,BOTTOM"),
        (("search", "--id", "cold/0.jpg", "--plus", "nowhere"), 3, "no picture with the id 'nowhere'"),
        (("search", "--id", "nowhere"), 3, "no picture with the id 'nowhere'"),
        (("search", "--id", "cold/0.jpg", "--label", "tepid"), 3, "tepid"),
        (("search", "missing.jpg"), 3, "missing.jpg"),
        (("search", "https://example.org/a.jpg"), 3, "is an address, not a file here. Download the picture"),
        (("search", "-k", "0", "--id", "cold/0.jpg"), 2, "-k"),
        (("evaluate", "--k", "1,x"), 2, "--k takes whole numbers"),
        (("index", "pictures", "--extractor", "vgg16-rmax"), 3, "vgg16-rmac"),
        (("info", "--index", "ftp://x"), 3, "ftp://x"),
        (("serve", "--auth", "nocolon"), 2, "USER:PASS"),
        (("frobnicate",), 2, "frobnicate"),
    ],
)
def test_wrong_use_is_one_sentence_and_its_exit_code(workplace, args, code, sentence):
    done = run(*args, cwd=workplace, code=code)
    assert sentence in done.stderr
    assert done.stdout == ""


def test_weights_that_are_not_here_name_the_ways_to_get_them(tmp_path):
    paint(tmp_path / "pictures/a.png", "red")
    environment = os.environ | {"IMGSEARCH_CACHE": str(tmp_path / "c"), "KERAS_HOME": str(tmp_path / "k")}
    environment |= {"https_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}
    done = run("index", "pictures", "--extractor", "vgg16-fc1", cwd=tmp_path, code=3, env=environment)
    assert "--weights" in done.stderr
    assert "imgsearch weights fetch" in done.stderr
    assert not (tmp_path / "imgsearch.db").exists()


def test_ctrl_c_ends_with_a_report_and_a_second_run_carries_on(tmp_path, conv_weights):
    for i in range(150):
        paint(tmp_path / "pictures/many" / f"{i:03}.png", (i, 255 - i, 90))
    command = [IMGSEARCH, "index", "pictures", "--weights", str(conv_weights), "--json"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    database = tmp_path / "imgsearch.db"
    while not _count(database):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "the same command continues" in err
    assert "Traceback" not in err
    added = json.loads(out)["added"]
    assert 0 < added < 150
    again = json.loads(run("index", "pictures", "--weights", conv_weights, "--json", cwd=tmp_path).stdout)
    assert again["added"] + added == 150
    assert again["unchanged"] == added


def _count(database):
    """How many records a running process has committed so far."""
    import sqlite3

    if not database.exists():
        return 0
    try:
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
            return connection.execute("SELECT count(*) FROM records").fetchone()[0]
    except sqlite3.OperationalError:  # the tables are not there yet
        return 0


MISPLACED = [
    "info {}",
    "index {}",
    "label {}",
    "evaluate --split {}",
    "evaluate --against {}",
    "health -o {}",
    "export -o {}",
    "export -o {}.npz",
    "info --index https://h/X?api_key=SECRET",
    "info --{}",
    "{}",
]


@pytest.mark.parametrize("command", MISPLACED)
def test_a_login_typed_where_no_address_belongs_is_not_repeated(command, workplace):
    words = command.format("http://u:SECRET@h/x").split()
    done = subprocess.run([IMGSEARCH, *words], capture_output=True, text=True, cwd=workplace)
    assert done.returncode in (2, 3), done.stderr
    assert done.stderr.strip()
    assert "SECRET" not in done.stdout + done.stderr


OUTPUTS = {
    "evaluate -o": "x.json",
    "evaluate --trec": "x",
    "health -k 3 -o": "x.json",
    "recall -o": "x.json",
    "recall --plot": "x.png",
    "tune -k 2 -o": "x.json",
    "map -o": "x.html",
    "export -o": "x.csv",
    "search --id cold/0.jpg --receipt": "x.html",
}


@pytest.mark.parametrize("command", OUTPUTS)
def test_no_output_is_written_over_an_index_or_a_file_that_the_kit_did_not_write(command, workplace, tmp_path):
    path = tmp_path / OUTPUTS[command]
    found = path.with_suffix(".run") if "trec" in command else path
    for content, words in (
        (b"SQLite format 3\0" + bytes(80), "is an index or another database"),
        (b"\x89PNG\r\n\x1a\n" + bytes(80), "overwrite this one with --force"),
    ):
        found.write_bytes(content)
        done = run(*command.split(), path, cwd=workplace, code=3)
        assert words in done.stderr
        assert done.stderr.count("\n") == 1
        assert found.read_bytes() == content


TWICE = ["recall -o x.svg --plot ./x.svg", "recall -o link.svg --plot x.svg --force"]
TWICE += ["evaluate -o x.run --trec x", "evaluate -o x.qrels --trec ../twice/x --force"]


@pytest.mark.parametrize("command", TWICE)
def test_two_outputs_are_not_written_to_one_file(command, workplace):
    folder = workplace / "twice"
    folder.mkdir(exist_ok=True)
    if "link" in command:
        (folder / "link.svg").symlink_to("x.svg")
    done = run(*command.split(), "--index", "local:../imgsearch.db", cwd=folder, code=3)
    assert re.search(r"Two outputs would be written to one file, .*x\.(svg|run|qrels)\. Name two files\.", done.stderr)
    assert not [path for path in folder.iterdir() if not path.is_symlink()]


@pytest.mark.parametrize("command", ["evaluate -o", "export -o", "search --id cold/0.jpg --receipt"])
def test_an_output_is_written_again_and_over_another_file_by_force(command, workplace, tmp_path):
    path = tmp_path / OUTPUTS[command]
    run(*command.split(), path, cwd=workplace)
    run(*command.split(), path, cwd=workplace)
    path.write_text("my notes")
    run(*command.split(), path, "--force", cwd=workplace)
    assert path.stat().st_size > 100
