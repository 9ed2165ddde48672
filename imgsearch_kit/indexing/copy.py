"""Copies an index to any other address."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from imgsearch_kit.errors import BadQuery, IndexDamaged, IndexMismatch, PluginMissing
from imgsearch_kit.extractors import Extractor
from imgsearch_kit.index import Address, building, open_index
from imgsearch_kit.index.base import TAKEN_AT_ONCE, VectorIndex
from imgsearch_kit.index.building import check_free
from imgsearch_kit.indexing.baked import RankedContent
from imgsearch_kit.progress import progress_bar
from imgsearch_kit.ranking.baked import bakeable
from imgsearch_kit.records import FORMAT_VERSION, ImageRecord, IndexPassport, Refused, Vectors
from imgsearch_kit.reports import RunReport, plain

VERIFIED = 256
TOLERANCE = 1e-6


@dataclass
class CopyReport(RunReport):
    """How many records were copied to ``target``, which it refused, and whether the extractor is unknown."""

    copied: int = 0
    failed: list[Refused] = field(default_factory=list)
    silent: bool = False
    target: str = ""

    def to_json(self) -> dict[str, Any]:
        """The document of ``imgsearch copy --json``."""
        return {"copied": self.copied, "failed": plain(self.failed)}

    def title(self) -> str:
        """How many records were copied where."""
        return f"{self.copied:,} records{f' to {self.target}' if self.target else ''}, counts and sample verified"

    def notes(self) -> Sequence[str]:
        """A note if the extractor of the vectors is unknown."""
        silent = "The extractor of the copy's vectors is unknown. Copy with --extractor NAME to make a full index."
        return [silent] if self.silent else []


def copy(source: str | Address, target: str | Address, *, rank: str | None = None, **options: Any) -> CopyReport:
    """Copies the index at ``source`` to ``target``, as ``copy_index`` does, with its ``options``.

    :raises IndexNotFound: when nothing is at ``source``.
    """
    where = Address.parse(target)
    if rank is not None:
        bakeable(rank)  # before anything is opened
    with open_index(source) as origin:
        return copy_index(origin, where, rank=rank, **options)


def copy_index(
    origin: VectorIndex,
    target: str | Address,
    *,
    method: str | None = None,
    rank: str | None = None,
    extractor: str | Extractor | None = None,
    weights: Path | None = None,
    say: Callable[[str], None] | None = None,
    progress: bool | None = None,
) -> CopyReport:
    """Copies records, vectors, failures and passport (under a new uuid), checks the copy, and reports the result.

    A copy that is interrupted leaves nothing at ``target``. An index on a server may be copied to its own address, to
    get another method: the old one keeps serving until the new one is complete, and is then deleted. Without
    ``method`` a copy on a server has the method of its source, or ``flat`` if the server lacks the plugin for that,
    which is reported through ``say``; any other copy searches exactly. A file with the method ``hnsw`` gets its graph
    when the copy is complete.

    ``rank`` is a SPEC of ``pca`` and ``rca`` steps: the copy holds the vectors that they make of the source's, and
    what they have learned, so that they are applied to queries too.

    ``extractor`` (an object, or a name) is the one that made the vectors of an index without a passport; a named one is
    loaded (from ``weights``), so that the copy has its full spec and probes. Without it the extractor of such a copy
    stays unknown, so vectors can be copied on a machine without the weights.

    :raises IndexMismatch: when there is an index at ``target`` already, the source changed while it was copied, or
        another extractor made it.
    :raises IndexDamaged: when the copy differs from the source; when no record was accepted; or when an index is to be
        replaced and not every record was accepted.
    :raises BadQuery: when the target does not know the method, a copy to its own address names none, or the ranking
        cannot be baked in.
    """
    where = Address.parse(target)
    replaced = where.on_server and origin.address == str(where)
    if replaced:
        _check_own(origin, method, rank)
    else:
        check_free(where)
    # Read before the records: a passport read later may count writes that are missing in them.
    source = origin.read_passport()
    passport = (
        dataclasses.replace(source, spec=None) if origin.declared else source
    )  # only a name is known, so the spec is incomplete
    if extractor is not None:
        from imgsearch_kit.indexing.extractor import with_extractor  # imports all of the extractors

        passport = with_extractor(passport, extractor, weights, say=say)
    new = dataclasses.replace(passport, uuid=str(uuid.uuid4()), generation=0, count=0, format=FORMAT_VERSION)
    new = dataclasses.replace(new, method=method or (passport.method if where.on_server else "exact"))
    where.check_method(new.method)
    content: VectorIndex | RankedContent = origin
    if rank is not None:
        content = RankedContent(origin, rank)
        new = dataclasses.replace(new, baked=content.baked, dim=content.dim, rank="")
    if replaced or method:
        begun = building(where, new, unchanged=source.generation if replaced else None)
    else:
        begun = _with_the_plugin_or_flat(where, new, say)
    with begun as made:
        report = _sent(content, made, progress)
        _check_refused(report, replaced)
        made.set_failures(origin.failures())
        _carry_learned(content, made)
        made.flush()
        try:
            _verify(content, made, report)
        finally:  # a change of the source is reported as such, not as damage
            _check_unchanged(origin, source.generation)
    if where.kind == "local" and new.method != "exact":
        with open_index(where) as copied:
            copied.prepare(progress=progress)
    report.silent, report.target = passport.spec is None, str(where)
    return report


def _check_own(origin: VectorIndex, method: str | None, rank: str | None) -> None:
    """Checks that an index can be copied to its own address."""
    if method is None:
        raise BadQuery(f"{origin.address} cannot be copied to itself unchanged. Give another method: --method SPEC")
    if rank is not None:
        raise BadQuery(
            f"{origin.address} would lose the vectors that {rank} is learned from. Copy it to another address."
        )
    origin.check_replaceable()


@contextmanager
def _with_the_plugin_or_flat(
    where: Address, passport: IndexPassport, say: Callable[[str], None] | None
) -> Iterator[VectorIndex]:
    """A new index with the source's method, or with ``flat`` on a server without the plugin for that method."""
    with ExitStack() as stack:
        try:
            made = stack.enter_context(building(where, passport))
        except PluginMissing:
            if say:
                say(
                    f"The server of {where} has no Elastiknn plugin, so the copy has the method flat, which searches "
                    f"exactly, instead of {passport.method}. Other methods: --method hnsw, int8_hnsw or bbq_hnsw."
                )
            made = stack.enter_context(building(where, dataclasses.replace(passport, method="flat")))
        yield made


