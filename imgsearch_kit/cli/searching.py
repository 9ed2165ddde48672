"""Commands that find neighbours, in the terminal and on the page."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from imgsearch_kit.cli.base import (
    DEFAULT_INDEX,
    EXIT_FAILURES,
    Engine,
    ExtractorName,
    Force,
    Index,
    Json,
    MaxMegapixels,
    Rank,
    Root,
    Weights,
    app,
    check_outputs,
    note,
    note_time,
    print_csv,
    print_result,
    say,
)


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="The folder for sample pictures and their index.")] = Path("demo"),
    once: Annotated[bool, typer.Option("--once", help="Stop before the page.")] = False,
    port: Annotated[int, typer.Option(min=1, max=65535, help="The page's port.")] = 7860,
) -> None:
    """Make sample pictures and their index, search once, serve the page."""
    from imgsearch_kit.demo import sample_gallery

    with sample_gallery(folder, note) as gallery:
        say(str(gallery.report))
        query = next(record.id for record in gallery.records() if "original" in record.id)
        say(f"\n{gallery.search(id=query, k=5)}")
        say(f"\nAgain: imgsearch search --id {query} --index {gallery.index.address}")
        if not once:
            serve_page(gallery, port=port)


@app.command()
def search(
    images: Annotated[
        list[Path] | None, typer.Argument(metavar="IMAGE", help="A picture; of several, the mean.")
    ] = None,
    ids: Annotated[list[str] | None, typer.Option("--id", help="An indexed picture; can be repeated.")] = None,
    address: Index = DEFAULT_INDEX,
    k: Annotated[int, typer.Option("-k", min=1, help="How many neighbours.")] = 10,
    label: Annotated[list[str] | None, typer.Option("--label", help="Only this label; can be repeated.")] = None,
    min_score: Annotated[float | None, typer.Option(help="Only hits of at least this cosine.")] = None,
    approx: Annotated[bool, typer.Option("--approx", help="Use the index's approximate method.")] = False,
    candidates: Annotated[int | None, typer.Option(min=1, help="How many it scores exactly.")] = None,
    probes: Annotated[int | None, typer.Option(min=0, help="How many further buckets l2-lsh searches.")] = None,
    rank: Rank = None,
    box: Annotated[
        str | None, typer.Option(metavar="L,T,R,B", help="Only this part: left, top, right, bottom within 0 to 1.")
    ] = None,
    plus: Annotated[list[str] | None, typer.Option(metavar="ID", help="More like this; can be repeated.")] = None,
    minus: Annotated[list[str] | None, typer.Option(metavar="ID", help="Less like this; can be repeated.")] = None,
    distinct: Annotated[
        float | None, typer.Option(metavar="COSINE", help="Leave out hits nearer than this to an earlier one.")
    ] = None,
    root: Root = None,
    extractor: ExtractorName = None,
    weights: Weights = None,
    engine: Engine = None,
    receipt: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Write the answer there, to be read and replayed.")
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Search although the network computes other vectors than it did; let --receipt overwrite any file.",
        ),
    ] = False,
    max_megapixels: MaxMegapixels = 178,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the hits as CSV.")] = False,
) -> None:
    """Find the neighbours of a picture, or of an indexed one."""
    from imgsearch_kit.boxes import parse_box
    from imgsearch_kit.gallery import Gallery
    from imgsearch_kit.records import Approx

    if not images and not ids:
        raise typer.BadParameter("give a picture or --id")
    if as_json and as_csv:
        raise typer.BadParameter("--json and --csv exclude each other")
    check_outputs(receipt, force=force)
    options: dict[str, Any] = {"weights": weights, "engine": engine, "root": root, "force": force, "rank": rank}
    steer: dict[str, Any] = {"plus": plus or (), "minus": minus or (), "distinct": distinct}
    steer |= {"box": parse_box(box) if box is not None else None, "min_score": min_score, "labels": label or None}
    with Gallery.open(address, extractor, max_pixels=round(max_megapixels * 1e6), **options) as gallery:
        approximation = Approx(candidates, probes) if approx or candidates or probes is not None else None
        results = gallery.search(images, id=ids, k=k, approx=approximation, **steer)
        if receipt:
            gallery.receipt(results, receipt, force=force)
    if as_csv:
        paths = any(hit.path for hit in results.hits)  # an index of the original system has ids that are not paths
        head: list[Any] = ["rank", "id", "label", "score", "path"]
        rows = ([hit.rank, hit.id, hit.label or "", f"{hit.score:.6f}", hit.path] for hit in results.hits)
        print_csv(row if paths else row[:-1] for row in [head, *rows])
    else:
        print_result(results.to_json(), as_json, results)
    if not as_json and not as_csv:
        note_time(results)


@app.command()
def replay(
    receipts: Annotated[list[Path], typer.Argument(metavar="RECEIPT", help="What `search --receipt` wrote.")],
    address: Index = DEFAULT_INDEX,
    min_overlap: Annotated[
        float | None, typer.Option(min=0, max=1, help="Exit with 1 if a search overlaps less with itself then.")
    ] = None,
    pictures: Annotated[
        list[Path] | None,
        typer.Option(
            "--picture", metavar="FILE", help="The original of a query, for another network; can be repeated."
        ),
    ] = None,
    root: Root = None,
    extractor: ExtractorName = None,
    weights: Weights = None,
    engine: Engine = None,
    force: Force = False,
    max_megapixels: MaxMegapixels = 178,
    as_json: Json = False,
) -> None:
    """Repeat searches from their receipts, and show what has changed since."""
    from imgsearch_kit.gallery import Gallery

    options: dict[str, Any] = {"weights": weights, "engine": engine, "root": root, "force": force}
    with Gallery.open(address, extractor, max_pixels=round(max_megapixels * 1e6), **options) as gallery:
        report = gallery.replay(receipts, pictures=pictures or ())
    print_result(report.to_json(), as_json, report)
    too_low = min_overlap is not None and any(each.overlap < min_overlap for each in report.replays)
    raise typer.Exit(EXIT_FAILURES if report.failed or too_low else 0)


@app.command()
def serve(
    address: Index = DEFAULT_INDEX,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port to listen on.")] = 7860,
    open_: Annotated[bool, typer.Option("--open", help="Let other machines search without a login.")] = False,
    share: Annotated[bool, typer.Option("--share", help="Make a public link through Gradio; needs --auth.")] = False,
    cors: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="A web site whose scripts may call the routes; can be repeated."),
    ] = None,
    title: Annotated[str | None, typer.Option(help="The page's title.")] = None,
    about: Annotated[Path | None, typer.Option(metavar="FILE.md", help="What the page says of itself.")] = None,
    favicon: Annotated[Path | None, typer.Option(metavar="FILE", help="A picture for the page's icon.")] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Hide indexing and original files.")] = False,
    allow_originals: Annotated[
        bool, typer.Option("--allow-originals", help="Let visitors download original files, without their metadata.")
    ] = False,
    add_below: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", envvar="IMGSEARCH_ADD_BELOW", help="Let the page add folders below it to the index."
        ),
    ] = None,
    compare: Annotated[
        list[str] | None,
        typer.Option(metavar="ADDRESS", help="Another index of these pictures, to compare with; can be repeated."),
    ] = None,
    auth: Annotated[
        str | None, typer.Option(metavar="USER:PASS", envvar="IMGSEARCH_AUTH", help="Require this login.")
    ] = None,
    rank: Rank = None,
    extractor: ExtractorName = None,
    weights: Weights = None,
    engine: Engine = None,
    root: Root = None,
    force: Force = False,
    max_megapixels: MaxMegapixels = 178,
) -> None:
    """Serve the page: drop a picture, see its neighbours."""
    from imgsearch_kit.gallery import Gallery

    if auth is not None and not all(auth.partition(":")):
        raise typer.BadParameter("--auth takes USER:PASS")
    options: dict[str, Any] = {"weights": weights, "engine": engine, "root": root, "force": force, "rank": rank}
    login = tuple(auth.split(":", 1)) if auth else None
    doors: dict[str, Any] = {
        "host": host,
        "port": port,
        "auth": login,
        "open": open_,
        "share": share,
        "cors": cors or (),
    }
    options |= {"max_pixels": round(max_megapixels * 1e6)}
    with contextlib.ExitStack() as stack:
        gallery = stack.enter_context(Gallery.open(address, extractor, **options))
        others = [stack.enter_context(Gallery.open(each, **options | {"rank": None})) for each in compare or ()]
        frame: dict[str, Any] = {"title": title, "about": about, "favicon": favicon, "read_only": read_only}
        serve_page(gallery, compare=others, allow_originals=allow_originals, add_below=add_below, **frame, **doors)


def serve_page(gallery: Any, *, share: bool = False, **options: Any) -> None:
    """Serves until Ctrl-C."""
    if share:
        note(
            "Who has the public link and the login sees the thumbnails, names and classes of all "
            f"{len(gallery):,} pictures and can search. What they upload passes through Gradio's servers."
        )
    page = gallery.serve(share=share, block=False, **options)
    others = f", for other machines at {page.others_url}" if page.others_url else ""
    shared = f" and publicly at {page.share_url}" if page.share_url else ", not shared" if share else ""
    say(f"The page is at {page.url}{others}{shared}")
    sys.stdout.flush()
    page.wait()
