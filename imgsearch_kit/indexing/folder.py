"""A folder of pictures into an index: what is new, changed, moved or gone, committed batch by batch."""

from __future__ import annotations

import dataclasses
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from tqdm.auto import tqdm

from imgsearch_kit import reports
from imgsearch_kit.errors import BadQuery, IndexMismatch, UnreadableImage
from imgsearch_kit.extractors import Extractor
from imgsearch_kit.images import MAX_PIXELS, FoundImage, Loaded, find_images, load_many
from imgsearch_kit.index.base import VectorIndex
from imgsearch_kit.indexing.baked import projected
from imgsearch_kit.provenance import prefix_of
from imgsearch_kit.records import Failure, ImageRecord, Pixels, Vectors

if TYPE_CHECKING:
    import pandas as pd

BATCH = 32


@dataclass
class IndexReport:
    """What one run of ``index_folder`` did, in numbers of pictures, and the files it could not read."""

    added: int = 0
    updated: int = 0
    moved: int = 0
    unchanged: int = 0
    relabelled: int = 0
    removed: int = 0
    vanished: int = 0
    failed: list[Failure] = field(default_factory=list)
    seconds: float = 0.0

    def __iadd__(self, other: IndexReport) -> Self:
        for name in (each.name for each in dataclasses.fields(self)):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self

    def counts(self) -> dict[str, int]:
        """What was done, by name, without what did not happen."""
        names = ("added", "updated", "moved", "unchanged", "relabelled", "removed", "vanished")
        return {name: getattr(self, name) for name in names if getattr(self, name)}

    def _repr_html_(self) -> str:
        failed = [(failure.path, failure.reason) for failure in self.failed]
        return reports.report(self.counts().items(), f"Indexed in {self.seconds:.1f} s", failed)

    def to_dataframe(self) -> pd.DataFrame:
        """A pandas table with a row a failed file: path, reason, size in bytes, and mtime."""
        return reports.dataframe(dataclasses.asdict(failure) for failure in self.failed)

    def to_json(self) -> dict[str, Any]:
        """The document of ``imgsearch index --json``."""
        plain = dataclasses.asdict(self)
        plain["failed"] = [{"path": f.path, "reason": f.reason} for f in self.failed]
        return plain


class IndexingInterrupted(KeyboardInterrupt):
    """Ctrl-C during indexing; ``report`` says what was committed before it."""

    def __init__(self, report: IndexReport):
        super().__init__("indexing was interrupted")
        self.report = report


def index_folder(
    root: Path,
    index: VectorIndex,
    extractor: Extractor,
    *,
    prefix: str = "",
    labels: Mapping[str, str | None] | None = None,
    prune: bool = False,
    moved_root: bool = False,
    threads: int = 2,
    max_pixels: int = MAX_PIXELS,
    progress: bool | None = None,
) -> IndexReport:
    """Brings an index up to date with a folder and reports what was done; run again, it carries on where it stopped.

    A file of unchanged size and mtime is passed over. Otherwise its sha256 decides: known under a path that is gone, it
    has moved; known under its own path, it was only touched; else it is read, and replaces what stood there. ``prefix``
    goes before the ids of a second folder. ``labels`` (path below ``root`` to label) wins over folder names.
    ``prune`` removes records, of this prefix only, whose file is gone. ``moved_root`` accepts ``root`` as the new place
    of the folder the index was made from. Each batch is committed as it comes.

    :raises BadQuery: when ``root`` holds no picture, or ``prefix`` cannot be told from a folder of the index.
    :raises IndexMismatch: when the index was made from another folder.
    :raises IndexingInterrupted: on Ctrl-C, with the report so far; what was committed stays.
    """
    extractor = projected(index, extractor)
    started, root = time.monotonic(), Path(root)
    found = find_images(root)
    images = [dataclasses.replace(image, id=_join(prefix, image.id)) for image in found.images]
    unreadable = [dataclasses.replace(failure, path=_join(prefix, failure.path)) for failure in found.unreadable]
    if not images and (prune or prefix not in index.passport.roots):
        raise BadQuery(f"There is no picture below {root} that the kit can read. Name another folder.")
    _claim_root(index, root.resolve(), prefix, images, moved_root)
    run = _Run(index, extractor, prefix, {_join(prefix, path): label for path, label in (labels or {}).items()})
    run.report.failed += unreadable
    unknown = sorted(set(run.labels) - {image.id for image in images})
    run.report.failed += [Failure(path, "the labels file names it, and no picture has this path") for path in unknown]
    run.find_gone({image.id for image in images}, [failure.path for failure in unreadable])
    try:
        run.take(images, threads, max_pixels, progress)
        run.finish(prune)
    except KeyboardInterrupt:
        index.flush()
        run.report.seconds = time.monotonic() - started
        raise IndexingInterrupted(run.report) from None
    run.report.seconds = time.monotonic() - started
    return run.report


