"""The kinds of error the kit raises; each message says what happened, the values, and what to do."""

from __future__ import annotations

from typing import Any


class KitError(Exception):
    """Something the kit refuses or cannot do, in words meant for the person using it."""


class UnreadableImage(KitError):
    """A file that cannot be decoded to a picture, with a reason a person understands."""


class WeightsNotFound(KitError):
    """An extractor's weights are not here, or the file given does not hold them."""


class IndexNotFound(KitError):
    """Nothing lies at the address of an index."""


class IndexMismatch(KitError):
    """An index and what is asked of it do not belong together (extractor, probes, folder)."""


class IndexDamaged(KitError):
    """What lies at the address of an index cannot be read as one, or contradicts itself."""


class IndexUnwritable(KitError):
    """An index cannot be written now: read-only, disk full, blocked, or held by another writer."""


class ServerUnavailable(KitError):
    """A server is absent, refuses, is too slow, or answers something else than expected."""


class PluginMissing(KitError):
    """The server has no Elastiknn plugin, and the index or method asked for needs it."""


class VersionMismatch(KitError):
    """Two versions cannot work together (client and server, index format and kit)."""


class BadQuery(KitError):
    """A request the kit cannot answer as asked: wrong shape, dtype, length, range or spelling."""


class MissingExtra(KitError):
    """An optional package is not installed; the message names the line to type."""

    def __init__(self, package: str, extra: str):
        super().__init__(f"{package} is not installed. Type: python -m pip install 'imgsearch-kit[{extra}]'")


class IndexingInterrupted(KeyboardInterrupt):
    """Ctrl-C during indexing; ``report`` is an ``IndexReport`` of what was committed before it."""

    def __init__(self, report: Any):
        super().__init__("indexing was interrupted")
        self.report = report
