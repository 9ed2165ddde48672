"""Commands that measure how good an index is."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from imgsearch_kit.cli.base import (
    DEFAULT_INDEX,
    EXIT_FAILURES,
    Engine,
    Index,
    Json,
    MadeBy,
    MaxMegapixels,
    Output,
    Overwrite,
    Rank,
    Root,
    Weights,
    app,
    check_outputs,
    note,
    print_result,
    read_json,
)


def check_plot(plot: Path | None) -> None:
    """Checks that a figure's file has a suffix that Matplotlib can write."""
    if plot and plot.suffix not in (".png", ".svg", ".pdf"):
        raise typer.BadParameter(f"--plot {plot} must end in .png, .svg or .pdf")


def save_plot(result: Any, plot: Path | None, *, force: bool) -> None:
    """Writes the figure of a result, if a file is given for it."""
    if plot:
        from imgsearch_kit.outputs import write_output

        with write_output(plot, force=force) as whole:
            result.plot().savefig(whole)


@app.command()
def evaluate(
    address: Index = DEFAULT_INDEX,
    queries: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Queries from another index.")] = None,
    split: Annotated[Path | None, typer.Option(metavar="FILE", help="Lines of a path and 0 (query) or 1.")] = None,
    k: Annotated[str, typer.Option("--k", help="The cut-offs of P@k.")] = "1,4,10",
    exclude_label: Annotated[list[str] | None, typer.Option(help="A label to leave out everywhere.")] = None,
    group_duplicates: Annotated[
        bool, typer.Option("--group-duplicates", help="Equal files do not count as hits.")
    ] = False,
    near: Annotated[float | None, typer.Option(metavar="COSINE", help="Nor do pictures of at least this.")] = None,
    rank: Rank = None,
    sample: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Ask N pictures only, drawn by class, against all.")
    ] = None,
    per_query: Annotated[bool, typer.Option("--per-query", help="Add the values that --against compares.")] = False,
    trec: Annotated[
        Path | None, typer.Option(metavar="STEM", help="Write STEM.run (1,000 places) and STEM.qrels.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Compare with an earlier --per-query -o FILE.")
    ] = None,
    extractor: MadeBy = None,
    as_json: Json = False,
    output: Output = None,
    force: Overwrite = False,
) -> None:
    """Measure how good neighbours are, per class, with intervals."""
    from imgsearch_kit.evaluation.trec import trec_files
    from imgsearch_kit.gallery import Gallery

    try:
        ks = tuple(int(part) for part in k.split(","))
    except ValueError:
        raise typer.BadParameter(f"--k takes whole numbers with commas between, such as 1,4,10; not {k!r}") from None
    if min(ks) < 1:
        raise typer.BadParameter(f"--k takes whole numbers of at least 1; not {k!r}")
    check_outputs(output, *(trec_files(trec) if trec else ()), force=force)
    earlier = read_json(against) if against else None
    with (
        Gallery.open(address, extractor) as gallery,
        nullcontext() if queries is None else Gallery.open(queries, extractor) as asking,
    ):
        grouped = group_duplicates if near is None else near
        options: dict[str, Any] = {"queries": asking, "split": split, "group_duplicates": grouped, "rank": rank}
        options |= {"exclude_labels": exclude_label or (), "sample": sample}
        evaluation = gallery.evaluate(ks=ks, trec=trec, force=force, **options)
    comparison = evaluation.against(earlier) if earlier is not None else None
    document = evaluation.to_json(per_query=per_query) | ({"against": comparison} if comparison else {})
    print_result(document, as_json, evaluation, *([comparison] if comparison else []), output=output, force=force)


@app.command()
def choose(
    folder: Annotated[Path, typer.Argument(help="A folder of pictures; sub-folder names become labels.")],
    write: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Make the index of what is chosen, with its ranking.")
    ] = None,
    extractor: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Compare these only; the first is the default.")
    ] = None,
    int8: Annotated[
        bool | None, typer.Option("--int8/--float", help="Compare int8 (by default, without --weights) or float.")
    ] = None,
    sample: Annotated[
        int, typer.Option(min=4, help="At most so many pictures, of all classes the same share.")
    ] = 10_000,
    exclude_label: Annotated[list[str] | None, typer.Option(help="A label to leave out everywhere.")] = None,
    labels: Annotated[Path | None, typer.Option(metavar="CSV", help="Labels: columns path and label.")] = None,
    label_level: Annotated[
        int | None, typer.Option(metavar="N", help="Labels from the N-th folder below FOLDER, or from the file up.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The seed of the halves and intervals.")] = 0,
    weights: Weights = None,
    engine: Engine = None,
    max_megapixels: MaxMegapixels = 178,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw the best candidates (.png, .svg).")] = None,
    as_json: Json = False,
    output: Output = None,
    force: Overwrite = False,
) -> None:
    """Choose features and ranking for a labelled folder, judged on other pictures of it."""
    from imgsearch_kit.gallery import Gallery

    check_plot(plot)
    check_outputs(plot, output, force=force)
    options: dict[str, Any] = {"extractors": extractor, "int8": int8, "sample": sample, "labels": labels, "seed": seed}
    options |= {"exclude_labels": exclude_label or (), "label_level": label_level, "weights": weights, "engine": engine}
    found = Gallery.choose(
        folder, write=write, max_pixels=round(max_megapixels * 1e6), fetch=False, say=note, **options
    )
    save_plot(found, plot, force=force)
    print_result(found.to_json(), as_json, found, output=output, force=force)
    raise typer.Exit(EXIT_FAILURES if found.failed else 0)


