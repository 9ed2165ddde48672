"""Figures of what the kit measures: plain arrays in, ``(figure, axes)`` out; no plot computes a metric."""

from imgsearch_kit.plots.figure import Plot
from imgsearch_kit.plots.measures import (
    MethodPoint,
    Robustness,
    confusion_heatmap,
    precision_bars,
    precision_over_k,
    recall_latency,
    robustness_curves,
)
from imgsearch_kit.plots.pictures import Shown, class_map, picture_map, query_with_hits
from imgsearch_kit.plots.scores import calibration_curve, reliability_diagram

__all__ = [
    "MethodPoint",
    "Plot",
    "Robustness",
    "Shown",
    "calibration_curve",
    "class_map",
    "confusion_heatmap",
    "picture_map",
    "precision_bars",
    "precision_over_k",
    "query_with_hits",
    "recall_latency",
    "reliability_diagram",
    "robustness_curves",
]
