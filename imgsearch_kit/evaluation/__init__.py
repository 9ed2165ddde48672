"""Retrieval metrics, pure: arrays in, records out."""
