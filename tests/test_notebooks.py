"""The notebooks run from top to bottom on a small folder, and what is committed of them can be shared."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
from pathlib import Path

import nbformat
import pytest

from imgsearch_kit.datasets import sample_pictures

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
PATHS = sorted(NOTEBOOKS.glob("*.ipynb"))
LINES = {"01_indexing": 30, "02_evaluation": 45, "03_approximation": 30, "04_your_own_network": 35}  # of code, at most
HARMLESS = {"text/plain", "text/html", "image/png"}


def execute_module():
    spec = importlib.util.spec_from_file_location("execute", NOTEBOOKS / "execute.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def few_pictures(tmp_path_factory):
    """Four subjects with their ten views."""
    folder = sample_pictures(tmp_path_factory.mktemp("samples") / "all")
    few = folder.with_name("few")
    few.mkdir()
    for subject in ("cat", "coffee", "coins", "rocket"):
        (folder / subject).rename(few / subject)
    return few


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom(path, few_pictures, tmp_path, monkeypatch, conv_weights):
    monkeypatch.setenv("IMGSEARCH_CACHE", str(conv_weights.parents[1]))
    notebook = nbformat.read(path, as_version=4)
    parameters = {"pictures": str(few_pictures), "work": str(tmp_path)}
    if path.stem == "02_evaluation":
        parameters["ranks"] = ["pca:16:0.5,qe:3:1", "rca:16:3"]
    execute_module().execute(notebook, tmp_path, parameters, timeout=300)
    assert not [o for cell in notebook.cells for o in cell.get("outputs", []) if o.output_type == "error"]
    assert (tmp_path / "vgg16-rmac.db").exists()
    if path.stem == "02_evaluation":
        figures = json.loads((tmp_path / "02_evaluation.json").read_text())["micro"]
        assert figures["vgg16-rmac"]["P@1"]["value"] > 0.9
        assert "vgg16-rmac, pca:16:0.5,qe:3:1" in figures


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_what_is_committed_can_be_shared(path):
    text = path.read_text()
    assert len(text) < 1_000_000
    assert not re.search(r"[\"' ](/home/|/root/|/tmp/|/work/|/Users/|[A-Z]:\\\\)", text)
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1)), "type: make notebooks"
    for cell in code:
        for output in cell.outputs:
            assert output.output_type != "error"
            assert set(output.get("data", {})) <= HARMLESS
            assert "<script" not in "".join(output.get("data", {}).get("text/html", ""))


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_notebook_is_thin(path):
    code = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert "parameters" in code[0].metadata["tags"]
    assert "pictures = None" in code[0].source
    lines = [line for cell in code for line in cell.source.splitlines() if line.strip()]
    assert len(lines) <= LINES[path.stem]
    tree = ast.parse("\n".join(cell.source for cell in code))
    if path.stem != "04_your_own_network":  # which is about a class of the reader's
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda)]
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names]
    names += [node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    assert not [name for name in names if name.startswith("_")], "public names only"


def shown(name):
    """All that a committed notebook shows, as one text."""
    cells = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4).cells
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return "\n".join(
        output.get("text", "") + "".join(output.get("data", {}).get("text/html", "")) for output in outputs
    )


LEFT_OUT = ("pca:128:0.5", "rca:128:15", "rca:192:15,dba:10:2,qe:10:2")  # rankings of the table that 02 does not show


def test_the_committed_figures_are_those_of_the_results_files():
    results = NOTEBOOKS.parent / "results"
    text = " ".join(shown("02_evaluation").split())
    published = json.loads((results / "caltech101-classes.json").read_text())
    for mean in ("micro", "macro"):
        for name in ("P@1", "P@4", "P@10", "R-precision", "MAP@R", "mAP"):
            figure = published[mean][name]
            assert f"{figure['value']:.4f} [{figure['low']:.4f}, {figure['high']:.4f}]" in text, f"{mean} {name}"
    rankings = json.loads((results / "caltech101.json").read_text())["leave-one-out"]
    for row in rankings:
        if row["extractor"] == "vgg16-rmac" and row["rank"] not in LEFT_OUT:
            figure = row["micro"]["mAP"]
            assert f"{figure['value']:.4f} [{figure['low']:.4f}, {figure['high']:.4f}]" in text
    measured = shown("03_approximation")
    for report in json.loads((results / "caltech101-approximation.json").read_text()).values():
        for row in report["rows"][1:]:
            line = next(line for line in measured.splitlines() if line.startswith(row["method"] + " "))
            assert f"{row['recall']['value']:.3f}" in line
            assert f"{row['p50']:.1f}" in line
