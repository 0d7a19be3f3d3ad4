"""Asks a model server in an orderly way: a queue, one retry, and a rest where it keeps failing."""
