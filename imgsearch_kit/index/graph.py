"""A graph over the vectors of a local index (HNSW), which finds candidates: built, kept in the cache, and checked.

Hierarchical navigable small worlds: Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search
using hierarchical navigable small world graphs" (TPAMI 2020), by usearch, over vectors of half precision.

The library trusts a file's contents, so a damaged one could end the process. A file is therefore used only after a
check: of its size, of every block that holds links, and of every block where the file is not the one that was written
(another time, number or size). Of an unchanged file's vectors, whose damage could only cost candidates, a sample is
checked, because a million are a gigabyte.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import uuid
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.files import write_whole
from imgsearch_kit.index.elastic.methods import NATIVE, parse_method
from imgsearch_kit.records import Vectors

if TYPE_CHECKING:
    from usearch.index import Index

GRAPH_NOTE = "graph.json"  # in the folder of the index's artefacts: what the graph is of, and how its file must be
BLOCK_BYTES = 2**20
SAMPLED_BLOCKS = 32
HEAD_BYTES = 8  # of the library's file, before the vectors: their number and length
HALF_BYTES = 2

log = logging.getLogger("imgsearch_kit")

Keys = npt.NDArray[np.uint64]


def graph_parameters(spec: str, place: str = "in a file") -> dict[str, int]:
    """The parameters of the graph that the method SPEC of a local index asks for; ``exact`` has the default ones.

    ``place`` says in messages where the index is.

    :raises BadQuery: when the SPEC is neither ``exact`` nor ``hnsw``, or a parameter is unknown or out of its range.
    """
    name, _, rest = spec.partition(":")
    if spec == "exact":
        return dict(NATIVE["hnsw"])
    unknown = [part for part in filter(None, rest.split(",")) if part.partition("=")[0] not in NATIVE["hnsw"]]
    if name != "hnsw" or unknown:
        raise BadQuery(
            f"An index {place} has the method exact or hnsw, as hnsw:m=16,ef_construction=100, not {spec!r}."
        )
    found = dict(parse_method(spec, 1).parameters)
    if found["m"] < 2:
        raise BadQuery(f"m must be at least 2, the links of a vector in the graph; it is {found['m']} (in {spec!r}).")
    return found


@dataclass
class Graph:
    """The library's graph, whose keys are those of the index's records, with what it is a graph of.

    ``commit`` is the last commit (generation and stamp) whose records it holds, ``count`` how many they were.
    """

    parameters: Mapping[str, int]
    dim: int
    commit: tuple[int, int]
    count: int
    found: Index = field(repr=False)

    @classmethod
    def of(
        cls,
        parameters: Mapping[str, int],
        dim: int,
        commit: tuple[int, int],
        batches: Iterable[tuple[Keys, Vectors]],
    ) -> Graph:
        """The graph of all vectors in ``batches``, with their keys; of all cores."""
        from usearch.index import Index

        index = Index(
            ndim=dim,
            metric="ip",
            dtype="f16",  # the default is bf16 on some processors, which loses more, and int8 would lose a tenth
            connectivity=parameters["m"],
            expansion_add=parameters["ef_construction"],
            enable_key_lookups=False,
        )
        for keys, vectors in batches:
            # Threads that insert at once do not see each other's vectors, which matters while there are few.
            index.add(keys, vectors, threads=(os.cpu_count() or 1) if len(index) else 1)
        return cls(parameters, dim, commit, len(index), index)

    @property
    def spec(self) -> str:
        """The method SPEC with every parameter written out."""
        return f"hnsw:{','.join(f'{name}={value}' for name, value in self.parameters.items())}"

    def nearest(self, queries: Vectors, count: int) -> list[tuple[Keys, Vectors]]:
        """Keys and distances (1 - cosine, of half precision) of about ``count`` near vectors of each query, ascending.

        Not for several threads at once.
        """
        self.found.expansion_search = count  # type: ignore[misc]
        if len(queries) == 1:
            one = self.found.search(queries[0], count, threads=1)
            return [(one.keys, one.distances)]
        all_: Any = self.found.search(queries, count, threads=os.cpu_count() or 1)
        return [(keys[:n], near[:n]) for keys, near, n in zip(all_.keys, all_.distances, all_.counts, strict=True)]

    # -- its file ---------------------------------------------------------------------------------------------------

    def save(self, folder: Path) -> None:
        """Writes the graph to a folder, whole or not at all; an earlier one there is deleted afterwards.

        :raises OSError: when it cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"graph.{uuid.uuid4().hex[:12]}.usearch"  # a new name: others may have the old one mapped
        with write_whole(file) as whole:
            self._write(whole)
            blocks = _checksums(whole)
        about = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "found"}
        about |= {"dtype": "f16", "file": file.name, "state": _state(file), "blocks": blocks}
        with write_whole(folder / GRAPH_NOTE) as whole:
            whole.write_text(json.dumps(about))
        _delete_but(folder, file.name)

    def _write(self, file: Path) -> None:
        """Writes the library's file.

        :raises OSError: when there is no room for it, of which the library says little, or nothing near its end.
        """
        wanted = self.found.serialized_length
        try:
            self.found.save(str(file))
        except RuntimeError as error:
            raise OSError(f"The {wanted:,} bytes of the graph could not be written ({error})") from error
        if (written := file.stat().st_size) != wanted:
            raise OSError(f"Only {written:,} of the {wanted:,} bytes of the graph could be written")

    @classmethod
    def load(cls, folder: Path) -> Graph | None:
        """The graph that ``save`` wrote to a folder, as a memory map; None where there is none, or it is damaged."""
        try:
            about = json.loads((folder / GRAPH_NOTE).read_text())
            return cls._checked(about, folder / Path(about["file"]).name)
        except FileNotFoundError:
            return None
        except Exception as error:  # whatever is wrong with it, it can be built again
            log.info("The graph in %s is damaged (%s).", folder, error)
            return None

    @classmethod
    def _checked(cls, about: Mapping[str, Any], file: Path) -> Graph:
        parameters = {name: int(about["parameters"][name]) for name in NATIVE["hnsw"]}
        generation, stamp = map(int, about["commit"])
        graph = cls(parameters, int(about["dim"]), (generation, stamp), int(about["count"]), None)  # type: ignore[arg-type]
        _check_blocks(file, about["blocks"], HEAD_BYTES + graph.count * graph.dim * HALF_BYTES, about["state"])
        from usearch.index import Index

        found = Index.restore(str(file), view=True, enable_key_lookups=False)
        if found is None or (len(found), found.ndim) != (graph.count, graph.dim) or "F16" not in str(found.dtype):
            raise ValueError(f"{file.name} is the file of another graph")
        graph.found = found
        return graph


