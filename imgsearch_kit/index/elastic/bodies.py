"""The requests to Elasticsearch as plain JSON values: mappings, queries and documents.

Nothing here talks to a server. The Elastiknn forms follow its API reference (https://elastiknn.com/api), the native
ones Elasticsearch's reference of ``dense_vector`` and of the ``knn`` search.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote_to_bytes

import numpy as np
import orjson

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.index.arguments import is_text
from imgsearch_kit.index.elastic.methods import QUANTISED, Method
from imgsearch_kit.records import Approx, ImageRecord, IndexPassport, Vectors

Json = dict[str, Any]

KEEP_ALIVE = "5m"
RECORDS: Json = {"exists": {"field": "id"}}  # the list of failures is a document too, without an id
MOST = 10_000  # candidates, and hits of one request: the server's limit
LONGEST = 32_766  # bytes of a keyword
MOST_LABELS = 65_536  # in one filter: the server's limit
LSH_CANDIDATES, NATIVE_CANDIDATES = 500, 100  # where a search does not say

_STORED = {"index": False, "doc_values": True}  # is read, never searched
RECORD_FIELDS: Json = {
    "id": {"type": "keyword"},
    "label": {"type": "keyword"},
    "sha256": {"type": "keyword"},
    "width": {"type": "integer", **_STORED},
    "height": {"type": "integer", **_STORED},
    "mtime": {"type": "double", **_STORED},
    "size": {"type": "long", **_STORED},
    "path": {"type": "keyword", **_STORED},
    "inode": {"type": "long", **_STORED},  # the first format did not have these two
    "ctime": {"type": "double", **_STORED},
}
FIELDS = tuple(f.name for f in dataclasses.fields(ImageRecord))
FAILURES = "failures"  # the field, and the document, that hold what could not be indexed
PASSPORT = "passport"  # the document in which changes of the passport are agreed
LEARNED, PART = "learned", 2 * 2**20  # what a baked ranking has learned, and the bytes of it that one document holds


# -- an index -------------------------------------------------------------------------------------------------------


def index_body(method: Method, passport: IndexPassport, aliases: Sequence[str], write_alias: str) -> Json:
    """The body that creates an index: settings, mapping with the passport in ``_meta``, and aliases.

    The server refreshes only on request, so that nobody sees half a batch. It allows one write index for an alias, so
    when two processes make an index at the same address at the same time, one is refused.
    """
    copies: Json = {"auto_expand_replicas": "0-1"}
    if method.replicas is not None:
        copies = {"number_of_replicas": method.replicas}
    return {
        "settings": {"index": {"number_of_shards": method.shards, "refresh_interval": "-1", **copies}},
        "aliases": {alias: {"is_write_index": True} for alias in aliases} | {write_alias: {"is_hidden": True}},
        "mappings": {
            "dynamic": False,
            "_meta": passport_meta(passport),
            "properties": {
                **RECORD_FIELDS,
                **vector_fields(method, passport.dim),
                FAILURES: {"type": "object", "enabled": False},
            },
        },
    }


def vector_fields(method: Method, dim: int) -> Json:
    """The mapping of the field ``vector``, and of its exact twin where a native approximate method carries one."""
    if method.native:
        fields = {"vector": _native_field(dim, {"type": method.name, **method.parameters})}
        if method.has_twin:
            fields["exact"] = _native_field(dim, {"type": "flat"})
        return fields
    models: Mapping[str, Json] = {
        "exact": {"model": "exact"},
        "l2-lsh": {"model": "lsh", "similarity": "l2"},
        "cosine-lsh": {"model": "lsh", "similarity": "cosine"},
        # "repeating" would count tokens by rank, but the plugin reads those counts in the last block of postings only,
        # so that whatever was indexed last wins.
        "permutation-lsh": {"model": "permutation_lsh", "repeating": False},
    }
    elastiknn = {"dims": dim, **models[method.name], **method.parameters}
    return {"vector": {"type": "elastiknn_dense_float_vector", "elastiknn": elastiknn}}


def _native_field(dim: int, options: Json) -> Json:
    return {"type": "dense_vector", "dims": dim, "index": True, "similarity": "cosine", "index_options": options}


def upgrade_body(passport: IndexPassport) -> Json:
    """The change of a mapping that makes an index of an earlier format one of the passport's."""
    return {"_meta": passport_meta(passport), "properties": RECORD_FIELDS}


def passport_meta(passport: IndexPassport) -> Json:
    """The passport as the mapping's ``_meta``, without what the server counts, and with packed probes."""
    plain = passport.to_json(probes=False)
    plain["roots"] = {prefix: _sent_folder(folder) for prefix, folder in passport.roots.items()}
    for derived in ("count", "root"):
        del plain[derived]
    return {"imgsearch": plain | {"probes": packed(passport.probes) if passport.probes.size else ""}}


