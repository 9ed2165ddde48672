"""The health of an index, and the calibration of its scores."""