def delete_graph(folder: Path) -> None:
    """Deletes the graph in a folder, if there is one."""
    (folder / GRAPH_NOTE).unlink(missing_ok=True)
    _delete_but(folder, "")


def _delete_but(folder: Path, name: str) -> None:
    for old in folder.glob("graph.*.usearch"):
        if old.name != name:
            old.unlink(missing_ok=True)


def _state(file: Path) -> list[int]:
    """What changes when a file is written to or replaced by another."""
    found = file.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ino]


def _checksums(file: Path) -> list[int]:
    with file.open("rb") as opened:
        return [zlib.crc32(block) for block in iter(lambda: opened.read(BLOCK_BYTES), b"")]


def _check_blocks(file: Path, blocks: list[int], links: int, state: list[int]) -> None:
    """Checks the blocks of a file: those from the byte ``links`` on and a sample, or all if it is not as it was.

    :raises ValueError: when its size or a block is not as it was written.
    """
    now = _state(file)
    if now[0] != state[0] or len(blocks) != -(-now[0] // BLOCK_BYTES):
        raise ValueError(f"{file.name} has {now[0]} bytes instead of {state[0]}")
    first = links // BLOCK_BYTES if now == state else 0
    sample = np.linspace(0, first, SAMPLED_BLOCKS, endpoint=False, dtype=int) if first else ()
    with file.open("rb") as opened:
        for number in sorted({*map(int, sample), *range(first, len(blocks))}):
            opened.seek(number * BLOCK_BYTES)
            if zlib.crc32(opened.read(BLOCK_BYTES)) != blocks[number]:
                raise ValueError(f"block {number} of {file.name} is not as it was written")
