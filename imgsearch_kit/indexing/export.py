"""Export of an index to a file for other programs."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.index import Address
from imgsearch_kit.index.arrays import save_arrays
from imgsearch_kit.index.base import TAKEN_AT_ONCE, VectorIndex, batched
from imgsearch_kit.outputs import write_output
from imgsearch_kit.reports import csv_lines


def export(index: VectorIndex, path: Path, *, force: bool = False) -> int:
    """Writes an index to a file for other programs and returns the number of records.

    A ``.npz`` file gets the arrays ids, labels ("" for none), sha256 and vectors (float32), rows in id order, loadable
    without pickle. A ``.csv`` file gets id, label, sha256, width and height. Neither names the folders of the pictures.
    With ``force`` a file that the kit did not write is overwritten, but never an index; an earlier export of vectors is
    replaced by a new one, unless it is the file of ``index`` itself.

    :raises BadQuery: when the file has another suffix, cannot be written, or is one that the kit did not write.
    """
    if path.suffix not in (".npz", ".csv"):
        raise BadQuery(f"{path} must end in .npz (with vectors) or .csv (without).")
    if _holds(path, index):
        raise BadQuery(f"{path} is the file of this index, which is never overwritten. Name another file.")
    with write_output(path, force=force, export=path.suffix == ".npz") as whole:
        records = index.records()
        if path.suffix == ".npz":
            passport = dataclasses.replace(index.passport, roots={})
            if index.declared:  # only the name is known, so the spec is incomplete
                passport = dataclasses.replace(passport, spec=None)
            blocks = (index.vectors(ids) for ids in batched((record.id for record in records), TAKEN_AT_ONCE))
            save_arrays(whole, records, blocks, passport, learned=index.learned())
        else:
            with whole.open("w", newline="", encoding="utf-8") as file:
                rows = ([r.id, r.label or "", r.sha256, r.width, r.height] for r in records)
                file.writelines(csv_lines([["id", "label", "sha256", "width", "height"], *rows]))
    return len(records)


def _holds(path: Path, index: VectorIndex) -> bool:
    """Whether a file is the one that an index is in."""
    file = Address.parse(index.address).file
    try:
        return file is not None and path.samefile(file)
    except OSError:  # one of them is not there
        return False
