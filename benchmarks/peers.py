"""Vector stores side by side with the kit's file: building, latency at equal recall, memory, disk, filtered search.

Every store gets a virtual environment of its own below ``--environments``, made from the package registry, and two
processes of its own: one builds, another opens what was built and answers (``benchmarks/peer_stores.py``). Queries are
held-out vectors, one at a time. The search parameter of an approximate store is raised until its recall@10 against
exact search is at least 0.99; if none reaches that, its best is shown. Then all stores answer in turn, in rounds that
begin with another store each. A store that cannot be installed, built or asked stands in the table with the reason.

    python benchmarks/peers.py local:caltech.db [--enlarged VECTORS.npy --count 100000] --environments FOLDER [-o FILE]

VECTORS.npy is made by ``benchmarks/enlarged.py``; each of its vectors has the class of the nearest real one.
"""

# ruff: noqa: D102 (the class says what its methods do)
from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from peer_stores import EF, LINKS, STORES

from imgsearch_kit import open_index

RESULTS = Path(__file__).parent / "results"
PACKAGES = {  # the kit itself and the loop need the kit's environment alone
    "faiss-flat": "faiss-cpu==1.15.1",
    "faiss-hnsw": "faiss-cpu==1.15.1",
    "usearch": "usearch==2.26.6",
    "hnswlib": "hnswlib==0.8.0",
    "lancedb": "lancedb==0.40.0",
    "chromadb": "chromadb==1.5.9",
    "qdrant-local": "qdrant-client==1.20.0",
}
K, WANTED = 10, 0.99
PARAMETERS = (10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 2048)
SHARE = 0.01  # of the vectors, about, in the class that is searched alone
SAME = 1e-6  # cosines nearer than this are equal, so that either of two copies counts as found
SECONDS = 1800  # that a store may take to be built or to answer a round
THREADS = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "RAYON", "LANCE_CPU", "TOKIO_WORKER")
REFERENCES = ("kit-exact", "kit-hnsw")


class Failed(Exception):
    """A store could not be installed, built or asked; the message is the reason."""


@dataclass
class Data:
    """Vectors to be stored, those to be searched, and what exact search finds, in files of ``folder``."""

    folder: Path
    about: str
    vectors: np.ndarray
    queries: np.ndarray
    classes: np.ndarray
    name: str = ""  # of the class of about a hundredth
    members: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    lowest: dict[str | None, np.ndarray] = field(default_factory=dict)  # the K-th best cosine of each query

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        for name in ("vectors", "queries", "classes"):
            np.save(self.folder / f"{name}.npy", getattr(self, name))
        counts = Counter(self.classes.tolist())
        self.name = min(counts, key=lambda name: abs(counts[name] - SHARE * len(self.classes)))
        self.members = np.flatnonzero(self.classes == self.name)
        products = self.queries @ self.vectors.T
        for name, found in ((None, products), (self.name, products[:, self.members])):
            self.lowest[name] = -np.sort(-found, axis=1)[:, K - 1]

    def recall(self, rows: list[list[int]], queries: slice, name: str | None) -> float:
        """The mean share of the ``K`` that are as near as exact search's K-th, and of the class if one is named."""
        allowed = None if name is None else set(self.members.tolist())
        found = []
        for query, lowest, mine in zip(self.queries[queries], self.lowest[name][queries], rows, strict=True):
            kept = [row for row in dict.fromkeys(mine) if allowed is None or row in allowed]
            found.append(float(np.sum(self.vectors[kept] @ query >= lowest - SAME)) / K)
        return min(1.0, float(np.mean(found)))


def real(address: str, folder: Path, queries: int) -> Data:
    """The vectors of an index, without evenly spread ones that are searched for."""
    with open_index(address) as index:
        records, vectors = index.entries()
    asked = np.zeros(len(vectors), bool)
    asked[np.linspace(0, len(vectors), queries, endpoint=False).astype(int)] = True
    classes = np.array([record.label or "" for record in records])
    about = f"{len(vectors):,} real vectors, {queries} of them searched for"
    return Data(folder, about, vectors[~asked], vectors[asked], classes[~asked])


