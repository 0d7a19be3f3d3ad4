"""Connectors: each kind of place that documents come from, in a file of its own."""