@app.command()
def recall(
    address: Index = DEFAULT_INDEX,
    k: Annotated[int, typer.Option("-k", min=1, help="How many neighbours.")] = 10,
    queries: Annotated[int, typer.Option(min=1, help="How many indexed pictures are queries.")] = 200,
    merge: Annotated[bool, typer.Option("--merge", help="Merge the index into one segment first.")] = False,
    extractor: MadeBy = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw recall over latency (.png, .svg).")] = None,
    as_json: Json = False,
    output: Output = None,
    force: Overwrite = False,
) -> None:
    """Measure what an approximate index loses against exact answers."""
    from imgsearch_kit.gallery import Gallery

    check_plot(plot)
    check_outputs(plot, output, force=force)
    with Gallery.open(address, extractor) as gallery:
        report = gallery.recall(k=k, queries=queries, merge=merge)
    save_plot(report, plot, force=force)
    print_result(report.to_json(), as_json, report, output=output, force=force)


@app.command()
def tune(
    address: Index = DEFAULT_INDEX,
    wanted: Annotated[float, typer.Option("--recall", help="The wanted recall, in (0, 1].")] = 0.95,
    k: Annotated[int, typer.Option("-k", min=1, help="How many neighbours.")] = 10,
    extractor: MadeBy = None,
    on: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="A server on which to verify the proposals.")
    ] = None,
    as_json: Json = False,
    output: Output = None,
    force: Overwrite = False,
) -> None:
    """Propose an approximate method for a wanted recall."""
    from imgsearch_kit.gallery import Gallery

    check_outputs(output, force=force)
    with Gallery.open(address, extractor) as gallery:
        tuning = gallery.tune(wanted, k=k, on=on)
    print_result(tuning.to_json(), as_json, tuning, output=output, force=force)


@app.command()
def health(
    address: Index = DEFAULT_INDEX,
    k: Annotated[int, typer.Option("-k", min=1, help="How many neighbours count.")] = 10,
    extractor: MadeBy = None,
    as_json: Json = False,
    output: Output = None,
    force: Overwrite = False,
) -> None:
    """Find duplicates, hubs, orphans and doubtful labels; calibrate scores."""
    from imgsearch_kit.errors import BadQuery
    from imgsearch_kit.gallery import Gallery

    check_outputs(output, force=force)
    with Gallery.open(address, extractor) as gallery:
        found = gallery.health(k=k)
        labelled = sum(gallery.labels().values())
        calibration = gallery.calibration(k=k) if labelled >= 4 else None
        try:
            novelty = gallery.novelty()
        except BadQuery as error:
            novelty = None
            if labelled:
                note(f"No search will say that nothing looks like its picture. {error}")
    learned = {"calibration": calibration, "novelty": novelty}
    document = found.to_json() | {name: each and each.to_json() for name, each in learned.items()}
    print_result(document, as_json, found, *filter(None, learned.values()), output=output, force=force)


@app.command(name="map")
def draw_map(
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE.html", help="The page to write.")],
    address: Index = DEFAULT_INDEX,
    root: Root = None,
    seed: Annotated[int, typer.Option(help="The seed of the layout.")] = 42,
    extractor: MadeBy = None,
    as_json: Json = False,
    force: Overwrite = False,
) -> None:
    """Write one HTML file to explore the pictures offline."""
    from imgsearch_kit.gallery import Gallery

    check_outputs(output, force=force)
    with Gallery.open(address, extractor, root=root) as gallery:
        report = gallery.map(output, seed=seed, force=force)
    print_result(report.to_json(), as_json, report)
    raise typer.Exit(EXIT_FAILURES if report.failed else 0)
