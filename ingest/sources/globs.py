"""Which paths a source takes in, by patterns as in .gitignore; only this file knows pathspec."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pathspec import GitIgnoreSpec

from knowledge.errors import ConfigurationError


def chooser(*, include: Sequence[str], exclude: Sequence[str]) -> Callable[[str], bool]:
    """Return what says of a relative path whether it is wanted; folders end with a `/`.

    Without `include` every file is. Raises `ConfigurationError` for what is no pattern.

    >>> wanted = chooser(include=["*.pdf", "notes/"], exclude=["old/"])
    >>> [wanted(path) for path in ("a/b.pdf", "notes/c.md", "d.md", "a/", "old/", "old/e.pdf")]
    [True, True, False, True, False, False]
    """
    taken, left = _compiled(include), _compiled(exclude)

    def wanted(path: str) -> bool:
        if left.match_file(path):
            return False
        return path.endswith("/") or not include or taken.match_file(path)

    return wanted


def patterns(text: str) -> list[str]:
    """Split a setting with one pattern a line."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def _compiled(lines: Sequence[str]) -> GitIgnoreSpec:
    try:
        return GitIgnoreSpec.from_lines(lines)
    except ValueError as error:
        raise ConfigurationError(f"not a pattern as in .gitignore: {error}") from error
