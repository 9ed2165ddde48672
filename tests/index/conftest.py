"""The backends that the contract suite runs over, and how it makes indexes on them."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import resource
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

from imgsearch_kit.index import create_index, new_passport, open_index
from imgsearch_kit.index.elastic.client import Server
from tests import recording


@dataclass(frozen=True)
class Backend:
    """One kind of index: ``address`` gives a fresh one for as long as a test runs; it may ask for fixtures of its own.

    ``stays`` says whether an index can be opened again after it was closed, ``method`` what it is created with.
    """

    name: str
    address: Callable[[pytest.FixtureRequest], AbstractContextManager[str]]
    method: str = "exact"
    stays: bool = True


def in_folder(form: str) -> Callable[[pytest.FixtureRequest], AbstractContextManager[str]]:
    """An address in the test's own folder, which takes the place of ``{}``."""
    return lambda request: contextlib.nullcontext(form.format(request.getfixturevalue("tmp_path")))


def on(server: str) -> Callable[[pytest.FixtureRequest], AbstractContextManager[str]]:
    """A name nobody else uses on the server of a fixture; what was made there is deleted."""

    @contextlib.contextmanager
    def fresh(request: pytest.FixtureRequest) -> Iterator[str]:
        address = f"{request.getfixturevalue(server)}/test-{uuid.uuid4().hex[:12]}"
        yield address
        remove_from_server(address)

    return fresh


# A file, an archive and a server, for what must hold on each and needs no particular server.
ANYWHERE = {"local": in_folder("local:{}/index"), "npz": in_folder("npz:{}/index"), "server": on("elasticsearch")}


def remove_from_server(address: str) -> None:
    """Deletes the indexes that were made for an address, and nothing else."""
    server = Server(address)
    for name in server.request("GET", f"/{server.name}*", expand_wildcards="all", filter_path="*.aliases"):
        server.request("DELETE", f"/{name}")
    server.close()


@contextlib.contextmanager
def live(request: pytest.FixtureRequest) -> Iterator[str]:
    """An index on a server with Elastiknn; when recording, all that is said to it is written down."""
    with on("elastiknn")(request) as address:
        if recording.RECORDING and request.function.__name__ not in UNORDERED:
            with recording.recorded(exchanges(request), address) as through:
                yield through
        else:
            yield address


def replayed(request: pytest.FixtureRequest) -> AbstractContextManager[str]:
    """No server: what one with Elastiknn answered when this test was recorded."""
    if request.function.__name__ in UNORDERED:
        pytest.skip("what several threads say has no order that could be recorded")
    return recording.replayed(exchanges(request))


def exchanges(request: pytest.FixtureRequest) -> Path:
    """The file of a test's recording."""
    words = re.findall(r"\w+", request.node.name.removeprefix("test_"))
    return recording.FOLDER / "contract" / f"{'-'.join(w for w in words if w not in ('elastiknn', 'recorded'))}.jsonl"


BACKENDS = [
    Backend("memory-hnsw", in_folder("memory:"), "hnsw", stays=False),
    Backend("local-hnsw", in_folder("local:{}/pictures.db"), "hnsw:m=8,ef_construction=50"),
    Backend("memory", in_folder("memory:"), stays=False),
    Backend("local", in_folder("local:{}/pictures.db")),
    Backend("npz", in_folder("npz:{}/pictures.npz")),
    Backend("elasticsearch-9", on("elasticsearch_9"), "hnsw"),
    Backend("elasticsearch-8", on("elasticsearch_8"), "flat"),
    Backend("elastiknn", live),
    Backend("recorded", replayed),
]
NEED_PLUGIN = {"elastiknn"}
UNORDERED = {"test_threads_share_one_index"}


@dataclass
class Place:
    """An address where one test makes its index; everything made or opened there is closed in the end."""

    backend: Backend
    address: str
    opened: contextlib.ExitStack

    def create(self, dim: int = 3, spec=None, **passport):
        given = {name: passport.pop(name) for name in ("baked",) if name in passport}
        written = new_passport(spec, dim=dim, method=self.backend.method, **passport)
        made = create_index(self.address, dataclasses.replace(written, **given))
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
    with request.param.address(request) as address, contextlib.ExitStack() as opened:
        yield Place(request.param, address, opened)


@pytest.fixture
def file_limit():
    """A function that lets no file become larger than so many bytes, as a full disk does."""
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
