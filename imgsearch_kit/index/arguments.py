"""Checks of the arguments of an index's methods, the same for all backends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from imgsearch_kit.arguments import whole_number
from imgsearch_kit.errors import BadQuery
from imgsearch_kit.records import Approx, ImageRecord, Vectors

NORM_TOLERANCE = 1e-3
NOT_TEXT = "Its name is not valid Unicode text. Rename the file."


def is_text(name: str) -> bool:
    """Whether a name can be stored; bytes of a file name that are not UTF-8 arrive as lone surrogates."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def check_vectors(vectors: Vectors, dim: int, names: Sequence[str] | None = None) -> Vectors:
    """The vectors as C-contiguous float32, after a check that they are ``(n, dim)``, finite and of unit norm.

    ``names`` (one per row) are used in messages; queries have none.

    :raises BadQuery: with the offending values otherwise.
    """
    if not isinstance(vectors, np.ndarray) or vectors.dtype != np.float32:
        found = getattr(vectors, "dtype", type(vectors).__name__)
        raise BadQuery(f"Vectors must be a float32 array; these are {found}. Convert them with .astype('float32').")
    if vectors.ndim != 2 or vectors.shape[1] != dim:
        raise BadQuery(
            f"Vectors must have shape (n, {dim}), the index's dimension; these have {vectors.shape}. "
            "Use the extractor the index was made with."
        )
    if names is not None and len(names) != len(vectors):
        raise BadQuery(f"There are {len(names)} records but {len(vectors)} vectors. Give one vector per record.")
    norms = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))
    wrong = np.flatnonzero(~(np.abs(norms - 1) <= NORM_TOLERANCE))  # a NaN compares false, so it is caught too
    if len(wrong):
        row = int(wrong[0])
        name = f"row {row}" if names is None else repr(names[row])
        raise BadQuery(
            f"{len(wrong)} of {len(vectors)} vectors are not finite with unit norm; the first is {name}, "
            f"with norm {norms[row]:.6g}. Divide each row by its L2 norm, and leave zero rows out."
        )
    return np.ascontiguousarray(vectors)


def check_add(records: Sequence[ImageRecord], vectors: Vectors, dim: int) -> Vectors:
    """The vectors to store, after a check of ids and rows.

    :raises BadQuery: when an id is empty or given twice, or ``check_vectors`` refuses.
    """
    ids = [record.id for record in records]
    check_ids(ids)
    return check_vectors(vectors, dim, ids)


def check_ids(ids: Sequence[str]) -> None:
    """Checks that ids are not empty, and none is given twice.

    :raises BadQuery: with the first of them otherwise.
    """
    if "" in ids:
        raise BadQuery(f"Record {ids.index('')} of {len(ids)} has an empty id. Give every record its own id.")
    if len(set(ids)) != len(ids):
        twice, times = Counter(ids).most_common(1)[0]
        raise BadQuery(f"The id {twice!r} is given {times} times in one add. Give each id once.")


def check_search(
    vectors: Vectors,
    dim: int,
    k: int,
    exclude: Sequence[Sequence[str]] | None,
    approx: Approx | None = None,
    labels: Sequence[str] | None = None,
) -> Vectors:
    """The query vectors, after a check of them and the other arguments.

    :raises BadQuery: with the offending values otherwise.
    """
    whole_number("k", k)
    checked = check_vectors(vectors, dim)
    if exclude is not None and len(exclude) != len(vectors):
        raise BadQuery(f"exclude has {len(exclude)} lists for {len(vectors)} queries. Give one list per query.")
    for name, given in [("labels", labels), *(("Each element of exclude", each) for each in exclude or ())]:
        if isinstance(given, str):  # a string is a sequence of strings too: its letters
            raise BadQuery(f"{name} must be a list of strings; it is the string {given!r}. Write [{given!r}].")
    for name in ("candidates", "probes") if approx else ():
        if (value := getattr(approx, name)) is not None:
            whole_number(name, value, 1 if name == "candidates" else 0)
    return checked
