"""Shared by all commands: the application, options, exit codes, and the printing of results."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

import imgsearch_kit
from imgsearch_kit.errors import BadQuery, KitError

DEFAULT_INDEX = "local:./imgsearch.db"
EXIT_FAILURES, EXIT_ERROR, EXIT_INTERRUPTED = 1, 3, 130

app = typer.Typer(
    name="imgsearch",
    help="Image search you can measure. Start with `imgsearch demo`, or with `imgsearch index FOLDER`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Index = Annotated[str, typer.Option("--index", metavar="ADDRESS", envvar="IMGSEARCH_INDEX", help="The index.")]
ExtractorName = Annotated[str | None, typer.Option("--extractor", metavar="NAME", help="The network and pooling.")]
MadeBy = Annotated[
    str | None, typer.Option("--extractor", metavar="NAME", help="The extractor of an index that does not name it.")
]
Weights = Annotated[Path | None, typer.Option("--weights", metavar="PATH", help="A file with the network's weights.")]
Root = Annotated[Path | None, typer.Option("--root", metavar="FOLDER", help="The pictures' folder, if it has moved.")]
Force = Annotated[bool, typer.Option("--force", help="Continue although the probe pictures' vectors differ.")]
Rank = Annotated[str | None, typer.Option("--rank", metavar="SPEC", help="Re-rank, e.g. pca:128:0.5,qe:10:1.")]
MaxMegapixels = Annotated[float, typer.Option(min=0.001, max=1e6, help="Refuse pictures larger than this.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def spares_data(path: Path | None) -> Path | None:
    """The path of ``-o``, after a check that no index and no picture would be written over."""
    if path is None:
        return None
    from imgsearch_kit.images.kinds import format_of

    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError:  # nothing there, or the writing itself will say what is wrong
        return path
    index, picture = head.startswith(b"SQLite format 3\0"), format_of(head)
    if index or picture:
        found = "an index or another database" if index else f"a picture ({picture})"
        raise typer.BadParameter(f"{path} is {found}, and -o would write over it. Name another file.")
    return path


Output = Annotated[
    Path | None,
    typer.Option("-o", "--output", metavar="FILE", callback=spares_data, help="Write the JSON document there."),
]


def print_version(wanted: bool) -> None:
    """Prints the version and exits."""
    if wanted:
        print(f"imgsearch {imgsearch_kit.__version__}")
        raise typer.Exit


@app.callback()
def imgsearch(
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Image search you can measure. Start with `imgsearch demo`, or with `imgsearch index FOLDER`."""


def print_json(document: Any) -> None:
    """Prints one JSON document to stdout."""
    print(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))


def print_result(document: Any, as_json: bool, *shown: Any, output: Path | None = None) -> None:
    """Prints the document, or its text with empty lines between the parts; also writes the document to a file."""
    if output:
        write_json(output, document)
    print_json(document) if as_json else print("\n\n".join(map(str, shown)))


def note(sentence: str) -> None:
    """Prints a sentence to stderr, separate from the results."""
    print(sentence, file=sys.stderr)


def read_json(path: Path) -> Any:
    """Reads a document that `-o` wrote."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadQuery(f"{path} cannot be read as JSON: {error}. Give a file that -o wrote.") from error
    if not isinstance(document, dict):
        raise BadQuery(f"{path} has no JSON object, so -o did not write it. Give a file that -o wrote.")
    return document


def write_json(path: Path, document: Any) -> None:
    """Writes a document atomically."""
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with whole_output(path) as whole:
        whole.write_text(text, encoding="utf-8")


@contextmanager
def whole_output(path: Path) -> Iterator[Path]:
    """A temporary path for the file of ``-o`` or ``--plot``, which is then written atomically."""
    from imgsearch_kit.files import write_whole

    try:
        with write_whole(path) as whole:
            yield whole
    except OSError as error:
        raise BadQuery(f"{path} cannot be written: {error.strerror or error}. Name another file with -o.") from error


def note_time(results: Any) -> None:
    """Prints how long each part of a search took to stderr, without parts that were not needed."""
    words = {
        "load": "loading the network {:,.0f} ms",
        "extract": "extraction {:,.0f} ms",
        "search": "search {:,.1f} ms",
    }
    note(", ".join(words[name].format(ms) for name, ms in results.ms.items() if ms))


def main() -> None:
    """Runs the command line; a KitError becomes one sentence on stderr and exit code 3."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("imgsearch_kit").setLevel(logging.INFO)
    try:
        app()
    except KitError as error:
        print(f"imgsearch: {error}", file=sys.stderr)
        sys.exit(EXIT_ERROR)
    except BrokenPipeError:  # `imgsearch ... | head` closed the pipe: not an error
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_FAILURES)
