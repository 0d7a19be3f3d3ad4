"""Files in, indexed revisions out."""
