"""One Elasticsearch server (or cluster) by its address: requests, and retries with back-off.

Only this module and the ``errors`` beside it import ``elasticsearch``.
"""

from __future__ import annotations

import logging
import re
import time
from functools import cached_property
from typing import Any

import elastic_transport
import elasticsearch
import orjson
from elastic_transport import OrjsonSerializer

from imgsearch_kit.errors import KitError, VersionMismatch
from imgsearch_kit.index.address import Address
from imgsearch_kit.index.elastic.address import timeout
from imgsearch_kit.index.elastic.errors import MAJORS, TRANSIENT, ServerErrors, kind_of

WAITS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # seconds between attempts, once the server has answered at all
TIMEOUTS = 2  # how often a request that got no answer in time is sent again
BASE64_FROM = (9, 3)
logging.getLogger("elastic_transport").setLevel(logging.ERROR)  # its warnings repeat the errors raised here


class Server:
    """Requests to the hosts of an address ``http(s)://HOST:PORT[,HOST:PORT...]/[PATH/]NAME``.

    Credentials come from ``ELASTICSEARCH_API_KEY``, or ``ELASTICSEARCH_USERNAME`` and ``ELASTICSEARCH_PASSWORD``, or
    from the address; ``address`` is without them. Certificates are verified, against the file in
    ``ELASTICSEARCH_CA_CERTS`` if that is set. ``ELASTICSEARCH_TIMEOUT`` is in seconds.

    :raises BadQuery: when the address or one of these variables cannot be used.
    """

    def __init__(self, address: str | Address):
        parts = Address.parse(address).server
        assert parts is not None  # only addresses of servers are passed here
        login = parts.credentials()
        self.name, self.address = parts.name, str(parts)
        seconds = timeout()
        self.errors = ServerErrors(self.address, self.name, seconds, bool(login))
        self._answered = False
        self._hosts = len(parts.hosts)
        fast = OrjsonSerializer()
        self._client = elasticsearch.Elasticsearch(
            parts.urls,
            request_timeout=seconds,
            max_retries=0,  # the client's own retries know no back-off
            serializers={"application/json": fast, "application/vnd.elasticsearch+json": fast},
            **login,
            **parts.certificates(),
        )

    def request(self, method: str, path: str, body: Any = None, *, again: bool = True, **parameters: str) -> Any:
        """The JSON answer; ``body`` is sent as JSON, bytes as lines of it.

        After a transient failure the request is sent again with back-off (never with ``again=False``), but only if the
        server has answered before: a wrong address fails at once.
        """
        lines = isinstance(body, bytes)
        sent = body if lines or body is None else orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
        headers = {"accept": "application/json"}
        if sent is not None:
            headers["content-type"] = "application/x-ndjson" if lines else "application/json"
        attempt = 0
        while True:
            try:
                answer = self._client.perform_request(
                    method, path, params=parameters or None, headers=headers, body=sent
                ).body
                self._answered = True
                if not isinstance(answer, dict):  # the client looks for Elasticsearch's mark only once
                    raise self.errors.no_elasticsearch("its answer is not JSON")
                return answer
            except (elasticsearch.ApiError, elastic_transport.TransportError) as error:
                wait = self._wait(error, attempt) if again else None
                if wait is None:
                    raise self.errors.translated(error) from error
                time.sleep(wait)
                attempt += 1

    def _wait(self, error: Exception, attempt: int) -> float | None:
        """The seconds to wait before another attempt, None when there is none."""
        if isinstance(error, elasticsearch.ApiError):
            if error.status_code not in TRANSIENT or kind_of(error.body) == "cluster_block_exception":
                return None
        elif isinstance(error, elastic_transport.TlsError) or not isinstance(error, elastic_transport.ConnectionError):
            return None
        if not self._answered:
            return 0.0 if attempt + 1 < self._hosts else None
        if isinstance(error, elastic_transport.ConnectionTimeout) and attempt >= TIMEOUTS:
            return None
        return WAITS[attempt] if attempt < len(WAITS) else None

    @cached_property
    def _nodes(self) -> list[dict[str, Any]]:
        """The version and plugins of each node; empty when the user may not ask for them."""
        try:
            answer = self.request("GET", "/_nodes/plugins", filter_path="nodes.*.version,nodes.*.plugins.name")
        except KitError as error:
            if isinstance(error.__cause__, elasticsearch.AuthorizationException):  # the privilege "monitor" is missing
                return []
            raise
        return list(answer["nodes"].values())

    @property
    def version(self) -> tuple[int, ...]:
        """The version of the oldest node; (0,) where the server does not say."""
        found = (tuple(int(part) for part in re.findall(r"\d+", node["version"])[:3]) for node in self._nodes)
        return min(found, default=(0,))

    def check_version(self) -> None:
        """Checks that the kit supports the version of every node.

        :raises VersionMismatch: when one has another major version than 8 or 9.
        """
        if self._nodes and self.version[0] not in MAJORS:
            raise VersionMismatch(
                f"The server at {self.address} is Elasticsearch {'.'.join(map(str, self.version))}; this kit speaks to "
                f"{' and '.join(map(str, MAJORS))}. Use a server of one of these."
            )

    def require_plugin(self, method: str) -> None:
        """Checks that every node has Elastiknn.

        :raises PluginMissing: when one does not; the message names its version, with which the plugin's must start.
        """
        for node in self._nodes:
            if "elastiknn" not in [plugin["name"] for plugin in node.get("plugins", [])]:
                raise self.errors.no_plugin(f"which the method {method!r} needs", node["version"])

    @property
    def takes_base64(self) -> bool:
        """Whether vectors may be sent packed."""
        return self.version >= BASE64_FROM

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()
