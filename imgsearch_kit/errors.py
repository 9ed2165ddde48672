"""The kinds of error the kit raises, whose messages say what happened, the values and what to do, but no secret."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

# An address in a text, up to the punctuation behind it. A path, which may contain "@" too, is none.
ADDRESS = re.compile(
    r"""
    (?<![\w+.-]) (?! (?:local|npz|.): )
    (?: [\w+.-]+ :/{1,2} (?: [^\s/:@\[]* : (?!\d+\b|\s) [^@]* @ )?   # with white space in the password, too
      | [^\s/:@'"(]+ : [^\s/@]* @ )                                  # no scheme, but a login
    \S*? (?= ['"().,;:\]]* (?:\s|$) )
    """,
    re.VERBOSE,
)


def without_secrets(address: str) -> str:
    """An address for a message: without its login, and with "..." for its query."""
    shown = re.sub(r"^([^@/:]*:/{1,2})?.*@", lambda found: found[1] or "", address, flags=re.DOTALL)
    return re.sub(r"\?.*", "?...", shown, flags=re.DOTALL)


def sanitised(text: str) -> str:
    """A text whose addresses have neither login nor query, where people type these and libraries repeat them."""
    return ADDRESS.sub(lambda found: without_secrets(found[0]), text)


def without_addresses(text: str) -> str:
    """A text without its addresses, for what no user typed: libraries name hosts and proxies, with logins."""
    return ADDRESS.sub("(address)", text)


class KitError(Exception):
    """Something the kit refuses or cannot do, with a message for the user."""


class UnreadableImage(KitError):
    """A file that cannot be decoded to a picture, with the reason."""


class WeightsNotFound(KitError):
    """An extractor's weights are not on this machine, or the given file does not contain them."""


class IndexNotFound(KitError):
    """There is no index at an address."""


class IndexMismatch(KitError):
    """An index and a request do not match (extractor, probes, folder)."""


class IndexDamaged(KitError):
    """The file or server index at an address cannot be read as an index, or is inconsistent."""


class IndexUnwritable(KitError):
    """An index cannot be written now: read-only, disk full, blocked, or locked by another writer."""


class ServerUnavailable(KitError):
    """A server is absent, refuses, is too slow, or sends an unexpected answer."""


class PluginMissing(KitError):
    """The server has no Elastiknn plugin, and the index or the method needs it."""


class VersionMismatch(KitError):
    """Two versions cannot work together (client and server, index format and kit)."""


class BadQuery(KitError):
    """A request that the kit cannot answer: wrong shape, dtype, length, range or spelling."""


class MissingExtra(KitError):
    """An optional package is not installed; the message gives the command that installs it."""

    def __init__(self, package: str, extra: str):
        super().__init__(f"{package} is not installed. Type: python -m pip install 'imgsearch-kit[{extra}]'")


class Closable(Protocol):
    """What is open and can be closed."""

    def close(self) -> object:
        """Closes it."""


@contextmanager
def closing_on_error(opened: Closable) -> Iterator[None]:
    """Closes what was opened when an error ends the block."""
    try:
        yield
    except BaseException:
        opened.close()
        raise


def without_stop(error: BaseException) -> str:
    """The text of another library's error, to be continued: without the full stop that it may end with."""
    return str(error).rstrip(". ")


class IndexingInterrupted(KeyboardInterrupt):
    """Ctrl-C during indexing; ``report`` is an ``IndexReport`` of what was committed before it."""

    def __init__(self, report: Any):
        super().__init__("indexing was interrupted")
        self.report = report
