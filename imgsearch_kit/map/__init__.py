"""The pictures of an index on a plane, and the page to explore them by."""
