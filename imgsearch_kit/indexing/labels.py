"""New labels from a CSV file for pictures that are indexed already."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.index.base import VectorIndex
from imgsearch_kit.records import Refused
from imgsearch_kit.reports import RunReport

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
    """Labels by path, read from a CSV file, or the mapping itself."""
    return given if isinstance(given, Mapping) else read_labels(Path(given))


def read_labels(path: Path) -> dict[str, str | None]:
    """The labels of a CSV file with the columns path and label; an empty label means none.

    :raises BadQuery: when the file cannot be read, lacks a column, gives one path two labels, or has a row
        that is longer or shorter than its head.
    """
    labels: dict[str, str | None] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            head = next(reader, [])
            if not {"path", "label"} <= set(head):
                raise BadQuery(f"{path} needs the columns path and label; it has: {', '.join(head) or 'none'}.")
            for row in filter(None, reader):
                if len(row) != len(head):
                    raise BadQuery(
                        f"{path}, line {reader.line_num} has {len(row)} columns, the head has {len(head)}. Put a field "
                        "that has a comma between double quotes; leave the label empty for none."
                    )
                values = dict(zip(head, row, strict=True))
                id_, label = str(PurePosixPath(values["path"].replace("\\", "/"))), values["label"].strip()
                if id_ == ".":
                    raise BadQuery(f"{path}, line {reader.line_num}: the path is empty. Give each row a path.")
                if labels.setdefault(id_, label or None) != (label or None):
                    raise BadQuery(f"{path}, line {reader.line_num}: {id_!r} has a second label, {label!r}. Keep one.")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadQuery(f"The labels file {path} cannot be read: {error}. Give a CSV file in UTF-8.") from error
    return labels


def relabel(index: VectorIndex, labels: Mapping[str, str | None]) -> LabelReport:
    """Gives records (by id) the labels of a mapping, keeps their vectors, and reports what changed.

    Records that are not in the mapping keep their labels. Ids without a record are listed as failed.
    """
    report = LabelReport()
    records = index.records(list(labels))
    known = {record.id for record in records}
    report.failed += [Refused(id_, "no record has this id") for id_ in sorted(set(labels) - known)]
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
