"""The command `footnote`, and the only place where real doors are opened."""
