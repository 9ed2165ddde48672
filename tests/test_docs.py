"""README and docs say what is so: commands exist, links lead somewhere, help is the real one."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
from pathlib import Path

import pytest
from typer.main import get_command

from imgsearch_kit.cli import app

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted(path for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
README, QUALITY, SPEED, SERVERS = (
    (ROOT / path).read_text() for path in ("README.md", "docs/quality.md", "docs/speed.md", "docs/servers.md")
)
FENCES = re.compile(r"^```(?:bash|sh)\n(.*?)^```", re.M | re.S)


def module(path):
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shell_lines():
    text = "\n".join((README, QUALITY, SPEED, SERVERS))
    lines = [line.strip() for block in FENCES.findall(text) for line in block.replace("\\\n", " ").splitlines()]
    return [re.sub(r"\s+#.*", "", line) for line in lines if line and not line.startswith("#")]


def test_commands_md_is_the_real_help():
    assert (ROOT / "docs/commands.md").read_text() == module("docs/commands.py").render(), "type: make docs"


@pytest.mark.parametrize("line", [line for line in shell_lines() if line.startswith("imgsearch ")])
def test_readme_commands_exist_with_their_options(line):
    words, command = line.split()[1:], get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    known = {option for param in command.params for option in param.opts}
    assert not hasattr(command, "commands") or command.name == "weights", f"no command in: {line}"
    assert {word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)} <= known


@pytest.mark.parametrize("line", [line for line in shell_lines() if line.startswith("make ")])
def test_readme_make_targets_exist(line):
    targets = [word for word in line.split()[1:] if "=" not in word]
    subprocess.run(["make", "-n", "-C", ROOT, *targets], capture_output=True, check=True)


def test_readme_shows_every_command():
    for name in get_command(app).commands:
        assert f"imgsearch {name}" in README, f"README does not show imgsearch {name}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_inside_the_repository_lead_somewhere(document):
    text = document.read_text()
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", text) + re.findall(r'src="([^"]+)"', text):
        if "://" not in target:
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_readme_is_one_screen_and_its_continuation():
    assert len(README.splitlines()) <= 160


def test_readme_quotes_its_headline_figures():
    micro = json.loads((ROOT / "results/caltech101-classes.json").read_text())["micro"]
    choice = json.loads((ROOT / "results/caltech101-choice.json").read_text())
    assert choice["better"]
    assert f"`{choice['winner']['extractor']}` under `{choice['winner']['rank']}`" in README
    for figures in (micro, choice["held_out"]["default"], choice["held_out"]["chosen"]):
        words = [f"{f['value']:.4f} [{f['low']:.4f}, {f['high']:.4f}]" for f in (figures["P@4"], figures["mAP"])]
        assert f"| {' and '.join(words)} |" in README
    found = {
        name: json.loads((ROOT / f"benchmarks/results/{name}.json").read_text()) for name in ("throughput", "page")
    }
    assert f"batch rate | {found['throughput']['ratios']['indexing_to_bare']:.0%} |" in README
    assert f"median | {found['page']['ms']['drop to drawn']['p50']:.0f} ms |" in README


def test_the_table_of_what_to_take_quotes_the_results():
    int8 = json.loads((ROOT / "benchmarks/results/int8.json").read_text())["rows"][0]
    engines = json.loads((ROOT / "benchmarks/results/engines.json").read_text())
    choice = json.loads((ROOT / "results/caltech101-choice.json").read_text())
    figures = {(row["extractor"], row["rank"]): row for row in choice["candidates"]}
    rows = json.loads((ROOT / "results/caltech101.json").read_text())["leave-one-out"]
    rca = next(r["micro"] for r in rows if (r["extractor"], r["rank"]) == ("vgg16-rmac", "rca:128:15,dba:10:1,qe:10:1"))
    winner, default = (figures[choice[name]["extractor"], choice[name]["rank"]] for name in ("winner", "default"))
    one_pass = figures["vgg16-rmac-ml@int8", choice["winner"]["rank"]]
    for words in (
        f"P@4 {int8['P@4']['float']['value']:.4f}, {engines['ms_per_picture']['onnxruntime, indexing']:.0f} ms a",
        f"{engines['ratios']['int8_indexing_to_float']:.1f} times as fast",
        f"P@4 {int8['P@4']['int8']['value']:.4f}; {int8['overlap']:.3f} of the ten nearest",
        f"P@4 {rca['P@4']['value']:.4f}",
        f"P@4 {one_pass['P@4']:.4f}",
        f"P@4 {winner['P@4']:.4f}",
        f"{winner['cost']['extract_ms'] / default['cost']['extract_ms']:.1f} times the time",
    ):
        assert words in README, words


def test_quality_quotes_the_evaluation_per_class():
    results = json.loads((ROOT / "results/caltech101-classes.json").read_text())
    for mean in ("micro", "macro"):
        row = next(line for line in QUALITY.splitlines() if line.startswith(f"| {mean} (mean over"))
        quoted = [cell.strip() for cell in row.split("|")[2:-1]]
        figures = [results[mean][name] for name in ("P@1", "P@4", "P@10", "mAP")]
        assert quoted == [f"{f['value']:.4f} [{f['low']:.4f}, {f['high']:.4f}]" for f in figures]
    assert f"{results['queries']:,} pictures" in QUALITY
    assert f"chance is a P@4 of {results['chance']['micro']['P@4']:.4f}" in QUALITY.lower().replace("p@4", "P@4")


def test_results_name_their_data_weights_and_date():
    per_class = json.loads((ROOT / "results/caltech101-classes.json").read_text())
    table = json.loads((ROOT / "results/caltech101.json").read_text())
    for name, passport in {"vgg16-rmac": per_class["passport"], **table["passports"]}.items():
        assert passport["data"] == ["caltech101"]
        assert passport["spec"]["name"] == name
        assert re.fullmatch(r"[0-9a-f]{64}", passport["spec"]["weights_digest"])
    for row in (per_class, *table["leave-one-out"], *table["split"]):
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", row["date"])


def quoted_methods(cells):
    """The table rows of methods with candidates, by method, that have so many further cells."""
    rows = re.findall(r"^\| `([^`]+candidates=\d+)` \| (.*) \|$", SERVERS, re.M)
    return {method: row.split(" | ") for method, row in rows if row.count(" | ") == cells - 1}


def test_servers_quotes_the_approximation_files():
    results = json.loads((ROOT / "results/caltech101-approximation.json").read_text())
    timed = {row["method"]: (row, report["rows"][0]) for report in results.values() for row in report["rows"]}
    assert len(quoted_methods(4)) == 8
    for method, cells in quoted_methods(4).items():
        assert cells == measured(*timed[method])
    long = json.loads((ROOT / "results/approximation-4096.json").read_text())
    timed = {row["method"]: (row, rows[0]) for rows in long["methods"].values() for row in rows}
    assert len(quoted_methods(5)) == 6
    for method, cells in quoted_methods(5).items():
        row, exact = timed[method]
        predicted = "–" if row["predicted"] is None else f"{row['predicted']:.3f}"
        assert cells == [predicted, *measured(row, exact)]


def measured(row, exact):
    figures = f"{row['recall']['value']:.3f}", f"{row['lost']['value'] + 0:.3f}"
    return [*figures, f"{row['p50']:.1f}", f"{exact['p50']:.1f}"]


def test_quality_and_the_tables_quote_the_results_file():
    results, benchmark = json.loads((ROOT / "results/caltech101.json").read_text()), module("benchmarks/caltech101.py")
    assert (ROOT / "docs/caltech101.md").read_text() == benchmark.tables(results)
    assert benchmark.summary(results) in QUALITY
    for protocol in ("leave-one-out", "split"):
        best = max(results[protocol], key=lambda row: row["micro"]["mAP"]["value"])
        assert f"`{best['extractor']}` under `{best['rank']}`" in QUALITY
        measures = ("P@4", "mAP") if protocol == "leave-one-out" else ("mAP",)
        for figure in (best["micro"][name] for name in measures):
            assert f"{figure['value']:.4f} [{figure['low']:.4f}, {figure['high']:.4f}]" in QUALITY
    own = results["own row inside"]["micro"]
    assert f"P@4 {own['P@4']['value']:.4f} and mAP {own['mAP']['value']:.4f}" in QUALITY
    rows = [row for row in results["leave-one-out"] + results["split"] if not row["uses"]["labels"]]
    assert len(rows) == len(results["leave-one-out"] + results["split"])
    widest = {
        name: max((r["micro"][name]["high"] - r["micro"][name]["low"]) / 2 for r in results["leave-one-out"])
        for name in ("P@4", "mAP")
    }
    assert f"at most {widest['P@4']:.4f} for P@4 and {widest['mAP']:.4f} for mAP" in QUALITY


def test_speed_quotes_the_benchmarks():
    found = {path.stem: json.loads(path.read_text()) for path in (ROOT / "benchmarks/results").glob("*.json")}
    drop = found["page"]["ms"]["drop to drawn"]
    short, long = found["evaluation"]["rows"]
    site, change = found["site"], found["what_if"]["rows"][0]
    alone, together = site["times"]
    servers = [part for name, part in found["server"].items() if name.startswith("Elasticsearch")]
    native, elastiknn = (part["writing"] for part in servers)
    slowest = max(row["ratio"] for part in servers for name, row in part.items() if name.startswith("searching"))
    for words in (
        f"is {native['ratio']:.1f} times as fast as one request per picture",
        f"({min(native['ratios']):.1f} to {max(native['ratios']):.1f} in three rounds), {elastiknn['ratio']:.1f} times",
        f"({min(elastiknn['ratios']):.1f} to {max(elastiknn['ratios']):.1f}); a search takes at most {slowest:.2f}",
        f"takes {short['seconds']:.1f} s and {short['peak_mb'] / 1e3:.2f} GB at 512",
        f"{long['seconds']:.1f} s and {long['peak_mb'] / 1e3:.2f} GB at",
        f"reaches {found['throughput']['ratios']['indexing_to_bare']:.0%} of the bare",
        f"{found['throughput']['ratios']['indexing_to_predict']:.1f} times by the medians",
        f"8,677 pictures peaks at {found['throughput']['peak_memory_bytes'] / 1e9:.2f} GB",
        f"Decoding is {found['decoding']['share_of_cpu_seconds']:.1%} of the work",
        f"at most {found['search']['worst']:.2f} times a bare",
        f"photographs are indexed with int8 in {found['photographs']['ahead_to_cores']:.2f} times",
        f"{drop['p50']:.0f} ms in the median, {drop['p95']:.0f} ms at the 95th",
        f"takes {site['mb']['whole']} MB, {site['mb']['whole'] - site['mb']['model']:.1f} of them without the network",
        f"its first screen {alone['first_screen_kb']:.0f} KB",
        f"after {alone['first_s']:.1f} s with one thread and {together['first_s']:.1f} s with two",
        f"later ones after {alone['later_s']['p50']} and {together['later_s']['p50']} s in the median",
        f"a cosine of at least {site['agreement']['least_cosine']:.4f}, and {site['agreement']['overlap']} of the ten",
        f"{change['ms']} ms for the figures",
    ):
        assert words in SPEED


def test_engines_and_int8_are_quoted_from_their_results():
    engines = json.loads((ROOT / "benchmarks/results/engines.json").read_text())
    ms, ratios, starts = engines["ms_per_picture"], engines["ratios"], engines["search_file"]
    for words in (
        f"TensorFlow {ms['tensorflow, indexing']:.1f}, ONNX Runtime {ms['onnxruntime, indexing']:.1f},",
        f"int8 {ms['int8, indexing']:.1f}, Keras's `predict` on one picture at a time {ms['predict, one by one']:.1f}.",
        f"int8 is {ratios['int8_indexing_to_float']:.1f} times as fast as float",
        f"and {ratios['int8_indexing_to_predict']:.1f} times as fast as the loop",
        f"at {ratios['int8_indexing_of_the_bare_network']:.0%} of its bare",
        *(f"{each['seconds']:.2f} s and {each['megabytes']} MB" for each in starts.values()),
    ):
        assert words in SPEED
    for row in json.loads((ROOT / "benchmarks/results/int8.json").read_text())["rows"]:
        means = [row[measure][form]["value"] for measure in ("P@4", "mAP") for form in ("float", "int8")]
        shown = " | ".join(f"{value:.4f}" for value in means)
        assert f"| `{row['extractor']}` | {shown} | {row['overlap']:.3f} | {row['least_cosine']:.3f} |" in QUALITY


def test_quality_quotes_the_gain_of_feedback():
    rows = json.loads((ROOT / "benchmarks/results/feedback.json").read_text())["rows"]
    for row in rows:
        pairs = [*zip(row["feedback"], row["unchanged"], strict=True), (row["found"][0], row["found unchanged"][0])]
        cells = [f"{mine['value']:.3f} ({plain['value']:.3f})" for mine, plain in pairs]
        rank = f"`{row['rank']}`" if row["rank"] else "raw"
        weights = ", ".join(f"{weight:g}" for weight in row["weights"])
        assert f"| {rank} | {row['marks']} | {weights} | {' | '.join(cells)} |" in QUALITY
    gain = rows[0]["gain"][1]
    assert f"gain\n{gain['value']:.3f} [{gain['low']:.3f}, {gain['high']:.3f}]" in QUALITY
    assert f"{rows[0]['queries']:,} queries" in QUALITY


def test_how_often_novelty_is_told_is_quoted_from_its_results():
    found = json.loads((ROOT / "benchmarks/results/novelty.json").read_text())
    for name, row in found["rows"].items():
        shares = f"{row['mean']:.3f} | {row['least']:.2f} to {row['most']:.2f} | {row['mean_over_classes']:.3f}"
        assert f"| {name} | {shares} | {row['false_alarms']:.3f} |" in QUALITY
    assert found["rows"]["the kit's model"]["mean"] > found["rows"]["the best cosine alone"]["mean"] + 0.1
    assert f"of {found['about']['folds'] * found['about']['partitions']} folds" in QUALITY


def test_servers_quotes_the_sizes_on_disk():
    found = json.loads((ROOT / "benchmarks/results/sizes.json").read_text())["bytes_per_vector"]
    rows = re.findall(r"^\| (.*?)`([^`]+)` \| ([\d,]+) \| ([\d,]+) \|$", SERVERS, re.M)
    assert len(rows) == sum(len(found[kind]) if kind != "local" else 1 for kind in found) == 10
    for kind, method, short, long in rows:
        wanted = "local" if kind.startswith("the file") else "Elastiknn" if kind.startswith("Elastiknn") else "9.5.3"
        (server,) = (name for name in found if name.endswith(wanted))
        sizes = found["local"] if server == "local" else found[server][method]
        assert (short, long) == (f"{sizes['512']:,}", f"{sizes['4096']:,}")


def test_the_map_of_contributing_is_true():
    """Every file and folder named exists, and so many are named as the row counts (a module to add counts too)."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    rows = re.findall(r"^\| (an? [^|]+) \| (\d) \| (.+) \|$", text, re.M)
    assert len(rows) >= 5
    for what, count, which in rows:
        paths = re.findall(r"`((?:imgsearch_kit|tests|docs)/[^`]*)`", which)
        assert len(paths) == int(count), f"{what}: {paths}"
        for path in paths:
            assert (ROOT / path).exists(), f"{what}: {path}"
