"""The parts a server keeps an index in, and the removal of an index as a whole."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from imgsearch_kit.errors import BadQuery, IndexMismatch, IndexNotFound, ServerUnavailable
from imgsearch_kit.index.base import VectorIndex

if TYPE_CHECKING:
    from imgsearch_kit.index.elastic.reading import ElasticReader

PAUSE = 0.1  # seconds between two looks at a running merge


def segments(index: VectorIndex) -> int | None:
    """How many parts a search goes through, each with candidates of its own; None where there are no parts."""
    reader = _on_server(index)
    if reader is None:
        return None
    answer = reader._request("GET", "_segments", filter_path="indices.*.shards.*.routing,indices.*.shards.*.segments")
    (found,) = answer["indices"].values()
    copies = [copy for shard in found["shards"].values() for copy in shard]
    return sum(len(copy.get("segments", {})) for copy in copies if copy["routing"]["primary"])


def merge(index: VectorIndex) -> None:
    """Makes each shard of an index on a server one segment, and waits for it; elsewhere there is nothing to merge.

    :raises ServerUnavailable: when the server gave up.
    """
    reader = _on_server(index)
    if reader is None:
        return
    reader.flush()
    started = reader._request("POST", "_forcemerge", max_num_segments="1", wait_for_completion="false")
    task = f"/_tasks/{started['task']}"
    while not (done := reader._connected.request("GET", task))["completed"]:
        time.sleep(PAUSE)
    if reason := done.get("error"):
        raise ServerUnavailable(f"The segments at {index.address} were not merged: {reason}. Try again later.")
    reader.flush()


def drop(index: VectorIndex) -> None:
    """Deletes an index that the kit made on a server, if it is still there.

    :raises BadQuery: when it is not on a server, or the original system built it.
    """
    from imgsearch_kit.index.elastic.writing import ElasticIndex

    if not isinstance(index, ElasticIndex):
        raise BadQuery(f"The index at {index.address} is not one that the kit made on a server, so it is not deleted.")
    with contextlib.suppress(IndexNotFound):  # also when the answer to a first attempt was lost
        index._connected.request("DELETE", f"/{index._name}")


def check_replaceable(index: VectorIndex) -> None:
    """Makes sure that another index can take the place of this one, because its address is an alias.

    :raises IndexMismatch: when the address is the server's own name of the index.
    """
    reader = _on_server(index)
    if reader is not None and reader._name == reader._connected.name:
        raise IndexMismatch(
            f"{index.address} is an index itself, not an alias for one, so no other can take its place. "
            f"Copy it to another address: imgsearch copy {index.address} NEW_ADDRESS --method SPEC"
        )


def _on_server(index: VectorIndex) -> ElasticReader | None:
    if not index.address.startswith("http"):  # spares an index in a file the import of the client
        return None
    from imgsearch_kit.index.elastic.reading import ElasticReader

    return index if isinstance(index, ElasticReader) else None
