"""One index into another, whatever their addresses, or into a file for other programs."""

from __future__ import annotations

import csv
import dataclasses
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from imgsearch_kit.errors import BadQuery, IndexDamaged, IndexMismatch, IndexNotFound
from imgsearch_kit.index import index_file, open_index, rebuild_index
from imgsearch_kit.index.archive import write_archive
from imgsearch_kit.index.base import VectorIndex
from imgsearch_kit.records import ImageRecord, Refused, Vectors

BATCH = 512
SAMPLE = 256
TOLERANCE = 1e-6


@dataclass
class CopyReport:
    """How many records arrived, and those the target refused."""

    copied: int = 0
    failed: list[Refused] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The document of ``imgsearch copy --json``."""
        return {"copied": self.copied, "failed": [{"path": f.id, "reason": f.reason} for f in self.failed]}


def copy(source: str, target: str, *, method: str = "exact", progress: bool | None = None) -> CopyReport:
    """Copies records, vectors, failures and passport (under a new uuid), checks them, and reports what arrived.

    A copy that is interrupted leaves nothing at ``target``. An index on a server may be copied to its own address, to
    get another method: the old one serves until the new one is whole, and is then deleted.

    :raises IndexNotFound: when nothing is at ``source``.
    :raises IndexMismatch: when something is at ``target`` already.
    :raises IndexDamaged: when what arrived differs from what was sent.
    """
    report = CopyReport()
    with open_index(source) as origin, _staged(source, target) as address:
        passport = dataclasses.replace(origin.passport, uuid=str(uuid.uuid4()), generation=0, count=0, method=method)
        with rebuild_index(address, passport) as made:
            disable = None if progress is None else not progress
            with tqdm(total=len(origin), unit="img", desc="copying", disable=disable) as bar:
                for records, vectors in batches(origin):
                    report.failed += made.add(records, vectors)
                    bar.update(len(records))
            made.set_failures(origin.failures())
            made.flush()
            report.copied = len(made)
            _verify(origin, made, report)
            made.publish(report.copied)
    return report


def batches(index: VectorIndex) -> Iterator[tuple[list[ImageRecord], Vectors]]:
    """All records of an index with their ``(n, dim)`` vectors, in id order, some hundreds at a time."""
    records = index.records()
    for start in range(0, len(records), BATCH):
        batch = records[start : start + BATCH]
        yield batch, index.vectors([record.id for record in batch])


@contextmanager
def _staged(source: str, target: str) -> Iterator[str]:
    """The address to write to; an index that is a file takes its real name only once it is whole."""
    file = index_file(target)
    try:
        open_index(target).close()
    except IndexNotFound:
        pass
    else:
        if source == target and file is None:
            yield target
            return
        raise IndexMismatch(f"There is an index at {target} already. Copy to another address, or remove it first.")
    if file is None:
        yield target
        return
    kind, path = file
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    try:
        yield f"{kind}:{part}"
        part.replace(path)
    finally:
        for leftover in part.parent.glob(part.name + "*"):
            leftover.unlink()


def _verify(origin: VectorIndex, made: VectorIndex, report: CopyReport) -> None:
    expected = len(origin) - len(report.failed)
    if report.copied != expected:
        raise IndexDamaged(f"{expected} records were sent to {made.address} and {report.copied} are there. Copy again.")
    refused = {failure.id for failure in report.failed}
    ids = [record.id for record in origin.records() if record.id not in refused]
    sample = ids[:: max(1, len(ids) // SAMPLE)]
    if origin.records(sample) != made.records(sample):
        raise IndexDamaged(f"Records at {made.address} differ from those that were sent. Copy again.")
    difference = np.abs(origin.vectors(sample) - made.vectors(sample)).max(initial=0)
    if difference > TOLERANCE:
        raise IndexDamaged(f"Vectors at {made.address} are off by up to {difference:.2g} from those sent. Copy again.")


def export(index: VectorIndex, path: Path) -> int:
    """Writes an index to a file for other programs and returns the number of records.

    A ``.npz`` file gets the arrays ids, labels ("" for none), sha256 and vectors (float32), rows in id order, loadable
    without pickle. A ``.csv`` file gets id, label, sha256, width and height.

    :raises BadQuery: when the suffix is another, or the file cannot be written.
    """
    records = index.records()
    try:
        if path.suffix == ".npz":
            write_archive(path, records, index.vectors(), index.passport)
        elif path.suffix == ".csv":
            with path.open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(["id", "label", "sha256", "width", "height"])
                writer.writerows([r.id, r.label or "", r.sha256, r.width, r.height] for r in records)
        else:
            raise BadQuery(f"{path} must end in .npz (with vectors) or .csv (without).")
    except OSError as error:
        raise BadQuery(f"{path} cannot be written: {error}. Name another file with -o.") from error
    return len(records)
