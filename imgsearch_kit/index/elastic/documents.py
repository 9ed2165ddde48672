"""How documents on a server hold records: in indexes of the kit, and in those of the original system."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import PureWindowsPath
from typing import Any

import numpy as np

from imgsearch_kit.errors import IndexDamaged, IndexMismatch
from imgsearch_kit.index.elastic import bodies
from imgsearch_kit.index.elastic.bodies import Json, SearchOptions
from imgsearch_kit.index.elastic.client import Server
from imgsearch_kit.index.elastic.methods import ELASTIKNN, Method, parse_method
from imgsearch_kit.index.elastic.scanning import scan
from imgsearch_kit.index.stored import read_passport
from imgsearch_kit.records import ImageRecord, IndexPassport, Vectors

PAGE = 1_000  # records of one request
VECTOR, PATH = "feature_vector", "image_path"  # the fields of the original system


class Documents(ABC):
    """The differences between the indexes that the kit makes and those that it only reads.

    ``everything`` is the query for all records, ``method`` the search method of the index.
    """

    everything: Json
    writable: bool

    def __init__(self, method: Method):
        self.method = method

    @abstractmethod
    def passport(self, index: Json) -> IndexPassport:
        """The passport as the server keeps it: from the settings and mappings of the index, without its count."""

    @abstractmethod
    def keys(self, ids: Sequence[str]) -> list[str]:
        """The ``_id`` of each record's document; where they must be looked up, unknown ids are left out."""

    @abstractmethod
    def record(self, hit: Json) -> ImageRecord:
        """The record of a hit of ``search_body`` or ``page_body``."""

    @abstractmethod
    def vector(self, hit: Json) -> Vectors:
        """The unit vector ``(dim,)`` of a hit of ``page_body`` with vectors."""

    @abstractmethod
    def label_filter(self, labels: Sequence[str]) -> Json:
        """The arguments of ``SearchOptions`` that keep the records of these labels."""

    @abstractmethod
    def search_body(self, vector: Vectors, options: SearchOptions) -> Json:
        """The search of one vector, whose hits carry their records."""

    @abstractmethod
    def page_body(self, query: Json, size: int, *, vectors: bool) -> Json:
        """The search for ``size`` records, with their vectors on request."""

    def cosine(self, hit: Json, vector: Vectors, options: SearchOptions) -> float:
        """The cosine of a hit of ``search_body`` and the vector that was searched for."""
        return bodies.cosine(self.method, options, hit["_score"])

    def catalogue(self) -> Mapping[str, ImageRecord] | None:
        """All records by ``_id``, where they are kept in memory; None where they are not."""
        return None

    def forget(self) -> None:  # noqa: B027 (most keep nothing)
        """Drops what is kept of the documents, so that it is read again when needed."""


class KitDocuments(Documents):
    """A document holds the fields of a record and its vector; the passport is in the mapping."""

    everything = bodies.RECORDS
    writable = True

    def __init__(self, method: Method, address: str):
        super().__init__(method)
        self._address = address

    def passport(self, index: Json) -> IndexPassport:
        """From the mapping's ``_meta``."""
        return read_passport(self._address, _meta(index), bodies.passport_of)

    def keys(self, ids: Sequence[str]) -> list[str]:
        """Digests of the ids."""
        return [bodies.document_id(id_) for id_ in ids]

    def record(self, hit: Json) -> ImageRecord:
        """From the columns of a hit; empty columns are missing in it."""
        return ImageRecord(**{name: hit["fields"][name][0] for name in bodies.FIELDS if name in hit["fields"]})

    def vector(self, hit: Json) -> Vectors:
        """From a column with a native method, from the source with one of Elastiknn's."""
        try:
            return np.array(hit["fields"]["vector"][0] if self.method.native else hit["_source"]["vector"], np.float32)
        except KeyError:
            raise IndexDamaged(
                f"{self.record(hit).id!r} in the index {hit['_index']} has no vector, so another program wrote it. "
                "Delete this document with the server's own tools."
            ) from None

    def label_filter(self, labels: Sequence[str]) -> Json:
        """By the column of labels."""
        return {"labels": bodies.label_filter(labels)}

    def search_body(self, vector: Vectors, options: SearchOptions) -> Json:
        """Hits carry columns, and nothing from the large source."""
        return bodies.search_body(self.method, vector, options)

    def page_body(self, query: Json, size: int, *, vectors: bool) -> Json:
        """Columns where the server has them."""
        return bodies.page_body(size, query, self.method, vectors=vectors)


