"""The backends that the contract suite runs over, and how it makes indexes on them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from imgsearch_kit.index import create_index, new_passport, open_index


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


BACKENDS = [
    Backend("memory", lambda request: "memory:", stays=False),
    Backend("local", lambda request: f"local:{request.getfixturevalue('tmp_path') / 'pictures.db'}"),
    Backend("npz", lambda request: f"npz:{request.getfixturevalue('tmp_path') / 'pictures.npz'}"),
]


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


@pytest.fixture(params=BACKENDS, ids=lambda backend: backend.name)
def place(request):
    backend = request.param
    address = backend.address(request)
    with contextlib.ExitStack() as opened:
        yield Place(backend, address, opened)
    backend.remove(address)
