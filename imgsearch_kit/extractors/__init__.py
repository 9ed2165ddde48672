"""Pixels to unit vectors."""
