"""Indexing of a folder: pictures that are new, changed, moved or deleted, committed batch by batch."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Self

import numpy as np

from imgsearch_kit.errors import BadQuery, IndexingInterrupted, IndexMismatch, KitError, UnreadableImage
from imgsearch_kit.extractors import Extractor
from imgsearch_kit.images import MAX_PIXELS, Found, FoundImage, Loaded, find_images, load_many
from imgsearch_kit.index.base import VectorIndex, check_vectors
from imgsearch_kit.indexing.baked import projected
from imgsearch_kit.progress import progress_bar
from imgsearch_kit.records import Failure, ImageRecord, Pixels, Vectors
from imgsearch_kit.reports import RunReport

COMMITTED_AT_ONCE = 32  # pictures of one commit
SLICE = 8  # pictures of one call of the extractor, so that the bar moves


@dataclass
class IndexReport(RunReport):
    """What one run of ``index_folder`` did, in numbers of pictures, and the files it could not read."""

    added: int = 0
    updated: int = 0
    moved: int = 0
    unchanged: int = 0
    relabelled: int = 0
    removed: int = 0
    vanished: int = 0
    system_folders: int = 0
    passed_over: Counter[str] = field(default_factory=Counter)  # by kind
    failed: list[Failure] = field(default_factory=list)
    seconds: float = 0.0

    def __iadd__(self, other: IndexReport) -> Self:
        for name in (each.name for each in dataclasses.fields(self)):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self

    def counts(self) -> dict[str, int]:
        """The numbers that are not zero, by name."""
        names = ("added", "updated", "moved", "unchanged", "relabelled", "removed", "vanished")
        return {name: getattr(self, name) for name in names if getattr(self, name)}

    def title(self) -> str:
        """What was done, and how long it took."""
        done = (f"{count:,} {name}" for name, count in self.counts().items() if name != "vanished")
        return f"{', '.join(done) or 'nothing to do'} in {self.seconds:.1f} s"

    def notes(self) -> Sequence[str]:
        """What to do about indexed pictures without a file, and what was left out, if there is any."""
        left = f"system folders left out, such as @eaDir or $RECYCLE.BIN: {self.system_folders:,}"
        gone = f"{self.vanished:,} indexed pictures are no longer in the folder; --prune removes them from the index"
        over = f"files passed over: {kinds_text(self.passed_over)}"
        return [gone] * bool(self.vanished) + [left] * bool(self.system_folders) + [over] * bool(self.passed_over)


def index_folder(
    root: Path,
    index: VectorIndex,
    extractor: Extractor,
    *,
    found: Found | None = None,
    prefix: str = "",
    labels: Mapping[str, str | None] | None = None,
    prune: bool = False,
    moved_root: bool = False,
    threads: int = 2,
    max_pixels: int = MAX_PIXELS,
    progress: bool | None = None,
) -> IndexReport:
    """Brings an index up to date with a folder and reports what was done; a second run continues an interrupted one.

    A file of unchanged size and mtime is skipped. Otherwise its sha256 decides: if it is known under a path that no
    longer exists, the file was moved; if it is known under its own path, only the mtime changed; else the file is
    extracted and replaces an earlier record. ``found`` is the result of ``find_images`` for ``root``, if it is known.
    ``prefix`` goes before the ids of a second folder. ``labels`` (path below ``root`` to label) overrides folder names.
    ``prune`` removes records, of this prefix only, whose file no longer exists. ``moved_root`` accepts ``root`` as the
    new place of the folder the index was made from.

    :raises BadQuery: when ``root`` has no picture, or ``prefix`` is the name of a folder in the index.
    :raises IndexMismatch: when the index was made from another folder.
    :raises IndexingInterrupted: on Ctrl-C, with the report so far; what was committed is kept.
    """
    if index.passport.baked:
        extractor = projected(index, extractor)
    started, root = time.monotonic(), Path(root)
    found = found or find_images(root)
    images = [dataclasses.replace(image, id=_join(prefix, image.id)) for image in found.images]
    unreadable = [dataclasses.replace(failure, path=_join(prefix, failure.path)) for failure in found.unreadable]
    if prune or prefix not in index.passport.roots:
        check_has_pictures(found, root)
    _claim_root(index, root.resolve(), prefix, images, moved_root)
    run = _Run(index, extractor, prefix, {_join(prefix, path): label for path, label in (labels or {}).items()})
    run.report.failed += unreadable
    run.report.system_folders, run.report.passed_over = len(found.system), found.passed_over
    unknown = sorted(set(run.labels) - {image.id for image in images})
    run.report.failed += [Failure(path, "it is in the labels file, but no picture has this path") for path in unknown]
    run.find_missing({image.id for image in images}, [failure.path for failure in unreadable])
    try:
        run.take(images, threads, max_pixels, progress)
        run.finish(prune)
    except KeyboardInterrupt:
        index.flush()
        run.report.seconds = time.monotonic() - started
        raise IndexingInterrupted(run.report) from None
    except BaseException:
        with contextlib.suppress(KitError):  # others may write from now on
            index.flush()
        raise
    run.report.seconds = time.monotonic() - started
    return run.report


def check_has_pictures(found: Found, root: Path) -> None:
    """Checks that a folder has pictures.

    :raises BadQuery: when ``root`` has none.
    """
    if not found.images:
        over = f" (files passed over: {kinds_text(found.passed_over)})" if found.passed_over else ""
        raise BadQuery(f"There is no picture below {root} that the kit can read{over}. Give another folder.")


def kinds_text(passed_over: Counter[str]) -> str:
    """How many files of which kind were passed over, the most first."""
    return ", ".join(f"{count:,} {kind}" for kind, count in passed_over.most_common())


def _join(prefix: str, path: str) -> str:
    return f"{prefix}/{path}" if prefix else path


def folder_label(id: str, prefix: str) -> str | None:  # noqa: A002 (the field's name)
    """The label of an id from its folder name: the immediate parent below the prefix, None at the root."""
    return PurePosixPath(id[len(prefix) + 1 :] if prefix else id).parent.name or None


def check_root(before: str | None, root: Path) -> None:
    """Checks that a folder is the one that an index was made from.

    :raises IndexMismatch: when ``before`` is another one.
    """
    if before not in (None, str(root)):
        raise IndexMismatch(
            f"This index holds the pictures of {before}, not of {root}. Add a second folder with --prefix NAME, "
            f"or use --root {root} if the folder has moved."
        )


def _claim_root(index: VectorIndex, root: Path, prefix: str, images: Sequence[FoundImage], moved_root: bool) -> None:
    """Writes the folder into the passport, after a check that its ids cannot be confused with another folder's."""
    if prefix and (set(prefix.split("/")) & {"", ".", ".."} or "\\" in prefix or not prefix.isprintable()):
        raise BadQuery(f"The prefix {prefix!r} must be a plain name such as holidays or 2024/may.")
    roots = dict(index.passport.roots)
    before = roots.get(prefix)
    if not moved_root:
        check_root(before, root)
    if before is None and prefix and any(record.id.startswith(prefix + "/") for record in index.records()):
        raise BadQuery(f"The index already has a folder named {prefix!r} below another root. Choose another --prefix.")
    others = dataclasses.replace(index.passport, roots={**roots, prefix: ""})
    taken = {others.prefix_of(image.id) for image in images} - {prefix}
    if taken:
        raise BadQuery(
            f"{root} has a folder whose ids would begin with {min(taken)!r}, a prefix of this index already. "
            "Choose another --prefix NAME."
        )
    if before != str(root):
        index.amend(roots={**roots, prefix: str(root)})


