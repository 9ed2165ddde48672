"""What an index knows of a folder's files before a run: which need not be read, and which content has a vector."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from operator import attrgetter, eq

from imgsearch_kit.images import FoundImage
from imgsearch_kit.records import ImageRecord

# What the file system says of a file. Size and mtime alone also stay the same when files that are equal in both are
# renamed in a circle, or one is copied over the other with its time.
_status = attrgetter("size", "mtime", "inode", "ctime")


class Known:
    """The records of an index as they were before a run; ``records`` holds, by id, those of the folder.

    ``contents`` are the sha256 of files that need not be decoded.
    """

    def __init__(self, records: Sequence[ImageRecord], is_of_folder: Callable[[str], bool]):
        self.records = {record.id: record for record in records if is_of_folder(record.id)}
        self._missing: dict[str, list[str]] = defaultdict(list)  # ids whose file no longer exists, by sha256
        self._holder = {record.sha256: record for record in self.records.values() if record.sha256}
        undecoded = {record.sha256 for record in self.records.values() if not record.width}
        self.contents = frozenset(self._holder).difference(undecoded)
        alike: dict[tuple[int, float], set[str]] = defaultdict(set)
        for record in records:
            alike[record.size, record.mtime].add(record.sha256 or record.id)
        self._ambiguous = {size_and_mtime for size_and_mtime, contents in alike.items() if len(contents) > 1}

    def find_missing(self, here: set[str], unreadable: Iterable[str]) -> None:
        """Notes the ids whose file no longer exists; a file in an unreadable folder does not count as missing."""
        for id_, record in self.records.items():
            if id_ not in here and not any(id_ == path or id_.startswith(path + "/") for path in unreadable):
                self._missing[record.sha256].append(id_)

    def missing(self) -> list[str]:
        """The ids whose file no longer exists, without those whose file was found under another path."""
        return [id_ for ids in self._missing.values() for id_ in ids]

    def is_unchanged(self, image: FoundImage) -> bool:
        """Whether a file need not be read: it is as it was, and its size and mtime are those of no other picture."""
        record = self.records.get(image.id)
        return record is not None and _status(record) == _status(image) and self._is_unlike_others(image)

    def is_same(self, image: FoundImage, sha256: str) -> bool:
        """Whether a file that was read has the content of its record; without a hash, size and mtime must do."""
        record = self.records.get(image.id)
        if record is None or record.sha256:
            return record is not None and record.sha256 == sha256
        return (record.size, record.mtime) == (image.size, image.mtime) and self._is_unlike_others(image)

    def moved_from(self, sha256: str, image: FoundImage) -> ImageRecord | None:
        """A record of this content whose file no longer exists, each once.

        Of several it is the one whose path ends most like the image's, so that the files of a renamed folder keep
        their own, also when several processes find some of them each.
        """
        ids = self._missing.get(sha256)
        if not ids:
            return None
        likest = max(ids, key=lambda id_: _last_in_common(id_, image.id))
        ids.remove(likest)
        return self.records[likest]

    def holder_of(self, sha256: str) -> ImageRecord | None:
        """A record of this content."""
        return self._holder.get(sha256)

    def _is_unlike_others(self, image: FoundImage) -> bool:
        return (image.size, image.mtime) not in self._ambiguous


def _last_in_common(one: str, other: str) -> int:
    """How many names at the end of two paths are equal."""
    return sum(takewhile(bool, map(eq, reversed(one.split("/")), reversed(other.split("/")))))
