"""The corpus as tools for agents, over the Model Context Protocol; the only folder with `mcp`."""
