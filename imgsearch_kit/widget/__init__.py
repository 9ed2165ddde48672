"""A search in a notebook cell."""