def enlarged(path: Path, count: int, like: Data, folder: Path, queries: int) -> Data:
    """The first vectors of an array, each with the class of the nearest real one; those after them are searched for."""
    every = np.load(path, mmap_mode="r")
    vectors = np.array(every[:count])
    blocks = (vectors[start : start + 5000] for start in range(0, count, 5000))
    nearest = np.concatenate([np.argmax(block @ like.vectors.T, axis=1) for block in blocks])
    about = f"{count:,} vectors between real ones (benchmarks/enlarged.py), {queries} others searched for"
    return Data(folder, about, vectors, np.array(every[count : count + queries]), like.classes[nearest])


def environment(store: str, folder: Path) -> str:
    """The Python of a store's environment, which is made if it is not there.

    :raises Failed: with the installer's last line.
    """
    package = PACKAGES.get(store)
    if package is None:
        return sys.executable
    place = folder.resolve() / package.partition("==")[0]
    python = str(place / "bin" / "python")
    if not (place / package).exists():
        shutil.rmtree(place, ignore_errors=True)
        uv = shutil.which("uv")
        install = [uv, "pip", "install", "--python", python] if uv else [python, "-m", "pip", "install"]
        for command in ([sys.executable, "-m", "venv", str(place)], [*install, "--quiet", package, "numpy"]):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise Failed(f"not installed: {last_line(done.stderr)}")
        (place / package).touch()
    return python


def last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no reason given")[:200]


