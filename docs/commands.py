"""Prints docs/commands.md: every command with its real --help. `make docs` runs it."""

from __future__ import annotations

from typer.main import get_command
from typer.testing import CliRunner

from imgsearch_kit.cli import app

HEAD = """# Commands

Made by `make docs` from the commands' own `--help`.
"""


def pages(command: object, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The command itself and all commands below it, as the words to type."""
    below = getattr(command, "commands", {})
    return [path, *(page for name in below for page in pages(below[name], (*path, name)))]


def render() -> str:
    """The whole document."""
    out = [HEAD]
    for words in pages(get_command(app)):
        text = CliRunner().invoke(app, [*words, "--help"], prog_name="imgsearch", terminal_width=100).output
        out.append(f"## {' '.join(('imgsearch', *words))}\n\n```\n{text.strip()}\n```\n")
    return "\n".join(out)


if __name__ == "__main__":
    print(render(), end="")
