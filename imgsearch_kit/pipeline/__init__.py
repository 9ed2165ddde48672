"""The only code that joins images, extractors and indexes."""