def passport_of(plain: Json) -> IndexPassport:
    """The passport that ``passport_meta`` wrote; without probes where ``plain`` has none."""
    probes = np.frombuffer(base64.b64decode(plain.get("probes", "")), ">f4").astype(np.float32)
    roots = {prefix: _read_folder(sent) for prefix, sent in plain.get("roots", {}).items()}
    return IndexPassport.from_json(plain | {"probes": probes, "roots": roots})


def _sent_folder(folder: str) -> str:
    """A folder as text; one whose name is not UTF-8, which JSON cannot hold, as an address ``file:///...``."""
    return folder if is_text(folder) else f"file://{quote(os.fsencode(folder))}"


def _read_folder(sent: str) -> str:
    """The folder that was sent."""
    return os.fsdecode(unquote_to_bytes(sent.removeprefix("file://"))) if sent.startswith("file://") else sent


# -- documents ------------------------------------------------------------------------------------------------------


def document_id(id: str) -> str:  # noqa: A002 (the field's name)
    """The ``_id`` of a record: a digest, because a path may be longer than the 512 bytes an ``_id`` may have."""
    return hashlib.blake2b(id.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def label_filter(labels: Sequence[str]) -> tuple[str, ...]:
    """The distinct labels that a document can have.

    :raises BadQuery: when there are more of them than the server accepts.
    """
    known = tuple(label for label in dict.fromkeys(labels) if is_text(label) and len(label.encode()) <= LONGEST)
    if len(known) > MOST_LABELS:
        raise BadQuery(
            f"A search may be limited to at most {MOST_LABELS} labels, the server's limit; these are {len(known)}. "
            "Leave the labels out, or search several times."
        )
    return known


def document(record: ImageRecord, vector: Vectors, method: Method, *, pack: bool) -> Json:
    """The document of a record; ``pack`` writes its vector as base64, which Elasticsearch takes from 9.3 on."""
    value = packed(vector) if pack and method.native else vector
    fields = {name: found for name in FIELDS if (found := getattr(record, name)) is not None}
    for name in ("path", "inode", "ctime"):  # most records have no path, and some were not read from a file
        if not fields[name]:
            del fields[name]
    return fields | {"vector": value} | ({"exact": value} if method.has_twin else {})


def learned_id(part: int) -> str:
    """The ``_id`` of a part of what a baked ranking has learned."""
    return f"{LEARNED}-{part}"


def learned_documents(learned: bytes) -> list[Json]:
    """What a baked ranking has learned as documents; their field is not in the mapping, so it is not indexed."""
    starts = range(0, len(learned), PART)
    parts = [base64.b64encode(learned[start : start + PART]).decode() for start in starts]
    return [{LEARNED: part, "parts": len(parts)} for part in parts]


def packed(vectors: Vectors) -> str:
    """Vectors as base64 of big-endian float32, row after row."""
    return base64.b64encode(vectors.astype(">f4").tobytes()).decode()


# -- queries --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """The options of one query: the number of hits, and how many ``candidates`` are scored (None: all, exactly).

    ``labels`` and ``ids`` (of documents) keep only these, ``without`` (ids of documents) leaves these out.
    """

    size: int
    candidates: int | None = None
    probes: int = 0
    labels: tuple[str, ...] | None = None
    ids: tuple[str, ...] | None = None
    without: tuple[str, ...] = ()

    @property
    def filters(self) -> Json:
        """The clauses of a ``bool`` query, {} where nothing is filtered."""
        keep: list[Json] = []
        if self.labels is not None:
            keep.append({"terms": {"label": list(self.labels)}})
        if self.ids is not None:
            queries = _ids(self.ids)
            keep.append({"bool": {"should": queries}} if len(queries) > 1 else queries[0])
        clauses: Json = {"filter": keep} if keep else {}
        return clauses | ({"must_not": _ids(self.without)} if self.without else {})


def _ids(keys: Sequence[str]) -> list[Json]:
    """Queries that together match these documents; from version 9 on, a server accepts at most ``MOST`` in one."""
    starts = range(0, max(1, len(keys)), MOST)
    return [{"ids": {"values": list(keys[start : start + MOST])}} for start in starts]


def search_body(method: Method, vector: Vectors, options: SearchOptions, field: str = "vector") -> Json:
    """The search of one vector of shape ``(dim,)``; hits carry their records, and no source and no vector.

    A quantised method's candidates are scored again with the full vectors (``rescore_vector``).
    """
    body: Json = {"size": options.size, "_source": False, "track_total_hits": False}
    if field == "vector":  # the kit's own documents are read as columns, and not from the large source
        body |= {"stored_fields": "_none_", "docvalue_fields": list(FIELDS)}
    if method.native:
        return body | {"knn": _knn(method, vector, options)}
    nearest = {"elastiknn_nearest_neighbors": {"field": field, "vec": vector, **_model(method, options)}}
    return body | {"query": {"bool": {"must": [nearest], **options.filters}} if options.filters else nearest}


def candidates(method: Method, approx: Approx, k: int) -> tuple[int, int]:
    """How many candidates (at least ``k``) and further probes an approximate search takes.

    :raises BadQuery: when there are more candidates than the server allows, or the method knows no probes.
    """
    count = approx.candidates or (NATIVE_CANDIDATES if method.native else LSH_CANDIDATES)
    if count > MOST:
        raise BadQuery(f"candidates may be at most {MOST}, the server's limit; they are {count}.")
    if approx.probes and method.name != "l2-lsh":
        raise BadQuery(f"probes is a parameter of l2-lsh; the method of this index is {method.name}. Leave it out.")
    return max(count, min(k, MOST)), approx.probes or 0


def searches(search_bodies: Sequence[Json]) -> bytes:
    """Several searches as the lines of one multi-search."""
    head = orjson.dumps({"allow_partial_search_results": False})
    return b"".join(
        head + b"\n" + orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n" for body in search_bodies
    )


def _knn(method: Method, vector: Vectors, options: SearchOptions) -> Json:
    approximate = options.candidates is not None
    count = options.candidates or options.size
    knn: Json = {
        "field": "exact" if method.approximate and not approximate else "vector",
        "query_vector": vector,
        "k": count,
        "num_candidates": count,
    }
    if approximate and method.name in QUANTISED:
        knn["rescore_vector"] = {"oversample": 1.0}
    return knn | ({"filter": {"bool": options.filters}} if options.filters else {})


def _model(method: Method, options: SearchOptions) -> Json:
    if options.candidates is None:
        return {"model": "exact", "similarity": "cosine"}
    if method.name == "l2-lsh":
        return {"model": "lsh", "similarity": "l2", "candidates": options.candidates, "probes": options.probes}
    model = "permutation_lsh" if method.name == "permutation-lsh" else "lsh"
    return {"model": model, "similarity": "cosine", "candidates": options.candidates}


def cosine(method: Method, options: SearchOptions, score: float) -> float:
    """The cosine that a hit's ``_score`` gives, for unit vectors."""
    if method.native:
        return 2 * score - 1
    if method.name == "l2-lsh" and options.candidates is not None:
        return 1 - (1 / score - 1) ** 2 / 2
    return score - 1


def answered_by(method: Method, options: SearchOptions) -> str:
    """The method that answers a query with these options, as a SPEC with its candidates."""
    if options.candidates is None:
        return "exact"
    probes = f",probes={options.probes}" if options.probes else ""
    return f"{method.spec}{',' if method.parameters else ':'}candidates={options.candidates}{probes}"


def page_body(size: int, query: Json, method: Method, *, vectors: bool) -> Json:
    """The search for ``size`` records that match a query, with vectors on request, as columns where possible."""
    body: Json = {"size": size, "track_total_hits": False, "query": query}
    if vectors and not method.native:
        return body | {"_source": ["vector"], "docvalue_fields": list(FIELDS)}
    columns = [*FIELDS, "vector"] if vectors else list(FIELDS)
    return body | {"_source": False, "stored_fields": "_none_", "docvalue_fields": columns}


def count_body(query: Json) -> Json:
    """The number of records that match a query; unlike the server's own count, it fails where a shard is missing."""
    return {"size": 0, "track_total_hits": True, "query": query}


def labels_body(query: Json, after: Json | None) -> Json:
    """How many records have each label, in code point order, one page of labels, starting after ``after``."""
    page: Json = {"size": MOST, "sources": [{"label": {"terms": {"field": "label"}}}]}
    by_label = {"composite": page if after is None else page | {"after": after}}
    return {"size": 0, "track_total_hits": False, "query": query, "aggs": {"labels": by_label}}


def tally_body(query: Json, after: Json | None) -> Json:
    """The same, and the number of all records, as ``count_body`` gives it."""
    return labels_body(query, after) | {"track_total_hits": True}


def paging(point: str, after: Any) -> Json:
    """The part of a search that selects the page after the sort value ``after`` (None: the first)."""
    where = {"pit": {"id": point, "keep_alive": KEEP_ALIVE}, "sort": ["_shard_doc"]}
    return where if after is None else where | {"search_after": after}


def alias_body(steps: Sequence[Json]) -> Json:
    """Changes of aliases that happen all at once."""
    return {"actions": list(steps)}
