"""Image search you can measure: neighbours of a picture, and how good they are per class."""

__version__ = "0.1.0"
