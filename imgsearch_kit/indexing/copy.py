"""One index into another, whatever their addresses, or into a file for other programs."""

from __future__ import annotations

import csv
import dataclasses
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm.auto import tqdm

from imgsearch_kit import reports
from imgsearch_kit.errors import BadQuery, IndexDamaged, IndexMismatch, IndexNotFound, KitError
from imgsearch_kit.index import check_method, index_file, open_index, rebuild_index, shown, sqlite
from imgsearch_kit.index.archive import write_archive
from imgsearch_kit.index.base import VectorIndex
from imgsearch_kit.indexing.baked import RankedContent
from imgsearch_kit.provenance import with_extractor
from imgsearch_kit.records import ImageRecord, Refused, Vectors

if TYPE_CHECKING:
    import pandas as pd

BATCH = 512
SAMPLE = 256
TOLERANCE = 1e-6


@dataclass
class CopyReport:
    """How many records arrived, those the target refused, and whether the copy does not say who made its vectors."""

    copied: int = 0
    failed: list[Refused] = field(default_factory=list)
    silent: bool = False

    def to_json(self) -> dict[str, Any]:
        """The document of ``imgsearch copy --json``."""
        return {"copied": self.copied, "failed": [{"path": f.id, "reason": f.reason} for f in self.failed]}

    def _repr_html_(self) -> str:
        return reports.report(
            [("copied", self.copied)], "Copied, counts and sample verified", [(f.id, f.reason) for f in self.failed]
        )

    def to_dataframe(self) -> pd.DataFrame:
        """A pandas table with a row a failed record: id and reason."""
        return reports.dataframe(dataclasses.asdict(refused) for refused in self.failed)


def copy(
    source: str,
    target: str,
    *,
    method: str | None = None,
    rank: str | None = None,
    extractor: str | None = None,
    weights: Path | None = None,
    say: Callable[[str], None] | None = None,
    progress: bool | None = None,
) -> CopyReport:
    """Copies records, vectors, failures and passport (under a new uuid), checks them, and reports what arrived.

    A copy that is interrupted leaves nothing at ``target``. An index on a server may be copied to its own address, to
    get another method: the old one serves until the new one is whole, and is then deleted. Without ``method`` a copy
    on a server searches as its source does, any other exactly.

    ``rank`` is a SPEC of ``pca``, ``rca`` and ``dba`` steps: the copy holds the vectors that they make of the
    source's, and what they have learned, so that queries follow.

    ``extractor`` names the one that made the vectors of an index without a passport; it is loaded (from ``weights``),
    so that the copy has its full spec and probes. Without it such a copy stays as silent as its source: vectors can be
    moved where the weights are not.

    :raises IndexNotFound: when nothing is at ``source``.
    :raises IndexMismatch: when something is at ``target`` already, ``source`` changed while it was copied, or another
        extractor made it.
    :raises IndexDamaged: when what arrived differs from what was sent; nothing did; or some of an index that was to be
        replaced did not.
    :raises BadQuery: when the target does not know the method, a copy to its own address names none, or the ranking
        cannot be baked in.
    """
    address = shown(target)
    with open_index(source) as origin:
        replaced = index_file(target) is None and origin.address == address
        if replaced and method is None:
            raise BadQuery(f"{address} would be copied to itself as it is. Name another method: --method SPEC")
        if replaced and rank is not None:
            raise BadQuery(f"{address} would lose the vectors that {rank} is learned from. Copy it to another address.")
        if replaced:
            origin.check_replaceable()
        passport = origin.passport
        # Read before the look that shows what others wrote; a later one may count writes that stay hidden here.
        generation = passport.generation
        if extractor is not None:
            passport = with_extractor(passport, extractor, weights, say=say)
        method = method or (passport.method if address.startswith("http") else "exact")
        check_method(target, method)
        with _staged(target, replaced) as place:
            new = dataclasses.replace(passport, uuid=str(uuid.uuid4()), generation=0, count=0, method=method)
            content: VectorIndex | RankedContent = origin
            if rank is not None:
                content = RankedContent(origin, rank)
                new = dataclasses.replace(new, baked=content.baked, dim=content.dim)
            with rebuild_index(place, new) as made:
                with dropped_on(BaseException, made):
                    report = _filled(origin, generation, content, made, replaced, progress)
                # Once the server may have been told to let it serve, only a publishing that says it was not may
                # drop it.
                with dropped_on(IndexMismatch, made):
                    made.publish(report.copied, unchanged=generation if replaced else None)
        report.silent = passport.spec is None
    return report


