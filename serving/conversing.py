"""What is asked of a model besides answers: the next message of a conversation."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any, Protocol

from knowledge.models import Context, Delta

Json = dict[str, Any]


class Conversing(Protocol):
    """A model that can be offered tools."""

    name: str

    def converse(
        self, context: Context, messages: Sequence[Json], tools: Sequence[Json]
    ) -> AsyncGenerator[Delta, None]:
        """Yield reasoning, text and calls as they come; raises `ModelError`.

        `context` says how hard to think, and with whose rights the messages were made.
        """
