"""Indexes by address: open, create, build and replace them; and the passport of a new one."""

from __future__ import annotations

import platform
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata

import numpy as np

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.index.address import Address, check_creatable, create_index, open_index
from imgsearch_kit.index.building import building
from imgsearch_kit.records import ExtractorSpec, IndexPassport, Vectors

__all__ = ["Address", "building", "check_creatable", "create_index", "new_passport", "open_index"]

LIBRARIES = ("imgsearch-kit", "numpy", "pillow", "onnxruntime", "tensorflow", "tensorflow-cpu", "keras")


def new_passport(
    spec: ExtractorSpec | None,
    *,
    dim: int | None = None,
    probes: Vectors | None = None,
    roots: Mapping[str, str] | None = None,
    method: str = "exact",
) -> IndexPassport:
    """The passport of an index about to be created: a fresh uuid, the time (UTC), and the versions installed here.

    ``dim`` is needed when ``spec`` is None. ``probes`` is ``(2, dim)`` float32.

    :raises BadQuery: when ``dim`` is missing, not positive, or not that of ``spec``.
    """
    dim = dim if spec is None or dim is not None else spec.dim
    if dim is None or dim < 1 or (spec is not None and dim != spec.dim):
        wanted = "a whole number of at least 1" if spec is None else f"{spec.dim}, as {spec.name} makes them"
        raise BadQuery(f"The dimension of the vectors must be {wanted}; it is {dim!r}.")
    return IndexPassport(
        uuid=str(uuid.uuid4()),
        spec=spec,
        dim=dim,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        roots=dict(roots or {}),
        libraries={"python": platform.python_version()} | _versions(),
        probes=np.zeros((0, 0), np.float32) if probes is None else probes,
        method=method,
    )


def _versions() -> dict[str, str]:
    """The installed versions of the libraries that decide vectors, without importing them."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # tensorflow goes by one of two names
    return found