class OriginalDocuments(Documents):
    """A document holds a vector of any norm and the path of its picture, and nothing else; it is only read.

    A record's id is the path, with "/" between folders, if no other document has the same path; else it is the
    server's ``_id``, and ``path`` holds the path. Its label is the parent folder in the path. The server cannot search
    by path, so all paths are read once and kept.
    """

    everything: Json = {"exists": {"field": VECTOR}}  # noqa: RUF012 (never changed)
    writable = False

    def __init__(self, server: Server, name: str, index: Json):
        super().__init__(_method_of(index["mappings"]["properties"][VECTOR]["elastiknn"]))
        self._server, self._name = server, name
        self._kept: tuple[Mapping[str, ImageRecord], Mapping[str, str]] | None = None  # by _id; and the _id by id

    def passport(self, index: Json) -> IndexPassport:
        """The facts that the server has; the extractor of the vectors is unknown."""
        settings, model = index["settings"]["index"], index["mappings"]["properties"][VECTOR]["elastiknn"]
        created = datetime.fromtimestamp(int(settings["creation_date"]) / 1000, UTC).isoformat(timespec="seconds")
        method = self.method.spec
        return IndexPassport(settings["uuid"], None, int(model["dims"]), created=created, method=method)

    def catalogue(self) -> Mapping[str, ImageRecord]:
        """All records by ``_id``, read once."""
        return self._read()[0]

    def forget(self) -> None:
        """Reads all paths again when they are next needed."""
        self._kept = None

    def keys(self, ids: Sequence[str]) -> list[str]:
        """The ``_id`` of each id that is known."""
        known = self._read()[1]
        return [known[id_] for id_ in ids if id_ in known]

    def record(self, hit: Json) -> ImageRecord:
        """From the catalogue, which is read again when the document is newer."""
        if hit["_id"] not in self.catalogue():
            self.forget()
        return self.catalogue().get(hit["_id"]) or ImageRecord(hit["_id"])

    def vector(self, hit: Json) -> Vectors:
        """The stored vector over its norm."""
        found = hit["_source"][VECTOR]
        vector = np.array(found["values"] if isinstance(found, dict) else found, np.float32)
        return np.asarray(vector / (np.linalg.norm(vector) or 1), np.float32)

    def label_filter(self, labels: Sequence[str]) -> Json:
        """By ``_id``, because the path is not indexed."""
        wanted = set(labels)
        return {"ids": tuple(key for key, record in self.catalogue().items() if record.label in wanted)}

    def search_body(self, vector: Vectors, options: SearchOptions) -> Json:
        """Hits carry their vectors only where the cosine cannot be computed from the score."""
        source = {"_source": [VECTOR]} if self._by_distance(options) else {}
        return bodies.search_body(self.method, vector, options, VECTOR) | source

    def page_body(self, query: Json, size: int, *, vectors: bool) -> Json:
        """From the source, the only place where the path is."""
        return {"size": size, "track_total_hits": False, "query": query, "_source": [VECTOR if vectors else PATH]}

    def cosine(self, hit: Json, vector: Vectors, options: SearchOptions) -> float:
        """Computed here where the score is a distance to a stored vector of any norm."""
        if self._by_distance(options):
            return float(self.vector(hit) @ vector)
        return super().cosine(hit, vector, options)

    def _by_distance(self, options: SearchOptions) -> bool:
        return self.method.name == "l2-lsh" and options.candidates is not None

    def _read(self) -> tuple[Mapping[str, ImageRecord], Mapping[str, str]]:
        if self._kept is None:
            page = self.page_body(self.everything, PAGE, vectors=False)
            paths = {hit["_id"]: _path_of(hit) for hit in scan(self._server, self._name, page)}
            times = Counter(paths.values())
            records = {}
            for key, path in paths.items():
                unique = path and times[path] == 1 and (path == key or path not in paths)
                record = ImageRecord(path) if unique else ImageRecord(key, path=path)
                records[key] = dataclasses.replace(record, label=PureWindowsPath(path).parent.name or None)
            self._kept = records, {record.id: key for key, record in records.items()}
        return self._kept


def recognised(server: Server, name: str, index: Json) -> tuple[Documents, IndexPassport]:
    """The documents of an index by its settings and mappings, and its passport as the server keeps it.

    :raises IndexMismatch: when another program made it.
    :raises VersionMismatch: when a newer kit made it.
    :raises IndexDamaged: when its passport cannot be read.
    """
    fields, plain = index["mappings"].get("properties", {}), _meta(index)
    if plain is None:
        if PATH not in fields or fields.get(VECTOR, {}).get("type") != "elastiknn_dense_float_vector":
            raise IndexMismatch(
                f"The index at {server.address} belongs to another program; its fields are "
                f"{', '.join(sorted(fields)) or 'none'}. Give the address of an index of this kit."
            )
        original = OriginalDocuments(server, name, index)
        return original, original.passport(index)
    passport = read_passport(server.address, plain, bodies.passport_of)
    return KitDocuments(parse_method(passport.method, passport.dim), server.address), passport


def _meta(index: Json) -> Any:
    """The stored passport; None where the index has none."""
    return index["mappings"].get("_meta", {}).get("imgsearch")


def _method_of(model: Json) -> Method:
    """The method of an Elastiknn mapping; exact when the kit does not know its model."""
    models = {"lsh": f"{model.get('similarity')}-lsh", "permutation_lsh": "permutation-lsh"}
    name = models.get(model.get("model", ""), "exact")
    if name not in ELASTIKNN or not all(key in model for key in ELASTIKNN[name]):
        return Method("exact")
    return Method(name, {key: int(model[key]) for key in ELASTIKNN[name]})


def _path_of(hit: Any) -> str:
    return str(hit["_source"].get(PATH) or "").replace("\\", "/")
