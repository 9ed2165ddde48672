"""The contract of an index: vectors in, neighbours out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Self

from imgsearch_kit.names import Names, has_other_forms
from imgsearch_kit.records import (
    Approx,
    ExtractorSpec,
    Failure,
    ImageRecord,
    IndexPassport,
    Neighbours,
    Refused,
    Vectors,
)

TAKEN_AT_ONCE = 512  # records with their vectors, as one index takes over those of another
NO_APPROX = "This index has no approximate method; the answers are exact."


class VectorIndex(ABC):
    """Records with unit vectors, searchable by cosine. Many readers, one writer; a context manager.

    Every backend follows this contract; one test suite checks all of them.
    """

    address: str
    declared: ExtractorSpec | None = None  # the extractor of the vectors, given by the user where the index has none

    @property
    @abstractmethod
    def passport(self) -> IndexPassport:
        """The passport as of the last opening, reading or own write of this object.

        Without a spec it has the declared one. It costs no request and no transaction, except on a server the first
        time after own writes. It does not show what others have written since; ``read_passport`` does.
        """

    @abstractmethod
    def read_passport(self) -> IndexPassport:
        """The passport as of now, including the writes of others; from then on ``passport`` returns this one."""

    @abstractmethod
    def amend(
        self,
        *,
        roots: dict[str, str] | None = None,
        label_levels: dict[str, list[int]] | None = None,
        rank: str | None = None,
        uuid: str | None = None,
    ) -> None:
        """Writes the given passport fields; the others keep their values, as of now, not as of the opening.

        Of ``roots`` and ``label_levels`` the given prefixes are written and the others kept, so that two writers do not
        lose each other's folders; the levels [-1] are those of a prefix without an entry.
        """

    @abstractmethod
    def add(self, records: Sequence[ImageRecord], vectors: Vectors, *, replaces: Sequence[str] = ()) -> list[Refused]:
        """Writes records with their vectors, replacing those of the same id; returns the refused ones with reasons.

        Durable when it returns, searchable after ``flush()``. ``vectors`` is ``(len(records), dim)`` float32 with rows
        of unit norm; neither argument is modified. The ids in ``replaces`` are deleted in the same commit (a renamed
        file moves in one step, so that it is never stored twice or missing).

        :raises BadQuery: before anything is written, when lengths, dtype or dimension disagree, an id is empty or given
            twice, or a row is not finite or not of unit norm.
        :raises IndexUnwritable: when the index is read-only, full, or locked by another writer.
        """

    @abstractmethod
    def search(
        self,
        vectors: Vectors,
        k: int,
        *,
        approx: Approx | None = None,
        labels: Sequence[str] | None = None,
        exclude: Sequence[Sequence[str]] | None = None,
    ) -> Neighbours:
        """The ``k`` nearest records of each query, ``(m, k)`` arrays in order of (-cosine, id).

        ``vectors`` is ``(m, dim)`` float32 with rows of unit norm. ``labels`` keeps only records with one of these
        labels, exactly as they are stored; ``exclude`` leaves out one list of ids per query. Exact unless ``approx`` is
        given; exact gives ``min(k, available)`` hits per row, short rows end in "" and NaN; of more than 10,000 columns
        none is without any hit. The record of every hit comes with them.

        :raises BadQuery: when the shape, dtype, dimension or norm is wrong, ``k`` is not positive, or ``exclude`` has
            another length than ``vectors``.
        """

    @abstractmethod
    def records(self, ids: Sequence[str] | None = None) -> list[ImageRecord]:
        """All records, or those of ``ids``, in id order; unknown ids are left out."""

    def named(self, names: Iterable[str]) -> dict[str, ImageRecord]:
        """The record of each id that people gave, in whichever Unicode form it is stored; unknown ids are left out.

        :raises BadQuery: when several records have the normal form of an id, and none has the id itself.
        """
        wanted = list(dict.fromkeys(names))
        found = {record.id: record for record in self.records(wanted)}
        other = [name for name in wanted if name not in found and has_other_forms(name)]
        if other:
            known = {record.id: record for record in self.records()}
            stored = Names(known)
            found |= {name: known[id_] for name in other if (id_ := stored.fitting(name)) is not None}
        return found

    def entries(self, ids: Sequence[str] | None = None) -> tuple[list[ImageRecord], Vectors]:
        """All records, or those of ``ids``, in id order, and their ``(n, dim)`` float32 vectors in the same order.

        The vectors may be read-only.
        """
        return self.records(ids), self.vectors(ids)

    def label_counts(self) -> dict[str, int]:
        """The number of records of each label as stored, in code point order; those without one are not counted."""
        counts = Counter(record.label for record in self.records() if record.label is not None)
        return dict(sorted(counts.items()))

    def tally(self) -> tuple[int, dict[str, int]]:
        """The number of records and ``label_counts`` as of now, at the cost of one request on a server."""
        return len(self), self.label_counts()

    @abstractmethod
    def vectors(self, ids: Sequence[str] | None = None) -> Vectors:
        """The ``(n, dim)`` float32 vectors of all records, or of ``ids``, in id order; unknown ids are left out."""

    @abstractmethod
    def delete(self, ids: Sequence[str]) -> int:
        """Removes records and vectors; returns how many there were. Unknown ids are ignored."""

    @abstractmethod
    def failures(self) -> list[Failure]:
        """The files that could not be indexed, in path order."""

    @abstractmethod
    def set_failures(self, failures: Sequence[Failure], *, among: Callable[[str], bool] | None = None) -> None:
        """Replaces the list of files that could not be indexed.

        With ``among`` only those whose path it accepts are replaced; the others stay as they are now, not as of the
        opening, so that two writers do not lose each other's.
        """

    @abstractmethod
    def learned(self) -> bytes:
        """What ``set_learned`` has stored, b"" where nothing was."""

    @abstractmethod
    def set_learned(self, learned: bytes) -> None:
        """Stores what the ranking that is baked into the vectors has learned, in bytes of any length."""

    @abstractmethod
    def flush(self) -> None:
        """Makes everything added so far searchable."""

    def check_writable(self) -> None:  # noqa: B027 (most are)
        """Checks that the index may be changed, before work begins that ends in a change.

        :raises IndexUnwritable: when it is opened for reading only.
        """

    def check_replaceable(self) -> None:  # noqa: B027 (most are)
        """Checks that another index can replace this one at its address.

        :raises IndexMismatch: when the address cannot be pointed to another index.
        """

    @property
    def approximates(self) -> bool:
        """Whether a search with ``approx`` may differ from the exact one."""
        return False

    def segments(self) -> int | None:
        """The number of parts that an approximate search goes through, each with its own candidates; None without."""
        return None

    def prepare(self, *, progress: bool | None = None) -> None:  # noqa: B027 (most need nothing)
        """Builds what an approximate search of a local index needs, where the index has such a method; with a bar."""

    def merge(self) -> None:  # noqa: B027 (most have nothing to merge)
        """Merges the parts into as few as possible, and makes everything added so far searchable.

        :raises ServerUnavailable: when a server could not merge them.
        """

    def remove(self) -> None:
        """Deletes the whole index (its file, or the index on the server) and closes it; one in memory is only closed.

        :raises IndexUnwritable: when the kit did not make it, or it is read-only or locked by another writer.
        """
        self.close()

    @abstractmethod
    def __len__(self) -> int:
        """The number of records."""

    @abstractmethod
    def close(self) -> None:
        """Closes files and connections; closing twice is harmless."""

    def _repr_html_(self) -> str:
        return self.passport._repr_html_()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def batched(keys: Iterable[str], size: int) -> Iterator[list[str]]:
    """The distinct keys, in lists of at most ``size``."""
    distinct = list(dict.fromkeys(keys))
    for start in range(0, len(distinct), size):
        yield distinct[start : start + size]
