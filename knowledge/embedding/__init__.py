"""Dense vectors from a local model, in this process or in a child of low priority."""
