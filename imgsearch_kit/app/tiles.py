"""Pictures to begin with: typical ones, spread over the classes or, without classes, over the vectors."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.cluster.vq import kmeans2

from imgsearch_kit.gallery import Gallery
from imgsearch_kit.records import ImageRecord, Vectors

TILES = 18
OF_A_CLASS = 60  # members among which the typical one is looked for, so that a server is asked for few vectors
SOME = 40  # records that stand for all where files are looked for
OF_NO_CLASS = 2_000  # pictures that are clustered


def typical_pictures(gallery: Gallery, count: int = TILES) -> list[ImageRecord]:
    """At most ``count`` records, each nearest to the centre of its class or, without classes, of a cluster of vectors.

    With more classes than ``count`` those are taken that lie evenly in the order of their names, with fewer a class
    has several pictures, each the centre of a part of it. In order of the classes, then of the ids.
    """
    return _typical(gallery, gallery.records(), count)


def _typical(gallery: Gallery, records: Sequence[ImageRecord], count: int) -> list[ImageRecord]:
    classes: dict[str, list[ImageRecord]] = defaultdict(list)
    for record in records:
        if record.label:
            classes[record.label].append(record)
    groups = [classes[label] for label in _evenly(sorted(classes), count)] or ([list(records)] if records else [])
    limit = OF_A_CLASS if classes else OF_NO_CLASS
    samples = [_evenly(group, limit) for group in groups]
    shares = [count // len(groups) + (i < count % len(groups)) for i in range(len(groups))]
    wanted = sorted(record.id for sample in samples for record in sample)
    row = {id_: i for i, id_ in enumerate(wanted)}
    vectors = gallery.vectors(wanted)
    return [
        record
        for sample, share in zip(samples, shares, strict=True)
        for record in _central(sample, vectors[[row[record.id] for record in sample]], share)
    ]


def _central(records: Sequence[ImageRecord], vectors: Vectors, parts: int) -> list[ImageRecord]:
    """The record nearest to the mean of each of at most ``parts`` clusters, in order of ids."""
    if len(records) <= parts:
        return list(records)
    _, cluster = kmeans2(vectors, parts, minit="++", seed=0) if parts > 1 else (None, np.zeros(len(records), int))
    found = []
    for each in np.unique(cluster):
        members = np.flatnonzero(cluster == each)
        nearest = int(np.argmax(vectors[members] @ vectors[members].mean(axis=0)))
        found.append(records[members[nearest]])
    return sorted(found, key=lambda record: record.id)


def _evenly(items: Sequence[Any], count: int) -> list[Any]:
    count = min(count, len(items))
    return [items[i * len(items) // count] for i in range(count)]


class Shown:
    """The ids of a gallery and its typical pictures, asked for once a generation; threads may share one."""

    def __init__(self, gallery: Gallery):
        self.gallery = gallery
        self._lock = threading.Lock()
        self._generation = -1
        self._ids: list[str] = []
        self._tiles: list[ImageRecord] = []
        self._some: list[ImageRecord] = []

    def now(self) -> tuple[list[str], list[ImageRecord]]:
        """All ids, and the typical pictures, of the index as it is now."""
        generation = self.gallery.index.read_passport().generation
        with self._lock:
            if generation != self._generation:
                records = self.gallery.records()
                self._some = _evenly(records, SOME)
                self._ids = [record.id for record in records]
                self._tiles = _typical(self.gallery, records, TILES)
                self._generation = generation
            return self._ids, self._tiles

    def some(self) -> list[ImageRecord]:
        """A few records, evenly chosen, as of the last ``now``."""
        return self._some
