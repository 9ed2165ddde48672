"""The labels of a folder's pictures from another folder level, without extraction."""

from __future__ import annotations

from imgsearch_kit.classes import check_level, folder_label
from imgsearch_kit.errors import BadQuery
from imgsearch_kit.index.base import VectorIndex
from imgsearch_kit.indexing.labels import relabel
from imgsearch_kit.records import Refused


def relabel_at(index: VectorIndex, prefix: str, level: int | None) -> tuple[set[str], list[Refused]]:
    """Gives the pictures of a prefix the label of their folder at a level, and keeps the level in the passport.

    Returns the ids whose label has changed, and the records that the index refused. None stays with the level of the
    index. Labels that the user gave are kept. While labels change, the passport has the levels before too, so that an
    interrupted change is completed by the next run.

    :raises BadQuery: when the level is 0 or no whole number.
    """
    check_level(level)
    passport = index.passport
    before = passport.levels_of(prefix)
    level = before[-1] if level is None else int(level)
    if before == [level]:
        return set(), []
    had = {
        record.id: record.label
        for record in index.records()
        if passport.prefix_of(record.id) == prefix
        and record.label in {folder_label(record.id, prefix, each) for each in before}
    }
    labels = {id_: folder_label(id_, prefix, level) for id_ in had}
    if labels:
        index.amend(label_levels={prefix: [*(each for each in before if each != level), level]})
    refused = relabel(index, labels).failed
    index.amend(label_levels={prefix: [level]})
    return {id_ for id_, label in labels.items() if label != had[id_]} - {each.id for each in refused}, refused


def check_level_kept(index: VectorIndex, prefix: str, level: int | None) -> None:
    """Gives the pictures of a prefix a level before there are any, and refuses another one afterwards.

    Several processes may do so at once with the same level.

    :raises BadQuery: when pictures of the prefix have labels of another level, or the level is 0 or no whole number.
    """
    check_level(level)
    before = index.passport.levels_of(prefix)
    level = before[-1] if level is None else int(level)
    if before == [level]:
        return
    filled = any(index.passport.prefix_of(record.id) == prefix for record in index.records())
    if index.read_passport().levels_of(prefix) == [level]:  # read after the records: whoever wrote them set it before
        return
    if filled:
        raise BadQuery(
            f"--part cannot change the labels of indexed pictures from folder level {before[-1]} to {level}: other "
            f"parts may be writing them. Run the command with --label-level {level} and without --part."
        )
    index.amend(label_levels={prefix: [level]})
