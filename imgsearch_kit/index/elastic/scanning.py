"""All documents that match a query, page by page, as of one point in time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from imgsearch_kit.errors import KitError
from imgsearch_kit.index.elastic import bodies
from imgsearch_kit.index.elastic.bodies import Json
from imgsearch_kit.index.elastic.client import Server


def scan(server: Server, name: str, page: Json) -> Iterator[Json]:
    """The hits in the index ``name``, in no order; ``page`` is the body of the search for one page."""
    point, after = server.request("POST", f"/{name}/_pit", keep_alive=bodies.KEEP_ALIVE)["id"], None
    try:
        while True:
            body = page | bodies.paging(point, after)
            answer = server.request("POST", "/_search", body, allow_partial_search_results="false")
            hits, point = answer["hits"]["hits"], answer["pit_id"]
            yield from hits
            if len(hits) < page["size"]:
                return
            after = hits[-1]["sort"]
    finally:
        with contextlib.suppress(KitError):  # it expires anyway
            server.request("DELETE", "/_pit", {"id": point}, again=False)
