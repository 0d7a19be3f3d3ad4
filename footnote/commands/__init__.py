"""The commands by family; what they do is in the other files of `footnote`."""
