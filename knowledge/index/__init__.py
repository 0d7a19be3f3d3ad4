"""The index adapters: Qdrant Edge in process, and a Qdrant server."""
