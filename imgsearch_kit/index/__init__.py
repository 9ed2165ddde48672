"""Vectors to neighbours: the contract in base.py, one file per backend."""
