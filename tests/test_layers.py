"""Who may import whom, read from the sources with ast."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

KIT = Path(__file__).resolve().parents[1] / "imgsearch_kit"
MODULES = sorted(KIT.rglob("*.py"))
SHARED = {"records", "errors", "reports", "files", "vectors", "progress"}
PURE = {"images", "extractors", "index", "plots"}
TOP = {"cli", "app"}
HEAVY = {"tensorflow", "keras", "elasticsearch", "umap", "gradio", "matplotlib", "onnx", "skimage", "pandas", "bokeh"}


def part(module: str) -> str:
    """The part of the kit a dotted name lies in: imgsearch_kit.index.local -> index."""
    return module.split(".")[1] if "." in module else ""


def imported(path: Path) -> set[str]:
    """Every absolute module name a file imports, at whatever depth."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            module = node.module or ""
            names |= {f"{module}.{alias.name}" for alias in node.names} if module == "imgsearch_kit" else {module}
    return names


def home(path: Path) -> str:
    return path.relative_to(KIT).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(KIT)))
def test_a_module_imports_only_what_its_layer_may(path):
    mine = home(path)
    parts = {part(name) for name in imported(path) if name.startswith("imgsearch_kit")} - {"", "__version__"}
    if mine in SHARED:
        third = {name.split(".")[0] for name in imported(path)} - set(sys.stdlib_module_names)
        assert third <= {"numpy", "pandas", "platformdirs", "tqdm", "imgsearch_kit"}, f"{mine} imports {third}"
        assert parts <= SHARED
    elif mine in PURE:
        assert parts <= SHARED | {mine}
    else:
        served = {"app"} if mine == "cli" else set()  # the command that serves the page
        assert not (parts - {mine} - served) & TOP, f"{mine} imports {parts & TOP}"


def test_only_elastic_modules_import_elasticsearch():
    users = {str(p.relative_to(KIT)) for p in MODULES if any(n.split(".")[0] == "elasticsearch" for n in imported(p))}
    assert all(user.startswith("index/") for user in users)


def test_importing_the_kit_loads_nothing_heavy():
    code = "import sys, imgsearch_kit; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not HEAVY & set(loaded)


def test_importing_the_command_line_loads_nothing_heavy():
    code = "import sys, imgsearch_kit.cli; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not (HEAVY | {"numpy", "scipy", "PIL"}) & set(loaded)
