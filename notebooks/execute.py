"""Runs a notebook from top to bottom, with other parameters if wanted, and keeps only outputs that can be committed.

python notebooks/execute.py [--pictures FOLDER] [--work FOLDER] [--server URL] NOTEBOOK...
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

WIDGETS = "application/vnd.jupyter.widget-view+json"


def execute(notebook: nbformat.NotebookNode, folder: Path, parameters: dict[str, Any], timeout: int = 3600) -> None:
    """Runs the cells in ``folder``; ``parameters`` override those of the cell with that tag, and leave no trace."""
    cells = notebook.cells
    at = 1 + next(i for i, cell in enumerate(cells) if "parameters" in cell.metadata.get("tags", []))
    lines = [f"{name} = {value!r}" for name, value in parameters.items()]
    cells.insert(at, nbformat.v4.new_code_cell("\n".join(lines)))
    try:
        resources = {"metadata": {"path": str(folder)}}
        NotebookClient(notebook, timeout=timeout, kernel_name="python3", resources=resources).execute()
    finally:
        del cells[at]
    notebook.metadata.pop("widgets", None)
    code = [cell for cell in cells if cell.cell_type == "code"]
    for count, cell in enumerate(code, 1):
        cell.execution_count = count
        cell.metadata.pop("execution", None)
        kept = []
        for output in cell.outputs:
            data = output.get("data", {})
            if (data.pop(WIDGETS, None) and "text/html" not in data) or output.get("name") == "stderr":
                continue  # progress bars: they move, and are of no use once they stand still
            if "execution_count" in output:
                output["execution_count"] = count
            kept.append(output)
        cell.outputs = kept


def main() -> None:
    """Runs the notebooks named on the command line and writes them back."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", type=Path, nargs="+")
    for name in ("pictures", "work", "server"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--exclude", action="append", metavar="LABEL")
    parser.add_argument("--rank", action="append", dest="ranks", metavar="SPEC")
    args = vars(parser.parse_args())
    for path in args.pop("notebooks"):
        notebook = nbformat.read(path, as_version=4)
        execute(notebook, path.parent, {name: value for name, value in args.items() if value is not None})
        for cell in notebook.cells:
            if "pictures" in cell.metadata.get("tags", []):
                cell.outputs = []  # pictures of a data set are not ours to publish
        nbformat.write(notebook, path)


if __name__ == "__main__":
    main()
