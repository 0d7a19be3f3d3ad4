"""What of a sentence is checked exactly: numbers, dates, names, and what is said of them. Pure."""
