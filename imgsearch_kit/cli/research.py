"""Commands that say how good an index is."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from imgsearch_kit.cli.base import (
    DEFAULT_INDEX,
    EXIT_FAILURES,
    Index,
    Json,
    MadeBy,
    Output,
    Rank,
    Root,
    app,
    print_json,
    print_report_of,
    read_json,
    write_json,
)


@app.command()
def evaluate(
    address: Index = DEFAULT_INDEX,
    queries: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Queries from another index.")] = None,
    split: Annotated[Path | None, typer.Option(metavar="FILE", help="A path and 0 (query) or 1 a line.")] = None,
    k: Annotated[str, typer.Option("--k", help="The cut-offs of P@k.")] = "1,4,10",
    exclude_label: Annotated[list[str] | None, typer.Option(help="A label to take out of everything.")] = None,
    group_duplicates: Annotated[bool, typer.Option("--group-duplicates", help="Equal files are no answers.")] = False,
    near: Annotated[float | None, typer.Option(metavar="COSINE", help="Nor are pictures of at least this.")] = None,
    rank: Rank = None,
    per_query: Annotated[bool, typer.Option("--per-query", help="Add what a later --against compares.")] = False,
    trec: Annotated[
        Path | None, typer.Option(metavar="STEM", help="Write STEM.run (1,000 places) and STEM.qrels.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Compare with an earlier --per-query -o FILE.")
    ] = None,
    extractor: MadeBy = None,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """How good neighbours are, per class, with intervals."""
    from imgsearch_kit.evaluation.over_index import evaluate as run
    from imgsearch_kit.evaluation.over_index import write_trec
    from imgsearch_kit.evaluation.protocol import make_trial
    from imgsearch_kit.provenance import open_as

    try:
        ks = tuple(int(part) for part in k.split(","))
    except ValueError:
        raise typer.BadParameter(f"--k takes whole numbers with commas between, such as 1,4,10; not {k!r}") from None
    if min(ks) < 1:
        raise typer.BadParameter(f"--k takes whole numbers of at least 1; not {k!r}")
    earlier = read_json(against) if against else None
    with (
        open_as(address, extractor) as gallery,
        nullcontext() if queries is None else open_as(queries, extractor) as asking,
    ):
        grouped = group_duplicates if near is None else near
        options: dict[str, Any] = {"queries": asking, "split": split, "group_duplicates": grouped, "rank": rank}
        options["exclude_labels"] = exclude_label or ()
        evaluation = run(gallery, ks=ks, **options)
        if trec:
            write_trec(make_trial(gallery, **options), Path(f"{trec}.run"), Path(f"{trec}.qrels"))
    comparison = evaluation.against(earlier) if earlier is not None else None
    document = evaluation.to_json(per_query=per_query) | ({"against": comparison} if comparison else {})
    if output:
        write_json(output, document)
    if as_json:
        print_json(document)
        return
    print("\n".join(evaluation.lines() + (["", *comparison.lines()] if comparison else [])))


@app.command()
def recall(
    address: Index = DEFAULT_INDEX,
    k: Annotated[int, typer.Option("-k", min=1, help="How many neighbours.")] = 10,
    queries: Annotated[int, typer.Option(min=1, help="How many indexed pictures to ask with.")] = 200,
    merge: Annotated[bool, typer.Option("--merge", help="Merge the index into one segment first.")] = False,
    extractor: MadeBy = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw recall over latency (.png, .svg).")] = None,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """What an approximate index loses against exact answers."""
    from imgsearch_kit.approximation.over_index import measure_recall
    from imgsearch_kit.provenance import open_as

    with open_as(address, extractor) as opened:
        report = measure_recall(opened, k=k, queries=queries, merge=merge)
    if plot:
        from imgsearch_kit.plots import MethodPoint, recall_latency

        timed = [(row, row.method.partition(":")[0]) for row in report.rows if row.p50 == row.p50]  # NaN: not timed
        points = [
            MethodPoint(row.method, row.loss.recall[0], row.p50, *row.loss.recall[1:], kind) for row, kind in timed
        ]
        recall_latency(points, k=k)[0].savefig(plot)
    print_report_of(report, as_json, output)


@app.command()
def tune(
    address: Index = DEFAULT_INDEX,
    wanted: Annotated[float, typer.Option("--recall", help="The recall that is wanted, in (0, 1].")] = 0.95,
    k: Annotated[int, typer.Option("-k", min=1, help="How many neighbours.")] = 10,
    extractor: MadeBy = None,
    on: Annotated[str | None, typer.Option(metavar="ADDRESS", help="A server to verify the proposals on.")] = None,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """Propose an approximate method for a wanted recall."""
    from imgsearch_kit.approximation.tuning import propose, verify
    from imgsearch_kit.index import Address
    from imgsearch_kit.indexing.copy import temporary_copy
    from imgsearch_kit.provenance import open_as

    where = Address.parse(address)
    server = Address.parse(on) if on else where if where.on_server else None
    with open_as(where, extractor) as opened:
        tuning = propose(opened, wanted, k=k)
        if server:
            tuning = verify(tuning, partial(temporary_copy, opened, server))
    print_report_of(tuning, as_json, output)


@app.command()
def health(
    address: Index = DEFAULT_INDEX,
    k: Annotated[int, typer.Option("-k", min=1, help="How many neighbours count.")] = 10,
    extractor: MadeBy = None,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """Duplicates, hubs, orphans, doubtful labels, what scores mean."""
    from imgsearch_kit.inspection.over_index import calibration
    from imgsearch_kit.inspection.over_index import health as run
    from imgsearch_kit.provenance import open_as

    with open_as(address, extractor) as opened:
        found = run(opened, k=k)
        labelled = sum(record.label is not None for record in opened.records())
        meaning = calibration(opened, k=k) if labelled >= 4 else None
    document = found.to_json() | {"calibration": meaning.to_json() if meaning else None}
    if output:
        write_json(output, document)
    print_json(document) if as_json else print("\n".join([*found.lines(), *(meaning.lines() if meaning else ())]))


@app.command(name="map")
def draw_map(
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE.html", help="The page to write.")],
    address: Index = DEFAULT_INDEX,
    root: Root = None,
    seed: Annotated[int, typer.Option(help="Of the layout.")] = 42,
    extractor: MadeBy = None,
    as_json: Json = False,
) -> None:
    """One HTML file to explore the pictures by, offline."""
    from imgsearch_kit.map.over_index import write_map
    from imgsearch_kit.provenance import open_as

    with open_as(address, extractor) as opened:
        report = write_map(opened, output, root=root, seed=seed)
    print_report_of(report, as_json)
    raise typer.Exit(EXIT_FAILURES if report.failed else 0)
