"""Lets a model look around in the documents with the tools that gpt-oss was trained to use."""
