"""Documents of an index that the page keeps in the cache until the index changes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imgsearch_kit.files import artefact, kept_artefact
from imgsearch_kit.records import IndexPassport


def kept_json(passport: IndexPassport, name: str, parameters: Mapping[str, Any]) -> dict[str, Any] | None:
    """The document that ``keep_json`` kept of an index in its present generation; None where there is none."""
    return kept_artefact(passport, name, parameters, _read)


def keep_json(
    passport: IndexPassport, name: str, parameters: Mapping[str, Any], document: dict[str, Any]
) -> dict[str, Any]:
    """Keeps a document of an index in the cache until the index changes, and returns it."""
    return artefact(passport, name, parameters, lambda: document, _write, _read)


def _write(document: Mapping[str, Any], path: Path) -> None:
    path.write_text(json.dumps(document), "utf-8")


def _read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return document
