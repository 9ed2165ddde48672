"""Filling and changing an index: from a folder, with labels, by a copy, by a rebuild."""
