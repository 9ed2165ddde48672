"""The address of an index on a server, and what the environment says about reaching it."""

from __future__ import annotations

import base64
import ipaddress
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from imgsearch_kit.errors import BadQuery, without_secrets

HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]?#%\\]+)(?::([0-9]{1,5}))?")
NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,199}")
PATH = re.compile(r"[^\s\x00-\x1f\x7f*,<>\"?#\\]*")
MOST_SHOWN = 200  # characters of an address in a message
PORTS = {"http": 9200, "https": 443}


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """The parts of ``http(s)://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]...]/[PATH/]NAME``; shown without the login."""

    scheme: str
    hosts: Sequence[str]
    path: str
    name: str
    login: str = field(default="", repr=False)

    @classmethod
    def parse(cls, address: str) -> ServerAddress:
        """The parts of an address.

        :raises BadQuery: when it names no host, one that cannot be, or no possible name of an index.
        """
        scheme, _, rest = address.partition("://")
        login, _, rest = rest.rpartition("@")
        if "," in login:  # which of its parts are hosts cannot be told
            raise BadQuery(
                f"The address on {_short(rest)!r} has a comma before an '@'. Write the login once, before the first of "
                "all hosts, and a comma in it as %2C: http(s)://USER:PASSWORD@HOST:9200,HOST:9200/NAME"
            )
        hosts, _, path = rest.partition("/")
        path, _, name = path.rpartition("/")
        shown = f"{scheme}://{rest}"
        if not NAME.fullmatch(name):
            raise BadQuery(
                f"The address {_short(shown)!r} does not end in the name of an index. Write http(s)://HOST:9200/NAME, "
                "the name of one index in at most 200 lower-case letters, digits, '-', '_' and '.', not starting with "
                "a sign."
            )
        if not PATH.fullmatch(path):
            raise BadQuery(
                f"The address {_short(shown)!r} has {_short(path)!r} between the host and the name, where only the "
                "path of a proxy can be. Write http(s)://HOST:9200/NAME"
            )
        with_ports = [_with_port(host, scheme, shown) for host in hosts.split(",") if host]
        if not with_ports:
            raise BadQuery(f"The address {_short(shown)!r} names no host. Write http(s)://HOST:9200/NAME")
        return cls(scheme, with_ports, f"/{path}" if path else "", name, login)

    @property
    def urls(self) -> list[str]:
        """The URL of each host, without the name."""
        ends = [host.rpartition(":")[::2] for host in self.hosts]
        return [f"{self.scheme}://{_ascii(host)}:{port}{self.path}" for host, port in ends]

    def __str__(self) -> str:
        return f"{self.scheme}://{','.join(self.hosts)}{self.path}/{self.name}"

    def credentials(self) -> dict[str, Any]:
        """The client's arguments for logging in: from the address, or else from the environment; {} without any.

        :raises BadQuery: when a key, name or password cannot be sent; the message does not repeat it.
        """
        if self.login:
            user, _, password = self.login.partition(":")
            return {"basic_auth": _basic(unquote(user), unquote(password), "The login in the address")}
        if key := _variable("API_KEY"):
            if not re.fullmatch("[!-~]+", key):
                raise BadQuery(
                    "ELASTICSEARCH_API_KEY has characters that no API key has, such as a space, a line end or a letter "
                    "with an accent. Set it to the encoded key again."
                )
            return {"api_key": key}
        if user := _variable("USERNAME"):
            name = "ELASTICSEARCH_USERNAME or ELASTICSEARCH_PASSWORD"
            return {"basic_auth": _basic(user, _variable("PASSWORD"), name)}
        return {}

    def certificates(self) -> dict[str, Any]:
        """The client's arguments for verifying certificates.

        :raises BadQuery: when ``ELASTICSEARCH_CA_CERTS`` names no file.
        """
        path = _variable("CA_CERTS")
        if self.scheme != "https" or not path:
            return {}
        if not Path(path).is_file():
            raise BadQuery(f"ELASTICSEARCH_CA_CERTS names {path!r}, and no file is there. Give the path of a PEM file.")
        return {"ca_certs": path}


def _basic(user: str, password: str, source: str) -> str:
    """A name and a password that can be sent, in the form of the header, because the client takes only ASCII."""
    if any(ord(char) < 32 or "\ud800" <= char <= "\udfff" for char in user + password):
        raise BadQuery(f"{source} has a line end, a control character or bytes that are not UTF-8. Set it again.")
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def _with_port(host: str, scheme: str, shown: str) -> str:
    parts = HOST.fullmatch(host)
    port = int(parts[2] or PORTS[scheme]) if parts else 0
    if parts is None or not 1 <= port <= 65535 or not _ascii(parts[1]):
        raise BadQuery(
            f"The address {_short(shown)!r} has {_short(host)!r} for a host. Write HOST:PORT, the port from 1 to "
            "65535, an IPv6 address as [ADDRESS]:PORT."
        )
    return f"{parts[1]}:{port}"


def _ascii(host: str) -> str:
    """A host in the letters that the name system knows; "" for what is no name and no IPv6 address in brackets."""
    try:
        if host.startswith("["):
            ipaddress.IPv6Address(host[1:-1])
            return host
        return host.encode("idna").decode()  # refuses a part of a name that is empty or too long
    except ValueError:
        return ""


def _short(text: str) -> str:
    """A text for a message, without the secrets of an address, and without its middle where it is long."""
    text = without_secrets(text)
    return text if len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN // 2]}...{text[-MOST_SHOWN // 2 :]}"


def timeout() -> float:
    """Seconds to wait for an answer, from ``ELASTICSEARCH_TIMEOUT``.

    :raises BadQuery: when that is not a positive number.
    """
    text = _variable("TIMEOUT") or "30"
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise BadQuery(f"ELASTICSEARCH_TIMEOUT must be a number of seconds above 0; it is {text!r}.")
    return seconds


def _variable(name: str) -> str:
    """A variable without the white space around it, which a secret read from a file ends with."""
    return os.environ.get(f"ELASTICSEARCH_{name}", "").strip()
