"""The knowledge base: nouns, doors, errors, settings; catalog, index and embedding adapters."""