def _filled(
    origin: VectorIndex,
    generation: int,
    content: VectorIndex | RankedContent,
    made: VectorIndex,
    replaced: bool,
    progress: bool | None,
) -> CopyReport:
    """Sends everything, and makes sure that it arrived and that ``origin`` is still of this generation."""
    sent, report = 0, CopyReport()
    disable = None if progress is None else not progress
    with tqdm(total=len(origin), unit="img", desc="copying", disable=disable) as bar:
        for records, vectors in batches(content):
            report.failed += made.add(records, vectors)
            sent += len(records)
            bar.update(len(records))
    report.copied = sent - len(report.failed)
    if report.failed and (replaced or not report.copied):
        first = report.failed[0]
        raise IndexDamaged(
            f"{len(report.failed)} of {sent} records were refused, the first of them {first.id!r}: {first.reason}. "
            f"So nothing was copied{', and the old index serves on' if replaced else ''}. Try another method."
        )
    made.set_failures(origin.failures())
    if learned := content.learned():
        made.set_learned(learned)
        if made.learned() != learned:
            raise IndexDamaged(f"What {made.address} says the ranking has learned is not what was sent. Copy again.")
    made.flush()
    try:
        _verify(content, made, report)
    finally:  # what has changed meanwhile is not damaged
        _check_unchanged(origin, generation)
    return report


def _check_unchanged(origin: VectorIndex, generation: int) -> None:
    if origin.read_passport().generation != generation:
        raise IndexMismatch(f"The index at {origin.address} changed while it was copied; copy again.")


@contextmanager
def dropped_on(kind: type[BaseException], made: VectorIndex) -> Iterator[None]:
    """Deletes a new index on a server when filling it fails; a file is removed by ``_staged``."""
    try:
        yield
    except kind:
        if made.address.startswith("http"):
            with suppress(KitError):  # what cannot be deleted now, the next copy to this address deletes
                made.remove()
        raise


def batches(index: VectorIndex | RankedContent) -> Iterator[tuple[list[ImageRecord], Vectors]]:
    """All records of an index with their ``(n, dim)`` vectors, in id order, some hundreds at a time."""
    records = index.records()
    for start in range(0, len(records), BATCH):
        batch = records[start : start + BATCH]
        yield batch, index.vectors([record.id for record in batch])


@contextmanager
def _staged(target: str, replaced: bool) -> Iterator[str]:
    """The address to write to; an index that is a file takes its real name only once it is whole."""
    if not replaced:
        with suppress(IndexNotFound), open_index(target) as there:
            raise IndexMismatch(
                f"There is an index at {there.address} already. Copy to another address, or remove it first."
            )
    file = index_file(target)
    if file is None:
        yield target
        return
    kind, path = file
    part = path.with_name(path.name + ".part")
    sqlite.remove(part)  # what a killed copy has left
    try:
        yield f"{kind}:{part}"
        part.replace(path)
    finally:
        sqlite.remove(part)


def _verify(content: VectorIndex | RankedContent, made: VectorIndex, report: CopyReport) -> None:
    if report.copied != len(made):
        raise IndexDamaged(
            f"{report.copied} records were sent to {made.address} and {len(made)} are there. Copy again."
        )
    refused = {failure.id for failure in report.failed}
    ids = [record.id for record in content.records() if record.id not in refused]
    sample = ids[:: max(1, len(ids) // SAMPLE)]
    if content.records(sample) != made.records(sample):
        raise IndexDamaged(f"Records at {made.address} differ from those that were sent. Copy again.")
    difference = np.abs(content.vectors(sample) - made.vectors(sample)).max(initial=0)
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
            passport = index.passport
            if index.declared:  # a name without weights is no spec to keep
                passport = dataclasses.replace(passport, spec=None)
            write_archive(path, records, index.vectors(), passport, learned=index.learned())
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
