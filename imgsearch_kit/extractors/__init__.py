"""Pixels to unit vectors."""

from imgsearch_kit.extractors.base import DEFAULT_PRESET, PRESETS, Extractor, Preset, probe_pixels
from imgsearch_kit.extractors.loading import load_extractor, load_extractors

__all__ = ["DEFAULT_PRESET", "PRESETS", "Extractor", "Preset", "load_extractor", "load_extractors", "probe_pixels"]
