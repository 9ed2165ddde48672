"""The errors of a server: what the client library raises and what the server answers, as the kit's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from textwrap import shorten
from typing import Any

import elastic_transport
import elasticsearch

from imgsearch_kit.errors import (
    BadQuery,
    IndexMismatch,
    IndexNotFound,
    IndexUnwritable,
    KitError,
    PluginMissing,
    ServerUnavailable,
    VersionMismatch,
)

TRANSIENT = (429, 502, 503, 504)
MAJORS = (8, 9)
NO_WRITE_INDEX = "no write index is defined"  # what a closed write alias answers
BLOCK_SETTINGS = {  # the words of a server for a block, and the name of its setting, those that stop reading first
    "index read (api)": "read",
    "index metadata (api)": "metadata",
    "index read-only (api)": "read_only",
    "disk usage exceeded": "read_only_allow_delete",
    "index write (api)": "write",
}
BLOCK_READING = ("read", "metadata")
UNREADY = "SERVICE_UNAVAILABLE/"  # a block of a server that has only just started, or is without a master
CLIENT = ".".join(map(str, elasticsearch.VERSION))
# In a server's reasons: places in the request, Java's names, the index's own uuid, the state of thread pools.
INTERNALS = re.compile(
    r"^\[\d+:\d+\] |\b(?:[a-z]\w*\.){2,}[A-Z][\w$]*(?:@[0-9a-f]+)?(?:: )?"
    r"|/[\w-]{22}(?=\])| on \w*ThreadPoolExecutor\[.*"
)


@dataclass(frozen=True)
class ServerErrors:
    """The errors of the server at an address; ``name`` is the index's, ``given`` whether there are credentials."""

    address: str
    name: str
    timeout: float
    given: bool

    def translated(self, error: Exception) -> KitError:
        """The kit's error for one of the client library."""
        if isinstance(error, elasticsearch.UnsupportedProductError):
            return self.no_elasticsearch("its answer does not carry Elasticsearch's mark")
        if isinstance(error, elasticsearch.ApiError):
            return self.refusal(error.status_code, error.body)
        if isinstance(error, elastic_transport.ConnectionTimeout):
            return ServerUnavailable(
                f"The server at {self.address} did not answer within {self.timeout:g} s. Try again when it is less "
                "busy, or allow it more time: ELASTICSEARCH_TIMEOUT=120"
            )
        if isinstance(error, elastic_transport.TlsError):
            return self._no_tls(error)
        if isinstance(error, elastic_transport.ConnectionError):
            return ServerUnavailable(
                f"The server at {self.address} cannot be reached: {_plain(error)}. Start it, or check the address."
            )
        return self.no_elasticsearch("its answer is not JSON")

    def refusal(self, status: int, body: Any) -> KitError:
        """The error for an answer with this status and body."""
        kind, reason = kind_of(body), reason_of(body)
        if kind == "index_closed_exception" or "/index closed" in reason:
            return ServerUnavailable(
                f"The index at {self.address} is closed on the server. Open it with POST /{self.name}/_open there."
            )
        if kind == "cluster_block_exception" and UNREADY not in reason:
            return self._blocked(reason)
        if NO_WRITE_INDEX in reason:
            return self.being_replaced()
        if status == 401:
            doing = "refuses the credentials given" if self.given else "asks for credentials"
            return ServerUnavailable(
                f"The server at {self.address} {doing} (401). Set ELASTICSEARCH_API_KEY, or ELASTICSEARCH_USERNAME and "
                "ELASTICSEARCH_PASSWORD."
            )
        if not isinstance(body, dict) and status not in TRANSIENT:
            return self.no_elasticsearch(f"it answered {status} with something other than JSON")
        if status == 403:
            writing = "indices:data/write" in reason or "indices:admin" in reason
            return (IndexUnwritable if writing else ServerUnavailable)(
                f"The server at {self.address} does not allow this (403): {reason}. Use credentials with the needed "
                "privileges: on the index read, view_index_metadata and monitor; for writing also write, create_index "
                "and manage; on the cluster monitor."
            )
        if kind == "index_not_found_exception":
            return self.not_found()
        if "more than one write index" in reason:
            return IndexMismatch(
                f"Another process made an index at {self.address} at the same time. Run the command again to "
                "use that one."
            )
        if kind == "media_type_header_exception" or status in (406, 415):
            return VersionMismatch(
                f"The server at {self.address} does not understand elasticsearch-py {CLIENT} ({status}): "
                f"{reason}. Type: python -m pip install 'elasticsearch>=8.19,<9', which speaks to servers "
                f"{' and '.join(map(str, MAJORS))}."
            )
        if "elastiknn" in reason and ("does not exist" in reason or reason.startswith("unknown ")):
            return self.no_plugin(f"which this index needs ({reason})")
        if status in TRANSIENT or status >= 500:
            doing = "is overloaded" if status == 429 else "cannot answer now"
            return ServerUnavailable(f"The server at {self.address} {doing} ({status}): {reason}. Try again later.")
        return BadQuery(f"The server at {self.address} refused the request ({status}): {reason}.")

    def _blocked(self, reason: str) -> KitError:
        """The error for an index that is blocked, for writing or for reading."""
        block = next((name for words, name in BLOCK_SETTINGS.items() if words in reason), "*")
        first = "free disk space, then " if block == "read_only_allow_delete" else ""
        return (ServerUnavailable if block in BLOCK_READING else IndexUnwritable)(
            f"The index at {self.address} is blocked: {reason.rstrip(';')}. On the server, {first}lift the block: "
            f'PUT /{self.name}/_settings with {{"index.blocks.{block}": null}}.'
        )

    def being_replaced(self) -> IndexUnwritable:
        """The error for an index that nobody may write to until its replacement is done."""
        return IndexUnwritable(
            f"The index at {self.address} is being replaced by another one, so it cannot be written to now. "
            "Try again when that is done."
        )

    def not_found(self) -> IndexNotFound:
        """The error for an address without an index, the same for every backend."""
        return IndexNotFound(
            f"There is no index at {self.address}. Make one: imgsearch index FOLDER --index {self.address}"
        )

    def no_plugin(self, why: str, version: str = "VERSION") -> PluginMissing:
        """The error for a server without Elastiknn."""
        return PluginMissing(
            f"The server at {self.address} has no Elastiknn plugin, {why}. Install elastiknn {version}.N on every "
            "node, or use a method without it: flat, hnsw, int8_hnsw or bbq_hnsw."
        )

    def no_elasticsearch(self, why: str) -> ServerUnavailable:
        """The error for an answer that does not come from Elasticsearch."""
        return ServerUnavailable(
            f"The server at {self.address} is not Elasticsearch: {why}. Check the address, and any proxy."
        )

    def _no_tls(self, error: Exception) -> ServerUnavailable:
        reason = _plain(error)
        if "certificate" in reason.lower():
            what = "Give the file of the authority that signed it: ELASTICSEARCH_CA_CERTS=FILE"
            return ServerUnavailable(f"The certificate of {self.address} is not trusted: {reason}. {what}")
        return ServerUnavailable(
            f"The server at {self.address} does not use TLS: {reason}. Try http:// instead of https://."
        )


