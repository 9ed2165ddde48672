"""The map of an index: its pictures on a plane, and a page to explore them."""
