"""Figures of what the kit measures: plain arrays in, ``(figure, axes)`` out; no plot computes a metric."""

from imgsearch_kit.plots.figure import Plot
from imgsearch_kit.plots.layout import class_map
from imgsearch_kit.plots.measures import MethodPoint, confusion_heatmap, interval_dots, precision_bars, recall_latency
from imgsearch_kit.plots.scores import calibration_curve, reliability_diagram

__all__ = [
    "MethodPoint",
    "Plot",
    "calibration_curve",
    "class_map",
    "confusion_heatmap",
    "interval_dots",
    "precision_bars",
    "recall_latency",
    "reliability_diagram",
]
