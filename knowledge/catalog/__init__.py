"""The catalog: the source of truth about documents, revisions and who may read them."""
