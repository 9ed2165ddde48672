"""An index that the original system's notebook built on Elasticsearch, opened for reading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any, NoReturn

import numpy as np

from imgsearch_kit.errors import IndexUnwritable
from imgsearch_kit.index.elastic.bodies import Json
from imgsearch_kit.index.elastic.client import Server
from imgsearch_kit.index.elastic.methods import Method
from imgsearch_kit.index.elastic.reading import ElasticReader
from imgsearch_kit.records import Failure, ImageRecord, IndexPassport, Refused, Vectors

VECTOR, PATH = "feature_vector", "image_path"


def is_original(mappings: Json) -> bool:
    """Whether a mapping has the two fields of the original system."""
    fields = mappings.get("properties", {})
    return PATH in fields and fields.get(VECTOR, {}).get("type") == "elastiknn_dense_float_vector"


class OriginalIndex(ElasticReader):
    """Documents with the vector of a picture and its path, and nothing else: no label, no passport.

    The id is the server's ``_id``, the label the parent folder in ``image_path``. Vectors come out with unit norm.
    """

    _field = VECTOR
    _all: Json = {"exists": {"field": VECTOR}}  # noqa: RUF012 (never changed)

    def __init__(self, server: Server, name: str, index: Json):
        settings, model = index["settings"]["index"], index["mappings"]["properties"][VECTOR]["elastiknn"]
        created = datetime.fromtimestamp(int(settings["creation_date"]) / 1000, UTC).isoformat(timespec="seconds")
        passport = IndexPassport(uuid=settings["uuid"], spec=None, dim=int(model["dims"]), created=created)
        super().__init__(server, name, passport, Method("exact"))

    def _stored_passport(self) -> IndexPassport:
        return replace(self._passport, generation=0)

    def _follow(self) -> NoReturn:
        raise self._connected.not_found()

    # -- how a document holds a record --------------------------------------------------------------------------

    def _key(self, id: str) -> str:  # noqa: A002 (the field's name)
        return id

    def _id(self, hit: Json) -> str:
        return hit["_id"]

    def _record(self, hit: Json) -> ImageRecord:
        path = PurePosixPath(str(hit["_source"].get(PATH, "")).replace("\\", "/"))
        return ImageRecord(hit["_id"], path.parent.name or None)

    def _vector(self, hit: Json) -> Any:
        found = hit["_source"][VECTOR]
        vector = np.array(found["values"] if isinstance(found, dict) else found, np.float32)
        return vector / (np.linalg.norm(vector) or 1)

    def _filters(self, labels: Sequence[str] | None) -> Json:
        if labels is None:
            return {}
        wanted = set(labels)  # the path is not indexed, so labels become ids here
        return {"ids": tuple(id_ for id_, label in self._labels.items() if label in wanted)}

    @cached_property
    def _labels(self) -> dict[str, str | None]:
        return {record.id: record.label for record in self.records()}

    def _page(self, size: int, query: Json, vectors: bool) -> Json:
        return {"size": size, "track_total_hits": False, "query": query, "_source": [VECTOR if vectors else PATH]}

    # -- writing ------------------------------------------------------------------------------------------------

    def failures(self) -> list[Failure]:
        """None: the original system keeps no list."""
        return []

    def add(self, records: Sequence[ImageRecord], vectors: Vectors, *, replaces: Sequence[str] = ()) -> list[Refused]:
        """Refused, as every other change."""
        self._refuse()

    def delete(self, ids: Sequence[str]) -> int:
        """Refused, as every other change."""
        self._refuse()

    def set_failures(self, failures: Sequence[Failure]) -> None:
        """Refused, as every other change."""
        self._refuse()

    def learned(self) -> bytes:
        """Nothing: the original system ranks by its vectors as they are."""
        return b""

    def set_learned(self, learned: bytes) -> None:
        """Refused, as every other change."""
        self._refuse()

    def amend(self, *, roots: dict[str, str] | None = None, uuid: str | None = None) -> None:
        """Refused, as every other change."""
        self._refuse()

    def check_writable(self) -> None:
        """Refused."""
        self._refuse()

    def remove(self) -> None:
        """Refused: the kit deletes only what it made."""
        raise IndexUnwritable(
            f"The index at {self.address} was built by the original system, and the kit deletes only what it made "
            "itself. Delete it with the tools of the server, once nothing else needs it."
        )

    def _refuse(self) -> NoReturn:
        raise IndexUnwritable(
            f"The index at {self.address} was built by the original system and is opened for reading only. "
            f"Make a full index of it: imgsearch copy {self.address} NEW_ADDRESS --extractor NAME"
        )
