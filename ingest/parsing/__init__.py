"""The parsers, and the jail they run in."""
