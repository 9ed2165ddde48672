"""Commands that make, change and show an index."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from imgsearch_kit.cli.base import (
    DEFAULT_INDEX,
    EXIT_FAILURES,
    EXIT_INTERRUPTED,
    Engine,
    ExtractorName,
    Index,
    Json,
    MadeBy,
    MaxMegapixels,
    Overwrite,
    Root,
    Weights,
    app,
    check_outputs,
    note,
    print_result,
    say,
)
from imgsearch_kit.errors import IndexingInterrupted
from imgsearch_kit.reports import visible


@app.command()
def index(
    folder: Annotated[Path, typer.Argument(help="The folder of pictures; sub-folder names become labels.")],
    address: Index = DEFAULT_INDEX,
    extractor: ExtractorName = None,
    weights: Weights = None,
    engine: Engine = None,
    method: Annotated[
        str | None, typer.Option(metavar="SPEC", help="The search method of a new index; exact by default.")
    ] = None,
    rank: Annotated[
        str | None, typer.Option(metavar="SPEC", help="The index's default ranking, kept in it; none removes it.")
    ] = None,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Extract all again; the old index stays in use until then.")
    ] = False,
    labels: Annotated[Path | None, typer.Option(metavar="CSV", help="Labels: columns path and label.")] = None,
    label_level: Annotated[
        int | None,
        typer.Option(metavar="N", help="Labels from the N-th folder below FOLDER, or from the file up: -1, -2; kept."),
    ] = None,
    prefix: Annotated[str, typer.Option(metavar="NAME", help="A prefix for the ids of a second folder.")] = "",
    prune: Annotated[bool, typer.Option("--prune", help="Remove pictures whose file no longer exists.")] = False,
    part: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="Only the I-th of N parts; N processes index a folder together, on a server."),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Extract on a Ray cluster: HOST:PORT, auto, or local for one made here."),
    ] = None,
    root: Root = None,
    max_megapixels: MaxMegapixels = 178,
    as_json: Json = False,
) -> None:
    """Index a folder of pictures, or bring its index up to date."""
    from imgsearch_kit.gallery import Gallery
    from imgsearch_kit.index import Address

    if root is not None and root.resolve() != folder.resolve():
        raise typer.BadParameter(
            f"--root {root} must be the new place of the folder {folder}; give the same folder twice."
        )
    if label_level == 0:
        raise typer.BadParameter(
            "--label-level takes 1, 2, ... from FOLDER down or -1, -2, ... from the file up; not 0"
        )
    options: dict[str, Any] = {"prefix": prefix, "labels": labels, "prune": prune, "moved_root": root is not None}
    options |= {"label_level": label_level, "part": part, "ray": ray}
    options |= {
        "weights": weights,
        "engine": engine,
        "method": method,
        "rank": rank,
        "rebuild": rebuild,
        "fetch": False,
        "max_pixels": round(max_megapixels * 1e6),
    }
    try:
        with Gallery.from_folder(folder, address, extractor, **options) as gallery:
            report = gallery.report
        code = EXIT_FAILURES if report.failed else 0
    except IndexingInterrupted as stop:
        kept = "The old index stays in use" if rebuild else "What was committed is kept; the same command continues"
        note(f"\nInterrupted. {kept}.")
        report, code = stop.report, EXIT_INTERRUPTED
    print_result(report.to_json(), as_json, report)
    if not as_json and code != EXIT_INTERRUPTED:
        where = "" if address == DEFAULT_INDEX else f" --index {shlex.quote(str(Address.parse(address)))}"
        say(f"\nNext: imgsearch serve{where}")
    raise typer.Exit(code)


@app.command()
def copy(
    source: Annotated[str, typer.Argument(metavar="FROM", help="The address of an index.")],
    target: Annotated[str, typer.Argument(metavar="TO", help="The address of the new index.")],
    method: Annotated[
        str | None,
        typer.Option(metavar="SPEC", help="The search method of the copy; on a server that of FROM by default."),
    ] = None,
    rank: Annotated[
        str | None, typer.Option(metavar="SPEC", help="Bake pca and rca steps into the copy: pca:128:0.5.")
    ] = None,
    extractor: MadeBy = None,
    weights: Weights = None,
    as_json: Json = False,
) -> None:
    """Copy an index to another of any kind; no picture is read."""
    from imgsearch_kit.gallery import Gallery

    with Gallery.open(source, extractor, weights=weights) as gallery:
        made = gallery.copy_to(target, method=method, rank=rank, say=note)
        made.close()
    report = made.report
    print_result(report.to_json(), as_json, report)
    raise typer.Exit(EXIT_FAILURES if report.failed else 0)


@app.command()
def label(
    labels: Annotated[Path, typer.Argument(metavar="CSV", help="Columns path and label.")],
    address: Index = DEFAULT_INDEX,
    extractor: MadeBy = None,
    as_json: Json = False,
) -> None:
    """Give indexed pictures other labels, without extracting again."""
    from imgsearch_kit.gallery import Gallery

    with Gallery.open(address, extractor) as gallery:
        report = gallery.label(labels)
    print_result(report.to_json(), as_json, report)
    raise typer.Exit(EXIT_FAILURES if report.failed else 0)


@app.command()
def info(address: Index = DEFAULT_INDEX, extractor: MadeBy = None, as_json: Json = False) -> None:
    """Show what made an index, from which folders, and its classes."""
    from imgsearch_kit.gallery import Gallery
    from imgsearch_kit.index import Address
    from imgsearch_kit.reports import Table, failures, plain

    where = Address.parse(address)
    with Gallery.open(where, extractor) as gallery:
        labels, failed, passport = gallery.labels(), gallery.index.failures(), gallery.passport
    document = {"address": str(where), **passport.to_json(probes=False), "labels": list(labels)}
    document |= {"label_counts": labels, "failed": plain(failed)}
    rows = [("index", str(where)), *passport.rows(), ("classes", str(len(labels)))]
    classes = [Table(list(labels.items()), title="Pictures of each class")] if labels else []
    print_result(document, as_json, Table(rows), *classes, *failures(failed))


@app.command()
def export(
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="A .npz or .csv file.")],
    address: Index = DEFAULT_INDEX,
    extractor: MadeBy = None,
    force: Overwrite = False,
) -> None:
    """Write records to .csv, or records and vectors to .npz."""
    from imgsearch_kit.gallery import Gallery

    if output.suffix not in (".npz", ".csv"):
        raise typer.BadParameter(f"-o {output} must end in .npz (with vectors) or .csv (without)")
    check_outputs(output, force=force, export=output.suffix == ".npz")
    with Gallery.open(address, extractor) as gallery:
        count = gallery.export(output, force=force)
    say(f"{count} records to {output}")


@app.command()
def remove(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="The address of an index that the kit made.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete an index; the pictures stay."""
    from imgsearch_kit.gallery import Gallery
    from imgsearch_kit.index import Address

    where = Address.parse(address)
    with Gallery.open(where) as gallery:
        what = f"the index at {where} with {len(gallery):,} pictures"
        if not yes and not sys.stdin.isatty():
            raise typer.BadParameter(f"--yes is needed without a terminal; the command would delete {what}")
        if not yes and not typer.confirm(visible(f"Delete {what}?")):
            note("Nothing was deleted.")
            return
        gallery.remove()
    say(f"Deleted {what}. The picture files were not touched.")
