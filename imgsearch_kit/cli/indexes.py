"""Commands that make, change and show an index."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from imgsearch_kit.cli.base import (
    DEFAULT_INDEX,
    EXIT_FAILURES,
    EXIT_INTERRUPTED,
    ExtractorName,
    Index,
    Json,
    MadeBy,
    MaxMegapixels,
    Root,
    Weights,
    app,
    note,
    print_failures,
    print_json,
    print_report,
)
from imgsearch_kit.errors import BadQuery


@app.command()
def index(
    folder: Annotated[Path, typer.Argument(help="The folder of pictures; sub-folder names become labels.")],
    address: Index = DEFAULT_INDEX,
    extractor: ExtractorName = None,
    weights: Weights = None,
    method: Annotated[
        str | None, typer.Option(metavar="SPEC", help="How a new index searches; exactly, if not given.")
    ] = None,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Extract all anew; the old index serves until the new one is whole.")
    ] = False,
    labels: Annotated[Path | None, typer.Option(metavar="CSV", help="Labels: columns path and label.")] = None,
    prefix: Annotated[str, typer.Option(metavar="NAME", help="Goes before the ids of a second folder.")] = "",
    prune: Annotated[bool, typer.Option("--prune", help="Remove pictures whose file is gone.")] = False,
    root: Root = None,
    max_megapixels: MaxMegapixels = 178,
    as_json: Json = False,
) -> None:
    """Index a folder of pictures, or bring its index up to date."""
    from imgsearch_kit.images import find_images
    from imgsearch_kit.indexing.folder import IndexingInterrupted, index_folder
    from imgsearch_kit.indexing.labels import read_labels
    from imgsearch_kit.indexing.rebuild import load_for_rebuilding, rebuild_index_of
    from imgsearch_kit.provenance import open_for_indexing

    if root is not None and root.resolve() != folder.resolve():
        raise typer.BadParameter(
            f"--root {root} says where the folder {folder} has moved to; give the same folder twice."
        )
    if not find_images(folder).images:  # told before a network is loaded or an index made
        raise BadQuery(f"There is no picture below {folder} that the kit can read. Name another folder.")
    named = read_labels(labels) if labels else None
    options: dict[str, Any] = {"prefix": prefix, "labels": named, "prune": prune, "moved_root": root is not None}
    options["max_pixels"] = round(max_megapixels * 1e6)
    try:
        if rebuild:
            network = load_for_rebuilding(address, extractor, weights, say=note)
            report = rebuild_index_of(folder, address, network, method=method, **options)
        else:
            opened, network = open_for_indexing(address, extractor, weights, method=method, say=note)
            with opened:
                report = index_folder(folder, opened, network, **options)
        code = EXIT_FAILURES if report.failed else 0
    except IndexingInterrupted as stop:
        kept = (
            "The old index serves on" if rebuild else "What was committed stays; the same command carries on from there"
        )
        note(f"\nInterrupted. {kept}.")
        report, code = stop.report, EXIT_INTERRUPTED
    print_json(report.to_json()) if as_json else print_report(report)
    raise typer.Exit(code)


@app.command()
def copy(
    source: Annotated[str, typer.Argument(metavar="FROM", help="The address of an index.")],
    target: Annotated[str, typer.Argument(metavar="TO", help="An address where nothing is yet.")],
    method: Annotated[
        str | None, typer.Option(metavar="SPEC", help="How the copy searches; on a server as FROM does, if not given.")
    ] = None,
    rank: Annotated[
        str | None, typer.Option(metavar="SPEC", help="Bake pca and rca steps into the copy: pca:128:0.5.")
    ] = None,
    extractor: MadeBy = None,
    weights: Weights = None,
    as_json: Json = False,
) -> None:
    """One index into another, of any kind, without touching a picture."""
    from imgsearch_kit.index import Address
    from imgsearch_kit.indexing.copy import copy as run

    where = Address.parse(target)
    report = run(source, where, method=method, rank=rank, extractor=extractor, weights=weights, say=note)
    if as_json:
        print_json(report.to_json())
    else:
        print(f"{report.copied} records to {where}, counts and sample verified")
        if report.silent:
            note("The copy does not say which extractor made its vectors. --extractor NAME makes it a full index.")
        print_failures([{"path": f.id, "reason": f.reason} for f in report.failed])
    raise typer.Exit(EXIT_FAILURES if report.failed else 0)


@app.command()
def label(
    labels: Annotated[Path, typer.Argument(metavar="CSV", help="Columns path and label.")],
    address: Index = DEFAULT_INDEX,
    extractor: MadeBy = None,
    as_json: Json = False,
) -> None:
    """Give indexed pictures other labels, without extracting anew."""
    from imgsearch_kit.indexing.labels import read_labels, relabel
    from imgsearch_kit.provenance import open_as

    named = read_labels(labels)
    with open_as(address, extractor) as opened:
        report = relabel(opened, named).to_json()
    if as_json:
        print_json(report)
    else:
        print(f"{report['relabelled']} relabelled, {report['unchanged']} had the label already")
        print_failures(report["failed"])
    raise typer.Exit(EXIT_FAILURES if report["failed"] else 0)


@app.command()
def info(address: Index = DEFAULT_INDEX, extractor: MadeBy = None, as_json: Json = False) -> None:
    """Who made an index, from what, and what it holds."""
    from imgsearch_kit.index import Address
    from imgsearch_kit.provenance import open_as

    where = Address.parse(address)
    with open_as(where, extractor) as opened:
        records = opened.records()
        labels = sorted({record.label for record in records if record.label is not None})
        failed = [{"path": f.path, "reason": f.reason} for f in opened.failures()]
        passport = opened.passport
    if as_json:
        print_json({"address": str(where), **passport.to_json(probes=False), "labels": labels, "failed": failed})
        return
    rows = [("index", str(where)), ("classes", str(len(labels))), *passport.rows()]
    print("\n".join(f"{name:<10} {value}" for name, value in rows))
    print_failures(failed)


@app.command()
def export(
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="A .npz or .csv file.")],
    address: Index = DEFAULT_INDEX,
    extractor: MadeBy = None,
) -> None:
    """Write records to .csv, or records and vectors to .npz."""
    from imgsearch_kit.indexing.export import export as run
    from imgsearch_kit.provenance import open_as

    if output.suffix not in (".npz", ".csv"):
        raise typer.BadParameter(f"-o {output} must end in .npz (with vectors) or .csv (without)")
    with open_as(address, extractor) as opened:
        count = run(opened, output)
    print(f"{count} records to {output}")
