"""New labels from a CSV file for pictures that are indexed already."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from imgsearch_kit.arguments import path_given
from imgsearch_kit.errors import BadQuery
from imgsearch_kit.index.base import VectorIndex
from imgsearch_kit.indexing.hints import hints
from imgsearch_kit.names import MOST_SUGGESTED, normal
from imgsearch_kit.records import Refused
from imgsearch_kit.reports import RunReport
from imgsearch_kit.tables import check_head, head_of, posix, read_text, readings

RELABELLED_AT_ONCE = 1000


@dataclass
class LabelReport(RunReport):
    """How many records got another label, how many had it already, and the paths without a record."""

    relabelled: int = 0
    unchanged: int = 0
    failed: list[Refused] = field(default_factory=list)

    def title(self) -> str:
        """How many labels changed."""
        return f"{self.relabelled:,} relabelled, {self.unchanged:,} had the label already"


def labels_of(given: Path | str | Mapping[str, str | None]) -> Mapping[str, str | None]:
    """Labels by path, read from a CSV file, or the mapping itself.

    :raises BadQuery: when it is neither, or maps something else than strings to strings or None; as ``read_labels``.
    """
    if not isinstance(given, Mapping):
        return read_labels(path_given("labels", given, " or a mapping of paths to labels"))
    for path, label in given.items():
        if not isinstance(path, str) or not isinstance(label, str | None):
            raise BadQuery(f"labels must map paths to a string, or None for none; it has {path!r}: {label!r}.")
    return given


def read_labels(path: Path) -> dict[str, str | None]:
    """The labels of a CSV file with the columns path and label; an empty label means none.

    Commas, semicolons or tabs separate, also as Excel writes them. The column id is taken for path where there is none,
    and in a file of ``imgsearch export``.

    :raises BadQuery: when the file cannot be read, lacks a column or has it twice, gives one path two labels, or has
        a row that is longer or shorter than its head.
    """
    labels: dict[str, str | None] = {}
    text = read_text(path, "labels file")
    try:
        for line, row in _rows(path, text):
            id_, label = posix(row["path"]), row["label"].strip()
            if id_ == ".":
                raise BadQuery(f"{path}, line {line}: the path is empty. Give each row a path.")
            if labels.setdefault(id_, label or None) != (label or None):
                raise BadQuery(f"{path}, line {line}: {id_!r} has a second label, {label!r}. Keep one.")
    except csv.Error as error:
        raise BadQuery(f"The labels file {path} cannot be read: {error}. Give a CSV file in UTF-8.") from error
    return labels


def labels_by_id(labels: Mapping[str, str | None], fitting: Callable[[str], str | None]) -> dict[str, str | None]:
    """Labels by stored id, from labels by path; ``fitting`` gives the id of a path, None where there is none.

    :raises BadQuery: when two paths that differ in their Unicode form only have two labels.
    """
    found: dict[str, str | None] = {}
    for path, label in labels.items():
        id_, label = fitting(path) or path, label and normal(label)
        if found.setdefault(id_, label) != label:
            raise BadQuery(f"{id_!a} has two labels, {found[id_]!r} and {label!r}, in two spellings. Keep one.")
    return found


def _rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Each row by the names of its columns, with the number of its line."""
    head: list[str] = []
    for separator, rows in readings(text):
        head = head_of(rows[0][1]) if rows else []
        if not {"path", "label"} <= set(head):
            continue
        check_head(path, rows[0][0], head, "path", "label")
        for line, row in rows[1:]:
            if len(row) != len(head):
                raise BadQuery(
                    f"{path}, line {line} has {len(row)} columns, the head has {len(head)}. Put a field that has a "
                    f"{separator!r} between double quotes; leave the label empty for none."
                )
            yield line, dict(zip(head, row, strict=True))
        return
    raise BadQuery(f"{path} needs the columns path and label; it has: {', '.join(head) or 'none'}.")


def relabel(index: VectorIndex, labels: Mapping[str, str | None]) -> LabelReport:
    """Gives records (by id) the labels of a mapping, keeps their vectors, and reports what changed.

    Records that are not in the mapping keep their labels. Ids without a record are listed as failed.
    """
    report = LabelReport()
    known = index.named(labels)
    unknown = sorted(set(labels) - set(known))
    told = _hints(unknown, index, none_fits=not known)
    report.failed += [Refused(id_, f"no record has this id{told[id_]}") for id_ in unknown]
    labels = labels_by_id({path: labels[path] for path in labels if path in known}, lambda path: known[path].id)
    records = sorted({record.id: record for record in known.values()}.values(), key=lambda record: record.id)
    changed = [record.id for record in records if record.label != labels[record.id]]
    report.unchanged = len(records) - len(changed)
    try:
        for start in range(0, len(changed), RELABELLED_AT_ONCE):
            stored, vectors = index.entries(changed[start : start + RELABELLED_AT_ONCE])
            refused = index.add([dataclasses.replace(r, label=labels[r.id]) for r in stored], vectors)
            report.failed += refused
            report.relabelled += len(stored) - len(refused)
    finally:
        index.flush()  # others may write from now on
    return report


def _hints(unknown: Sequence[str], index: VectorIndex, *, none_fits: bool) -> dict[str, str]:
    """What ids that an index does not have seem to mean, as ``hints``; all ids of a large index are not read for it."""
    few = bool(unknown) and index.passport.count <= MOST_SUGGESTED
    ids = [record.id for record in index.records()] if few else []
    return hints(unknown, ids, lambda some: {record.id for record in index.records(some)}, none_fits=none_fits)
