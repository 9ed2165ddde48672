"""Commands that say how good an index is."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from imgsearch_kit.cli.base import DEFAULT_INDEX, Index, Json, Output, app, print_json, read_json, write_json


@app.command()
def evaluate(
    address: Index = DEFAULT_INDEX,
    queries: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Queries from another index.")] = None,
    split: Annotated[Path | None, typer.Option(metavar="FILE", help="A path and 0 (query) or 1 a line.")] = None,
    k: Annotated[str, typer.Option("--k", help="The cut-offs of P@k.")] = "1,4,10",
    exclude_label: Annotated[list[str] | None, typer.Option(help="A label to take out of everything.")] = None,
    group_duplicates: Annotated[bool, typer.Option("--group-duplicates", help="Equal files are no answers.")] = False,
    near: Annotated[float | None, typer.Option(metavar="COSINE", help="Nor are pictures of at least this.")] = None,
    against: Annotated[Path | None, typer.Option(metavar="FILE", help="Compare with an earlier -o FILE.")] = None,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """How good neighbours are, per class, with intervals."""
    from imgsearch_kit.evaluation.report import comparison_lines
    from imgsearch_kit.index import open_index
    from imgsearch_kit.pipeline.evaluating import evaluate as run

    try:
        ks = tuple(int(part) for part in k.split(","))
    except ValueError:
        raise typer.BadParameter(f"--k takes whole numbers with commas between, such as 1,4,10; not {k!r}") from None
    earlier = read_json(against) if against else None
    with open_index(address) as gallery, nullcontext() if queries is None else open_index(queries) as asking:
        grouped = group_duplicates if near is None else near
        options: dict[str, Any] = {"queries": asking, "split": split, "group_duplicates": grouped}
        evaluation = run(gallery, ks=ks, exclude_labels=exclude_label or (), **options)
    comparison = evaluation.against(earlier) if earlier else None
    document = evaluation.to_json() | ({"against": comparison} if comparison else {})
    if output:
        write_json(output, evaluation.to_json(per_query=True))
    if as_json:
        print_json(document)
        return
    print("\n".join(evaluation.lines() + (["", *comparison_lines(comparison)] if comparison else [])))
