"""A receipt: one search as an HTML file, which shows it without a script, and has it as JSON."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from string import Template
from typing import Any

from PIL import Image

import imgsearch_kit
from imgsearch_kit.errors import BadQuery
from imgsearch_kit.outputs import GENERATOR
from imgsearch_kit.records import IndexPassport, Pixels
from imgsearch_kit.reports import Table, flat, html_text, json_text
from imgsearch_kit.results import Results

RECEIPT_FORMAT = 1
LARGEST_SIDE, MOST_QUERIES = 1024, 64
PNG_URI = "data:image/png;base64,"
BEGIN, END_OF_SCRIPT = '<script type="application/json" id="imgsearch-receipt">', "</script>"

RECEIPT_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="generator" content="$generator">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>$title</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}
figure{display:inline-block;margin:0 1rem 1rem 0}figure img{max-height:224px;max-width:100%}
td,h1{overflow-wrap:anywhere}</style>
</head>
<body>
<h1>$title</h1>
<p>$made To repeat it: <code>imgsearch replay FILE --index ADDRESS</code></p>
<h2>Query</h2>
$queries
<h2>Answer</h2>
$answer
<h2>Search</h2>
$asked
<h2>Index</h2>
$passport
$begin$document$end
</body>
</html>
""")


def receipt_page(results: Results, passport: IndexPassport) -> str:
    """The receipt of an answer of the index with this passport: HTML without a script, and the same as JSON in it.

    :raises BadQuery: when the answer is to more than 64 queries, or the network takes more than 1,024 pixels a side.
    """
    sides = {len(pixels) for pixels in results.seen if pixels is not None}
    if len(results.seen) > MOST_QUERIES or max(sides, default=0) > LARGEST_SIDE:
        raise BadQuery(
            f"This search has {len(results.seen)} queries of {max(sides, default=0)} pixels a side; a receipt has at "
            f"most {MOST_QUERIES} queries of {LARGEST_SIDE}."
        )
    published, made = passport.published(), f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    uris = [pixels if pixels is None else _png_uri(pixels) for pixels in results.seen]
    answer = {"imgsearch_receipt": RECEIPT_FORMAT, "version": imgsearch_kit.__version__, "made": made}
    answer |= {"asked": dict(results.asked), "passport": published, "answer": results.to_json()}
    answer |= {"seen": uris, "resampling": passport.spec.resampling if passport.spec else ""}
    asked = [(name, _short(value)) for name, value in results.asked.items() if value not in (None, [], "")]
    text = json_text(answer)
    for character in "<>&":  # only in strings, where JSON may write them so
        text = text.replace(character, f"\\u{ord(character):04x}")
    return RECEIPT_PAGE.substitute(
        generator=GENERATOR,
        title=html_text(results.title()),
        made=html_text(f"Searched with imgsearch-kit {imgsearch_kit.__version__}, {made}."),
        queries="\n".join(map(_figure, queries_of(results.query), uris)),
        answer=results._repr_html_(),
        asked=Table(asked)._repr_html_(),
        passport=Table(list(passport_texts(published).items()))._repr_html_(),
        begin=BEGIN,
        document=text,
        end=END_OF_SCRIPT,
    )


def queries_of(query: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What is known of each single query, from ``Results.query``."""
    return list(query.get("queries", [query]))


def passport_texts(published: Mapping[str, Any]) -> dict[str, str]:
    """The fields of ``IndexPassport.published`` as texts, nested ones by names such as ``spec dim``."""
    return {name: _short(value) for name, value in flat(published).items()}


def _figure(about: Mapping[str, Any], uri: str | None) -> str:
    """A query as the network saw it, or its id where the stored vector was taken."""
    name = str(about.get("id") or about.get("file") or "a picture")
    if uri is None:
        return f"<p>{html_text(name)}, by its stored vector</p>"
    words = f"{'a box of ' if 'box' in about else ''}{name}, as the network saw it"
    return f'<figure><img src="{uri}" alt=""><figcaption>{html_text(words)}</figcaption></figure>'


def _png_uri(pixels: Pixels) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return PNG_URI + base64.b64encode(file.getvalue()).decode()


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
