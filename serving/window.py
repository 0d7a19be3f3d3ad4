"""What fits a model's window: the request, what is read for it, and room to think and answer; pure.

Where not everything fits, the oldest turns of a conversation give way first, then passages. The
question never does: one that leaves no room is `TooLong`, before anything is sent.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from knowledge.errors import ModelError
from knowledge.models import Context, Effort, Question, Turn
from serving.prompt import REMEMBERED_TURNS, build_messages, repeat

Json = Mapping[str, Any]

THINKING_ROOM = {Effort.LOW: 1024, Effort.MEDIUM: 4096, Effort.HIGH: 16384}
"""Tokens granted on top of the answer's where the server has no cap on reasoning."""
FRAME = 200
"""Tokens that harmony writes around a request: its system block, channels, the type of tools."""
PER_MESSAGE = 8
"""The same around each message: who speaks, in which channel, and where it ends."""
SHARES = 4
"""Thinking is granted this part of the window before passages are; an eighth goes to history."""
FEWEST_SOURCES = 512
"""Tokens of passages without which a question is not worth asking a model."""
_MARK = "0a1b2c3d"


class TooLong(ModelError):
    """A request does not fit the window; known before the server is asked."""

    def __init__(self) -> None:
        super().__init__(
            "The question and what it needs are too long for the model.", code="context_overflow"
        )


@dataclass(frozen=True, slots=True)
class Window:
    """A server's context length and what an answer may take of it, all in its model's tokens."""

    tokens: int
    answer: int
    count: Callable[[str], int]
    thinking: Mapping[Effort, int] = field(default_factory=dict)
    """Caps that the server keeps; without one, room is granted by effort."""

    def remember(self, question: Question) -> Question:
        """Return the question with as many of its latest turns as an eighth of the window takes.

        They get less where the question is long.
        """
        if not question.history:
            return question
        spare = self._beside(replace(question, history=())) - FEWEST_SOURCES
        most = min(self.tokens // (2 * SHARES), spare)
        kept: list[Turn] = []
        for turn in reversed(question.history):
            most -= PER_MESSAGE + self.count(repeat(turn)["content"])
            if most < 0 or len(kept) == REMEMBERED_TURNS:
                break
            kept.insert(0, turn)
        return replace(question, history=tuple(kept))

    def sources(self, question: Question, most: int) -> int:
        """Return how many tokens of passages fit beside a question: at most `most`, and never none.

        Passages that do not help a model, as the question is too long, still make quotes.
        """
        return min(most, max(FEWEST_SOURCES, self._beside(question)))

    def left(self, messages: Sequence[Json], tools: Sequence[Json], effort: Effort) -> int:
        """Return how much may still be read after `messages`, so that one can think and answer."""
        prompt = _written(messages, tools, self.count)
        return self.tokens - prompt - self.answer - self._floor(effort)

    def room(self, messages: Sequence[Json], tools: Sequence[Json], effort: Effort) -> int:
        """Return how many tokens may be written: as wanted, or as many as the window leaves.

        Raises `TooLong` where it does not leave the answer's.
        """
        wanted = self.answer + self.thought(effort)
        if self.tokens - _written(messages, tools, _bytes) >= wanted:
            return wanted  # no token is less than a byte, and counting those takes no time
        left = self.tokens - _written(messages, tools, self.count)
        if left <= self.answer:
            raise TooLong
        return min(left, wanted)

    def thought(self, effort: Effort) -> int:
        """Return how many tokens of thinking are wanted."""
        return self.thinking.get(effort, 0) or THINKING_ROOM[effort]

    def _beside(self, question: Question) -> int:
        return self.tokens - self._request(question) - self.answer - self._floor(question.effort)

    def _request(self, question: Question) -> int:
        return _written(build_messages(Context(question, ()), mark=_MARK), (), self.count)

    def _floor(self, effort: Effort) -> int:
        """Return how much thinking is not given up for more to read."""
        return min(self.thought(effort), self.tokens // SHARES)


def _written(messages: Sequence[Json], tools: Sequence[Json], count: Callable[[str], int]) -> int:
    """Return at least as many tokens as a server makes of a request."""
    texts = [json.dumps(tool, ensure_ascii=False) for tool in tools]
    for message in messages:
        texts += [str(message.get(part) or "") for part in ("content", "reasoning")]
        for call in message.get("tool_calls") or ():
            texts += map(str, call["function"].values())
    return FRAME + PER_MESSAGE * len(messages) + sum(map(count, texts))


def _bytes(text: str) -> int:
    return len(text.encode())
