"""A receipt: one search as an HTML file, which shows it and from which it can be repeated."""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from PIL import Image

import imgsearch_kit
from imgsearch_kit.arguments import whole_number
from imgsearch_kit.errors import BadQuery, KitError
from imgsearch_kit.images import load
from imgsearch_kit.outputs import GENERATOR
from imgsearch_kit.records import Approx, IndexPassport, Pixels, Results
from imgsearch_kit.reports import Table, flat, html_text, json_text
from imgsearch_kit.tables import read_text

RECEIPT_FORMAT = 1
LARGEST_RECEIPT = 100 << 20  # bytes
LARGEST_SIDE, MOST_QUERIES = 1024, 64
PNG_URI = "data:image/png;base64,"
BEGIN, END_OF_SCRIPT = '<script type="application/json" id="imgsearch-receipt">', "</script>"
ARGUMENTS = ("k", "labels", "min_score", "approx", "rank", "box", "plus", "minus", "distinct")

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


@dataclass(frozen=True)
class Receipt:
    """A receipt as it was read: untrusted, but of the right types.

    ``asked`` are arguments of ``Gallery.search``. Of each single query ``queries`` has what was known and ``seen`` the
    pixels, or None. ``hits`` are ids in rank order, ``passport`` the fields of the index's passport as texts.
    """

    path: Path
    asked: Mapping[str, Any]
    queries: tuple[Mapping[str, Any], ...]
    seen: tuple[Pixels | None, ...]
    resampling: str
    hits: tuple[str, ...]
    passport: Mapping[str, str]


def read_receipt(path: Path) -> Receipt:
    """The receipt in an HTML file that the kit wrote.

    :raises BadQuery: when the file cannot be read, is too large, is no receipt, or has a value of another type.
    """
    try:
        if not path.is_file():
            raise BadQuery("it is no file")
        if (size := path.stat().st_size) > LARGEST_RECEIPT:
            raise BadQuery(f"it has {size / 2**20:,.0f} MB, more than {LARGEST_RECEIPT >> 20}")
        return _receipt(path, _document(read_text(path, "receipt")))
    except (KitError, OSError, ValueError, TypeError, LookupError, RecursionError) as error:
        why = "its values are nested too deep" if isinstance(error, RecursionError) else str(error) or "it is damaged"
        raise BadQuery(
            f"{path} is no receipt that can be repeated: {why[:300].rstrip('.')}. "
            "Give a file that `imgsearch search --receipt` or the page wrote."
        ) from error


def _document(page: str) -> dict[str, Any]:
    """The JSON document in a receipt's page."""
    _, begun, rest = page.partition(BEGIN)
    text, ended, _ = rest.partition(END_OF_SCRIPT)
    if not (begun and ended):
        raise BadQuery("it holds no search")
    document = json.loads(text, parse_int=_integer, parse_float=_finite, parse_constant=_finite)
    if not isinstance(document, dict) or document.get("imgsearch_receipt") != RECEIPT_FORMAT:
        raise BadQuery("it has another format than this version of imgsearch-kit reads")
    return document


def _integer(text: str) -> int:
    if len(text) > 18:
        raise ValueError("a number has more than 18 digits")
    return int(text)


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text[:20]} is no finite number")
    return number


def _receipt(path: Path, document: Mapping[str, Any]) -> Receipt:
    asked, answer = _of(document, "asked", dict), _of(document, "answer", dict)
    known = _of(answer, "query", dict)
    queries = tuple(_about(query) for query in (_of(known, "queries", list) if "queries" in known else [known]))
    uris = _of(document, "seen", list)
    if len(uris) != len(queries) or not 1 <= len(uris) <= MOST_QUERIES:
        raise ValueError(f"it has {len(queries)} queries and the pixels of {len(uris)}")
    for query, uri in zip(queries, uris, strict=True):
        if uri is None and not query.get("id"):
            raise ValueError("a query has neither pixels nor an id")
    hits = tuple(_of(hit, "id", str) for hit in _of(answer, "hits", list))
    if len(set(hits)) < len(hits):
        raise ValueError("it names a hit twice")
    arguments = {name: asked[name] for name in ARGUMENTS if name in asked}
    approx = arguments.get("approx") and _approx(_of(arguments, "approx", dict))
    return Receipt(
        path,
        arguments | {"approx": approx or None},
        queries,
        tuple(None if uri is None else _pixels(uri) for uri in uris),
        _of(document, "resampling", str),
        hits,
        passport_texts(_of(document, "passport", dict)),
    )


def _of(holder: Any, name: str, kind: type) -> Any:
    """A value of a JSON object, which must have this type."""
    value = holder.get(name) if isinstance(holder, dict) else None
    if not isinstance(value, kind):
        raise TypeError(f"its {name!r} is missing or no {kind.__name__}")
    return value


def _about(query: Any) -> dict[str, Any]:
    """What is known of a query: texts, the size, and the box."""
    if not isinstance(query, dict):
        raise TypeError("a query is no object")
    texts = {name: _of(query, name, str) for name in ("id", "file", "label", "sha256") if query.get(name)}
    sides = {name: _of(query, name, int) for name in ("width", "height") if name in query}
    return texts | sides | ({"box": _of(query, "box", list)} if "box" in query else {})


def _approx(given: Mapping[str, Any]) -> Approx:
    least = {"candidates": 1, "probes": 0}
    wish = {name: whole_number(name, given[name], low) for name, low in least.items() if given.get(name) is not None}
    return Approx(**wish)


def _pixels(uri: Any) -> Pixels:
    """The pixels in a data URI of a square PNG."""
    if not isinstance(uri, str) or not uri.startswith(PNG_URI):
        raise TypeError("the pixels of a query are no PNG")
    content = base64.b64decode(uri.removeprefix(PNG_URI), validate=True)
    if content[:8] != b"\x89PNG\r\n\x1a\n":
        raise TypeError("the pixels of a query are no PNG")
    width, height = (int.from_bytes(content[place : place + 4], "big") for place in (16, 20))
    if width != height or not 1 <= width <= LARGEST_SIDE:
        raise ValueError(f"the pixels of a query are {width} x {height}, not a square of at most {LARGEST_SIDE}")
    pixels = load(content, width, max_pixels=width * width).pixels
    return np.ascontiguousarray(pixels)