def _join(prefix: str, path: str) -> str:
    return f"{prefix}/{path}" if prefix else path


def folder_label(id: str, prefix: str) -> str | None:  # noqa: A002 (the field's name)
    """The label that folder names give an id: its immediate parent below the prefix, None at the root."""
    return PurePosixPath(id[len(prefix) + 1 :] if prefix else id).parent.name or None


def check_root(before: str | None, root: Path) -> None:
    """Makes sure that a folder is the one that an index was made from.

    :raises IndexMismatch: when ``before`` is another one.
    """
    if before not in (None, str(root)):
        raise IndexMismatch(
            f"This index holds the pictures of {before}, not of {root}. Add a second folder with --prefix NAME, "
            f"or say with --root {root} that the folder has moved."
        )


def _claim_root(index: VectorIndex, root: Path, prefix: str, images: Sequence[FoundImage], moved_root: bool) -> None:
    """Writes the folder into the passport, once it is known not to mix with another folder's ids."""
    if prefix and (set(prefix.split("/")) & {"", ".", ".."} or "\\" in prefix or not prefix.isprintable()):
        raise BadQuery(f"The prefix {prefix!r} must be a plain name such as holidays or 2024/may.")
    roots = dict(index.passport.roots)
    before = roots.get(prefix)
    if not moved_root:
        check_root(before, root)
    if before is None and prefix and any(record.id.startswith(prefix + "/") for record in index.records()):
        raise BadQuery(f"The index already has a folder named {prefix!r} below another root. Choose another --prefix.")
    taken = {prefix_of(image.id, {**roots, prefix: ""}) for image in images} - {prefix}
    if taken:
        raise BadQuery(
            f"{root} has a folder whose ids would begin with {min(taken)!r}, a prefix of this index already. "
            "Choose another --prefix NAME."
        )
    if before != str(root):
        index.amend(roots={**roots, prefix: str(root)})


