"""A picture from the address of a web page's picture, fetched without becoming a way into this machine's network."""

from __future__ import annotations

import io
import ipaddress
import socket
import time
from pathlib import PurePosixPath
from typing import IO, Any
from urllib.parse import unquote

import httpcore
import httpx

from imgsearch_kit.errors import BadQuery

MAX_BYTES = 32 << 20
SECONDS = 20.0  # for everything, redirects too
REDIRECTS = 5
PICTURE_TYPES = ("image/", "application/octet-stream", "binary/octet-stream")  # the decoder says what it really is
HEADERS = [("User-Agent", "imgsearch-kit"), ("Accept", "image/*"), ("Accept-Encoding", "identity")]
TRANSLATED = ipaddress.ip_network("64:ff9b::/96")  # IPv4 in IPv6, by a translator on the way (RFC 6052)


def fetched_picture(address: str) -> IO[bytes]:
    """The file at an http or https address, opened for reading, with its ``name``; the decoder has not seen it yet.

    Every connection, after a redirect too, goes to the very address that was checked: a public one of the Internet.
    Proxies in the environment are not used.

    :raises BadQuery: when the address is no such one, names a user, or leads to a machine that is not public; when
        there is no picture, it has more than 32 MB, or does not come within 20 seconds.
    """
    deadline = time.monotonic() + SECONDS
    url = _checked(address)
    with httpcore.ConnectionPool(network_backend=_PublicOnly(deadline)) as pool:
        for _ in range(REDIRECTS + 1):
            try:
                with pool.stream("GET", _raw(url), headers=HEADERS) as answer:
                    if not 300 <= answer.status < 400:
                        return _content(answer, url)
                    url = _checked(str(url.join(_header(answer, "location"))))
            except httpcore.TimeoutException as error:
                raise _failed(url, f"it did not come within {SECONDS:.0f} seconds") from error
            except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
                raise _failed(url, "the server cannot be reached, or does not speak HTTP") from error
            except httpx.InvalidURL as error:
                raise _failed(url, "its server sends browsers to an address that is none") from error
    raise _failed(url, f"it was redirected more than {REDIRECTS} times")


def is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether an address is one of the public Internet, and no other way to write one that is not."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in TRANSLATED:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if address.teredo is not None or address.is_site_local:
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


class _PublicOnly(httpcore.NetworkBackend):
    """Resolves a name once, and connects to what it found if all of that is public."""

    def __init__(self, deadline: float):
        self._deadline = deadline
        self._network = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.NetworkStream:
        try:
            places = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise BadQuery(f"No server is known by the name {host}. Check the address of the picture.") from error
        found = [ipaddress.ip_address(str(place[0]).partition("%")[0]) for *_, place in places]
        if not found or not all(map(is_public, found)):
            raise BadQuery(
                f"{host} is no server of the public Internet, and no other is asked for pictures. "
                "Download the picture, and drop it here."
            )
        left = _left(self._deadline, httpcore.ConnectTimeout)
        return _Hurried(
            self._network.connect_tcp(str(found[0]), port, left, local_address, socket_options), self._deadline
        )


class _Hurried(httpcore.NetworkStream):
    """A connection whose whole life ends at a deadline, however often a few bytes come."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float):
        self._stream, self._deadline = stream, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(self._deadline, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(self._deadline, httpcore.WriteTimeout))

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = _left(self._deadline, httpcore.ConnectTimeout)
        return _Hurried(self._stream.start_tls(ssl_context, server_hostname, left), self._deadline)

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(deadline: float, error: type[Exception]) -> float:
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise error("the time is over")
    return seconds


def _checked(address: str) -> httpx.URL:
    """The address, whose host is checked when it is connected to.

    :raises BadQuery: when it is not of http or https, or names a user.
    """
    try:
        url = httpx.URL(address.strip())
    except (httpx.InvalidURL, TypeError, UnicodeError) as error:
        raise BadQuery("That is no address of a picture. It begins with http:// or https://.") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise BadQuery("The address of a picture begins with http:// or https://, and another was given.")
    if url.userinfo:
        raise BadQuery("The address has a name or a password before the @. Give one without.")
    return url


def _raw(url: httpx.URL) -> httpcore.URL:
    return httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)


def _header(answer: httpcore.Response, name: str) -> str:
    return httpx.Headers(answer.headers).get(name, "")


def _content(answer: httpcore.Response, url: httpx.URL) -> IO[bytes]:
    """The body as a file."""
    if answer.status != 200:
        raise _failed(url, f"the server answers with status {answer.status}")
    kind = _header(answer, "content-type").partition(";")[0].strip().lower()
    if kind and not kind.startswith(PICTURE_TYPES):
        raise _failed(url, f"it is {kind[:60]!r}, not a picture")
    if _header(answer, "content-encoding") not in ("", "identity"):
        raise _failed(url, "the server sends it packed, which it was asked not to")
    content = io.BytesIO()
    for block in answer.iter_stream():
        content.write(block)
        if content.tell() > MAX_BYTES:
            raise _failed(url, f"it has more than {MAX_BYTES >> 20} MB")
    content.seek(0)
    content.name = PurePosixPath(unquote(url.path)).name or url.host
    return content


def _failed(url: httpx.URL, reason: str) -> BadQuery:
    return BadQuery(f"The picture at {url.host} cannot be fetched: {reason}. Give another, or download and drop it.")