class Peer:
    """A store on some data: built when made, then asked in rounds."""

    def __init__(self, store: str, data: Data, threads: int):
        self.store, self.data, self.folder = store, data, data.folder / store
        self.folder.mkdir()
        plan = {"store": store, "threads": threads, "class": data.name, "folder": str(self.folder / "store")}
        plan |= {name: str(data.folder / f"{name}.npy") for name in ("vectors", "queries", "classes")}
        (self.folder / "plan.json").write_text(json.dumps(plan))
        self.environment = os.environ | {f"{name}_NUM_THREADS": str(threads) for name in THREADS}
        self.environment |= {"TOKIO_WORKER_THREADS": str(threads), "LANCE_CPU_THREADS": str(threads)}
        self.environment |= {"IMGSEARCH_CACHE": str(self.folder / "store" / "cache"), "TQDM_DISABLE": "1"}
        self.command = [str(Path(__file__).with_name("peer_stores.py")), str(self.folder / "plan.json")]
        self.built: dict[str, Any] = {}
        self.parameter, self.recall = 0, 0.0
        self.ms: dict[str | None, list[list[float]]] = {None: [], data.name: []}
        self.rows: dict[str | None, list[list[int]]] = {None: [], data.name: []}
        self.memory: dict[str, int] = {}
        self.process: subprocess.Popen[str] | None = None

    def install(self, environments: Path) -> None:
        self.command.insert(0, environment(self.store, environments))

    def build(self) -> None:
        self.start("build")
        self.built = self.answered()
        self.stop()

    @property
    def seconds(self) -> float:
        return self.built["seconds"]

    def open(self) -> None:
        self.start("serve")
        self.built["open_seconds"] = self.answered()["seconds"]

    def start(self, phase: str) -> None:
        with (self.folder / "errors.txt").open("wb") as errors:
            pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": errors}
            self.process = subprocess.Popen([*self.command, phase], env=self.environment, text=True, **pipes)

    def answered(self) -> dict[str, Any]:
        """The next line of the process.

        :raises Failed: when it ends without one, or takes too long.
        """
        assert self.process
        assert self.process.stdout
        clock = threading.Timer(SECONDS, self.process.kill)
        clock.start()
        line = self.process.stdout.readline()
        late = not clock.is_alive()
        clock.cancel()
        if not line:
            self.stop()
            words = last_line((self.folder / "errors.txt").read_text(errors="replace"))
            raise Failed(f"no answer within {SECONDS} s" if late else words)
        return json.loads(line)

    def ask(self, queries: slice, name: str | None) -> dict[str, Any]:
        assert self.process
        assert self.process.stdin
        start, stop, step = queries.indices(len(self.data.queries))
        request = {"k": K, "parameter": self.parameter, "class": name}
        chosen = list(range(start, stop, step))
        self.process.stdin.write(json.dumps(request | {"queries": chosen}) + "\n")
        self.process.stdin.flush()
        return self.answered()

    def tune(self, queries: slice) -> None:
        """The least parameter with the wanted recall, or the best."""
        tried: dict[int, float] = {}
        for parameter in PARAMETERS if STORES[self.store].approximate else (0,):
            self.parameter = parameter
            tried[parameter] = self.data.recall(self.ask(queries, None)["rows"], queries, None)
            if tried[parameter] >= WANTED:
                break
        self.parameter = max(tried, key=lambda parameter: tried[parameter])

    def round(self, queries: slice) -> None:
        for name in (None, self.data.name) if STORES[self.store].filters else (None,):
            found = self.ask(queries, name)
            self.ms[name].append(found["ms"])
            self.rows[name].append(found["rows"])
            self.memory = found["memory"]

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def figures(self, slices: list[slice]) -> dict[str, Any]:
        """What was measured, but for the ratios."""
        count = len(self.data.vectors)
        found: dict[str, Any] = {
            "build_seconds": round(self.built["seconds"], 2),
            "build_peak_bytes": self.built["memory"]["peak"],
            "disk_bytes": self.built["disk"],
            "disk_bytes_per_vector": round(self.built["disk"] / count),
            "open_seconds": round(self.built["open_seconds"], 3),
            "serve_peak_bytes": self.memory["peak"],
            "serve_anonymous_bytes": self.memory["anonymous"],
            "parameter": self.parameter or None,
        }
        for key, name in (("search", None), ("filtered", self.data.name)):
            if not self.ms[name]:
                continue
            every = np.concatenate(self.ms[name])
            rows = [row for rows in self.rows[name] for row in rows]
            recalls = [self.data.recall(rows, part, name) for rows, part in zip(self.rows[name], slices, strict=True)]
            found[key] = {
                "p50_ms": round(float(np.median(every)), 3),
                "p95_ms": round(float(np.quantile(every, 0.95)), 3),
                "recall": round(float(np.mean(recalls)), 4),
                "short": round(float(np.mean([len(set(row)) < K for row in rows])), 4),
            }
        return found

    def against(self, other: Peer) -> dict[str, float]:
        """How many times the other's median this one took, the median over the rounds."""
        pairs = {
            "search": (self.ms[None], other.ms[None]),
            "filtered": (self.ms[self.data.name], other.ms[self.data.name]),
        }
        found = {}
        for key, (mine, others) in pairs.items():
            if mine and others:
                ratios = [np.median(a) / np.median(b) for a, b in zip(mine, others, strict=True)]
                found[key] = float(f"{np.median(ratios):.3g}")
        return found


def side_by_side(data: Data, stores: list[str], environments: Path, threads: int, rounds: int) -> dict[str, Any]:
    """The figures of every store on the data, or the reason why there are none."""
    peers: dict[str, Peer] = {}
    failed: dict[str, str] = {}

    def attempt(store: str, what: str, work: Callable[[], Any]) -> None:
        try:
            work()
        except Failed as reason:
            failed[store] = f"{what}: {reason}"
            if store in peers:
                peers.pop(store).stop()

    for store in stores:
        peers[store] = peer = Peer(store, data, threads)
        attempt(store, "install", lambda: peer.install(environments))  # noqa: B023
        if store in peers:
            attempt(store, "build", peer.build)
            print(f"  {store:14}{failed.get(store) or f'built in {peer.seconds:.1f} s'}", flush=True)
    slices = [slice(turn, None, rounds) for turn in range(rounds)]
    try:
        for store in list(peers):
            attempt(store, "open", peers[store].open)
        for store in list(peers):
            attempt(store, "search", lambda: peers[store].tune(slice(None)))  # noqa: B023
        for turn, part in enumerate(slices):
            names = list(peers)
            for store in names[turn % len(names) :] + names[: turn % len(names)]:
                attempt(store, "search", lambda: peers[store].round(part))  # noqa: B023
    finally:
        for peer in peers.values():
            peer.stop()
    rows = {store: peer.figures(slices) for store, peer in peers.items()}
    for store, peer in peers.items():
        rows[store]["times"] = {name: peer.against(peers[name]) for name in REFERENCES if name in peers}
    return {
        "about": data.about,
        "vectors": len(data.vectors),
        "dim": data.vectors.shape[1],
        "queries": len(data.queries),
        "filter": {"class_share": round(len(data.members) / len(data.vectors), 4), "members": len(data.members)},
        "stores": rows,
        "failed": failed,
    }


