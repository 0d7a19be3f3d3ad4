"""A context in, a cited answer out: HTTP API, prompts, citations and model adapters."""
