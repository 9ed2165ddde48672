"""What the page changes in an index, one change at a time: folders, pictures that are gone, and labels."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

from imgsearch_kit.app.changing import FoldersBelow, OneWriter
from imgsearch_kit.app.frame import Frame
from imgsearch_kit.app.request import uploaded
from imgsearch_kit.app.standing import standing
from imgsearch_kit.app.tabs.events import sent_text, working
from imgsearch_kit.errors import BadQuery, KitError
from imgsearch_kit.gallery import Gallery
from imgsearch_kit.indexing.report import IndexReport, kinds_text
from imgsearch_kit.reports import RunReport, visible

TOLD_EVERY = 0.4  # seconds between two answers on the progress
FAILURES_TOLD = 200  # failures of one change that are sent
MOVED_LOOKED_FOR = 200  # pictures that are looked for where a folder is said to have moved
MAY_NOT = "The index is not changed by this page."

FolderToAdd = tuple[Path, dict[str, Any]]  # a folder, and the options by which a gallery adds it


class IndexChanges:
    """What the server answers where a change is asked for: plain values that the script draws as text.

    Nothing is changed unless ``frame.changes``, whatever is asked for; folders are added below ``frame.add_below``.
    A change answers with how many files are done, again and again, then with what was done or the error.
    """

    def __init__(self, gallery: Gallery, uploads: Path, frame: Frame):
        self.gallery, self.uploads, self.allowed = gallery, uploads, frame.changes
        self.below = FoldersBelow(frame.add_below) if frame.changes and frame.add_below else None
        self.writer = OneWriter()

    def folders(self, given: Any) -> dict[str, Any]:
        """The folders in one below the root that was given at start, and how that one may be added."""
        path = sent_text(given, "folder")
        said = {"kind": "folders", "folder": path}
        try:
            below = self._below()
            names = [[name, visible(name)] for name in below.names(path)]
            prefix, again, refused = self._place_of(below.folder(path))
        except KitError as error:
            return said | {"error": visible(str(error))}
        return said | {"names": names, "prefix": prefix, "again": again, "refused": refused}

    def add(self, given: Any) -> Iterator[dict[str, Any]]:
        """Adds a folder below the root that was given at start."""

        def find() -> FolderToAdd:
            below = self._below()
            folder = below.folder(sent_text(given, "folder"))
            known, again, refused = self._place_of(folder)
            prefix = known if again else sent_text(given, "prefix").strip()
            if refused:
                raise BadQuery(refused)
            if self.gallery.passport.roots and not (again or prefix):
                raise BadQuery("Give a name that goes before the ids of this folder.")
            return folder, {"prefix": prefix, "moved_root": again, "within": below.root}  # or where --root says it is

        return self._run("a folder is added", find)

    def refresh(self, given: Any) -> Iterator[dict[str, Any]]:
        """Brings an indexed folder up to date; with ``prune`` pictures whose file is gone are removed."""
        prune = isinstance(given, Mapping) and given.get("prune") is True

        def find() -> FolderToAdd:
            prefix = sent_text(given, "prefix")
            folder = self._folder_of(prefix)
            moved = not prefix and self.gallery.root is not None
            within = self.below.root if self.below and self.below.holds(folder) else None
            return folder, {"prefix": prefix, "prune": prune, "moved_root": moved, "within": within}

        return self._run("pictures that are gone are removed" if prune else "a folder is brought up to date", find)

    def move(self, given: Any) -> Iterator[dict[str, Any]]:
        """Takes a folder below the root that was given at start as the new place of an indexed one."""

        def find() -> FolderToAdd:
            below, prefix = self._below(), sent_text(given, "prefix")
            folder = below.folder(sent_text(given, "folder"))
            self._folder_of(prefix)
            _, known, refused = self._place_of(folder, moved=prefix)
            if known or refused:
                raise BadQuery(refused or f"{folder.name!r} is another folder of this index.")
            self._check_holds(folder, prefix)
            return folder, {"prefix": prefix, "moved_root": True, "within": below.root}

        def moved(options: Mapping[str, Any]) -> None:
            if not options["prefix"]:
                self.gallery.root = None  # the index knows the place now

        return self._run("a folder is moved", find, moved)

    def label(self, given: Any) -> dict[str, Any]:
        """Gives pictures the labels of an uploaded table, and says what changed."""
        said, path = {"kind": "done"}, None
        try:
            self._check_allowed()
            path = uploaded(given.get("file") if isinstance(given, Mapping) else None, self.uploads)
            with self.writer.alone("labels are read from a table"):
                try:
                    report = self.gallery.label(path)
                finally:
                    path.unlink(missing_ok=True)  # not where another change runs: then it is sent again
        except KitError as error:
            words = str(error).replace(str(path), path.name) if path else str(error)
            return said | {"error": visible(words)}
        return said | self._report(report) | {"notes": []}

    def _run(
        self,
        doing: str,
        find: Callable[[], FolderToAdd],
        after: Callable[[Mapping[str, Any]], object] = lambda options: None,
    ) -> Iterator[dict[str, Any]]:
        """Adds the folder that ``find`` gives, with its options, to the gallery."""

        def work(tell: Callable[[tuple[int, int]], object]) -> IndexReport:
            def count(finished: int, total: int) -> None:
                self.writer.done = finished, total
                tell((finished, total))

            with self.writer.alone(doing):
                folder, options = find()
                report = self.gallery.add(folder, progress=False, tell=count, **options)
                after(options)
                return report

        steps = working(work)
        try:
            self._check_allowed()
            yield {"kind": "doing", "doing": doing, "done": None}
            report = yield from self._progress(doing, steps)
        except KitError as error:
            yield {"kind": "done", "error": visible(str(error)), "indexed": self._standing()}
            return
        finally:
            steps.close()
        yield {"kind": "done"} | self._report(report) | {"notes": [visible(note) for note in _notes(report)]}

    def _progress(
        self, doing: str, steps: Generator[tuple[int, int], None, IndexReport]
    ) -> Generator[dict[str, Any], None, IndexReport]:
        """Yields how many files are done, not more often than a person reads; returns the report."""
        last = 0.0
        while True:
            try:
                done = next(steps)
            except StopIteration as end:
                report: IndexReport = end.value
                return report
            if time.monotonic() - last >= TOLD_EVERY:
                last = time.monotonic()
                yield {"kind": "doing", "doing": doing, "done": done, "indexed": self._standing()}

    def _report(self, report: RunReport) -> dict[str, Any]:
        failed = [[visible(each.path), visible(each.reason)] for each in report.failed[:FAILURES_TOLD]]
        title = visible(report.title())
        return {"title": title, "failed": failed, "failures": len(report.failed), "indexed": self._standing()}

    def _standing(self) -> dict[str, Any] | None:
        try:
            return standing(self.gallery)
        except KitError:
            return None

    def _check_allowed(self) -> None:
        if not self.allowed:
            raise BadQuery(MAY_NOT)

    def _below(self) -> FoldersBelow:
        self._check_allowed()
        if self.below is None:
            raise BadQuery("No folder was given at start below which others may be added.")
        return self.below

    def _folder_of(self, prefix: str) -> Path:
        """The folder that the pictures of a prefix lie in now."""
        roots = self.gallery.index.read_passport().roots
        if prefix not in roots:
            raise BadQuery("The index has no such folder.")
        return self.gallery.root if self.gallery.root and not prefix else Path(roots[prefix])

    def _place_of(self, folder: Path, moved: str | None = None) -> tuple[str, bool, str]:
        """The prefix that a folder has, or is proposed; whether the index has it; and why it cannot be added, or "".

        The folder of the prefix ``moved`` is not looked at, because it leaves its place.
        """
        prefixes = set(self.gallery.index.read_passport().roots) - {moved}
        roots = {prefix: self._folder_of(prefix).resolve() for prefix in sorted(prefixes)}
        for prefix, root in roots.items():
            if root == folder:
                return prefix, True, ""
            if folder.is_relative_to(root):
                return "", False, f"It lies in {root.name!r}, which is indexed. Bring that folder up to date."
            if root.is_relative_to(folder):
                return "", False, f"It holds {root.name!r}, which is indexed already. Choose a folder beside it."
        return (folder.name if roots else ""), False, ""

    def _check_holds(self, folder: Path, prefix: str) -> None:
        """Checks that some of a prefix's pictures lie in the folder that is said to be their new place."""
        ids = [record.path or record.id for record in self.gallery.records()]
        mine = [id_ for id_ in ids if self.gallery.passport.prefix_of(id_) == prefix]
        some = [id_.removeprefix(f"{prefix}/" if prefix else "") for id_ in mine[:: len(mine) // MOVED_LOOKED_FOR + 1]]
        if some and not any((folder / id_).is_file() for id_ in some):
            raise BadQuery(f"None of the {len(some):,} pictures that were looked for is in {folder.name!r}.")


def _notes(report: IndexReport) -> list[str]:
    gone = f"{report.vanished:,} indexed pictures are no longer in the folder."
    left = f"System folders left out: {report.system_folders:,}."
    over = f"Files passed over: {kinds_text(report.passed_over)}."
    notes = [gone] * bool(report.vanished) + [left] * bool(report.system_folders) + [over] * bool(report.passed_over)
    return notes + report.warnings