class _Run:
    """One run of ``index_folder``: what the index knew before, what is waiting, what has been done."""

    def __init__(self, index: VectorIndex, extractor: Extractor, prefix: str, labels: Mapping[str, str | None]):
        self.index, self.extractor, self.prefix, self.labels = index, extractor, prefix, labels
        self.known = {r.id: r for r in index.records() if self._mine(r.id)}
        self.gone: dict[str, list[str]] = defaultdict(list)  # ids whose file is gone, by sha256
        self.waiting: list[tuple[ImageRecord, Pixels]] = []  # for the network
        self.carried: list[tuple[ImageRecord, str]] = []  # (new record, id whose vector it keeps)
        self.report = IndexReport()

    def _mine(self, id_: str) -> bool:
        return prefix_of(id_, self.index.passport.roots) == self.prefix

    def find_gone(self, here: set[str], unreadable: Sequence[str]) -> None:
        """Notes the known ids whose file is gone; what lies in a folder that cannot be read is not gone."""
        for id_, record in self.known.items():
            if id_ not in here and not any(id_ == path or id_.startswith(path + "/") for path in unreadable):
                self.gone[record.sha256].append(id_)

    def take(self, images: Sequence[FoundImage], threads: int, max_pixels: int, progress: bool | None) -> None:
        """Reads every file that is new or has changed, and commits in batches."""
        todo = {image.path: image for image in images if not self._stands(image)}
        spec = self.extractor.spec
        loaded = load_many(todo, spec.side, spec.resampling, threads=threads, max_pixels=max_pixels)
        disable = None if progress is None else not progress  # None: quiet when stderr is no terminal
        try:
            for path, item in tqdm(loaded, total=len(todo), unit="img", desc="indexing", disable=disable):
                self._sort(todo[path], item)
                self._commit(least=BATCH)
        finally:
            loaded.close()
        self._commit(least=1)

    def finish(self, prune: bool) -> None:
        """Removes what has vanished, if asked to, and notes what failed."""
        vanished = [id_ for ids in self.gone.values() for id_ in ids]
        if prune:
            self.report.removed = self.index.delete(vanished)
        else:
            self.report.vanished = len(vanished)
        self.report.failed.sort(key=lambda failure: failure.path)
        others = [failure for failure in self.index.failures() if not self._mine(failure.path)]
        self.index.set_failures([*others, *self.report.failed])
        self.index.flush()

    def _stands(self, image: FoundImage) -> bool:
        """Whether a file is as it was when it was indexed; a new label is all it may need."""
        record = self.known.get(image.id)
        if record is None or (record.size, record.mtime) != (image.size, image.mtime):
            return False
        label = self._label(image, record)
        if label != record.label:
            self.carried.append((dataclasses.replace(record, label=label), record.id))
            self.report.relabelled += 1
        else:
            self.report.unchanged += 1
        return True

    def _label(self, image: FoundImage, record: ImageRecord | None) -> str | None:
        """What the labels file says, else the label a person gave before, else the folder's name."""
        if image.id in self.labels:
            return self.labels[image.id]
        if record is None or record.label == folder_label(record.id, self.prefix):
            return image.label
        return record.label

    def _sort(self, image: FoundImage, item: Loaded | UnreadableImage) -> None:
        """Decides what becomes of a file that was read: failed, touched, moved, or for the network."""
        if isinstance(item, UnreadableImage):
            self.report.failed.append(Failure(image.id, str(item), image.size, image.mtime))
            return
        before = self.known.get(image.id)
        touched = before is not None and before.sha256 == item.sha256
        source = before if touched else self._moved_from(item.sha256) if before is None else before
        record = ImageRecord(
            image.id, self._label(image, source), item.sha256, item.width, item.height, image.mtime, image.size
        )
        if touched:
            self.carried.append((record, image.id))
            self.report.unchanged += 1
        elif before is None and source is not None:
            self.carried.append((record, source.id))
            self.report.moved += 1
        else:
            self.waiting.append((record, item.pixels))

    def _moved_from(self, sha256: str) -> ImageRecord | None:
        ids = self.gone.get(sha256)
        return self.known[ids.pop()] if ids else None

    def _commit(self, least: int) -> None:
        """Commits what is waiting and what is carried over, each once it has ``least`` pictures."""
        if len(self.waiting) >= least:
            batch, self.waiting = self.waiting, []
            records, vectors = self._extract([r for r, _ in batch], np.stack([p for _, p in batch]))
            self._add(records, vectors)
            self.report.updated += sum(r.id in self.known for r in records)
            self.report.added += sum(r.id not in self.known for r in records)
        if len(self.carried) >= least:
            kept, self.carried = self.carried, []
            stored = self.index.vectors([source for _, source in kept])
            row = {source: i for i, source in enumerate(sorted(source for _, source in kept))}
            moved = [source for record, source in kept if record.id != source]
            self._add([record for record, _ in kept], stored[[row[source] for _, source in kept]], moved)

    def _extract(self, records: list[ImageRecord], pixels: Pixels) -> tuple[list[ImageRecord], Vectors]:
        """The records that have a sound vector, and the vectors; one bad row does not cost the batch."""
        try:
            return records, self.extractor.extract(pixels)
        except BadQuery:
            kept, vectors = [], []
            for record, picture in zip(records, pixels, strict=True):
                try:
                    vectors.append(self.extractor.extract(picture[None]))
                    kept.append(record)
                except BadQuery as error:
                    self.report.failed.append(Failure(record.id, str(error), record.size, record.mtime))
            dim = self.index.passport.dim
            return kept, np.concatenate(vectors) if vectors else np.zeros((0, dim), np.float32)

    def _add(self, records: list[ImageRecord], vectors: Vectors, replaces: Sequence[str] = ()) -> None:
        by_id = {record.id: record for record in records}
        for refused in self.index.add(records, vectors, replaces=replaces):
            record = by_id[refused.id]
            self.report.failed.append(Failure(refused.id, refused.reason, record.size, record.mtime))
