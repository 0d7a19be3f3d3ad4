"""What answers are held back by before anybody writes them."""

from __future__ import annotations

from typing import Protocol

from knowledge.models import Context


class Judging(Protocol):
    """Tells whether a context answers its question."""

    def answers(self, context: Context) -> bool:
        """Say so; synchronous."""