def table(found: dict[str, Any]) -> Iterator[str]:
    """The lines of a Markdown table."""
    heads = "store", "build s", "recall@10", "p50 / p95 ms", "× kit exact", "in a class: recall, p50 ms", "short"
    yield f"| {' | '.join([*heads, 'serving MB', 'bytes a vector'])} |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for store, row in found["stores"].items():
        search, filtered = row["search"], row.get("filtered")
        times = row["times"].get("kit-exact", {}).get("search")
        cells = [
            f"{store} ({row['parameter']})" if row["parameter"] else store,
            f"{row['build_seconds']:.1f}",
            f"{search['recall']:.3f}",
            f"{search['p50_ms']:.2f} / {search['p95_ms']:.2f}",
            f"{times:.3g}" if times else "–",
            f"{filtered['recall']:.3f}, {filtered['p50_ms']:.2f}" if filtered else "no filter",
            f"{filtered['short']:.0%}" if filtered else "–",
            f"{row['serve_peak_bytes'] / 1e6:,.0f}",
            f"{row['disk_bytes_per_vector']:,}",
        ]
        yield f"| {' | '.join(cells)} |"
    for store, reason in found["failed"].items():
        yield f"| {store} | {reason} {'|' * 7}"


def original() -> dict[str, float]:
    """What the system this grows out of cost, as other benchmarks have measured it in runs of their own."""
    engines, server = (json.loads((RESULTS / f"{name}.json").read_text()) for name in ("engines", "server"))
    plugin = next(
        value for key, value in server.items() if isinstance(value, dict) and "searching permutation-lsh" in value
    )
    return {
        "predict_one_by_one_ms": engines["ms_per_picture"]["predict, one by one"],
        "indexing_float_ms": engines["ms_per_picture"]["onnxruntime, indexing"],
        "indexing_int8_ms": engines["ms_per_picture"]["int8, indexing"],
        "request_per_document_ms": round(1000 / plugin["writing"]["one_by_one_per_s"], 2),
        "bulk_document_ms": round(1000 / plugin["writing"]["kit_per_s"], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index")
    parser.add_argument("--enlarged", type=Path, metavar="VECTORS.npy")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=250)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="that each store may use, and cores")
    parser.add_argument("--stores", nargs="+", choices=STORES, default=list(STORES))
    parser.add_argument("--environments", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS / "peers.json")
    wish = parser.parse_args()
    document: dict[str, Any] = {
        "k": K,
        "wanted_recall": WANTED,
        "threads": wish.threads,
        "rounds": wish.rounds,
        "graph": {"links": LINKS, "ef_construction": EF},
        "packages": PACKAGES,
        "original": original(),
        "machine": {"python": platform.python_version(), "numpy": np.__version__, "cpus": os.cpu_count()},
        "sets": {},
    }
    with tempfile.TemporaryDirectory() as place:
        data = real(wish.index, Path(place) / "real", wish.queries)
        sets = {"real": lambda: data}
        if wish.enlarged:
            sets["enlarged"] = lambda: enlarged(wish.enlarged, wish.count, data, Path(place) / "enlarged", wish.queries)
        for name, make in sets.items():
            made = make()
            print(made.about, flush=True)
            load = round(os.getloadavg()[0], 2)  # on a busy machine only ratios count
            found = side_by_side(made, wish.stores, wish.environments, wish.threads, wish.rounds)
            document["sets"][name] = found | {"load_before": load}
            shutil.rmtree(made.folder)
            wish.output.write_text(json.dumps(document, indent=1) + "\n")
            print(*table(found), "", sep="\n", flush=True)


if __name__ == "__main__":
    main()
