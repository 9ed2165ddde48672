"""Who may change the index from the page, in which folders, and one change at a time."""

from __future__ import annotations

import ipaddress
import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.index.arguments import is_text

MOST_FOLDERS = 1_000  # folders that are listed of one
NOT_FOLDER = "There is no such folder to add."
FOREIGN = (
    "The index is changed from this page only, opened by its own address. Reload it; behind a proxy, start it "
    "with --auth."
)


def check_own_page(headers: Mapping[str, str], *, login: bool) -> None:
    """Checks that a script of this page sent a request, and no other web site's that the same browser has open.

    A browser names the site in its headers, which no script can change. Without a login the page is for this machine,
    and so must be the host it was opened by: another site may give its own name the address of this machine, and a
    proxy on this machine passes on the requests of others.

    :raises BadQuery: otherwise.
    """
    host, origin = headers.get("host", ""), headers.get("origin")
    site = headers.get("sec-fetch-site")  # not sent to plain addresses of other machines
    foreign = site not in (None, "same-origin") or (site is None and origin and urlsplit(origin).netloc != host)
    here = _is_here(f"//{host}") and (origin is None or _is_here(origin)) and not _is_passed_on(headers)
    if foreign or not (login or here):
        raise BadQuery(FOREIGN)


def _is_passed_on(headers: Mapping[str, str]) -> bool:
    """Whether a proxy says that it passes on the request of another machine."""
    names = [name.lower() for name in headers.keys()]  # noqa: SIM118 (gradio's headers may give pairs)
    return any(name == "forwarded" or name.startswith("x-forwarded-") for name in names)


def _is_here(url: str) -> bool:
    """Whether the host of an address is a name of this machine."""
    try:
        name = urlsplit(url).hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class FoldersBelow:
    """The folders below ``root``, which is there; others are refused, by whatever path or link they are named."""

    def __init__(self, root: Path):
        self.root = root.resolve()

    def folder(self, below: str) -> Path:
        """The folder of a path below the root, as ``names`` spells it; "" for the root.

        :raises BadQuery: when the path leads elsewhere or through a hidden folder, or there is no such folder.
        """
        parts = below.split("/") if below else []
        if not all(re.fullmatch(r"[^.\\\0][^\\\0]*", part) for part in parts):
            raise BadQuery(NOT_FOLDER)
        try:
            folder = self.root.joinpath(*parts)
            here = Path(os.path.realpath(folder, strict=True))
            if not here.is_dir() or not here.is_relative_to(self.root):
                raise BadQuery(NOT_FOLDER)
        except (OSError, ValueError) as error:  # gone, a loop of links, a name that cannot be
            raise BadQuery(NOT_FOLDER) from error
        return here

    def names(self, below: str) -> list[str]:
        """The names of the folders in that folder, in order: not hidden ones, nor links out of the root.

        :raises BadQuery: as ``folder``, and when it cannot be read.
        """
        folder = self.folder(below)
        try:
            entries = sorted(each.name for each in os.scandir(folder) if each.name[0] != "." and is_text(each.name))
        except OSError as error:
            raise BadQuery(f"The folder cannot be read: {error.strerror}.") from error
        return [name for name in entries if self._is_below(folder / name)][:MOST_FOLDERS]

    def holds(self, folder: str | Path) -> bool:
        """Whether a folder is the root or lies below it."""
        return Path(os.path.realpath(folder)).is_relative_to(self.root)

    def _is_below(self, path: Path) -> bool:
        return os.path.isdir(path) and self.holds(path)  # noqa: PTH112 (one that cannot be read is none)


class OneWriter:
    """One change at a time: ``doing`` says what runs, and ``done`` how many of how many files are read; else "", None.

    Threads may share one.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.doing = ""
        self.done: tuple[int, int] | None = None

    @contextmanager
    def alone(self, doing: str) -> Iterator[None]:
        """The block is the only change.

        :raises BadQuery: when another one runs.
        """
        if not self._lock.acquire(blocking=False):
            raise BadQuery(f"The index is being changed: {self.doing}. Wait until that is done.")
        self.doing = doing
        try:
            yield
        finally:
            self.doing, self.done = "", None
            self._lock.release()
