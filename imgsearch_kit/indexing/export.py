"""Export of an index to a file for other programs."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.files import write_whole
from imgsearch_kit.index.archive import write_archive
from imgsearch_kit.index.base import VectorIndex


def export(index: VectorIndex, path: Path) -> int:
    """Writes an index to a file for other programs and returns the number of records.

    A ``.npz`` file gets the arrays ids, labels ("" for none), sha256 and vectors (float32), rows in id order, loadable
    without pickle. A ``.csv`` file gets id, label, sha256, width and height.

    :raises BadQuery: when the file has another suffix, or cannot be written.
    """
    records = index.records()
    try:
        if path.suffix == ".npz":
            passport = index.passport
            if index.declared:  # only the name is known, so the spec is incomplete
                passport = dataclasses.replace(passport, spec=None)
            write_archive(path, records, index.vectors(), passport, learned=index.learned())
        elif path.suffix == ".csv":
            with write_whole(path) as whole, whole.open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(["id", "label", "sha256", "width", "height"])
                writer.writerows([r.id, r.label or "", r.sha256, r.width, r.height] for r in records)
        else:
            raise BadQuery(f"{path} must end in .npz (with vectors) or .csv (without).")
    except OSError as error:
        raise BadQuery(f"{path} cannot be written: {error}. Name another file with -o.") from error
    return len(records)
