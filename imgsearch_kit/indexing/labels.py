"""New labels from a CSV file for pictures that are indexed already."""

from __future__ import annotations

import codecs
import csv
import dataclasses
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.index.base import VectorIndex
from imgsearch_kit.records import Refused
from imgsearch_kit.reports import RunReport

RELABELLED_AT_ONCE = 1000
SEPARATORS = "\t;,"  # the usual one last: its head is in the message


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

    Commas, semicolons or tabs separate, also as Excel writes them. The column id is taken for path where there is none,
    and in a file of ``imgsearch export``.

    :raises BadQuery: when the file cannot be read, lacks a column, gives one path two labels, or has a row
        that is longer or shorter than its head.
    """
    labels: dict[str, str | None] = {}
    try:
        data = path.read_bytes()
        text = data.decode("utf-16" if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig")
        for line, row in _rows(path, text):
            id_, label = str(PurePosixPath(row["path"].replace("\\", "/"))), row["label"].strip()
            if id_ == ".":
                raise BadQuery(f"{path}, line {line}: the path is empty. Give each row a path.")
            if labels.setdefault(id_, label or None) != (label or None):
                raise BadQuery(f"{path}, line {line}: {id_!r} has a second label, {label!r}. Keep one.")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadQuery(f"The labels file {path} cannot be read: {error}. Give a CSV file in UTF-8.") from error
    return labels


def _rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Each row by the names of its columns, in lower case, with the number of its line."""
    marked = re.match(r"sep=(.)\r?\n", text)  # as Excel writes and reads it
    head: list[str] = []
    for separator in marked[1] if marked else SEPARATORS:
        file = io.StringIO(text[marked.end() :] if marked else text, newline="")
        spaced = f"{separator} " in file.readline()
        file.seek(0)
        reader = csv.reader(file, delimiter=separator, skipinitialspace=spaced)
        head = [name.strip().lower() for name in next(reader, [])]
        if "id" in head and ("path" not in head or "sha256" in head):
            head = ["path" if name == "id" else "" if name == "path" else name for name in head]
        if {"path", "label"} <= set(head):
            break
    else:
        raise BadQuery(f"{path} needs the columns path and label; it has: {', '.join(head) or 'none'}.")
    for row in filter(None, reader):
        line = reader.line_num + bool(marked)
        if len(row) != len(head):
            raise BadQuery(
                f"{path}, line {line} has {len(row)} columns, the head has {len(head)}. Put a field that has a "
                f"{separator!r} between double quotes; leave the label empty for none."
            )
        yield line, dict(zip(head, row, strict=True))


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