@contextmanager
def temporary_copy(
    index: VectorIndex, address: str | Address, method: str, progress: bool | None = None
) -> Iterator[VectorIndex]:
    """A copy of an index on the server of ``address``, with another method and another name; removed at the end."""
    where = Address.parse(address).beside("tune")
    copy_index(index, where, method=method, progress=progress)
    with open_index(where) as made:
        try:
            yield made
        finally:
            made.remove()


def batches(index: VectorIndex | RankedContent) -> Iterator[tuple[list[ImageRecord], Vectors]]:
    """All records of an index with their ``(n, dim)`` vectors, in id order, in batches of some hundreds."""
    records = index.records()
    for start in range(0, len(records), TAKEN_AT_ONCE):
        batch = records[start : start + TAKEN_AT_ONCE]
        yield batch, index.vectors([record.id for record in batch])


def _sent(content: VectorIndex | RankedContent, made: VectorIndex, progress: bool | None) -> CopyReport:
    sent, report = 0, CopyReport()
    with progress_bar("copying", "img", len(content), shown=progress) as bar:
        for records, vectors in batches(content):
            report.failed += made.add(records, vectors)
            sent += len(records)
            bar.update(len(records))
    report.copied = sent - len(report.failed)
    return report


def _check_refused(report: CopyReport, replaced: bool) -> None:
    """Checks that records were accepted; when an index is to be replaced, that all were."""
    if report.failed and (replaced or not report.copied):
        first = report.failed[0]
        raise IndexDamaged(
            f"{len(report.failed)} of {report.copied + len(report.failed)} records were refused; the first is "
            f"{first.id!r}: {first.reason}. Nothing was copied{', and the old index stays in use' if replaced else ''}."
            " Try another method."
        )


def _carry_learned(content: VectorIndex | RankedContent, made: VectorIndex) -> None:
    if learned := content.learned():
        made.set_learned(learned)
        if made.learned() != learned:
            raise IndexDamaged(f"What the ranking has learned arrived damaged at {made.address}. Copy again.")


def _check_unchanged(origin: VectorIndex, generation: int) -> None:
    if origin.read_passport().generation != generation:
        raise IndexMismatch(f"The index at {origin.address} changed while it was copied; copy again.")


def _verify(content: VectorIndex | RankedContent, made: VectorIndex, report: CopyReport) -> None:
    if report.copied != len(made):
        raise IndexDamaged(f"{report.copied} records were sent to {made.address}, but it has {len(made)}. Copy again.")
    refused = {failure.id for failure in report.failed}
    ids = [record.id for record in content.records() if record.id not in refused]
    sample = ids[:: max(1, len(ids) // VERIFIED)]
    if content.records(sample) != made.records(sample):
        raise IndexDamaged(f"Records at {made.address} differ from those sent. Copy again.")
    difference = np.abs(content.vectors(sample) - made.vectors(sample)).max(initial=0)
    if difference > TOLERANCE:
        raise IndexDamaged(f"Vectors at {made.address} differ by up to {difference:.2g} from those sent. Copy again.")
