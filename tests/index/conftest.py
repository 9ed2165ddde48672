"""The backends that the contract suite runs over, and how it makes indexes on them."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from imgsearch_kit.index import create_index, new_passport, open_index
from imgsearch_kit.index.client import Server


def nothing(address: str) -> None:
    """A backend whose indexes vanish with the test's folder removes nothing."""


@dataclass(frozen=True)
class Backend:
    """One kind of index: ``address`` gives a fresh one, for which it may ask for fixtures of its own.

    ``stays`` says whether an index can be opened again after it was closed, ``method`` what it is created with, and
    ``remove`` deletes what lies at an address.
    """

    name: str
    address: Callable[[pytest.FixtureRequest], str]
    method: str = "exact"
    stays: bool = True
    remove: Callable[[str], None] = nothing


def on(server: str) -> Callable[[pytest.FixtureRequest], str]:
    """A name nobody else uses on the server of a fixture."""
    return lambda request: f"{request.getfixturevalue(server)}/test-{uuid.uuid4().hex[:12]}"


def remove_from_server(address: str) -> None:
    """Deletes the indexes that were made for an address, and nothing else."""
    server = Server(address)
    for name in server.request("GET", f"/{server.name}-*", expand_wildcards="all", filter_path="*.aliases"):
        server.request("DELETE", f"/{name}")
    server.close()


BACKENDS = [
    Backend("memory", lambda request: "memory:", stays=False),
    Backend("local", lambda request: f"local:{request.getfixturevalue('tmp_path') / 'pictures.db'}"),
    Backend("npz", lambda request: f"npz:{request.getfixturevalue('tmp_path') / 'pictures.npz'}"),
    Backend("elasticsearch-9", on("elasticsearch_9"), "hnsw", remove=remove_from_server),
    Backend("elasticsearch-8", on("elasticsearch_8"), "flat", remove=remove_from_server),
    Backend("elastiknn", on("elastiknn"), "exact", remove=remove_from_server),
]
NEED_PLUGIN = {"elastiknn"}


@dataclass
class Place:
    """An address where one test makes its index; everything made or opened there is closed in the end."""

    backend: Backend
    address: str
    opened: contextlib.ExitStack

    def create(self, dim: int = 3, spec=None, **passport):
        made = create_index(self.address, new_passport(spec, dim=dim, method=self.backend.method, **passport))
        return self.opened.enter_context(made)

    def reopen(self, index):
        """The index as another process would find it."""
        if not self.backend.stays:
            pytest.skip(f"an index at {self.address} ends when it is closed")
        index.close()
        return self.opened.enter_context(open_index(self.address))


def param(backend: Backend):
    return pytest.param(backend, id=backend.name, marks=[pytest.mark.plugin] if backend.name in NEED_PLUGIN else [])


@pytest.fixture(params=map(param, BACKENDS))
def place(request):
    backend = request.param
    address = backend.address(request)
    with contextlib.ExitStack() as opened:
        yield Place(backend, address, opened)
    backend.remove(address)
