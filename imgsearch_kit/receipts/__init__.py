"""Receipts of searches: written, read back, repeated, and compared with what is found now."""
