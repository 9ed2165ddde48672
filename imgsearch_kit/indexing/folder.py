"""Indexing of a folder: which of its pictures are new, changed, moved or deleted since the index was made."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

from imgsearch_kit.classes import doubts, folder_label, folders_of
from imgsearch_kit.errors import IndexingInterrupted, KitError, UnreadableImage
from imgsearch_kit.extractors import Extractor
from imgsearch_kit.images import MAX_PIXELS, Found, FoundImage, Hashed, Loaded, find_images, load_many
from imgsearch_kit.index.base import VectorIndex
from imgsearch_kit.indexing.baked import Projected, projected
from imgsearch_kit.indexing.commits import Carried, Commits, Waiting
from imgsearch_kit.indexing.hints import hints
from imgsearch_kit.indexing.known import Known
from imgsearch_kit.indexing.labels import labels_by_id
from imgsearch_kit.indexing.levels import check_level_kept, relabel_at
from imgsearch_kit.indexing.loading import Computed, Load
from imgsearch_kit.indexing.parts import Part, part_given
from imgsearch_kit.indexing.report import IndexReport
from imgsearch_kit.indexing.roots import check_has_pictures, claim_root, stored_prefix, with_prefix
from imgsearch_kit.names import Names
from imgsearch_kit.progress import progress_bar
from imgsearch_kit.records import Failure, ImageRecord

Tell = Callable[[int, int], object]  # gets how many files are done, and how many are to be read


def index_folder(
    root: Path,
    index: VectorIndex,
    extractor: Extractor,
    *,
    found: Found | None = None,
    prefix: str = "",
    labels: Mapping[str, str | None] | None = None,
    label_level: int | None = None,
    prune: bool = False,
    part: str | None = None,
    moved_root: bool = False,
    load: Load | None = None,
    max_pixels: int = MAX_PIXELS,
    prepare: bool = True,
    progress: bool | None = None,
    tell: Tell | None = None,
) -> IndexReport:
    """Brings an index up to date with a folder and reports what was done; a second run continues an interrupted one.

    A file of unchanged size, mtime, inode and ctime is skipped, unless another picture has the same size and mtime.
    Otherwise its sha256 decides: if it is known under its own path, the content is unchanged; if it is known under a
    path that no longer exists, the file was moved; if it is known under another path, the vector is taken from there;
    else the file is extracted. ``found`` is the result of ``find_images`` for ``root``, if it is known.
    ``prefix`` goes before the ids of a second folder. ``labels`` (path below ``root`` to label) overrides folder names.
    ``label_level`` is the folder that gives the label, 1 the first below ``root``, -1 the one a file lies in; None
    stays with that of the index. ``prune`` removes records, of this prefix only, whose file no longer exists.
    ``part``, "2/4", indexes the second of four parts of the folder (see ``Part``) and leaves all others to other runs,
    which on a server may run at the same time.
    ``moved_root`` accepts ``root`` as the new place of the folder the index was made from.
    ``load`` replaces the reading of files here by one elsewhere, whose pictures bring their vectors as ``pixels`` (see
    ``over_ray``); ``extractor`` then only says what they are made by.
    ``prepare`` makes the index ready for approximate search at the end (``VectorIndex.prepare``).
    ``tell`` gets how many files are done and how many are to be read, again and again; what it raises ends the run, and
    what was committed is kept.

    :raises BadQuery: when ``root`` has no picture, ``prefix`` is the name of a folder in the index, ``label_level``
        is 0, there is no such part, or it is combined with ``prune`` or another ``label_level`` than that of the index.
    :raises IndexMismatch: when the index was made from another folder.
    :raises IndexingInterrupted: on Ctrl-C, with the report so far; what was committed is kept.
    """
    mine = part_given(part, prune=prune)
    if load:
        own = extractor.own if isinstance(extractor, Projected) else extractor
        extractor = Computed(own.spec)
    if index.passport.baked:
        extractor = projected(index, extractor)
    started, root = time.monotonic(), Path(root)
    found = found or find_images(root)
    passport = index.read_passport()  # others may have added folders, before or during the search for files
    prefix = stored_prefix(passport, prefix)
    images = [dataclasses.replace(image, id=with_prefix(prefix, image.id)) for image in found.images]
    unreadable = [dataclasses.replace(failure, path=with_prefix(prefix, failure.path)) for failure in found.unreadable]
    if prune or prefix not in passport.roots:
        check_has_pictures(found, root)
    claim_root(index, root.resolve(), prefix, images, moved_root)
    run = _Run(index, extractor, prefix, mine, tell)
    given = {with_prefix(prefix, path): label for path, label in (labels or {}).items()}
    run.labels = labels_by_id(given, Names(image.id for image in images).fitting)
    run.report.failed += [failure for failure in unreadable if run.does(failure.path)]
    run.report.system_folders, run.report.passed_over = len(found.system), found.passed_over
    run.report.failed += [failure for failure in _unknown(run.labels, images, prefix) if run.does(failure.path)]
    try:
        run.begin(label_level, images, [failure.path for failure in unreadable])
        todo = [image for image in images if run.does(image.id)]
        run.take(todo, load or run.loads_here(max_pixels), progress)
        run.finish(prune)
        if prepare:
            index.prepare(progress=progress)
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


def _unknown(labels: Collection[str], images: Sequence[FoundImage], prefix: str) -> list[Failure]:
    """The ids that have a label and no picture, each with the path of the labels file it seems to mean."""
    ids, below = {image.id for image in images}, len(with_prefix(prefix, ""))
    unknown = sorted(set(labels) - ids)
    paths = {id_[below:] for id_ in ids} if unknown else set()
    none_fits = len(unknown) == len(labels)
    told = hints([id_[below:] for id_ in unknown], sorted(paths), paths.intersection, none_fits=none_fits)
    return [
        Failure(id_, f"it is in the labels file, but no picture has this path{told[id_[below:]]}") for id_ in unknown
    ]


class _Run:
    """One run of ``index_folder``: the records before, the pictures to be written, and the report."""

    def __init__(
        self, index: VectorIndex, extractor: Extractor, prefix: str, part: Part | None = None, tell: Tell | None = None
    ):
        self.index, self.extractor, self.prefix, self.part, self.tell = index, extractor, prefix, part, tell
        self._passport = index.passport
        self.known = Known([], self._is_of_folder)
        self.level = self._passport.levels_of(prefix)[-1]
        self.labels: Mapping[str, str | None] = {}  # that the user gave, by id
        self.relabelled: set[str] = set()  # ids that got the label of another folder level
        self.report = IndexReport(part=str(part or ""))
        self.commits = Commits(index, extractor, self.report)

    def does(self, path: str) -> bool:
        """Whether a path of the folder belongs to the part that this run does."""
        return self.part is None or path in self.part

    def _is_of_folder(self, id_: str) -> bool:
        return self._passport.prefix_of(id_) == self.prefix

    def _mine(self, id_: str) -> bool:
        return self._is_of_folder(id_) and self.does(id_)

    def begin(self, level: int | None, images: Sequence[FoundImage], unreadable: Sequence[str]) -> None:
        """Moves labels to the folder level, and notes the known ids whose file no longer exists."""
        if self.part:
            check_level_kept(self.index, self.prefix, level)
            self.report.in_folder, self.report.in_part = len(images), sum(self.does(image.id) for image in images)
        else:
            self.relabelled, refused = relabel_at(self.index, self.prefix, level)
            self.report.failed += [Failure(each.id, each.reason) for each in refused]
        self.level = self.level if level is None else level
        records = self.index.records()
        self._passport = self.index.read_passport()  # after the records: it has the folder of each, by whoever wrote it
        self.commits.now = {record.id: record.label for record in records}
        self.known = Known(records, self._is_of_folder)
        self.known.find_missing({image.id for image in images}, unreadable)
        if self.part:  # the labels that other parts give, without which classes might look doubtful
            self.commits.now = {image.id: self._label(image, None) for image in images} | self.commits.now

    def loads_here(self, max_pixels: int) -> Load:
        """What reads files in threads of this process, in the order given."""
        spec = self.extractor.spec
        options: dict[str, Any] = {"side": spec.side, "resampling": spec.resampling, "max_pixels": max_pixels}
        return lambda images, known: load_many(
            [image.path for image in images], known=known.contents if known else (), **options
        )

    def take(self, images: Sequence[FoundImage], load: Load, progress: bool | None) -> None:
        """Reads every file that is new or may have changed, and commits the pictures in batches."""
        todo = [image for image in images if not self._is_unchanged(image)]
        self._read(todo, load(todo, self.known), self._sort, progress)
        if again := self.commits.again:
            self._read(again, load(again, None), self._wait, progress)

    def _read(
        self,
        images: Sequence[FoundImage],
        items: Generator[tuple[Path, Loaded | Hashed | UnreadableImage]],
        sort: Callable[[FoundImage, Loaded | Hashed], bool],
        progress: bool | None,
    ) -> None:
        todo = {image.path: image for image in images}
        with (
            contextlib.closing(items) as loaded,
            progress_bar("indexing", "img", len(todo), shown=progress) as bar,
        ):
            done = self._counted(bar.update, len(todo))
            for path, item in loaded:
                if isinstance(item, UnreadableImage):
                    image = todo[path]
                    self.report.failed.append(Failure(image.id, str(item), image.size, image.mtime))
                    done(1)
                elif not sort(todo[path], item):
                    done(1)
                self.commits.commit(done)
            self.commits.commit(done, rest=True)

    def _counted(self, update: Callable[[int], object], total: int) -> Callable[[int], object]:
        """A function that moves the bar by a number of files, and tells how many are done."""
        tell, finished = self.tell, 0
        if tell is None:
            return update
        tell(0, total)

        def count(number: int) -> None:
            nonlocal finished
            finished += number
            update(number)
            tell(finished, total)

        return count

    def finish(self, prune: bool) -> None:
        """Removes records without a file if ``prune``, and stores the list of failures."""
        vanished = [id_ for id_ in self.known.missing() if self.does(id_)]
        if self.part and vanished:  # other parts have taken the vectors of renamed files
            vanished = [record.id for record in self.index.records(vanished)]
        if prune:
            self.report.removed = self.index.delete(vanished)
            for id_ in vanished:
                self.commits.now.pop(id_, None)
        else:
            self.report.vanished = len(vanished)
        self.report.failed.sort(key=lambda failure: failure.path)
        self.index.set_failures(self.report.failed, among=self._mine)
        prefix_of = self._passport.prefix_of
        self.report.warnings = doubts(
            (folders_of(id_, prefix_of(id_)), label) for id_, label in self.commits.now.items()
        )
        self.index.flush()

    def _is_unchanged(self, image: FoundImage) -> bool:
        """Whether a file need not be read; its label may still change."""
        if not self.known.is_unchanged(image):
            return False
        before = self.known.records[image.id]
        self._keep(image, dataclasses.replace(before, label=self._label(image, before)))
        return True

    def _label(self, image: FoundImage, record: ImageRecord | None) -> str | None:
        """The label from the labels file, else one that the user gave before, else the folder's name."""
        if image.id in self.labels:
            return self.labels[image.id]
        if record is None or record.label == folder_label(record.id, self.prefix, self.level):
            return folder_label(image.id, self.prefix, self.level)
        return record.label

    def _sort(self, image: FoundImage, item: Loaded | Hashed) -> bool:
        """Sorts a file that was read: its content is known under its own path or another, or (True) to be extracted."""
        before = self.known.records.get(image.id)
        moved = self.known.moved_from(item.sha256, image) if before is None else None
        if self.known.is_same(image, item.sha256):
            self._keep(image, self._record(image, item, before, before))
        elif source := moved or self.known.holder_of(item.sha256):
            counted = "moved" if moved else "updated" if before else "added"
            record = self._record(image, item, source, moved or before)
            self.commits.carried.append(Carried(record, counted, image, source))
        else:
            return self._wait(image, item)
        return False

    def _wait(self, image: FoundImage, item: Loaded | Hashed) -> bool:
        assert isinstance(item, Loaded)  # what is only hashed has a known content
        before = self.known.records.get(image.id)
        counted = "updated" if before else "added"
        self.commits.waiting.append(Waiting(self._record(image, item, None, before), counted, item.pixels))
        return True

    def _record(
        self, image: FoundImage, item: Loaded | Hashed, source: ImageRecord | None, labelled: ImageRecord | None
    ) -> ImageRecord:
        """The record of a file: its size in pixels as read, or that of ``source``; its label as ``labelled`` had it."""
        seen = item if isinstance(item, Loaded) else source
        assert seen is not None
        return ImageRecord(
            image.id,
            self._label(image, labelled),
            item.sha256,
            seen.width,
            seen.height,
            image.mtime,
            image.size,
            inode=image.inode,
            ctime=image.ctime,
        )

    def _keep(self, image: FoundImage, record: ImageRecord) -> None:
        """Keeps the vector of a picture whose content is the same; its record is written only where it differs."""
        before = self.known.records[image.id]
        same = record.label == before.label and image.id not in self.relabelled
        counted = "unchanged" if same else "relabelled"
        if record == before:
            self.commits.count(counted)
        else:
            self.commits.carried.append(Carried(record, counted, image, before))