class _Run:
    """One run of ``index_folder``: the records before, the pictures waiting, and the report."""

    def __init__(self, index: VectorIndex, extractor: Extractor, prefix: str, labels: Mapping[str, str | None]):
        self.index, self.extractor, self.prefix, self.labels = index, extractor, prefix, labels
        self._passport = index.passport
        self.known = {r.id: r for r in index.records() if self._mine(r.id)}
        self.missing: dict[str, list[str]] = defaultdict(list)  # ids whose file no longer exists, by sha256
        self.waiting: list[tuple[ImageRecord, Pixels]] = []  # to be extracted
        self.carried: list[tuple[ImageRecord, str]] = []  # (new record, id whose vector it keeps)
        self.report = IndexReport()

    def _mine(self, id_: str) -> bool:
        return self._passport.prefix_of(id_) == self.prefix

    def find_missing(self, here: set[str], unreadable: Sequence[str]) -> None:
        """Notes the known ids whose file no longer exists; a file in an unreadable folder does not count as missing."""
        for id_, record in self.known.items():
            if id_ not in here and not any(id_ == path or id_.startswith(path + "/") for path in unreadable):
                self.missing[record.sha256].append(id_)

    def take(self, images: Sequence[FoundImage], threads: int, max_pixels: int, progress: bool | None) -> None:
        """Reads every file that is new or has changed, and commits the pictures in batches."""
        todo = {image.path: image for image in images if not self._is_unchanged(image)}
        spec = self.extractor.spec
        loaded = load_many(todo, spec.side, spec.resampling, threads=threads, max_pixels=max_pixels)
        with contextlib.closing(loaded), progress_bar("indexing", "img", len(todo), shown=progress) as bar:
            for path, item in loaded:
                if not self._sort(todo[path], item):
                    bar.update()
                self._commit(COMMITTED_AT_ONCE, bar.update)
            self._commit(1, bar.update)

    def finish(self, prune: bool) -> None:
        """Removes records without a file if ``prune``, and stores the list of failures."""
        vanished = [id_ for ids in self.missing.values() for id_ in ids]
        if prune:
            self.report.removed = self.index.delete(vanished)
        else:
            self.report.vanished = len(vanished)
        self.report.failed.sort(key=lambda failure: failure.path)
        others = [failure for failure in self.index.failures() if not self._mine(failure.path)]
        self.index.set_failures([*others, *self.report.failed])
        self.index.flush()

    def _is_unchanged(self, image: FoundImage) -> bool:
        """Whether a file has not changed since it was indexed; its label may still change."""
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
        """The label from the labels file, else one that the user gave before, else the folder's name."""
        if image.id in self.labels:
            return self.labels[image.id]
        if record is None or record.label == folder_label(record.id, self.prefix):
            return image.label
        return record.label

    def _sort(self, image: FoundImage, item: Loaded | UnreadableImage) -> bool:
        """Sorts a file that was read: failed, touched, moved, or (True) to be extracted."""
        if isinstance(item, UnreadableImage):
            self.report.failed.append(Failure(image.id, str(item), image.size, image.mtime))
            return False
        before = self.known.get(image.id)
        touched = before is not None and before.sha256 == item.sha256
        source = self._moved_from(item.sha256) if before is None else before
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
            return True
        return False

    def _moved_from(self, sha256: str) -> ImageRecord | None:
        ids = self.missing.get(sha256)
        return self.known[ids.pop()] if ids else None

    def _commit(self, least: int, done: Callable[[int], object]) -> None:
        """Commits extracted pictures and kept vectors, each when there are ``least`` of them."""
        if len(self.waiting) >= least:
            batch, self.waiting = self.waiting, []
            ids = self._add(*self._extract(batch, done))
            self.report.updated += sum(id_ in self.known for id_ in ids)
            self.report.added += sum(id_ not in self.known for id_ in ids)
        while len(self.carried) >= least:
            kept, self.carried = self.carried[:COMMITTED_AT_ONCE], self.carried[COMMITTED_AT_ONCE:]
            stored, vectors = self.index.entries([source for _, source in kept])
            row = {record.id: i for i, record in enumerate(stored)}
            there = [(record, source) for record, source in kept if source in row]  # else deleted by another writer
            moved = [source for record, source in there if record.id != source]
            self._add([record for record, _ in there], vectors[[row[source] for _, source in there]], moved)

    def _extract(
        self, batch: Sequence[tuple[ImageRecord, Pixels]], done: Callable[[int], object]
    ) -> tuple[list[ImageRecord], Vectors]:
        """The records with a valid vector, and the vectors; an invalid row does not affect the others."""
        kept: list[ImageRecord] = []
        vectors = [np.zeros((0, self._passport.dim), np.float32)]
        for start in range(0, len(batch), SLICE):
            part = batch[start : start + SLICE]
            try:
                vectors.append(self._vectors(part))
                kept += [record for record, _ in part]
            except BadQuery:
                for record, pixels in part:
                    try:
                        vectors.append(self._vectors([(record, pixels)]))
                        kept.append(record)
                    except BadQuery as error:
                        self.report.failed.append(Failure(record.id, str(error), record.size, record.mtime))
            done(len(part))
        return kept, np.concatenate(vectors)

    def _vectors(self, part: Sequence[tuple[ImageRecord, Pixels]]) -> Vectors:
        """The vectors of some pictures, checked here so that an extractor's invalid row costs one picture alone."""
        vectors = self.extractor.extract(np.stack([pixels for _, pixels in part]))
        return check_vectors(vectors, self._passport.dim, [record.id for record, _ in part])

    def _add(self, records: list[ImageRecord], vectors: Vectors, replaces: Sequence[str] = ()) -> list[str]:
        """Writes records, and returns the ids of those that the index has accepted."""
        by_id = {record.id: record for record in records}
        for refused in self.index.add(records, vectors, replaces=replaces):
            record = by_id.pop(refused.id)
            self.report.failed.append(Failure(refused.id, refused.reason, record.size, record.mtime))
        return list(by_id)
