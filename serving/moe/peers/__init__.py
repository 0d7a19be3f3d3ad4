"""Other implementations of the block, to be measured beside ours in one run.

Each module has `load(weights, spec)`, which returns a function from tokens [M, H] to outputs of
the same shape, and `NEEDS`, the packages it is made of. None of their code is kept here: it is
imported from where vLLM's wheel or its own package is.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec


def missing(needs: Sequence[str]) -> str:
    """Say which of the packages are not installed here; empty if all are."""
    absent = [name for name in needs if find_spec(name) is None]
    return f"{' and '.join(absent)} is not installed here" if absent else ""
