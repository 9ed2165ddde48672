"""Whether an index is sound, and what its scores mean."""