def reason_of(body: Any) -> str:
    """Why a server refused, from the ``error`` of an answer or of one item of a bulk; the innermost reason last."""
    error = body.get("error", body) if isinstance(body, dict) else body
    if not isinstance(error, dict):
        text = re.sub(r"<[^>]*>", " ", str(error))
        return " ".join(text.split())[:200] or "no reason given"
    root = (error.get("root_cause") or [error])[0]
    reasons = [root.get("reason") or root.get("type", "no reason given")]
    cause = root.get("caused_by") or error.get("caused_by")
    while isinstance(cause, dict):
        if (reason := cause.get("reason")) and reason not in reasons[-1]:
            reasons.append(reason)
        cause = cause.get("caused_by")
    return "; ".join(shorten(INTERNALS.sub("", reason), 300, placeholder="...") for reason in reasons).rstrip(".")


def kind_of(body: Any) -> str:
    """The type of the innermost error: where an index has just been deleted, the outer one is about its shards."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return ""
    root = (error.get("root_cause") or [error])[0]
    return root.get("type") or error.get("type", "")


def _plain(error: Exception) -> str:
    """The message of the operating system or TLS library, from the innermost of the chained errors."""
    found = ""
    for inner in _chain(error):
        if isinstance(inner, OSError) and (inner.strerror or inner.args):
            found = str(inner.strerror or inner.args[0])
    return found or str(error).partition(": ")[2] or "no connection"


def _chain(error: BaseException) -> Iterator[BaseException]:
    yield error
    inner = [*getattr(error, "errors", ()), error.__cause__, error.__context__, getattr(error, "reason", None)]
    for each in inner:
        if isinstance(each, BaseException) and each is not error:
            yield from _chain(each)
            return
