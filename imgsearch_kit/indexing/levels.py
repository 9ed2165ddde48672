"""The labels of a folder's pictures from another folder level, without extraction."""

from __future__ import annotations

from imgsearch_kit.classes import IN_IT, check_level, folder_label
from imgsearch_kit.index.base import VectorIndex
from imgsearch_kit.indexing.labels import LabelReport, relabel


def relabel_at(index: VectorIndex, prefix: str, level: int | None) -> LabelReport:
    """Gives the pictures of a prefix the label of their folder at a level, and keeps the level in the passport.

    None stays with the level of the index. Labels that the user gave are kept. While labels change, the passport has
    the levels before too, so that an interrupted change is completed by the next run.

    :raises BadQuery: when the level is 0 or no whole number.
    """
    check_level(level)
    passport = index.passport
    before = passport.levels_of(prefix)
    level = before[-1] if level is None else int(level)
    if before == [level]:
        return LabelReport()
    others = {each: list(levels) for each, levels in passport.label_levels.items() if each != prefix}
    labels = {
        record.id: folder_label(record.id, prefix, level)
        for record in index.records()
        if passport.prefix_of(record.id) == prefix
        and record.label in {folder_label(record.id, prefix, each) for each in before}
    }
    if labels:
        index.amend(label_levels={**others, prefix: [*(each for each in before if each != level), level]})
    report = relabel(index, labels)
    index.amend(label_levels=others if level == IN_IT else {**others, prefix: [level]})
    return report
