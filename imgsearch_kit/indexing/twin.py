"""The int8 twin of an index: the same pictures by the int8 form of its extractor, for places that compute in int8."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from imgsearch_kit.errors import BadQuery, IndexMismatch, IndexNotFound, KitError, UnreadableImage
from imgsearch_kit.extractors import Extractor, load_extractor
from imgsearch_kit.extractors.base import PRESETS, probe_vectors
from imgsearch_kit.extractors.int8 import INT8, int8_model
from imgsearch_kit.extractors.loading import preset_of
from imgsearch_kit.extractors.weights import Say
from imgsearch_kit.files import artefact_folder, writable
from imgsearch_kit.images import Loaded, load_many
from imgsearch_kit.index import Address, create_index, new_passport, open_index
from imgsearch_kit.index.base import VectorIndex
from imgsearch_kit.progress import progress_bar
from imgsearch_kit.records import MAX_PIXELS, Failure, ImageRecord, IndexPassport

log = logging.getLogger("imgsearch_kit")

EXTRACTED_AT_ONCE = 64  # pictures of one commit


def check_has_twin(passport: IndexPassport) -> str:
    """The name of the int8 form of the extractor that made an index.

    :raises BadQuery: when there is none: the extractor is no preset of VGG16, or a ranking is baked into the index.
    """
    if passport.baked:
        raise BadQuery(
            f"{passport.baked.spec} is baked into this index, and a browser computes plain vectors. "
            "Take the index that it was copied from."
        )
    name = passport.spec.name if passport.spec else "an unknown extractor"
    if name.removesuffix(INT8) not in PRESETS:
        raise BadQuery(
            f"This index was made by {name}, which has no int8 form that a browser can compute. "
            "Make an index by one that has: imgsearch index FOLDER --index local:int8.db --extractor vgg16-rmac@int8"
        )
    return name.removesuffix(INT8) + INT8


def int8_network(passport: IndexPassport, weights: Path | None, say: Say) -> bytes:
    """The ONNX file of the int8 extractor that made an index.

    :raises IndexMismatch: when the weights here give another network than the one that made the index.
    :raises WeightsNotFound: when they are not here.
    """
    name = check_has_twin(passport)
    model, digest = int8_model({name: preset_of(name)}, weights, say)
    if passport.spec and passport.spec.weights_digest not in ("", digest):
        raise IndexMismatch(
            f"This index was made by an int8 network of the digest {passport.spec.weights_digest[:12]}; the weights "
            f"here give {digest[:12]}. Give those of the index with --weights PATH, or index again with --rebuild."
        )
    return model if isinstance(model, bytes) else Path(model).read_bytes()


def int8_twin(
    index: VectorIndex,
    file_of: Callable[[ImageRecord], Path],
    *,
    weights: Path | None = None,
    max_pixels: int = MAX_PIXELS,
    progress: bool | None = None,
    say: Say | None = None,
) -> tuple[VectorIndex, Extractor, list[Failure]]:
    """The twin of an index, brought up to date with it, its extractor, and the pictures that it lacks with the reasons.

    ``file_of`` gives the file of a record, or raises UnreadableImage. The twin lies in the cache, so that only pictures
    which are new or have changed are extracted; an interrupted run loses at most a batch.

    :raises BadQuery: when the extractor has no int8 form.
    :raises UnreadableImage: when not one picture can be read.
    :raises WeightsNotFound: when the weights are not here.
    """
    passport = index.read_passport()
    extractor = load_extractor(check_has_twin(passport), weights, say=say)
    new = new_passport(extractor.spec, probes=probe_vectors(extractor), roots=passport.roots)
    twin = _opened(passport, new)
    try:
        failed = _updated(twin, index.records(), file_of, extractor, max_pixels, progress)
        if twin.passport.roots != new.roots:
            twin.amend(roots=dict(new.roots))
        twin.flush()
        if not len(twin):
            first = f"{failed[0].path}: {failed[0].reason}" if failed else "The index is empty."
            raise UnreadableImage(
                f"The pictures have to be extracted again by {extractor.spec.name}, and none of {len(failed):,} can be "
                f"read. {first}"
            )
    except BaseException:
        twin.close()
        raise
    return twin, extractor, failed


def _opened(passport: IndexPassport, new: IndexPassport) -> VectorIndex:
    """The twin in the cache, made anew where it is of other weights; in memory where nothing can be kept."""
    folder = artefact_folder(passport)
    if not passport.uuid or not writable(folder):
        return create_index("memory:", new)
    folder.mkdir(parents=True, exist_ok=True)
    assert new.spec is not None
    address = Address.parse(f"local:{folder / f'twin-{new.spec.name}.db'}")
    try:
        twin = open_index(address)
    except IndexNotFound:
        return create_index(address, new)
    if twin.passport.spec and not twin.passport.spec.differences(new.spec):
        return twin
    twin.remove()
    return create_index(address, new)


def _updated(
    twin: VectorIndex,
    records: Sequence[ImageRecord],
    file_of: Callable[[ImageRecord], Path],
    extractor: Extractor,
    max_pixels: int,
    progress: bool | None,
) -> list[Failure]:
    """Makes the twin hold these records; returns those that cannot be read."""
    had = {record.id: record for record in twin.records()}
    same = {record.id for record in records if _same_picture(record, had.get(record.id))}
    twin.delete(sorted(had.keys() - same))
    if renewed := [record for record in records if record.id in same and had[record.id] != record]:
        twin.add(renewed, twin.vectors([record.id for record in renewed]))
    places, failed = _files([record for record in records if record.id not in same], file_of)
    if places:
        log.info("Extracting %s pictures again by %s, which is kept.", f"{len(places):,}", extractor.spec.name)
    with progress_bar(f"extracting by {extractor.spec.name}", "img", len(places), shown=progress) as bar:
        read: list[tuple[ImageRecord, Loaded]] = []
        spec = extractor.spec
        loaded = load_many([path for _, path in places], spec.side, spec.resampling, max_pixels=max_pixels)
        for (record, _), (_, item) in zip(places, loaded, strict=True):
            bar.update()
            if not isinstance(item, Loaded):
                failed.append(Failure(record.id, str(item)))
            elif record.sha256 not in ("", item.sha256):
                failed.append(Failure(record.id, "The file has changed since it was indexed; index its folder again"))
            else:
                read.append((record, item))
            if len(read) == EXTRACTED_AT_ONCE:
                _add(twin, extractor, read)
        _add(twin, extractor, read)
    return failed


def _same_picture(record: ImageRecord, kept: ImageRecord | None) -> bool:
    return kept is not None and (record.sha256, record.size, record.mtime) == (kept.sha256, kept.size, kept.mtime)


def _files(
    records: Sequence[ImageRecord], file_of: Callable[[ImageRecord], Path]
) -> tuple[list[tuple[ImageRecord, Path]], list[Failure]]:
    """The files of records, and the records whose file is gone."""
    places, failed = [], []
    for record in records:
        try:
            places.append((record, file_of(record)))
        except KitError as error:
            failed.append(Failure(record.id, str(error)))
    return places, failed


def _add(twin: VectorIndex, extractor: Extractor, read: list[tuple[ImageRecord, Loaded]]) -> None:
    """Extracts and adds the pictures that were read, and empties the list."""
    if read:
        records = [record for record, _ in read]
        twin.add(records, extractor.extract(np.stack([loaded.pixels for _, loaded in read])))
        read.clear()
