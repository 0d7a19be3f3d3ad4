"""Lengths of time as people say them; pure."""

from __future__ import annotations

_UNITS = (("d", 86_400), ("h", 3600), ("min", 60))


def duration(seconds: float) -> str:
    """Write a time in the largest unit that is not below two.

    >>> duration(0.4), duration(61), duration(7300), duration(200000)
    ('0.4 s', '61 s', '2 h', '2 d')
    """
    for unit, size in _UNITS:
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s" if seconds < 1 else f"{seconds:.0f} s"
