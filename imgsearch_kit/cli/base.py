"""Shared by all commands: the application, options, exit codes, and the printing of results."""

from __future__ import annotations

import codecs
import io
import json
import logging
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

import imgsearch_kit
from imgsearch_kit.cli.streams import Formatter, PipeClosed, lines, prepare
from imgsearch_kit.errors import BadQuery, KitError, sanitised
from imgsearch_kit.reports import csv_lines, json_text, visible

DEFAULT_INDEX = "local:./imgsearch.db"
EXIT_FAILURES, EXIT_ERROR, EXIT_INTERRUPTED, EXIT_PIPE = 1, 3, 130, 141

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
Engine = Annotated[
    str | None,
    typer.Option("--engine", metavar="NAME", help="onnxruntime or tensorflow; by default what is fast here."),
]
Root = Annotated[Path | None, typer.Option("--root", metavar="FOLDER", help="The pictures' folder, if it has moved.")]
# One word in two sorts of commands: those that write files, and those that search for new pictures. A command of both
# sorts passes its one --force to both, and its help says both.
Overwrite = Annotated[bool, typer.Option("--force", help="Overwrite also what imgsearch did not write, but no index.")]
Force = Annotated[bool, typer.Option("--force", help="Search although the network computes other vectors than it did.")]
Rank = Annotated[str | None, typer.Option("--rank", metavar="SPEC", help="Re-rank, e.g. pca:128:0.5,qe:10:1; or none.")]
MaxMegapixels = Annotated[float, typer.Option(min=0.001, max=1e6, help="Refuse pictures larger than this.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Output = Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write the JSON document there.")]


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


def say(text: str) -> None:
    """Prints results for people to stdout."""
    print(lines(text))


def print_json(document: Any) -> None:
    """Prints one JSON document to stdout, in ASCII where stdout is not UTF-8."""
    print(json_text(document, ascii_only=codecs.lookup(sys.stdout.encoding).name != "utf-8"))


def print_csv(rows: Iterable[Sequence[Any]]) -> None:
    """Prints rows as CSV to stdout, always in UTF-8, so that every name is exact."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")
    sys.stdout.writelines(csv_lines(rows))


def print_result(document: Any, as_json: bool, *shown: Any, output: Path | None = None, force: bool = False) -> None:
    """Prints the document, or its text with empty lines between the parts; also writes the document to a file."""
    if output:
        write_json(output, document, force=force)
    print_json(document) if as_json else say("\n\n".join(map(str, shown)))


def note(sentence: str) -> None:
    """Prints a sentence to stderr, separate from the results and without the secrets of an address."""
    print(lines(sanitised(sentence)), file=sys.stderr)


def check_outputs(*files: Path | None, force: bool, export: bool = False) -> None:
    """Checks before the work that no file is overwritten which the kit did not write, and none is written twice.

    :raises BadQuery: when one would be.
    """
    if not (wanted := [file for file in files if file]):
        return
    from imgsearch_kit.outputs import check_distinct, check_output

    check_distinct(wanted)
    for file in wanted:
        check_output(file, force=force, export=export)


def read_json(path: Path) -> Any:
    """Reads a document that `-o` wrote."""
    from imgsearch_kit.tables import read_text

    try:
        document = json.loads(read_text(path, "file"))
    except ValueError as error:
        raise BadQuery(f"{path} cannot be read as JSON: {error}. Give a file that -o wrote.") from error
    if not isinstance(document, dict):
        raise BadQuery(f"{path} has no JSON object, so -o did not write it. Give a file that -o wrote.")
    return document


def write_json(path: Path, document: Any, *, force: bool = False) -> None:
    """Writes a document atomically.

    :raises BadQuery: when the file cannot be written, or without ``force`` is one that the kit did not write.
    """
    from imgsearch_kit.outputs import write_output

    with write_output(path, force=force) as whole:
        whole.write_text(json_text(document) + "\n", encoding="utf-8")


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
    prepare()
    handler = logging.StreamHandler()
    handler.setFormatter(Formatter("%(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.getLogger("imgsearch_kit").setLevel(logging.INFO)
    try:
        code = _run()
        sys.stdout.flush()
    except KitError as error:
        note(f"imgsearch: {visible(str(error))}")
        code = EXIT_ERROR
    except PipeClosed:  # as `head` closes it: not an error
        code = EXIT_PIPE
    sys.exit(code)


def _run() -> int:
    """Runs the command and returns its exit code; wrong use is told on stderr."""
    try:
        return int(app(standalone_mode=False) or 0)
    except typer.Abort:
        note("Aborted.")
        return EXIT_FAILURES
    except Exception as error:
        if not hasattr(error, "show"):  # Typer's errors of wrong use, whose class is not public
            raise
        wrong: Any = error
        wrong.message = visible(sanitised(wrong.message))
        if "unexpected extra argument" in wrong.message:
            wrong.message += ". A path with spaces belongs in quotes."
        wrong.show()
        return int(wrong.exit_code)
