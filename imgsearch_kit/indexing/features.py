"""The vectors of several extractors for the labelled pictures of a folder, one pass of the network for each input."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from imgsearch_kit.classes import IN_IT, check_level, doubts, folder_label, folders_of
from imgsearch_kit.errors import BadQuery
from imgsearch_kit.extractors import Extractor
from imgsearch_kit.extractors.int8 import INT8
from imgsearch_kit.extractors.joint import JointExtractor
from imgsearch_kit.extractors.loading import load_extractor, load_extractors, preset_of
from imgsearch_kit.extractors.weights import Say
from imgsearch_kit.images import Found, FoundImage, Loaded, load_many
from imgsearch_kit.indexing.labels import labels_by_id
from imgsearch_kit.names import Names
from imgsearch_kit.progress import progress_bar
from imgsearch_kit.records import Failure, Pixels, Vectors

AT_ONCE = 32  # pictures of one call of the network


@dataclass
class Features:
    """Vectors ``(n, dim)`` by extractor of the same ``n`` pictures, in id order, with their labels.

    ``seen`` maps a digest of a picture's pixels to its row, for each extractor; ``failed`` are unreadable pictures.
    """

    ids: list[str]
    labels: list[str]
    vectors: dict[str, Vectors]
    seen: dict[str, dict[bytes, int]]
    failed: list[Failure]
    warnings: list[str] = field(default_factory=list)


def labelled_images(
    found: Found,
    *,
    labels: Mapping[str, str | None] | None = None,
    label_level: int | None = None,
    exclude_labels: Sequence[str] = (),
) -> dict[FoundImage, str]:
    """The pictures of a folder that have a label which is not excluded, in id order, each with its label.

    ``labels`` and ``label_level`` are those of ``index_folder``.

    :raises BadQuery: when none has one, or ``label_level`` is 0.
    """
    check_level(label_level)
    given = labels_by_id(labels or {}, Names(image.id for image in found.images).fitting)
    level = IN_IT if label_level is None else label_level
    named = {image: given.get(image.id, folder_label(image.id, level=level)) for image in found.images}
    kept = {image: label for image, label in named.items() if label is not None and label not in exclude_labels}
    if len(set(kept.values())) < 2:
        raise BadQuery(
            f"{len(kept)} of {len(named)} pictures have a label, of {len(set(kept.values()))} classes; a choice needs "
            "two classes. Put the pictures into folders named by class, or give --labels CSV."
        )
    return dict(sorted(kept.items(), key=lambda pair: pair[0].id))


def sampled(images: Mapping[FoundImage, str], most: int) -> dict[FoundImage, str]:
    """About ``most`` of the pictures: of each class the same share, at least two, evenly spaced in the order of ids."""
    if len(images) <= most:
        return dict(images)
    members: dict[str, list[FoundImage]] = defaultdict(list)
    for image, label in images.items():
        members[label].append(image)
    kept: set[FoundImage] = set()
    for each in members.values():
        count = min(len(each), max(2, round(len(each) * most / len(images))))
        kept.update(each[i * len(each) // count] for i in range(count))
    return {image: label for image, label in images.items() if image in kept}


def extract_features(
    images: Mapping[FoundImage, str],
    names: Sequence[str],
    weights: Path | None = None,
    *,
    engine: str | None = None,
    max_pixels: int,
    say: Say | None = None,
    progress: bool | None = None,
) -> Features:
    """The vectors of pictures by each extractor; those of one network and input share a pass.

    :raises BadQuery: when an extractor is unknown, or fewer than two pictures can be read.
    :raises WeightsNotFound: when weights are missing or wrong.
    """
    passes: dict[tuple[object, ...], list[str]] = defaultdict(list)
    for name in names:
        preset = preset_of(name)
        passes[preset.network, preset.side, preset.resampling, name.endswith(INT8)].append(name)
    unread: dict[Path, Failure] = {}
    found: dict[str, dict[Path, Vectors]] = {}
    digests: dict[str, dict[Path, bytes]] = {}
    for group in passes.values():
        joint = load_extractors(group, weights, engine=engine, say=say)
        resampling = preset_of(group[0]).resampling
        todo = {image.path: image for image in images if image.path not in unread}
        mine: dict[Path, bytes] = {}
        found |= {name: {} for name in group}
        with progress_bar(f"extracting {len(group)} features", "img", len(todo), shown=progress) as bar:
            waiting: dict[Path, Pixels] = {}
            for path, item in load_many(todo, joint.side, resampling, max_pixels=max_pixels):
                bar.update()
                if not isinstance(item, Loaded):
                    unread[path] = Failure(todo[path].id, str(item))
                    continue
                waiting[path] = item.pixels
                if len(waiting) == AT_ONCE:
                    _take(joint, waiting, found, mine)
            _take(joint, waiting, found, mine)
        digests |= dict.fromkeys(group, mine)
    read = {image: label for image, label in images.items() if image.path not in unread}
    if len(read) < 2:
        raise BadQuery(f"{len(read)} of {len(images)} pictures can be read; at least 2 are needed.")
    vectors = {name: np.stack([rows[image.path] for image in read]) for name, rows in found.items()}
    seen = {name: {digests[name][image.path]: row for row, image in enumerate(read)} for name in names}
    labels = list(read.values())
    warnings = doubts((folders_of(image.id), label) for image, label in read.items())
    return Features([image.id for image in read], labels, vectors, seen, list(unread.values()), warnings)


def _take(
    joint: JointExtractor,
    waiting: dict[Path, Pixels],
    found: Mapping[str, dict[Path, Vectors]],
    digests: dict[Path, bytes],
) -> None:
    """Extracts the waiting pictures and empties ``waiting``."""
    if not waiting:
        return
    for name, rows in joint.extract(np.stack(list(waiting.values()))).items():
        found[name].update(zip(waiting, rows, strict=True))
    digests.update((path, _digest(pixels)) for path, pixels in waiting.items())
    waiting.clear()


def _digest(pixels: Pixels) -> bytes:
    return hashlib.blake2b(pixels.tobytes(), digest_size=16).digest()


def remembering(
    name: str,
    features: Features,
    weights: Path | None = None,
    *,
    engine: str | None = None,
    say: Say | None = None,
) -> Remembering:
    """The extractor of a name, which does not extract again what is in ``features``."""
    return Remembering(load_extractor(name, weights, engine=engine, say=say), features)


class Remembering:
    """An extractor that does not extract again what is in ``features``."""

    def __init__(self, extractor: Extractor, features: Features):
        self.spec = extractor.spec
        self._extractor = extractor
        self._vectors, self._seen = features.vectors[extractor.spec.name], features.seen[extractor.spec.name]

    def extract(self, pixels: Pixels) -> Vectors:
        """The unit vectors of ``(n, side, side, 3)`` uint8 pixels: ``(n, dim)`` float32.

        :raises BadQuery: when the pixels have another shape or dtype, or a vector is zero or not finite.
        """
        rows = [self._seen.get(_digest(each)) for each in pixels]
        vectors = np.zeros((len(pixels), self.spec.dim), np.float32)
        new = [i for i, row in enumerate(rows) if row is None]
        if new:
            vectors[new] = self._extractor.extract(pixels[new])
        for i, row in enumerate(rows):
            if row is not None:
                vectors[i] = self._vectors[row]
        return vectors
