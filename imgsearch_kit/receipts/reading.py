"""Receipts as they are read back: untrusted files, of which only what has the right types and sizes is taken."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imgsearch_kit.arguments import whole_number
from imgsearch_kit.errors import BadQuery, KitError
from imgsearch_kit.images import load
from imgsearch_kit.receipts.writing import (
    BEGIN,
    END_OF_SCRIPT,
    LARGEST_SIDE,
    MOST_QUERIES,
    PNG_URI,
    RECEIPT_FORMAT,
    passport_texts,
)
from imgsearch_kit.records import Approx, Pixels
from imgsearch_kit.tables import read_text

LARGEST_RECEIPT = 100 << 20  # bytes
LONGEST_ID, LONGEST_TEXT = 5000, 1000  # characters; of a text that is shown
MOST_FIELDS = 200  # of a passport
ARGUMENTS = ("k", "labels", "min_score", "approx", "rank", "box", "plus", "minus", "distinct")


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
            f"{path} is no receipt that can be repeated: {shortened(why).rstrip('.')}. "
            "Give a file that `imgsearch search --receipt` or the page wrote."
        ) from error


def shortened(text: str) -> str:
    """A text from a receipt as a message may repeat it."""
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]} …"


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
    if max(map(len, hits), default=0) > LONGEST_ID:
        raise ValueError(f"an id has more than {LONGEST_ID:,} characters")
    passport = passport_texts(_of(document, "passport", dict))
    if len(passport) > MOST_FIELDS:
        raise ValueError(f"its passport has more than {MOST_FIELDS} fields")
    arguments = {name: asked[name] for name in ARGUMENTS if name in asked}
    approx = arguments.get("approx") and _approx(_of(arguments, "approx", dict))
    return Receipt(
        path,
        arguments | {"approx": approx or None},
        queries,
        tuple(None if uri is None else _pixels(uri) for uri in uris),
        _of(document, "resampling", str),
        hits,
        {name: shortened(text) for name, text in passport.items()},
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
