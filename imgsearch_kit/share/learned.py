"""What is learned of a Space when it is packed, and so not there: percentages, verdicts and the map."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from imgsearch_kit.errors import BadQuery, MissingExtra
from imgsearch_kit.files import artefact_folder
from imgsearch_kit.indexing.selected import check_still_indexed
from imgsearch_kit.map.over_index import keep_projection
from imgsearch_kit.map.projection import Projection
from imgsearch_kit.ranking.choices import rank_choices

if TYPE_CHECKING:
    from imgsearch_kit.gallery import Gallery

ARTEFACTS_FOLDER = "artefacts"
MOST_LEARNED = 20_000  # pictures; of more, percentages take minutes, and the Space learns what it can by itself


def placed(packed: Gallery, given: Gallery, ids: Sequence[str], progress: bool | None) -> Projection:
    """The map of the pictures of ``ids``, in this order: one that is kept of either gallery, else one learned now.

    :raises BadQuery: when some are no longer in the index.
    :raises MissingExtra: when none is kept, and umap-learn is not installed.
    """
    kept = ((gallery, gallery.kept_projection()) for gallery in (packed, given))
    gallery, found = next(((each, found) for each, found in kept if found), (packed, None))
    found = found or packed.projection(progress=progress)
    row_of = {record.id: row for row, record in enumerate(gallery.records())}
    rows = [row_of[id_] for id_ in ids if id_ in row_of]
    check_still_indexed(len(ids), len(rows))
    check_still_indexed(len(found.positions), len(row_of))
    return found.part(rows)


def write_learned(
    space: Gallery, sources: Sequence[Gallery], source_ids: Sequence[str], folder: Path, progress: bool | None
) -> list[str]:
    """Learns of a Space's own index what its page shows, and writes it to a folder; sentences say what is missing.

    ``source_ids`` are the ids that the Space's pictures, in id order, have in the ``sources``: the int8 gallery that
    was packed, and the one that it was made from.
    """
    artefacts = artefact_folder(space.passport)
    try:
        _learn(space, progress)
        without = _keep_map(space, sources, source_ids, progress)
        if artefacts.is_dir():  # it is not where the cache cannot be written; rankings are large, and learned quickly
            shutil.copytree(artefacts, folder, ignore=shutil.ignore_patterns("ranking-*"))
        return without
    finally:
        shutil.rmtree(artefacts, ignore_errors=True)  # no other index will ever ask for it


def _learn(space: Gallery, progress: bool | None) -> None:
    if len(space) > MOST_LEARNED:
        return
    for choice in rank_choices(space.passport, space.rank):
        with suppress(BadQuery):  # too few labels: the page says so itself
            space.calibration(rank=choice.spec, progress=progress)
    with suppress(BadQuery):
        space.novelty(progress=progress)


def _keep_map(
    space: Gallery, sources: Sequence[Gallery], source_ids: Sequence[str], progress: bool | None
) -> list[str]:
    packed, given = sources
    try:
        keep_projection(space.index, placed(packed, given, source_ids, progress))
    except MissingExtra as error:
        return [f"The Space has no map. {error}"]
    return []
