"""Who may import whom, read from the sources with ast."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

KIT = Path(__file__).resolve().parents[1] / "imgsearch_kit"
MODULES = sorted(KIT.rglob("*.py"))
SHARED = {"arguments", "records", "errors", "vectors", "files", "outputs", "reports", "progress"}
SHARED |= {"markup", "names", "tables", "classes", "download", "boxes", "results"}
SHARED_USE = {"numpy", "pandas", "platformdirs", "rich", "scipy", "tqdm", "imgsearch_kit"}
GROUND = {"images", "extractors", "index", "plots", "datasets", "provenance"}  # import no feature
FEATURES = {"ranking", "evaluation", "approximation", "inspection", "map"}
OPENERS = {"indexing", "gallery", "cli", "app"}  # open addresses and load extractors
ALIKE = {"log", "P", "R", "serve"}  # a logger, type variables, the door to the page
HEAVY = {"tensorflow", "keras", "onnx", "onnxruntime", "elasticsearch", "umap", "gradio", "matplotlib"}
HEAVY |= {"skimage", "pandas", "ray"}


def imported(path: Path, *, hints: bool = False) -> set[str]:
    """Every absolute module name a file imports, at whatever depth; ``hints``: also what only type checkers see."""
    names: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" and not hints:
            return
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names.update(resolved(node.module or "", alias.name) for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text()))
    return names


def resolved(module: str, name: str) -> str:
    """The module that ``from module import name`` reads: a submodule where there is one."""
    below = KIT.parent.joinpath(*module.split("."), name)
    return f"{module}.{name}" if below.is_dir() or below.with_suffix(".py").exists() else module


def own(path: Path) -> set[str]:
    """The modules of the kit that a file imports, without the kit's name: ``index.base``."""
    return {name.partition(".")[2] for name in imported(path) if name.startswith("imgsearch_kit")} - {""}


def part(name: str) -> str:
    return name.split(".")[0]


def home(path: Path) -> str:
    return path.relative_to(KIT).parts[0].removesuffix(".py")


def joins(name: str) -> bool:
    """Whether a module of a feature is its joining part: one that knows the contract of an index."""
    path = KIT.joinpath(*name.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return "index.base" in own(path)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(KIT)))
def test_a_module_imports_only_what_its_layer_may(path):
    mine, names = home(path), own(path)
    others = {name for name in names if part(name) != mine}
    if mine in SHARED:
        third = {name.split(".")[0] for name in imported(path)} - set(sys.stdlib_module_names)
        assert third <= SHARED_USE, f"{mine} imports {third - SHARED_USE}"
        assert {part(name) for name in others} <= SHARED
    elif mine in GROUND:
        assert {part(name) for name in others} <= SHARED, f"{path} imports {others}"
    elif mine in FEATURES:
        free = SHARED | {"images", "plots", "ui"}
        foreign = {n for n in others if part(n) not in free and n not in ("index.base", "index.exact")}
        assert {part(name) for name in foreign} <= FEATURES, f"{path} imports {foreign}"
        assert not [name for name in foreign if joins(name)], f"{path} imports another feature's joining part"
    else:
        lazily = {"app"} if mine == "gallery" else set()  # Gallery.serve
        assert not {part(name) for name in others} & ({"cli", "app"} - lazily), f"{path} imports {others}"


@pytest.mark.parametrize("folder", ["cli", "app"])
def test_command_line_and_page_go_through_the_gallery(folder):
    for path in sorted((KIT / folder).rglob("*.py")):
        features = {name for name in own(path) if part(name) in FEATURES | {"indexing", "search"} and joins(name)}
        assert not features, f"{path} imports {features}, which a Gallery offers"


def test_only_those_that_may_open_addresses_and_load_extractors():
    for path in MODULES:
        if home(path) in OPENERS | GROUND | {"demo", "__init__"}:
            continue
        text = path.read_text()
        for call in ("open_index(", "create_index(", "building(", "load_extractor("):
            assert call not in text, f"{path} calls {call})"


def test_only_elastic_modules_import_elasticsearch():
    users = {str(p.relative_to(KIT)) for p in MODULES if any(n.split(".")[0] == "elasticsearch" for n in imported(p))}
    assert users
    assert all(user.startswith("index/elastic/") for user in users)


def test_a_name_means_one_thing():
    """Public functions, classes and constants of modules; commands share their names with what they call."""
    places = defaultdict(list)
    for path in MODULES:
        for node in ast.parse(path.read_text()).body:
            names = [node.name] if isinstance(node, ast.FunctionDef | ast.ClassDef) else []
            if isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names = [target.id for target in targets if isinstance(target, ast.Name)]
            for name in names:
                if not name.startswith("_") and name not in ALIKE:
                    places[name].append(str(path.relative_to(KIT)))
    twice = {name: where for name, where in places.items() if len([w for w in where if not w.startswith("cli/")]) > 1}
    assert not twice


def test_importing_the_kit_loads_nothing_heavy():
    code = "import sys, imgsearch_kit; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not (HEAVY | {"numpy", "scipy", "PIL"}) & set(loaded)


def test_importing_the_command_line_loads_nothing_heavy():
    code = "import sys, imgsearch_kit.cli; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not (HEAVY | {"numpy", "scipy", "PIL"}) & set(loaded)
