"""Commands that show an index to others without a server."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from imgsearch_kit.cli.base import (
    DEFAULT_INDEX,
    EXIT_FAILURES,
    Index,
    Json,
    MadeBy,
    MaxMegapixels,
    Root,
    Weights,
    app,
    note,
    print_result,
)


@app.command()
def pack(
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FOLDER", help="A new folder, or one packed earlier.")
    ],
    static: Annotated[bool, typer.Option("--static", help="A site of plain files, without a server.")] = False,
    address: Index = DEFAULT_INDEX,
    title: Annotated[str | None, typer.Option(help="Its title.")] = None,
    anonymous: Annotated[bool, typer.Option("--anonymous", help="Numbers in place of the pictures' names.")] = False,
    exclude_label: Annotated[list[str] | None, typer.Option(help="A label to leave out everywhere.")] = None,
    runtime: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="The unpacked npm package onnxruntime-web, without npm.")
    ] = None,
    root: Root = None,
    weights: Weights = None,
    extractor: MadeBy = None,
    max_megapixels: MaxMegapixels = 178,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Write a hosted Space with the page, or with --static a site that any host of files serves."""
    from imgsearch_kit.gallery import Gallery
    from imgsearch_kit.share.folder import check_site_folder

    if runtime and not static:
        raise typer.BadParameter("--runtime belongs to --static")
    check_site_folder(output, "site" if static else "space")
    pixels = round(max_megapixels * 1e6)
    with Gallery.open(address, extractor, root=root, weights=weights, max_pixels=pixels) as gallery:
        contents = gallery.packing(exclude_labels=exclude_label or (), anonymous=anonymous)
        note(f"{contents}\n")
        if not yes and not sys.stdin.isatty():
            raise typer.BadParameter("--yes is needed without a terminal, once you have read what will be shown")
        if not yes and not typer.confirm(f"Write it to {output}?"):
            note("Nothing was written.")
            return
        options: dict[str, Any] = {"title": title, "say": note} | ({"runtime": runtime} if static else {})
        report = gallery.pack(output, static=static, contents=contents, **options)
    print_result(report.to_json() | {"contents": contents.to_json()}, as_json, report)
    raise typer.Exit(EXIT_FAILURES if report.failed else 0)
