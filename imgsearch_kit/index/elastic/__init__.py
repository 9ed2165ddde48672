"""Indexes on Elasticsearch: the only code that imports its client."""
